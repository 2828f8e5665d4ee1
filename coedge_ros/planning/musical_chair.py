"""`musical_chair`: Musical Chair (Hadidi et al. 2018): each layer split evenly over devices that it takes as equal.

Its best setting here: it may leave workers out, and the count (the fastest m of them) is the best for the request under
our cost model, which its own equal-device model would not find. Its pipelining of several frames is not part of one
frame's latency and is left out.
"""

from __future__ import annotations

import numpy as np

from coedge_ros.planning.patterns import worker_counts
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares

ASSUMPTIONS = (
    "equal shares: blind to unequal speeds",
    "the number of workers, fastest first, is chosen by our cost model",
)


def musical_chair_plans(request: PlanRequest) -> list[PartitionPlan]:
    """Equal shares on the fastest m workers, one layer a stage, for every m."""
    devices, cuts = request.devices, request.tables.layer_cuts
    by_speed = np.argsort(-devices.speed, kind="stable")
    plans = [request.single_worker(devices.names[by_speed[0]])]
    for m in worker_counts(devices.count):
        shares = np.zeros(devices.count)
        shares[by_speed[:m]] = 1.0
        head = devices.names[by_speed[0]]
        plans.append(plan_from_shares(request.graph, devices.names, shares.tolist(), cuts, head=head))
    return plans


def plan_musical_chair(request: PlanRequest) -> PlanOutcome:
    """The best number of workers."""
    plan, predicted = request.best_of(musical_chair_plans(request))
    why = "The same rows for each of the workers that take part, one layer a stage."
    return request.answer("musical_chair", plan, predicted, why, proven=False, notes=ASSUMPTIONS)
