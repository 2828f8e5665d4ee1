"""Rows that one stage computes and reads, as tables over where a band begins and ends: made once per model.

What a band `[a, b)` of a stage's reference height makes a worker compute of every operator, and read of earlier
stages, begins where `a` says and ends where `b` says, each for itself: row rules are monotonous and unions of
intervals are a minimum and a maximum. So a stage of many plans is evaluated by looking up, whatever its length.

This does not hold where a tensor without rows is made from rows, or rows that are read are no interval: `holds` tells.
Nor does it for bands that are empty at one map of the stage and not at another: `describes` tells. Such stages are
followed operator by operator instead (`batch`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from coedge_ros.planning.intervals import IntervalGraph
from coedge_ros.spec.graph import Kind, ModelGraph, Placement

Ends = tuple[
    np.ndarray, np.ndarray
]  # first row by the band's begin, behind the last row by its end: (height + 1,) each


@dataclass(frozen=True)
class StageRows:
    """Tables of the stage of operators `(start, end]`.

    Attributes
    ----------
    height : int
        Rows that bands are counted in (`spec.plan.reference_heights`).
    other_heights : tuple of int
        Heights of maps that bands are scaled to, where they are not `height`.
    made, needed : dict of str to Ends
        Rows computed of tensors that are read after the stage; rows read of tensors from before it.
    whole : tuple of str
        Tensors without rows that every working band reads.
    may_vanish : tuple of Ends
        Rows read, where rows exist that read nothing.
    macs : Ends
        Work of a band is `macs[1][b] - macs[0][a]`.
    plain_macs : int
        Work of the whole stage without overlap.
    weight_bytes : int
        Weights of a working band.
    operators : tuple of int
        Operators with rows, and `rows` their tables, in the same order.
    without_rows : tuple of int
        The other operators, but for reductions.
    holds : bool
        Whether the tables are exact, for bands that they describe.
    """

    height: int
    other_heights: tuple[int, ...]
    made: dict[str, Ends]
    needed: dict[str, Ends]
    whole: tuple[str, ...]
    may_vanish: tuple[Ends, ...]
    macs: Ends
    plain_macs: int
    weight_bytes: int
    operators: tuple[int, ...]
    rows: tuple[Ends, ...]
    without_rows: tuple[int, ...]
    holds: bool

    def describes(self, bounds: np.ndarray) -> bool:
        """Whether the tables hold for all plans with these boundaries of the stage, shape (B, N + 1)."""
        first, last = bounds[:, :-1], bounds[:, 1:]
        works = first < last
        for height in self.other_heights:
            other = scaled(bounds, self.height, height)
            if ((other[:, :-1] < other[:, 1:]) != works).any():
                return False
        return not any((works & (start[first] >= stop[last])).any() for start, stop in self.may_vanish)

    @cached_property
    def rows_of_all(self) -> Ends:
        """`rows` as two arrays of shape (operators, height + 1)."""
        return np.array([ends[0] for ends in self.rows]), np.array([ends[1] for ends in self.rows])


class _Pass:
    """From the last operator of a stage back, one operator at a time."""

    def __init__(self, graph: ModelGraph, intervals: IntervalGraph, end: int):
        self.graph, self.intervals, self.end = graph, intervals, end
        self.height = next(
            (op.output.height for op in graph.operators[end::-1] if op.output.height), graph.input.height
        )
        self.heights: set[int] = set()
        self.wanted: dict[str, Ends] = {}
        self.made: dict[str, Ends] = {}
        self.whole: list[str] = []
        self.may_vanish: list[Ends] = []
        self.without_rows: list[int] = []
        self.macs = np.zeros(self.height + 1, np.int64), np.zeros(self.height + 1, np.int64)
        self.plain_macs = self.weight_bytes = 0
        self.operators: list[int] = []
        self.rows: list[Ends] = []
        self.partial_sources: list[str] = []  # of reductions whose operand has not been passed yet
        self.holds = intervals.is_exact

    def take(self, i: int) -> None:
        op = self.graph.operators[i]
        if op.kind is Kind.REDUCE:
            self.partial_sources.append(op.operands[0].tensor)
        elif op.output.row_axis is None or op.placement is not Placement.SHARDED:
            self.without_rows.append(i)
            # made of tensors without rows, or it would have to be known here which workers make it
            self.holds &= not any(self.graph.tensor(operand.tensor).height for operand in op.operands)
        else:
            self._take_rows(i)

    def _take_rows(self, i: int) -> None:
        op = self.graph.operators[i]
        rows = self.wanted.pop(op.name, None)
        outlives = op.name in self.graph.outputs or any(user > self.end for user in self.graph.consumers[op.name])
        if outlives or op.name in self.partial_sources:
            owned = self._owned(op.output.height)
            rows = owned if rows is None else _union(rows, owned)
        if rows is None:
            return
        if outlives:
            self.made[op.name] = rows
        self.operators.append(i)
        self.rows.append(rows)
        per_row, rest = divmod(op.macs, op.output.height)
        self.holds &= rest == 0
        if per_row:
            self.macs = self.macs[0] + per_row * rows[0], self.macs[1] + per_row * rows[1]
        self.plain_macs += op.macs
        self.weight_bytes += op.weight_bytes
        for operand, reading in zip(op.operands, self.intervals.readings[i], strict=True):
            if operand.access is None:
                self.whole.append(operand.tensor)
            elif reading is None:
                self.holds = False
            else:
                wanted = rows if reading.is_same else (reading.start[rows[0]], reading.stop[rows[1]])
                if reading.may_vanish:
                    self.may_vanish.append(wanted)
                known = self.wanted.get(operand.tensor)
                self.wanted[operand.tensor] = wanted if known is None else _union(known, wanted)

    def _owned(self, height: int) -> Ends:
        bounds = np.arange(self.height + 1)
        if height != self.height:
            self.heights.add(height)
            bounds = scaled(bounds, self.height, height)
        return bounds, bounds

    def stage(self) -> StageRows:
        return StageRows(
            height=self.height,
            other_heights=tuple(self.heights),
            made=dict(self.made),
            needed=dict(self.wanted),
            whole=tuple(dict.fromkeys(self.whole)),
            may_vanish=tuple(self.may_vanish),
            macs=self.macs,
            plain_macs=self.plain_macs,
            weight_bytes=self.weight_bytes,
            operators=tuple(self.operators),
            rows=tuple(self.rows),
            without_rows=tuple(self.without_rows),
            holds=self.holds and bool(self.operators) and self.graph.input.name not in self.partial_sources,
        )


def stages_ending(graph: ModelGraph, intervals: IntervalGraph, end: int, starts: Iterable[int]) -> dict[int, StageRows]:
    """Tables of the stages `(start, end]` for several starts (-1: from the frame)."""
    found, walk, last = {}, _Pass(graph, intervals, end), end
    for start in sorted(starts, reverse=True):
        for i in range(last, start, -1):
            walk.take(i)
        last = start
        found[start] = walk.stage()
    return found


def scaled(bounds: np.ndarray, reference: int, height: int) -> np.ndarray:
    """`rows.split.scale_boundaries` for many plans."""
    return bounds if reference == height else (2 * bounds * height + reference) // (2 * reference)


def _union(a: Ends, b: Ends) -> Ends:
    return (np.minimum(a[0], b[0]), np.maximum(a[1], b[1])) if a is not b else a
