"""Put the weights of a file into a module, or say exactly why they do not fit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from coedge_ros.errors import ModelError

_SHOWN = 3


def load_weights(module: nn.Module, path: Path, name: str) -> None:
    """Load a `.safetensors` or state_dict file into `module`, in place.

    Raises
    ------
    ModelError
        If the file is missing, is not plain tensors, or its names or shapes are not the module's; the message counts
        what does not fit and names the first few. The module is then unchanged.
    """
    found = read_weights(path)
    wanted = module.state_dict(keep_vars=True)
    # Batch norm counts its training steps in a tensor that inference never reads and that many files leave out.
    missing = [key for key in wanted if key not in found and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in found if key not in wanted]
    reshaped = [
        f"{key} {tuple(found[key].shape)} in the file, {tuple(wanted[key].shape)} in the model"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    problems = [
        f"{len(keys)} {kind} ({'; '.join(keys[:_SHOWN])}{'; ...' if len(keys) > _SHOWN else ''})"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if keys
    ]
    if problems:
        raise ModelError(f"the weights in {path} do not fit {name}: {', '.join(problems)}")
    module.load_state_dict(found, strict=False)  # strict but for the counters: all else was checked above


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name; a checkpoint's ``state_dict`` and DataParallel's ``module.`` are removed.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise ModelError(f"there is no weights file {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path} holds a {type(content).__name__}, not a state_dict: save model.state_dict()")
    for key, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise ModelError(f"{path} is not a state_dict: {key} is a {type(value).__name__}, not a tensor")
    if all(key.startswith("module.") for key in content):
        return {key.removeprefix("module."): value for key, value in content.items()}
    return dict(content)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ModelError(f"reading {path} needs the Python package safetensors: pip install safetensors") from error
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file: {error}") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is damaged or holds more than tensors (such as a whole pickled model), which can run code and is "
            f"not loaded: save model.state_dict(), or use .safetensors"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} is damaged, or no file of torch.save ({type(error).__name__})") from error
