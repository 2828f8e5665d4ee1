"""From what the user writes (a zoo name, a factory, an archive) to a module with its weights."""

from __future__ import annotations

import copy
import importlib
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from coedge_ros.errors import ModelError, UserError
from coedge_ros.graph.archive import load_archive, program_input
from coedge_ros.graph.detection import Decoder, decoder_of
from coedge_ros.graph.digest import model_digest
from coedge_ros.graph.example_data import imagenet_class_names
from coedge_ros.graph.weights import load_weights
from coedge_ros.graph.zoo.registry import DATA_SETS, IMAGENET, ZooEntry, zoo_entry, zoo_names


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to be traced.

    Attributes
    ----------
    module
        In eval mode, without gradients; takes normalised float32 (N, 3, H, W).
    spec
        What it was loaded from; for an object its class.
    mean, std
        Per channel, of pixels divided by 255. 0 and 1 where the spec does not say.
    input_size
        (H, W) that the model was made for, or None where the spec does not say.
    fixed_input
        True where only `input_size` is possible.
    labels
        One name per score; None where they are unknown, as with weights of the user's, or mean nothing, as with random
        ones.
    digest
        `model_digest` of the module.
    task
        One of the zoo's tasks, or None where the spec does not say.
    decoder
        Makes detections of the outputs, see `decoder_of`; None where the module has none.
    """

    module: nn.Module
    spec: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: tuple[int, int] | None
    fixed_input: bool
    labels: tuple[str, ...] | None
    digest: str
    task: str | None = None
    decoder: Decoder | None = None

    def __str__(self) -> str:
        size = "any size" if self.input_size is None else "x".join(map(str, self.input_size))
        return f"{self.spec} at {size}, digest {self.digest[:12]}"


def load_model(
    spec: str | nn.Module,
    *,
    arguments: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    seed: int | None = None,
) -> LoadedModel:
    """Return the model that a spec names.

    Parameters
    ----------
    spec
        A name of the zoo, ``package.module:factory`` (a function or class that returns an `nn.Module`), the path of a
        `.pt2` archive of `torch.export.save`, or an `nn.Module`. The object that is passed is copied, not changed.
    arguments
        Keyword arguments for the factory; only for the first two forms.
    weights
        A `.safetensors` file, a file with a state_dict (read with `weights_only`, so it cannot run code), or
        ``imagenet`` or ``faces``, what the trained weights that a package carries for a model of the zoo know.
    seed
        Of the random weights of a factory that gets no weights file; 0 by default. Every process that runs the same
        torch gets the same weights, whatever its own random state, which stays as it is.

    Raises
    ------
    ModelError
        If the spec cannot be understood or built, the weights do not fit, or its decoder is no method.
    UserError
        If the package that carries the weights is not installed.
    """
    if isinstance(spec, nn.Module):
        _refuse_arguments(arguments, "a module object")
        name, module, entry = f"{type(spec).__module__}:{type(spec).__qualname__}", copy.deepcopy(spec), None
        size, fixed = None, False
    elif spec.endswith(".pt2"):
        _refuse_arguments(arguments, "a .pt2 archive")
        if not Path(spec).is_file():
            raise ModelError(f"there is no file {spec}")
        program = load_archive(Path(spec))
        name, module, entry = spec, program.module(), None
        size, fixed = program_input(program)
    elif ":" in spec:
        name, module, entry = spec, _build(_find_factory(spec), spec, arguments, seed), None
        size, fixed = None, False
    else:
        _refuse_file(spec)
        entry = zoo_entry(spec)
        name, module = spec, _build(entry.factory, spec, arguments, seed)
        size, fixed = entry.input_size, entry.fixed_input
    _refuse_unfinished(name, module)
    if weights is not None:
        load_weights(module, _weights_file(name, entry, weights), name)
    _to_inference(module)
    return LoadedModel(
        module=module,
        spec=name,
        mean=entry.mean if entry else (0.0, 0.0, 0.0),
        std=entry.std if entry else (1.0, 1.0, 1.0),
        input_size=size,
        fixed_input=fixed,
        labels=_labels() if entry and str(weights) == IMAGENET else None,
        digest=model_digest(module),
        task=entry.task if entry else None,
        decoder=decoder_of(module),
    )


def _refuse_file(spec: str) -> None:
    suffix = Path(spec).suffix.lower()
    if suffix in (".pt", ".pth", ".safetensors", ".ckpt"):
        raise ModelError(f"{spec} is a weights file, not a model: name the model and give this file as its weights")
    if suffix == ".onnx":
        raise ModelError(f"{spec} is an ONNX file: convert it to an nn.Module first and save it with torch.export.save")


def _refuse_arguments(arguments: Mapping[str, Any] | None, form: str) -> None:
    if arguments:
        raise ModelError(f"{form} takes no arguments, but got {', '.join(arguments)}")


def _find_factory(spec: str) -> Callable[..., nn.Module]:
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise ModelError(f"{spec!r} is not package.module:factory")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            hint = "install it, or put its folder on PYTHONPATH"
        else:
            hint = f"{module_name} needs it"
        raise ModelError(f"{spec}: there is no Python module {error.name}: {hint}") from error
    except Exception as error:  # the user's module may fail in any way
        raise ModelError(f"{spec}: importing {module_name} failed: {_describe(error)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ModelError(f"{spec}: {module_name} has no {attribute}")
        found = getattr(found, part)
    if not callable(found):
        raise ModelError(
            f"{spec}: {attribute} is a {type(found).__name__}, not a function or class that builds a model"
        )
    return found


def _build(
    factory: Callable[..., nn.Module], spec: str, arguments: Mapping[str, Any] | None, seed: int | None
) -> nn.Module:
    arguments = dict(arguments or {})
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise ModelError(f"{spec} takes {inspect.signature(factory)}: {error}") from error
    except ValueError:
        pass  # no signature to check, as for some compiled callables
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if seed is None else seed)
        try:
            module = factory(**arguments)
        except Exception as error:
            raise ModelError(f"{spec} could not be built: {_describe(error)}") from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"{spec} returned a {type(module).__name__}, not an nn.Module")
    return module


def _describe(error: Exception) -> str:
    """Return type, first line of the message, and where in the user's code it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace else ""
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}{where}"


def _refuse_unfinished(name: str, module: nn.Module) -> None:
    for key, tensor in module.state_dict(keep_vars=True).items():
        if torch.nn.parameter.is_lazy(tensor):
            raise ModelError(
                f"{name}: {key} has no shape yet: run the model once on an image, or do not use lazy layers"
            )
        if tensor.is_meta:
            raise ModelError(f"{name}: {key} is on the meta device and has no values: give it weights first")


def _to_inference(module: nn.Module) -> None:
    try:
        module.eval()
    except NotImplementedError:  # an exported program: the export froze its mode, and asking for it is no error
        module.train = types.MethodType(_keep_mode, module)
        module.eval = types.MethodType(_keep_mode, module)
        module.training = False
    module.requires_grad_(False)


def _keep_mode(module: nn.Module, mode: bool = False) -> nn.Module:
    if mode:
        raise NotImplementedError("an exported program cannot be trained: export it again from its module")
    return module


def _weights_file(name: str, entry: ZooEntry | None, weights: str | Path) -> Path:
    wanted = str(weights)
    if wanted not in DATA_SETS:
        return Path(weights)
    if entry is None or entry.weights is None or entry.trained_on != wanted:
        known = ", ".join(f"{one.name} ({one.trained_on})" for one in map(zoo_entry, zoo_names()) if one.weights)
        raise ModelError(f"there are no packaged weights {wanted!r} for {name}, only for {known}: give a file")
    return entry.weights.locate()


def _labels() -> tuple[str, ...] | None:
    try:
        return imagenet_class_names()
    except UserError:
        return None  # an answer without names is still an answer
