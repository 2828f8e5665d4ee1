"""Make the traced graph smaller without changing what it computes."""

from __future__ import annotations

from dataclasses import replace

import torch

from coedge_ros.graph.composites import split_norms
from coedge_ros.graph.ir import Node, NodeGraph, Pick, Ref, substitute

_IDENTITIES = {
    "aten.clone.default", "aten.alias.default", "aten.detach.default", "aten.contiguous.default", "aten.dropout.default",
    "aten.feature_dropout.default", "aten.alpha_dropout.default", "aten.lift_fresh_copy.default", "aten.detach_.default",
    "aten._to_copy.default", "aten.to.dtype", "aten.to.device", "aten.to.dtype_layout", "aten.lift_fresh.default",
}  # fmt: skip


def simplify(graph: NodeGraph) -> NodeGraph:
    """Spell multi-result operators as plain ones, drop identities, compute constants, fold batch norms, drop dead nodes."""
    nodes = [_single_result(node) for node in graph.nodes]
    graph = replace(graph, nodes=tuple(_as_reshape(node) for node in nodes))
    graph = _constants_computed(_without_identities(graph))
    graph = _without_dead(graph)
    return split_norms(_without_dead(fold_batch_norms(graph)))


def _as_reshape(node: Node) -> Node:
    """A view of a band may need a copy, because bands are channels-last in memory."""
    views = ("aten.view.default", "aten._unsafe_view.default")
    return replace(node, target=torch.ops.aten.reshape.default) if node.key in views else node


def _single_result(node: Node) -> Node:
    """A slice for each piece of a split, the values of a pooling with indices, batch norm with one result."""
    if not isinstance(node.target, Pick):
        return node
    key, index, args = str(node.target.target), node.target.index, node.args
    if key in (
        "aten.split.Tensor",
        "aten.chunk.default",
        "aten.split_with_sizes.default",
        "aten.split.sizes",
    ):
        return _slice_of_split(node, key, index)
    if key == "aten.unbind.int":
        dim = args[1] if len(args) > 1 else node.kwargs.get("dim", 0)
        return replace(
            node,
            target=torch.ops.aten.select.int,
            args=(args[0], dim, index),
            kwargs={},
        )
    if key == "aten.max_pool2d_with_indices.default" and index == 0:
        return replace(node, target=torch.ops.aten.max_pool2d.default)
    if key == "aten._native_batch_norm_legit_no_training.default" and index == 0:
        x, weight, bias, mean, var, momentum, eps = args
        return replace(
            node,
            target=torch.ops.aten.batch_norm.default,
            args=(x, weight, bias, mean, var, False, momentum, eps, False),
        )
    if key == "aten.native_group_norm.default" and index == 0:
        x, weight, bias, _, _, _, groups, eps = args
        return replace(
            node,
            target=torch.ops.aten.group_norm.default,
            args=(x, groups, weight, bias, eps),
        )
    if key == "aten.native_layer_norm.default" and index == 0:
        return replace(node, target=torch.ops.aten.layer_norm.default)
    return node


def _slice_of_split(node: Node, key: str, index: int) -> Node:
    args = (*node.args, *([0] if len(node.args) < 3 else []))
    source, sizes, dim = args[0], args[1], node.kwargs.get("dim", args[2])
    piece = node.shape[dim]
    if isinstance(sizes, (list, tuple)):
        start = sum(sizes[:index])
    else:
        # every piece but the last has the same size; the last one's start cannot be told from its own size
        full = sizes if key == "aten.split.Tensor" else None
        start = full * index if full else None
    if start is None:
        return node  # aten.chunk before decomposition: resolved by `_resolve_chunks`
    return replace(
        node,
        target=torch.ops.aten.slice.Tensor,
        args=(source, dim, start, start + piece, 1),
        kwargs={},
    )


def _resolve_chunk(node: Node, shapes: dict[str, tuple[int, ...]]) -> Node:
    if not (isinstance(node.target, Pick) and str(node.target.target) == "aten.chunk.default"):
        return node
    source, count, dim = (*node.args, *([0] if len(node.args) < 3 else []))
    dim = node.kwargs.get("dim", dim)
    total = shapes[source.name][dim]
    size = -(-total // count)
    start = size * node.target.index
    return replace(
        node,
        target=torch.ops.aten.slice.Tensor,
        args=(source, dim, start, min(total, start + size), 1),
        kwargs={},
    )


def _without_identities(graph: NodeGraph) -> NodeGraph:
    names: dict[str, str] = {}
    dtypes = {graph.input_name: torch.uint8}
    shapes = {graph.input_name: graph.input_shape}
    kept = []
    for node in graph.nodes:
        node = node.renamed(names)
        source = node.args[0] if node.args else None
        dtypes[node.name], shapes[node.name] = node.dtype, node.shape
        same_shape = isinstance(source, Ref) and shapes[source.name] == node.shape
        is_view = node.key in (
            "aten.view.default",
            "aten.reshape.default",
            "aten._unsafe_view.default",
        )
        if (
            isinstance(source, Ref)
            and dtypes[source.name] == node.dtype
            and (node.key in _IDENTITIES or (is_view and same_shape))
        ):
            names[node.name] = source.name
        else:
            kept.append(_resolve_chunk(node, shapes))
    return replace(graph, nodes=tuple(kept), outputs=tuple(names.get(n, n) for n in graph.outputs))


def _constants_computed(graph: NodeGraph) -> NodeGraph:
    """Nodes that do not depend on the frame are computed once, now."""
    constants: dict[str, torch.Tensor] = {}
    kept = []
    for node in graph.nodes:
        node = _with_constants(node, constants)
        if node.refs() or node.name in graph.outputs:
            kept.append(node)
        else:
            with torch.no_grad():
                constants[node.name] = node.run({})
    return replace(graph, nodes=tuple(kept))


def _with_constants(node: Node, constants: dict[str, torch.Tensor]) -> Node:
    if not any(name in constants for name in node.refs()):
        return node
    return replace(
        node,
        args=substitute(node.args, lambda ref: constants.get(ref.name, ref)),
        kwargs=substitute(node.kwargs, lambda ref: constants.get(ref.name, ref)),
    )


def _without_dead(graph: NodeGraph) -> NodeGraph:
    alive = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if node.name in alive:
            kept.append(node)
            alive.update(node.refs())
    return replace(graph, nodes=tuple(reversed(kept)))


_FOLDABLE = {"aten.conv2d.default": 0, "aten.conv2d.padding": 0}


def fold_batch_norms(graph: NodeGraph) -> NodeGraph:
    """Put a batch norm that alone reads a convolution into the convolution's weights (computed in float64)."""
    by_name = {node.name: node for node in graph.nodes}
    consumers = graph.consumers()
    folded: dict[str, Node] = {}
    dropped: set[str] = set()
    for node in graph.nodes:
        if node.key != "aten.batch_norm.default" or not isinstance(node.args[0], Ref):
            continue
        conv = by_name.get(node.args[0].name)
        if conv is None or conv.key not in _FOLDABLE or consumers[conv.name] != [node.name]:
            continue
        if not isinstance(conv.args[1], torch.Tensor) or any(isinstance(a, Ref) for a in node.args[1:]):
            continue
        _, gamma, beta, mean, var, _, _, eps = node.args[:8]
        weight = conv.args[1].double()
        bias = conv.args[2].double() if len(conv.args) > 2 and conv.args[2] is not None else torch.zeros(len(weight))
        gain = 1 / torch.sqrt(var.double() + eps)
        gain = gain * gamma.double() if gamma is not None else gain
        bias = (bias - mean.double()) * gain + (beta.double() if beta is not None else 0)
        weight = weight * gain.reshape(-1, 1, 1, 1)
        dtype = conv.args[1].dtype
        args = (conv.args[0], weight.to(dtype), bias.to(dtype), *conv.args[3:])
        folded[node.name] = replace(conv, name=node.name, args=args)
        dropped.add(conv.name)
    return replace(
        graph,
        nodes=tuple(folded.get(n.name, n) for n in graph.nodes if n.name not in dropped),
    )
