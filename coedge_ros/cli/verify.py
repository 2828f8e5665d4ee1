"""`coedge verify`: a model in bands against the whole model, outputs and every tensor at every cut."""

from __future__ import annotations

import argparse
import json
import random

from coedge_ros.cli.planning_inputs import parse_integers, parse_size
from coedge_ros.errors import ModelError, UserError

CUTS = "layers, none (forced ones only), auto (a random choice of the legal ones), or operator indices with commas"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge verify`."""
    parser.add_argument(
        "--model", required=True, metavar="SPEC", help="zoo name, package.module:factory, or a .pt2 file"
    )
    parser.add_argument("--weights", default="", help="file of weights, or imagenet; random ones when left out")
    parser.add_argument("--model-arguments", default="", metavar="JSON", help="keyword arguments of the factory")
    parser.add_argument("--input", default="", metavar="HxW", help="input size; the model's own when left out")
    parser.add_argument("--workers", type=int, default=3, help="workers, when no --shares are given")
    parser.add_argument("--shares", default="", metavar="a,b,..", help="part of the rows of each worker; zero is legal")
    parser.add_argument("--cuts", default="layers", help=CUTS)
    parser.add_argument("--strict", action="store_true", help="refuse a model of which convolutions must run whole")
    parser.add_argument("--seed", type=int, default=0, help="of random weights, of the frame and of random cuts")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")


def run(args: argparse.Namespace) -> int:
    """0 when equal, 1 when not; UserError (2) when the model cannot be loaded, traced or split as asked."""
    import torch

    from coedge_ros.execution.verification import Oracle, random_frame
    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.rescale import rescale_to_unit_variance
    from coedge_ros.spec.plan import plan_from_shares
    from coedge_ros.spec.schedule import derive_schedule

    arguments = json.loads(args.model_arguments) if args.model_arguments else None
    loaded = load_model(args.model, arguments=arguments, weights=args.weights or None, seed=args.seed)
    size = parse_size(args.input) or loaded.input_size
    if size is None:
        raise UserError(f"{args.model} does not say its input size: give --input HxW")
    if loaded.fixed_input and loaded.input_size and tuple(size) != tuple(loaded.input_size):
        h, w = loaded.input_size
        raise ModelError(f"{args.model} takes {h}x{w} only: give --input {h}x{w}, or leave it out")
    if not args.weights:
        # as torch draws them, maps shrink from layer to layer until an error no longer shows
        pixels = torch.from_numpy(random_frame(*size, args.seed)).permute(2, 0, 1).unsqueeze(0) / 255
        mean, std = (torch.tensor(v).reshape(1, -1, 1, 1) for v in (loaded.mean, loaded.std))
        try:
            rescale_to_unit_variance(loaded.module, (pixels - mean) / std, seed=args.seed)
        except Exception as error:  # the user's own code ran, and may raise anything
            text = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(
                f"{args.model} does not run at {size[0]}x{size[1]}: {text[0]}; give another --input"
            ) from error
    oracle = Oracle(loaded.module, *size, loaded.mean, loaded.std, strict=args.strict)
    graph = oracle.model.graph
    shares = _shares(args)
    plan = plan_from_shares(graph, tuple(f"worker_{i + 1}" for i in range(len(shares))), shares, _cuts(args, graph))
    verdict = oracle.verify(plan, oracle.frames(1, args.seed))
    schedule = derive_schedule(graph, plan)
    if args.json:
        print(json.dumps(_summary(args, size, graph, schedule, verdict)))
    else:
        _print(args, size, graph, schedule, verdict)
    return 0 if verdict.is_equal else 1


def _shares(args: argparse.Namespace) -> list[float]:
    try:
        shares = [float(part) for part in args.shares.split(",")] if args.shares else [1.0] * args.workers
    except ValueError:
        raise UserError(f"--shares {args.shares!r} must be numbers with commas between them") from None
    if not shares or min(shares) < 0 or sum(shares) <= 0:
        raise UserError(f"--shares {args.shares or args.workers} must be >= 0 and not all zero, for one worker or more")
    return shares


def _cuts(args: argparse.Namespace, graph) -> tuple[int, ...]:
    from coedge_ros.spec.cuts import forced_cuts, layer_cuts, legal_cuts, with_forced

    if args.cuts == "layers":
        return layer_cuts(graph)
    if args.cuts == "none":
        return forced_cuts(graph)
    if args.cuts == "auto":
        legal = legal_cuts(graph)
        return with_forced(graph, random.Random(args.seed).sample(legal, len(legal) // 4))
    try:
        return with_forced(graph, parse_integers(args.cuts, "--cuts"))
    except ValueError as error:
        raise UserError(f"--cuts: {error}") from None


def _gathered(graph) -> list[str]:
    """Operators that run whole because they need the whole map, and what they feed, with their modules."""
    return [f"{op.target} at {op.module_path or 'the top'}" for op in graph.operators[graph.trunk_length :]]


def _stages(graph, schedule) -> list[dict]:
    """Rows, work and bytes of each stage as the schedule has them."""
    rows = []
    for stage in range(schedule.plan.stages):
        alone = sum(graph.operators[w.operator].macs for w in _all_work(schedule, stage))
        macs = [schedule.macs(w, stage) for w in range(len(schedule.plan.workers))]
        sent = [t for t in schedule.transfers if t.needed_in == stage and t.rows is not None]
        rows.append(
            {
                "stage": stage,
                "ends_after": graph.operators[[*schedule.plan.cuts, graph.trunk_length - 1][stage]].name,
                "rows": [list(map(int, (r.start, r.stop))) for r in _owned(schedule, stage)],
                "received_rows": [sum(len(t.rows) for t in sent if t.target == w) for w in range(len(macs))],
                "macs": macs,
                "bytes": sum(t.wire_bytes for t in sent),
                "overlap_percent": round(100 * (sum(macs) / alone - 1), 2) if alone else 0.0,
            }
        )
    return rows


def _all_work(schedule, stage: int):
    """Each operator of a stage once, whoever computes it."""
    found = {w.operator: w for stages in schedule.work for w in stages[stage].computes}
    return found.values()


def _owned(schedule, stage: int):
    return [schedule.owned_rows(w, stage) for w in range(len(schedule.plan.workers))]


def _summary(args, size, graph, schedule, verdict) -> dict:
    worst, cut = verdict.worst_output, verdict.worst_cut
    macs = {u.worker: u.macs for u in verdict.usage}
    total = sum(macs.values()) or 1
    return {
        "model": args.model,
        "input": list(size),
        "equal": verdict.is_equal,
        "max_abs_diff": worst.max_abs_diff,
        "scale": worst.scale,
        "worst_cut": str(cut) if cut else None,
        "tensors_compared": len(verdict.cuts) + len(verdict.outputs),
        "stages": _stages(graph, schedule),
        "macs_share": {name: round(count / total, 4) for name, count in macs.items()},
        "macs_banded_fraction": round(graph.trunk_macs / graph.total_macs, 4) if graph.total_macs else 0.0,
        "gathered": _gathered(graph),
        "notices": list(graph.notices),
    }


def _print(args, size, graph, schedule, verdict) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    workers = schedule.plan.workers
    table = Table(title=f"{args.model} {size[0]}x{size[1]}: rows owned + received of each stage")
    for name in ("stage", "ends after", *workers, "MMAC", "overlap %", "kB"):
        table.add_column(name, justify="left" if name == "ends after" else "right")
    for stage in _stages(graph, schedule):
        bands = [
            f"[{a}, {b}) + {n}" if b > a else "-"
            for (a, b), n in zip(stage["rows"], stage["received_rows"], strict=True)
        ]
        table.add_row(
            str(stage["stage"] + 1), stage["ends_after"], *bands, f"{sum(stage['macs']) / 1e6:.1f}",
            f"{stage['overlap_percent']:.1f}", f"{stage['bytes'] / 1e3:.0f}",
        )  # fmt: skip
    console.print(table)
    for notice in graph.notices:
        console.print(f"notice: {notice}", highlight=False, markup=False)
    gathered = _gathered(graph)
    console.print(f"on the head worker: {', '.join(gathered) or 'nothing'}", highlight=False, markup=False)
    console.print(f"worst output: {verdict.worst_output}", highlight=False, markup=False)
    console.print(f"worst of {len(verdict.cuts)} tensors at cuts: {verdict.worst_cut}", highlight=False, markup=False)
    console.print("EQUAL" if verdict.is_equal else "NOT EQUAL", style="bold green" if verdict.is_equal else "bold red")
