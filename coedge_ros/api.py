"""Planning, verifying and running a model in bands from your own Python code, without ROS.

    from coedge_ros import api

    outcome = api.plan("resnet18", (480, 640), "my_robots.yaml", objective="latency")
    verdict = api.verify("my_package.nets:make_net", (480, 640), workers=3)
    banded = api.Banded("mobilenet_v2", weights="imagenet", workers=3)
    answer = banded.run(image)

A model is a zoo name, `package.module:factory`, the path of a `.pt2` file, or an `nn.Module`. torch computes with as
many threads as you have set. A cluster over DDS is started by the launch files or `coedge up`; here all workers take
turns in the calling thread, which shows what is computed, not how fast a cluster is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from coedge_ros.errors import ModelError, UserError
from coedge_ros.execution.coordinator import Answer
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.execution.verification import Oracle, Verdict, noise_input
from coedge_ros.graph.loading import LoadedModel, load_model
from coedge_ros.graph.lower import partition_model
from coedge_ros.graph.rescale import rescale_to_unit_variance
from coedge_ros.graph.whole import refuse_mostly_whole
from coedge_ros.planning.registry import make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.profiling.speed import measure_speed
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.outcome import PlanOutcome, Status
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares
from coedge_ros.spec.profile import Profile

Size = tuple[int, int]


def plan(
    model: str | nn.Module,
    size: Size | None = None,
    cluster: str | Path = "",
    *,
    planner: str = "fused",
    objective: str = "energy",
    deadline_s: float | None = None,
    codec: str = "raw",
    macs_per_s: float = 0.0,
    weights: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> PlanOutcome:
    """What the planner would do with a model on a cluster; nothing runs.

    Parameters
    ----------
    size : (int, int), optional
        Input (H, W); the model's own when left out.
    cluster : str or Path
        Cluster file; the one that is shipped when left out.
    planner, objective, deadline_s, codec
        As the manager's parameters of these names; None for no deadline [s].
    macs_per_s : float
        Speed of the workers for which the file has none, multiply-accumulates per second; 0: measured here and now.
    weights, arguments
        See `load_model`.

    Returns
    -------
    PlanOutcome
        `plan`, `predicted` and `explanation`; look at `is_feasible` when there is a deadline.

    Raises
    ------
    UserError
        When model, cluster or request do not fit; the message says what to change.
    """
    from coedge_ros.nodes.composition import cluster_of

    described = cluster_of(str(cluster))
    loaded, (height, width) = _load(model, size, weights, arguments)
    partitioned = partition_model(loaded.module, height, width, mean=loaded.mean, std=loaded.std, digest=loaded.digest)
    unknown = [worker.name for worker in described.workers if not worker.macs_per_s]
    speeds = dict.fromkeys(unknown, (macs_per_s or measure_speed(partitioned)) if unknown else 0.0)
    outcome = make_plan(
        PlanRequest(
            partitioned.graph,
            Profile(described, speeds, model=loaded.spec),
            planner,
            objective,
            deadline_s,
            codec=Codec.parse(codec),
        )
    )
    if outcome.status is Status.INVALID:
        raise UserError(outcome.explanation)
    return outcome


def verify(
    model: str | nn.Module,
    size: Size | None = None,
    workers: int | Sequence[float] = 3,
    *,
    frames: Sequence[np.ndarray] | None = None,
    weights: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> Verdict:
    """Compare the model in bands with the whole one: outputs, and every tensor at every cut (one after each layer).

    Parameters
    ----------
    workers : int or sequence of float
        How many, with equal shares; or the share of each, zero for a worker without rows.
    frames : sequence of (H, W, 3) uint8, optional
        What to compare for; one frame of noise when left out.
    weights : optional
        Without, a zoo name or a factory gets random weights that are rescaled until errors show; a module that is
        passed and a `.pt2` file keep theirs.
    strict : bool
        Refuse a model of which more than the head runs whole.

    Returns
    -------
    Verdict
        `is_equal`, `worst_output`, `worst_cut`.

    Raises
    ------
    UserError
        When the model cannot be loaded, traced or split, or `workers` or `frames` do not fit.
    """
    shares = _shares(workers)
    loaded, (height, width) = _load(model, size, weights, arguments)
    if weights is None and isinstance(model, str) and not model.endswith(".pt2"):
        rescale_to_unit_variance(loaded.module, noise_input(height, width, loaded.mean, loaded.std), seed=0)
    oracle = Oracle(loaded.module, height, width, loaded.mean, loaded.std, strict=strict)
    refuse_mostly_whole(oracle.model.graph)
    for frame in frames or ():
        _check_image(frame, (height, width))
    return oracle.verify(_equal_layers(oracle.model.graph, shares), frames or None)


class Banded:
    """A model that is run in bands by several workers in this process.

    `size` is the input (H, W), `labels` the names of the classes or None, `plan` what is run.

    Parameters
    ----------
    workers : int, sequence of float, PartitionPlan or PlanOutcome
        As in `verify`, or a plan for this model and size, such as `plan` makes.
    size, weights, arguments
        As in `plan`.

    Raises
    ------
    UserError
        When the model cannot be loaded, traced or split, or the plan is for another model or size.
    """

    def __init__(
        self,
        model: str | nn.Module,
        size: Size | None = None,
        workers: int | Sequence[float] | PartitionPlan | PlanOutcome = 3,
        *,
        weights: str | Path | None = None,
        arguments: Mapping[str, Any] | None = None,
    ):
        loaded, self.size = _load(model, size, weights, arguments)
        partitioned = partition_model(loaded.module, *self.size, mean=loaded.mean, std=loaded.std, digest=loaded.digest)
        self.labels = loaded.labels
        self.plan = workers.plan if isinstance(workers, PlanOutcome) else workers
        if not isinstance(self.plan, PartitionPlan):
            self.plan = _equal_layers(partitioned.graph, _shares(workers))
        try:
            self._cluster = InProcessCluster(partitioned, self.plan)
        except ValueError as error:
            raise UserError(f"the plan does not fit {loaded.spec}: {error}") from error

    def run(self, image: np.ndarray) -> Answer:
        """Answer an image `(H, W, 3)` uint8 RGB of the model's size: outputs by name, and what each worker did.

        Raises
        ------
        UserError
            If the image has another size or type.
        """
        _check_image(image, self.size)
        return self._cluster.run(image)

    def classes(self, answer: Answer, count: int = 5) -> list[tuple[int, str, float]]:
        """`(id, label, probability)` of the best classes; empty when the model does not classify."""
        from coedge_ros.nodes.answers import best_classes

        return best_classes(answer.outputs, self.labels, count)


def run(
    model: str | nn.Module, images: Iterable[np.ndarray], workers: int | Sequence[float] | PartitionPlan = 3, **options
) -> Iterator[Answer]:
    """Answers for images, one after the other; see `Banded` for the options and the errors."""
    banded = Banded(model, workers=workers, **options)
    return map(banded.run, images)


def _load(
    model: str | nn.Module, size: Size | None, weights: str | Path | None, arguments: Mapping[str, Any] | None
) -> tuple[LoadedModel, Size]:
    """The model with its weights, and its input size (H, W)."""
    loaded = load_model(model, arguments=arguments, weights=weights)
    size = size or loaded.input_size
    if size is None:
        raise UserError(f"{loaded.spec} does not say its input size: give size=(rows, columns)")
    if len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
        raise UserError(f"size must be (rows, columns), such as (480, 640), not {size!r}")
    if loaded.fixed_input and loaded.input_size and tuple(size) != tuple(loaded.input_size):
        raise ModelError(f"{loaded.spec} takes {loaded.input_size[0]}x{loaded.input_size[1]} only: leave size out")
    return loaded, (size[0], size[1])


def _shares(workers: int | Sequence[float]) -> list[float]:
    shares = [1.0] * workers if isinstance(workers, int) else list(workers)
    if not shares or not all(0 <= share < float("inf") for share in shares) or sum(shares) <= 0:
        raise UserError(f"workers={workers!r}: give a number of 1 or more, or shares >= 0 that are not all zero")
    return shares


def _equal_layers(graph: ModelGraph, shares: list[float]) -> PartitionPlan:
    """One layer a stage, the same shares in each."""
    names = tuple(f"worker_{i + 1}" for i in range(len(shares)))
    return plan_from_shares(graph, names, shares, layer_cuts(graph))


def _check_image(image: np.ndarray, size: Size) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != (*size, 3):
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f"an image must be uint8 ({size[0]}, {size[1]}, 3), RGB, not {found}: convert or resize it")
