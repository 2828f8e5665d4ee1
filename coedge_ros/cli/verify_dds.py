"""One frame through real worker processes over DDS on this machine, for `coedge verify --transport dds`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.cli.bench_cluster import equal_workers
from coedge_ros.errors import ModelError, UserError
from coedge_ros.execution.coordinator import Usage
from coedge_ros.msg import InferenceResult, ManagerStatus
from coedge_ros.msg import PartitionPlan as PlanMessage
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.collector import Listening
from coedge_ros.nodes.composition import ClusterOptions, cluster_processes, local_environment
from coedge_ros.nodes.domains import free_domain
from coedge_ros.nodes.image_codec import encode_image
from coedge_ros.nodes.messages import plan_from_message
from coedge_ros.nodes.processes import ProcessGroup
from coedge_ros.nodes.shared_memory import remove_stale_segments
from coedge_ros.spec.plan import PartitionPlan

START_LIMIT_S = 180.0  # importing torch and tracing, in each process
ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class DdsAnswer:
    """Outputs of the frame by name, the plan that was in force, and what workers counted."""

    outputs: dict[str, torch.Tensor]
    usage: tuple[Usage, ...]
    plan: PartitionPlan


def answer_over_dds(
    folder: Path,
    model: str,
    model_arguments: str,
    weights: str,
    size: tuple[int, int],
    rows: list[int],
    cuts: tuple[int, ...],
    frame: np.ndarray,
    codec: str = "raw",
) -> DdsAnswer:
    """Start a manager and `len(rows)` workers, ask for one frame, end them.

    Parameters
    ----------
    folder : Path
        For the cluster file and the processes' logs.
    model, model_arguments, weights : str
        As the nodes' parameters take them.
    size : (int, int)
        Input (H, W).
    rows : list of int
        Rows of the frame per worker, together H.
    cuts : tuple of int
        Operators after which a stage ends.
    frame : ndarray
        `(H, W, 3)` uint8.
    codec : str
        Of rows between workers.

    Raises
    ------
    ModelError
        When the cluster cannot start or does not answer; the message is the manager's or the end of a log.
    """
    options = _options(folder, model, model_arguments, weights, size, rows, cuts, codec)
    domain = free_domain()
    environment = {"ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "1", **local_environment()}
    remove_stale_segments()
    try:
        with ProcessGroup(environment, output=folder / "logs") as group:
            os.environ.update({k: v for k, v in group.environment.items() if k.startswith(("FAST", "ROS_AUTO"))})
            group.start(cluster_processes(options))
            with Listening(options.namespace, domain) as listening:
                return _ask(group, listening, frame)
    finally:
        remove_stale_segments()


def _options(folder, model, model_arguments, weights, size, rows, cuts, codec) -> ClusterOptions:
    cluster = folder / "cluster.yaml"
    cluster.write_text(yaml.safe_dump(equal_workers(len(rows), threads=1)))
    model = str(Path(model).resolve()) if model.endswith(".pt2") else model
    return ClusterOptions(
        cluster=str(cluster), model=model, weights=weights, height=size[0], width=size[1], source="",
        manager={
            "model_arguments": model_arguments, "planner": "manual", "rows": ",".join(map(str, rows)),
            "cuts": ",".join(map(str, cuts)) or "none", "publish_tensors": True, "image_reliable": True,
            "frame_timeout_s": ANSWER_LIMIT_S, "wait_for_workers_s": START_LIMIT_S, "lost_after_s": 20.0,
            "codec": codec,
        },
        worker={"model_arguments": model_arguments},
        with_visualizer=False,
    )  # fmt: skip


def _ask(group: ProcessGroup, listening: Listening, frame: np.ndarray) -> DdsAnswer:
    record = listening.record
    images = listening.node.create_publisher(Image, topics.IMAGE, qos.CAMERA_OUTPUT)

    def until(condition: Callable[[], object], what: str, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            listening.spin(0.02)
            status = record.status
            if status is not None and status.state == ManagerStatus.STATE_ERROR:
                raise ModelError(f"the cluster did not start: {status.message}")
            if ended := group.ended():
                raise ModelError(f"{_last_words(group, ended)} before {what}")
            if time.monotonic() > deadline:
                said = f" ({status.message})" if status is not None and status.message else ""
                raise UserError(f"no {what} within {limit_s:g} s{said}: is the machine busy, or DDS blocked?")

    until(lambda: record.status and record.status.state == ManagerStatus.STATE_ACTIVE, "plan in force", START_LIMIT_S)
    until(images.get_subscription_count, "manager that takes images", ANSWER_LIMIT_S)
    images.publish(encode_image(frame, Header(frame_id="verify")))
    until(lambda: record.results, "answer", ANSWER_LIMIT_S)
    result = record.results[0]
    if result.fallback:
        raise ModelError("the manager answered alone, because no worker was left: nothing to compare")

    def plans() -> list[PlanMessage]:
        return [p for p in record.plans if (p.session, p.epoch) == (result.session, result.epoch)]

    until(plans, "plan of the answer", ANSWER_LIMIT_S)  # topics keep no order among each other
    return DdsAnswer(_outputs(result), tuple(map(_usage, result.workers)), plan_from_message(plans()[0]))


def _last_words(group: ProcessGroup, ended: dict[str, int]) -> str:
    name, code = next(iter(ended.items()))
    lines = group.log_of(name).read_text(errors="replace").strip().splitlines() or ["without a word"]
    return f"{name} ended with code {code} ({lines[-1]})"


def _outputs(result: InferenceResult) -> dict[str, torch.Tensor]:
    return {
        t.name: torch.frombuffer(t.data, dtype=getattr(torch, t.dtype)).reshape(tuple(t.shape)) for t in result.tensors
    }


def _usage(usage) -> Usage:
    rows = tuple(zip(usage.row_start, usage.row_stop, strict=True))
    times = (usage.compute_ms * 1e-3, usage.wait_ms * 1e-3, usage.transmit_ms * 1e-3)
    return Usage(usage.name, usage.macs, *times, usage.bytes_in, usage.bytes_out, rows)
