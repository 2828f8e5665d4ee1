"""A cluster on this machine for benchmarks: equal workers, measured first, fed by this process."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from coedge_ros.errors import UserError
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE

START_LIMIT_S = 120.0
FRAME_LIMIT_S = 30.0


def equal_workers(workers: int, threads: int) -> dict[str, Any]:
    """A cluster of `workers` equal workers on this machine, as the values of a cluster file."""
    power = {"idle": 1.3, "compute": 6.5, "transmit": 3.0}
    names = [f"worker_{i + 1}" for i in range(workers)]
    return {
        "hosts": [{"name": "here"}],
        "workers": [{"name": n, "host": "here", "threads": threads, "power_w": power} for n in names],
        "links": {"within_host": {"alpha_s": 0.0004, "bytes_per_s": 1e9}, "default": {"bytes_per_s": 1e9}},
    }


def own_domain() -> None:
    """A domain for this run alone, on this host only, with the package's Fast DDS profile."""
    from coedge_ros.nodes.composition import local_environment
    from coedge_ros.nodes.domains import free_domain

    os.environ["ROS_DOMAIN_ID"] = str(free_domain())
    os.environ.update(local_environment())


def measured_cluster(
    values: dict[str, Any], model: str, weights: str, size: tuple[int, int], budget_s: float = 0.5
) -> dict[str, Any]:
    """The cluster's values with stage times and message costs, as `coedge profile` measures them."""
    from coedge_ros.cli.profile import measure, stage_on_a_share_s, with_measurements
    from coedge_ros.nodes.link_probe import probe_within_host
    from coedge_ros.profiling.stage_times import measure_stage_overhead

    threads = [worker.get("threads", 1) for worker in values["workers"]]
    measured, slower = measure(model, weights, size, threads, budget_s)
    by_name = dict(zip([worker["name"] for worker in values["workers"]], measured, strict=True))
    link = probe_within_host(stage_s=stage_on_a_share_s(measured))
    return with_measurements(values, by_name, measure_stage_overhead(), link, slower)


def telling_weights(model: str, weights: str, size: tuple[int, int], folder: Path) -> str:
    """A weights file with which a wrong answer shows; `weights` itself where the user has chosen some.

    With random weights as torch draws them nearly any answer is the last bias: nothing could be seen to be wrong.
    """
    if weights or model.endswith(".pt2"):
        return weights
    import torch

    from coedge_ros.execution.verification import noise_input
    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.rescale import rescale_to_unit_variance

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loaded = load_model(model)
    rescale_to_unit_variance(loaded.module, noise_input(*size, mean=loaded.mean, std=loaded.std))
    path = folder / "weights.pt"
    torch.save(loaded.module.state_dict(), path)
    return str(path)


class BenchCluster:
    """Manager and workers as processes of this machine, ready for frames: use it as a context manager.

    Parameters
    ----------
    values : dict
        Values of the cluster file.
    model, weights, size
        What they run.
    manager : dict
        Parameters of the manager that differ from those of a benchmark.
    namespace : str
        Of all nodes: two clusters at the same time need different ones.

    Attributes
    ----------
    plan : PartitionPlan message
        The plan in force.
    feeder : Feeder
        Sends frames and takes results.
    pids : dict of str to int
        Processes by name.
    """

    def __init__(
        self,
        values: dict[str, Any],
        model: str,
        weights: str,
        size: tuple[int, int],
        manager: dict[str, Any] | None = None,
        worker: dict[str, Any] | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ):
        self.namespace = namespace
        self.values, self.model, self.weights, self.size = values, model, weights, size
        self.worker = {"profile_cache": False, **(worker or {})}  # what is compared is measured now
        self.manager = {
            "objective": "latency", "image_reliable": True, "publish_tensors": True, "frame_timeout_s": FRAME_LIMIT_S,
            "track": False,  # one plan for all frames
            **(manager or {}),
        }  # fmt: skip

    def __enter__(self) -> BenchCluster:
        from contextlib import ExitStack

        from coedge_ros.nodes.collector import Listening
        from coedge_ros.nodes.composition import ClusterOptions, cluster_processes
        from coedge_ros.nodes.feeder import Feeder
        from coedge_ros.nodes.shared_memory import remove_stale_segments

        remove_stale_segments()
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coedge_bench_")))
            path = self.folder / "cluster.yaml"
            path.write_text(yaml.safe_dump(self.values, sort_keys=False), encoding="utf-8")
            options = ClusterOptions(
                cluster=str(path), model=self.model, weights=self.weights, height=self.size[0], width=self.size[1],
                source="", manager=self.manager, worker=self.worker, namespace=self.namespace, with_visualizer=False,
            )  # fmt: skip
            stack.callback(remove_stale_segments)
            self.group = stack.enter_context(self.make_group(self.folder / "logs"))
            self.feeder = stack.enter_context(Feeder(options.namespace))
            self.specs = {spec.name: spec for spec in cluster_processes(options)}
            self.group.start(self.specs.values())
            with Listening(options.namespace) as listening:
                self.plan = self._first_plan(listening)
            self.feeder.wait_for_manager(START_LIMIT_S)
            self.pids = {name: child.pid for name, child in self.group.children.items()}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception) -> None:
        self._stack.close()

    def make_group(self, logs: Path):
        """What starts the processes; benchmarks put some of them on other hosts."""
        from coedge_ros.nodes.processes import ProcessGroup

        return ProcessGroup(output=logs, log_level="info")

    def _first_plan(self, listening):
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            listening.spin(0.1)
            status = listening.record.status
            if listening.record.plans and status and status.epoch > 0:
                return listening.record.plans[-1]
            if ended := {n: c for n, c in self.group.ended().items() if c}:
                logs = [(self.folder / "logs" / f"{n}.log").read_text(errors="replace")[-400:] for n in ended]
                raise UserError(f"ended early: {ended}: {'; '.join(logs)}")
        status = listening.record.status
        raise UserError("no plan in time: " + (status.message if status else "no manager"))

    def answer(self, frame) -> tuple[Any, float]:
        """Send a frame `(H, W, 3)` uint8 and wait for its result: the message, and seconds from image to result.

        Raises
        ------
        UserError
            When there is none in time.
        """
        message = self.feeder.message(frame)
        began = time.perf_counter()
        self.feeder.send(message)
        result = self.feeder.take(FRAME_LIMIT_S)
        if result is None:
            raise UserError(f"no result within {FRAME_LIMIT_S} s")
        return result, time.perf_counter() - began

    def stream(self, frame, frames: int, in_flight: int) -> tuple[int, float]:
        """Keep `in_flight` frames under way, a new one for each result: how many were answered, in how many seconds."""
        for _ in range(in_flight):
            self.feeder.send(self.feeder.message(frame))
        began = time.perf_counter()
        answered = 0
        while answered < frames and self.feeder.take(FRAME_LIMIT_S) is not None:
            answered += 1
            self.feeder.send(self.feeder.message(frame))
        seconds = time.perf_counter() - began
        for _ in range(in_flight):
            self.feeder.take(FRAME_LIMIT_S)
        return answered, seconds
