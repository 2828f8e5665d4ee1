"""Workloads of many plans with the same cuts at once, without deriving their schedules.

The same rules as `spec.schedule`, on intervals of rows as arrays: a test holds both together. What schedules can and
intervals cannot (a worker that needs two separate ranges of a map) is marked in `Batch.exact`; such plans are evaluated
from their schedules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.devices import Devices
from coedge_ros.planning.intervals import IntervalGraph
from coedge_ros.planning.stage_rows import Ends, StageRows, scaled
from coedge_ros.planning.stages import Stages
from coedge_ros.planning.workload import Messages, Workload
from coedge_ros.spec.graph import Kind, Placement
from coedge_ros.spec.schedule import REPORT_HEADER
from coedge_ros.spec.tensors import TensorSpec

NEVER = 1 << 30

Rows = tuple[np.ndarray, np.ndarray]  # lo, hi of shape (B, N); empty is (height + 1, 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Workload of B plans; `exact` (shape (B,)) tells which of them the intervals describe exactly."""

    load: Workload
    exact: np.ndarray


def batch_of(
    devices: Devices,
    intervals: IntervalGraph,
    stages: Stages,
    boundaries: Sequence[np.ndarray],
    heads: np.ndarray,
    *,
    with_memory: bool = False,
) -> Batch:
    """Workload of B plans whose cuts contain the forced ones.

    Parameters
    ----------
    boundaries : sequence of ndarray
        Per stage, shape (B, N + 1): row boundaries on the stage's reference height.
    heads : ndarray, shape (B,)
        Worker of the head.
    with_memory : bool
        Whether memory is counted although no worker limits it.
    """
    return _Run(devices, intervals, stages, boundaries, heads, with_memory).batch()


class _Run:
    def __init__(self, devices, intervals, stages, boundaries, heads, with_memory):
        self.devices, self.graph, self.intervals, self.stages = devices, devices.graph, intervals, stages
        self.boundaries = boundaries
        self.size, self.n = len(heads), self.devices.count
        self.is_head = np.arange(self.n) == heads[:, None]
        shape = (self.size, self.stages.count + 1, self.n)
        self.macs, self.seconds = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        self.active, self.has_rows = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        self.weights, self.touched = np.zeros(shape[::2], dtype=np.int64), np.zeros(shape[::2], dtype=np.int64)
        self.counts_memory = with_memory or bool(np.isfinite(self.devices.memory_bytes).any())
        self.computed: dict[str, Rows] = {}
        self.needed: list[dict[str, Rows]] = [{} for _ in range(self.stages.count + 1)]
        self.whole: dict[str, np.ndarray] = {}
        self.exact = np.full(self.size, self.intervals.is_exact)
        self.owned_cache: dict[tuple[int, int], Rows] = {}
        self.messages: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = defaultdict(self._nothing)

    def _nothing(self) -> tuple[np.ndarray, np.ndarray]:
        shape = (self.size, self.n + 1, self.n + 1)
        return np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)

    def batch(self) -> Batch:
        for stage in reversed(range(self.stages.count + 1)):
            self._demand(stage)
        self._exchanges()
        self._partials()
        self._wake()
        self._results()
        self._reports()
        self._reductions_computed()
        frame = scaled(self.boundaries[0], self.stages.heights[0], self.graph.input.height)
        load = Workload(
            self.macs,
            self.devices.times.total(self.macs, self.seconds),
            self.active,
            tuple(Messages(*key, *self.messages[key]) for key in sorted(self.messages)),
            np.diff(frame, axis=1),
            self.weights + self.touched,
        )
        return Batch(load, self.exact)

    # -- rows
    # -----------------------------------------------------------------------------------------------------------

    def owned(self, name: str) -> Rows:
        """Rows that workers own of a tensor: by the boundaries of the stage that made it (of stage 0 for the frame)."""
        height = self.graph.tensor(name).height
        key = max(0, self.stages.of[name]), height
        if key not in self.owned_cache:
            bounds = scaled(self.boundaries[key[0]], self.stages.heights[key[0]], height)
            self.owned_cache[key] = normalised(bounds[:, :-1], bounds[:, 1:], height)
        return self.owned_cache[key]

    def _demand(self, stage: int) -> None:
        graph, needed, here = self.graph, self.needed[stage], {}
        if stage == self.stages.count:
            for name in graph.outputs:
                if graph.operator(name).placement is not Placement.SHARDED:
                    self._need_whole(name, self.is_head, stage)
        by_rows = stage < self.stages.count and self._looked_up(self.stages.rows[stage], stage)
        for i in reversed(self.stages.members[stage]):
            op = graph.operators[i]
            if by_rows and (op.kind is Kind.REDUCE or (op.placement is Placement.SHARDED and op.output.height)):
                continue
            if op.kind is Kind.REDUCE:
                source = op.operands[0].tensor
                self._want(source, self.owned(source), stage, here, needed)
            elif op.output.row_axis is None or op.placement is not Placement.SHARDED:
                if op.name in self.whole:
                    self._demand_whole(i, stage, here, needed)
            else:
                self._demand_rows(i, stage, here, needed)

    def _looked_up(self, rows: StageRows, stage: int) -> bool:
        """Demand of a stage from its tables; False where they do not hold for some plan."""
        bounds = self.boundaries[stage]
        if not (rows.holds and rows.describes(bounds)):
            return False
        first, last = bounds[:, :-1], bounds[:, 1:]
        works = first < last

        def between(ends: Ends) -> tuple[np.ndarray, np.ndarray]:
            return ends[0][first], ends[1][last]

        def band(name: str, ends: Ends) -> Rows:
            lo, hi = between(ends)
            return np.where(works, lo, self.graph.tensor(name).height + 1), np.where(works, hi, 0)

        self.computed |= {name: band(name, ends) for name, ends in rows.made.items()}
        self.needed[stage] |= {name: band(name, ends) for name, ends in rows.needed.items()}
        for name in rows.whole:
            self._need_whole(name, works, stage)
        self.active[:, stage] |= works
        self.has_rows[:, stage] |= works
        lo, hi = between(rows.macs)
        self.macs[:, stage] += np.where(works, hi - lo, 0)
        if self.counts_memory or self.devices.times.tables:
            starts, stops = rows.rows_of_all
            counts = np.where(works, stops[:, last] - starts[:, first], 0)  # (operators, B, N)
            self.devices.times.add_measured(rows.operators, counts, self.seconds[:, stage])
        if self.counts_memory:
            self.weights += rows.weight_bytes * works
            members = np.array(rows.operators)[:, None, None]
            touched = counts * self.intervals.bytes_touched[members] // self.intervals.heights[members]
            self.touched = np.maximum(self.touched, touched.max(axis=0))
        return True

    def _demand_rows(self, i: int, stage: int, here: dict, needed: dict) -> None:
        op = self.graph.operators[i]
        rows = here.get(op.name)
        if op.name in self.stages.alive:
            owned = self.owned(op.name)
            rows = owned if rows is None else self._union(rows, owned)
        if rows is None:
            return
        self.computed[op.name] = rows
        count = np.maximum(rows[1] - rows[0], 0)
        self.has_rows[:, stage] |= count > 0
        self._work(i, stage, count)
        for operand, reading in zip(op.operands, self.intervals.readings[i], strict=True):
            if operand.access is None:
                self._need_whole(operand.tensor, count > 0, stage)
            elif reading is not None:
                wanted = rows
                if not reading.is_same:
                    wanted = reading.start[rows[0]], reading.stop[rows[1]]
                    if reading.may_vanish:
                        wanted = normalised(*wanted, self.graph.tensor(operand.tensor).height)
                self._want(operand.tensor, wanted, stage, here, needed)

    def _demand_whole(self, i: int, stage: int, here: dict, needed: dict) -> None:
        op = self.graph.operators[i]
        where = self.whole[op.name] < NEVER
        self._work(i, stage, where.astype(np.int64))
        for operand in op.operands:
            tensor = self.graph.tensor(operand.tensor)
            index = self.graph.index[tensor.name]
            if index < 0 or self.graph.operators[index].placement is Placement.SHARDED:
                rows = np.where(where, 0, tensor.height + 1), np.where(where, tensor.height, 0)
                self._want(tensor.name, rows, stage, here, needed)
            else:
                self._need_whole(tensor.name, where, stage)

    def _need_whole(self, name: str, where: np.ndarray, stage: int) -> None:
        wanted = np.where(where, stage, NEVER)
        self.whole[name] = np.minimum(self.whole[name], wanted) if name in self.whole else wanted

    def _want(self, name: str, rows: Rows, stage: int, here: dict, needed: dict) -> None:
        into = here if self.stages.of[name] == stage else needed
        into[name] = self._union(into[name], rows) if name in into else rows

    def _union(self, a: Rows, b: Rows) -> Rows:
        if a is b:
            return a
        return np.minimum(a[0], b[0]), np.maximum(a[1], b[1])

    def _work(self, i: int, stage: int, count: np.ndarray) -> None:
        op = self.graph.operators[i]
        self.active[:, stage] |= count > 0
        if op.macs or self.devices.times.tables:
            self.devices.times.add(i, count, self.macs[:, stage], self.seconds[:, stage])
        if self.counts_memory:
            units = count if op.output.height else count > 0
            self.weights += op.weight_bytes * (count > 0)
            touched = units * self.intervals.bytes_touched[i] // self.intervals.heights[i]
            self.touched = np.maximum(self.touched, touched)

    def _reductions_computed(self) -> None:
        """The partial result of every worker that owns rows."""
        for stage, members in enumerate(self.stages.members):
            for i in members:
                op = self.graph.operators[i]
                if op.kind is Kind.REDUCE:
                    lo, hi = self.owned(op.operands[0].tensor)
                    self._work(i, stage, np.maximum(hi - lo, 0))

    # -- messages
    # ---------------------------------------------------------------------------------------------------------

    def _exchanges(self) -> None:
        held = dict(self.computed)
        for stage, wants in enumerate(self.needed):
            for name, (lo, hi) in wants.items():
                tensor, made = self.graph.tensor(name), self.stages.of[name]
                if name not in held:
                    held[name] = np.full_like(lo, tensor.height + 1), np.zeros_like(hi)
                have_lo, have_hi = held[name]
                above = lo, np.minimum(hi, have_lo)
                below = np.where(have_hi > 0, np.maximum(lo, have_hi), hi), hi
                both = (lo < hi) & (have_lo < have_hi)
                self.exact &= ~(both & ((lo > have_hi) | (have_lo > hi))).any(axis=1)
                held[name] = np.minimum(lo, have_lo), np.maximum(hi, have_hi)
                for start, stop in (above, below):
                    if made < 0:
                        self._scatter(np.maximum(stop - start, 0), tensor.row_bytes, stage)
                    elif (stop > start).any():
                        self._exchange(tensor, start, stop, made, stage)

    def _scatter(self, rows: np.ndarray, row_bytes: int, stage: int) -> None:
        size, count = self.messages[-1, stage]
        size[:, self.n, : self.n] += rows * row_bytes
        count[:, self.n, : self.n] += rows > 0

    def _exchange(self, tensor: TensorSpec, start: np.ndarray, stop: np.ndarray, made: int, stage: int) -> None:
        lo, hi = self.owned(tensor.name)
        shared = np.minimum(stop[:, None, :], hi[:, :, None]) - np.maximum(start[:, None, :], lo[:, :, None])
        shared = np.maximum(shared, 0)
        size, count = self.messages[made, stage]
        count[:, : self.n, : self.n] += shared > 0
        coding = self.devices.coding
        if coding is None or tensor.dtype != "float32":
            size[:, : self.n, : self.n] += shared * tensor.row_bytes
            return
        size[:, : self.n, : self.n] += coding.sizes(tensor, shared)
        encode_s, decode_s = coding.seconds(tensor, shared)
        self.seconds[:, made] += encode_s
        self.seconds[:, stage] += decode_s

    def _wake(self) -> None:
        """A worker that begins with nobody's rows gets a row of the frame: its first fragment begins the frame."""
        owns = self.has_rows.copy()
        for op in self.graph.operators[: self.graph.trunk_length]:
            if op.kind is Kind.REDUCE:
                lo, hi = self.owned(op.operands[0].tensor)
                owns[:, self.stages.of[op.name]] |= hi > lo
        first = np.where(owns.any(axis=1), owns.argmax(axis=1), NEVER)
        asleep = first < NEVER
        for (_, needed_in), (_, count) in self.messages.items():
            asleep &= ~((needed_in <= first) & count[:, :, : self.n].any(axis=1))
        if asleep.any():
            for stage in np.unique(first[asleep]):
                self._scatter((asleep & (first == stage)).astype(np.int64), self.graph.input.row_bytes, int(stage))

    def _partials(self) -> None:
        for op in self.graph.operators[: self.graph.trunk_length]:
            if op.kind is not Kind.REDUCE or op.name not in self.whole:
                continue
            lo, hi = self.owned(op.operands[0].tensor)
            pairs = (hi > lo)[:, :, None] & ~np.eye(self.n, dtype=bool)
            for stage in np.unique(self.whole[op.name]):
                if stage < NEVER:
                    sent = pairs & (self.whole[op.name] == stage)[:, None, :]
                    size, count = self.messages[self.stages.of[op.name], int(stage)]
                    size[:, : self.n, : self.n] += sent * op.partial.total_bytes
                    count[:, : self.n, : self.n] += sent

    def _results(self) -> None:
        for name in dict.fromkeys(self.graph.outputs):
            op, end = self.graph.operator(name), self.stages.count + 1
            if op.placement is Placement.SHARDED:
                lo, hi = self.owned(name)
                rows, unit, made = np.maximum(hi - lo, 0), op.output.row_bytes, self.stages.of[name]
            else:
                rows, unit, made = self.is_head.astype(np.int64), op.output.total_bytes, self.stages.count
            size, count = self.messages[made, end]
            size[:, : self.n, self.n] += rows * unit
            count[:, : self.n, self.n] += rows > 0

    def _reports(self) -> None:
        taking_part = np.zeros((self.size, self.n), dtype=bool)
        for _, count in self.messages.values():
            taking_part |= count[:, : self.n].any(axis=2) | count[:, :, : self.n].any(axis=1)
        size, count = self.messages[self.stages.count, self.stages.count + 1]
        size[:, : self.n, self.n] += taking_part * (8 * (REPORT_HEADER + 2 * self.stages.count))
        count[:, : self.n, self.n] += taking_part


def normalised(lo: np.ndarray, hi: np.ndarray, height: int) -> Rows:
    """Ranges with the empty ones as `(height + 1, 0)`."""
    empty = lo >= hi
    return np.where(empty, height + 1, lo), np.where(empty, 0, hi)
