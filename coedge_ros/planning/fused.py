"""`fused`: ours. Joint choice of cuts, rows per stage, overlap, workers and head.

At a cut rows travel; inside a stage overlap rows are computed twice; a stage may run on fewer workers than the one
before. 1. Candidate shares (`patterns`), and what every possible stage costs under each pair of them (`stage_costs`).
2. Dynamic programming over the stages (`cut_search`) for a row of prices of a second: with the right price the cheapest
   plan is the one of least energy within the deadline.
3. These plans and those of all other planners are evaluated with the cost model; the best few are improved step by step
   (`refine`). So the result is never worse than any of them in the objective.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coedge_ros.planning.coedge import coedge_plan
from coedge_ros.planning.cut_search import CutSearch
from coedge_ros.planning.deepthings import deepthings_plans
from coedge_ros.planning.evaluator import MANY
from coedge_ros.planning.exact import plan_exact
from coedge_ros.planning.explain import runner_up, why_no_rows, why_these_rows, working
from coedge_ros.planning.local import single_workers
from coedge_ros.planning.modnn import modnn_plan
from coedge_ros.planning.musical_chair import musical_chair_plans
from coedge_ros.planning.patterns import patterns_for, worker_counts
from coedge_ros.planning.refine import NO_GAIN, Refiner
from coedge_ros.planning.refine_small import improve_small
from coedge_ros.planning.request import PlanRequest
from coedge_ros.planning.stage_costs import StageCosts
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares

STARTS = 2  # plans that are improved
BUDGET = 24_000  # stages of plans that the step-by-step search may evaluate
EXACT_UP_TO = 30  # workers times layers up to which the exact program is among the others: some 20 ms
PART = 16  # workers that are searched over when there are more than MANY
Candidates = dict[str, list[PartitionPlan]]  # by planner


def plan_fused(request: PlanRequest) -> PlanOutcome:
    """The best plan of the search, never worse than those of the other planners under the cost model."""
    others, scores = _best_of_others(request)
    plan, split = (search_part if request.devices.count > MANY else search)(request, list(others.values()))
    predicted = request.evaluator.predict(plan)
    why = why_these_rows(request, plan, predicted, others["local"], split)
    notes = [runner_up(request, plan, predicted, others, scores), *why_no_rows(request, plan, predicted)]
    return request.answer("fused", plan, predicted, why, proven=False, notes=[note for note in notes if note])


def _best_of_others(request: PlanRequest) -> tuple[dict[str, PartitionPlan], dict[PartitionPlan, float]]:
    """The other planners' plans by name, and scores of all that they chose from, evaluated together."""
    candidates: Candidates = {
        "local": single_workers(request),
        "modnn": [modnn_plan(request)],
        "musical_chair": musical_chair_plans(request),
        "deepthings": deepthings_plans(request),
        "coedge": [coedge_plan(request)],
    }
    if request.devices.count * (len(request.tables.layer_cuts) + 1) <= EXACT_UP_TO:
        candidates["exact"] = [plan_exact(request).plan]
    plans = list(dict.fromkeys(plan for group in candidates.values() for plan in group))
    scores = dict(zip(plans, request.scores(request.evaluator.figures_of(plans)), strict=True))
    return {name: min(group, key=scores.__getitem__) for name, group in candidates.items()}, scores


def search(
    request: PlanRequest, given: list[PartitionPlan], budget: int = BUDGET
) -> tuple[PartitionPlan, PartitionPlan | None]:
    """The best plan found, no worse than any of `given`, and the best starting point on several workers."""
    devices, evaluator = request.devices, request.evaluator
    refiner = Refiner(evaluator, request.scores, budget)
    shares = [np.diff(plan.boundaries[0]).astype(float) for plan in given]
    patterns = patterns_for(devices, request.deadline_s, extra=shares)
    plans = list(dict.fromkeys([*given, *_searched(request, StageCosts(request.tables, devices, patterns))]))
    scores = request.scores(evaluator.figures_of(plans))
    split = next((plans[i] for i in np.argsort(scores, kind="stable") if len(working(plans[i])) > 1), None)
    starts = [refiner.point(plans[i], float(scores[i])) for i in _starts(plans, scores)]
    point = min((refiner.improve_rows(start) for start in starts), key=lambda p: p.score)
    parts, ends = (0.1, 0.35), request.tables.stage_ends
    while refiner.left > 0:
        before = point.score
        point = refiner.improve_rows(refiner.drop_cuts(refiner.split_stages(point, ends, parts)), size=0.02)
        parts = (0.2,)  # the second time finds little
        point = refiner.improve_rows(refiner.move_cuts(point, ends), size=0.02)
        if point.score > before * (1 - NO_GAIN):
            break
    refiner.left = max(refiner.left, budget)
    places = sorted({*request.tables.stage_ends, *request.tables.layer_cuts})
    point = improve_small(refiner, point, places)
    return refiner.plan(point), split


def search_part(request: PlanRequest, given: list[PartitionPlan]) -> tuple[PartitionPlan, PartitionPlan | None]:
    """`search` over a part of many workers: those of the best plan so far, and the fastest and most efficient besides.

    The best plan so far is the best of `given` and of shares by speed on the m fastest or the m most efficient.
    """
    devices, graph = request.devices, request.graph
    joules = devices.compute_w / devices.speed
    orders = [np.argsort(-devices.speed, kind="stable"), np.argsort(joules, kind="stable")]
    plans = list(given)
    for m in worker_counts(devices.count):
        for order in orders:
            shares = np.zeros(devices.count)
            shares[order[:m]] = devices.speed[order[:m]]
            head = devices.names[int(order[:m][devices.speed[order[:m]].argmax()])]
            plans.append(plan_from_shares(graph, devices.names, shares.tolist(), request.tables.layer_cuts, head))
    scores = request.scores(request.evaluator.figures_of(plans))
    ranking = np.argsort(scores, kind="stable")
    best = plans[ranking[0]]
    part = set(working(best))
    for name in (devices.names[i] for pair in zip(*orders, strict=True) for i in pair):
        if len(part) >= PART:
            break
        part.add(name)
    small = replace(request, profile=request.profile.only(part))
    inside = [_onto(plans[i], small.devices.names) for i in ranking if set(working(plans[i])) <= part]
    plan, split = search(small, inside[:8])
    return _onto(plan, devices.names), split and _onto(split, devices.names)


def _onto(plan: PartitionPlan, names: tuple[str, ...]) -> PartitionPlan:
    """The same plan for other workers.

    Those that it does not know get no rows, those that are left out must have none.
    """
    rows = []
    for bounds in plan.boundaries:
        ends = dict(zip(plan.workers, bounds[1:], strict=True))
        row, last = [0], 0
        for name in names:
            last = max(last, ends.get(name, last))
            row.append(last)
        rows.append(tuple(row))
    return replace(plan, workers=names, boundaries=tuple(rows))


def _starts(plans: list[PartitionPlan], scores: np.ndarray) -> list[int]:
    """The best plans, each with other cuts."""
    found: dict[tuple[int, ...], int] = {}
    for i in np.argsort(scores, kind="stable"):
        found.setdefault(plans[i].cuts, int(i))
    return list(found.values())[:STARTS]


def _searched(request: PlanRequest, costs: StageCosts) -> list[PartitionPlan]:
    """Plans of the dynamic program.

    The fastest ones, and for energy those around the price that the deadline asks for.
    """
    devices, evaluator = request.devices, request.evaluator
    found = CutSearch(costs, evaluator, np.ones(1), weight=0.0).plans(per_price=16)
    if request.objective == "energy":
        idle_w = (costs.patterns > 0) @ (devices.idle_w + devices.host_idle_w) if request.count_idle else 0.0
        watts = float(devices.compute_w.mean() * devices.count)
        prices = watts * np.array([0.0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10.0])
        search = CutSearch(costs, evaluator, prices, idle_w=idle_w)
        found += search.plans(per_price=3)
    return list(dict.fromkeys(item.plan for item in found))
