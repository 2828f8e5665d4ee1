"""Spell operators in fewer ways, so that fewer row rules are needed; nothing is computed otherwise than before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import torch

from coedge_ros.graph.ir import Node, NodeGraph, Ref

aten = torch.ops.aten
Shapes = dict[str, tuple[int, ...]]
Rewrite = Callable[[Node, Shapes], "list[Node] | None"]
REWRITES: dict[str, Rewrite] = {}


def rewrite(graph: NodeGraph) -> NodeGraph:
    """Apply all rewrites; the node that stands in the place of another keeps its name."""
    shapes = {graph.input_name: graph.input_shape, **{node.name: node.shape for node in graph.nodes}}
    nodes: list[Node] = []
    for node in graph.nodes:
        spell = REWRITES.get(node.key)
        nodes += (spell(node, shapes) if spell else None) or [node]
    return replace(graph, nodes=tuple(nodes))


def _rewrites(*keys: str) -> Callable[[Rewrite], Rewrite]:
    def register(function: Rewrite) -> Rewrite:
        REWRITES.update(dict.fromkeys(keys, function))
        return function

    return register


def argument(node: Node, position: int, name: str, default=None):
    """An argument of an ATen call, by position or name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def _as(node: Node, target: Callable, *args, **kwargs) -> list[Node]:
    return [replace(node, target=target, args=args, kwargs=kwargs)]


def _operand_shape(value, shapes: Shapes) -> tuple[int, ...]:
    return shapes[value.name] if isinstance(value, Ref) else tuple(value.shape)


# -- views: a band may need a copy, because bands are channels-last in memory ---------------------------------------


@_rewrites("aten.view.default", "aten._unsafe_view.default", "aten.view_as.default", "aten.reshape_as.default",
           "aten.flatten.using_ints", "aten.unflatten.int", "aten.view_copy.default")  # fmt: skip
def _view(node, shapes):
    return _as(node, aten.reshape.default, node.args[0], list(node.shape))


@_rewrites("aten.expand_as.default")
def _expand_as(node, shapes):
    return _as(node, aten.expand.default, node.args[0], list(node.shape))


@_rewrites("aten.type_as.default")
def _type_as(node, shapes):
    return _as(node, aten.to.dtype, node.args[0], node.dtype)


# -- one result of several ----------------------------------------------------------------------------------------


def _slice(node: Node, source, dim: int, start: int) -> list[Node]:
    return _as(node, aten.slice.Tensor, source, dim, start, start + node.shape[dim], 1)


def _parts(name: str):
    """Register the results of an operator; `Pick` prints as `operator[index]`, of which any number may come."""

    def register(function: Rewrite) -> Rewrite:
        REWRITES.update({f"{name}[{i}]": function for i in range(512)})
        return function

    return register


@_parts("aten.split.Tensor")
@_parts("aten.split_with_sizes.default")
@_parts("aten.split.sizes")
@_parts("aten.chunk.default")
@_parts("aten.tensor_split.sections")
@_parts("aten.tensor_split.indices")
@_parts("aten.unsafe_chunk.default")
@_parts("aten.unsafe_split.Tensor")
def _piece(node, shapes):
    source, how, dim, index = node.args[0], node.args[1], argument(node, 2, "dim", 0), node.target.index
    dim %= node.ndim
    total, key = _operand_shape(source, shapes)[dim], str(node.target.target)
    if "chunk" in key:
        start = index * -(-total // how)
    elif "tensor_split" in key:
        start = sum(_sections(total, how)[:index]) if isinstance(how, int) else [0, *how][index]
        start = min(total, start if start >= 0 else start + total)
    elif isinstance(how, int):
        start = index * how
    else:
        start = sum(how[:index])
    return _slice(node, source, dim, start)


def _sections(total: int, count: int) -> list[int]:
    """Heights of `tensor_split`'s pieces: the first ones have one more."""
    return [total // count + (i < total % count) for i in range(count)]


@_parts("aten.unbind.int")
def _unbind(node, shapes):
    return _as(node, aten.select.int, node.args[0], argument(node, 1, "dim", 0), node.target.index)


@_rewrites("aten.max_pool2d_with_indices.default[0]")
def _max_pool(node, shapes):
    return _as(node, aten.max_pool2d.default, *node.args, **node.kwargs)


@_rewrites("aten._native_batch_norm_legit_no_training.default[0]")
def _batch_norm(node, shapes):
    *affine_and_statistics, momentum, eps = node.args
    return _as(node, aten.batch_norm.default, *affine_and_statistics, False, momentum, eps, False)


@_rewrites("aten.native_group_norm.default[0]")
def _group_norm(node, shapes):
    x, weight, bias, _, _, _, groups, eps = node.args
    return _as(node, aten.group_norm.default, x, groups, weight, bias, eps)


@_rewrites("aten.native_layer_norm.default[0]")
def _layer_norm(node, shapes):
    return _as(node, aten.layer_norm.default, *node.args, **node.kwargs)


@_rewrites("aten.var_mean.correction[0]", "aten.std_mean.correction[0]")
def _variance(node, shapes):
    target = aten.var.correction if "var" in node.key else aten.std.correction
    return _as(node, target, *node.args, **node.kwargs)


@_rewrites("aten.var_mean.correction[1]", "aten.std_mean.correction[1]")
def _mean(node, shapes):
    return _as(node, aten.mean.dim, node.args[0], argument(node, 1, "dim"), node.kwargs.get("keepdim", False))


# -- writing into a part: what was written, between what stays --------------------------------------------------------


@_rewrites("aten.slice_scatter.default")
def _slice_scatter(node, shapes):
    x, source, dim = node.args[0], node.args[1], argument(node, 2, "dim", 0) % node.ndim
    start, stop = argument(node, 3, "start"), argument(node, 4, "end")
    if argument(node, 5, "step", 1) != 1:
        return None
    start, stop, _ = slice(start, stop).indices(node.shape[dim])
    return _between(node, x, source, dim, start, max(start, stop))


@_rewrites("aten.select_scatter.default")
def _select_scatter(node, shapes):
    x, source, dim, index = node.args[0], node.args[1], node.args[2] % node.ndim, node.args[3]
    index %= node.shape[dim]
    shape = (*node.shape[:dim], 1, *node.shape[dim + 1 :])
    lifted = replace(node, name=f"{node.name}_lifted", target=aten.unsqueeze.default, args=(source, dim), shape=shape)
    lifted = replace(lifted, kwargs={})
    return [lifted, *_between(node, x, Ref(lifted.name), dim, index, index + 1)]


def _between(node: Node, x, source, dim: int, start: int, stop: int) -> list[Node]:
    def piece(suffix: str, a: int, b: int) -> Node:
        shape = (*node.shape[:dim], b - a, *node.shape[dim + 1 :])
        return Node(
            f"{node.name}_{suffix}", aten.slice.Tensor, (x, dim, a, b, 1), {}, shape, node.dtype, node.module_path
        )

    around = [("before", 0, start), ("after", stop, node.shape[dim])]
    before, after = ([piece(name, a, b)] if a < b else [] for name, a, b in around)
    parts = [*(Ref(n.name) for n in before), source, *(Ref(n.name) for n in after)]
    return [*before, *after, *_as(node, aten.cat.default, parts, dim)]


# -- statistics over a flattened map: over its rows and columns -------------------------------------------------------

_REDUCTIONS = {
    "aten.mean.dim": 1, "aten.sum.dim_IntList": 1, "aten.amax.default": 1, "aten.amin.default": 1,
    "aten.max.dim[0]": 1, "aten.min.dim[0]": 1, "aten.var.correction": 1, "aten.std.correction": 1,
    "aten.linalg_vector_norm.default": 2, "aten.logsumexp.default": 1,
}  # fmt: skip
_PLAIN = {"aten.max.dim[0]": aten.amax.default, "aten.min.dim[0]": aten.amin.default}


def reduce_unflattened(graph: NodeGraph) -> NodeGraph:
    """`x.flatten(2).mean(2)` as `x.mean((2, 3))`, so that bands can combine partial results."""
    by_name = {node.name: node for node in graph.nodes}
    shapes = {graph.input_name: graph.input_shape, **{node.name: node.shape for node in graph.nodes}}
    return replace(graph, nodes=tuple(_unflattened(node, by_name, shapes) for node in graph.nodes))


def _unflattened(node: Node, by_name: dict[str, Node], shapes: Shapes) -> Node:
    position = _REDUCTIONS.get(node.key)
    source = by_name.get(node.args[0].name) if position and isinstance(node.args[0], Ref) else None
    if source is None or source.key != "aten.reshape.default" or not isinstance(source.args[0], Ref):
        return node
    dims = argument(node, position, "dim")
    before, merged = shapes[source.args[0].name], source.shape
    if isinstance(dims, (list, tuple)):
        dims = dims[0] if len(dims) == 1 else None
    if dims is None:
        return node
    dim = dims % len(merged)
    # the axes before and behind the merged one are those of the map: (..., a, b, ...) -> (..., a * b, ...)
    tail = len(merged) - dim - 1
    inner = before[dim : len(before) - tail]
    if merged[:dim] != before[:dim] or before[len(before) - tail :] != merged[dim + 1 :] or prod(inner) != merged[dim]:
        return node
    if len(inner) < 2 or argument(node, position + 1, "keepdim", False):
        return node
    axes = list(range(dim, dim + len(inner)))
    args = list(node.args)
    args[0] = source.args[0]
    kwargs = dict(node.kwargs)
    if len(args) > position:
        args[position] = axes
    else:
        kwargs["dim"] = axes
    return replace(node, target=_PLAIN.get(node.key, node.target), args=tuple(args), kwargs=kwargs)
