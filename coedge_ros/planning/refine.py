"""Improve a plan step by step: boundaries, head, cuts; every step is judged by the exact cost model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.evaluator import Evaluator, Figures
from coedge_ros.rows.split import scale_boundaries
from coedge_ros.spec.cuts import legal_cuts
from coedge_ros.spec.plan import PartitionPlan

Score = Callable[[Figures], np.ndarray]
Bounds = list[np.ndarray]  # per stage, shape (N + 1,)


@dataclass(frozen=True, slots=True)
class Point:
    """A plan as the search moves it."""

    cuts: tuple[int, ...]
    bounds: Bounds
    head: int
    score: float


class Refiner:
    """Local search from given plans.

    Parameters
    ----------
    score : callable
        One number per plan of a batch, smaller is better.
    batch : int
        Most plans per evaluation.
    """

    def __init__(self, evaluator: Evaluator, score: Score, batch: int = 64):
        self.evaluator, self.score, self.batch = evaluator, score, batch
        self.tables = evaluator.tables
        self.count = evaluator.devices.count

    def point(self, plan: PartitionPlan, score: float) -> Point:
        """A plan as a starting point."""
        return Point(plan.cuts, [np.array(row) for row in plan.boundaries], plan.workers.index(plan.head), score)

    def plan(self, point: Point) -> PartitionPlan:
        """A point as a plan."""
        return self.evaluator.plan(point.cuts, point.bounds, point.head)

    def improve(self, point: Point, rounds: int = 6) -> Point:
        """Alternate all kinds of steps until none helps or `rounds` are over."""
        size = 0.08
        for _ in range(rounds):
            before = point.score
            point = self._best(point, self._shifts_everywhere(point, size))
            point = self._best(point, self._shifts_of_stages(point, size))
            point = self._best(point, self._heads(point))
            point = self._over_cuts(point)
            if point.score >= before * (1 - 1e-6):
                if size < 0.01:
                    break
                size /= 3
        return point

    # -- steps with the same cuts
    # ---------------------------------------------------------------------------------------

    def _best(self, point: Point, candidates: Iterable[tuple[Bounds, int]]) -> Point:
        candidates = list(candidates)
        for first in range(0, len(candidates), self.batch):
            part = candidates[first : first + self.batch]
            bounds = [np.array([c[0][s] for c in part]) for s in range(len(point.bounds))]
            scores = self.score(self.evaluator.figures(point.cuts, bounds, np.array([c[1] for c in part])))
            k = int(scores.argmin())
            if scores[k] < point.score:
                point = Point(point.cuts, list(part[k][0]), part[k][1], float(scores[k]))
        return point

    def _inner(self, bounds: np.ndarray) -> list[int]:
        """Boundaries between two workers of which one at least has rows; of equal ones the outer two."""
        last = len(bounds) - 1
        return [b for b in range(1, last) if bounds[b - 1] != bounds[b] or bounds[b] != bounds[b + 1]]

    def _shifts_everywhere(self, point: Point, size: float):
        """A boundary moved by the same part of the height in all stages where the workers beside it have rows."""
        for b in self._inner(point.bounds[0]) if len(point.bounds) == 1 else range(1, self.count):
            for part in (-size, size):
                moved = [
                    _shifted(bounds, b, round(part * bounds[-1]) or (1 if part > 0 else -1)) for bounds in point.bounds
                ]
                if any((m != b0).any() for m, b0 in zip(moved, point.bounds, strict=True)):
                    yield moved, point.head

    def _shifts_of_stages(self, point: Point, size: float):
        """A boundary moved in one stage, or in a stage and all before it, or all behind it."""
        stages = len(point.bounds)
        if stages == 1:
            return
        for s in range(stages):
            for b in self._inner(point.bounds[s]):
                for sign in (-1, 1):
                    step = sign * max(1, round(size * point.bounds[s][-1]))
                    one = list(point.bounds)
                    one[s] = _shifted(point.bounds[s], b, step)
                    yield one, point.head

    def _heads(self, point: Point):
        for head in range(self.count):
            if head != point.head:
                yield point.bounds, head

    # -- steps that change cuts
    # -----------------------------------------------------------------------------------------

    def _over_cuts(self, point: Point) -> Point:
        """Leave a cut out, with the rows of the stage behind or before it; or take its rows to the next stage."""
        forced = set(self.tables.forced_cuts)
        for cut in point.cuts:
            if cut in forced or cut not in point.cuts:
                continue
            s = point.cuts.index(cut)
            cuts = point.cuts[:s] + point.cuts[s + 1 :]
            heights = self.tables.stages(cuts).heights
            merged = [
                np.array(scale_boundaries([int(b) for b in bounds], heights[s])) for bounds in point.bounds[s : s + 2]
            ]
            point = self._best_of(point, cuts, [[*point.bounds[:s], m, *point.bounds[s + 2 :]] for m in merged])
        return point

    def split_stages(self, point: Point, places: Iterable[int], parts: tuple[float, ...] = (0.06, 0.15, 0.35)) -> Point:
        """Cut a stage in two and change who works in one half: a part of the rows to another worker, or all to one.

        This is the step that a plan on one worker needs to become one on several.
        """
        for place in places:
            if place in point.cuts:
                continue
            cuts = tuple(sorted((*point.cuts, place)))
            s, heights = cuts.index(place), self.tables.stages(cuts).heights
            first = np.array(scale_boundaries([int(b) for b in point.bounds[s]], heights[s]))
            second = point.bounds[s]
            options: list[Bounds] = []
            for changed in self._others(first, parts):
                options.append([*point.bounds[:s], changed, second, *point.bounds[s + 1 :]])
            for changed in self._others(second, parts):
                options.append([*point.bounds[:s], first, changed, *point.bounds[s + 1 :]])
            point = self._best_of(point, cuts, options, strictly=True)
        return point

    def _others(self, bounds: np.ndarray, parts: tuple[float, ...]) -> Iterable[np.ndarray]:
        rows, n = np.diff(bounds), self.count
        for w in range(n):
            alone = np.zeros(n + 1, dtype=np.int64)
            alone[w + 1 :] = bounds[-1]
            if rows[w] < bounds[-1]:
                yield alone
                for part in parts:
                    mixed = np.where(np.arange(n) == w, rows + part * bounds[-1], rows * (1 - part))
                    total = np.concatenate([[0.0], np.cumsum(mixed)])
                    yield np.round(total / total[-1] * bounds[-1]).astype(np.int64)

    def move_cuts(self, point: Point, candidates: Iterable[int]) -> Point:
        """Move each cut to the next candidates before and behind it."""
        positions = sorted({*candidates, *point.cuts})
        forced = set(self.tables.forced_cuts)
        for cut in point.cuts:
            if cut in forced or cut not in point.cuts:
                continue
            at = positions.index(cut)
            for near in positions[max(0, at - 1) : at + 2]:
                if near == cut or near in point.cuts or cut not in point.cuts:
                    continue
                cuts = tuple(sorted({*point.cuts, near} - {cut}))
                if cuts.index(near) != point.cuts.index(cut):
                    continue
                heights = self.tables.stages(cuts).heights
                bounds = [
                    np.array(scale_boundaries([int(b) for b in old], h))
                    for old, h in zip(point.bounds, heights, strict=True)
                ]
                point = self._best_of(point, cuts, [bounds])
        return point

    def _best_of(self, point: Point, cuts: tuple[int, ...], options: list[Bounds], *, strictly: bool = False) -> Point:
        bounds = [np.array([option[s] for option in options]) for s in range(len(options[0]))]
        scores = self.score(self.evaluator.figures(cuts, bounds, np.full(len(options), point.head)))
        k = int(scores.argmin())
        better = scores[k] < point.score if strictly else scores[k] <= point.score
        return Point(cuts, options[k], point.head, float(scores[k])) if better else point

    def all_positions(self) -> tuple[int, ...]:
        """Every place where a stage may end."""
        return legal_cuts(self.tables.graph)


def _shifted(bounds: np.ndarray, index: int, step: int) -> np.ndarray:
    """Boundary `index` moved by `step` rows; others that are in its way move along."""
    moved = bounds.copy()
    target = min(max(int(bounds[index]) + step, 0), int(bounds[-1]))
    if step > 0:
        moved[index:-1] = np.maximum(moved[index:-1], target)
        moved[index] = target
    else:
        moved[1 : index + 1] = np.minimum(moved[1 : index + 1], target)
    return moved
