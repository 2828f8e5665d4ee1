"""`coedge plan`: what the planner would do with a model on a cluster, what it would cost, and why; nothing runs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from coedge_ros.cli.plan_report import print_plan
from coedge_ros.cli.planning_inputs import (
    add_model_arguments,
    load_cluster_or_default,
    load_partitioned,
    parse_integers,
    parse_size,
    profile_for,
)
from coedge_ros.errors import UserError
from coedge_ros.planning.critical_path import critical_path
from coedge_ros.planning.registry import PLANNERS, best_single_latency_s, make_plan
from coedge_ros.planning.request import OBJECTIVES, PlanRequest
from coedge_ros.spec.codec import CODECS, Codec
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.outcome import Status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge plan`."""
    add_model_arguments(parser)
    parser.add_argument("--model-arguments", default="", metavar="JSON", help="keyword arguments of the factory")
    parser.add_argument("--cluster", default="", metavar="FILE", help="cluster file; the shipped one when left out")
    parser.add_argument("--planner", default="fused", choices=list(PLANNERS), help="how rows are shared out")
    parser.add_argument("--objective", default="energy", choices=OBJECTIVES, help="what should be best")
    parser.add_argument("--deadline-ms", type=float, default=None, help="latency deadline")
    parser.add_argument(
        "--deadline-factor", type=float, default=None, help="deadline as a part of the best single worker's"
    )
    parser.add_argument("--count-idle", action="store_true", help="count what participants draw while they wait")
    parser.add_argument("--rows", default="", metavar="A,B,..", help="rows per worker by hand (planner manual)")
    parser.add_argument("--cuts", default="layers", help="with --rows: layers, none, or operator indices with commas")
    parser.add_argument(
        "--codec", default="raw", choices=CODECS, help="coarsest coding of rows between workers; used where it pays"
    )
    parser.add_argument("--head", default="", help="with --rows: worker of the head")
    parser.add_argument(
        "--macs-per-s", type=float, default=0.0, help="speed of workers whose speed the file does not have"
    )
    parser.add_argument(
        "--json", nargs="?", const="-", default=None, metavar="FILE", help="JSON to FILE, - for the output"
    )


def run(args: argparse.Namespace) -> int:
    """Plan and print; 0 when the plan meets the deadline, 1 when nothing does."""
    if args.deadline_ms is not None and args.deadline_factor is not None:
        raise UserError("give --deadline-ms or --deadline-factor, not both")
    cluster = load_cluster_or_default(args.cluster)
    partitioned = load_partitioned(args.model, parse_size(args.input), args.weights, args.model_arguments)
    profile = profile_for(cluster, args.model, partitioned, args.macs_per_s)
    deadline_s = None if args.deadline_ms is None else args.deadline_ms / 1e3
    if args.deadline_factor is not None:
        deadline_s = args.deadline_factor * best_single_latency_s(partitioned.graph, profile)
    cuts = {"layers": None, "none": ()}.get(args.cuts)
    if args.cuts not in ("layers", "none"):
        cuts = parse_integers(args.cuts, "--cuts")
    request = PlanRequest(
        partitioned.graph,
        profile,
        planner="manual" if args.rows else args.planner,
        objective=args.objective,
        deadline_s=deadline_s,
        count_idle=args.count_idle,
        manual_rows=parse_integers(args.rows, "--rows"),
        cuts=cuts,
        head=args.head,
        codec=Codec.parse(args.codec),
    )
    outcome = make_plan(request)
    if outcome.status is Status.INVALID:
        raise UserError(outcome.explanation)
    path = critical_path(derive_schedule(partitioned.graph, outcome.plan), profile)
    if args.json is not None:
        values = {
            "model": args.model,
            "input": [outcome.plan.height, outcome.plan.width],
            "cluster": cluster.source,
            **outcome.as_dict(),
            "critical_path": [asdict(link) for link in path],
        }
        text = json.dumps(values)
        if args.json != "-":
            Path(args.json).write_text(text + "\n")
    if args.json == "-":
        print(text)
    else:
        print_plan(args.model, request, outcome, path)
    return 0 if outcome.is_feasible else 1
