"""`coedge profile`: stage times of this host's workers and the cost of a message, into a cluster file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import numpy as np
import yaml

from coedge_ros.cli.planning_inputs import add_model_arguments, parse_size
from coedge_ros.errors import UserError
from coedge_ros.spec.cluster import MeasuredTimes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge profile`."""
    add_model_arguments(parser, "mobilenet_v2")
    parser.add_argument("--cluster", default="", metavar="FILE", help="cluster file; the shipped one when left out")
    parser.add_argument("--host", default="", help="measure only the workers that the file puts on this host")
    parser.add_argument("--budget", type=float, default=1.0, metavar="S", help="seconds per worker and row count")
    parser.add_argument("--refresh", action="store_true", help="measure stage times anew, also those kept from before")
    parser.add_argument("--no-link", action="store_true", help="leave the links as the file has them")
    parser.add_argument(
        "--output", type=Path, default=None, metavar="FILE", help="write the cluster file with what was measured"
    )
    parser.add_argument("--json", action="store_true", help="print what was measured as one JSON object instead")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and write the cluster file."""
    from coedge_ros.cli.planning_inputs import load_cluster_or_default
    from coedge_ros.nodes.composition import local_environment
    from coedge_ros.nodes.domains import free_domain
    from coedge_ros.profiling.stage_times import measure_stage_overhead

    cluster = load_cluster_or_default(args.cluster)
    workers = [w for w in cluster.workers if not args.host or w.host == args.host]
    if not workers:
        raise UserError(f"{cluster.source} has no worker on {args.host!r}; hosts: {[h.name for h in cluster.hosts]}")
    if not args.budget > 0:
        raise UserError("--budget must be more than 0 seconds")
    if others := [w.name for w in workers if w.device != "cpu"]:
        raise UserError(f"{', '.join(others)}: only workers on cpu can be measured so far")
    threads = [worker.threads for worker in workers]
    measured, slower = kept_or_measured(args, parse_size(args.input), threads)
    by_name = dict(zip([w.name for w in workers], measured, strict=True))
    link, stage_s = None, measure_stage_overhead()
    if not args.no_link:
        os.environ.setdefault("ROS_DOMAIN_ID", str(free_domain()))
        os.environ.update(local_environment())
        from coedge_ros.nodes.link_probe import probe_within_host

        link = probe_within_host(stage_s=stage_on_a_share_s(list(by_name.values())))
    if args.json:
        found = {"workers": {n: asdict(t) for n, t in by_name.items()}, "slowdown": slower}
        if link:
            found["within_host"] = asdict(link.link)
            found["message_s"], found["stage_s"] = link.message_s, stage_s
            found["round_trip_ms"] = {n: [round(s * 1e3, 4) for s in times] for n, times in link.round_trip_s.items()}
        print(json.dumps(found))
    else:
        _print(by_name, link)
        print(f"a stage takes {stage_s * 1e3:.3f} ms besides its kernels")
        print(f"workers take {slower:.2f} times as long together as one alone")
    if args.output:
        values = yaml.safe_load(Path(cluster.source).read_text(encoding="utf-8"))
        args.output.write_text(
            yaml.safe_dump(with_measurements(values, by_name, stage_s, link, slower), sort_keys=False), encoding="utf-8"
        )
        print(f"written: {args.output}; use it with --cluster {args.output}", file=sys.stderr)
    return 0


def kept_or_measured(args: argparse.Namespace, size: tuple[int, int] | None, threads: list[int]):
    """What `measure` found here before for the same model, size and workers; measured when there is nothing."""
    import torch

    from coedge_ros.graph.loading import load_model
    from coedge_ros.profiling.cache import Key, hardware
    from coedge_ros.spec.cluster import StageTimes

    loaded = load_model(args.model, weights=args.weights or None)
    height, width = size or loaded.input_size or (224, 224)
    key = Key("stages", loaded.digest, height, width, "cpu", torch.__version__, tuple(threads), hardware())
    kept = None if args.refresh else key.read()
    if kept is not None:
        print(f"stage times as measured before ({key.file}); --refresh measures anew", file=sys.stderr)
        workers = [
            MeasuredTimes(args.model, height, width, tuple(
                StageTimes(s["first"], s["last"], tuple(s["rows"]), tuple(s["seconds"])) for s in stages
            ))
            for stages in kept["workers"]
        ]  # fmt: skip
        return workers, kept["slower"]
    times, slower = measure(args.model, args.weights, (height, width), threads, args.budget)
    key.keep({"workers": [[asdict(s) for s in t.stages] for t in times], "slower": slower})
    return times, slower


def measure(model: str, weights: str, size: tuple[int, int] | None, threads: list[int], budget_s: float):
    """Stage times of one worker process per entry of `threads`, all at the same time, with a progress bar.

    Returns them in a list, and how many times as long workers take together as one alone.
    """
    from rich.console import Console
    from rich.progress import Progress

    from coedge_ros.graph.loading import load_model
    from coedge_ros.profiling.rivals import ModelChoice
    from coedge_ros.profiling.stage_times import FRACTIONS
    from coedge_ros.profiling.together import measure_together, slowdown

    height, width = size or load_model(model, weights=weights or None).input_size or (224, 224)
    choices = [ModelChoice(model, weights or None, height, width, count) for count in threads]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(
            f"{model} {height}x{width}, {len(threads)} workers", total=len(threads) * len(FRACTIONS)
        )
        times = measure_together(choices, budget_s, lambda: progress.advance(task))
        return times, slowdown(times, choices[0], budget_s) if len(choices) > 1 else 1.0


def stage_on_a_share_s(times: Sequence[MeasuredTimes]) -> float:
    """Mean time of a stage when all workers have equal shares of the rows [s]."""
    return mean(
        float(np.interp(max(stage.rows) / len(times), stage.rows, stage.seconds)) for t in times for stage in t.stages
    )


def with_measurements(values: dict, measured: dict, stage_s: float = 0.0, link=None, slower: float = 1.0) -> dict:
    """A cluster file's values with stage times per worker, in place of earlier ones of the same model and size.

    `slower` becomes `cores` of hosts all of whose workers were measured; workers that only pretend to share a host
    (with a `speed_factor`) do not slow each other.
    """
    for worker in values["workers"]:
        if worker["name"] not in measured:
            continue
        times = measured[worker["name"]]
        entry = {
            "model": times.model,
            "input": [times.height, times.width],
            "stages": [
                {"first": s.first, "last": s.last, "rows": list(s.rows), "seconds": [round(t, 7) for t in s.seconds]}
                for s in times.stages
            ],
        }
        same = [entry["model"], entry["input"]]
        others = [m for m in worker.get("measured", []) if [m["model"], m["input"]] != same]
        worker["measured"] = [*others, entry]
        worker["stage_s"] = round(stage_s, 7)
        if link is not None:
            worker["message_s"] = round(link.message_s, 7)
    for host in values["hosts"] if slower > 1 else ():
        workers = [worker for worker in values["workers"] if worker["host"] == host["name"]]
        if len(workers) > 1 and all(w["name"] in measured and w.get("speed_factor", 1) == 1 for w in workers):
            host["cores"] = round(sum(worker.get("threads", 1) for worker in workers) / slower, 3)
    if link is not None:
        beside = link.link_beside_processors
        figures = {"alpha_s": round(beside.alpha_s, 7), "bytes_per_s": round(beside.bytes_per_s)}
        values.setdefault("links", {"default": dict(figures)})["within_host"] = figures
    return values


def _print(by_name: dict, link) -> None:
    from statistics import median

    from rich.console import Console
    from rich.table import Table

    console = Console(width=120)
    times = list(by_name.values())
    first = times[0]
    table = Table(title=f"{first.model} {first.height}x{first.width}: ms per stage, all workers computing at once")
    table.add_column("stage", no_wrap=True)
    table.add_column("rows", no_wrap=True)
    table.add_column(f"ms at these rows, median of {', '.join(by_name)}", no_wrap=True)
    for index, stage in enumerate(first.stages):
        name = stage.first if stage.first == stage.last else f"{stage.first} to {stage.last}"
        columns = zip(*(t.stages[index].seconds for t in times), strict=True)
        table.add_row(
            name, " ".join(f"{r:4d}" for r in stage.rows), " ".join(f"{median(c) * 1e3:7.2f}" for c in columns)
        )
    console.print(table)
    for name, worker in by_name.items():
        console.print(f"{name}: whole frame {sum(s.seconds[-1] for s in worker.stages) * 1e3:.2f} ms", highlight=False)
    if link is None:
        return
    messages = Table(title="one message within this host, there and back with 16 bytes")
    for name in ("payload", "p50 ms", "p99 ms", "one way ms"):
        messages.add_column(name, justify="right")
    from numpy import percentile

    for size, times in sorted(link.round_trip_s.items()):
        messages.add_row(
            f"{size / 1024:.0f} KiB", *(f"{percentile(times, q) * 1e3:.3f}" for q in (50, 99)),
            f"{link.one_way_s(size) * 1e3:.3f}",
        )  # fmt: skip
    console.print(messages)
    console.print(
        f"alpha {link.link.alpha_s * 1e3:.3f} ms, {link.link.bytes_per_s / 1e6:.0f} MB/s; a small message takes its "
        f"sender {link.send_s * 1e3:.3f} ms and its receiver {link.take_s * 1e3:.3f} ms; lost {link.lost}",
        highlight=False,
    )
