"""The mean over neighbouring channels in local response norm, which export spells as a three-dimensional pooling.

`view -> pad -> avg_pool3d -> squeeze` is one operator here: sums of shifted channels take a tenth of the time.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional as F

from coedge_ros.graph.composites import Composite
from coedge_ros.graph.ir import Node, NodeGraph, Ref
from coedge_ros.graph.rewrite import argument


def _channel_mean(x: torch.Tensor, size: int, before: int) -> torch.Tensor:
    """Mean of `size` channels, beginning `before` channels before each, zeros beyond the ends; `(N, C, H, W)`."""
    channels = x.shape[1]
    padded = F.pad(x.permute(0, 2, 3, 1), (before, size - 1 - before))
    total = padded[..., :channels] + padded[..., size - 1 : size - 1 + channels]
    for k in range(1, size - 1):
        total += padded[..., k : k + channels]
    return total.mul_(1 / size).permute(0, 3, 1, 2)


CHANNEL_MEAN = Composite("coedge.channel_mean", _channel_mean)


def join_channel_means(graph: NodeGraph) -> NodeGraph:
    """Write each such chain as one operator, under the name of its last node."""
    by_name = {node.name: node for node in graph.nodes}
    shapes = {graph.input_name: graph.input_shape, **{node.name: node.shape for node in graph.nodes}}
    return replace(graph, nodes=tuple(_joined(node, by_name, shapes) or node for node in graph.nodes))


def _joined(node: Node, by_name: dict[str, Node], shapes: dict[str, tuple[int, ...]]) -> Node | None:
    if node.key not in ("aten.squeeze.dim", "aten.reshape.default") or node.dtype != torch.float32:
        return None
    pool = _source(node, by_name, "aten.avg_pool3d.default")
    pad = _source(pool, by_name, "aten.pad.default", "aten.constant_pad_nd.default")
    view = _source(pad, by_name, "aten.reshape.default", "aten.unsqueeze.default")
    if view is None or not isinstance(view.args[0], Ref):
        return None
    x = view.args[0]
    size, padding = pool.args[1][0], list(pad.args[1])
    is_mean_over_channels = (
        len(shapes[x.name]) == 4
        and node.shape == shapes[x.name]
        and view.shape == (node.shape[0], 1, *node.shape[1:])
        and list(pool.args[1]) == [size, 1, 1]
        and size > 1
        and set(argument(pool, 2, "stride", [])) == {1}
        and not any(argument(pool, 3, "padding", [0]))
        and argument(pool, 6, "divisor_override") is None
        and padding[:4] == [0, 0, 0, 0]
        and sum(padding[4:]) == size - 1
        and len(padding) == 6
        and argument(pad, 2, "mode", "constant") in ("constant", 0)
        and not argument(pad, 3, "value", 0)
    )
    if not is_mean_over_channels:
        return None
    return replace(node, target=CHANNEL_MEAN, args=(x, size, padding[4]), kwargs={})


def _source(node: Node | None, by_name: dict[str, Node], *keys: str) -> Node | None:
    source = by_name.get(node.args[0].name) if node is not None and isinstance(node.args[0], Ref) else None
    return source if source is not None and source.key in keys else None
