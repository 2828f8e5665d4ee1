"""What `coedge verify` prints: a table of the stages, or one JSON object."""

from __future__ import annotations

import argparse

from coedge_ros.execution.verification import Verdict
from coedge_ros.graph.whole import named
from coedge_ros.spec.accounting import account
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.schedule import Schedule


def runs_whole(graph: ModelGraph) -> list[str]:
    """Operators of the head, with their modules: what needs the whole map, and what reads it or a pooled vector."""
    return [named(op) for op in graph.operators[graph.trunk_length :]]


def stages_of(schedule: Schedule) -> list[dict]:
    """Rows, work, bytes and memory of each stage as the schedule has them."""
    graph, plan = schedule.graph, schedule.plan
    accounts = account(schedule)
    workers = range(len(plan.workers))
    rows = []
    for stage in range(plan.stages):
        once = {w.operator for stages in schedule.work for w in stages[stage].computes}
        alone = sum(graph.operators[i].macs for i in once)
        macs = [accounts[w][stage].macs for w in workers]
        sent = [t for t in schedule.transfers if t.needed_in == stage and t.rows is not None]
        owned = [schedule.owned_rows(w, stage) for w in workers]
        rows.append(
            {
                "stage": stage,
                "ends_after": graph.operators[[*plan.cuts, graph.trunk_length - 1][stage]].name,
                "rows": [[r.start, r.stop] for r in owned],
                "received_rows": [sum(len(t.rows) for t in sent if t.target == w) for w in workers],
                "macs": macs,
                "bytes": sum(accounts[w][stage].bytes_in for w in workers),
                "overlap_percent": round(100 * (sum(macs) / alone - 1), 2) if alone else 0.0,
                "peak_activation_bytes": [accounts[w][stage].peak_activation_bytes for w in workers],
            }
        )
    return rows


def summary(args: argparse.Namespace, size: tuple[int, int], schedule: Schedule, verdict: Verdict) -> dict:
    """The JSON object."""
    graph = schedule.graph
    worst, cut = verdict.worst_output, verdict.worst_cut
    macs = {u.worker: u.macs for u in verdict.usage}
    total = sum(macs.values()) or 1
    peaks = [max(stage.peak_activation_bytes for stage in stages) for stages in account(schedule)]
    return {
        "model": args.model,
        "input": list(size),
        "transport": args.transport,
        "equal": verdict.is_equal,
        "max_abs_diff": worst.max_abs_diff,
        "scale": worst.scale,
        "codec": args.codec,
        "tolerance": worst.tolerance,
        "worst_cut": str(cut) if cut else None,
        "tensors_compared": len(verdict.cuts) + len(verdict.outputs),
        "stages": stages_of(schedule),
        "macs": graph.total_macs,
        "macs_share": {name: round(count / total, 4) for name, count in macs.items()},
        "macs_banded_fraction": round(graph.trunk_macs / graph.total_macs, 4) if graph.total_macs else 0.0,
        "peak_activation_bytes": dict(zip(schedule.plan.workers, peaks, strict=True)),
        "gathered": runs_whole(graph),
        "notices": list(graph.notices),
    }


def print_report(args: argparse.Namespace, size: tuple[int, int], schedule: Schedule, verdict: Verdict) -> None:
    """The table, what runs whole, and the verdict."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a file or a pipe has room for the bands
    table = Table(title=f"{args.model} {size[0]}x{size[1]}: rows owned + received of each stage")
    for name in ("stage", "ends after", *schedule.plan.workers, "MMAC", "overlap %", "kB", "peak MB"):
        table.add_column(name, justify="left" if name == "ends after" else "right")
    for stage in stages_of(schedule):
        bands = [
            f"[{a}, {b}) + {n}" if b > a else "-"
            for (a, b), n in zip(stage["rows"], stage["received_rows"], strict=True)
        ]
        table.add_row(
            str(stage["stage"] + 1), stage["ends_after"], *bands, f"{sum(stage['macs']) / 1e6:.1f}",
            f"{stage['overlap_percent']:.1f}", f"{stage['bytes'] / 1e3:.0f}",
            f"{max(stage['peak_activation_bytes']) / 1e6:.2f}",
        )  # fmt: skip
    console.print(table)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    for notice in schedule.graph.notices:
        say(f"notice: {notice}")
    say(f"on the head worker: {', '.join(runs_whole(schedule.graph)) or 'nothing'}")
    say(f"worst output: {verdict.worst_output}")
    if args.codec != "raw":
        say(f"equal means within {verdict.worst_output.tolerance:g} of the scale: rows travel as {args.codec}")
    if args.transport == "dds":
        say("tensors at cuts stay in the worker processes; --transport inprocess compares them too")
    else:
        say(f"worst of {len(verdict.cuts)} tensors at cuts: {verdict.worst_cut}")
    console.print("EQUAL" if verdict.is_equal else "NOT EQUAL", style="bold green" if verdict.is_equal else "bold red")
