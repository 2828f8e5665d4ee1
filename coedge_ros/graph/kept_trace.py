"""Traced graphs kept on disk: a worker that comes back needs neither the seconds nor the memory that tracing takes.

Only of the zoo's models as they are, whose code is ours: what a user's module does may change while its name and
weights stay. A file holds the nodes without the model's weights, which it names; it is read as plain data and tensors
(`weights_only`), and whatever cannot be read, or names what the module lacks, is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from coedge_ros.graph.ir import Node, NodeGraph, Pick, Ref

MOST_FILES = 100
_SAME = (torch.dtype, torch.device, torch.layout, torch.memory_format)


class _NotPlainError(Exception):
    """Something of a graph that is not kept."""


@cache
def _code() -> str:
    """Digest of everything that a traced graph follows from, the weights apart."""
    total = hashlib.sha256(torch.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def trace_file(
    folder: Path, spec: str, digest: str, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> Path:
    """File of the graph of a zoo model with these weights at `size` (H, W), for this code and version of torch."""
    text = repr((spec, digest, size, tuple(mean), tuple(std), _code()))
    return folder / f"trace-{hashlib.sha256(text.encode()).hexdigest()[:24]}.pt"


def read_trace(file: Path, module: nn.Module) -> NodeGraph | None:
    """The kept graph with the weights of `module`; None when there is none that can be used."""
    try:
        kept = torch.load(file, weights_only=True)
        tensors = _named(module) | {str(i): tensor for i, tensor in enumerate(kept["tensors"])}
        nodes = tuple(
            Node(
                n["name"], _target(n["target"]), _decoded(n["args"], tensors), _decoded(n["kwargs"], tensors),
                tuple(n["shape"]), _of_torch(n["dtype"]), n["path"],
            )
            for n in kept["nodes"]
        )  # fmt: skip
        shape, outputs, names = (tuple(kept[key]) for key in ("input_shape", "outputs", "output_names"))
        return NodeGraph(kept["input_name"], shape, nodes, outputs, names)
    except Exception:  # torch.load raises nearly anything
        return None


def keep_trace(file: Path, graph: NodeGraph, module: nn.Module) -> None:
    """Write a graph; what cannot be written, or not as plain data, is traced again."""
    names = {_identity(tensor): name for name, tensor in _named(module).items()}
    tensors: list[torch.Tensor] = []
    with contextlib.suppress(_NotPlainError, OSError):
        nodes = [
            {
                "name": n.name, "target": _target_name(n.target), "args": _encoded(n.args, names, tensors),
                "kwargs": _encoded(n.kwargs, names, tensors), "shape": list(n.shape), "dtype": str(n.dtype),
                "path": n.module_path,
            }
            for n in graph.nodes
        ]  # fmt: skip
        kept = {
            "input_name": graph.input_name, "input_shape": list(graph.input_shape), "outputs": list(graph.outputs),
            "output_names": list(graph.output_names), "nodes": nodes, "tensors": tensors,
        }  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        others = sorted(file.parent.glob("trace-*.pt"), key=lambda path: path.stat().st_mtime)
        for old in others[: max(0, len(others) - MOST_FILES + 1)]:
            old.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as open_file:
            torch.save(kept, open_file)
        os.replace(open_file.name, file)


def _named(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and all buffers, by names that no number can be mistaken for."""
    found = [*module.named_parameters(), *module.named_buffers()]
    return {f".{name}": tensor.detach() for name, tensor in found}


def _identity(tensor: torch.Tensor) -> tuple:
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _target_name(target: Any) -> Any:
    if isinstance(target, Pick):
        return [_target_name(target.target), target.index]
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    raise _NotPlainError


def _target(name: Any) -> Any:
    if isinstance(name, list):
        return Pick(_target(name[0]), name[1])
    space, operator, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, space), operator), overload)


def _encoded(value: Any, names: dict[tuple, str], tensors: list[torch.Tensor]) -> Any:
    """Plain data: what is no number, text or None becomes a pair of its kind and its contents."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Ref):
        return ("ref", value.name)
    if isinstance(value, torch.Tensor):
        if name := names.get(_identity(value)):
            return ("tensor", name)
        tensors.append(value.clone())
        return ("tensor", str(len(tensors) - 1))
    if isinstance(value, _SAME):
        return ("torch", str(value))
    if isinstance(value, dict):
        return ("dict", {key: _encoded(item, names, tensors) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return (kind, [_encoded(item, names, tensors) for item in value])
    raise _NotPlainError


def _decoded(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, tuple):
        return value
    kind, found = value
    if kind == "ref":
        return Ref(found)
    if kind == "tensor":
        return tensors[found]
    if kind == "torch":
        return _of_torch(found)
    if kind == "dict":
        return {key: _decoded(item, tensors) for key, item in found.items()}
    items = [_decoded(item, tensors) for item in found]
    return items if kind == "list" else tuple(items)


def _of_torch(name: str) -> Any:
    """What `str` made text of: `torch.float32`, `torch.strided`, `cpu`."""
    return getattr(torch, name.removeprefix("torch.")) if name.startswith("torch.") else torch.device(name)
