"""Views, permutations, slices and concatenations: rows keep an axis of their own, or are re-indexed."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch.nn import functional as F

from coedge_ros.graph.ir import Ref
from coedge_ros.graph.rules.pointwise import only, rowwise
from coedge_ros.graph.rules.registry import Lowered, argument, chain, per_range, pick_or, rule, take, take_index
from coedge_ros.rows.access import Same, Several, Shift, Table
from coedge_ros.rows.row_set import RowRange, RowSet
from coedge_ros.spec.graph import Kind, Operand, Placement


@rule("aten.reshape.default")
def _reshape(node, values):
    """Row-major order is kept, so what stands before the rows tells which output axis holds them."""
    value = only(values)
    axis, shape = value.spec.row_axis, value.spec.shape
    before, height = prod(shape[:axis]), shape[axis]
    ((name, _),) = values.items()

    def reshape_to(rows: int, out_axis: int):
        sizes = [*node.shape[:out_axis], rows, *node.shape[out_axis + 1 :]]
        return lambda x: x.reshape(sizes)

    candidates = [j for j in range(node.ndim) if prod(node.shape[:j]) == before]
    for j in candidates:
        if node.shape[j] == height:

            def build(rows, held, j=j):
                return per_range(rows, j, lambda r: chain(take(held[0], r, axis), reshape_to(len(r), j)))

            return Lowered(Kind.POINTWISE, j, (Operand(name, Same()),), build)
    behind = prod(shape[axis + 1 :])
    for j in candidates:
        rows, behind_out = node.shape[j], prod(node.shape[j + 1 :])
        if rows > height and rows % height == 0 and behind == rows // height * behind_out:
            # (H, r, ...) merged to (H * r, ...): pixel shuffle spelled out, or a flattened map
            return blocks_up(node, name, axis, j, rows // height, lambda n, j=j: reshape_to(n, j))
        if 0 < rows < height and height % rows == 0 and behind_out == behind * (height // rows):
            # (H, ...) split into (H / r, r, ...): space to depth, or a flattened map unfolded
            return blocks_down(node, name, axis, j, height // rows, lambda n, j=j: reshape_to(n, j))
    return None


def blocks_up(node, name: str, axis: int, out_axis: int, factor: int, make) -> Lowered:
    """Each input row becomes `factor` output rows; `make(output rows) -> kernel` works on whole input rows."""
    height = node.shape[out_axis]
    access = Table(tuple(i // factor for i in range(height)), tuple(i // factor + 1 for i in range(height)))

    def build(rows, held):
        def of(r: RowRange):
            reads = access.reads(r)
            skip = r.start - reads.hull.start * factor
            run = chain(take(held[0], reads, axis), make(len(reads) * factor))
            if skip == 0 and len(reads) * factor == len(r):
                return run
            return lambda x: run(x).narrow(out_axis, skip, len(r))

        return per_range(rows, out_axis, of)

    return Lowered(Kind.RESAMPLE, out_axis, (Operand(name, access),), build)


def blocks_down(node, name: str, axis: int, out_axis: int, factor: int, make) -> Lowered:
    """`factor` input rows become one output row."""
    height = node.shape[out_axis]
    access = Table(tuple(i * factor for i in range(height)), tuple((i + 1) * factor for i in range(height)))

    def build(rows, held):
        return per_range(rows, out_axis, lambda r: chain(take(held[0], access.reads(r), axis), make(len(r))))

    return Lowered(Kind.RESAMPLE, out_axis, (Operand(name, access),), build)


@rule("aten.pixel_shuffle.default")
def _pixel_shuffle(node, values):
    value = only(values)
    factor = node.args[1]
    if value.spec.row_axis != node.ndim - 2:
        return None
    run = lambda n: lambda x: F.pixel_shuffle(x, factor)  # noqa: E731
    return blocks_up(node, next(iter(values)), node.ndim - 2, node.ndim - 2, factor, run)


@rule("aten.pixel_unshuffle.default")
def _pixel_unshuffle(node, values):
    value = only(values)
    factor = node.args[1]
    if value.spec.row_axis != node.ndim - 2:
        return None
    run = lambda n: lambda x: F.pixel_unshuffle(x, factor)  # noqa: E731
    return blocks_down(node, next(iter(values)), node.ndim - 2, node.ndim - 2, factor, run)


@rule("aten.permute.default", "aten.transpose.int", "aten.swapaxes.default", "aten.t.default", "aten.mT.default")
def _permute(node, values):
    axis, ndim = only(values).spec.row_axis, node.ndim
    if node.key == "aten.permute.default":
        return rowwise(node, values, [d % ndim for d in node.args[1]].index(axis))
    a, b = (d % ndim for d in node.args[1:3]) if len(node.args) > 2 else (ndim - 2, ndim - 1)
    return rowwise(node, values, {a: b, b: a}.get(axis, axis))


@rule("aten.unsqueeze.default")
def _unsqueeze(node, values):
    axis = only(values).spec.row_axis
    return rowwise(node, values, axis + (node.args[1] % node.ndim <= axis))


@rule("aten.squeeze.dim", "aten.squeeze.dims", "aten.squeeze.default")
def _squeeze(node, values):
    spec = only(values).spec
    dims = argument(node, 1, "dim", list(range(len(spec.shape))))
    dims = {d % len(spec.shape) for d in ([dims] if isinstance(dims, int) else dims)}
    gone = {d for d in dims if spec.shape[d] == 1}
    if spec.row_axis in dims:  # a band of one row would lose its axis
        return None
    out_axis = spec.row_axis - sum(d < spec.row_axis for d in gone)
    args = (node.args[0], sorted(gone))
    return rowwise(_with_target(node, torch.ops.aten.squeeze.dims, args), values, out_axis)


def _with_target(node, target, args):
    from dataclasses import replace

    return replace(node, target=target, args=args, kwargs={})


@rule("aten.expand.default", "aten.broadcast_to.default")
def _expand(node, values):
    spec = only(values).spec
    axis = spec.row_axis + node.ndim - len(spec.shape)
    if node.shape[axis] != spec.height:
        return None
    sizes = list(node.shape)
    return rowwise(
        node, values, axis, lambda rows: (node.args[0], [*sizes[:axis], rows, *sizes[axis + 1 :]], *node.args[2:])
    )


@rule("aten.repeat.default")
def _repeat(node, values):
    spec = only(values).spec
    axis = spec.row_axis + node.ndim - len(spec.shape)
    return rowwise(node, values, axis) if node.args[1][axis] == 1 else None


@rule("aten.select.int")
def _select(node, values):
    axis, dim = only(values).spec.row_axis, node.args[1] % (node.ndim + 1)
    return None if dim == axis else rowwise(node, values, axis - (dim < axis))


@rule("aten.slice.Tensor")
def _slice(node, values):
    value = only(values)
    axis, height = value.spec.row_axis, value.spec.height
    dim = argument(node, 1, "dim", 0) % node.ndim
    if dim != axis:
        return rowwise(node, values, axis)
    start, stop, step = argument(node, 2, "start"), argument(node, 3, "end"), argument(node, 4, "step", 1)
    return reindexed(node, values, list(range(height))[slice(start, stop, step)])


@rule("aten.narrow.default")
def _narrow(node, values):
    value = only(values)
    axis = value.spec.row_axis
    dim, start, length = node.args[1] % node.ndim, node.args[2], node.args[3]
    if dim != axis:
        return rowwise(node, values, axis)
    start = start % value.spec.height if start < 0 else start
    return reindexed(node, values, list(range(start, start + length)))


@rule("aten.flip.default")
def _flip(node, values):
    value = only(values)
    dims = [d % node.ndim for d in node.args[1]]
    axis = value.spec.row_axis
    if axis not in dims:
        return rowwise(node, values, axis)
    rest = [d for d in dims if d != axis]
    return reindexed(node, values, list(reversed(range(value.spec.height))), lambda x: x.flip(rest) if rest else x)


@rule("aten.roll.default")
def _roll(node, values):
    value = only(values)
    dims = [d % node.ndim for d in argument(node, 2, "dims", [])]
    axis, shifts = value.spec.row_axis, node.args[1]
    if not dims:
        return None
    height = value.spec.height
    index = list(range(height))
    rest = [(s, d) for s, d in zip(shifts, dims, strict=True) if d != axis]
    for s, d in zip(shifts, dims, strict=True):
        if d == axis:
            index = [index[(i - s) % height] for i in range(height)]
    return reindexed(node, values, index, lambda x: x.roll(*map(list, zip(*rest, strict=True))) if rest else x)


def reindexed(node, values, index: list[int], then=None) -> Lowered | None:
    """Output row i is input row `index[i]`, followed by `then` on every row alike."""
    ((name, value),) = values.items()
    axis = value.spec.row_axis
    if not index:
        return None
    step_one = all(b - a == 1 for a, b in pairwise(index))
    access = Shift(index[0], value.spec.height) if step_one else Table.of_index(index)

    def build(rows, held):
        def make(r: RowRange):
            pick = take_index(held[0], index[r.start : r.stop], axis)
            if then is None:
                return pick or (lambda x: x)
            return chain(pick, then)

        return per_range(rows, axis, make)

    return Lowered(Kind.RESAMPLE, axis, (Operand(name, access),), build)


@rule("aten.cat.default", "aten.concat.default", "aten.stack.default")
def _cat(node, values):
    is_stack = node.key == "aten.stack.default"
    dim = argument(node, 1, "dim", 0) % node.ndim
    sharded = [v for v in values.values() if v.placement is Placement.SHARDED]
    axes = {v.spec.row_axis for v in sharded}
    parts = node.args[0]
    if len(axes) != 1:
        return None
    (axis,) = axes
    names = list(values)
    if dim == axis and not is_stack:
        return _cat_rows(node, values, parts, axis, names)
    if any(v.spec.height != sharded[0].spec.height for v in sharded):
        return None
    out_axis = axis + (is_stack and dim <= axis)
    operands = tuple(Operand(n, Same() if v.placement is Placement.SHARDED else None) for n, v in values.items())

    def build(rows, held):
        def make(r: RowRange):
            slots = []
            for part in parts:
                if not isinstance(part, Ref):
                    slots.append((None, part.narrow(axis, r.start, len(r))))
                    continue
                k = names.index(part.name)
                if values[part.name].placement is Placement.SHARDED:
                    slots.append((k, take(held[k], r, axis)))
                else:
                    slots.append((k, lambda x: x.narrow(axis, r.start, len(r))))

            def run(*tensors):
                return node.target(
                    [p if k is None else (tensors[k] if p is None else p(tensors[k])) for k, p in slots], dim
                )

            return run

        return per_range(rows, out_axis, make)

    return Lowered(Kind.POINTWISE, out_axis, operands, build)


def _cat_rows(node, values, parts, axis, names) -> Lowered | None:
    """Concatenation along the rows: each piece is shifted to its place; constants and whole tensors are pieces too."""
    pieces = []  # (operand or None, how its rows are read, constant or None)
    total = 0
    for part in parts:
        is_ref = isinstance(part, Ref)
        height = (values[part.name].spec.shape if is_ref else part.shape)[axis]
        pieces.append((names.index(part.name) if is_ref else None, Shift(-total, height), None if is_ref else part))
        total += height
    accesses = [tuple(access for k, access, _ in pieces if k == i) for i in range(len(names))]
    is_sharded = [values[name].placement is Placement.SHARDED for name in names]
    operands = tuple(
        Operand(name, None if not sharded else read[0] if len(read) == 1 else Several(read))
        for name, sharded, read in zip(names, is_sharded, accesses, strict=True)
    )

    def build(rows, held):
        def make(r: RowRange):
            picks = []
            for k, access, constant in pieces:
                if not (reads := access.reads(r)):
                    continue
                of = RowSet.full(access.height) if k is None or not is_sharded[k] else held[k]
                pick = take(of, reads, axis)
                picks.append((k, pick, None if k is not None else pick_or(constant, pick).contiguous()))

            def run(*tensors):
                found = [c if k is None else pick_or(tensors[k], pick) for k, pick, c in picks]
                return found[0] if len(found) == 1 else torch.cat(found, dim=axis)

            return run

        return per_range(rows, axis, make)

    return Lowered(Kind.RESAMPLE, axis, operands, build)
