"""`coedge bench`: whole model, ceiling and cluster in turn: a noisy machine then disturbs all alike."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import yaml

from coedge_ros.cli.bench_cluster import BenchCluster, equal_workers, measured_cluster, own_domain, telling_weights
from coedge_ros.cli.planning_inputs import add_model_arguments, load_cluster_or_default, parse_size
from coedge_ros.errors import UserError
from coedge_ros.spec.codec import CODECS

TRANSPORTS = ("dds", "inprocess")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge bench`."""
    add_model_arguments(parser, "resnet18", "480x640")
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
    parser.add_argument(
        "--transport", default="dds", choices=TRANSPORTS,
        help="dds: worker processes; inprocess: all workers in turn in this process, nothing travels",
    )  # fmt: skip
    parser.add_argument(
        "--codec", default="raw", choices=CODECS,
        help="coarsest coding of rows between workers; used where it pays, for planner manual everywhere",
    )  # fmt: skip
    parser.add_argument("--fragments", action="store_true", help="measure fragments alone, by size and transport")
    parser.add_argument("--json", type=Path, default=None, help="write the result there too")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and end with one line of JSON."""
    size = parse_size(args.input)
    if args.workers < 1 or args.frames < 3 or args.in_flight < 1 or size is None:
        raise UserError("--workers and --in-flight must be 1 or more, --frames 3 or more, and --input is needed")
    own_domain()
    if args.fragments:
        from coedge_ros.cli.bench_fragments import measure_fragments, print_fragments

        summary = measure_fragments(args.frames)
        print_fragments(summary)
        _write(args, summary)
        return 0
    from coedge_ros.cli.bench_report import print_report

    with tempfile.TemporaryDirectory(prefix="coedge_bench_") as folder:
        args.weights = telling_weights(args.model, args.weights, size, Path(folder))
        summary = _run(args, size)
    print_report(summary)
    _write(args, summary)
    return 0 if summary["max_abs_diff"] <= summary["tolerance"] * summary["scale"] else 1


def _run(args, size: tuple[int, int]) -> dict:
    from coedge_ros.cli.bench_in_process import InProcessBench
    from coedge_ros.cli.bench_measure import measure
    from coedge_ros.cli.bench_report import summarise

    if args.cluster:
        values = yaml.safe_load(Path(load_cluster_or_default(args.cluster).source).read_text(encoding="utf-8"))
    else:
        values = measured_cluster(equal_workers(args.workers, args.threads), args.model, args.weights, size)
    manager = {
        "planner": args.planner, "rows": args.rows, "cuts": args.cuts, "queue_frames": args.in_flight,
        "frames_in_flight": args.in_flight, "codec": args.codec,
    }  # fmt: skip
    make = BenchCluster if args.transport == "dds" else InProcessBench
    with make(values, args.model, args.weights, size, manager) as cluster:
        measured = measure(args, size, cluster)
    return summarise(args, measured, cluster.plan)


def _write(args: argparse.Namespace, summary: dict) -> None:
    text = json.dumps(summary)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(text + "\n")
    print(text, flush=True)
