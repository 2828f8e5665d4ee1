"""A linear layer over a flattened map, as AlexNet and VGG have: bands multiply their rows, and sums are combined.

`W flatten(x) = sum over rows h of W[:, :, h, :] x[:, :, h, :]`. Each worker multiplies the rows that it owns: one
vector per worker travels instead of the last map, and the largest layer of those models is shared among the workers.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from coedge_ros.graph.composites import Composite
from coedge_ros.graph.ir import Node, NodeGraph, Ref
from coedge_ros.graph.rewrite import argument

aten = torch.ops.aten


def _linear_by_row(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`(N, O, H)`: the part of each row in the answer; `x` is `(N, C, H, W)`, `weight` `(H, O, C * W)`."""
    batch, _, height, _ = x.shape
    rows = x.permute(2, 0, 1, 3).reshape(height, batch, -1)
    return torch.bmm(rows, weight.transpose(1, 2)).permute(1, 2, 0)


LINEAR_BY_ROW = Composite("coedge.linear_by_row", _linear_by_row)


def split_flat_linears(graph: NodeGraph) -> NodeGraph:
    """Write each linear layer that reads a flattened map as products row by row, their sum, and the bias."""
    by_name = {node.name: node for node in graph.nodes}
    shapes = {graph.input_name: graph.input_shape, **{node.name: node.shape for node in graph.nodes}}
    consumers = graph.consumers()
    nodes: list[Node] = []
    for node in graph.nodes:
        flat = _flattened(node, by_name, shapes)
        if flat is None or any(
            user not in by_name or _flattened(by_name[user], by_name, shapes) is None for user in consumers[flat.name]
        ):
            nodes.append(node)
        else:
            nodes += _by_row(node, flat.args[0], shapes[flat.args[0].name])
    return replace(graph, nodes=tuple(nodes))


def _flattened(node: Node, by_name: dict[str, Node], shapes: dict[str, tuple[int, ...]]) -> Node | None:
    """The node that flattens the map which `node`, a linear layer, reads; None when it is none or reads none."""
    if node.key != "aten.linear.default" or not isinstance(node.args[0], Ref):
        return None
    flat = by_name.get(node.args[0].name)
    if flat is None or flat.key != "aten.reshape.default" or not isinstance(flat.args[0], Ref):
        return None
    before = shapes[flat.args[0].name]
    is_map = len(before) == 4 and before[2] > 1 and flat.shape == (before[0], before[1] * before[2] * before[3])
    return flat if is_map and isinstance(node.args[1], torch.Tensor) else None


def _by_row(node: Node, source: Ref, shape: tuple[int, ...]) -> list[Node]:
    batch, channels, height, width = shape
    weight, bias = node.args[1], argument(node, 2, "bias")
    outputs = weight.shape[0]
    by_row = weight.reshape(outputs, channels, height, width).permute(2, 0, 1, 3).reshape(height, outputs, -1)
    rows, total = f"{node.name}_rows", node.name if bias is None else f"{node.name}_sum"
    path = node.module_path
    nodes = [
        Node(rows, LINEAR_BY_ROW, (source, by_row), {}, (batch, outputs, height), node.dtype, path),
        Node(total, aten.sum.dim_IntList, (Ref(rows), [2]), {}, node.shape, node.dtype, path),
    ]
    if bias is not None:
        nodes.append(replace(node, target=aten.add.Tensor, args=(Ref(total), bias), kwargs={}))
    return nodes
