"""Improve a plan step by step: boundaries, head, cuts; every step is judged by the exact cost model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from coedge_ros.planning.evaluator import Evaluator, Figures, Group
from coedge_ros.rows.split import scale_boundaries
from coedge_ros.spec.plan import PartitionPlan

Key = TypeVar("Key")
Score = Callable[[Figures], np.ndarray]

RETRIES = 4  # changes of cuts that are made on top of each other
NO_GAIN = 1e-7  # relative: smaller gains end the search


@dataclass(frozen=True, slots=True)
class Point:
    """A plan as the search moves it: `bounds` has the shape (S, N + 1)."""

    cuts: tuple[int, ...]
    bounds: np.ndarray
    head: int
    score: float


@dataclass(frozen=True, slots=True)
class Change:
    """Other cuts, and several rows for them: `options` has the shape (C, S, N + 1)."""

    cuts: tuple[int, ...]
    options: np.ndarray


class Refiner:
    """Local search from given plans.

    Parameters
    ----------
    score : callable
        One number per plan of a batch, smaller is better.
    budget : int
        Stages of plans that may be evaluated in all (a plan of S stages counts S): the search is bounded by work, not
        by the clock, so that it gives the same plan on every machine.
    batch : int
        Most plans per evaluation.
    """

    def __init__(self, evaluator: Evaluator, score: Score, budget: int, batch: int = 128):
        self.evaluator, self.score, self.left, self.batch = evaluator, score, budget, batch
        self.tables = evaluator.tables
        self.count = evaluator.devices.count
        # evaluating a plan takes longer with more workers: exchanges are matrices
        self.weight = max(1.0, (self.count / 8) ** 1.5)

    def point(self, plan: PartitionPlan, score: float) -> Point:
        """A plan as a starting point."""
        return Point(plan.cuts, np.array(plan.boundaries), plan.workers.index(plan.head), score)

    def plan(self, point: Point) -> PartitionPlan:
        """A point as a plan."""
        return self.evaluator.plan(point.cuts, point.bounds, point.head)

    # -- steps with the same cuts -------------------------------------------------------------------------------------

    def improve_rows(self, point: Point, size: float = 0.06, rounds: int = 1000) -> Point:
        """Shift boundaries, by `size` of the height at first and by single rows in the end; then try other heads."""
        while self.left > 0 and rounds > 0:
            rounds -= 1
            before = point.score
            point = self._try(point, self._shifts(point, size, everywhere=True))
            point = self._try(point, self._shifts(point, size, everywhere=False))
            if point.score > before * (1 - NO_GAIN):
                if size * point.bounds[:, -1].max() < 1:
                    break
                size /= 3
        heads = np.array([h for h in range(self.count) if h != point.head])
        if len(heads):
            scores = self._scores(point.cuts, np.repeat(point.bounds[None], len(heads), axis=0), heads)
            k = int(scores.argmin())
            if scores[k] < point.score:
                point = Point(point.cuts, point.bounds, int(heads[k]), float(scores[k]))
        return point

    def _shifts(self, point: Point, size: float, *, everywhere: bool) -> np.ndarray:
        """Boundaries after one shift each, shape (C, S, N + 1).

        Everywhere: a boundary moves by the same part of the height in all stages, or in all from some stage on (so that
        bands drift and halo rows travel one way only). Otherwise in one stage.
        """
        stages = len(point.bounds)
        found = []
        tops = point.bounds[:, -1]
        steps = np.maximum(1, np.round(size * tops)).astype(np.int64)
        ranges = [(s, stages) for s in range(stages)] if everywhere else [(s, s + 1) for s in range(stages)]
        if everywhere or stages > 1:
            for b in range(1, self.count):
                for first, stop in ranges:
                    if not self._matters(point.bounds[first:stop], b):
                        continue
                    for sign in (-1, 1):
                        moved = point.bounds.copy()
                        moved[first:stop] = _shifted(moved[first:stop], b, sign * steps[first:stop])
                        found.append(moved)
        return np.array(found, dtype=np.int64).reshape(len(found), stages, self.count + 1)

    @staticmethod
    def _matters(bounds: np.ndarray, b: int) -> bool:
        """Whether one of the two workers at a boundary has rows, or it is the last of several equal ones."""
        return bool(((bounds[:, b - 1] != bounds[:, b]) | (bounds[:, b] != bounds[:, b + 1])).any())

    def _try(self, point: Point, candidates: np.ndarray) -> Point:
        """The best candidate, or several good ones together when that is better still."""
        if not len(candidates):
            return point
        heads = np.full(len(candidates), point.head)
        scores = self._scores(point.cuts, candidates, heads)
        order = np.argsort(scores, kind="stable")
        good = order[scores[order] < point.score]
        if not len(good):
            return point
        best = Point(point.cuts, candidates[good[0]], point.head, float(scores[good[0]]))
        if len(good) > 1:
            moves = candidates[good] - point.bounds
            counts = [k for k in (2, 3, 4, 6, 8, 12, 16, 24, 32) if k <= len(good)]
            together = np.array([point.bounds + moves[:k].sum(axis=0) for k in counts])
            together = np.clip(np.maximum.accumulate(together, axis=2), 0, point.bounds[:, -1:])
            scores = self._scores(point.cuts, together, np.full(len(counts), point.head))
            k = int(scores.argmin())
            if scores[k] < best.score:
                best = Point(point.cuts, together[k], point.head, float(scores[k]))
        return best

    def best(self, point: Point, bounds: np.ndarray, heads: np.ndarray) -> Point:
        """The best of many rows (C, S, N + 1) and heads (C,) under the point's cuts, or the point itself."""
        scores = self._scores(point.cuts, bounds, heads)
        k = int(scores.argmin())
        better = scores[k] < point.score * (1 - NO_GAIN)
        return Point(point.cuts, bounds[k], int(heads[k]), float(scores[k])) if better else point

    def _scores(self, cuts: tuple[int, ...], bounds: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """Scores of plans with bounds of shape (C, S, N + 1)."""
        self.left -= int(bounds.shape[0] * bounds.shape[1] * self.weight)
        parts = []
        for i in range(0, len(bounds), self.batch):
            rows = list(np.swapaxes(bounds[i : i + self.batch], 0, 1))
            parts.append(self.score(self.evaluator.figures(cuts, rows, heads[i : i + self.batch], hurry=True)))
        return np.concatenate(parts)

    # -- steps that change cuts ---------------------------------------------------------------------------------------

    def drop_cuts(self, point: Point) -> Point:
        """Leave cuts out, with the rows of the stage behind or before, where that is better."""
        forced = set(self.tables.forced_cuts)

        def without(point: Point, cut: int) -> Change | None:
            if cut not in point.cuts:
                return None
            s = point.cuts.index(cut)
            cuts = point.cuts[:s] + point.cuts[s + 1 :]
            height = self.tables.stages(cuts).heights[s]
            options = [np.delete(point.bounds, s, axis=0) for _ in range(2)]
            for option, source in zip(options, point.bounds[s : s + 2], strict=True):
                option[s] = scale_boundaries(source.tolist(), height)
            return Change(cuts, np.array(options))

        return self._greedy(point, [cut for cut in point.cuts if cut not in forced], without)

    def split_stages(self, point: Point, places: Iterable[int], parts: tuple[float, ...] = (0.1, 0.35)) -> Point:
        """Cut a stage in two and change who works in one half: a part of the rows to another worker, or all to one.

        This is the step that a plan on one worker needs to become one on several.
        """

        def split(point: Point, place: int) -> Change | None:
            if place in point.cuts:
                return None
            cuts = tuple(sorted((*point.cuts, place)))
            s = cuts.index(place)
            base = np.insert(point.bounds, s, point.bounds[s], axis=0)
            base[s] = scale_boundaries(point.bounds[s].tolist(), self.tables.stages(cuts).heights[s])
            options = []
            for half in (s, s + 1):
                others = _others(base[half], parts)
                changed = np.repeat(base[None], len(others), axis=0)
                changed[:, half] = others
                options.append(changed)
            return Change(cuts, np.concatenate(options))

        return self._greedy(point, places, split) if self.count > 1 else point

    def move_cuts(self, point: Point, places: Iterable[int]) -> Point:
        """Move each cut to the nearest other places before and behind it."""
        positions = sorted({*places, *point.cuts})
        forced = set(self.tables.forced_cuts)
        steps = []
        for cut in point.cuts:
            at = positions.index(cut)
            near = [p for p in positions[max(0, at - 1) : at + 2] if p not in point.cuts]
            steps += [(cut, place) for place in near if cut not in forced]

        def moved(point: Point, step: tuple[int, int]) -> Change | None:
            cut, place = step
            if cut not in point.cuts or place in point.cuts:
                return None
            cuts = tuple(sorted({*point.cuts, place} - {cut}))
            heights = self.tables.stages(cuts).heights
            rows = [scale_boundaries(old.tolist(), h) for old, h in zip(point.bounds, heights, strict=True)]
            return Change(cuts, np.array([rows]))

        return self._greedy(point, steps, moved)

    def _greedy(self, point: Point, keys: Iterable[Key], change: Callable[[Point, Key], Change | None]) -> Point:
        """Make the best of several changes, then the next best ones where they are still better on top of it."""
        tried = [(key, made) for key in keys if self.left > 0 and (made := change(point, key))]
        points = self._after(point, [made for _, made in tried])
        ranked = sorted(zip(points, tried, strict=True), key=lambda item: item[0].score)
        better = [(after, key) for after, (key, _) in ranked if after.score < point.score][:RETRIES]
        for count, (after, key) in enumerate(better):
            if count:
                made = change(point, key)
                if made is None or self.left <= 0:
                    continue
                after = self._after(point, [made])[0]
            if after.score < point.score:
                point = after
        return point

    def _after(self, point: Point, changes: Sequence[Change]) -> list[Point]:
        """The best option of each change."""
        if not changes:
            return []
        sizes = [len(made.options) for made in changes]
        groups = []
        for made, size in zip(changes, sizes, strict=True):
            self.left -= int(size * made.options.shape[1] * self.weight)
            groups.append(Group(made.cuts, list(np.swapaxes(made.options, 0, 1)), np.full(size, point.head)))
        scores = np.split(self.score(self.evaluator.figures_of_groups(groups, hurry=True)), np.cumsum(sizes)[:-1])
        best = [int(part.argmin()) for part in scores]
        return [
            Point(made.cuts, made.options[k], point.head, float(part[k]))
            for made, part, k in zip(changes, scores, best, strict=True)
        ]


def _others(bounds: np.ndarray, parts: tuple[float, ...]) -> np.ndarray:
    """Boundaries with all rows, or a part of them, given to each worker that has not all already; shape (C, N + 1)."""
    rows, n, height = np.diff(bounds), len(bounds) - 1, bounds[-1]
    share = np.array([1.0, *parts])[:, None]
    mixed = rows * (1 - share[:, None]) + share[:, None] * height * np.eye(n)  # (parts, worker, N)
    mixed = mixed[:, rows < height].reshape(-1, n)
    found = np.zeros((len(mixed), n + 1), dtype=np.int64)
    found[:, 1:] = np.round(np.cumsum(mixed, axis=1) / mixed.sum(axis=1, keepdims=True) * height)
    return found


def _shifted(bounds: np.ndarray, index: int, steps: np.ndarray) -> np.ndarray:
    """Boundary `index` of each stage moved by `steps` rows; others that are in its way move along."""
    moved = bounds.copy()
    target = np.clip(bounds[:, index] + steps, 0, bounds[:, -1])[:, None]
    if steps[0] > 0:
        moved[:, index:-1] = np.maximum(moved[:, index:-1], target)
    else:
        moved[:, 1 : index + 1] = np.minimum(moved[:, 1 : index + 1], target)
    return moved
