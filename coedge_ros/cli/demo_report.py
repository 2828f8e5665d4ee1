"""The demo's tables."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table


def print_report(summary: dict, record, output: Path) -> None:
    """Two tables and the files that were written, for people."""
    console = Console(width=100)
    last = record.results[-1]
    table = Table(title=f"{summary['model']}: last frame, per worker (counted by the workers themselves)")
    for name in ("worker", "rows of stage 1", "share of work", "compute ms", "wait ms", "sent kB", "J (modelled)"):
        table.add_column(name, justify="left" if name == "worker" else "right")
    for usage in last.workers:
        table.add_row(
            usage.name, f"[{usage.row_start[0]}, {usage.row_stop[0]})", f"{summary['macs_share'][usage.name]:.0%}",
            f"{usage.compute_ms:.1f}", f"{usage.wait_ms:.1f}", f"{usage.bytes_out / 1e3:.0f}", f"{usage.energy_j:.3f}",
        )  # fmt: skip
    console.print(table)
    facts = Table(title="all frames", show_header=False)
    facts.add_row("sent / answered / lost / dropped", "{frames_sent} / {frames_answered} / {frames_lost} / "
                  "{frames_dropped}".format(**summary))  # fmt: skip
    difference = f"{summary['max_abs_diff']:.2e} of {summary['scale']:.2f} ({summary['frames_checked']} frames checked)"
    facts.add_row("largest difference to the whole model", difference)
    facts.add_row("latency p50 / p99", f"{summary['latency_ms']['p50']:.1f} / {summary['latency_ms']['p99']:.1f} ms")
    facts.add_row("whole model alone, one thread", f"{summary['whole_ms']['p50']:.1f} ms")
    facts.add_row("deadline of the plan", f"{summary['deadline_ms']:.1f} ms = 0.6 x the predicted best single worker; "
                  f"objective {summary['objective']}")  # fmt: skip
    facts.add_row("planned as though", summary["planned_as_though"])
    facts.add_row("moved per frame", f"{summary['bytes_per_frame'] / 1e3:.0f} kB over DDS")
    console.print(facts)
    labels = Table(title="pictures")
    labels.add_column("picture")
    labels.add_column("answer")
    for name, label in summary["labels"].items():
        labels.add_row(name, label)
    console.print(labels)
    console.print(
        "Three workers share the cores of one machine here: this shows that it works and is exact, not speed."
    )
    console.print(f"Pictures: {output}/ (annotated frames, load over time); logs: {output}/logs/", highlight=False)
