"""From a torch module to nodes: `torch.export` at a fixed input size."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils import _pytree as pytree

from coedge_ros.errors import ModelError
from coedge_ros.graph.blame import first_line, line_of_error, line_of_text, quiet
from coedge_ros.graph.in_place import InPlace, plain_in_place
from coedge_ros.graph.ir import Node, NodeGraph, Pick, Ref

INPUT = "frame"


class PixelInput(nn.Module):
    """A model that starts from uint8 pixels: normalisation is the graph's first operator, on the worker.

    Parameters
    ----------
    model : nn.Module
        Takes normalised float32 `(1, 3, H, W)`.
    mean, std : sequence of float
        Per channel, for pixels scaled to [0, 1].
    """

    def __init__(
        self,
        model: nn.Module,
        mean: Sequence[float] = (0, 0, 0),
        std: Sequence[float] = (1, 1, 1),
    ):
        super().__init__()
        self.model = model
        # x / 255 / std - mean / std as one multiplication and one addition per pixel
        std_ = torch.tensor(std, dtype=torch.float64)
        self.register_buffer("gain", (1 / (255 * std_)).float().reshape(1, -1, 1, 1))
        self.register_buffer(
            "bias",
            (-torch.tensor(mean, dtype=torch.float64) / std_).float().reshape(1, -1, 1, 1),
        )

    def forward(self, frame: torch.Tensor):
        """Outputs of the model for a uint8 frame `(1, 3, H, W)`."""
        return self.model(frame.to(torch.float32) * self.gain + self.bias)


def trace(module: nn.Module, height: int, width: int, channels: int = 3) -> NodeGraph:
    """Trace a module that takes a uint8 frame `(1, channels, height, width)`, usually a `PixelInput`.

    The operators are those that the user wrote, one by one: batch norms are not folded, nothing is left out. This is
    what banded results are compared with; `simplify` makes what bands run. Both name their tensors alike.

    Raises
    ------
    ModelError
        When torch.export cannot follow the model; the message names the line or operator.
    """
    frame = torch.zeros(1, channels, height, width, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.no_grad(), quiet():
            warnings.simplefilter("ignore")
            exported = torch.export.export(module.eval(), (frame,))
            in_place = plain_in_place(exported.graph)
            if in_place is None:
                exported = exported.run_decompositions({})  # takes as long as the export itself
    except Exception as error:  # torch.export raises nearly anything
        raise ModelError(_explain(error, height, width)) from error
    return _nodes_of(exported, in_place or {})


def _explain(error: Exception, height: int, width: int) -> str:
    where = f" at {line}" if (line := line_of_error(error) or line_of_text(str(error))) else ""
    return (
        f"torch.export cannot trace the model at {height}x{width}: {first_line(error)}{where}; "
        "check that the input size fits, and rewrite what depends on the values of the image and not on its size"
    )


def _refuse_unknown_size(item: torch.fx.Node, value: object) -> None:
    """A result whose size depends on the image has no rows that a plan could name."""
    found = value if isinstance(value, (list, tuple)) else [value]
    sizes = [n for v in found if isinstance(v, torch.Tensor) for n in v.shape]
    if all(isinstance(n, int) for n in sizes) and not any(isinstance(v, torch.SymInt) for v in found):
        return
    where = line_of_text(item.meta.get("stack_trace") or "")
    raise ModelError(
        f"{item.target} at {_path_of(item) or 'the top'} makes a result whose size depends on the values of the image"
        f"{' (' + where + ')' if where else ''}: end the model before it, and do it with what the model answers"
    )


def _nodes_of(exported: torch.export.ExportedProgram, in_place: dict[str, InPlace]) -> NodeGraph:
    constants = _constants_of(exported)
    values: dict[
        str, object
    ] = {}  # what a graph node's name stands for: a Ref, a constant, or a node with several results
    nodes: list[Node] = []
    outputs: list[str] = []
    for item in exported.graph.nodes:
        if item.op == "placeholder":
            values[item.name] = constants.get(item.name, Ref(INPUT))
        elif item.op == "get_attr":
            values[item.name] = getattr(exported.graph_module, item.target)
        elif item.op == "output":
            flat, _ = pytree.tree_flatten(item.args[0])
            outputs = [_output_name(values, node) for node in flat if node is not None]
        elif item.target is operator.getitem:
            source, index = item.args
            parent = values[source.name]
            nodes.append(
                _node(
                    item,
                    Pick(parent.target, index),
                    parent.args,
                    parent.kwargs,
                    item.meta["val"],
                )
            )
            values[item.name] = Ref(item.name)
        else:
            _refuse_unknown_size(item, item.meta.get("val"))
            args = pytree.tree_map_only(torch.fx.Node, lambda n: values[n.name], tuple(item.args))
            kwargs = pytree.tree_map_only(torch.fx.Node, lambda n: values[n.name], dict(item.kwargs))
            value = item.meta.get("val")
            if item.name in in_place:
                nodes.append(_node(item, in_place[item.name].target, args, kwargs, value))
                values.update(dict.fromkeys((item.name, *in_place[item.name].names), Ref(item.name)))
            elif isinstance(value, torch.Tensor):
                nodes.append(_node(item, item.target, args, kwargs, value))
                values[item.name] = Ref(item.name)
            elif isinstance(value, (list, tuple)):  # split, chunk, max.dim: its getitems become the nodes
                values[item.name] = Node(item.name, item.target, args, kwargs, (), torch.float32)
    shape = (1, *_input_shape(exported))
    return NodeGraph(
        INPUT,
        shape,
        tuple(nodes),
        tuple(outputs),
        _names_of_outputs(exported, len(outputs)),
    )


def _output_name(values, node) -> str:
    value = values.get(getattr(node, "name", None))
    if not isinstance(value, Ref):
        raise ModelError(f"the model returns {node}, which does not depend on the frame: return tensors only")
    return value.name


def _path_of(item: torch.fx.Node) -> str:
    """Module of the user's model that an operator came from; empty for the model itself."""
    stack = item.meta.get("nn_module_stack") or {}
    path = list(stack.values())[-1][0] if stack else ""
    path = path.removeprefix("L['self'].").removeprefix("model.")
    return "" if path == "model" else path


def _node(item, target, args, kwargs, value) -> Node:
    return Node(
        item.name,
        target,
        args,
        kwargs,
        tuple(value.shape),
        value.dtype,
        _path_of(item),
    )


def _constants_of(exported) -> dict[str, torch.Tensor]:
    found = {}
    for spec in exported.graph_signature.input_specs:
        kind = spec.kind.name
        if kind in ("PARAMETER", "BUFFER"):
            table = exported.state_dict if spec.persistent is not False else exported.constants
            found[spec.arg.name] = table[spec.target].detach()
        elif kind == "CONSTANT_TENSOR":
            found[spec.arg.name] = exported.constants[spec.target].detach()
    return found


def _input_shape(exported) -> tuple[int, ...]:
    user = exported.graph_signature.user_inputs[0]
    node = next(n for n in exported.graph.nodes if n.name == user)
    return tuple(node.meta["val"].shape[1:])


def _names_of_outputs(exported, count: int) -> tuple[str, ...]:
    if count == 1:
        return ("output",)
    tree = pytree.tree_unflatten(list(range(exported.call_spec.out_spec.num_leaves)), exported.call_spec.out_spec)
    paths = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    names = tuple(p.strip("[]'\"").replace("']['", ".") or f"output_{i}" for i, p in enumerate(paths))
    return names if len(names) == count else tuple(f"output_{i}" for i in range(count))
