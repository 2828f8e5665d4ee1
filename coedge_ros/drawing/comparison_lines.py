"""A value of each planner against a setting (deadline, link rate, number of workers), a panel per model."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from coedge_ros.drawing import figures
from coedge_ros.drawing.heading import Heading
from coedge_ros.drawing.planner_style import planner_style
from coedge_ros.drawing.text import Rendering, fitted

PANEL_W_IN, PANEL_H_IN, GAP_W_IN, GAP_H_IN = 3.9, 2.15, 0.75, 0.95
LEFT_IN, RIGHT_IN, TITLE_IN, FOOT_IN = 0.8, 0.25, 0.28, 0.65
WIDEST, NARROWEST = 6.5, 1.6  # lines: earlier planners wider, so that planners with the same answer are all seen
NOBODY = "#f0f1f4"


@dataclass(frozen=True, slots=True)
class Line:
    """One planner: values at the panel's settings, and whether its plan meets the deadline there."""

    planner: str
    values: tuple[float, ...]
    meets_deadline: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class LinePanel:
    """One model: settings in ascending order, and a line per planner."""

    model: str
    settings: tuple[float, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class LinesText:
    """Title, what holds for all panels, and the axes with their units."""

    title: str
    subtitle: str
    x_label: str
    y_label: str


def draw_lines(panels: Sequence[LinePanel], text: LinesText, *, log_x: bool = True) -> Rendering:
    """Draw a picture; the vertical axis is logarithmic. Points that miss the deadline are crosses off the line."""
    columns = min(2, len(panels))
    rows = ceil(len(panels) / columns)
    plot_w_in = PANEL_W_IN if columns > 1 else 1.8 * PANEL_W_IN
    width_in = LEFT_IN + columns * plot_w_in + (columns - 1) * GAP_W_IN + RIGHT_IN
    heading = Heading(text.title, text.subtitle, _legend(panels), width_in)
    height_in = heading.height_in + TITLE_IN + rows * PANEL_H_IN + (rows - 1) * GAP_H_IN + FOOT_IN
    figure = figures.new_figure(width_in, height_in)
    heading.draw(figure, height_in)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        left_in = LEFT_IN + column * (plot_w_in + GAP_W_IN)
        bottom_in = height_in - heading.height_in - TITLE_IN - (row + 1) * PANEL_H_IN - row * GAP_H_IN
        box = left_in / width_in, bottom_in / height_in, plot_w_in / width_in, PANEL_H_IN / height_in
        _panel(figure.add_axes(box), panel, text, log_x, plot_w_in)
    return figures.render(figure)


def _legend(panels: Sequence[LinePanel]) -> list:
    names = list(dict.fromkeys(line.planner for panel in panels for line in panel.lines))
    handles = []
    for rank, name in enumerate(names):
        style = planner_style(name)
        handles.append(
            Line2D(
                [], [], color=style.line, linewidth=_width(rank, len(names)), marker=style.marker, markersize=5,
                label=style.label, solid_capstyle="butt",
            )
        )  # fmt: skip
    if any(not ok for panel in panels for line in panel.lines for ok in line.meets_deadline):
        cross = {"linestyle": "none", "marker": "x", "markersize": 5}
        handles.append(Line2D([], [], color=figures.QUIET, label="misses the deadline", **cross))
    if any(_nobody(panel) for panel in panels):
        handles.append(Patch(facecolor=NOBODY, label="no planner meets it"))
    return handles


def _width(rank: int, count: int) -> float:
    return WIDEST + (NARROWEST - WIDEST) * (rank / max(count - 1, 1))


def _panel(axes, panel: LinePanel, text: LinesText, log_x: bool, plot_w_in: float) -> None:
    for rank, line in enumerate(panel.lines):
        style = planner_style(line.planner)
        met = [v if ok else float("nan") for v, ok in zip(line.values, line.meets_deadline, strict=True)]
        axes.plot(
            panel.settings, met, color=style.line, linewidth=_width(rank, len(panel.lines)), marker=style.marker,
            markersize=4, solid_capstyle="round", zorder=2 + rank,
        )  # fmt: skip
        missed = [(x, v) for x, v, ok in zip(panel.settings, line.values, line.meets_deadline, strict=True) if not ok]
        if missed:
            axes.plot(
                *zip(*missed, strict=True), linestyle="none", marker="x", markersize=5, color=style.line, zorder=9
            )
    _axis(axes.xaxis, axes.set_xscale, log_x, panel.settings)
    limits = axes.get_xlim()
    for low, high in _nobody(panel):
        left = limits[0] if low == panel.settings[0] else low
        axes.axvspan(left, limits[1] if high == panel.settings[-1] else high, color=NOBODY, linewidth=0, zorder=0)
    axes.set_xlim(limits)
    values = [v for line in panel.lines for v in line.values]
    axes.set_yscale("log")
    axes.set_ylim(min(values) / 1.25, max(values) * 1.25)
    log_ticks(axes.yaxis, *axes.get_ylim())
    axes.grid(color=figures.GRID, linewidth=0.8)
    axes.set_xlabel(text.x_label, color=figures.QUIET, fontsize=9)
    axes.set_ylabel(text.y_label, color=figures.QUIET, fontsize=9)
    figures.tidy(axes)
    name = fitted(panel.model, round(11 * figures.DPI / 72), True, plot_w_in * figures.DPI, keep_end=True)
    axes.text(
        0, 1.03, name, transform=axes.transAxes, fontsize=11, fontweight="bold", color=figures.INK, va="bottom",
        parse_math=False,
    )  # fmt: skip


def log_ticks(axis, low: float, high: float) -> None:
    """Plain numbers on a logarithmic axis, about four to eight of them."""
    if high < 3 * low:
        number_ticks(
            axis, [t for t in MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= t <= high]
        )
        return
    steps = (1, 1.5, 2, 3, 4, 5, 7) if high < 10 * low else (1, 2, 5) if high < 300 * low else (1,)
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    number_ticks(axis, [s * 10.0**p for p in powers for s in steps if low <= s * 10.0**p <= high])


def number_ticks(axis, values: Sequence[float]) -> None:
    """Plain numbers at these places."""
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _axis(axis, set_scale, log: bool, settings: Sequence[float]) -> None:
    if log:
        set_scale("log")
        number_ticks(axis, apart(settings, 0.085))
    else:
        axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def apart(settings: Sequence[float], part: float) -> list[float]:
    """Those that are at least this part of their whole range from each other on a logarithmic axis."""
    least = (max(settings) / min(settings)) ** part
    kept = [settings[0]]
    for value in settings[1:]:
        if value / kept[-1] >= least:
            kept.append(value)
    return kept


def _nobody(panel: LinePanel) -> list[tuple[float, float]]:
    """Ranges of settings at which no planner meets the deadline; their ends are half way to the next setting."""
    met = [any(line.meets_deadline[i] for line in panel.lines) for i in range(len(panel.settings))]
    found, x = [], panel.settings
    start = None
    for i, ok in enumerate([*met, True]):
        if not ok and start is None:
            start = i
        elif ok and start is not None:
            low = x[start] if start == 0 else (x[start - 1] * x[start]) ** 0.5
            high = x[i - 1] if i == len(x) else (x[i - 1] * x[i]) ** 0.5
            found.append((low, high))
            start = None
    return found
