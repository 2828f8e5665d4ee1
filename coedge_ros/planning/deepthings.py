"""`deepthings`: DeepThings (Zhao et al. 2018): the first layers fused, so that nothing travels between them.

Its tiles are a grid and idle devices steal them. Its best setting here: bands of rows in proportion to speed, which is
what stealing tends to with many small tiles and no cost of stealing; the number of fused layers and the device that
gathers and finishes are the best for the request under our cost model.
"""

from __future__ import annotations

from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares, reference_heights

ASSUMPTIONS = (
    "work stealing is taken as ideal: shares follow speeds",
    "depth and gathering device chosen by our cost model",
)


def deepthings_plans(request: PlanRequest) -> list[PartitionPlan]:
    """The first layers in bands on all workers, the rest on one, for every depth and the devices that may gather."""
    devices = request.devices
    speeds = devices.speed.tolist()
    manager_host = request.profile.cluster.manager_host
    fastest = int(devices.speed.argmax())
    gateways = {fastest} | {i for i, w in enumerate(request.profile.cluster.workers) if w.host == manager_host}
    plans: list[PartitionPlan] = []
    for gateway in sorted(gateways):
        alone = [float(i == gateway) for i in range(devices.count)]
        for depth in request.tables.layer_cuts:
            cuts = tuple(sorted({depth, *request.tables.forced_cuts}))
            shares = [speeds if end <= depth else alone for end in (*cuts, request.graph.trunk_length)]
            plans.append(plan_from_shares(request.graph, devices.names, shares, cuts, devices.names[gateway]))
        cuts = request.tables.forced_cuts
        whole = [speeds] * len(reference_heights(request.graph, cuts))
        plans.append(plan_from_shares(request.graph, devices.names, whole, cuts, devices.names[gateway]))
    return plans


def plan_deepthings(request: PlanRequest) -> PlanOutcome:
    """The best depth and the best device to gather."""
    plan, predicted = request.best_of(deepthings_plans(request))
    why = "The first layers run in bands without exchange, the rest on one worker."
    return request.answer("deepthings", plan, predicted, why, proven=False, notes=ASSUMPTIONS)
