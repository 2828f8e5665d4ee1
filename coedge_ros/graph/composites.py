"""Operators that ATen spells as one and that bands need as two: statistics, which are combined, and their use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from coedge_ros.graph.ir import Node, NodeGraph, Ref


@dataclass(frozen=True, slots=True)
class Composite:
    """A function of ours in the place of an ATen operator."""

    name: str
    function: Callable

    def __call__(self, *args):
        """Run it."""
        return self.function(*args)

    def __str__(self) -> str:
        return self.name


def _norm_stats(x: torch.Tensor, groups: int, eps: float) -> torch.Tensor:
    """`(2, N, groups)`: mean, and 1 / sqrt(variance + eps), of each group of channels."""
    flat = x.reshape(x.shape[0], groups, -1)
    var, mean = torch.var_mean(flat, dim=-1, correction=0)
    return torch.stack((mean, torch.rsqrt(var + eps)))


def _normalize(x: torch.Tensor, stats: torch.Tensor, groups: int, weight, bias) -> torch.Tensor:
    """`(x - mean) * rstd * weight + bias` with the statistics of each channel's group."""
    mean, rstd = stats.repeat_interleave(x.shape[1] // groups, dim=2)
    scale = rstd if weight is None else rstd * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (*scale.shape, *([1] * (x.ndim - 2)))
    return torch.addcmul(shift.reshape(shape), x, scale.reshape(shape))


NORM_STATS = Composite("coedge.norm_stats", _norm_stats)
NORMALIZE = Composite("coedge.normalize", _normalize)


def split_norms(graph: NodeGraph) -> NodeGraph:
    """Write each group or instance norm as statistics and their use."""
    nodes: list[Node] = []
    for node in graph.nodes:
        parts = _parts(node)
        if parts is None:
            nodes.append(node)
            continue
        x, groups, weight, bias, eps = parts
        name = f"{node.name}_stats"
        stats_shape = (2, node.shape[0], groups)
        nodes.append(Node(name, NORM_STATS, (x, groups, eps), {}, stats_shape, node.dtype, node.module_path))
        nodes.append(replace(node, target=NORMALIZE, args=(x, Ref(name), groups, weight, bias), kwargs={}))
    return replace(graph, nodes=tuple(nodes))


def _parts(node: Node):
    args = node.args
    if node.ndim != 4 or not args or not isinstance(args[0], Ref):
        return None
    if node.key == "aten.group_norm.default":
        x, groups, weight, bias, eps = (*args, None, None, 1e-5)[:5] if len(args) < 5 else args[:5]
        return x, groups, weight, bias, 1e-5 if eps is None else eps
    if node.key == "aten.instance_norm.default" and args[5]:
        return args[0], node.shape[1], args[1], args[2], args[7]
    return None
