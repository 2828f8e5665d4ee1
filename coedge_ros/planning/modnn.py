"""`modnn`: MoDNN (Mao et al. 2017): rows in proportion to speed, layer by layer, whatever the links carry.

Its best setting here: neighbours exchange halo rows directly (MoDNN sends every layer's map through one device), and
the head runs on the fastest worker. It knows neither deadline nor energy.
"""

from __future__ import annotations

from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares

ASSUMPTIONS = ("shares follow speeds, all workers take part", "halo rows travel directly, not through one device")


def modnn_plan(request: PlanRequest) -> PartitionPlan:
    """Shares in proportion to speed, one layer a stage."""
    devices = request.devices
    fastest = devices.names[int(devices.speed.argmax())]
    cuts = request.tables.layer_cuts
    return plan_from_shares(request.graph, devices.names, devices.speed.tolist(), cuts, head=fastest)


def plan_modnn(request: PlanRequest) -> PlanOutcome:
    """The one plan that MoDNN makes, evaluated."""
    plan = modnn_plan(request)
    why = "Rows in proportion to speed, one layer a stage."
    return request.answer("modnn", plan, request.evaluator.predict(plan), why, proven=False, notes=ASSUMPTIONS)
