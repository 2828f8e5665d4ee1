"""Convolution and activation in one kernel, addition and relu in one buffer: a memory pass less for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from coedge_ros.graph.composites import Composite
from coedge_ros.graph.ir import Node, NodeGraph, Ref

HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


@dataclass(frozen=True, slots=True)
class ConvActivation:
    """A convolution followed by an activation, in the place of an ATen operator.

    On CPU it is oneDNN's fused kernel, which torch.compile uses too; elsewhere the two operators one after the other.

    Attributes
    ----------
    attribute, scalars, algorithm
        oneDNN's name of the activation and its numbers.
    activation : callable
        The activation alone.
    """

    attribute: str
    scalars: tuple[float, ...]
    algorithm: str
    activation: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
        """Run it, with the arguments of `aten.conv2d` and sizes as pairs."""
        if HAS_ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32:
            return torch.ops.mkldnn._convolution_pointwise(
                x, weight, bias, padding, stride, dilation, groups, self.attribute, self.scalars, self.algorithm
            )
        return self.activation(F.conv2d(x, weight, bias, stride, padding, dilation, groups))

    def __str__(self) -> str:
        return f"coedge.conv2d_{self.attribute}"


def _number(node: Node, position: int, default):
    value = node.args[position] if len(node.args) > position else default
    return float(value) if isinstance(value, (int, float)) else None


def _activation(node: Node) -> ConvActivation | None:
    """The fused form of an activation node; None for what oneDNN does not fuse."""
    key = node.key
    rest = node.args[1:]
    alone = lambda x: node.target(x, *rest)  # noqa: E731
    if node.kwargs and key != "aten.gelu.default":
        return None
    simple = {
        "aten.relu.default": "relu", "aten.silu.default": "swish", "aten.hardswish.default": "hardswish",
        "aten.hardsigmoid.default": "hardsigmoid", "aten.sigmoid.default": "sigmoid", "aten.tanh.default": "tanh",
    }  # fmt: skip
    if key in simple:
        return ConvActivation(simple[key], (), "", alone)
    if key == "aten.relu6.default":
        return ConvActivation("hardtanh", (0.0, 6.0), "", alone)
    if key in ("aten.hardtanh.default", "aten.clamp.default"):
        low, high = _number(node, 1, -1.0), _number(node, 2, 1.0 if "hardtanh" in key else None)
        return None if low is None or high is None else ConvActivation("hardtanh", (low, high), "", alone)
    if key == "aten.leaky_relu.default":
        return ConvActivation("leaky_relu", (_number(node, 1, 0.01),), "", alone)
    if key == "aten.gelu.default":
        approximate = node.kwargs.get("approximate", "none")
        return ConvActivation("gelu", (), approximate, lambda x: F.gelu(x, approximate=approximate))
    return None


def _add_relu(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.add(a, b).relu_()


ADD_RELU = Composite("coedge.add_relu", _add_relu)
ATTRIBUTES = ("relu", "swish", "hardswish", "hardsigmoid", "sigmoid", "tanh", "hardtanh", "leaky_relu", "gelu")


def fuse_activations(graph: NodeGraph) -> NodeGraph:
    """Put an activation that alone reads a convolution, or a relu that alone reads an addition, into it."""
    by_name = {node.name: node for node in graph.nodes}
    consumers = graph.consumers()
    fused: dict[str, Node] = {}
    dropped: set[str] = set()
    for node in graph.nodes:
        source = by_name.get(node.args[0].name) if node.args and isinstance(node.args[0], Ref) else None
        if source is None or consumers[source.name] != [node.name] or node.shape != source.shape or node.ndim != 4:
            continue
        if source.key == "aten.conv2d.default" and isinstance(source.args[1], torch.Tensor) and not source.kwargs:
            target, args = _activation(node), _conv_args(source)
        elif _is_plain_add(source) and node.key == "aten.relu.default":
            target, args = ADD_RELU, source.args
        else:
            continue
        if target is not None and node.dtype == torch.float32:
            path = source.module_path or node.module_path
            fused[node.name] = replace(node, target=target, args=args, kwargs={}, module_path=path)
            dropped.add(source.name)
    return replace(graph, nodes=tuple(fused.get(n.name, n) for n in graph.nodes if n.name not in dropped))


def _is_plain_add(node: Node) -> bool:
    tensors = len(node.args) == 2 and all(isinstance(a, Ref) for a in node.args)
    return node.key == "aten.add.Tensor" and tensors and not node.kwargs


def _conv_args(node: Node) -> tuple:
    """All seven arguments of a convolution, sizes as pairs, the weight channels-last as its maps are."""
    defaults = (None, None, None, (1, 1), (0, 0), (1, 1), 1)
    x, weight, bias, stride, padding, dilation, groups = (*node.args, *defaults[len(node.args) :])
    pairs = [(v, v) if isinstance(v, int) else tuple(v) * (2 // len(v)) for v in (stride, padding, dilation)]
    return (x, weight.contiguous(memory_format=torch.channels_last), bias, *pairs, groups)
