"""Pooling of a band: sliding windows, and adaptive windows."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from coedge_ros.graph.rules.convolution import band_with_padding, pair
from coedge_ros.graph.rules.pointwise import only, rowwise
from coedge_ros.graph.rules.reduction import reduce_rule
from coedge_ros.graph.rules.registry import Lowered, argument, per_range, rule, take
from coedge_ros.rows.access import Table, Window
from coedge_ros.rows.row_set import RowRange
from coedge_ros.spec.graph import Kind, Operand


@rule("aten.max_pool2d.default")
def _max_pool2d(node, values):
    value = only(values)
    if node.ndim != 4 or value.spec.row_axis != 2:
        return None
    kernel = pair(node.args[1])
    stride = pair(argument(node, 2, "stride", []) or kernel)
    padding, dilation = pair(argument(node, 3, "padding", 0)), pair(argument(node, 4, "dilation", 1))
    ceil_mode = argument(node, 5, "ceil_mode", False)
    access = Window(kernel[0], stride[0], padding[0], dilation[0], value.spec.height)

    def build(rows, held):
        def make(r: RowRange):
            pick, above, below = band_with_padding(access, r, held[0], 2)

            def run(x):
                x = x if pick is None else pick(x)
                if above or below:  # the layer's own padding never wins a maximum
                    x = F.pad(x, (0, 0, above, below), value=float("-inf"))
                return F.max_pool2d(x, kernel, stride, (0, padding[1]), dilation, ceil_mode)

            return run

        return per_range(rows, 2, make)

    return Lowered(Kind.WINDOW, 2, (Operand(next(iter(values)), access),), build)


@rule("aten.avg_pool2d.default")
def _avg_pool2d(node, values):
    value = only(values)
    if node.ndim != 4 or value.spec.row_axis != 2:
        return None
    kernel = pair(node.args[1])
    stride = pair(argument(node, 2, "stride", []) or kernel)
    padding = pair(argument(node, 3, "padding", 0))
    ceil_mode = argument(node, 4, "ceil_mode", False)
    if node.shape[2] == 1 and padding == (0, 0) and kernel[0] == value.spec.height and not ceil_mode:
        return _whole_height_average(node, values, kernel, stride)
    access = Window(kernel[0], stride[0], padding[0], 1, value.spec.height)
    divisors = _divisors(node, value)

    def build(rows, held):
        def make(r: RowRange):
            pick, above, below = band_with_padding(access, r, held[0], 2)
            divisor = divisors[:, :, r.start : r.stop]
            one = float(divisor[0, 0, 0, 0])
            uniform = int(one) if bool((divisor == one).all()) and one == int(one) else None

            def run(x):
                x = x if pick is None else pick(x)
                if above or below:
                    x = F.pad(x, (0, 0, above, below))
                y = F.avg_pool2d(
                    x, kernel, stride, (0, padding[1]), ceil_mode, divisor_override=uniform if uniform else 1
                )
                return y if uniform else y / divisor

            return run

        return per_range(rows, 2, make)

    return Lowered(Kind.WINDOW, 2, (Operand(next(iter(values)), access),), build)


def _divisors(node, value) -> torch.Tensor:
    """What torch divides each window's sum by, `(1, 1, H_out, W_out)`: found by pooling a map of ones."""
    ones = torch.ones(1, 1, *value.spec.shape[2:], dtype=torch.float64)
    kernel, stride = node.args[1], argument(node, 2, "stride")
    padding, ceil_mode = argument(node, 3, "padding", 0), argument(node, 4, "ceil_mode", False)
    count_include_pad = argument(node, 5, "count_include_pad", True)
    override = argument(node, 6, "divisor_override")
    mean = F.avg_pool2d(ones, kernel, stride or None, padding, ceil_mode, count_include_pad, override)
    total = F.avg_pool2d(ones, kernel, stride or None, padding, ceil_mode, count_include_pad, 1)
    # a window that lies in the padding altogether sums to zero: any divisor serves
    return torch.where(mean > 0, (total / mean).round(), torch.ones_like(mean)).float()


def _whole_height_average(node, values, kernel, stride):
    """A window as high as the map is a final pooling: partial sums travel, not the map."""
    override = argument(node, 6, "divisor_override")
    gain = 1.0 if override is None else kernel[0] * kernel[1] / override

    def partial(x):
        return x.sum(dim=2, keepdim=True)

    def combine(parts, counts):
        total = torch.stack(parts).sum(0) / kernel[0]
        return F.avg_pool2d(total, (1, kernel[1]), (1, stride[1])) * gain

    shape = only(values).spec.shape
    return reduce_rule(node, values, partial, combine, (*shape[:2], 1, shape[3]))


@rule("aten.adaptive_avg_pool2d.default", "aten._adaptive_avg_pool2d.default", "aten.adaptive_max_pool2d.default[0]")
def _adaptive_pool2d(node, values):
    value = only(values)
    if node.ndim != 4 or value.spec.row_axis != 2:
        return None
    height, (out_height, out_width) = value.spec.height, node.shape[2:]
    is_max = "max" in node.key
    pool = (lambda x, size: F.adaptive_max_pool2d(x, size)) if is_max else F.adaptive_avg_pool2d
    if out_height == 1:
        shape = (*node.shape[:2], 1, out_width)
        if is_max:
            return reduce_rule(node, values, lambda x: pool(x, (1, out_width)), _maximum, shape)

        def combine(parts, counts):
            return torch.stack(parts).sum(0) / height

        return reduce_rule(node, values, lambda x: pool(x, (1, out_width)) * x.shape[2], combine, shape)
    starts = tuple(i * height // out_height for i in range(out_height))
    stops = tuple(-(-(i + 1) * height // out_height) for i in range(out_height))
    access = Table(starts, stops)

    def build(rows, held):
        def make(r: RowRange):
            picks = [take(held[0], access.reads(RowRange(i, i + 1)), 2) for i in range(r.start, r.stop)]

            def run(x):
                parts = [pool(x if pick is None else pick(x), (1, out_width)) for pick in picks]
                return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

            return run

        return per_range(rows, 2, make)

    return Lowered(Kind.WINDOW, 2, (Operand(next(iter(values)), access),), build)


def _maximum(parts, counts):
    return torch.stack(parts).amax(0)


@rule("aten.avg_pool3d.default", "aten.max_pool3d.default")
def _pool3d(node, values):
    """Over channels only, as local response norm spells itself out: `(N, 1, C, H, W)`, rows on axis 3."""
    value = only(values)
    kernel = node.args[1]
    stride = argument(node, 2, "stride", []) or kernel
    padding = argument(node, 3, "padding", 0)
    padding = [padding] * 3 if isinstance(padding, int) else padding
    axis = value.spec.row_axis
    if axis < 2 or len(kernel) != 3:
        return None
    k = axis - 2
    return rowwise(node, values, axis) if (kernel[k], stride[k], padding[k]) == (1, 1, 0) else None
