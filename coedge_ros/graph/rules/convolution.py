"""Convolution and transposed convolution of a band."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from coedge_ros.graph.ir import Node
from coedge_ros.graph.rules.pointwise import only
from coedge_ros.graph.rules.registry import Lowered, Value, argument, per_range, rule, take
from coedge_ros.rows.access import Same, Transposed, Window
from coedge_ros.rows.row_set import RowRange
from coedge_ros.spec.graph import Kind, Operand


def pair(value) -> tuple[int, int]:
    """An ATen size argument of one or two numbers as (rows, columns)."""
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _is_plain(node: Node, values: dict[str, Value]) -> bool:
    """One operand with rows on axis 2 of (N, C, H, W), and constant weights."""
    return len(values) == 1 and node.ndim == 4 and only(values).spec.row_axis == 2


@rule("aten.conv2d.default", "aten.conv2d.padding")
def _conv2d(node, values):
    if not _is_plain(node, values):
        return None
    weight, bias = node.args[1], argument(node, 2, "bias")
    stride = pair(argument(node, 3, "stride", 1))
    padding = argument(node, 4, "padding", 0)
    dilation = pair(argument(node, 5, "dilation", 1))
    groups = argument(node, 6, "groups", 1)
    kernel = tuple(weight.shape[2:])
    if isinstance(padding, str):
        totals = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
        (top, _), (left, right) = [(t // 2, t - t // 2) for t in totals]  # torch puts the odd one at the end
    else:
        top, left = pair(padding)
        right = left
    ((name, value),) = values.items()
    access = Window(kernel[0], stride[0], top, dilation[0], value.spec.height)
    weight = weight.contiguous(memory_format=torch.channels_last)

    def build(rows, held):
        def make(r: RowRange):
            pick, above, below = band_with_padding(access, r, held[0], value.spec.row_axis)
            extra = (left, right, above, below)
            if left == right:
                columns, extra = left, (0, 0, above, below)
            else:
                columns = 0
            if any(extra):
                return lambda x: F.conv2d(
                    F.pad(x if pick is None else pick(x), extra), weight, bias, stride, (0, columns), dilation, groups
                )
            if pick is None:
                return lambda x: F.conv2d(x, weight, bias, stride, (0, columns), dilation, groups)
            return lambda x: F.conv2d(pick(x), weight, bias, stride, (0, columns), dilation, groups)

        return per_range(rows, 2, make)

    if access == Window(1, 1, 0, access.dilation, access.height):
        return Lowered(Kind.POINTWISE, 2, (Operand(name, Same()),), build)
    return Lowered(Kind.WINDOW, 2, (Operand(name, access),), build)


def band_with_padding(access: Window, r: RowRange, held, axis: int):
    """How to get the rows that output rows `r` of a window operator read: (row picker or None, padding above, below)."""
    start, stop = access.unclipped(r)
    inside = access.reads(r)
    pick = take(held, inside, axis)
    if not inside:  # windows that lie in the padding altogether
        return pick, stop - start, 0
    return pick, max(0, -start), max(0, stop - access.height)


@rule("aten.conv_transpose2d.input")
def _conv_transpose2d(node, values):
    if not _is_plain(node, values):
        return None
    weight, bias = node.args[1], argument(node, 2, "bias")
    stride, padding = pair(argument(node, 3, "stride", 1)), pair(argument(node, 4, "padding", 0))
    output_padding = pair(argument(node, 5, "output_padding", 0))
    groups, dilation = argument(node, 6, "groups", 1), pair(argument(node, 7, "dilation", 1))
    ((name, value),) = values.items()
    access = Transposed(weight.shape[2], stride[0], padding[0], dilation[0], value.spec.height)
    reach = dilation[0] * (weight.shape[2] - 1)

    def build(rows, held):
        def make(r: RowRange):
            reads = access.reads(r)
            pick = take(held[0], reads, 2)
            first = reads.hull.start * stride[0] - padding[0]  # output row that the first input row starts at
            made = (len(reads) - 1) * stride[0] + reach + 1 if reads else 0
            above, skip = max(0, first - r.start), max(0, r.start - first)
            below = max(0, r.stop - (first + made)) if reads else 0
            keep = len(r) - above - below

            def kernel(x):
                x = x if pick is None else pick(x)
                if not reads:
                    return _bias_rows(x, node, bias, len(r))
                # rows: no padding, so that every contribution is made; then the rows that are ours
                y = F.conv_transpose2d(
                    x, weight, bias, stride, (0, padding[1]), (0, output_padding[1]), groups, dilation
                )
                y = y.narrow(2, skip, keep)
                if above or below:  # rows that no kernel reaches hold the bias alone
                    parts = [_bias_rows(x, node, bias, above), y, _bias_rows(x, node, bias, below)]
                    y = torch.cat(parts, dim=2)
                return y

            return kernel

        return per_range(rows, 2, make)

    return Lowered(Kind.WINDOW, 2, (Operand(name, access),), build)


def _bias_rows(x, node: Node, bias, rows: int) -> torch.Tensor:
    shape = (node.shape[0], node.shape[1], rows, node.shape[3])
    return x.new_zeros(shape) if bias is None else bias.reshape(1, -1, 1, 1).expand(shape)
