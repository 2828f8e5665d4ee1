"""The traced model as a list of nodes, one ATen operator each, with its weights in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for the result of the node of that name in another node's arguments."""

    name: str


@dataclass(frozen=True, slots=True)
class Pick:
    """One result of an operator that returns several, such as the values of `max.dim`."""

    target: Callable
    index: int

    def __call__(self, *args, **kwargs):
        """Run the operator for this one of its results."""
        return self.target(*args, **kwargs)[self.index]

    def __str__(self) -> str:
        return f"{self.target}[{self.index}]"


@dataclass(frozen=True)
class Node:
    """One operator call.

    Attributes
    ----------
    args, kwargs
        As ATen takes them: `Ref` for results of other nodes, torch tensors for weights and constants, plain values.
    shape, dtype
        Of the result.
    """

    name: str
    target: Callable
    args: tuple
    kwargs: dict[str, Any]
    shape: tuple[int, ...]
    dtype: torch.dtype
    module_path: str = ""

    @property
    def key(self) -> str:
        """Name that row rules are registered under, such as `aten.conv2d.default`."""
        return str(self.target)

    @property
    def ndim(self) -> int:
        """Number of axes of the result."""
        return len(self.shape)

    def refs(self) -> list[str]:
        """Names of the nodes that it reads, each once, in order of appearance."""
        return list(dict.fromkeys(ref.name for ref in _walk((self.args, tuple(self.kwargs.values())))))

    def renamed(self, names: dict[str, str]) -> Node:
        """The node with its references renamed."""
        if not any(name in names for name in self.refs()):
            return self
        args = substitute(self.args, lambda ref: Ref(names.get(ref.name, ref.name)))
        return replace(
            self,
            args=args,
            kwargs=substitute(self.kwargs, lambda r: Ref(names.get(r.name, r.name))),
        )

    def run(self, values: dict[str, torch.Tensor]) -> torch.Tensor:
        """Compute it whole."""
        args = substitute(self.args, lambda ref: values[ref.name])
        return self.target(*args, **substitute(self.kwargs, lambda ref: values[ref.name]))


def _walk(value) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _walk(item)
    elif isinstance(value, dict):
        yield from _walk(tuple(value.values()))


def substitute(value, replace_ref: Callable[[Ref], Any]):
    """Copy of nested arguments with each `Ref` replaced."""
    if isinstance(value, Ref):
        return replace_ref(value)
    if isinstance(value, (list, tuple)):
        return type(value)(substitute(item, replace_ref) for item in value)
    if isinstance(value, dict):
        return {k: substitute(v, replace_ref) for k, v in value.items()}
    return value


@dataclass(frozen=True)
class NodeGraph:
    """Nodes in execution order, from the uint8 frame to the outputs."""

    input_name: str
    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]

    def to(self, device: torch.device) -> NodeGraph:
        """The same graph with its weights and constants on a device, made there if it makes tensors itself."""
        moved: dict[int, torch.Tensor] = {}

        def move(value):
            if isinstance(value, torch.Tensor):
                return moved.setdefault(id(value), value.to(device))
            if isinstance(value, (list, tuple)):
                return type(value)(map(move, value))
            return device if isinstance(value, torch.device) else value

        if device.type == "cpu":
            return self
        nodes = [replace(n, args=move(n.args), kwargs={k: move(v) for k, v in n.kwargs.items()}) for n in self.nodes]
        return replace(self, nodes=tuple(nodes))

    def consumers(self) -> dict[str, list[str]]:
        """Names of the nodes that read each node; an output is read by the empty name."""
        found: dict[str, list[str]] = {
            self.input_name: [],
            **{n.name: [] for n in self.nodes},
        }
        for node in self.nodes:
            for name in node.refs():
                found[name].append(node.name)
        for name in self.outputs:
            found[name].append("")
        return found

    @torch.inference_mode()
    def run(self, frame: torch.Tensor, keep: set[str] | None = None) -> dict[str, torch.Tensor]:
        """Run all nodes whole; returns the tensors named in `keep` (all when None), outputs included."""
        values = {self.input_name: frame}
        users = {name: len(names) for name, names in self.consumers().items()}
        for node in self.nodes:
            values[node.name] = node.run(values)
            for name in node.refs():
                users[name] -= 1
                if keep is not None and users[name] == 0 and name not in keep:
                    del values[name]
        return values
