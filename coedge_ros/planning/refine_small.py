"""Improve plans of a few rows, workers and stages: all of their rows, or two boundaries at once.

What shifts of one boundary miss: rows that move from one worker to another in one stage and back in the next.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import combinations

import numpy as np

from coedge_ros.planning.exhaustive import all_rows, count_of_rows
from coedge_ros.planning.refine import NO_GAIN, Point, Refiner
from coedge_ros.rows.split import scale_boundaries

MOST_PLACES = 6  # for cuts, up to which this is tried
MOST = 4000  # ways of setting rows, or two boundaries, that are all tried


def improve_small(refiner: Refiner, point: Point, places: Iterable[int]) -> Point:
    """The best rows under these cuts and with one or two of the `places` as cuts more or less; larger plans stay."""
    free = [place for place in places if place not in refiner.tables.forced_cuts]
    if refiner.count < 2 or len(free) > MOST_PLACES:
        return point
    point = _improve_rows(refiner, point)
    while refiner.left > 0 and _is_small(point.bounds):
        others = []
        for changed in [*combinations(free, 1), *combinations(free, 2)]:
            cuts = tuple(sorted({*point.cuts} ^ {*changed}))
            rows = _carried(refiner, point, cuts)
            if refiner.left > 0 and _is_small(rows):
                others.append(_improve_rows(refiner, Point(cuts, rows, point.head, np.inf)))
        best = min(others, key=lambda p: p.score, default=point)
        if best.score >= point.score * (1 - NO_GAIN):
            break
        point = best
    return point


def _improve_rows(refiner: Refiner, point: Point) -> Point:
    heights, n = point.bounds[:, -1].tolist(), refiner.count
    if (ways := count_of_rows(heights, n)) <= MOST:
        rows, heads = all_rows(heights, n, 0, ways)
        return refiner.best(point, np.swapaxes(np.array(rows), 0, 1), heads)
    while refiner.left > 0 and _is_small(point.bounds):
        rows = _pairs(point.bounds)
        better = refiner.best(point, np.tile(rows, (n, 1, 1)), np.repeat(np.arange(n), len(rows)))
        if better is point:
            break
        point = better
    return point


def _is_small(bounds: np.ndarray) -> bool:
    """Whether all ways of setting two boundaries, or all of them, under any head may be tried."""
    workers = bounds.shape[1] - 1
    if count_of_rows(bounds[:, -1].tolist(), workers) <= MOST:
        return True
    ways = np.repeat(bounds[:, -1] + 1, workers - 1)
    return (ways.sum() ** 2 - (ways**2).sum()) // 2 * workers <= MOST


def _pairs(bounds: np.ndarray) -> np.ndarray:
    """Boundaries with any two of them anywhere, shape (C, S, N + 1)."""
    places = [(s, b) for s in range(len(bounds)) for b in range(1, bounds.shape[1] - 1)]
    options = [bounds[None]]
    for (s, b), (t, c) in combinations(places, 2):
        first, second = np.meshgrid(np.arange(bounds[s, -1] + 1), np.arange(bounds[t, -1] + 1), indexing="ij")
        moved = np.repeat(bounds[None], first.size, axis=0)
        moved[:, s, b], moved[:, t, c] = first.ravel(), second.ravel()
        options.append(moved[(np.diff(moved, axis=2) >= 0).all(axis=(1, 2))])
    return np.unique(np.concatenate(options), axis=0)


def _carried(refiner: Refiner, point: Point, cuts: tuple[int, ...]) -> np.ndarray:
    """The point's rows under other cuts: each stage takes those of the stage that had its last operator."""
    heights = refiner.tables.stages(cuts).heights
    sources = [bisect_left(point.cuts, end) for end in (*cuts, refiner.evaluator.graph.trunk_length - 1)]
    return np.array([scale_boundaries(point.bounds[s].tolist(), h) for s, h in zip(sources, heights, strict=True)])
