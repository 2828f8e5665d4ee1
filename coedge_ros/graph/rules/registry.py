"""What a row rule is, and the table of them by ATen operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from coedge_ros.graph.ir import Node
from coedge_ros.graph.rewrite import argument as argument
from coedge_ros.rows.row_set import RowRange, RowSet
from coedge_ros.spec.graph import Kind, Operand, Placement
from coedge_ros.spec.tensors import TensorSpec

Kernel = Callable[..., torch.Tensor]  # takes the operands' tensors in order
Build = Callable[[RowSet, Sequence[RowSet | None]], Kernel]  # rows to compute, rows held of each operand


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor that a node reads, as far as lowering has come."""

    spec: TensorSpec
    placement: Placement


@dataclass(frozen=True)
class Lowered:
    """A node together with its row rule.

    Attributes
    ----------
    row_axis : int or None
        Axis of the result that holds the rows; None for a REDUCE.
    operands : tuple of Operand
        In the order of `node.refs()`, which is the order of the kernel's arguments too.
    build : callable
        `build(rows, held) -> kernel`: made once per plan, so that a frame pays for nothing but the kernel. `rows` is
        what to compute, `held[i]` the rows that operand i's tensor will hold (None for a whole tensor). For a REDUCE
        the kernel computes the partial result of `rows`, which are rows of the operand.
    combine : callable or None
        For a REDUCE: `combine(counts) -> kernel` of the list of partial results, `counts` being their rows.
    partial : TensorSpec or None
        For a REDUCE: what one partial result looks like.
    """

    kind: Kind
    row_axis: int | None
    operands: tuple[Operand, ...]
    build: Build
    combine: Callable[[Sequence[int]], Callable] | None = None
    partial: TensorSpec | None = None


Rule = Callable[[Node, dict[str, Value]], "Lowered | None"]
RULES: dict[str, Rule] = {}


def rule(*keys: str) -> Callable[[Rule], Rule]:
    """Register a rule for ATen operators; a rule answers None for calls that it does not cover."""

    def register(function: Rule) -> Rule:
        for key in keys:
            assert key not in RULES, key
            RULES[key] = function
        return function

    return register


def per_range(rows: RowSet, axis: int, make: Callable[[RowRange], Kernel]) -> Kernel:
    """Kernel for a set of rows from kernels for its ranges."""
    kernels = [make(r) for r in rows]
    if len(kernels) == 1:
        return kernels[0]
    return lambda *tensors: torch.cat([kernel(*tensors) for kernel in kernels], dim=axis)


def take(held: RowSet, wanted: RowSet | RowRange, axis: int) -> Kernel | None:
    """Kernel that picks rows of a band; None when the band holds just these rows."""
    if isinstance(wanted, RowRange):
        wanted = RowSet.of((wanted.start, wanted.stop))
    if wanted == held:
        return None
    if not wanted:
        return lambda x: x.narrow(axis, 0, 0)
    pieces = [(held.offset_of(r.start), len(r)) for r in wanted]
    for r in wanted:
        assert held.covers(RowSet((r,))), f"rows {r} are not held: {held}"
    if len(pieces) == 1:
        offset, length = pieces[0]
        return lambda x: x.narrow(axis, offset, length)
    return lambda x: torch.cat([x.narrow(axis, offset, length) for offset, length in pieces], dim=axis)


def take_index(held: RowSet, index: Sequence[int], axis: int) -> Kernel | None:
    """Kernel that picks rows in any order and with repetition; None when that is the band as it is."""
    where = [held.offset_of(i) for i in index]
    if where == list(range(len(held))):
        return None
    steps = {b - a for a, b in pairwise(where)}
    if len(steps) <= 1 and (step := steps.pop() if steps else 1) >= 1:
        start, stop = where[0], where[-1] + 1
        if step == 1:
            return lambda x: x.narrow(axis, start, stop - start)
        return lambda x: torch.ops.aten.slice.Tensor(x, axis, start, stop, step)
    positions = torch.tensor(where)
    return lambda x: x.index_select(axis, positions.to(x.device))


def pick_or(x: torch.Tensor, pick: Kernel | None) -> torch.Tensor:
    """`x` itself when there is nothing to pick."""
    return x if pick is None else pick(x)


def chain(first: Kernel | None, second: Kernel) -> Kernel:
    """`second(first(x))`, without the detour when there is no first."""
    return second if first is None else lambda x: second(first(x))
