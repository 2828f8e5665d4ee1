"""What every participant computes, sends and receives; `derivation` makes it from the model's graph and the plan.

A fragment that does not fit the schedule is known to be wrong before anything is allocated.

Stages are numbered 0 .. S-1 for the trunk and S for the head; -1 stands for the manager's side of the input, S+1 for
its side of the outputs. Participants are worker indices, and `MANAGER`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from coedge_ros.rows.row_set import RowRange, RowSet
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.graph import ModelGraph, Operator
from coedge_ros.spec.plan import PartitionPlan

MANAGER = -1
MANAGER_NAME = "manager"
# macs, compute_s, wait_s, transmit_s, bytes_in, bytes_out, scatter_s, gather_s, head_s; then start and stop of the rows
# of each stage
REPORT_HEADER = 9
# Of a frame's multiply-accumulates: what a worker with less takes tells of its calls and waits, not of its speed.
TELLING_SHARE = 0.03


class TransferKind(str, Enum):
    """Why something travels."""

    SCATTER = "scatter"  # rows of the frame, manager to worker
    HALO = "halo"  # rows that a worker lacks, worker to worker
    REDUCE = "reduce"  # a partial result
    GATHER = "gather"  # rows for the head
    RESULT = "result"  # an output, to the manager
    REPORT = "report"  # what a worker did for the frame, to the manager


@dataclass(frozen=True, slots=True)
class Transfer:
    """Something that one participant sends to another, once per frame.

    `rows` is None for a tensor without rows. `wire_shape` has the rows first, `dtype` is the type before coding;
    `wire_bytes` is what it takes coded.
    """

    index: int
    kind: TransferKind
    tensor: str
    source: int
    target: int
    rows: RowRange | None
    sent_after: int
    needed_in: int
    wire_shape: tuple[int, ...]
    dtype: str
    wire_bytes: int
    codec: Codec = Codec.RAW


@dataclass(frozen=True, slots=True)
class Work:
    """An operator and the rows of it that a worker computes; `rows` is empty for a tensor without rows."""

    operator: int
    rows: RowSet


@dataclass(frozen=True, slots=True)
class StageWork:
    """One stage of one worker: what must have arrived, what to compute, what to send."""

    receives: tuple[int, ...]
    combines: tuple[str, ...]
    computes: tuple[Work, ...]
    sends: tuple[int, ...]

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.computes or self.sends or self.combines)


@dataclass(frozen=True)
class Schedule:
    """All transfers of a frame, in a fixed order, and the work per worker and stage (`work[worker][stage]`)."""

    graph: ModelGraph
    plan: PartitionPlan
    transfers: tuple[Transfer, ...]
    work: tuple[tuple[StageWork, ...], ...]

    def name_of(self, participant: int) -> str:
        """Name of a worker, or `manager`."""
        return MANAGER_NAME if participant == MANAGER else self.plan.workers[participant]

    def of_kind(self, *kinds: TransferKind) -> list[Transfer]:
        """Transfers of the kinds."""
        return [t for t in self.transfers if t.kind in kinds]

    def owned_rows(self, worker: int, stage: int) -> RowRange:
        """Rows of the stage's reference height that a worker owns; `[0, 0)` when none."""
        bounds = self.plan.boundaries[stage]
        return RowRange(bounds[worker], bounds[worker + 1])

    def macs(self, worker: int, stage: int) -> int:
        """Multiply-accumulates that a worker executes in a stage, overlap included."""
        return sum(self._macs(self.graph.operators[w.operator], w.rows) for w in self.work[worker][stage].computes)

    @staticmethod
    def _macs(op: Operator, rows: RowSet) -> int:
        return sum(op.macs_of(len(r)) for r in rows) if op.output.height else op.macs

    @property
    def participants(self) -> tuple[int, ...]:
        """Workers that have anything to do."""
        return tuple(i for i, stages in enumerate(self.work) if not all(s.is_idle for s in stages))
