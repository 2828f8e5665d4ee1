"""Planning with codecs: coarser ones are used on links where they pay, and the user's limit allows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from coedge_ros.planning.cost import evaluate
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import PartitionPlan

PAYS = 0.005  # of the objective: what finer codecs may cost before a coarser one is said to pay
_Links = dict[tuple[int, int], Codec]


def plan_with_codecs(request: PlanRequest, planner: Callable[[PlanRequest], PlanOutcome]) -> PlanOutcome:
    """The better of the planner's plans with coded and with raw links, in which codecs that do not pay are left out.

    A plan that is made by hand keeps the coarsest codec on all links.
    """
    coded = _with_codecs(request, planner(request))
    if request.devices.coding.everywhere:
        return coded
    raw = planner(replace(request, codec=Codec.RAW))
    if not coded.plan.codecs or not _is_better(request, coded, raw):
        note = f"No codec but raw pays on any link; {request.codec} was allowed."
        return replace(raw, notes=(*raw.notes, note))
    return coded


def _is_better(request: PlanRequest, coded: PlanOutcome, raw: PlanOutcome) -> bool:
    mine, other = request.rank(coded.predicted), request.rank(raw.predicted)
    return mine[0] < other[0] or (mine[0] == other[0] and mine[1] * (1 + PAYS) < other[1])


def _with_codecs(request: PlanRequest, outcome: PlanOutcome) -> PlanOutcome:
    """The outcome with codecs on the links of its plan that make the frame better, and a note that tells them.

    Link by link the finest is taken with which the objective stays within `PAYS` of the best so far.
    """
    devices, plan = request.devices, outcome.plan
    transfers = derive_schedule(request.graph, devices.coding.of(plan)).transfers
    codecs = {(t.source, t.target): t.codec for t in transfers if t.codec}
    best = request.rank(evaluate(_coded(plan, codecs), devices))
    for link in () if devices.coding.everywhere else sorted(codecs):
        for finer in [codec for codec in Codec if codec < codecs[link]]:
            rank = request.rank(evaluate(_coded(plan, codecs | {link: finer}), devices))
            if rank[0] < best[0] or (rank[0] == best[0] and rank[1] <= best[1] * (1 + PAYS)):
                codecs[link], best = finer, min(rank, best)
                break
    plan = _coded(plan, codecs)
    names = [f"{plan.workers[i]} to {plan.workers[j]} {codec}" for (i, j), codec in codecs.items() if codec]
    raw_ms = evaluate(_coded(plan, {}), devices).latency_s * 1e3
    note = f"Codecs: {', '.join(names) or 'none'}; the same rows raw would take {raw_ms:.1f} ms."
    return replace(outcome, plan=plan, predicted=evaluate(plan, devices), notes=(*outcome.notes, note))


def _coded(plan: PartitionPlan, codecs: _Links) -> PartitionPlan:
    everyone = range(len(plan.workers))
    table = tuple(tuple(codecs.get((i, j), Codec.RAW) for j in everyone) for i in everyone)
    return replace(plan, codecs=table if any(codecs.values()) else ())
