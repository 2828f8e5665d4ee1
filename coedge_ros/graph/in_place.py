"""Operators that write into their operand, as `relu_`, as ones that make a new tensor.

That is right where nobody looks at the memory through a view afterwards, which holds for the activations and additions
of the usual nets. Other graphs go through torch's own functionalization, which takes seconds for a deep net.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import fx

# They return their operand itself at inference, which the schemas of dropout do not say.
_THE_SAME = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "detach", "alias")


@dataclass(frozen=True, slots=True)
class InPlace:
    """An in-place call: the operator that makes a new tensor, and other names of the old one, which now mean it."""

    target: Callable
    names: tuple[str, ...]


def plain_in_place(graph: fx.Graph) -> dict[str, InPlace] | None:
    """In-place calls of an exported graph by node name; None where one of them must be left to torch."""
    nodes = list(graph.nodes)
    last_use = {source: index for index, node in enumerate(nodes) for source in node.all_input_nodes}
    memory: dict[fx.Node, set[fx.Node]] = {}  # nodes that may share memory
    same: dict[fx.Node, fx.Node] = {}  # nodes that are another one under a new name: which
    found: dict[str, InPlace] = {}
    for index, node in enumerate(nodes):
        schema = getattr(node.target, "_schema", None)
        memory[node], same[node] = {node}, node
        if schema is None:
            if node.op == "call_function":  # one result of several: shares what they share
                _join(memory, node, node.all_input_nodes)
            continue
        name = schema.name.split("::")[1]
        if schema.is_mutable:
            target = _out_of_place(node)
            written = node.args[0] if node.args else None
            if target is None or not isinstance(written, fx.Node) or same[written].op != "call_function":
                return None
            names = {n for n in memory[written] if same[n] is same[written]}
            if any(last_use.get(other, -1) > index for other in memory[written] - names):
                return None
            found[node.name] = InPlace(target, tuple(n.name for n in names))
            same[node] = same[written]
            _join(memory, node, [written])
        elif name in _THE_SAME:
            same[node] = same[node.args[0]]
            _join(memory, node, node.all_input_nodes)
        elif any(r.alias_info is not None for r in schema.returns):
            _join(memory, node, node.all_input_nodes)
    return found


def _join(memory: dict[fx.Node, set[fx.Node]], node: fx.Node, sources: list[fx.Node]) -> None:
    """Put a node and what it may share memory with into one set."""
    joined = memory[node].union(*(memory[source] for source in sources))
    for member in joined:
        memory[member] = joined


def _out_of_place(node: fx.Node) -> Callable | None:
    """The operator of the same name without the underscore, if it makes a tensor like the operand."""
    name, overload = str(node.target).split(".")[1:]
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None)
    target = getattr(packet, overload, None) if name.endswith("_") and not name.startswith("_") else None
    if target is None or not node.args or not isinstance(node.args[0], fx.Node):
        return None
    before, after = node.args[0].meta.get("val"), node.meta.get("val")
    if not isinstance(before, torch.Tensor) or not isinstance(after, torch.Tensor):
        return None
    same = before.shape == after.shape and before.dtype == after.dtype
    return target if same and _keeps_type(node) else None


def _keeps_type(node: fx.Node) -> bool:
    """Whether the operator without underscore makes that type too: not so for `int.add(float)`."""
    dtype = node.meta["val"].dtype
    operands = [a.meta.get("val") for a in node.all_input_nodes]
    return dtype.is_floating_point and all(torch.promote_types(dtype, o.dtype) == dtype for o in operands)
