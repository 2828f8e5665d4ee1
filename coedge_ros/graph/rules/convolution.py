"""Convolution and transposed convolution of a band, of one, two or three axes, with the rows on any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from coedge_ros.graph.fuse import ATTRIBUTES
from coedge_ros.graph.rules.pointwise import only, rowwise
from coedge_ros.graph.rules.registry import Kernel, Lowered, Value, argument, chain, per_range, rule, take
from coedge_ros.rows.access import Same, Transposed, Window
from coedge_ros.rows.row_set import RowRange, RowSet
from coedge_ros.spec.graph import Kind, Operand


def sizes(value, axes: int) -> tuple[int, ...]:
    """An ATen size argument as one number per axis."""
    if isinstance(value, int):
        return (value,) * axes
    return (value[0],) * axes if len(value) == 1 else tuple(value)


@dataclass(frozen=True, slots=True)
class SpatialAxes:
    """Where the rows are among the axes that a window moves over, which are the last ones.

    Attributes
    ----------
    axis : int
        Axis of the tensor that holds the rows.
    row : int
        The same among the window's axes, from 0.
    ndim : int
        Axes of the tensor.
    """

    axis: int
    row: int
    ndim: int

    @classmethod
    def of(cls, value: Value, axes: int) -> SpatialAxes | None:
        """None where the rows are not on an axis that a window of `axes` axes moves over."""
        ndim, axis = len(value.spec.shape), value.spec.row_axis
        return cls(axis, axis - (ndim - axes), ndim) if axis >= ndim - axes else None

    def pads(self, above: int, below: int) -> list[int]:
        """Argument of `F.pad` that adds rows; it starts from the last axis."""
        return [0, 0] * (self.ndim - 1 - self.axis) + [above, below]

    def without_rows(self, padding: Sequence[int]) -> tuple[int, ...]:
        """A layer's padding with none on the rows: a band gets that explicitly, at the border of the image only."""
        return tuple(0 if i == self.row else p for i, p in enumerate(padding))


def band_with_padding(access: Window, r: RowRange, held: RowSet, axis: int) -> tuple[Kernel | None, int, int]:
    """How to get the rows that output rows `r` of a window operator read: row picker or None, padding above, below."""
    start, stop = access.unclipped(r)
    inside = access.reads(r)
    pick = take(held, inside, axis)
    if not inside:  # windows that lie in the padding altogether
        return pick, stop - start, 0
    return pick, max(0, -start), max(0, stop - access.height)


def padded_band(access: Window, r: RowRange, held: RowSet, where: SpatialAxes, fill: float, extra=()) -> Kernel | None:
    """Kernel that makes of a band what a window without padding on the rows needs; None when that is the band itself.

    `extra` is padding of other axes, as `F.pad` takes it.
    """
    pick, above, below = band_with_padding(access, r, held, where.axis)
    pads = where.pads(above, below)
    for i, p in enumerate(extra):
        pads += [0] * (i + 1 - len(pads))
        pads[i] += p
    if not any(pads):
        return pick
    if pick is None:
        return lambda x: F.pad(x, pads, value=fill)
    return lambda x: F.pad(pick(x), pads, value=fill)


_CONVOLUTIONS = {f"aten.conv{n}d.{overload}": n for n in (1, 2, 3) for overload in ("default", "padding")}
_FUSED = {f"coedge.conv2d_{attribute}": 2 for attribute in ATTRIBUTES}  # with their activation: see `fuse`


@rule(*_CONVOLUTIONS, *_FUSED)
def _convolution(node, values):
    axes = _CONVOLUTIONS.get(node.key, 2)
    weight, bias = node.args[1], argument(node, 2, "bias")
    if len(values) != 1 or not isinstance(weight, torch.Tensor):
        return None
    value = only(values)
    where = SpatialAxes.of(value, axes)
    if where is None:  # rows as a batch of independent maps
        return rowwise(node, values, 0) if value.spec.row_axis == 0 and node.ndim == axes + 2 else None
    stride = sizes(argument(node, 3, "stride", 1), axes)
    padding = argument(node, 4, "padding", 0)
    dilation = sizes(argument(node, 5, "dilation", 1), axes)
    groups = argument(node, 6, "groups", 1)
    kernel = tuple(weight.shape[2:])
    extra: list[int] = []  # what `same` adds at the end of an axis: torch puts the odd one there
    if isinstance(padding, str):
        totals = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
        padding = tuple(total // 2 for total in totals)
        odd = [total % 2 if i != where.row else 0 for i, total in enumerate(totals)]
        extra = [p for one in reversed(odd) for p in (0, one)]
    padding = sizes(padding, axes)
    ((name, _),) = values.items()
    k = where.row
    access = Window(kernel[k], stride[k], padding[k], dilation[k], value.spec.height)
    if weight.ndim == 4:
        weight = weight.contiguous(memory_format=torch.channels_last)
    columns = where.without_rows(padding)
    convolve = node.target if node.key in _FUSED else (F.conv1d, F.conv2d, F.conv3d)[axes - 1]

    def build(rows, held):
        def make(r: RowRange):
            pick, above, below = band_with_padding(access, r, held[0], where.axis)
            given = len(access.reads(r))
            made = (given + 2 * above - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1
            if given and above >= below and made == len(r) and not any(extra):
                # the kernel's own padding, the same above and below, does it without a copy of the band
                both = tuple(above if i == k else p for i, p in enumerate(padding))
                return chain(pick, lambda x: convolve(x, weight, bias, stride, both, dilation, groups))
            band = padded_band(access, r, held[0], where, 0.0, extra)
            if band is None:
                return lambda x: convolve(x, weight, bias, stride, columns, dilation, groups)
            return lambda x: convolve(band(x), weight, bias, stride, columns, dilation, groups)

        return per_range(rows, where.axis, make)

    if access == Window(1, 1, 0, access.dilation, access.height):
        return Lowered(Kind.POINTWISE, where.axis, (Operand(name, Same()),), build)
    return Lowered(Kind.WINDOW, where.axis, (Operand(name, access),), build)


_TRANSPOSED = {"aten.conv_transpose1d.default": 1, "aten.conv_transpose2d.input": 2, "aten.conv_transpose3d.input": 3}


@rule(*_TRANSPOSED)
def _transposed_convolution(node, values):
    axes = _TRANSPOSED[node.key]
    weight, bias = node.args[1], argument(node, 2, "bias")
    if len(values) != 1 or not isinstance(weight, torch.Tensor):
        return None
    value = only(values)
    where = SpatialAxes.of(value, axes)
    if where is None:
        return rowwise(node, values, 0) if value.spec.row_axis == 0 and node.ndim == axes + 2 else None
    stride, padding = sizes(argument(node, 3, "stride", 1), axes), sizes(argument(node, 4, "padding", 0), axes)
    extra = where.without_rows(sizes(argument(node, 5, "output_padding", 0), axes))
    groups, dilation = argument(node, 6, "groups", 1), sizes(argument(node, 7, "dilation", 1), axes)
    ((name, _),) = values.items()
    k, axis = where.row, where.axis
    access = Transposed(weight.shape[2 + k], stride[k], padding[k], dilation[k], value.spec.height)
    reach = dilation[k] * (weight.shape[2 + k] - 1)
    columns = where.without_rows(padding)
    convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]

    def bias_rows(x: torch.Tensor, count: int) -> torch.Tensor:
        """Rows that no kernel reaches hold the bias alone."""
        shape = (*node.shape[:axis], count, *node.shape[axis + 1 :])
        channels = (-1, *[1] * axes)
        return x.new_zeros(shape) if bias is None else bias.reshape(channels).expand(shape)

    def build(rows, held):
        def make(r: RowRange):
            reads = access.reads(r)
            pick = take(held[0], reads, axis)
            if not reads:
                return lambda x: bias_rows(x, len(r))
            first = reads.hull.start * stride[k] - padding[k]  # output row that the first input row starts at
            made = (len(reads) - 1) * stride[k] + reach + 1
            above, skip = max(0, first - r.start), max(0, r.start - first)
            below = max(0, r.stop - (first + made))
            keep = len(r) - above - below

            def kernel(x):
                x = x if pick is None else pick(x)
                # rows: no padding, so that every contribution is made; then the rows that are ours
                y = convolve(x, weight, bias, stride, columns, extra, groups, dilation).narrow(axis, skip, keep)
                if above or below:
                    y = torch.cat([bias_rows(x, above), y, bias_rows(x, below)], dim=axis)
                return y

            return kernel

        return per_range(rows, axis, make)

    return Lowered(Kind.WINDOW, axis, (Operand(name, access),), build)
