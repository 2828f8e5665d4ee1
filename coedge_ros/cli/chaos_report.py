"""What `coedge chaos` prints: a table, problems, one line of JSON."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Row:
    """One repetition of a scenario."""

    scenario: str
    sent: int = 0
    answered: int = 0
    dropped: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    fallback_fraction: float = 0.0
    worst_latency_ms: float = 0.0
    detect_ms: float | None = None
    replan_ms: float | None = None
    max_abs_diff: float = 0.0
    scale: float = 1.0
    problems: tuple[str, ...] = ()
    figures: dict = field(default_factory=dict)
    skipped: str = ""  # why it was not run

    @property
    def holds(self) -> bool:
        """Whether everything is as it must be."""
        return not self.problems


def summarise(rows: list[Row]) -> dict:
    """Worst figures of a scenario's repetitions."""
    if skipped := rows[0].skipped:
        return {"repetitions": 0, "holds": all(r.holds for r in rows), "skipped": skipped}
    total = {
        key: sum(getattr(r, key) for r in rows)
        for key in ("sent", "answered", "dropped", "lost", "duplicated", "wrong")
    }
    worst = {
        key: max((v for r in rows if (v := getattr(r, key)) is not None), default=None)
        for key in ("fallback_fraction", "worst_latency_ms", "detect_ms", "replan_ms", "max_abs_diff")
    }
    problems = [problem for r in rows for problem in r.problems]
    figures = {key: value for r in rows for key, value in r.figures.items()}
    if "stage_hit" in figures:
        figures["stages_hit"] = dict(Counter(r.figures["stage_hit"] for r in rows if "stage_hit" in r.figures))
        figures["in_flight_ms"] = max(r.figures.get("in_flight_ms", 0.0) for r in rows)
    return {"repetitions": len(rows), **total, **worst, **figures, "holds": not problems, "problems": problems,
            "each": [asdict(r) for r in rows] if len(rows) > 1 else []}  # fmt: skip


COLUMNS = (
    "scenario", "sent", "answered", "dropped", "lost", "twice", "wrong", "alone", "worst", "detected", "planned",
    "max diff", "holds",
)  # fmt: skip


def print_table(rows: list[Row]) -> None:
    """The table, and on standard error what does not hold."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="what became of the frames (times in ms, the worst of all repetitions)")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "scenario" else "right")
    for name in dict.fromkeys(r.scenario for r in rows):
        s = summarise([r for r in rows if r.scenario == name])
        text = f"{name} x {s['repetitions']}" if s["repetitions"] > 1 else name
        if "skipped" in s:
            table.add_row(text, *[""] * (len(COLUMNS) - 2), "skipped" if s["holds"] else "NO")
            continue
        cells = [s["sent"], s["answered"], s["dropped"], s["lost"], s["duplicated"], s["wrong"],
                 f"{s['fallback_fraction']:.0%}", s["worst_latency_ms"], s["detect_ms"], s["replan_ms"],
                 f"{s['max_abs_diff']:.1g}", "yes" if s["holds"] else "NO"]  # fmt: skip
        table.add_row(text, *["" if cell is None else str(cell) for cell in cells])
    Console(width=120).print(table)
    for row in rows:
        for problem in row.problems or ((f"skipped: {row.skipped}",) if row.skipped else ()):
            print(f"{row.scenario}: {problem}", file=sys.stderr)
