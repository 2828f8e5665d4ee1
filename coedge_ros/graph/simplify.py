"""Make the traced graph smaller and cheaper without changing what it computes."""

from __future__ import annotations

from dataclasses import replace

import torch

from coedge_ros.graph.channel_mean import join_channel_means
from coedge_ros.graph.composites import split_norms
from coedge_ros.graph.flat_linear import split_flat_linears
from coedge_ros.graph.fuse import fuse_activations
from coedge_ros.graph.ir import Node, NodeGraph, Ref, substitute
from coedge_ros.graph.rewrite import argument, reduce_unflattened, rewrite

_IDENTITIES = {
    "aten.clone.default", "aten.alias.default", "aten.detach.default", "aten.contiguous.default",
    "aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default", "aten.detach_.default",
    "aten.lift_fresh_copy.default", "aten.lift_fresh.default", "aten._to_copy.default", "aten.to.dtype",
    "aten.to.device", "aten.to.dtype_layout",
}  # fmt: skip


_RESHAPES = {"aten.reshape.default", "aten.expand.default"}


def simplify(graph: NodeGraph) -> NodeGraph:
    """Spell operators plainly, drop what does nothing, compute constants, fold batch norms, drop dead nodes."""
    graph = _constants_computed(_without_identities(rewrite(graph)))
    graph = _without_dead(reduce_unflattened(_without_dead(graph)))
    graph = join_channel_means(fold_batch_norms(graph))
    graph = _without_dead(split_flat_linears(_without_dead(graph)))
    return fuse_activations(split_norms(graph))


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
        if (
            isinstance(source, Ref)
            and dtypes[source.name] == node.dtype
            and (node.key in _IDENTITIES or (node.key in _RESHAPES and same_shape))
        ):
            names[node.name] = source.name
        else:
            kept.append(node)
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


_FOLDABLE = {"aten.conv2d.default": 0, "aten.conv2d.padding": 0, "aten.conv_transpose2d.input": 1}


def fold_batch_norms(graph: NodeGraph) -> NodeGraph:
    """Put a batch norm that alone reads a convolution into the convolution's weights (computed in float64).

    Each output channel is scaled and shifted as before, so the answer changes by rounding only; a batch norm whose
    scaled weights leave the range of float32 stays as it is.
    """
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
        if (made := _folded(conv, node)) is not None:
            folded[node.name] = made
            dropped.add(conv.name)
    return replace(
        graph,
        nodes=tuple(folded.get(n.name, n) for n in graph.nodes if n.name not in dropped),
    )


def _folded(conv: Node, norm: Node) -> Node | None:
    """The convolution with the batch norm in it, under the batch norm's name; None where that cannot be."""
    axis = _FOLDABLE[conv.key]  # of the output channels
    weight, bias = conv.args[1], conv.args[2] if len(conv.args) > 2 else None
    _, gamma, beta, mean, var, _, _, eps = norm.args[:8]
    groups = argument(conv, 6, "groups", 1)
    if any(isinstance(a, Ref) for a in (weight, bias, *norm.args[1:])) or norm.args[5] or var is None:
        return None
    if axis == 1 and groups != 1:
        return None
    gain = 1 / torch.sqrt(var.double() + eps)
    gain = gain if gamma is None else gain * gamma.double()
    shift = -mean.double() if bias is None else bias.double() - mean.double()
    shift = shift * gain if beta is None else shift * gain + beta.double()
    shape = [1] * weight.ndim
    shape[axis] = -1
    scaled = (weight.double() * gain.reshape(shape)).to(weight.dtype)
    shift = shift.to(weight.dtype)
    if not (scaled.isfinite().all() and shift.isfinite().all()):
        return None
    return replace(conv, name=norm.name, args=(conv.args[0], scaled, shift, *conv.args[3:]))
