"""`coedge compare`: planners over models, link rates and deadlines, by the cost model; nothing runs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from coedge_ros.cli.compare_report import print_aims, print_cells, print_paper
from coedge_ros.cli.planning_inputs import load_cluster_or_default, load_graph, parse_size
from coedge_ros.errors import UserError
from coedge_ros.planning.comparison import (
    PAPER_BANDWIDTHS,
    PAPER_FACTORS,
    PAPER_MODELS,
    PAPER_PLANNERS,
    PAPER_REDUCTIONS,
    Comparison,
    as_json,
    reductions,
)
from coedge_ros.planning.registry import PLANNERS
from coedge_ros.planning.request import OBJECTIVES
from coedge_ros.spec.cluster import ClusterSpec
from coedge_ros.spec.profile import Profile

SWEEPS = {
    "bandwidth": (5, 10, 20, 50, 100, 200, 300, 600, 1000),
    "deadline": (0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.25, 1.5, 2),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge compare`."""
    parser.add_argument("--cluster", default="", metavar="FILE", help="cluster file; the shipped one when left out")
    parser.add_argument("--models", default="mobilenet_v2,resnet18", help="models, with commas")
    parser.add_argument("--input", default="", metavar="HxW", help="input size; each model's own when left out")
    parser.add_argument("--planners", default=",".join(PAPER_PLANNERS), help="planners, with commas")
    parser.add_argument("--objective", default="energy", choices=OBJECTIVES, help="what should be best")
    parser.add_argument("--deadline-ms", default="", metavar="A,B,..", help="latency deadlines")
    parser.add_argument(
        "--deadline-factors", default="", metavar="A,B,..", help="deadlines as parts of the best single worker's"
    )
    parser.add_argument(
        "--bandwidths", default="", metavar="A,B,..", help="Mbit/s of every link; the file's when left out"
    )
    parser.add_argument("--sweep", default="", choices=["", *SWEEPS], help="a row of bandwidths or deadlines")
    parser.add_argument("--alpha-ms", type=float, default=None, help="latency of a message instead of the file's")
    parser.add_argument("--count-idle", action="store_true", help="count what participants draw while they wait")
    parser.add_argument(
        "--macs-per-s", type=float, default=0.0, help="speed of workers whose speed the file does not have"
    )
    parser.add_argument("--paper", action="store_true", help="the CoEdge paper's models, planners and stand-in testbed")
    parser.add_argument("--json", default=None, metavar="FILE", help="JSON to FILE, - for the output")


def run(args: argparse.Namespace) -> int:
    """Compare and print."""
    names, comparison = _comparison(args)
    cells = comparison.cells(lambda text: print(text, file=sys.stderr))
    aims = comparison.aims(cells) if args.paper else []
    if args.json is not None:
        values = as_json(cells, cluster=comparison.profile.cluster.source, models=names, objective=comparison.objective)
        if args.paper:
            values["aims"] = [asdict(aim) for aim in aims]
            values["paper_energy_reduction_percent"] = list(PAPER_REDUCTIONS)
        text = json.dumps(values)
        if args.json == "-":
            print(text)
            return 0
        Path(args.json).write_text(text + "\n")
    print_cells(cells)
    if args.paper:
        print_paper(reductions(cells))
        print_aims(aims)
    return 0


def _comparison(args: argparse.Namespace) -> tuple[list[str], Comparison]:
    cluster = load_cluster_or_default(_paper_testbed() if args.paper and not args.cluster else args.cluster)
    if args.alpha_ms is not None:
        cluster = _with_alpha(cluster, args.alpha_ms / 1e3)
    models = list(PAPER_MODELS) if args.paper else args.models.split(",")
    planners = list(PAPER_PLANNERS) if args.paper else args.planners.split(",")
    if unknown := [name for name in planners if name not in PLANNERS or name == "manual"]:
        raise UserError(f"--planners: {unknown[0]!r} is none of {', '.join(n for n in PLANNERS if n != 'manual')}")
    deadlines = [ms / 1e3 for ms in _numbers(args.deadline_ms, "--deadline-ms")] or [None]
    factors = _numbers(args.deadline_factors, "--deadline-factors") or (list(PAPER_FACTORS) if args.paper else [])
    bandwidths = _numbers(args.bandwidths, "--bandwidths") or (list(PAPER_BANDWIDTHS) if args.paper else [None])
    if args.sweep == "bandwidth":
        bandwidths = list(SWEEPS["bandwidth"])
    elif args.sweep == "deadline":
        factors = list(SWEEPS["deadline"])
    unknown = {w.name: args.macs_per_s for w in cluster.workers if not w.macs_per_s}
    if unknown and not args.macs_per_s:
        raise UserError(f"{cluster.source} has no macs_per_s for {', '.join(unknown)}: give --macs-per-s")
    graphs = {model: load_graph(model, parse_size(args.input)) for model in models}
    profile = Profile(cluster, unknown)
    return models, Comparison(
        graphs, profile, planners, bandwidths, deadlines, factors, args.objective, args.count_idle
    )


def _paper_testbed() -> str:
    from coedge_ros.nodes.composition import share_folder

    return str(share_folder() / "config" / "testbeds" / "coedge_paper.yaml")


def _with_alpha(cluster: ClusterSpec, alpha_s: float) -> ClusterSpec:
    links = {pair: replace(link, alpha_s=alpha_s) for pair, link in cluster.links.items()}
    return replace(cluster, default_link=replace(cluster.default_link, alpha_s=alpha_s), links=links)


def _numbers(text: str, what: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise UserError(f"{what} {text!r} must be numbers with commas between them") from None
    if any(not number > 0 for number in numbers):
        raise UserError(f"{what} {text!r} must be above 0")
    return numbers
