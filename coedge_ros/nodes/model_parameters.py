"""Parameters that say which model runs, and the model that they name: the same for manager and workers."""

from __future__ import annotations

import json
from typing import Any

from coedge_ros.errors import UserError
from coedge_ros.execution.device import device_of
from coedge_ros.graph.kept_trace import trace_file
from coedge_ros.graph.loading import LoadedModel, load_model
from coedge_ros.graph.lower import PartitionedModel, partition_model
from coedge_ros.graph.trace_apart import trace_apart
from coedge_ros.graph.zoo.registry import zoo_names
from coedge_ros.nodes.parameters import Parameter
from coedge_ros.profiling.cache import cache_folder

SET_MODEL = "~/set_model"
MODEL_PARAMETERS = (
    Parameter(
        "model", "mobilenet_v2", "Model: a zoo name, package.module:factory, or a .pt2 file.", changed_by=SET_MODEL
    ),
    Parameter("model_arguments", "", "Keyword arguments of the factory as a JSON object.", changed_by=SET_MODEL),
    Parameter(
        "weights",
        "",
        "File of weights, or imagenet or faces for the zoo's own; empty for random ones.",
        changed_by=SET_MODEL,
    ),
    Parameter("height", 0, "Input rows of the model; 0 for the model's own.", "pixels", 0, 8192, changed_by=SET_MODEL),
    Parameter(
        "width", 0, "Input columns of the model; 0 for the model's own.", "pixels", 0, 8192, changed_by=SET_MODEL
    ),
)

SWITCHABLE_MODELS = Parameter(
    "switchable_models", (), "Models that ~/set_model may load, as names or patterns; empty for those of the zoo.",
    read_only=True,
)  # fmt: skip


def input_size_of(values: dict, loaded: LoadedModel) -> tuple[int, int]:
    """Input size (H, W) from the parameters, else the model's own.

    Raises
    ------
    UserError
        When neither says it, or the model takes another size only.
    """
    height, width = values["height"], values["width"]
    if not height and not width:
        if loaded.input_size is None:
            raise UserError(f"{loaded.spec} does not say its input size: set the parameters height and width")
        return loaded.input_size
    if not height or not width:
        raise UserError("set both parameters height and width, or neither")
    if loaded.fixed_input and loaded.input_size and (height, width) != tuple(loaded.input_size):
        h, w = loaded.input_size
        raise UserError(
            f"{loaded.spec} takes {h}x{w} only, not {height}x{width}: set height and width to that, or to 0"
        )
    return height, width


def load_and_partition(values: dict[str, Any]) -> tuple[LoadedModel, PartitionedModel]:
    """The model of the parameters, and its partitioned form at their input size, on the parameter `device` if any.

    Raises
    ------
    UserError
        When a parameter does not fit, the model is unknown or cannot be traced, or the weights do not fit it.
    """
    loaded = load_model(
        values["model"], arguments=arguments_of(values["model_arguments"]), weights=values["weights"] or None
    )
    height, width = input_size_of(values, loaded)
    device = device_of(values.get("device", "cpu"))
    kept = None
    if loaded.spec in zoo_names() and values["model_arguments"] in ("", "{}"):
        kept = trace_file(cache_folder(), loaded.spec, loaded.digest, (height, width), loaded.mean, loaded.std)
        trace_apart(kept, loaded.spec, values["weights"], (height, width))
    model = partition_model(
        loaded.module, height, width, mean=loaded.mean, std=loaded.std, digest=loaded.digest, device=device, kept=kept
    )
    return loaded, model


def arguments_of(text: str) -> dict[str, Any]:
    """Keyword arguments that the parameter `model_arguments` says.

    Raises
    ------
    UserError
        When it is no JSON object.
    """
    try:
        arguments = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise UserError(f'parameter model_arguments is not JSON ({error}): write it like {{"classes": 10}}') from error
    if not isinstance(arguments, dict):
        raise UserError(f'parameter model_arguments must be a JSON object like {{"classes": 10}}, not {text}')
    return arguments
