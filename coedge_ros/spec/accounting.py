"""What each worker does and holds in each stage of a frame: a pure function of the schedule."""

from __future__ import annotations

from dataclasses import dataclass

from coedge_ros.rows.row_set import EMPTY, RowSet
from coedge_ros.spec.graph import Kind, ModelGraph
from coedge_ros.spec.schedule import Schedule, TransferKind


@dataclass(frozen=True, slots=True)
class StageAccount:
    """One stage of one worker.

    Attributes
    ----------
    macs : int
        Multiply-accumulates, overlap included.
    bytes_in, bytes_out : int
        What arrives for it and what is sent after it, reports left out.
    peak_activation_bytes : int
        Most that is held at once of this frame: rows that later stages read, what has arrived, what the stage makes.
        Assumes that every operator writes a tensor of its own (a view counts as a copy of its size), and leaves out
        weights, kernels' working memory and messages on their way out.
    """

    macs: int
    bytes_in: int
    bytes_out: int
    peak_activation_bytes: int


def account(schedule: Schedule) -> tuple[tuple[StageAccount, ...], ...]:
    """Accounts by worker and stage; the last stage is the head."""
    return tuple(_Ledger(schedule, worker).stages() for worker in range(len(schedule.plan.workers)))


class _Ledger:
    """One worker's tensors over the stages of a frame, as `execution.program` keeps and frees them."""

    def __init__(self, schedule: Schedule, worker: int):
        self.schedule, self.worker, self.graph = schedule, worker, schedule.graph
        self.work = schedule.work[worker]
        self.rows: dict[str, RowSet] = {}
        self.held: dict[str, int] = {}  # bytes by tensor; a partial result under (name, "partial")
        self.last_use: dict[str, int] = {}
        for index, work in enumerate(self.work):
            for item in work.computes:
                for operand in self.graph.operators[item.operator].operands:
                    self.last_use[operand.tensor] = index
            for name in work.combines:
                self.last_use[_partial(name)] = index

    def stages(self) -> tuple[StageAccount, ...]:
        return tuple(self._stage(index) for index in range(len(self.work)))

    def _stage(self, index: int) -> StageAccount:
        work, transfers = self.work[index], self.schedule.transfers
        arrived = [transfers[i] for i in work.receives]
        bytes_in = sum(t.wire_bytes for t in arrived)
        peak = bytes_in + sum(self.held.values())
        here: set[str] = set()
        by_tensor: dict[str, list] = {}
        for t in arrived:
            if t.kind is not TransferKind.REDUCE:
                by_tensor.setdefault(t.tensor, []).append(t)
        for name, pieces in by_tensor.items():
            own = self.rows.get(name, EMPTY)
            self.rows[name] = own | RowSet.union_of(t.rows for t in pieces)
            joined = len(pieces) > 1 or bool(own)  # a single piece is used as it arrived
            size = _row_bytes(self.graph, name) * len(self.rows[name]) if joined else 0
            peak = max(peak, bytes_in + sum(self.held.values()) + size)
            self.held[name] = size
            here.add(name)
        for name in work.combines:
            self.held[name] = self.graph.tensor(name).total_bytes
            here.add(name)
        steps = [(self._name(item), self._size(item), self._operands(item)) for item in work.computes]
        sent = {transfers[i].tensor for i in work.sends}
        frees: list[list[str]] = []
        seen: set[str] = set()
        for _, _, operands in reversed(steps):
            frees.append(
                [o for o in operands if o not in seen and self.last_use.get(o, index) <= index and o not in sent]
            )
            seen.update(operands)
        for (name, size, _), freed in zip(steps, reversed(frees), strict=True):
            self.held[name] = size
            here.add(name)
            peak = max(peak, bytes_in + sum(self.held.values()))
            for operand in freed:
                self.held.pop(operand, None)
        past = {name for name, last in self.last_use.items() if last == index}
        for name in past | {name for name in here if name not in self.last_use}:
            self.held.pop(name, None)
        bytes_out = sum(transfers[i].wire_bytes for i in work.sends)
        return StageAccount(self.schedule.macs(self.worker, index), bytes_in, bytes_out, peak)

    def _name(self, item) -> str:
        op = self.graph.operators[item.operator]
        return _partial(op.name) if op.kind is Kind.REDUCE else op.name

    def _operands(self, item) -> tuple[str, ...]:
        return tuple(dict.fromkeys(o.tensor for o in self.graph.operators[item.operator].operands))

    def _size(self, item) -> int:
        op = self.graph.operators[item.operator]
        if op.kind is Kind.REDUCE:
            return op.partial.total_bytes
        if not item.rows:
            return op.output.total_bytes
        self.rows[op.name] = item.rows
        return op.output.row_bytes * len(item.rows)


def _partial(name: str) -> str:
    return f"{name}#partial"


def _row_bytes(graph: ModelGraph, name: str) -> int:
    return graph.tensor(name).row_bytes
