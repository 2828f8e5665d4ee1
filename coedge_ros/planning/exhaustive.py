"""Every plan of a tiny instance: the oracle that `fused` is checked against.

All sets of legal cuts, all boundaries of every stage, all heads. The number of plans grows as
`heads * (rows ** (workers - 1)) ** stages`, so this is for a few rows, workers and stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from math import comb, prod

import numpy as np

from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cuts import legal_cuts
from coedge_ros.spec.plan import PartitionPlan

BATCH = 4096


@dataclass(frozen=True, slots=True)
class BestOfAll:
    """The best plan, its score (`PlanRequest.scores`), and how many plans there are."""

    plan: PartitionPlan
    score: float
    plans: int


def all_cuts(request: PlanRequest) -> Iterator[tuple[int, ...]]:
    """All sets of legal cuts, each with the forced ones."""
    forced = request.tables.forced_cuts
    free = [cut for cut in legal_cuts(request.graph) if cut not in forced]
    for count in range(len(free) + 1):
        for chosen in combinations(free, count):
            yield tuple(sorted((*forced, *chosen)))


def count_of_plans(request: PlanRequest) -> int:
    """How many plans there are."""
    n = request.devices.count
    return sum(count_of_rows(request.tables.stages(cuts).heights, n) for cuts in all_cuts(request))


def count_of_rows(heights: Sequence[int], workers: int) -> int:
    """How many ways there are to split these heights among workers, times the heads."""
    return workers * prod(comb(height + workers - 1, workers - 1) for height in heights)


def all_rows(heights: Sequence[int], workers: int, start: int, stop: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Ways `[start, stop)` of `count_of_rows`: boundaries per height of shape (B, workers + 1), heads of shape (B,)."""
    splits = [_splits(height, workers) for height in heights]
    head, *which = np.unravel_index(np.arange(start, stop), (workers, *map(len, splits)))
    return [split[k] for split, k in zip(splits, which, strict=True)], head


def best_of_all(request: PlanRequest) -> BestOfAll:
    """Evaluate every plan with the cost model and return the best."""
    best, best_score, count, n = None, np.inf, 0, request.devices.count
    for cuts in all_cuts(request):
        heights = request.tables.stages(cuts).heights
        total = count_of_rows(heights, n)
        for start in range(0, total, BATCH):
            rows, head = all_rows(heights, n, start, min(start + BATCH, total))
            scores = request.scores(request.evaluator.figures(cuts, rows, head))
            k = int(scores.argmin())
            if scores[k] < best_score:
                best, best_score = (cuts, [bounds[k] for bounds in rows], int(head[k])), float(scores[k])
        count += total
    return BestOfAll(request.evaluator.plan(*best), best_score, count)


def _splits(height: int, workers: int) -> np.ndarray:
    """All boundaries of a height among workers, shape (K, workers + 1)."""
    inner = list(combinations_with_replacement(range(height + 1), workers - 1))
    return np.array([(0, *bounds, height) for bounds in inner], dtype=np.int64)
