"""The cluster of a benchmark without processes: all workers in turn in this one, nothing goes over DDS.

What is left of a frame's time is kernels, putting rows together and the Python between stages, so that the difference
to the whole model is what the program of the workers costs.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import torch
import yaml

from coedge_ros.cli.planning_inputs import load_partitioned, parse_integers, profile_for
from coedge_ros.errors import UserError
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.msg import InferenceResult
from coedge_ros.nodes import messages
from coedge_ros.planning.registry import make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cluster_file import parse_cluster
from coedge_ros.spec.codec import Codec


class InProcessBench:
    """Answers frames as `BenchCluster` does: use it as a context manager.

    Parameters
    ----------
    values : dict
        Values of the cluster file: the plan is made for that cluster, with the manager's parameters in `manager`.
    """

    def __init__(
        self, values: dict[str, Any], model: str, weights: str, size: tuple[int, int], manager: dict[str, Any]
    ):
        torch.set_num_threads(values["workers"][0].get("threads", 1))
        partitioned = load_partitioned(model, size, weights)
        cluster = parse_cluster(yaml.safe_dump(values))
        cuts = {"layers": None, "none": ()}.get(manager["cuts"], manager["cuts"])
        outcome = make_plan(
            PlanRequest(
                partitioned.graph, profile_for(cluster, model, partitioned), manager["planner"], "latency",
                manual_rows=parse_integers(manager["rows"], "--rows"),
                cuts=parse_integers(cuts, "--cuts") if isinstance(cuts, str) else cuts,
                codec=Codec.parse(manager["codec"]),
            )
        )  # fmt: skip
        if outcome.plan is None:
            raise UserError(outcome.explanation)
        predicted_s = outcome.predicted.latency_s
        self.plan = messages.plan_to_message(
            outcome.plan, 1, 1, planner=outcome.planner, predicted_latency_s=predicted_s, frame_timeout_s=1.0
        )
        self._cluster = InProcessCluster(partitioned, outcome.plan)
        self.pids = {"this process": os.getpid()}

    def __enter__(self) -> InProcessBench:
        return self

    def __exit__(self, *exception) -> None:
        pass

    def answer(self, frame: np.ndarray) -> tuple[InferenceResult, float]:
        """Result of a frame `(H, W, 3)` uint8, and seconds that it took."""
        began = time.perf_counter()
        answer = self._cluster.run(frame)
        seconds = time.perf_counter() - began
        result = InferenceResult(latency_ms=seconds * 1e3)
        result.workers = [messages.usage_to_message(usage, 0.0) for usage in answer.usage]
        result.bytes_moved = answer.scatter_bytes + sum(usage.bytes_out for usage in answer.usage)
        result.tensors = [messages.tensor_to_message(name, t) for name, t in answer.outputs.items()]
        return result, seconds

    def stream(self, frame: np.ndarray, frames: int, in_flight: int) -> tuple[int, float]:
        """Frames answered one after the other, and seconds: nothing is in flight meanwhile."""
        return frames, sum(self.answer(frame)[1] for _ in range(frames))
