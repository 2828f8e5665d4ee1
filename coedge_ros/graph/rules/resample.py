"""Interpolation and padding along the rows."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from coedge_ros.graph.ir import Node
from coedge_ros.graph.rules.pointwise import only, rowwise
from coedge_ros.graph.rules.registry import Lowered, argument, per_range, pick_or, rule, take, take_index
from coedge_ros.rows.access import Shift, Table
from coedge_ros.rows.row_set import RowRange, RowSet
from coedge_ros.spec.graph import Kind, Operand

_UPSAMPLES = [
    f"aten.{name}.{overload}"
    for name in ("upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d", "upsample_bicubic2d",
                 "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")
    for overload in ("vec", "default")
]  # fmt: skip


@rule(*_UPSAMPLES)
def _upsample(node, values):
    """Rows are weighted sums of input rows; the weights are read off torch itself, by resampling an identity matrix.

    So scale factors, corner alignment and rounding are torch's, whatever they are.
    """
    value = only(values)
    if node.ndim != 4 or value.spec.row_axis != 2:
        return None
    height, out_height = value.spec.height, node.shape[2]
    weights = _row_weights(node, height)
    starts = [int(row.nonzero()[0]) for row in weights]
    stops = [int(row.nonzero()[-1]) + 1 for row in weights]
    access = Table(tuple(starts), tuple(stops))
    native = _native_factor(node, value)

    def build(rows, held):
        def make(r: RowRange):
            reads = access.reads(r)
            hull = RowSet((reads.hull,))
            if native and held[0].covers(hull):
                pick = take(held[0], hull, 2)
                skip, size = r.start - hull.hull.start * native, (len(hull) * native, node.shape[3])
                run = _resized(node, size)
                return lambda x: run(x if pick is None else pick(x)).narrow(2, skip, len(r))
            return _weighted_rows(node, weights[r.start : r.stop], held[0])

        return per_range(rows, 2, make)

    assert len(starts) == out_height
    return Lowered(Kind.RESAMPLE, 2, (Operand(next(iter(values)), access),), build)


def _arguments(node: Node) -> tuple[bool | None, list | None, bool]:
    """(align_corners or None, scale factors or None, whether the call is a `.vec` one)."""
    vec = node.key.endswith(".vec")
    nearest = "nearest" in node.key
    align = None if nearest else argument(node, 2, "align_corners")
    if vec:
        scales = argument(node, 2 if nearest else 3, "scale_factors")
    else:
        first = 2 if nearest else 3
        scales = [argument(node, first, "scales_h"), argument(node, first + 1, "scales_w")]
        scales = None if None in scales else scales
    return align, scales, vec


def _resized(node: Node, size, scales=None):
    """The node's operator with another output size, or other scale factors."""
    align, _, _ = _arguments(node)
    overload = getattr(torch.ops.aten, node.key.split(".")[1]).vec
    args = (None if scales else list(size), *(() if align is None else (align,)), scales)
    return lambda x: overload(x, *args)


def _row_weights(node: Node, height: int) -> torch.Tensor:
    """`(H_out, H)` weights of the input rows in each output row.

    Four columns wide, because torch's antialiased kernels err on maps of one column.
    """
    _, scales, _ = _arguments(node)
    run = _resized(node, (node.shape[2], 4), [scales[0], 1.0] if scales else None)
    return run(torch.eye(height).reshape(1, height, height, 1).repeat(1, 1, 1, 4))[0, :, :, 0].T


def _native_factor(node: Node, value) -> int | None:
    """Whole number of times that both axes grow, where torch's own kernel serves for a band as it is."""
    align, scales, _ = _arguments(node)
    if "aa" in node.key or "bicubic" in node.key or align or node.shape[2] % value.spec.height:
        return None
    factor = node.shape[2] // value.spec.height
    if node.shape[3] != factor * value.spec.shape[3] or (scales and list(scales) != [factor, factor]):
        return None
    return factor


def _weighted_rows(node: Node, weights: torch.Tensor, held: RowSet):
    """Columns by torch's kernel, rows by the weights, one term for each of the few rows that an output row reads."""
    _, scales, _ = _arguments(node)
    terms = int((weights != 0).sum(1).max())
    picks, factors = [], []
    order = (weights != 0).to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :terms]
    for k in range(terms):
        factor = weights.gather(1, order[:, k : k + 1]).reshape(1, 1, -1, 1)
        used = [
            int(i) if f else int(order[n, 0])
            for n, (i, f) in enumerate(zip(order[:, k], factor.flatten(), strict=True))
        ]
        picks.append(take_index(held, used, 2))
        factors.append(None if bool((factor == 1).all()) else factor)

    def run(x):
        rows = x.shape[2]
        wide = _resized(node, (rows, node.shape[3]), [1.0, scales[1]] if scales else None)(x)
        total = None
        for pick, factor in zip(picks, factors, strict=True):
            term = wide if pick is None else pick(wide)
            term = term if factor is None else term * factor
            total = term if total is None else total + term
        return total

    return run


_MODES = {"reflection_pad2d": "reflect", "replication_pad2d": "replicate", "reflection_pad3d": "reflect"}


@rule("aten.pad.default", "aten.constant_pad_nd.default", "aten.reflection_pad2d.default",
      "aten.replication_pad2d.default")  # fmt: skip
def _pad(node, values):
    value = only(values)
    pads = list(node.args[1])
    name = node.key.split(".")[1]
    if name == "pad":
        mode, fill = argument(node, 2, "mode", "constant"), argument(node, 3, "value")
    else:
        mode = _MODES.get(name, "constant")
        fill = argument(node, 2, "value", 0) if mode == "constant" else None
    axis = value.spec.row_axis
    position = 2 * (node.ndim - 1 - axis)  # pads start from the last axis
    above, below = (pads[position], pads[position + 1]) if len(pads) > position else (0, 0)
    if (above, below) == (0, 0):
        return rowwise(node, values, axis)
    rest = [0 if i in (position, position + 1) else p for i, p in enumerate(pads)]
    if mode == "constant":
        return _constant_pad(node, values, above, rest, position, fill or 0)
    index = padded_index(value.spec.height, above, below, mode)
    access = Table.of_index(index)

    def build(rows, held):
        def make(r: RowRange):
            pick = take_index(held[0], index[r.start : r.stop], axis)
            return lambda x: F.pad(x if pick is None else pick(x), rest, mode=mode) if any(rest) else pick_or(x, pick)

        return per_range(rows, axis, make)

    return Lowered(Kind.RESAMPLE, axis, (Operand(next(iter(values)), access),), build)


def padded_index(height: int, above: int, below: int, mode: str) -> list[int]:
    """Input row that each output row repeats; read off torch itself, by padding the row numbers."""
    source = torch.arange(height, dtype=torch.float64).reshape(1, 1, height, 1).expand(1, 1, height, 4)
    return [int(i) for i in F.pad(source, (0, 0, above, below), mode=mode)[0, 0, :, 0]]


def _constant_pad(node, values, above: int, rest, position: int, fill) -> Lowered:
    value = only(values)
    axis, height = value.spec.row_axis, value.spec.height
    access = Shift(-above, height)

    def build(rows, held):
        def make(r: RowRange):
            reads = access.reads(r)
            pick = take(held[0], reads, axis)
            if reads:
                before = reads.hull.start + above - r.start
                after = len(r) - before - len(reads)
            else:
                before, after = len(r), 0
            pads = list(rest)
            pads[position], pads[position + 1] = before, after
            return lambda x: F.pad(pick_or(x, pick), pads, value=fill)

        return per_range(rows, axis, make)

    return Lowered(Kind.RESAMPLE, axis, (Operand(next(iter(values)), access),), build)
