"""A worker's program: for each stage, what must have arrived, which kernels run on which rows, and what is sent.

Built once per plan, so that a frame pays for kernels and messages only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from coedge_ros.execution.device import DeviceStage
from coedge_ros.graph.ir import Node, Ref, substitute
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.graph.rules.registry import take
from coedge_ros.rows.row_set import EMPTY, RowRange, RowSet
from coedge_ros.spec.graph import Kind, Operator, Placement
from coedge_ros.spec.schedule import TELLING_SHARE, Schedule, Transfer, TransferKind, Work
from coedge_ros.spec.tensors import TensorSpec

Values = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call: `values[output] = kernel(*operands)`; `frees` are not read again."""

    output: str
    kernel: Callable[..., torch.Tensor]
    operands: tuple[str, ...]
    frees: tuple[str, ...]
    macs: int


@dataclass(frozen=True, slots=True)
class Send:
    """A transfer and where it comes from: rows of a value, in wire order."""

    transfer: Transfer
    receiver: str
    value: str
    pick: Callable | None
    wire_axes: tuple[int, ...]

    def wire(self, values: Values) -> torch.Tensor:
        """The tensor in wire order; no copy when the value is channels-last in memory."""
        value = values[self.value]
        value = value if self.pick is None else self.pick(value)
        return value.permute(self.wire_axes).contiguous() if len(self.wire_axes) > 1 else value.contiguous()


@dataclass(frozen=True, slots=True)
class Assembly:
    """Rows of a tensor put together from what is here and what has arrived, in ascending order."""

    tensor: str
    axis: int
    parts: tuple[int | None, ...]  # transfer index, or None for a piece of the own band
    own: tuple[tuple[int, int], ...]  # (offset, length) of the own pieces, in order
    unwire: tuple[int, ...]

    def run(self, values: Values, arrived: dict[int, torch.Tensor]) -> torch.Tensor:
        """The rows in ascending order."""
        own = iter(self.own)
        pieces = []
        for part in self.parts:
            if part is None:
                offset, length = next(own)
                pieces.append(values[self.tensor].narrow(self.axis, offset, length))
            else:
                pieces.append(_unwired(arrived[part], self.unwire))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=self.axis)


def _unwired(wire: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Rows that came in wire order, with the model's axes.

    A single picture gets the stride that torch expects of channels-last memory: rows are the first axis on the wire, so
    it would have the stride of a row, and everything after a `cat` with such a piece would run in the slower layout.
    """
    rows = wire.permute(axes)
    if rows.dim() == 4 and rows.shape[0] == 1:
        rows = rows.as_strided(rows.shape, (rows.numel(), *rows.stride()[1:]))
    return rows


@dataclass(frozen=True, slots=True)
class Combine:
    """A REDUCE: partial results of the bands in worker order, own one included."""

    operator: str
    parts: tuple[int | None, ...]
    kernel: Callable

    def run(self, values: Values, arrived: dict[int, torch.Tensor]) -> torch.Tensor:
        """The combined result."""
        own = partial_name(self.operator)
        return self.kernel([values[own] if part is None else arrived[part] for part in self.parts])


@dataclass(frozen=True, slots=True)
class StageProgram:
    """One stage of one worker."""

    index: int
    receives: tuple[int, ...]
    assemblies: tuple[Assembly, ...]
    combines: tuple[Combine, ...]
    steps: tuple[Step, ...]
    sends: tuple[Send, ...]
    frees: tuple[str, ...]
    rows: RowRange
    made: tuple[tuple[str, RowSet | None], ...]  # what outlives the kernels: name, and rows unless it is whole

    def run(self, values: Values, arrived: dict[int, torch.Tensor]) -> int:
        """Compute the stage in place; returns the multiply-accumulates that were executed."""
        self.assemble(values, arrived)
        return self.compute(values)

    def assemble(self, values: Values, arrived: dict[int, torch.Tensor]) -> None:
        """Put what has arrived together with what is here."""
        for assembly in self.assemblies:
            values[assembly.tensor] = assembly.run(values, arrived)
        for combine in self.combines:
            values[combine.operator] = combine.run(values, arrived)

    def compute(self, values: Values) -> int:
        """Run the kernels; returns the multiply-accumulates that were executed."""
        macs = 0
        for step in self.steps:
            values[step.output] = step.kernel(*[values[name] for name in step.operands])
            macs += step.macs
            for name in step.frees:
                del values[name]
        return macs


def partial_name(operator: str) -> str:
    """Name under which a worker keeps its partial result of a REDUCE."""
    return f"{operator}#partial"


def is_partial(name: str) -> bool:
    """Whether a value is a partial result, which no tensor of the model equals."""
    return name.endswith("#partial")


class WorkerProgram:
    """What one worker does for a frame under a plan.

    Parameters
    ----------
    model : PartitionedModel
        The model, with its weights.
    schedule : Schedule
        Derived from the model's graph and the plan.
    worker : int
        Index in the plan's workers.
    """

    def __init__(self, model: PartitionedModel, schedule: Schedule, worker: int):
        self.model, self.schedule, self.worker = model, schedule, worker
        self.graph = model.graph
        self.telling_macs = TELLING_SHARE * model.graph.total_macs  # once, for it is a sum over all operators
        self._held: dict[str, RowSet] = {}
        self._last_use = self._last_uses()
        self.stages = tuple(self._stage(i) for i in range(schedule.plan.stages + 1))
        if model.device.type != "cpu":
            self.stages = tuple(DeviceStage(stage, model.device) for stage in self.stages)
        self.report = next(
            (t for t in schedule.of_kind(TransferKind.REPORT) if t.source == worker), None
        )  # None when this worker has nothing to do

    @property
    def name(self) -> str:
        """Of the worker, in the plan."""
        return self.schedule.plan.workers[self.worker]

    def _stage(self, index: int) -> StageProgram:
        work = self.schedule.work[self.worker][index]
        arriving = [self.schedule.transfers[i] for i in work.receives]
        assemblies = self._assemblies([t for t in arriving if t.kind is not TransferKind.REDUCE])
        combines = tuple(self._combine(name, arriving, index) for name in work.combines)
        steps, made_here = self._steps(work.computes, index)
        sends = tuple(self._send(self.schedule.transfers[i]) for i in work.sends)
        here = {a.tensor for a in assemblies} | {c.operator for c in combines} | made_here
        freed = {name for step in steps for name in step.frees}
        past = {name for name, last in self._last_use.items() if last == index}
        frees = tuple(sorted(name for name in (past | {n for n in here if n not in self._last_use}) - freed))
        trunk = index < self.schedule.plan.stages
        rows = self.schedule.owned_rows(self.worker, index) if trunk else RowRange(0, 0)
        kept = [step.output for step in steps if step.output not in freed]
        made = tuple((name, self._held.get(name)) for name in kept if not is_partial(name))
        return StageProgram(index, work.receives, assemblies, combines, steps, sends, frees, rows, made)

    def _assemblies(self, arriving: list[Transfer]) -> tuple[Assembly, ...]:
        by_tensor: dict[str, list[Transfer]] = {}
        for t in arriving:
            by_tensor.setdefault(t.tensor, []).append(t)
        found = []
        for name, transfers in by_tensor.items():
            spec = self.graph.tensor(name)
            own = self._held.get(name, EMPTY)
            pieces = [(r, None) for r in own] + [(t.rows, t.index) for t in transfers]
            pieces.sort(key=lambda p: p[0])
            offsets = tuple((own.offset_of(r.start), len(r)) for r, part in pieces if part is None)
            unwire = tuple(spec.wire_axes.index(a) for a in range(len(spec.shape)))
            found.append(Assembly(name, spec.row_axis, tuple(part for _, part in pieces), offsets, unwire))
            self._held[name] = own | RowSet.union_of(t.rows for t in transfers)
        return tuple(found)

    def _contributors(self, op: Operator) -> dict[int, int]:
        """Rows that each contributing worker has of a REDUCE's operand."""
        stage = max(0, self.schedule.plan.stage_of(self.graph.index[op.operands[0].tensor]))
        height = self.graph.tensor(op.operands[0].tensor).height
        bounds = self.schedule.plan.owned(stage, height)
        counts = {w: bounds[w + 1] - bounds[w] for w in range(len(bounds) - 1)}
        return {w: count for w, count in counts.items() if count}

    def _combine(self, name: str, arriving: list[Transfer], index: int) -> Combine:
        op = self.graph.operator(name)
        counts = self._contributors(op)
        by_source = {t.source: t.index for t in arriving if t.tensor == name}
        parts = tuple(None if w == self.worker else by_source[w] for w in counts)
        return Combine(name, parts, self.model.lowered[name].combine(list(counts.values())))

    def _steps(self, computes: tuple[Work, ...], index: int) -> tuple[tuple[Step, ...], set[str]]:
        made: set[str] = set()
        drafts = []
        for work in computes:
            op = self.graph.operators[work.operator]
            if op.kind is Kind.REDUCE:
                name = partial_name(op.name)
                kernel, operands = self._banded(op, work.rows)
            elif op.placement is Placement.SHARDED:
                name = op.name
                kernel, operands = self._banded(op, work.rows)
                self._held[op.name] = work.rows
            else:
                name, kernel = op.name, _whole(self.model.node(op.name), op)
                operands = tuple(o.tensor for o in op.operands)
            macs = sum(op.macs_of(len(r)) for r in work.rows) if op.output.height else op.macs
            drafts.append((name, kernel, operands, macs))
            made.add(name)
        return self._with_frees(drafts, index), made

    def _with_frees(self, drafts, index: int) -> tuple[Step, ...]:
        steps: list[Step] = []
        seen: set[str] = set()
        for name, kernel, operands, macs in reversed(drafts):
            frees = tuple(
                o for o in dict.fromkeys(operands) if o not in seen and self._last_use.get(o, index) <= index
                and not self._is_sent(o, index)
            )  # fmt: skip
            seen.update(operands)
            steps.append(Step(name, kernel, operands, frees, macs))
        return tuple(reversed(steps))

    def _is_sent(self, name: str, index: int) -> bool:
        sends = self.schedule.work[self.worker][index].sends
        return any(self.schedule.transfers[i].tensor == name for i in sends)

    def _last_uses(self) -> dict[str, int]:
        """Last stage in which this worker reads each tensor, for those that outlive the stage that made them."""
        last: dict[str, int] = {}
        for index, work in enumerate(self.schedule.work[self.worker]):
            for item in work.computes:
                for operand in self.graph.operators[item.operator].operands:
                    last[operand.tensor] = index
            for name in work.combines:
                last[partial_name(name)] = index
        return last

    def _banded(self, op: Operator, rows: RowSet) -> tuple[Callable, tuple[str, ...]]:
        """Kernel of a band, and the operands that it takes: those of which the worker has rows, and the whole ones."""
        held = [self._held.get(o.tensor) if o.access is not None else None for o in op.operands]
        held = [EMPTY if h is None and o.access is not None else h for h, o in zip(held, op.operands, strict=True)]
        kernel = self.model.lowered[op.name].build(rows, held)
        absent = [k for k, (o, h) in enumerate(zip(op.operands, held, strict=True)) if o.access is not None and not h]
        present = tuple(o.tensor for k, o in enumerate(op.operands) if k not in absent)
        specs = [self.graph.tensor(o.tensor) for o in op.operands]
        return _with_empty_operands(kernel, specs, absent, self.model.device), present

    def _send(self, transfer: Transfer) -> Send:
        receiver = self.schedule.name_of(transfer.target)
        if transfer.rows is None:
            spec_axes = tuple(range(len(transfer.wire_shape)))
            name = partial_name(transfer.tensor) if transfer.kind is TransferKind.REDUCE else transfer.tensor
            return Send(transfer, receiver, name, None, spec_axes)
        spec = self.graph.tensor(transfer.tensor)
        pick = take(self._held[transfer.tensor], transfer.rows, spec.row_axis)
        return Send(transfer, receiver, transfer.tensor, pick, spec.wire_axes)


def _whole(node: Node, op: Operator) -> Callable:
    """Kernel of an operator that runs whole."""
    names = [operand.tensor for operand in op.operands]
    if not node.kwargs and all(not isinstance(a, (list, tuple)) or not _has_ref(a) for a in node.args):
        slots = [(i, names.index(a.name)) for i, a in enumerate(node.args) if isinstance(a, Ref)]

        def kernel(*tensors):
            arguments = list(node.args)
            for position, k in slots:
                arguments[position] = tensors[k]
            return node.target(*arguments)

        return kernel

    def kernel(*tensors):
        values = dict(zip(names, tensors, strict=True))
        args = substitute(node.args, lambda ref: values[ref.name])
        return node.target(*args, **substitute(node.kwargs, lambda ref: values[ref.name]))

    return kernel


def _has_ref(value) -> bool:
    return any(isinstance(v, Ref) or (isinstance(v, (list, tuple)) and _has_ref(v)) for v in value)


def _with_empty_operands(
    kernel: Callable, specs: list[TensorSpec], absent: list[int], device: torch.device
) -> Callable:
    """A band may read no rows of an operand (windows in the padding altogether, a far piece of a concatenation).

    It gets an empty tensor for it, and the kernel takes only the other operands.
    """
    if not absent:
        return kernel
    empties = {
        k: torch.zeros(
            [0 if a == specs[k].row_axis else n for a, n in enumerate(specs[k].shape)],
            dtype=getattr(torch, specs[k].dtype),
            device=device,
        )
        for k in absent
    }

    def filled(*tensors):
        given = iter(tensors)
        return kernel(*[empties[k] if k in empties else next(given) for k in range(len(specs))])

    return filled
