"""A plan as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from coedge_ros.planning.critical_path import Link
from coedge_ros.planning.explain import goal_text
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome

MOST_STAGES = 40


def print_plan(model: str, request: PlanRequest, outcome: PlanOutcome, path: Sequence[Link]) -> None:
    """Print rows, costs, critical path and reasons."""
    console = Console(highlight=False, soft_wrap=True)
    plan, predicted = outcome.plan, outcome.predicted
    cluster = request.profile.cluster
    console.print(
        f"{model} at {plan.height}x{plan.width} on {cluster}, planner {outcome.planner}: {goal_text(request)}"
    )
    console.print(f"{outcome.status}: {predicted}", style="bold")
    if not outcome.is_feasible:
        console.print(f"In the way: {outcome.binding}. The plan below comes closest.")
    console.print(_rows(outcome, request))
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
    table = Table(title="Rows [start, stop) of each stage's last map, and its time \\[ms]", title_justify="left")
    table.add_column("stage", justify="right")
    table.add_column("ends after")
    table.add_column("of", justify="right")
    for name in plan.workers:
        table.add_column(name, justify="right")
    ends = [*plan.cuts, request.graph.trunk_length - 1]
    shown = range(plan.stages) if plan.stages <= MOST_STAGES else [*range(20), *range(plan.stages - 20, plan.stages)]
    for stage in shown:
        bounds = plan.boundaries[stage]
        cells = []
        for i in range(len(plan.workers)):
            if bounds[i] == bounds[i + 1]:
                cells.append("-")
            else:
                milliseconds = predicted.stage_compute_s[stage][i] * 1e3
                cells.append(f"[{bounds[i]}, {bounds[i + 1]}) {milliseconds:7.2f}")
        op = request.graph.operators[ends[stage]]
        table.add_row(str(stage + 1), op.module_path or op.name, str(bounds[-1]), *cells)
    head = predicted.stage_compute_s[-1]
    table.add_row(
        "head", "", "", *(f"{s * 1e3:7.2f}" if n == plan.head else "-" for n, s in zip(plan.workers, head, strict=True))
    )
    return table


def _workers(outcome: PlanOutcome) -> Table:
    table = Table(title="Per frame", title_justify="left")
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
        table.add_column(name, justify="left" if name == "worker" else "right")
    shares = outcome.predicted.macs_share
    for w in outcome.predicted.workers:
        table.add_row(
            w.name, str(w.rows), f"{shares[w.name]:.0%}", f"{w.compute_s * 1e3:.2f}", f"{w.wait_s * 1e3:.2f}",
            f"{w.transmit_s * 1e3:.2f}", f"{w.bytes_in / 1e3:.1f}", f"{w.bytes_out / 1e3:.1f}", f"{w.energy_j:.4f}",
            f"{w.energy_j + w.idle_j:.4f}",
        )  # fmt: skip
    return table
