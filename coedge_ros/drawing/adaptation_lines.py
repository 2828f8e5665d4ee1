"""Latency over time while links change: plans that are kept against plans that are made anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.lines import Line2D

from coedge_ros.drawing import figures
from coedge_ros.drawing.comparison_lines import apart, log_ticks, number_ticks
from coedge_ros.drawing.heading import Heading
from coedge_ros.drawing.planner_style import planner_style
from coedge_ros.drawing.text import Rendering, fitted

WIDTH_IN, LEFT_IN, RIGHT_IN = 9.0, 0.85, 0.25
FOOT_IN, LINKS_IN, PANEL_IN, TITLE_IN = 0.65, 0.95, 1.45, 0.36


@dataclass(frozen=True, slots=True)
class AdaptationPanel:
    """One model: latency [ms] of the frames at the picture's times, per (planner, whether it plans again)."""

    model: str
    latency_ms: Mapping[tuple[str, bool], Sequence[float]]


def draw_adaptation(
    times_s: Sequence[float], bandwidth_mbit_s: Sequence[float], panels: Sequence[AdaptationPanel], subtitle: str
) -> Rendering:
    """Draw the rate of the links on top, and a panel per model below; vertical axes are logarithmic."""
    heading = Heading("Latency of a frame while the links change", subtitle, _legend(panels), WIDTH_IN)
    height_in = heading.height_in + TITLE_IN + LINKS_IN + len(panels) * (TITLE_IN + PANEL_IN) + FOOT_IN
    figure = figures.new_figure(WIDTH_IN, height_in)
    heading.draw(figure, height_in)
    top_in = heading.height_in + TITLE_IN
    axes = _axes(figure, height_in, top_in, LINKS_IN)
    axes.step(times_s, bandwidth_mbit_s, where="post", color=figures.INK, linewidth=1.4)
    axes.set_yscale("log")
    axes.set_ylim(min(bandwidth_mbit_s) / 1.6, max(bandwidth_mbit_s) * 1.6)
    number_ticks(axes.yaxis, apart(sorted(set(bandwidth_mbit_s)), 0.16))
    _finish(axes, times_s, "rate of the links between hosts", "Mbit/s", last=not panels)
    top_in += LINKS_IN
    for index, panel in enumerate(panels):
        top_in += TITLE_IN
        axes = _axes(figure, height_in, top_in, PANEL_IN)
        for key, values in panel.latency_ms.items():
            axes.plot(times_s, values, drawstyle="steps-post", **_style(key))
        values = [v for line in panel.latency_ms.values() for v in line]
        axes.set_yscale("log")
        axes.set_ylim(min(values) / 1.3, max(values) * 1.3)
        log_ticks(axes.yaxis, *axes.get_ylim())
        _finish(axes, times_s, panel.model, "latency [ms]", last=index == len(panels) - 1)
        top_in += PANEL_IN
    return figures.render(figure)


def _axes(figure, height_in: float, top_in: float, tall_in: float):
    wide = (WIDTH_IN - LEFT_IN - RIGHT_IN) / WIDTH_IN
    return figure.add_axes((LEFT_IN / WIDTH_IN, 1 - (top_in + tall_in) / height_in, wide, tall_in / height_in))


def _style(key: tuple[str, bool]) -> dict:
    planner, again = key
    width = 4.2 if planner != "fused" else 1.7
    return {"color": planner_style(planner).line, "linewidth": width, "linestyle": "-" if again else (0, (1.6, 1.1))}


def _legend(panels: Sequence[AdaptationPanel]) -> list[Line2D]:
    handles = []
    for planner, again in dict.fromkeys(key for panel in panels for key in panel.latency_ms):
        label = f"{planner_style(planner).label}, {'planned again' if again else 'first plan kept'}"
        handles.append(Line2D([], [], label=label, **_style((planner, again))))
    return handles


def _finish(axes, times_s: Sequence[float], name: str, unit: str, last: bool) -> None:
    axes.set_xlim(min(times_s), max(times_s))
    axes.grid(color=figures.GRID, linewidth=0.8)
    axes.set_ylabel(unit, color=figures.QUIET, fontsize=9)
    figures.tidy(axes)
    if last:
        axes.set_xlabel("time [s]", color=figures.QUIET, fontsize=9)
    else:
        axes.tick_params(labelbottom=False)
    room = (WIDTH_IN - LEFT_IN - RIGHT_IN) * figures.DPI
    axes.text(
        0, 1.05, fitted(name, round(10 * figures.DPI / 72), True, room, keep_end=True), transform=axes.transAxes,
        fontsize=10, fontweight="bold", color=figures.INK, va="bottom", parse_math=False,
    )  # fmt: skip
