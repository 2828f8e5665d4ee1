"""Reductions: over other axes a band does them alone; over the rows, partial results are combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch

from coedge_ros.graph.ir import Node
from coedge_ros.graph.rules.pointwise import only, rowwise
from coedge_ros.graph.rules.registry import Lowered, Value, argument, rule, take
from coedge_ros.rows.access import Same
from coedge_ros.spec.graph import Kind, Operand
from coedge_ros.spec.tensors import TensorSpec

Partial = Callable[[torch.Tensor], torch.Tensor]
Combine = Callable[[Sequence[torch.Tensor], Sequence[int]], torch.Tensor]


def reduce_rule(
    node: Node, values: dict[str, Value], partial: Partial, combine: Combine, shape: tuple[int, ...]
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
    """Axes that a call reduces; all when it names none."""
    dims = argument(node, position, "dim")
    if dims is None or dims == []:
        return list(range(ndim))
    return sorted(d % ndim for d in ([dims] if isinstance(dims, int) else dims))


def _reduced_shape(shape, dims) -> tuple[int, ...]:
    return tuple(1 if i in dims else size for i, size in enumerate(shape))


def _over(node, values, dims, keepdim, partial, combine) -> Lowered | None:
    """Choose between a row-wise reduction and a combined one.

    `partial(x, dims)` keeps the axes; `combine(partials stacked on a new first axis) -> result with axes kept`.
    """
    value = only(values)
    axis = value.spec.row_axis
    if axis not in dims:
        return rowwise(node, values, axis if keepdim else axis - sum(d < axis for d in dims))

    def finish(parts, counts):
        return combine(torch.stack(list(parts))).reshape(node.shape)

    return reduce_rule(node, values, lambda x: partial(x, dims), finish, _reduced_shape(value.spec.shape, dims))


def _dims_of_overload(node: Node, values: dict[str, Value], position: int = 1) -> list[int]:
    """Axes of an operator whose `default` overload takes none."""
    ndim = len(only(values).spec.shape)
    return list(range(ndim)) if node.key.endswith(".default") else _dims(node, ndim, position)


@rule("aten.mean.dim", "aten.mean.default")
def _mean(node, values):
    dims = _dims_of_overload(node, values)
    count = prod(only(values).spec.shape[d] for d in dims)
    return _over(
        node, values, dims, argument(node, 2, "keepdim", False),
        lambda x, d: x.sum(dim=d, keepdim=True), lambda parts: parts.sum(0) / count,
    )  # fmt: skip


@rule("aten.sum.dim_IntList", "aten.sum.default")
def _sum(node, values):
    dims = _dims_of_overload(node, values)
    return _over(
        node, values, dims, argument(node, 2, "keepdim", False),
        lambda x, d: x.sum(dim=d, keepdim=True), lambda parts: parts.sum(0),
    )  # fmt: skip


@rule("aten.amax.default", "aten.max.default", "aten.max.dim[0]")
def _largest(node, values):
    dims = _dims(node, len(only(values).spec.shape))
    return _over(
        node, values, dims, argument(node, 2, "keepdim", False),
        lambda x, d: x.amax(dim=d, keepdim=True), lambda parts: parts.amax(0),
    )  # fmt: skip


@rule("aten.amin.default", "aten.min.default", "aten.min.dim[0]")
def _smallest(node, values):
    dims = _dims(node, len(only(values).spec.shape))
    return _over(
        node, values, dims, argument(node, 2, "keepdim", False),
        lambda x, d: x.amin(dim=d, keepdim=True), lambda parts: parts.amin(0),
    )  # fmt: skip


@rule("aten.logsumexp.default")
def _logsumexp(node, values):
    return _over(
        node, values, _dims(node, len(only(values).spec.shape)), argument(node, 2, "keepdim", False),
        lambda x, d: x.logsumexp(d, keepdim=True), lambda parts: parts.logsumexp(0),
    )  # fmt: skip


@rule("aten.linalg_vector_norm.default")
def _vector_norm(node, values):
    order = argument(node, 1, "ord", 2)
    dims = _dims(node, len(only(values).spec.shape), 2)
    if only(values).spec.row_axis in dims and order not in (1, 2, float("inf")):
        return None
    return _over(
        node, values, dims, argument(node, 3, "keepdim", False),
        lambda x, d: torch.linalg.vector_norm(x, order, d, True),  # of norms again the norm
        lambda parts: torch.linalg.vector_norm(parts, order, 0),
    )  # fmt: skip


@rule("aten.var.correction", "aten.std.correction", "aten.var.dim", "aten.std.dim", "aten.var.default",
      "aten.std.default")  # fmt: skip
def _variance(node, values):
    value = only(values)
    shape, axis = value.spec.shape, value.spec.row_axis
    dims = _dims_of_overload(node, values)
    takes_unbiased = not node.key.endswith(".correction")
    unbiased = argument(node, 1 if node.key.endswith(".default") else 2, "unbiased", True)
    correction = int(unbiased) if takes_unbiased else node.kwargs.get("correction")
    correction = 1 if correction is None else correction
    keepdim = node.kwargs.get("keepdim", argument(node, 3, "keepdim", False) if takes_unbiased else False)
    if axis not in dims:
        return rowwise(node, values, axis if keepdim else axis - sum(d < axis for d in dims))
    per_row = prod(shape[d] for d in dims if d != axis)

    def combine(parts, counts):
        _, squares, total = combined_moments(parts, [n * per_row for n in counts])
        variance = squares / max(0, total - correction) if total > correction else squares * float("nan")
        return (variance.sqrt() if "std" in node.key else variance).to(node.dtype).reshape(node.shape)

    return reduce_rule(node, values, lambda x: moments(x, dims), combine, (2, *_reduced_shape(shape, dims)))


@rule("aten.argmax.default", "aten.argmin.default", "aten.max.dim[1]", "aten.min.dim[1]", "aten.any.dim",
      "aten.all.dim", "aten.prod.dim_int")  # fmt: skip
def _row_free_only(node, values):
    """Done by the band when the rows are not reduced; gathered otherwise."""
    value = only(values)
    dims = _dims(node, len(value.spec.shape))
    axis = value.spec.row_axis
    if axis in dims:
        return None
    keepdim = node.kwargs.get("keepdim", argument(node, 2, "keepdim", False))
    return rowwise(node, values, axis if keepdim else axis - sum(d < axis for d in dims))


def moments(x: torch.Tensor, dims: Sequence[int]) -> torch.Tensor:
    """`(2, ...)`: mean, and sum of squared deviations from it, over axes that are kept.

    Sums of squares would lose digits where the mean is large.
    """
    mean = x.mean(dims, keepdim=True)
    return torch.stack((mean, (x - mean).square().sum(dims, keepdim=True)))


def combined_moments(parts: Sequence[torch.Tensor], counts: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Mean and squared deviations of all parts together, in float64, and their count: Chan, Golub, LeVeque 1979."""
    stacked = torch.stack(list(parts)).double()
    means, squares = stacked[:, 0], stacked[:, 1]
    weights = torch.tensor(counts, dtype=torch.float64, device=stacked.device).reshape(-1, *[1] * (means.ndim - 1))
    total = sum(counts)
    mean = (means * weights).sum(0) / total
    return mean, (squares + weights * (means - mean).square()).sum(0), total


@rule("coedge.norm_stats")
def _norm_stats(node, values):
    """Mean and 1 / standard deviation per group of channels, of group and instance norm."""
    value = only(values)
    groups, eps = node.args[1:3]
    batch = value.spec.shape[0]
    if value.spec.row_axis < 2:
        return None
    per_row = prod(value.spec.shape[1:]) // value.spec.height // groups

    def partial(x):
        return moments(x.reshape(batch, groups, -1), [2]).squeeze(-1)

    def combine(parts, counts):
        mean, squares, total = combined_moments(parts, [n * per_row for n in counts])
        return torch.stack((mean, torch.rsqrt(squares / total + eps))).to(node.dtype)

    return reduce_rule(node, values, partial, combine, (2, batch, groups))
