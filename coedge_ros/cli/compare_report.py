"""Comparisons as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from coedge_ros.planning.comparison import (
    AIM_ENERGY,
    AIM_LATENCY,
    PAPER_REDUCTIONS,
    Aim,
    Cell,
    Reduction,
)

WIDTH = 140


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _mbit(value: float | None) -> str:
    return "file" if value is None else f"{value:g}"


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def print_cells(cells: Sequence[Cell]) -> None:
    """One row per cell."""
    table = Table(title="Predicted by the cost model; joules are a model, not a meter", title_justify="left")
    for name in (
        "model",
        "Mbit/s",
        "deadline ms",
        "planner",
        "status",
        "latency ms",
        "energy J",
        "with idle J",
        "kB",
        "workers",
    ):
        table.add_column(name, justify="left" if name in ("model", "planner", "status") else "right")
    last = None
    for cell in cells:
        key = cell.model, cell.bandwidth_mbit_s, cell.deadline_ms
        if last is not None and key != last:
            table.add_section()
        last = key
        table.add_row(
            cell.model, _mbit(cell.bandwidth_mbit_s), _ms(cell.deadline_ms), cell.planner, cell.status,
            f"{cell.latency_ms:.1f}", f"{cell.energy_j:.3f}", f"{cell.energy_with_idle_j:.3f}", f"{cell.wire_kb:.0f}",
            str(cell.workers),
        )  # fmt: skip
    _console().print(table)


def print_paper(found: Sequence[Reduction]) -> None:
    """Ranges of the energy reductions, beside the paper's."""
    table = Table(title="Energy reduction over all cells, percent (negative: takes more)", title_justify="left")
    for name in ("planner", "against", "least", "most", "cells", "cells where both meet the deadline: least", "most"):
        table.add_column(name, justify="left" if name in ("planner", "against") else "right")
    for planner, baseline in dict.fromkeys((item.planner, item.baseline) for item in found):
        mine = [item for item in found if (item.planner, item.baseline) == (planner, baseline)]
        every = [item.energy_reduction_percent for item in mine]
        both = [item.energy_reduction_percent for item in mine if item.both_meet_deadline]
        ends = [f"{min(both):.1f}", f"{max(both):.1f}"] if both else ["-", "-"]
        table.add_row(planner, baseline, f"{min(every):.1f}", f"{max(every):.1f}", str(len(every)), *ends)
    console = _console()
    console.print(table)
    low, high = PAPER_REDUCTIONS
    console.print(f"The paper reports {low} to {high} % on its own prototype; the figures here are stand-ins.")


def print_aims(aims: Sequence[Aim]) -> None:
    """`fused` against `coedge`, every cell."""
    met = sum(aim.met for aim in aims)
    title = f"fused against coedge: {met} of {len(aims)} cells with {AIM_LATENCY}x lower latency at no more energy, or "
    table = Table(title=f"{title}{AIM_ENERGY:g} % less energy at the same deadline", title_justify="left")
    for name in ("model", "Mbit/s", "deadline ms", "faster", "less energy %", "aim", "why below"):
        table.add_column(name, justify="left" if name in ("model", "aim", "why below") else "right")
    for aim in aims:
        table.add_row(
            aim.model, _mbit(aim.bandwidth_mbit_s), _ms(aim.deadline_ms), f"{aim.speedup_at_same_energy:.2f}x",
            f"{aim.energy_reduction_percent:.1f}", "met" if aim.met else "below", aim.why,
        )  # fmt: skip
    _console().print(table)
