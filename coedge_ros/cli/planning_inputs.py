"""What `coedge plan` and `coedge compare` read: input sizes, models as graphs, clusters with speeds."""

from __future__ import annotations

import argparse
import json
import sys

from coedge_ros.errors import UserError
from coedge_ros.spec.cluster import ClusterSpec
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.profile import Profile


def add_model_arguments(parser: argparse.ArgumentParser, model: str | None = None, size: str = "") -> None:
    """`--model`, `--weights`, `--input`; a model without default must be given, a size without is the model's own."""
    parser.add_argument(
        "--model", default=model, required=model is None, metavar="SPEC",
        help="zoo name, package.module:factory, or a .pt2 file",
    )  # fmt: skip
    parser.add_argument(
        "--weights", default="", help="file of weights, or imagenet or faces; random ones when left out"
    )
    left_out = f"{size} when left out" if size else "the model's own when left out"
    parser.add_argument("--input", default=size, metavar="HxW", help=f"input size; {left_out}")


def parse_size(text: str) -> tuple[int, int] | None:
    """`480x640` as (height, width); None for an empty text.

    Raises
    ------
    UserError
        For anything else.
    """
    if not text:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"--input {text!r} is not HxW: write rows x columns, such as 480x640")
    return int(parts[0]), int(parts[1])


def parse_integers(text: str, what: str) -> tuple[int, ...]:
    """`1,2,3` as integers.

    Raises
    ------
    UserError
        For anything else.
    """
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UserError(f"{what} {text!r} must be whole numbers with commas between them") from None


def load_partitioned(spec: str, size: tuple[int, int] | None, weights: str = "", arguments: str = ""):
    """Trace a model; the size defaults to the one it is made for, else 224x224.

    Raises
    ------
    UserError
        If the model cannot be loaded or split.
    """
    import torch

    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.lower import partition_model

    torch.set_num_threads(1)
    try:
        keywords = json.loads(arguments) if arguments else None
    except json.JSONDecodeError as error:
        raise UserError(f"--model-arguments is not JSON: {error}") from error
    model = load_model(spec, arguments=keywords, weights=weights or None)
    height, width = size or model.input_size or (224, 224)
    return partition_model(model.module, height, width, mean=model.mean, std=model.std, digest=model.digest)


def load_graph(spec: str, size: tuple[int, int] | None) -> ModelGraph:
    """Graph of a model with random weights."""
    return load_partitioned(spec, size).graph


def load_cluster_or_default(path: str) -> ClusterSpec:
    """A cluster file; the shipped one for an empty path.

    Raises
    ------
    UserError
        If it cannot be read or is not legal.
    """
    from coedge_ros.nodes.composition import cluster_of

    return cluster_of(path)


def profile_for(cluster: ClusterSpec, model: str, partitioned, macs_per_s: float = 0.0) -> Profile:
    """Speeds for planning: the file's; for workers without, `macs_per_s`, or what this machine measures now."""
    unknown = [worker.name for worker in cluster.workers if not worker.macs_per_s]
    if unknown and not macs_per_s:
        from coedge_ros.profiling.speed import measure_speed

        macs_per_s = measure_speed(partitioned)
        print(
            f"{cluster.source} has no macs_per_s for {', '.join(unknown)}: measured on this machine, one thread: "
            f"{macs_per_s / 1e9:.1f}e9 multiply-accumulates per second, times their speed_factor",
            file=sys.stderr,
        )
    return Profile(cluster, dict.fromkeys(unknown, macs_per_s), model=model)
