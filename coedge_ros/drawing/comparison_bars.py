"""Energy and latency of planners as bars, a panel per model; plans that miss the deadline are hatched, not missing."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from coedge_ros.drawing import figures
from coedge_ros.drawing.heading import Heading
from coedge_ros.drawing.planner_style import planner_style
from coedge_ros.drawing.text import Rendering, fitted

PANEL_IN, GAP_IN, LEFT_IN, RIGHT_IN, NARROWEST_IN = 2.55, 0.3, 1.45, 0.15, 6.8
FOOT_IN, BAR_IN, TITLE_IN, LABEL_IN = 0.1, 0.27, 0.36, 0.38
COLUMNS = 4
CLIP = 3.0  # bars longer than so many times the median are broken off, so that the others can be told apart
DASHES = (0, (4, 3))
TEXT_PART = 0.44  # of a panel's width, for the numbers behind the bars


@dataclass(frozen=True, slots=True)
class Bar:
    """One planner's answer for one model."""

    planner: str
    energy_j: float
    latency_ms: float
    meets_deadline: bool


@dataclass(frozen=True, slots=True)
class BarPanel:
    """One model: its deadline, None for none, and a bar per planner."""

    model: str
    deadline_ms: float | None
    bars: tuple[Bar, ...]


def draw_bars(panels: Sequence[BarPanel], subtitle: str) -> Rendering:
    """Draw a picture with energies above and latencies below, models side by side.

    Parameters
    ----------
    subtitle : str
        What all panels have in common: links, deadline.
    """
    chunks = [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)]
    columns = max(len(chunk) for chunk in chunks)
    panel_in = max(PANEL_IN, (NARROWEST_IN - LEFT_IN - RIGHT_IN - (columns - 1) * GAP_IN) / columns)
    plot_in = BAR_IN * max(len(panel.bars) for panel in panels) + 0.1
    width_in = LEFT_IN + columns * panel_in + (columns - 1) * GAP_IN + RIGHT_IN
    row_in = TITLE_IN + plot_in + LABEL_IN
    shown = [[getattr(bar, key) for bar in panel.bars] for panel in panels for key in ("energy_j", "latency_ms")]
    if any(max(values) > _limit(values) for values in shown):
        subtitle += "; a gap in a bar: longer than drawn"
    heading = Heading("Energy and latency of a frame, by planner", subtitle, _legend(panels), width_in)
    height_in = heading.height_in + 2 * len(chunks) * row_in + FOOT_IN
    figure = figures.new_figure(width_in, height_in)
    heading.draw(figure, height_in)
    for c, chunk in enumerate(chunks):
        for k, kind in enumerate(("energy", "latency")):
            top_in = heading.height_in + (2 * c + k) * row_in + TITLE_IN
            for i, panel in enumerate(chunk):
                left_in = LEFT_IN + i * (panel_in + GAP_IN)
                box = (
                    left_in / width_in, 1 - (top_in + plot_in) / height_in, panel_in / width_in, plot_in / height_in
                )  # fmt: skip
                _panel(figure.add_axes(box), panel, kind, panel_in, first=i == 0)
    return figures.render(figure)


def _legend(panels: Sequence[BarPanel]) -> list[Patch]:
    handles = []
    if any(not bar.meets_deadline for panel in panels for bar in panel.bars):
        hatched = Patch(facecolor="#ffffff", edgecolor=figures.QUIET, hatch="////", label="misses the deadline")
        handles.append(hatched)
    if any(panel.deadline_ms is not None for panel in panels):
        handles.append(Line2D([], [], color=figures.INK, linewidth=1.0, linestyle=DASHES, label="deadline"))
    return handles


def _panel(axes, panel: BarPanel, kind: str, panel_in: float, first: bool) -> None:
    values = [bar.energy_j if kind == "energy" else bar.latency_ms for bar in panel.bars]
    limit = _limit(values)
    for place, (bar, value) in enumerate(zip(panel.bars, values, strict=True)):
        style = planner_style(bar.planner)
        axes.barh(
            place, min(value, limit), height=0.72, linewidth=0.8, edgecolor=style.line,
            color=style.fill if bar.meets_deadline else "#ffffff", hatch=None if bar.meets_deadline else "////",
        )  # fmt: skip
        if value > limit:
            x = limit * 0.93
            axes.plot([x, x + limit * 0.03], [place - 0.5, place + 0.5], color="#ffffff", linewidth=4)
        # on a patch of paper, so that the deadline's line does not run through it
        axes.text(
            min(value, limit) + 0.03 * limit, place, _number(value), va="center", fontsize=9, color=figures.INK,
            bbox={"facecolor": figures.PAPER, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    if kind == "latency" and panel.deadline_ms is not None and panel.deadline_ms < limit / (1 - TEXT_PART):
        axes.axvline(panel.deadline_ms, color=figures.INK, linewidth=1.0, linestyle=DASHES, zorder=0.5)
    axes.set_xlim(0, limit / (1 - TEXT_PART))
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    labels = [planner_style(bar.planner).label for bar in panel.bars] if first else []
    axes.set_yticks(list(range(len(labels))), labels)
    axes.set_xticks([])
    axes.set_xlabel("energy [J]" if kind == "energy" else "latency [ms]", color=figures.QUIET, fontsize=9, loc="left")
    figures.tidy(axes)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    for label in axes.get_yticklabels():
        label.set_color(figures.INK)
    room = panel_in * figures.DPI
    style = {"transform": axes.transAxes, "ha": "left", "va": "bottom", "parse_math": False}
    name = panel.model if kind == "energy" else _deadline_text(panel.deadline_ms)
    bold = kind == "energy"
    size = 11 if bold else 9
    axes.text(
        0, 1.04, fitted(name, round(size * figures.DPI / 72), bold, room, keep_end=True), fontsize=size,
        fontweight="bold" if bold else "normal", color=figures.INK if bold else figures.QUIET, **style,
    )  # fmt: skip


def _deadline_text(deadline_ms: float | None) -> str:
    return "no deadline" if deadline_ms is None else f"deadline {_number(deadline_ms)} ms"


def _limit(values: Sequence[float]) -> float:
    """Where bars end: at the longest, or before those that are many times as long as the middle one."""
    middle = sorted(values)[len(values) // 2]
    within = [value for value in values if value <= CLIP * middle]
    return max(max(within, default=0.0), 1e-9) * (1.25 if len(within) < len(values) else 1.0)


def _number(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"
