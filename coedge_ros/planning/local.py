"""`local`: the whole model on one worker, the frame sent there; the best of all workers."""

from __future__ import annotations

from coedge_ros.planning.cost import evaluate
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome, Prediction
from coedge_ros.spec.plan import PartitionPlan


def single_workers(request: PlanRequest) -> list[tuple[PartitionPlan, Prediction]]:
    """The whole model on each worker in turn."""
    plans = [request.single_worker(name) for name in request.devices.names]
    return [(plan, evaluate(plan, request.devices)) for plan in plans]


def plan_local(request: PlanRequest) -> PlanOutcome:
    """The best single worker in the request's objective."""
    plan, predicted = min(single_workers(request), key=lambda pair: request.rank(pair[1]))
    why = f"The whole model runs on {plan.head}, the best single worker for {request.objective}."
    return request.answer("local", plan, predicted, why, proven=True)
