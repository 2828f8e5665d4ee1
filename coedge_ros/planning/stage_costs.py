"""What each possible stage costs under each pair of patterns, for the search over cuts.

A stage is a run of operators (start, end]; it computes with one pattern of shares after the stage before computed with
another. Approximations, which only steer the search (its results are evaluated exactly): a stage waits for all that it
needs before it computes; tensors from earlier stages lie where the pattern before puts them; links into a worker are
averaged over their senders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.batch import Rows, normalised, scaled
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.model_tables import ModelTables
from coedge_ros.rows.split import split_by_shares
from coedge_ros.spec.graph import Kind, Placement

MOST_OVERLAP = 3.0  # stages in which every split pattern computes more than this times the work are not looked at


@dataclass(frozen=True, slots=True)
class StageCost:
    """Time and energy of a stage: arrays (K before, K in it); (1, K) for the first."""

    seconds: np.ndarray
    joules: np.ndarray


class StageCosts:
    """All stages between the possible ends.

    Attributes
    ----------
    ends : tuple of int
        Operators after which a stage may end, the last trunk operator included.
    stages : dict of (start, end) to StageCost
        Indices into `ends`; start -1 is the frame.
    head : StageCost
        Arrays (K, N): the head on each worker after the last stage under each pattern.
    """

    def __init__(self, tables: ModelTables, devices: Devices, patterns: np.ndarray):
        self.tables, self.devices, self.patterns = tables, devices, patterns
        self.graph = tables.graph
        self.ends = (*tables.stage_ends, self.graph.trunk_length - 1)
        self._references = self._heights()
        self._owned: dict[tuple[int, int], Rows] = {}
        self._contention = devices.contention(patterns > 0)
        self._is_split = (patterns > 0).sum(axis=1) > 1
        self._links()
        self.stages: dict[tuple[int, int], StageCost] = {}
        for end in range(len(self.ends)):
            self._stages_that_end(end)
        self.head = self._head()

    def _heights(self) -> list[int]:
        """Reference height of a stage that ends at each end: of the last tensor with rows up to there."""
        heights = []
        for end in self.ends:
            i = end
            while i > 0 and not self.graph.operators[i].output.height:
                i -= 1
            heights.append(self.graph.operators[i].output.height or self.graph.input.height)
        return heights

    def _links(self) -> None:
        """Mean link into each worker from the others of each pattern, shape (K, N)."""
        n = self.devices.count
        senders = self.patterns[:, :, None] * (1 - np.eye(n))
        weight = senders / np.maximum(senders.sum(axis=1, keepdims=True), 1e-12)
        self._in_alpha = (weight * self.devices.alpha_s[:n, :n]).sum(axis=1)
        self._in_rate = (weight * self.devices.s_per_byte[:n, :n]).sum(axis=1)
        crossing = weight * self.devices.s_per_byte[:n, :n] * self.devices.crosses[:n, :n]
        # joules per byte: the receiver's and the senders' transmit power
        self._in_joules = crossing.sum(axis=1) * self.devices.transmit_w
        self._in_joules = self._in_joules + (crossing * self.devices.transmit_w[None, :, None]).sum(axis=1)

    def owned(self, end: int, height: int) -> Rows:
        """Rows that each pattern gives each worker of a tensor of that height, in a stage with that end."""
        key = end, height
        if key not in self._owned:
            reference = self._references[end]
            if (end, 0) not in self._owned:
                bounds = np.array([split_by_shares(reference, list(shares)) for shares in self.patterns])
                self._owned[end, 0] = bounds, bounds
            bounds = scaled(self._owned[end, 0][0], reference, height)
            self._owned[key] = normalised(bounds[:, :-1], bounds[:, 1:], height)
        return self._owned[key]

    def _stages_that_end(self, end: int) -> None:
        graph, last = self.graph, self.ends[end]
        starts = {cut: index for index, cut in enumerate(self.ends[:end])}
        forced = set(self.tables.forced_cuts)
        shape = self.patterns.shape
        macs, seconds = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        plain = 0
        want: dict[str, Rows] = {}
        partials = 0  # bytes of combined results that every worker must receive from every other
        for i in range(last, -1, -1):
            op = graph.operators[i]
            if i != last and i in starts:
                self._keep(starts[i], end, macs, seconds, want, partials)
                if i in forced:
                    return
                overlap = (macs[self._is_split].sum(axis=1) / max(plain, 1)).min() if self._is_split.any() else 1.0
                if overlap > MOST_OVERLAP:
                    return
            if op.kind is Kind.REDUCE:
                source = op.operands[0].tensor
                self._add(want, source, self.owned(end, graph.tensor(source).height))
                continue
            if op.placement is not Placement.SHARDED or op.output.row_axis is None:
                count = (self.patterns > 0).astype(np.int64)
                if op.macs or self.devices.times.tables:
                    self.devices.times.add(i, count, macs, seconds)
                partials += sum(
                    graph.operator(o.tensor).partial.total_bytes
                    for o in op.operands
                    if o.tensor != graph.input.name and graph.operator(o.tensor).kind is Kind.REDUCE
                )
                continue
            rows = want.pop(op.name, None)
            if any(user > last for user in graph.consumers[op.name]) or op.name in graph.outputs:
                owned = self.owned(end, op.output.height)
                rows = owned if rows is None else _union(rows, owned)
            if rows is None:
                continue
            plain += op.macs
            count = np.maximum(rows[1] - rows[0], 0)
            if op.macs or self.devices.times.tables:
                self.devices.times.add(i, count, macs, seconds)
            for operand, reading in zip(op.operands, self.tables.intervals.readings[i], strict=True):
                if reading is None:
                    continue
                wanted = rows
                if not reading.is_same:
                    wanted = reading.start[rows[0]], reading.stop[rows[1]]
                    if reading.may_vanish:
                        wanted = normalised(*wanted, graph.tensor(operand.tensor).height)
                self._add(want, operand.tensor, wanted)
        self._keep(-1, end, macs, seconds, want, partials)

    def _add(self, want: dict[str, Rows], name: str, rows: Rows) -> None:
        want[name] = _union(want[name], rows) if name in want else rows

    def _keep(self, start: int, end: int, macs, seconds, want: dict[str, Rows], partials: int) -> None:
        devices, works = self.devices, self.patterns > 0
        compute = devices.times.total(macs, seconds) * self._contention + devices.stage_s * works
        joules = compute @ devices.compute_w
        if start < 0:
            size = sum(np.maximum(hi - lo, 0) * self.graph.tensor(name).row_bytes for name, (lo, hi) in want.items())
            size = size if len(want) else np.zeros(works.shape)
            m, n = devices.manager, devices.count
            duration = size * devices.s_per_byte[m, :n]
            arrive = np.where(works, np.cumsum(duration, axis=1) + devices.alpha_s[m, :n], 0.0)
            total = (np.where(works, arrive + compute, 0.0)).max(axis=1)
            power = (devices.transmit_w + devices.manager_transmit_w) * devices.crosses[m, :n]
            self.stages[start, end] = StageCost(total[None], (joules + duration @ power)[None])
            return
        missing = 0
        for name, (lo, hi) in want.items():
            tensor = self.graph.tensor(name)
            if name == self.graph.input.name:
                continue  # rows of the frame that a later stage reads travel with the scatter
            have_lo, have_hi = self.owned(start, tensor.height)
            shared = np.minimum(hi, have_hi[:, None]) - np.maximum(lo, have_lo[:, None])
            missing = missing + (np.maximum(hi - lo, 0) - np.maximum(shared, 0)) * tensor.row_bytes
        missing = missing + np.zeros((len(self.patterns), *works.shape))
        if partials:
            senders = works.sum(axis=1)[:, None, None] - works[:, None, :]
            missing = missing + partials * senders * works
        moved = missing * self._in_rate[:, None, :]
        wait = np.where(missing > 0, moved + self._in_alpha[:, None, :], 0.0)
        # all from one sender: its link carries everything
        alone = ~self._is_split[:, None, None] & (missing > 0)
        wait = np.where(alone, np.maximum(wait, moved.sum(axis=2, keepdims=True) + self._in_alpha[:, None, :]), wait)
        per_message = 2 * devices.message_s * (missing > 0)
        total = np.where(works, wait + compute + per_message, 0.0).max(axis=2)
        sent = (missing * self._in_joules[:, None, :]).sum(axis=2)
        self.stages[start, end] = StageCost(total, joules + sent + per_message @ devices.compute_w)

    def _head(self) -> StageCost:
        graph, devices = self.graph, self.devices
        n, m, last = devices.count, devices.manager, len(self.ends) - 1
        trunk = graph.operators[: graph.trunk_length]
        works = self.patterns > 0
        to_head, result = np.zeros(self.patterns.shape), np.zeros(self.patterns.shape)
        head_macs, whole_result = 0, 0
        gathered: set[str] = set()
        for op in graph.operators[graph.trunk_length :]:
            head_macs += op.macs
            for operand in op.operands:
                source = graph.index[operand.tensor]
                if 0 <= source < len(trunk) and operand.tensor not in gathered:
                    gathered.add(operand.tensor)
                    made = trunk[source]
                    if made.kind is Kind.REDUCE:
                        to_head += made.partial.total_bytes * works
                    elif made.placement is Placement.SHARDED:
                        lo, hi = self.owned(last, made.output.height)
                        to_head += np.maximum(hi - lo, 0) * made.output.row_bytes
        for name in graph.outputs:
            op = graph.operator(name)
            if op.placement is Placement.SHARDED:
                lo, hi = self.owned(last, op.output.height)
                result += np.maximum(hi - lo, 0) * op.output.row_bytes
            else:
                whole_result += op.output.total_bytes
                if op.kind is Kind.REDUCE:
                    to_head += op.partial.total_bytes * works
        rate, alpha, crosses = devices.s_per_byte, devices.alpha_s, devices.crosses
        others = 1 - np.eye(n)
        seconds = to_head @ (rate[:n, :n] * others) + ((to_head[:, :, None] > 0) * alpha[:n, :n] * others).max(axis=1)
        seconds = seconds + head_macs / devices.speed
        if whole_result:
            seconds = seconds + alpha[:n, m] + whole_result * rate[:n, m]
        if result.any():
            seconds = seconds + (result @ rate[:n, m] + alpha[:n, m].max())[:, None]
        power = devices.transmit_w[:, None] + devices.transmit_w[None, :]
        joules = to_head @ (rate[:n, :n] * crosses[:n, :n] * others * power)
        joules = joules + head_macs / devices.speed * devices.compute_w
        to_manager = rate[:n, m] * crosses[:n, m] * (devices.transmit_w + devices.manager_transmit_w)
        return StageCost(seconds, joules + whole_result * to_manager + (result @ to_manager)[:, None])


def _union(a: Rows, b: Rows) -> Rows:
    return (np.minimum(a[0], b[0]), np.maximum(a[1], b[1])) if a is not b else a
