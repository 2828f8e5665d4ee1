"""What each possible stage costs under each pair of patterns, for the search over cuts.

A stage is a run of operators (start, end]; it computes with one pattern of shares after the stage before computed with
another. Approximations, which only steer the search (its results are evaluated exactly): a stage waits for all that it
needs before it computes; tensors from earlier stages lie where the pattern before puts them; links into a worker are
averaged over their senders; partial results are coded as rows are, and coding takes no time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.batch import Rows, normalised
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.model_tables import ModelTables
from coedge_ros.planning.stage_rows import StageRows, scaled
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
        self._bands: dict[int, tuple[int, np.ndarray]] = {}
        self._owned: dict[tuple[int, int], Rows] = {}
        self._contention = devices.contention(patterns > 0)
        self._is_split = (patterns > 0).sum(axis=1) > 1
        self._links()
        self.stages: dict[tuple[int, int], StageCost] = {}
        for end in range(len(self.ends)):
            self._stages_that_end(end)
        self.head = self._head()

    def _links(self) -> None:
        """Mean link into each worker from the others of each pattern, shape (K, N)."""
        n = self.devices.count
        senders = self.patterns[:, :, None] * (1 - np.eye(n))
        weight = senders / np.maximum(senders.sum(axis=1, keepdims=True), 1e-12)
        self._in_alpha = (weight * self.devices.alpha_s[:n, :n]).sum(axis=1)
        self._rate = self.devices.s_per_byte[:n, :n] * (self.devices.coding.ratio if self.devices.coding else 1.0)
        self._in_rate = (weight * self._rate).sum(axis=1)
        crossing = weight * self._rate * self.devices.crosses[:n, :n]
        # joules per byte: the receiver's and the senders' transmit power
        self._in_joules = crossing.sum(axis=1) * self.devices.transmit_w
        self._in_joules = self._in_joules + (crossing * self.devices.transmit_w[None, :, None]).sum(axis=1)

    def bands(self, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end of each worker's rows under each pattern, in a stage with that end, shape (K, N)."""
        if end not in self._bands:
            height = self.tables.stage_rows(-1, self.ends[end]).height
            bounds = np.array([split_by_shares(height, list(shares)) for shares in self.patterns])
            self._bands[end] = height, bounds
        bounds = self._bands[end][1]
        return bounds[:, :-1], bounds[:, 1:]

    def owned(self, end: int, height: int) -> Rows:
        """Rows that each pattern gives each worker of a tensor of that height, in a stage with that end."""
        key = end, height
        if key not in self._owned:
            self.bands(end)
            reference, bounds = self._bands[end]
            bounds = scaled(bounds, reference, height)
            self._owned[key] = normalised(bounds[:, :-1], bounds[:, 1:], height)
        return self._owned[key]

    def _stages_that_end(self, end: int) -> None:
        last = self.ends[end]
        first = max((cut for cut in self.tables.forced_cuts if cut < last), default=-1)
        for start in range(end - 1, -2, -1):
            begin = self.ends[start] if start >= 0 else -1
            if begin < first:
                return
            rows = self.tables.stage_rows(begin, last)
            macs, seconds = self._work(rows, end)
            self._keep(start, end, rows, macs, seconds)
            if self._is_split.any() and start > 0:
                overlap = macs[self._is_split].sum(axis=1).min() / max(rows.plain_macs, 1)
                if overlap > MOST_OVERLAP:
                    return  # longer ones compute more still

    def _work(self, rows: StageRows, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Work and measured extra time of a stage under each pattern, shape (K, N)."""
        devices, works = self.devices, self.patterns > 0
        begin, stop = self.bands(end)
        macs = np.where(begin < stop, rows.macs[1][stop] - rows.macs[0][begin], 0)
        seconds = np.zeros(macs.shape)
        if devices.times.tables and rows.operators:
            starts, stops = rows.rows_of_all
            counts = np.where(begin < stop, np.maximum(stops[:, stop] - starts[:, begin], 0), 0)
            devices.times.add_measured(rows.operators, counts, seconds)
        for i in rows.without_rows:
            if self.graph.operators[i].macs or devices.times.tables:
                devices.times.add(i, works.astype(np.int64), macs, seconds)
        return macs, seconds

    def _keep(self, start: int, end: int, rows: StageRows, macs: np.ndarray, seconds: np.ndarray) -> None:
        devices, works = self.devices, self.patterns > 0
        want = self._read(rows, end)
        compute = devices.times.total(macs, seconds) * self._contention + devices.stage_s * works
        joules = compute @ devices.compute_w
        if start < 0:
            size = np.zeros(works.shape)
            for name, (lo, hi) in want.items():
                size += np.maximum(hi - lo, 0) * self.graph.tensor(name).row_bytes
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
        partials = self._partial_bytes(rows)
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

    def _read(self, rows: StageRows, end: int) -> dict[str, Rows]:
        """Rows of earlier tensors that each worker reads under each pattern, arrays (K, N)."""
        begin, stop = self.bands(end)
        works = begin < stop
        return {
            name: (
                np.where(works, ends[0][begin], self.graph.tensor(name).height + 1),
                np.where(works, ends[1][stop], 0),
            )
            for name, ends in rows.needed.items()
        }

    def _partial_bytes(self, rows: StageRows) -> int:
        """Bytes of combined results that every worker must receive from every other."""
        operands = [operand.tensor for i in rows.without_rows for operand in self.graph.operators[i].operands]
        made = [self.graph.operator(name) for name in operands if name != self.graph.input.name]
        return sum(op.partial.total_bytes for op in made if op.kind is Kind.REDUCE)

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
        seconds = to_head @ (self._rate * others) + ((to_head[:, :, None] > 0) * alpha[:n, :n] * others).max(axis=1)
        seconds = seconds + head_macs / devices.speed
        if whole_result:
            seconds = seconds + alpha[:n, m] + whole_result * rate[:n, m]
        if result.any():
            seconds = seconds + (result @ rate[:n, m] + alpha[:n, m].max())[:, None]
        power = devices.transmit_w[:, None] + devices.transmit_w[None, :]
        joules = to_head @ (self._rate * crosses[:n, :n] * others * power)
        joules = joules + head_macs / devices.speed * devices.compute_w
        to_manager = rate[:n, m] * crosses[:n, m] * (devices.transmit_w + devices.manager_transmit_w)
        return StageCost(seconds, joules + whole_result * to_manager + (result @ to_manager)[:, None])
