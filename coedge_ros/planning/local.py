"""`local`: the whole model on one worker, the frame sent there; the best of all workers."""

from __future__ import annotations

from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import PartitionPlan


def single_workers(request: PlanRequest) -> list[PartitionPlan]:
    """The whole model on each worker in turn."""
    return [request.single_worker(name) for name in request.devices.names]


def plan_local(request: PlanRequest) -> PlanOutcome:
    """The best single worker in the request's objective."""
    plan, predicted = request.best_of(single_workers(request))
    why = f"The whole model runs on {plan.head}, the best single worker for {request.objective}."
    return request.answer("local", plan, predicted, why, proven=True)
