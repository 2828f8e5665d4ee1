"""Reductions: over other axes a band does them alone; over the rows, partial results are combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from coedge_ros.graph.ir import Node
from coedge_ros.graph.rules.pointwise import only, rowwise
from coedge_ros.graph.rules.registry import Lowered, Value, argument, rule, take
from coedge_ros.rows.access import Same
from coedge_ros.spec.graph import Kind, Operand
from coedge_ros.spec.tensors import TensorSpec


def reduce_rule(
    node: Node,
    values: dict[str, Value],
    partial: Callable[[torch.Tensor], torch.Tensor],
    combine: Callable[[Sequence[torch.Tensor], Sequence[int]], torch.Tensor],
    shape: tuple[int, ...],
) -> Lowered:
    """Rule from `partial(band) -> tensor of shape` and `combine(partials, rows of each) -> result`."""
    ((name, value),) = values.items()
    dtype = str(node.dtype).removeprefix("torch.")

    def build(rows, held):
        pick = take(held[0], rows, value.spec.row_axis)
        return partial if pick is None else lambda x: partial(pick(x))

    return Lowered(
        Kind.REDUCE,
        None,
        (Operand(name, Same()),),
        build,
        combine=lambda counts: lambda parts: combine(parts, counts),
        partial=TensorSpec(node.name, tuple(shape), dtype, None),
    )


def _dims(node: Node, ndim: int, position: int = 1) -> list[int]:
    dims = argument(node, position, "dim")
    if dims is None or dims == []:
        return list(range(ndim))
    return sorted(d % ndim for d in ([dims] if isinstance(dims, int) else dims))


def _reduced_shape(shape, dims) -> tuple[int, ...]:
    return tuple(1 if i in dims else size for i, size in enumerate(shape))


def _over(node, values, dims, keepdim, partial, combine):
    """Choose between a row-wise reduction and a combined one."""
    value = only(values)
    axis = value.spec.row_axis
    if axis not in dims:
        out_axis = axis if keepdim else axis - sum(d < axis for d in dims)
        return rowwise(node, values, out_axis)

    def finish(parts, counts):
        return combine(torch.stack(parts), counts).reshape(node.shape)

    return reduce_rule(node, values, lambda x: partial(x, dims), finish, _reduced_shape(value.spec.shape, dims))


@rule("aten.mean.dim", "aten.mean.default")
def _mean(node, values):
    value = only(values)
    dims = _dims(node, len(value.spec.shape)) if node.key == "aten.mean.dim" else list(range(len(value.spec.shape)))
    count = 1
    for d in dims:
        count *= value.spec.shape[d]

    return _over(
        node, values, dims, argument(node, 2, "keepdim", False),
        lambda x, d: x.sum(dim=d, keepdim=True), lambda stacked, counts: stacked.sum(0) / count,
    )  # fmt: skip


@rule("aten.sum.dim_IntList", "aten.sum.default")
def _sum(node, values):
    ndim = len(only(values).spec.shape)
    dims = _dims(node, ndim) if node.key == "aten.sum.dim_IntList" else list(range(ndim))
    return _over(
        node, values, dims, argument(node, 2, "keepdim", False),
        lambda x, d: x.sum(dim=d, keepdim=True), lambda stacked, counts: stacked.sum(0),
    )  # fmt: skip


@rule("aten.amax.default", "aten.max.default", "aten.max.dim[0]")
def _amax(node, values):
    ndim = len(only(values).spec.shape)
    return _over(
        node, values, _dims(node, ndim), argument(node, 2, "keepdim", False),
        lambda x, d: x.amax(dim=d, keepdim=True), lambda stacked, counts: stacked.amax(0),
    )  # fmt: skip


@rule("aten.amin.default", "aten.min.default", "aten.min.dim[0]")
def _amin(node, values):
    ndim = len(only(values).spec.shape)
    return _over(
        node, values, _dims(node, ndim), argument(node, 2, "keepdim", False),
        lambda x, d: x.amin(dim=d, keepdim=True), lambda stacked, counts: stacked.amin(0),
    )  # fmt: skip


@rule("aten.linalg_vector_norm.default")
def _vector_norm(node, values):
    order = argument(node, 1, "ord", 2)
    if order != 2 and only(values).spec.row_axis in _dims(node, len(only(values).spec.shape), 2):
        return None
    return _over(
        node, values, _dims(node, len(only(values).spec.shape), 2), argument(node, 3, "keepdim", False),
        lambda x, d: x.square().sum(dim=d, keepdim=True), lambda stacked, counts: stacked.sum(0).sqrt(),
    )  # fmt: skip


@rule("aten.argmax.default", "aten.argmin.default", "aten.max.dim[1]", "aten.min.dim[1]", "aten.any.dim", "aten.all.dim",
      "aten.var.correction", "aten.var.dim", "aten.std.correction", "aten.prod.dim_int", "aten.logsumexp.default")  # fmt: skip
def _row_free_only(node, values):
    """Done by the band when the rows are not reduced; gathered otherwise."""
    value = only(values)
    dims = _dims(node, len(value.spec.shape))
    if value.spec.row_axis in dims:
        return None
    position = 3 if node.key in ("aten.var.dim",) else 2
    keepdim = node.kwargs.get("keepdim", argument(node, position, "keepdim", False))
    axis = value.spec.row_axis
    return rowwise(node, values, axis if keepdim else axis - sum(d < axis for d in dims))


@rule("coedge.norm_stats")
def _norm_stats(node, values):
    """Mean and variance per group: bands give count, mean and squared deviations, combined as Chan et al. (1979) do.

    Sums of squares would lose digits where the mean is large.
    """
    value = only(values)
    groups, eps = node.args[1:3]
    batch = value.spec.shape[0]
    per_row = 1
    for i, size in enumerate(value.spec.shape[1:], start=1):
        per_row *= 1 if i == value.spec.row_axis else size
    per_row //= groups

    def partial(x):
        flat = x.reshape(batch, groups, -1)
        mean = flat.mean(-1)
        return torch.stack((mean, (flat - mean.unsqueeze(-1)).square().sum(-1)))

    def combine(parts, counts):
        stacked = torch.stack(list(parts)).double()
        weights = torch.tensor(counts, dtype=torch.float64).reshape(-1, 1, 1) * per_row
        mean = (stacked[:, 0] * weights).sum(0) / weights.sum()
        squares = (stacked[:, 1] + weights * (stacked[:, 0] - mean).square()).sum(0)
        return torch.stack((mean, torch.rsqrt(squares / weights.sum() + eps))).to(parts[0].dtype)

    return reduce_rule(node, values, partial, combine, (2, batch, groups))
