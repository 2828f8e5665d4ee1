"""`coedge demo`: real pictures and a real video, answered by three workers over DDS on this machine, and a table."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import median

from coedge_ros.nodes.composition import ClusterOptions, cluster_of, cluster_processes, local_environment
from coedge_ros.nodes.domains import free_domain
from coedge_ros.nodes.processes import ProcessGroup
from coedge_ros.nodes.shared_memory import remove_stale_segments

DEADLINE_FACTOR = 0.6  # of the predicted best single worker: with equal workers least energy alone would not split
START_LIMIT_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge demo`."""
    parser.add_argument("--cluster", default="", help="cluster file; the one that is shipped when left out")
    parser.add_argument("--model", default="mobilenet_v2", help="model, as for coedge up")
    parser.add_argument("--weights", default="imagenet", help="weights, as for coedge up")
    parser.add_argument("--photo-loops", type=int, default=10, help="how often the three photos are shown")
    parser.add_argument("--video-frames", type=int, default=60, help="frames of the video")
    parser.add_argument("--rate", type=float, default=8.0, help="images per second")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder of pictures and logs")
    parser.add_argument("--domain", type=int, default=None, help="ROS_DOMAIN_ID; a random one when left out")


def run(args: argparse.Namespace) -> int:
    """Run the cluster, collect, print; the last line is one JSON object."""
    os.environ["ROS_DOMAIN_ID"] = str(free_domain() if args.domain is None else args.domain)
    os.environ.update(local_environment())
    remove_stale_segments()
    options = ClusterOptions(
        cluster=args.cluster, model=args.model, weights=args.weights,
        source=",".join(["example"] * args.photo_loops + ["example_video"]),
        camera={
            "rate_hz": args.rate, "max_frames": 3 * args.photo_loops + args.video_frames,
            "wait_for_subscribers": 2, "wait_timeout_s": START_LIMIT_S,
        },
        manager={
            "deadline_factor": DEADLINE_FACTOR, "objective": "energy", "self_check_every": 5, "image_reliable": True,
            "queue_frames": 8, "frames_in_flight": 2,
        },
        visualizer={"output_dir": str(args.output.resolve()), "image_reliable": True},
    )  # fmt: skip
    from coedge_ros.cli.demo_collect import collect

    with ProcessGroup(output=args.output / "logs", log_level="info") as group:
        specs = cluster_processes(options)
        say(f"starting {', '.join(s.name for s in specs)} (ROS_DOMAIN_ID {os.environ['ROS_DOMAIN_ID']})")
        group.start(specs)
        record = collect(group, options, limit_s=START_LIMIT_S + 3 * options.camera["max_frames"] / args.rate)
    remove_stale_segments()
    if not record.results:
        say("no frame was answered. The logs of all processes are in " + str(args.output / "logs"))
        for path in sorted((args.output / "logs").glob("*.log")):
            tail = path.read_text(errors="replace").strip().splitlines()[-3:]
            say(f"--- {path.name}: " + " | ".join(tail))
        return 1
    whole_ms = measure_whole(args.model, args.weights)
    summary = summarise(record, args, whole_ms)
    from coedge_ros.cli.demo_report import print_report

    print_report(summary, record, args.output)
    print(json.dumps(summary), flush=True)
    ok = summary["frames_lost"] == 0 and summary["max_abs_diff"] <= 1e-4 * summary["scale"]
    return 0 if ok else 1


def say(text: str) -> None:
    """Progress goes to standard error, so that standard output holds table and JSON."""
    print(f"[demo] {text}", file=sys.stderr, flush=True)


def measure_whole(spec: str, weights: str, repeats: int = 20) -> list[float]:
    """Milliseconds of the whole model in this process with one thread, after the cluster has ended."""
    import torch

    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.trace import PixelInput

    torch.set_num_threads(1)
    loaded = load_model(spec, weights=weights or None)
    module = PixelInput(loaded.module, loaded.mean, loaded.std).eval()
    frame = torch.zeros(1, 3, *(loaded.input_size or (224, 224)), dtype=torch.uint8)
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 3):
            began = time.perf_counter()
            module(frame)
            times.append((time.perf_counter() - began) * 1e3)
    return times[3:]


def summarise(record, args: argparse.Namespace, whole_ms: list[float]) -> dict:
    """The JSON object of the last line."""
    latencies = sorted(r.latency_ms for r in record.results)
    last = record.results[-1]
    macs = dict.fromkeys(record.workers, 0)
    for result in record.results:
        for usage in result.workers:
            macs[usage.name] = macs.get(usage.name, 0) + usage.macs
    total = max(1, sum(macs.values()))
    checked = [(r.max_abs_diff, r.scale) for r in record.results if r.scale == r.scale]
    diff, scale = max(checked, key=lambda p: p[0] / p[1]) if checked else (float("nan"), float("nan"))
    status = record.status
    dropped = sum(status.dropped_counts) if status else 0
    return {
        "model": args.model,
        "objective": "energy",
        "deadline_ms": round(last.deadline_ms, 3),
        "workers": sorted(record.workers),
        "frames_sent": len(record.names),
        "frames_answered": len(record.results),
        "frames_lost": (status.frames_accepted if status else 0) - len(record.results),
        "frames_dropped": dropped,
        "max_abs_diff": diff,
        "scale": scale,
        "frames_checked": len(checked),
        "planned_as_though": speed_factors(args.cluster),
        "latency_ms": {"p50": round(percentile(latencies, 0.5), 3), "p99": round(percentile(latencies, 0.99), 3)},
        "whole_ms": {"p50": round(median(whole_ms), 3)},
        "predicted_ms": round(last.predicted_ms, 3),
        "fallbacks": sum(r.fallback for r in record.results),
        "rows": {
            u.name: [[a, b] for a, b in zip(u.row_start, u.row_stop, strict=True)] for u in last.workers
        },
        "macs_share": {name: round(count / total, 4) for name, count in sorted(macs.items())},
        "bytes_per_frame": int(median(r.bytes_moved for r in record.results)),
        "energy_j_per_frame_modelled": round(median(r.energy_j for r in record.results), 4),
        "labels": record.labels(),
    }  # fmt: skip


def speed_factors(cluster: str) -> str:
    """The cluster file's speed factors, in words."""
    parts = [f"{w.name} had {w.speed_factor:g} x its measured speed" for w in cluster_of(cluster).workers]
    return "; ".join(parts) + " (speed_factor in the cluster file)"


def percentile(ordered: list[float], q: float) -> float:
    """Nearest-rank percentile of an ordered list."""
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
