"""All planners by name, and the one entry that the manager and the commands share.

    outcome = make_plan(PlanRequest(graph, profile, planner="fused", objective="energy", deadline_s=0.1))

`graph: ModelGraph` of the model, `profile: Profile(cluster, measured_macs_per_s, measured_together, model)`; plan again
without a worker with `profile.only(names)`, with measured links with `profile.with_cluster(cluster.with_links(...))`.
`PlanOutcome.plan` is there for every status but `Status.INVALID`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from coedge_ros.errors import UserError
from coedge_ros.planning.codec_choice import plan_with_codecs
from coedge_ros.planning.coedge import plan_coedge
from coedge_ros.planning.deepthings import plan_deepthings
from coedge_ros.planning.exact import plan_exact
from coedge_ros.planning.fused import plan_fused
from coedge_ros.planning.local import plan_local, single_workers
from coedge_ros.planning.manual import plan_manual
from coedge_ros.planning.modnn import plan_modnn
from coedge_ros.planning.musical_chair import plan_musical_chair
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.outcome import PlanOutcome, Status
from coedge_ros.spec.profile import Profile

PLANNERS: dict[str, Callable[[PlanRequest], PlanOutcome]] = {
    "local": plan_local,
    "modnn": plan_modnn,
    "musical_chair": plan_musical_chair,
    "deepthings": plan_deepthings,
    "coedge": plan_coedge,
    "exact": plan_exact,
    "fused": plan_fused,
    "manual": plan_manual,
}


def make_plan(request: PlanRequest) -> PlanOutcome:
    """Plan, whatever is asked: a request that cannot be answered gives `Status.INVALID` with advice, no exception."""
    try:
        if request.planner not in PLANNERS:
            near = difflib.get_close_matches(request.planner, PLANNERS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"planner {request.planner!r} is none of {', '.join(PLANNERS)}{hint}")
        request.check()
        planner = PLANNERS[request.planner]
        return plan_with_codecs(request, planner) if request.codec else planner(request)
    except UserError as error:
        return PlanOutcome(
            request.planner, request.objective, request.deadline_s, Status.INVALID, None, None, str(error)
        )


def best_single_latency_s(graph: ModelGraph, profile: Profile) -> float:
    """Predicted latency of the fastest single worker, which deadlines are given relative to [s].

    Raises
    ------
    UserError
        For an empty cluster or unknown speeds.
    """
    request = PlanRequest(graph, profile, "local", "latency")
    request.check()
    return float(request.evaluator.figures_of(single_workers(request)).latency_s.min())
