"""Pooling of a band: sliding windows, and adaptive windows."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from coedge_ros.graph.rules.convolution import SpatialAxes, padded_band, sizes
from coedge_ros.graph.rules.pointwise import only, rowwise
from coedge_ros.graph.rules.reduction import reduce_rule
from coedge_ros.graph.rules.registry import Lowered, argument, per_range, pick_or, rule, take
from coedge_ros.rows.access import Same, Table, Window
from coedge_ros.rows.row_set import RowRange
from coedge_ros.spec.graph import Kind, Operand

_MAX = {f"aten.max_pool{n}d.default": n for n in (1, 2, 3)}
_AVERAGE = {f"aten.avg_pool{n}d.default": n for n in (1, 2, 3)}


@rule(*_MAX)
def _max_pool(node, values):
    axes = _MAX[node.key]
    value = only(values)
    where = SpatialAxes.of(value, axes)
    if where is None:  # rows as a batch of independent maps
        return rowwise(node, values, value.spec.row_axis) if value.spec.row_axis == 0 else None
    kernel = sizes(node.args[1], axes)
    stride = sizes(argument(node, 2, "stride", []) or kernel, axes)
    padding, dilation = (sizes(argument(node, i, n, d), axes) for i, n, d in ((3, "padding", 0), (4, "dilation", 1)))
    ceil_mode = argument(node, 5, "ceil_mode", False)
    k = where.row
    access = Window(kernel[k], stride[k], padding[k], dilation[k], value.spec.height)
    columns = where.without_rows(padding)
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[axes - 1]

    def build(rows, held):
        def make(r: RowRange):
            # the layer's own padding never wins a maximum
            band = padded_band(access, r, held[0], where, float("-inf"))
            return lambda x: pool(pick_or(x, band), kernel, stride, columns, dilation, ceil_mode)

        return per_range(rows, where.axis, make)

    return _windowed(where, access, values, build)


@rule(*_AVERAGE)
def _average_pool(node, values):
    axes = _AVERAGE[node.key]
    value = only(values)
    where = SpatialAxes.of(value, axes)
    if where is None:
        return rowwise(node, values, value.spec.row_axis) if value.spec.row_axis == 0 else None
    kernel = sizes(node.args[1], axes)
    stride = sizes(argument(node, 2, "stride", []) or kernel, axes)
    padding = sizes(argument(node, 3, "padding", 0), axes)
    ceil_mode = argument(node, 4, "ceil_mode", False)
    k = where.row
    covers_all = kernel[k] == value.spec.height and padding[k] == 0 and node.shape[where.axis] == 1
    if covers_all and axes == 2 and where.axis == 2 and not any(padding) and not ceil_mode:
        return _whole_height_average(node, values, kernel, stride)
    access = Window(kernel[k], stride[k], padding[k], 1, value.spec.height)
    columns = where.without_rows(padding)
    divisors = _divisors(node, value, axes)
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1]
    as_sum, gain = ({}, kernel[0]) if axes == 1 else ({"divisor_override": 1}, 1)

    def build(rows, held):
        def make(r: RowRange):
            band = padded_band(access, r, held[0], where, 0.0)
            divisor = divisors.narrow(where.axis, r.start, len(r))
            one = int(divisor.flatten()[0])
            if axes > 1 and bool((divisor == one).all()):
                return lambda x: pool(pick_or(x, band), kernel, stride, columns, ceil_mode, divisor_override=one)
            return lambda x: pool(pick_or(x, band), kernel, stride, columns, ceil_mode, **as_sum) * (gain / divisor)

        return per_range(rows, where.axis, make)

    return _windowed(where, access, values, build)


def _windowed(where: SpatialAxes, access: Window, values, build) -> Lowered:
    operand = next(iter(values))
    if access == Window(1, 1, 0, access.dilation, access.height):  # such as local response norm, over channels only
        return Lowered(Kind.POINTWISE, where.axis, (Operand(operand, Same()),), build)
    return Lowered(Kind.WINDOW, where.axis, (Operand(operand, access),), build)


def _divisors(node, value, axes: int) -> torch.Tensor:
    """What torch divides each window's sum by, ones but for the window's axes: found by pooling a map of ones."""
    more = max(0, 2 - axes)  # one axis is pooled as two: only these poolings have a divisor_override
    ones = torch.ones(1, 1, *[1] * more, *value.spec.shape[-axes:], dtype=torch.float64)

    def arguments(position: int, name: str, missing: int, default) -> list[int]:
        return [missing] * more + list(sizes(argument(node, position, name, default), axes))

    kernel = arguments(1, "kernel_size", 1, None)
    stride = arguments(2, "stride", 1, None) if argument(node, 2, "stride", []) else kernel
    padding, ceil_mode = arguments(3, "padding", 0, 0), argument(node, 4, "ceil_mode", False)
    count_include_pad, override = argument(node, 5, "count_include_pad", True), argument(node, 6, "divisor_override")
    pool = F.avg_pool3d if axes == 3 else F.avg_pool2d
    mean = pool(ones, kernel, stride, padding, ceil_mode, count_include_pad, override)
    total = pool(ones, kernel, stride, padding, ceil_mode, count_include_pad, 1)
    # a window that lies in the padding altogether sums to zero: any divisor serves
    divisors = torch.where(mean > 0, (total / mean).round(), torch.ones_like(mean)).float()
    return divisors.reshape(*[1] * (node.ndim - axes), *node.shape[-axes:])


def _whole_height_average(node, values, kernel, stride):
    """A window as high as the map is a final pooling: partial sums travel, not the map."""
    override = argument(node, 6, "divisor_override")
    gain = 1 / kernel[0] if override is None else kernel[1] / override

    def partial(x):
        return x.sum(dim=2, keepdim=True)

    def combine(parts, counts):
        return F.avg_pool2d(torch.stack(parts).sum(0) * gain, (1, kernel[1]), (1, stride[1]))

    shape = only(values).spec.shape
    return reduce_rule(node, values, partial, combine, (*shape[:2], 1, shape[3]))


_ADAPTIVE = {f"aten.adaptive_avg_pool{n}d.default": n for n in (1, 2, 3)}
_ADAPTIVE |= {f"aten._adaptive_avg_pool{n}d.default": n for n in (2, 3)}
_ADAPTIVE |= {f"aten.adaptive_max_pool{n}d.default[0]": n for n in (1, 2, 3)}


@rule(*_ADAPTIVE)
def _adaptive_pool(node, values):
    axes = _ADAPTIVE[node.key]
    value = only(values)
    where = SpatialAxes.of(value, axes)
    if where is None:
        return rowwise(node, values, value.spec.row_axis) if value.spec.row_axis == 0 else None
    axis, height, out_height = where.axis, value.spec.height, node.shape[where.axis]
    size = tuple(1 if i == where.row else n for i, n in enumerate(node.shape[-axes:]))  # of one window's row
    average = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[axes - 1]
    largest = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[axes - 1]
    if out_height == 1:
        if "max" in node.key:
            return reduce_rule(node, values, lambda x: largest(x, size), _maximum, node.shape)

        def combine(parts, counts):
            return torch.stack(parts).sum(0) / height

        return reduce_rule(node, values, lambda x: average(x, size) * x.shape[axis], combine, node.shape)
    pool = largest if "max" in node.key else average
    starts = tuple(i * height // out_height for i in range(out_height))
    stops = tuple(-(-(i + 1) * height // out_height) for i in range(out_height))
    access = Table(starts, stops)

    def build(rows, held):
        def make(r: RowRange):
            picks = [take(held[0], access.reads(RowRange(i, i + 1)), axis) for i in range(r.start, r.stop)]

            def run(x):
                parts = [pool(pick_or(x, pick), size) for pick in picks]
                return parts[0] if len(parts) == 1 else torch.cat(parts, dim=axis)

            return run

        return per_range(rows, axis, make)

    return Lowered(Kind.WINDOW, axis, (Operand(next(iter(values)), access),), build)


def _maximum(parts, counts):
    return torch.stack(parts).amax(0)
