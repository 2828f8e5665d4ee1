"""From a plan to its schedule: a pure function of the model's graph and the plan.

Manager and workers derive it each for themselves, so sender and receiver cannot disagree. Demands are followed from the
last operator to the first, stage by stage; what a worker needs and does not compute travels.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from coedge_ros.rows.access import reads_of
from coedge_ros.rows.row_set import EMPTY, RowRange, RowSet
from coedge_ros.rows.split import band
from coedge_ros.spec.codec import Codec, coded_bytes
from coedge_ros.spec.graph import Kind, ModelGraph, Operator, Placement
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.schedule import MANAGER, REPORT_HEADER, Schedule, StageWork, Transfer, TransferKind, Work
from coedge_ros.spec.tensors import TensorSpec


def derive_schedule(graph: ModelGraph, plan: PartitionPlan) -> Schedule:
    """Derive transfers and work from a plan.

    Raises
    ------
    ValueError
        When the plan does not fit the graph: other digest or size, a cut behind the trunk, or a missing forced cut.
    """
    return _Derivation(graph, plan).run()


class _Derivation:
    def __init__(self, graph: ModelGraph, plan: PartitionPlan):
        self.graph, self.plan = graph, plan
        self._check()
        self.n, self.stages = len(plan.workers), plan.stages
        self.head = plan.workers.index(plan.head)
        stage_of_trunk, stage = [], 0
        cuts = set(plan.cuts)
        for i in range(graph.trunk_length):
            stage_of_trunk.append(stage)
            stage += i in cuts
        # where an operator runs (a REDUCE: where its partial results are made)
        self.stage_of = {op.name: s for op, s in zip(graph.operators, stage_of_trunk, strict=False)}
        self.stage_of |= {op.name: self.stages for op in graph.operators[graph.trunk_length :]}
        self.stage_of[graph.input.name] = -1
        self.by_stage: list[list[int]] = [[] for _ in range(self.stages + 1)]
        for i, op in enumerate(graph.operators):
            self.by_stage[self.stage_of[op.name]].append(i)
        self.alive = self._alive_after_their_stage()
        self.computed: list[dict[str, RowSet]] = [{} for _ in range(self.n)]  # rows that a worker computes
        self.needed: list[list[dict[str, RowSet]]] = [[{} for _ in range(self.stages + 2)] for _ in range(self.n)]
        self.whole_stage: list[dict[str, int]] = [{} for _ in range(self.n)]  # first stage needing a whole tensor
        self.transfers: list[Transfer] = []  # not numbered yet

    def _check(self) -> None:
        graph, plan = self.graph, self.plan
        if plan.model_digest != graph.digest:
            raise ValueError(f"plan is for weights {plan.model_digest[:12]}, the model has {graph.digest[:12]}")
        if (plan.height, plan.width) != (graph.input.shape[2], graph.input.shape[3]):
            raise ValueError(f"plan is for {plan.height}x{plan.width}, the model was traced at {graph.input.shape[2:]}")
        if plan.cuts and plan.cuts[-1] >= graph.trunk_length - 1:
            raise ValueError(f"cut {plan.cuts[-1]} is behind the trunk of {graph.trunk_length} operators")

    def _alive_after_their_stage(self) -> set[str]:
        outputs = set(self.graph.outputs)
        return {
            name
            for name, users in self.graph.consumers.items()
            if name in outputs or any(self.stage_of[self.graph.operators[u].name] > self.stage_of[name] for u in users)
        }

    def owned(self, worker: int, tensor: TensorSpec) -> RowSet:
        """Rows of a tensor that a worker owns: by the boundaries of the stage that made it."""
        stage = max(0, self.stage_of[tensor.name])  # the input counts as made by stage 0
        return band(self.plan.owned(stage, tensor.height), worker)

    # -- what each worker needs -------------------------------------------------------------------------------------

    def run(self) -> Schedule:
        for worker in range(self.n):
            for stage in reversed(range(self.stages + 1)):
                self._demand(worker, stage)
        self._scatter_and_halo()
        self._partials()
        self._wake()
        self._results()
        transfers = self._numbered()
        return Schedule(self.graph, self.plan, transfers, self._work(transfers))

    def _need_whole(self, worker: int, name: str, stage: int) -> None:
        self.whole_stage[worker][name] = min(stage, self.whole_stage[worker].get(name, stage))

    def _demand(self, worker: int, stage: int) -> None:
        """Rows that a worker computes in a stage, and what it needs from earlier ones, from last operator to first."""
        computed, needed = self.computed[worker], self.needed[worker][stage]
        is_head_here = stage == self.stages and worker == self.head
        if stage == self.stages and not is_head_here:
            return
        if is_head_here:
            for name in self.graph.outputs:
                op = self.graph.operator(name)
                if op.placement is not Placement.SHARDED:
                    self._need_whole(worker, name, stage)
        rows_in_stage: dict[str, RowSet] = defaultdict(RowSet)
        for i in reversed(self.by_stage[stage]):
            op = self.graph.operators[i]
            if op.kind is Kind.REDUCE:  # the partial result of the rows that the worker owns
                source = self.graph.tensor(op.operands[0].tensor)
                self._add_rows(worker, stage, rows_in_stage, needed, source.name, self.owned(worker, source))
                continue
            if op.output.row_axis is None or op.placement is not Placement.SHARDED:
                if op.name in self.whole_stage[worker]:
                    self._demand_whole(worker, stage, op, rows_in_stage, needed)
                continue
            rows = rows_in_stage[op.name]
            if op.name in self.alive:
                rows = rows | self.owned(worker, op.output)
            if not rows:
                continue
            computed[op.name] = rows
            for operand in op.operands:
                if operand.access is None:
                    self._need_whole(worker, operand.tensor, stage)
                else:
                    wanted = reads_of(operand.access, rows)
                    self._add_rows(worker, stage, rows_in_stage, needed, operand.tensor, wanted)

    def _demand_whole(self, worker, stage, op: Operator, rows_in_stage, needed) -> None:
        for operand in op.operands:
            source = self.graph.tensor(operand.tensor)
            if self._is_sharded(source):
                full = RowSet.full(source.height)
                self._add_rows(worker, stage, rows_in_stage, needed, source.name, full)
            else:
                self._need_whole(worker, operand.tensor, stage)

    def _is_sharded(self, tensor: TensorSpec) -> bool:
        index = self.graph.index[tensor.name]
        return index < 0 or self.graph.operators[index].placement is Placement.SHARDED

    def _add_rows(self, worker, stage, rows_in_stage, needed, name: str, rows: RowSet) -> None:
        if not rows:
            return
        if self.stage_of[name] == stage:
            rows_in_stage[name] = rows_in_stage[name] | rows
        else:
            needed[name] = needed.get(name, EMPTY) | rows

    # -- what travels -------------------------------------------------------------------------------------------------

    def _add(self, kind, tensor: TensorSpec, source, target, rows, sent_after, needed_in) -> None:
        shape = tensor.wire_shape(len(rows) if rows is not None else 0)
        # Partial results stay as they are: they are small, and what is made of them depends on their last digits.
        is_coded = kind in (TransferKind.HALO, TransferKind.GATHER) and tensor.dtype == "float32"
        codec = self.plan.codec(source, target) if is_coded else Codec.RAW
        self.transfers.append(
            Transfer(
                -1, kind, tensor.name, source, target, rows, sent_after, needed_in,
                shape, tensor.dtype, coded_bytes(codec, shape, tensor.dtype), codec,
            )
        )  # fmt: skip

    def _scatter_and_halo(self) -> None:
        """Exactly the missing rows, each once per receiver, sent when they are made."""
        for worker in range(self.n):
            held = dict(self.computed[worker])
            for stage in range(self.stages + 1):
                for name, wanted in self.needed[worker][stage].items():
                    tensor = self.graph.tensor(name)
                    missing = wanted - held.get(name, EMPTY)
                    held[name] = held.get(name, EMPTY) | missing
                    made = self.stage_of[name]
                    if made < 0:
                        for piece in missing:
                            self._add(TransferKind.SCATTER, tensor, MANAGER, worker, piece, made, stage)
                        continue
                    kind = TransferKind.GATHER if stage == self.stages else TransferKind.HALO
                    for source in range(self.n):
                        for piece in missing & self.owned(source, tensor):
                            self._add(kind, tensor, source, worker, piece, made, stage)

    def _wake(self) -> None:
        """A worker begins a frame with its first fragment: one that would get none at first gets a row of the frame.

        Its band lies in what padding alone makes, such as rows that no kernel of a transposed convolution reaches.
        """
        for worker in range(self.n):
            first = next((s for s in range(self.stages) if self._works(worker, s)), None)
            mine = [t for t in self.transfers if t.target == worker]
            if first is None or any(t.needed_in <= first for t in mine):
                continue
            if later := next((t for t in mine if t.kind is TransferKind.SCATTER), None):
                self.transfers[self.transfers.index(later)] = replace(later, needed_in=first)
            else:
                self._add(TransferKind.SCATTER, self.graph.input, MANAGER, worker, RowRange(0, 1), -1, first)

    def _works(self, worker: int, stage: int) -> bool:
        names = {self.graph.operators[i].name for i in self.by_stage[stage]}
        return not names.isdisjoint(self.computed[worker]) or any(
            self.graph.operator(name).kind is Kind.REDUCE and worker in self.contributors(self.graph.operator(name))
            for name in names
        )

    def contributors(self, op: Operator) -> list[int]:
        """Workers that contribute a partial result of a REDUCE, in the order in which they are combined."""
        source = self.graph.tensor(op.operands[0].tensor)
        return [w for w in range(self.n) if self.owned(w, source)]

    def _partials(self) -> None:
        for op in self.graph.operators[: self.graph.trunk_length]:
            if op.kind is not Kind.REDUCE:
                continue
            for worker in range(self.n):
                stage = self.whole_stage[worker].get(op.name)
                if stage is None:
                    continue
                if stage <= self.stage_of[op.name]:
                    raise ValueError(f"plan lacks the forced cut between {op.name} and what reads it")
                for source in self.contributors(op):
                    if source != worker:
                        self._add(TransferKind.REDUCE, op.partial, source, worker, None, self.stage_of[op.name], stage)

    def _results(self) -> None:
        end = self.stages + 1
        for name in dict.fromkeys(self.graph.outputs):
            op = self.graph.operator(name)
            if op.placement is Placement.SHARDED:
                for worker in range(self.n):
                    for piece in self.owned(worker, op.output):
                        self._add(TransferKind.RESULT, op.output, worker, MANAGER, piece, self.stage_of[name], end)
            else:
                flat = TensorSpec(name, op.output.shape, op.output.dtype, None)
                self._add(TransferKind.RESULT, flat, self.head, MANAGER, None, self.stages, end)

    def _numbered(self) -> tuple[Transfer, ...]:
        # needed first goes first on the wire: the receiver waits for it first
        ordered = sorted(
            self.transfers,
            key=lambda t: (t.sent_after, t.needed_in, t.target, t.tensor, t.rows or RowRange(0, 0), t.source),
        )
        transfers = [replace(t, index=i) for i, t in enumerate(ordered)]
        working = {t.source for t in transfers} | {t.target for t in transfers}
        for worker in sorted(working - {MANAGER}):
            spec = TensorSpec("report", (REPORT_HEADER + 2 * self.stages,), "float64", None)
            transfers.append(
                Transfer(
                    len(transfers), TransferKind.REPORT, spec.name, worker, MANAGER, None, self.stages,
                    self.stages + 1, spec.shape, spec.dtype, spec.total_bytes,
                )
            )  # fmt: skip
        return tuple(transfers)

    # -- what each worker does ----------------------------------------------------------------------------------------

    def _work(self, transfers: tuple[Transfer, ...]) -> tuple[tuple[StageWork, ...], ...]:
        receives = [[[] for _ in range(self.stages + 1)] for _ in range(self.n)]
        sends = [[[] for _ in range(self.stages + 1)] for _ in range(self.n)]
        for t in transfers:
            if t.target != MANAGER:
                receives[t.target][t.needed_in].append(t.index)
            if t.source != MANAGER and t.kind is not TransferKind.REPORT:
                sends[t.source][t.sent_after].append(t.index)
        return tuple(
            tuple(
                StageWork(
                    receives=tuple(receives[w][s]),
                    combines=tuple(
                        name
                        for name, stage in self.whole_stage[w].items()
                        if stage == s and self.graph.operator(name).kind is Kind.REDUCE
                    ),
                    computes=tuple(self._computes(w, s)),
                    sends=tuple(sends[w][s]),
                )
                for s in range(self.stages + 1)
            )
            for w in range(self.n)
        )

    def _computes(self, worker: int, stage: int) -> list[Work]:
        found = []
        for i in self.by_stage[stage]:
            op = self.graph.operators[i]
            if op.kind is Kind.REDUCE:
                if worker in self.contributors(op):
                    found.append(Work(i, self.owned(worker, self.graph.tensor(op.operands[0].tensor))))
            elif op.name in self.computed[worker]:
                found.append(Work(i, self.computed[worker][op.name]))
            elif op.name in self.whole_stage[worker]:
                found.append(Work(i, EMPTY))
        return found
