"""`coedge bench`: whole model, ceiling and cluster over DDS in turn: a noisy machine then disturbs all alike."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import yaml

from coedge_ros.cli.bench_cluster import (
    FRAME_LIMIT_S,
    BenchCluster,
    equal_workers,
    measured_cluster,
    own_domain,
    telling_weights,
)
from coedge_ros.cli.bench_report import print_report, summarise
from coedge_ros.cli.planning_inputs import load_cluster_or_default, parse_size
from coedge_ros.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge bench`."""
    parser.add_argument("--model", default="resnet18", help="zoo name, package.module:factory, or a .pt2 file")
    parser.add_argument("--weights", default="", help="file of weights, or imagenet; random ones when left out")
    parser.add_argument("--input", default="480x640", metavar="HxW", help="input size of the model")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--threads", type=int, default=1, help="threads of each worker, and of the whole model")
    parser.add_argument(
        "--cluster",
        default="",
        metavar="FILE",
        help="cluster file to run; --workers equal ones, measured first, when left out",
    )
    parser.add_argument("--frames", type=int, default=30, help="frames of each kind")
    parser.add_argument("--planner", default="fused", help="planner; manual takes --rows and --cuts")
    parser.add_argument("--rows", default="", help="for planner manual: rows of the frame per worker, with commas")
    parser.add_argument("--cuts", default="layers", help="for planner manual: layers, none, or operator indices")
    parser.add_argument("--in-flight", type=int, default=3, help="frames in flight for the throughput")
    parser.add_argument("--json", type=Path, default=None, help="write the result there too")


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


def run(args: argparse.Namespace) -> int:
    """Measure, print, and end with one line of JSON."""
    size = parse_size(args.input)
    if args.workers < 1 or args.frames < 3 or size is None:
        raise UserError("--workers must be 1 or more, --frames 3 or more, and --input is needed")
    own_domain()
    with tempfile.TemporaryDirectory(prefix="coedge_bench_") as folder:
        args.weights = telling_weights(args.model, args.weights, size, Path(folder))
        summary = _run(args, size)
    print_report(summary)
    text = json.dumps(summary)
    if args.json:
        args.json.write_text(text + "\n")
    print(text, flush=True)
    return 0 if summary["max_abs_diff"] <= 1e-4 * summary["scale"] else 1


def _run(args, size: tuple[int, int]) -> dict:
    if args.cluster:
        values = yaml.safe_load(Path(load_cluster_or_default(args.cluster).source).read_text(encoding="utf-8"))
    else:
        values = measured_cluster(equal_workers(args.workers, args.threads), args.model, args.weights, size)
    manager = {
        "planner": args.planner, "rows": args.rows, "cuts": args.cuts, "queue_frames": args.in_flight,
        "frames_in_flight": args.in_flight,
    }  # fmt: skip
    with BenchCluster(values, args.model, args.weights, size, manager) as cluster:
        measured = _measure(args, size, cluster)
    return summarise(args, measured, cluster.plan)


def _measure(args, size: tuple[int, int], cluster: BenchCluster) -> Measured:
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.trace import PixelInput
    from coedge_ros.nodes.messages import plan_from_message
    from coedge_ros.profiling.rivals import Ceiling, ModelChoice, Rival

    height, width = size
    choice = ModelChoice(args.model, args.weights or None, height, width, args.threads)
    whole, ceiling = Rival(choice), Ceiling(choice, plan_from_message(cluster.plan))
    measured = Measured()
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    try:
        whole.wait_until_ready()
        ceiling.wait_until_ready()
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task(f"{args.model} {args.input}", total=args.frames)
            for i in range(args.frames + 2):
                whole.begin()
                times = whole.seconds(), ceiling.run()
                result, seconds = cluster.answer(frame)
                if i >= 2:  # the first ones warm up
                    measured.whole_s.append(times[0])
                    measured.ceiling_s.append(times[1])
                    measured.cooperative_s.append(seconds)
                    measured.results.append(result)
                    progress.advance(task)
    finally:
        whole.close()
        ceiling.close()
    processes = {name: psutil.Process(child.pid) for name, child in cluster.group.children.items()}
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    _stream(args, cluster.feeder, frame, measured)
    measured.cpu_s = {name: sum(process.cpu_times()[:2]) - before[name] for name, process in processes.items()}
    measured.resident_bytes = {name: process.memory_info().rss for name, process in processes.items()}
    torch.set_num_threads(args.threads)
    loaded = load_model(args.model, weights=args.weights or None)
    module = PixelInput(loaded.module, loaded.mean, loaded.std).eval()
    with torch.inference_mode():
        answer = torch.utils._pytree.tree_leaves(module(torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0)))
    pairs = []
    for leaf, tensor in zip(answer, result.tensors, strict=True):
        theirs = np.frombuffer(tensor.data, tensor.dtype).reshape(tuple(tensor.shape))
        pairs.append((float(np.abs(leaf.numpy() - theirs).max()), float(leaf.abs().max())))
    measured.max_abs_diff, measured.scale = max(pairs, key=lambda p: p[0] / p[1])
    return measured


def _stream(args, feeder, frame, measured: Measured) -> None:
    """Throughput: as many frames under way as are allowed, a new one sent for each result."""
    outstanding = 0
    for _ in range(args.in_flight):
        feeder.send(feeder.message(frame))
        outstanding += 1
    began = time.perf_counter()
    for _ in range(args.frames):
        if feeder.take(FRAME_LIMIT_S) is None:
            print("no result in the stream", file=sys.stderr)
            return
        measured.stream_frames += 1
        feeder.send(feeder.message(frame))
    measured.stream_s = time.perf_counter() - began
    for _ in range(outstanding):
        feeder.take(FRAME_LIMIT_S)
