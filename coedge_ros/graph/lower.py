"""From nodes to a partitioned model: every operator gets its row rule and its placement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import nn

from coedge_ros.errors import ModelError
from coedge_ros.graph.digest import model_digest
from coedge_ros.graph.ir import Node, NodeGraph, Ref
from coedge_ros.graph.kept_trace import keep_trace, read_trace
from coedge_ros.graph.rules import (  # noqa: F401
    convolution,
    flat_linear,
    pointwise,
    pooling,
    reduction,
    resample,
    shape,
)
from coedge_ros.graph.rules.registry import RULES, Lowered, Value
from coedge_ros.graph.simplify import simplify
from coedge_ros.graph.trace import PixelInput, trace
from coedge_ros.graph.whole import refuse_gathered
from coedge_ros.spec.graph import Kind, ModelGraph, Operand, Operator, Placement
from coedge_ros.spec.tensors import TensorSpec

CPU = torch.device("cpu")


@dataclass(frozen=True)
class PartitionedModel:
    """A traced model: the torch-free graph that plans are made of, and what runs it.

    Attributes
    ----------
    graph : ModelGraph
        Operators with placements and row accesses.
    nodes : NodeGraph
        The same operators as torch calls, for running them whole.
    lowered : dict of str to Lowered
        Row rules of the trunk operators.
    device : torch.device
        Where its weights are, and where it computes.
    """

    graph: ModelGraph
    nodes: NodeGraph
    lowered: dict[str, Lowered]
    device: torch.device = CPU

    def node(self, name: str) -> Node:
        """Torch call of an operator."""
        return self._by_name[name]

    def __post_init__(self):
        object.__setattr__(self, "_by_name", {node.name: node for node in self.nodes.nodes})


def partition_model(
    module: nn.Module,
    height: int,
    width: int,
    *,
    mean: Sequence[float] = (0, 0, 0),
    std: Sequence[float] = (1, 1, 1),
    digest: str | None = None,
    strict: bool = False,
    device: torch.device = CPU,
    kept: Path | None = None,
) -> PartitionedModel:
    """Trace a model at one input size and find the row rule of every operator.

    Parameters
    ----------
    module : nn.Module
        Takes a normalised float32 frame `(1, 3, height, width)`.
    mean, std : sequence of float
        Normalisation, per channel, of pixels scaled to [0, 1].
    digest : str, optional
        sha256 of the weights when it is already known.
    strict : bool
        Refuse a model in which an operator needs a whole map; a pooled head does not.
    device : torch.device
        Where it is to compute; `module` itself is on the CPU.
    kept : Path, optional
        File of the traced graph (see `trace_file`): read when it is there, written when it is not.

    Raises
    ------
    ModelError
        When torch.export cannot trace it, nothing can be split, or `strict` refuses.
    """
    whole = PixelInput(module, mean, std).eval()
    nodes = read_trace(kept, whole) if kept and kept.exists() else None
    if nodes is None:
        nodes = trace(whole, height, width)
        if kept:
            keep_trace(kept, nodes, whole)
    return partition_nodes(nodes, digest or model_digest(module), strict=strict, device=device)


def partition_nodes(
    nodes: NodeGraph, digest: str, *, strict: bool = False, device: torch.device = CPU
) -> PartitionedModel:
    """Simplify a traced graph and find the row rule of every operator; see `partition_model`."""
    model = replace(lower(simplify(nodes).to(device), digest), device=device)
    if model.graph.trunk_length == 0 or model.graph.trunk_macs == 0:
        why = f" ({model.graph.notices[0]})" if model.graph.notices else ""
        raise ModelError(f"no convolution of this model can be split by rows{why}: run it whole on one worker")
    if strict:
        refuse_gathered(model.graph)
    return model


def lower(nodes: NodeGraph, digest: str) -> PartitionedModel:
    """Give every node of a traced graph its row rule and placement."""
    frame = TensorSpec(nodes.input_name, nodes.input_shape, "uint8", 2)
    values = {frame.name: Value(frame, Placement.SHARDED)}
    lowered: dict[str, Lowered] = {}
    gathers: dict[str, Node] = {}
    for node in nodes.nodes:
        operands = {name: values[name] for name in node.refs()}
        placements = {v.placement for v in operands.values()}
        found = None
        if Placement.HEAD not in placements and Placement.SHARDED in placements:
            rule = RULES.get(node.key)
            found = rule(node, operands) if rule else None
            if found is None:
                gathers[node.name] = node
        if found is not None:
            lowered[node.name] = found
            placement = Placement.REPLICATED if found.kind is Kind.REDUCE else Placement.SHARDED
        else:
            placement = Placement.REPLICATED if placements == {Placement.REPLICATED} else Placement.HEAD
        values[node.name] = Value(_spec(node, found), placement)
    operators = _operators(nodes, values, lowered)
    graph = ModelGraph(
        input=frame,
        operators=tuple(sorted(operators, key=lambda op: not op.is_trunk)),
        outputs=nodes.outputs,
        output_names=nodes.output_names,
        digest=digest,
        notices=_notices(operators, gathers),
    )
    return PartitionedModel(graph, nodes, lowered)


def _spec(node: Node, found: Lowered | None) -> TensorSpec:
    return TensorSpec(node.name, node.shape, str(node.dtype).removeprefix("torch."), found.row_axis if found else None)


def _operators(nodes: NodeGraph, values: dict[str, Value], lowered: dict[str, Lowered]) -> list[Operator]:
    """Operators with their final placement: what no band reads is computed on the head worker only."""
    read_by_bands: set[str] = set()
    shapes = {name: value.spec.shape for name, value in values.items()}
    operators = []
    for node in reversed(nodes.nodes):
        found, placement = lowered.get(node.name), values[node.name].placement
        if placement is Placement.REPLICATED and node.name not in read_by_bands:
            placement = Placement.HEAD
        if placement is not Placement.HEAD and not (found and found.kind is Kind.REDUCE):
            read_by_bands.update(node.refs())
        if found is None:
            kind = Kind.GATHER if any(values[n].placement is Placement.SHARDED for n in node.refs()) else Kind.WHOLE
            operands = tuple(Operand(name, None) for name in node.refs())
        else:
            kind, operands = found.kind, found.operands
        operators.append(
            Operator(
                output=values[node.name].spec,
                kind=kind,
                placement=placement,
                operands=operands,
                target=node.key.split(".")[1],
                module_path=node.module_path,
                macs=_macs(node, shapes),
                partial=found.partial if found else None,
                weight_bytes=sum(a.nbytes for a in node.args if isinstance(a, torch.Tensor)),
            )
        )
    return operators[::-1]


def _macs(node: Node, shapes: dict[str, tuple[int, ...]]) -> int:
    """Multiply-accumulates of convolutions and matrix products, as torch.utils.flop_counter counts them (times two)."""
    name = node.key.split(".")[1]
    if name in ("conv1d", "conv3d") or name.startswith("conv2d"):
        return prod(node.shape) * prod(node.args[1].shape[1:])
    if name.startswith("conv_transpose"):  # every input value meets the whole kernel
        return prod(shapes[node.args[0].name]) * prod(node.args[1].shape[1:])
    if name in ("linear", "linear_by_row"):
        return prod(node.shape) * node.args[1].shape[-1]
    if name in ("matmul", "mm", "bmm", "addmm", "baddbmm"):
        left = _shape([a for a in node.args if isinstance(a, (Ref, torch.Tensor))][-2], shapes)
        return prod(node.shape) * left[-1]
    if name.startswith("scaled_dot_product") or name.startswith("_scaled_dot_product"):
        query, key, value = (_shape(a, shapes) for a in node.args[:3])
        return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
    return 0


def _shape(value: Ref | torch.Tensor, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    return shapes[value.name] if isinstance(value, Ref) else tuple(value.shape)


def _notices(operators: list[Operator], gathers: dict[str, Node]) -> tuple[str, ...]:
    """One line for each gathered operator with convolutions behind it: what a user would want to know."""
    heavy: dict[str, int] = {}
    for op in reversed(operators):
        users = [u for u in operators if any(o.tensor == op.name for o in u.operands)]
        heavy[op.name] = max([heavy[u.name] for u in users], default=0) + (op.macs if "conv" in op.target else 0)
    return tuple(
        f"{op.target} at {op.module_path or 'the top'} needs the whole map: it and what reads it run on one worker"
        for op in operators
        if op.name in gathers and heavy[op.name] > 0
    )
