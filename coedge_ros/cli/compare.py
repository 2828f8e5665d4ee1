"""`coedge compare`: planners over models, link rates, workers and deadlines, by the cost model; nothing runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path

from coedge_ros.cli.compare_report import print_aims, print_cells, print_paper, print_pictures
from coedge_ros.cli.planning_inputs import load_cluster_or_default, load_partitioned, parse_size, profile_for
from coedge_ros.errors import UserError
from coedge_ros.planning.aims import aims, pairs
from coedge_ros.planning.comparison import (
    PAPER_BANDWIDTHS,
    PAPER_FACTORS,
    PAPER_MODELS,
    PAPER_PLANNERS,
    PAPER_REDUCTIONS,
    Comparison,
    as_json,
    reductions,
    summaries,
)
from coedge_ros.planning.registry import PLANNERS
from coedge_ros.planning.request import OBJECTIVES
from coedge_ros.spec.cluster import ClusterSpec

SWEEPS = {
    "bandwidth": (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 600.0, 1000.0),
    "deadline": (0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0),
    "workers": (1, 2, 3, 4, 5, 6, 7, 8),
}
AUTOMATIC = tuple(name for name in PLANNERS if name != "manual")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge compare`."""
    parser.add_argument("--cluster", default="", metavar="FILE", help="cluster file; the shipped one when left out")
    parser.add_argument("--models", default="", metavar="A,B,..", help="models (default: mobilenet_v2,resnet18)")
    parser.add_argument("--input", default="", metavar="HxW", help="input size; each model's own when left out")
    parser.add_argument(
        "--planners", default="", metavar="A,B,..", help=f"of {', '.join(AUTOMATIC)} (default: the paper's and ours)"
    )
    parser.add_argument(
        "--objective", default="", metavar="WHAT",
        help=f"{', '.join(OBJECTIVES)} (default: energy; latency in sweeps without a deadline)",
    )  # fmt: skip
    parser.add_argument("--deadline-ms", default="", metavar="A,B,..", help="latency deadlines")
    parser.add_argument(
        "--deadline-factors", default="", metavar="A,B,..", help="deadlines as parts of the best single worker's"
    )
    parser.add_argument(
        "--bandwidths", default="", metavar="A,B,..", help="Mbit/s of every link; the file's when left out"
    )
    parser.add_argument(
        "--sweep", default="", metavar="WHAT",
        help="bandwidth, deadline (in parts of the best single worker's latency) or workers (the file's first ones)",
    )  # fmt: skip
    parser.add_argument("--alpha-ms", type=float, default=None, help="latency of a message instead of the file's")
    parser.add_argument("--count-idle", action="store_true", help="count what participants draw while they wait")
    parser.add_argument(
        "--macs-per-s", type=float, default=0.0,
        help="speed of workers whose speed the file does not have; measured on this machine when left out",
    )  # fmt: skip
    parser.add_argument(
        "--paper",
        action="store_true",
        help="defaults of the CoEdge paper's setting: models, planners, deadlines, stand-in testbed",
    )
    parser.add_argument(
        "--json", nargs="?", const="-", default=None, metavar="FILE", help="JSON to FILE, - for the output"
    )
    parser.add_argument("--plots", default="", metavar="DIR", help="pictures to DIR, as PNG files")


def run(args: argparse.Namespace) -> int:
    """Compare and print."""
    _check_outputs(args)
    comparison = _comparison(args)
    with _progress() as start:
        cells = comparison.cells(start("planning", comparison.size))
        found = aims(comparison, cells, start("fused against coedge", len(pairs(cells)))) if args.paper else []
        files = {}
        if args.plots:
            from coedge_ros.cli.compare_pictures import make_pictures, steps

            files = make_pictures(comparison, cells, Path(args.plots), start("pictures", steps(comparison)))
    if args.json is not None:
        text = json.dumps(_values(args, comparison, cells, found, files))
        if args.json == "-":
            print(text)
            return 0
        _write(Path(args.json), text + "\n")
    print_cells(cells, comparison.objective)
    if args.paper:
        print_paper(summaries(reductions(cells)))
        print_aims(found)
    print_pictures(files.values())
    return 0


def _values(args, comparison: Comparison, cells, found, files) -> dict:
    profile = next(iter(comparison.profiles.values()))
    values = as_json(
        cells,
        cluster=profile.cluster.source,
        models={name: list(graph.input.shape[2:]) for name, graph in comparison.graphs.items()},
        objective=comparison.objective,
        energy="modelled from the cluster file's powers, not metered",
    )
    if args.paper:
        values["aims"] = [asdict(aim) for aim in found]
        values["paper_energy_reduction_percent"] = list(PAPER_REDUCTIONS)
    if files:
        values["pictures"] = {name: str(path) for name, path in files.items()}
    return values


def _check_outputs(args: argparse.Namespace) -> None:
    """Refuse what could only fail after long work."""
    if args.json not in (None, "-"):
        path = Path(args.json)
        if not args.json or path.is_dir() or not path.parent.is_dir():
            raise UserError(f"--json {args.json!r} must be a file in a folder that exists, or - for the output")
    if args.plots:
        from coedge_ros.cli.compare_pictures import make_folder

        make_folder(Path(args.plots))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise UserError(f"--json {path} cannot be written: {error.strerror}") from error


def _comparison(args: argparse.Namespace) -> Comparison:
    """What the arguments ask for."""
    paper, sweep = args.paper, args.sweep
    if sweep and sweep not in SWEEPS:
        raise UserError(f"--sweep {sweep!r} is none of {', '.join(SWEEPS)}")
    if sweep == "bandwidth" and args.bandwidths:
        raise UserError("--sweep bandwidth brings its own --bandwidths: give one or the other")
    if args.deadline_ms and (args.deadline_factors or sweep == "deadline"):
        what = "--sweep deadline" if sweep == "deadline" else "--deadline-factors"
        raise UserError(f"give --deadline-ms or {what}, not both")
    if args.deadline_factors and sweep == "deadline":
        raise UserError("--sweep deadline brings its own --deadline-factors: give one or the other")
    if args.objective and args.objective not in OBJECTIVES:
        raise UserError(f"--objective {args.objective!r} is none of {', '.join(OBJECTIVES)}")
    if not (args.macs_per_s >= 0 and isfinite(args.macs_per_s)):
        raise UserError(f"--macs-per-s {args.macs_per_s:g} must be above 0")
    planners = _names(args.planners, "--planners") or list(PAPER_PLANNERS)
    if unknown := [name for name in planners if name not in AUTOMATIC]:
        raise UserError(f"--planners: {unknown[0]!r} is none of {', '.join(AUTOMATIC)}")
    models = _names(args.models, "--models") or (list(PAPER_MODELS) if paper else ["mobilenet_v2", "resnet18"])
    deadlines = [ms / 1e3 for ms in _numbers(args.deadline_ms, "--deadline-ms")] or [None]
    factors = _numbers(args.deadline_factors, "--deadline-factors")
    if paper and not (factors or args.deadline_ms or sweep == "workers"):
        factors = list(PAPER_FACTORS)
    bandwidths = _numbers(args.bandwidths, "--bandwidths") or (list(PAPER_BANDWIDTHS) if paper else [None])
    if sweep == "bandwidth":
        bandwidths = list(SWEEPS["bandwidth"])
    elif sweep == "deadline":
        factors = list(SWEEPS["deadline"])
    without_deadline = not factors and deadlines == [None]
    objective = args.objective or ("latency" if sweep and without_deadline else "energy")
    size = parse_size(args.input)
    cluster = load_cluster_or_default(_paper_testbed() if paper and not args.cluster else args.cluster)
    if args.alpha_ms is not None:
        cluster = _with_alpha(cluster, args.alpha_ms)
    if not cluster.workers:
        raise UserError(f"{cluster.source}: there is no worker; name at least one")
    graphs, profiles = {}, {}
    for model in models:
        partitioned = load_partitioned(model, size)
        graphs[model] = partitioned.graph
        profiles[model] = profile_for(cluster, model, partitioned, args.macs_per_s)
    counts = list(SWEEPS["workers"]) if sweep == "workers" else [None]
    return Comparison(
        graphs, profiles, planners, bandwidths, counts, deadlines, factors, objective, args.count_idle
    )  # fmt: skip


@contextmanager
def _progress():
    """Bars on standard error, so that standard output holds tables and JSON."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:

        def start(what: str, total: int):
            task = progress.add_task(what, total=total)

            def advance(text: str) -> None:
                progress.update(task, advance=1, description=f"{what}: {text}")

            return advance

        yield start


def _paper_testbed() -> str:
    from coedge_ros.nodes.composition import share_folder

    return str(share_folder() / "config" / "testbeds" / "coedge_paper.yaml")


def _with_alpha(cluster: ClusterSpec, alpha_ms: float) -> ClusterSpec:
    if not (alpha_ms >= 0 and isfinite(alpha_ms)):
        raise UserError(f"--alpha-ms {alpha_ms:g} must be 0 or above")
    links = {pair: replace(link, alpha_s=alpha_ms / 1e3) for pair, link in cluster.links.items()}
    return replace(cluster, default_link=replace(cluster.default_link, alpha_s=alpha_ms / 1e3), links=links)


def _names(text: str, what: str) -> list[str]:
    names = [part.strip() for part in text.split(",")] if text else []
    if not all(names):
        raise UserError(f"{what} {text!r} must be names with commas between them")
    return list(dict.fromkeys(names))


def _numbers(text: str, what: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise UserError(f"{what} {text!r} must be numbers with commas between them") from None
    if any(not (number > 0 and isfinite(number)) for number in numbers):
        raise UserError(f"{what} {text!r} must be above 0")
    return _distinct(numbers)


def _distinct(numbers: Sequence[float]) -> list[float]:
    return list(dict.fromkeys(numbers))
