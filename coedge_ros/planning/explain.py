"""Why a plan is as it is, in sentences.

Against single workers, against other planners, and for workers without rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import Prediction
from coedge_ros.spec.plan import PartitionPlan

TRIED_SHARE = 0.1
MOST_NOTES = 4


def working(plan: PartitionPlan) -> list[str]:
    """Workers with rows in any stage."""
    return [
        name
        for i, name in enumerate(plan.workers)
        if any(bounds[i] < bounds[i + 1] for bounds in plan.boundaries) or name == plan.head
    ]


def figures_text(request: PlanRequest, predicted: Prediction) -> str:
    """Latency, energy and, where that is the objective, time per frame."""
    joules = predicted.energy_with_idle_j if request.count_idle else predicted.energy_j
    text = f"{predicted.latency_s * 1e3:.1f} ms and {joules:.3g} J"
    return text + (f", a frame every {predicted.period_s * 1e3:.1f} ms" if request.objective == "throughput" else "")


def goal_text(request: PlanRequest) -> str:
    """What was asked for."""
    goal = {"energy": "least energy", "latency": "least latency", "throughput": "most frames per second"}[
        request.objective
    ]
    return goal + (f" within {request.deadline_s * 1e3:.1f} ms" if request.deadline_s is not None else "")


def why_these_rows(
    request: PlanRequest, plan: PartitionPlan, predicted: Prediction, single: PartitionPlan, split: PartitionPlan | None
) -> str:
    """One paragraph: what was chosen, and what the best single worker or the best split would cost."""
    names = working(plan)
    evaluator = request.evaluator
    text = f"For {goal_text(request)}: "
    if len(names) > 1:
        alone = figures_text(request, evaluator.predict(single))
        stages = "one stage" if plan.stages == 1 else f"{plan.stages} stages"
        text += f"{', '.join(names)} share the frame in {stages}, {figures_text(request, predicted)}. "
        text += f"The best single worker, {single.head}, would take {alone}."
    else:
        text += f"not split: {names[0]} alone takes {figures_text(request, predicted)}. "
        if split is not None:
            other = evaluator.predict(split)
            shares = " and ".join(working(split))
            late = " and miss the deadline" if request.misses_deadline(other.latency_s) else ""
            text += f"The best split found, over {shares}, would take {figures_text(request, other)}{late}."
    return text


def why_no_rows(request: PlanRequest, plan: PartitionPlan, now: Prediction) -> list[str]:
    """For the first few workers without rows: what giving them a tenth of them, in every stage, would cost."""
    devices, evaluator = request.devices, request.evaluator
    idle = [i for i, name in enumerate(plan.workers) if name not in working(plan)]
    left_out, idle = idle[MOST_NOTES:], idle[:MOST_NOTES]
    if not idle or plan.workers != devices.names:
        return []
    boundaries = [np.array([_with_share(bounds, i) for i in idle]) for bounds in plan.boundaries]
    heads = np.full(len(idle), plan.workers.index(plan.head))
    figures = evaluator.figures(plan.cuts, boundaries, heads)
    notes = []
    for k, i in enumerate(idle):
        latency, energy = figures.latency_s[k], figures.energy_j[k]
        if request.count_idle:
            energy = figures.energy_with_idle_j[k]
        before = now.energy_with_idle_j if request.count_idle else now.energy_j
        reason = f"with a tenth of the rows it would be {latency * 1e3:.1f} ms ({(latency / now.latency_s - 1):+.0%})"
        reason += f" and {energy:.3g} J ({(energy / before - 1):+.0%})" if before else ""
        if request.misses_deadline(latency):
            reason += ", past the deadline"
        if figures.excess[k] > 0:
            reason += ", past a limit of a worker or over a missing link"
        notes.append(f"{plan.workers[i]} got no rows: {reason}.")
    if left_out:
        notes.append(f"{len(left_out)} more workers got no rows.")
    return notes


def _with_share(bounds: Sequence[int], worker: int) -> np.ndarray:
    rows = np.diff(np.array(bounds)) * (1 - TRIED_SHARE)
    rows[worker] += TRIED_SHARE * bounds[-1]
    total = np.concatenate([[0.0], np.cumsum(rows)])
    return np.round(total / total[-1] * bounds[-1]).astype(np.int64)


def runner_up(
    request: PlanRequest,
    plan: PartitionPlan,
    predicted: Prediction,
    others: Mapping[str, PartitionPlan],
    scores: Mapping[PartitionPlan, float],
) -> str:
    """The best of the other planners' plans and what it costs more."""
    evaluator = request.evaluator
    name = min(others, key=lambda other: scores[others[other]])
    if others[name] == plan:
        same = [other for other in others if scores[others[other]] == scores[plan]]
        return f"Runner-up: none is worse than this one; it is also what {' and '.join(same)} would choose."
    best = evaluator.predict(others[name])
    outcome = request.answer(name, others[name], best, "", proven=False)
    chosen, value = request.value(predicted), request.value(best)
    more = f", {value / chosen - 1:+.1%} in the objective" if chosen > 0 and outcome.is_feasible else ""
    return f"Runner-up: {name} with {figures_text(request, best)} ({outcome.status}{more})."
