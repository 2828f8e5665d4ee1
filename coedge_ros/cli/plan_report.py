"""A plan as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from coedge_ros.planning.critical_path import Link
from coedge_ros.planning.explain import goal_text, working
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome

MOST_STAGES = 40
MOST_IDLE = 8  # workers without rows that are named
PIPED_WIDTH = 200  # columns for a file or a pipe, where nothing needs to be wrapped


def print_plan(model: str, request: PlanRequest, outcome: PlanOutcome, path: Sequence[Link]) -> None:
    """Print rows, costs, critical path and reasons."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=PIPED_WIDTH)
    plan, predicted = outcome.plan, outcome.predicted
    cluster = request.profile.cluster
    console.print(
        f"{model} at {plan.height}x{plan.width} on {cluster}, planner {outcome.planner}: {goal_text(request)}"
    )
    console.print(f"{outcome.status}: {predicted}", style="bold")
    if not outcome.is_feasible:
        console.print(f"In the way: {outcome.binding}. The plan below comes closest.")
    console.print(_rows(outcome, request))
    idle = [name for name in plan.workers if name not in working(plan)]
    if idle:
        more = f" and {len(idle) - MOST_IDLE} more" if len(idle) > MOST_IDLE else ""
        console.print(f"Without rows: {', '.join(idle[:MOST_IDLE])}{more}.\n")
    console.print(_workers(outcome))
    total = sum(link.end_s - link.start_s for link in path) or 1.0
    console.print("Critical path:")
    for link in path:
        console.print(f"  {link}  ({(link.end_s - link.start_s) / total:.0%})")
    console.print(f"\nWhy: {outcome.explanation}")
    for note in outcome.notes:
        console.print(f"  - {note}")
    console.print("Joules come from the powers in the cluster file: a model, not a meter.", style="dim")


def _rows(outcome: PlanOutcome, request: PlanRequest) -> Table:
    plan, predicted = outcome.plan, outcome.predicted
    names = [name for name in plan.workers if name in working(plan)]
    title = "Rows [start, stop) of each stage's last map, and computing them \\[ms]"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("stage", justify="right")
    table.add_column("ends after")
    table.add_column("of", justify="right")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    ends = [*plan.cuts, request.graph.trunk_length - 1]
    shown = range(plan.stages) if plan.stages <= MOST_STAGES else [*range(20), *range(plan.stages - 20, plan.stages)]
    for stage in shown:
        bounds = plan.boundaries[stage]
        cells = []
        for i in map(plan.workers.index, names):
            if bounds[i] == bounds[i + 1]:
                cells.append("-")
            else:
                milliseconds = predicted.stage_compute_s[stage][i] * 1e3
                cells.append(f"[{bounds[i]}, {bounds[i + 1]}) {milliseconds:6.1f}")
        op = request.graph.operators[ends[stage]]
        table.add_row(str(stage + 1), op.module_path or op.name, str(bounds[-1]), *cells)
    head = predicted.stage_compute_s[-1]
    table.add_row(
        "head", "", "", *(f"{head[plan.workers.index(n)] * 1e3:.1f}" if n == plan.head else "-" for n in names)
    )
    return table


def _workers(outcome: PlanOutcome) -> Table:
    table = Table(title="Per frame", title_justify="left", box=SIMPLE_HEAD)
    for name in (
        "worker",
        "rows",
        "work",
        "compute [ms]",
        "wait [ms]",
        "link busy [ms]",
        "in [kB]",
        "out [kB]",
        "energy [J]",
        "+ idle [J]",
    ):
        table.add_column(name.replace("[", "\\["), justify="left" if name == "worker" else "right", no_wrap=True)
    shares = outcome.predicted.macs_share
    names = working(outcome.plan)
    for w in outcome.predicted.workers:
        if w.name not in names:
            continue
        table.add_row(
            w.name, str(w.rows), f"{shares[w.name]:.0%}", f"{w.compute_s * 1e3:.2f}", f"{w.wait_s * 1e3:.2f}",
            f"{w.transmit_s * 1e3:.2f}", f"{w.bytes_in / 1e3:.1f}", f"{w.bytes_out / 1e3:.1f}", f"{w.energy_j:.4f}",
            f"{w.energy_j + w.idle_j:.4f}",
        )  # fmt: skip
    return table
