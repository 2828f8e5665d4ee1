"""What `coedge bench` measures: whole model, ceiling and cluster in turn, then frames as fast as they are taken."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from rich.console import Console
from rich.progress import Progress

from coedge_ros.graph.loading import load_model
from coedge_ros.graph.trace import PixelInput
from coedge_ros.nodes.messages import plan_from_message
from coedge_ros.profiling.rivals import Ceiling, ModelChoice, Rival

# Images go through 16 MB of shared memory in turn, and pages that nobody has touched before cost milliseconds a frame.
WARM_FRAMES = 25
_WARM_ROUNDS = 2


@dataclass
class Measured:
    """Seconds of each kind, in the order in which they were taken, and the results of the cluster."""

    whole_s: list[float] = field(default_factory=list)
    ceiling_s: list[float] = field(default_factory=list)
    cooperative_s: list[float] = field(default_factory=list)
    results: list = field(default_factory=list)
    stream_s: float = float("nan")
    stream_frames: int = 0
    max_abs_diff: float = float("nan")
    scale: float = float("nan")
    cpu_s: dict[str, float] = field(default_factory=dict)  # per process, during the stream
    resident_bytes: dict[str, int] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)


def measure(args: argparse.Namespace, size: tuple[int, int], cluster: Any) -> Measured:
    """Measure a cluster: a `BenchCluster`, or an `InProcessBench`."""
    height, width = size
    choice = ModelChoice(args.model, args.weights or None, height, width, args.threads)
    whole, ceiling = Rival(choice), Ceiling(choice, plan_from_message(cluster.plan))
    measured = Measured()
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    try:
        whole.wait_until_ready()
        ceiling.wait_until_ready()
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task(f"{args.model} {args.input}", total=args.frames)
            for _ in range(WARM_FRAMES):
                cluster.answer(frame)
            for i in range(args.frames + _WARM_ROUNDS):
                whole.begin()
                times = whole.seconds(), ceiling.run()
                result, seconds = cluster.answer(frame)
                if i >= _WARM_ROUNDS:
                    measured.whole_s.append(times[0])
                    measured.ceiling_s.append(times[1])
                    measured.cooperative_s.append(seconds)
                    measured.results.append(result)
                    progress.advance(task)
    finally:
        whole.close()
        ceiling.close()
    _stream(args, cluster, frame, measured)
    measured.max_abs_diff, measured.scale = _difference(args, frame, result)
    return measured


def _stream(args: argparse.Namespace, cluster: Any, frame: np.ndarray, measured: Measured) -> None:
    """Throughput, and what it costs each process."""
    processes = {name: psutil.Process(pid) for name, pid in cluster.pids.items()}
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    measured.stream_frames, measured.stream_s = cluster.stream(frame, args.frames, args.in_flight)
    measured.cpu_s = {name: sum(process.cpu_times()[:2]) - before[name] for name, process in processes.items()}
    measured.resident_bytes = {name: process.memory_info().rss for name, process in processes.items()}
    measured.peak_bytes = {name: _peak_bytes(process) for name, process in processes.items()}


def _peak_bytes(process: psutil.Process) -> int:
    """Largest resident size that a process has had; the present one where the system does not tell."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return process.memory_info().rss


def _difference(args: argparse.Namespace, frame: np.ndarray, result) -> tuple[float, float]:
    """Largest difference to the user's module, run whole, and the module's largest magnitude."""
    torch.set_num_threads(args.threads)
    loaded = load_model(args.model, weights=args.weights or None)
    module = PixelInput(loaded.module, loaded.mean, loaded.std).eval()
    with torch.inference_mode():
        answer = torch.utils._pytree.tree_leaves(module(torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0)))
    pairs = []
    for leaf, tensor in zip(answer, result.tensors, strict=True):
        theirs = np.frombuffer(tensor.data, tensor.dtype).reshape(tuple(tensor.shape))
        pairs.append((float(np.abs(leaf.numpy() - theirs).max()), float(leaf.abs().max())))
    return max(pairs, key=lambda p: p[0] / p[1])
