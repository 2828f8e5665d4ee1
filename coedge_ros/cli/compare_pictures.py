"""The pictures of `coedge compare --plots`: what each needs is planned here, and drawn in `drawing/`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from coedge_ros.drawing.adaptation_lines import AdaptationPanel, draw_adaptation
from coedge_ros.drawing.comparison_bars import Bar, BarPanel, draw_bars
from coedge_ros.drawing.comparison_lines import Line, LinePanel, LinesText, draw_lines
from coedge_ros.drawing.saving import save_picture
from coedge_ros.drawing.text import Rendering
from coedge_ros.errors import UserError
from coedge_ros.planning.adaptation import AGAIN, Adaptation, adapt
from coedge_ros.planning.comparison import Cell, Comparison

BANDWIDTHS = (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 600.0, 1000.0)
FACTORS = (0.5, 0.6, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
MOST_WORKERS = 8
MOST_BARS = 4  # pictures of bars
MODELLED = "predicted by the cost model; energy is modelled, not metered"

Advance = Callable[[str], None]


def worker_counts(comparison: Comparison) -> list[int]:
    """Numbers of workers in the sweep: up to the cluster's, and beyond with copies of them if that is few."""
    count = max((len(profile.cluster.workers) for profile in comparison.profiles.values()), default=0)
    most = max(MOST_WORKERS, count)
    return [n for n in range(1, most + 1) if n <= 12 or n % 4 == 0 or n == most]


def sweeps_for(comparison: Comparison) -> dict[str, Comparison]:
    """The comparisons that the line pictures show, by name."""
    plain = replace(
        comparison, bandwidths=(_one_bandwidth(comparison),), worker_counts=(None,), factors=(), deadlines_s=(None,)
    )
    return {
        "deadline": replace(plain, factors=FACTORS, objective="energy"),
        "bandwidth": replace(plain, bandwidths=BANDWIDTHS, objective="latency"),
        "workers": replace(plain, worker_counts=worker_counts(comparison), objective="latency"),
    }


def _one_bandwidth(comparison: Comparison) -> float | None:
    """The links of pictures that show one rate: what was asked for when that is one rate, else the file's."""
    return comparison.bandwidths[0] if len(comparison.bandwidths) == 1 else None


def adapting(comparison: Comparison) -> list[str]:
    """Planners in the picture of the bandwidth trace."""
    return [name for name in ("coedge", "fused") if name in comparison.planners] or list(comparison.planners)[:2]


def steps(comparison: Comparison) -> int:
    """How often `make_pictures` calls `advance`."""
    return sum(sweep.size for sweep in sweeps_for(comparison).values()) + 2 * len(adapting(comparison)) * len(
        comparison.graphs
    )


def make_folder(folder: Path) -> None:
    """Make it before long work.

    Raises
    ------
    UserError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--plots {folder} cannot be made: {error.strerror}") from error


def make_pictures(comparison: Comparison, cells: Sequence[Cell], folder: Path, advance: Advance) -> dict[str, Path]:
    """Plan what the pictures show, draw them beside their numbers as JSON, and return the files by name."""
    made = bar_pictures(comparison, cells)
    numbers: dict[str, list] = {}
    for name, sweep in sweeps_for(comparison).items():
        found = sweep.cells(advance)
        made[_FILES[name]] = line_picture(name, comparison, found)
        numbers[_FILES[name]] = [asdict(cell) for cell in found]
    traces = []
    for model, graph in comparison.graphs.items():
        profile = replace(comparison.profiles[model], model=model)
        traces.append(adapt(graph, profile, planners=adapting(comparison), advance=lambda m=model: advance(m)))
    made["adaptation_to_bandwidth"] = adaptation_picture(traces)
    numbers["adaptation_to_bandwidth"] = [_plain(trace) for trace in traces]
    files = {}
    for name, rendering in made.items():
        files[name] = folder / f"{name}.png"
        save_picture(files[name], rendering.rgb)
    files["numbers"] = folder / "numbers.json"
    files["numbers"].write_text(json.dumps(numbers) + "\n")
    return files


def _plain(trace: Adaptation) -> dict:
    return {**asdict(trace), "latency_ms": {", ".join(key): list(line) for key, line in trace.latency_ms.items()}}


_FILES = {
    "deadline": "energy_against_deadline",
    "bandwidth": "latency_against_bandwidth",
    "workers": "latency_against_workers",
}


def bar_pictures(comparison: Comparison, cells: Sequence[Cell]) -> dict[str, Rendering]:
    """A picture per link rate and number of workers, each at the loosest deadline; none for the many of a sweep."""
    groups: dict[tuple, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.bandwidth_mbit_s, cell.available_workers), []).append(cell)
    made = {}
    for (bandwidth, workers), members in groups.items() if len(groups) <= MOST_BARS else ():
        panels, factors = [], set()
        for model in dict.fromkeys(cell.model for cell in members):
            mine = [cell for cell in members if cell.model == model]
            limit = max((cell.deadline_ms for cell in mine if cell.deadline_ms is not None), default=None)
            chosen = [cell for cell in mine if cell.deadline_ms == limit]
            factors.add(chosen[0].deadline_factor)
            bars = tuple(Bar(c.planner, c.energy_j, c.latency_ms, c.meets_deadline) for c in chosen)
            panels.append(BarPanel(model, limit, bars))
        factor = factors.pop() if len(factors) == 1 else None
        parts = [links_text(comparison, bandwidth)]
        if factor is not None:
            parts.append(f"deadline {factor:g} x the best single worker's latency")
        parts.append(MODELLED)
        name = "bars" + (f"_{bandwidth:g}_mbit_s" if bandwidth else "")
        if len(comparison.worker_counts) > 1:
            parts.insert(1, f"{workers} workers" if workers > 1 else "1 worker")
            name += f"_{workers}_workers"
        made[name] = draw_bars(panels, "; ".join(parts))
    return made


def links_text(comparison: Comparison, bandwidth: float | None) -> str:
    """What the links carry, for people."""
    if bandwidth is not None:
        return f"links of {bandwidth:g} Mbit/s"
    clusters = {id(profile.cluster): profile.cluster for profile in comparison.profiles.values()}
    rates = {link.bytes_per_s for c in clusters.values() for link in (c.default_link, *c.links.values())}
    if len(rates) == 1:
        return f"links of {rates.pop() * 8 / 1e6:g} Mbit/s"
    return "links of the cluster file"


def line_picture(name: str, comparison: Comparison, cells: Sequence[Cell]) -> Rendering:
    """Energy against deadline, or latency against bandwidth or workers."""
    links = links_text(comparison, _one_bandwidth(comparison))
    setting, value, text = {
        "deadline": (
            lambda c: c.deadline_factor,
            lambda c: c.energy_j,
            LinesText(
                "Energy of a frame against its deadline", f"least energy within the deadline; {links}; {MODELLED}",
                "deadline [best single worker's latency]", "energy [J]",
            ),
        ),
        "bandwidth": (
            lambda c: c.bandwidth_mbit_s,
            lambda c: c.latency_ms,
            LinesText(
                "Latency of a frame against the rate of the links",
                "each planner's fastest plan, no deadline; predicted by the cost model",
                "rate of the links between hosts [Mbit/s]", "latency [ms]",
            ),
        ),
        "workers": (
            lambda c: float(c.available_workers),
            lambda c: c.latency_ms,
            LinesText(
                "Latency of a frame against the number of workers",
                f"each planner's fastest plan; {links}; workers: {_who(comparison)}",
                "workers", "latency [ms]",
            ),
        ),
    }[name]  # fmt: skip
    panels = []
    for model in dict.fromkeys(cell.model for cell in cells):
        mine = [cell for cell in cells if cell.model == model]
        settings = tuple(dict.fromkeys(setting(cell) for cell in mine))
        lines = []
        for planner in dict.fromkeys(cell.planner for cell in mine):
            chosen = [cell for cell in mine if cell.planner == planner]
            lines.append(Line(planner, tuple(map(value, chosen)), tuple(cell.meets_deadline for cell in chosen)))
        panels.append(LinePanel(model, settings, tuple(lines)))
    return draw_lines(panels, text, log_x=name != "workers")


def _who(comparison: Comparison) -> str:
    names = next(iter(comparison.profiles.values())).cluster.worker_names
    return ", ".join(names) + (", then copies of them" if len(names) < MOST_WORKERS else "")


def adaptation_picture(found: Sequence[Adaptation]) -> Rendering:
    """Latency over time under the bandwidth trace."""
    panels = [
        AdaptationPanel(item.model, {(p, s == AGAIN): line for (p, s), line in item.latency_ms.items()})
        for item in found
    ]
    subtitle = "simulated message by message; a new plan is in use 1 s after a change of the links"
    return draw_adaptation(found[0].times_s, found[0].bandwidth_mbit_s, panels, subtitle)
