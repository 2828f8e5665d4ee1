"""Comparisons as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coedge_ros.planning.aims import AIM_ENERGY, AIM_LATENCY, Aim
from coedge_ros.planning.comparison import PAPER_REDUCTIONS, Cell, Summary

WIDTH = 150
TEXT = ("model", "planner", "status", "against", "aim", "why below")


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if name in TEXT else "right")
    return table


def _mbit(value: float | None) -> str:
    return "file" if value is None else f"{value:g}"


def _number(value: float | None, digits: int = 1) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def print_cells(cells: Sequence[Cell], objective: str) -> None:
    """One row per cell."""
    title = f"Best for {objective}, predicted by the cost model; joules are a model, not a meter"
    columns = [
        "model", "Mbit/s", "of workers", "deadline ms", "planner", "status", "latency ms", "energy J", "with idle J",
        "kB", "working",
    ]  # fmt: skip
    table = _table(title, columns)
    last = None
    for cell in cells:
        if last is not None and cell.setting != last:
            table.add_section()
        last = cell.setting
        table.add_row(
            cell.model, _mbit(cell.bandwidth_mbit_s), str(cell.available_workers), _number(cell.deadline_ms),
            cell.planner, cell.status, f"{cell.latency_ms:.1f}", f"{cell.energy_j:.3f}",
            f"{cell.energy_with_idle_j:.3f}", f"{cell.wire_kb:.0f}", str(cell.working),
        )  # fmt: skip
    _console().print(table)


def print_paper(found: Sequence[Summary]) -> None:
    """Ranges of the energy reductions per model and over all, beside the paper's."""
    models = list(dict.fromkeys(item.model for item in found))
    title = "Energy reduction, percent (negative: takes more): least to most, over cells in which the planner meets"
    table = _table(
        f"{title} the deadline",
        ["planner", "against", *("all models" if m is None else m for m in models), "where both meet it", "all cells"],
    )
    for planner, baseline in dict.fromkeys((item.planner, item.baseline) for item in found):
        mine = {item.model: item for item in found if (item.planner, item.baseline) == (planner, baseline)}
        every = mine[None]
        table.add_row(
            planner, baseline, *(_range(mine[m].least, mine[m].most, None if m else mine[m].cells) for m in models),
            _range(every.both_least, every.both_most, every.both_cells),
            _range(every.all_least, every.all_most, every.all_cells),
        )  # fmt: skip
    low, high = PAPER_REDUCTIONS
    console = _console()
    console.print(table)
    console.print(
        f"In brackets: cells. The paper reports {low} to {high} % on its own prototype; every figure of this testbed "
        "is a stand-in. A baseline that knows no deadlines misses most of them."
    )


def _range(low: float | None, high: float | None, cells: int | None = None) -> str:
    """`1.0 to 2.0 (3)`: least, most, cells."""
    if low is None:
        return "-"
    text = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
    return text if cells is None else f"{text} ({cells})"


def print_aims(aims: Sequence[Aim]) -> None:
    """`fused` against `coedge`, every cell."""
    met = sum(aim.met for aim in aims)
    title = (
        f"fused against coedge: {met} of {len(aims)} cells with {AIM_LATENCY}x lower latency at no more energy, or "
        f"{AIM_ENERGY:g} % less energy at the same deadline"
    )
    columns = ["model", "Mbit/s", "deadline ms", "faster", "less J %", "aim", "fastest ms", "floor ms", "floor J"]
    table = _table(title, [*columns, "why below"])
    last = None
    for aim in aims:
        key = aim.model, aim.bandwidth_mbit_s
        if last is not None and key != last[0]:
            table.add_section()
        why = '"' if aim.why and last is not None and (key, aim.why) == last else aim.why
        last = key, aim.why
        table.add_row(
            aim.model, _mbit(aim.bandwidth_mbit_s), _number(aim.deadline_ms), f"{aim.speedup_at_same_energy:.2f}x",
            _number(aim.energy_reduction_percent), "met" if aim.met else "below", f"{aim.fastest_ms:.1f}",
            _number(aim.floor_ms), _number(aim.floor_j, 2), why,
        )  # fmt: skip
    console = _console()
    console.print(table)
    console.print(
        "faster: coedge's latency over the least that fused finds with no more energy; fastest: of any energy. less J: "
        "at the same deadline, none where one of them misses it.\nfloor: no split with one share for all layers is "
        "better, even with free halo rows: its latency at no more energy than coedge's, its energy within the deadline."
    )


def print_pictures(files: Iterable[Path]) -> None:
    """Where the pictures are."""
    for path in files:
        print(path)
