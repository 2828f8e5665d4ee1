"""A model as the planner and the schedule see it: operators, placements and row accesses, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from coedge_ros.rows.access import RowAccess
from coedge_ros.spec.tensors import TensorSpec


class Placement(str, Enum):
    """Where an operator's result lives."""

    SHARDED = "sharded"  # rows, on the workers that own or need them
    REPLICATED = "replicated"  # whole, on every worker that uses it
    HEAD = "head"  # whole, on the head worker only


class Kind(str, Enum):
    """How an operator's rows depend on its input's rows."""

    POINTWISE = "pointwise"
    WINDOW = "window"
    RESAMPLE = "resample"
    REDUCE = "reduce"  # partial results of the bands, combined
    GATHER = "gather"  # needs the whole map on the head worker
    WHOLE = "whole"  # input without rows


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that an operator reads; `access` is None where it reads the whole tensor."""

    tensor: str
    access: RowAccess | None


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of the model.

    Attributes
    ----------
    output : TensorSpec
        What it makes; operators and tensors share their names.
    kind, placement : Kind, Placement
        Row rule and where the result lives.
    operands : tuple of Operand
        Tensors of other operators (not weights) that it reads.
    target : str
        ATen name, for people.
    module_path : str
        Module of the user's model that it came from, such as `features.3.conv`.
    macs : int
        Multiply-accumulates of the whole operator.
    partial : TensorSpec or None
        For REDUCE: the partial result that one band contributes.
    """

    output: TensorSpec
    kind: Kind
    placement: Placement
    operands: tuple[Operand, ...]
    target: str
    module_path: str
    macs: int
    partial: TensorSpec | None = None
    weight_bytes: int = 0

    @property
    def name(self) -> str:
        """Of the operator and of its result."""
        return self.output.name

    @property
    def is_trunk(self) -> bool:
        """Whether bands compute it; partial results of a REDUCE are trunk work wherever they are combined."""
        return self.placement is not Placement.HEAD or self.kind is Kind.REDUCE

    def macs_of(self, rows: int) -> int:
        """Multiply-accumulates for `rows` output rows."""
        return self.macs * rows // self.output.height if self.output.height else self.macs


@dataclass(frozen=True)
class ModelGraph:
    """All operators of a model at one input size, trunk first, each after what it reads.

    Attributes
    ----------
    input : TensorSpec
        The uint8 frame, `(1, 3, H, W)`.
    operators : tuple of Operator
        Trunk operators, then head operators.
    outputs : tuple of str
        Tensors that the model returns, in order; `output_names` are their names for people.
    digest : str
        sha256 of the weights.
    """

    input: TensorSpec
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    digest: str
    notices: tuple[str, ...] = field(default=())

    @cached_property
    def index(self) -> dict[str, int]:
        """Operator index by name; the input has index -1."""
        return {
            self.input.name: -1,
            **{op.name: i for i, op in enumerate(self.operators)},
        }

    @cached_property
    def trunk_length(self) -> int:
        """Number of trunk operators, which come first."""
        return sum(op.is_trunk for op in self.operators)

    @cached_property
    def consumers(self) -> dict[str, tuple[int, ...]]:
        """Indices of the operators that read a tensor."""
        found: dict[str, list[int]] = {name: [] for name in self.index}
        for i, op in enumerate(self.operators):
            for operand in op.operands:
                if i not in found[operand.tensor]:
                    found[operand.tensor].append(i)
        return {name: tuple(users) for name, users in found.items()}

    def tensor(self, name: str) -> TensorSpec:
        """Spec of a tensor by name."""
        i = self.index[name]
        return self.input if i < 0 else self.operators[i].output

    def operator(self, name: str) -> Operator:
        """Operator by name."""
        return self.operators[self.index[name]]

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of the whole model."""
        return sum(op.macs for op in self.operators)

    @property
    def trunk_macs(self) -> int:
        """Multiply-accumulates that bands share."""
        return sum(op.macs for op in self.operators[: self.trunk_length] if op.output.height)
