"""One small panel per worker: how busy it was, over time."""

import math

import numpy as np

from coedge_ros.drawing import figures
from coedge_ros.drawing.history import LoadHistory, LoadSample, Mark
from coedge_ros.drawing.text import Rendering, fitted, font
from coedge_ros.drawing.views import format_joules, format_percent, natural

WIDTH_IN, PANEL_IN, HEAD_IN, FOOT_IN, LEFT_IN, RIGHT_IN = 9.0, 1.15, 0.72, 0.62, 0.85, 0.25
TITLE_IN = 0.32  # of a panel, for the worker's name
GAP_S = 2.0  # a longer silence is drawn as a gap
MARK_PT = 8


def draw_load_over_time(history: LoadHistory, colors: dict[str, int]) -> Rendering:
    """Draw the loads of all workers.

    Parameters
    ----------
    history : LoadHistory
        What was recorded.
    colors : dict of str to int
        Palette index per worker; a worker that is missing here gets the first colour.
    """
    workers = sorted(history.samples, key=natural)
    height_in = HEAD_IN + PANEL_IN * max(1, len(workers)) + FOOT_IN
    figure = figures.new_figure(WIDTH_IN, height_in)
    figure.text(
        LEFT_IN / WIDTH_IN, 1 - 0.30 / height_in, "Load of each worker", fontsize=13, fontweight="bold",
        color=figures.INK, va="center",
    )  # fmt: skip
    if not workers:
        figure.text(LEFT_IN / WIDTH_IN, 0.5, "no worker was heard", fontsize=11, color=figures.QUIET, va="center")
        return figures.render(figure)
    end_s = max(max(samples[-1].time_s for samples in history.samples.values()), 1.0)
    for index, worker in enumerate(workers):
        top_in = HEAD_IN + index * PANEL_IN
        bottom_in = top_in + PANEL_IN
        plot_in = PANEL_IN - TITLE_IN - 0.12
        axes = figure.add_axes(
            (
                LEFT_IN / WIDTH_IN,
                1 - (bottom_in - 0.06) / height_in,
                (WIDTH_IN - LEFT_IN - RIGHT_IN) / WIDTH_IN,
                plot_in / height_in,
            )
        )
        _panel(axes, list(history.samples[worker]), colors.get(worker, 0), end_s)
        _panel_title(axes, worker, history)
        for mark in history.marks:
            axes.axvline(mark.time_s, color=figures.QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        if index == len(workers) - 1:
            axes.set_xlabel("time [s]", color=figures.QUIET, fontsize=9)
        else:
            axes.tick_params(labelbottom=False)
    _mark_labels(figure, height_in, history, end_s)
    return figures.render(figure)


def _panel(axes, samples: list[LoadSample], color: int, end_s: float) -> None:
    times, loads = _with_gaps(samples)
    axes.fill_between(times, 100 * loads, color=figures.hex_color(color), alpha=0.45, linewidth=0)
    axes.plot(times, 100 * loads, color=figures.darker(color), linewidth=1.1)
    if len(samples) == 1:
        axes.plot(times, 100 * loads, "o", color=figures.darker(color), markersize=3)
    axes.set_xlim(0, end_s)
    axes.set_ylim(0, 104)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel("busy [%]", color=figures.QUIET, fontsize=9)
    axes.grid(axis="y", color=figures.GRID, linewidth=0.8)
    figures.tidy(axes)


def _panel_title(axes, worker: str, history: LoadHistory) -> None:
    first = history.marks[0] if history.marks else Mark(0.0, "")
    loads = [sample.load for sample in history.samples[worker] if sample.time_s >= first.time_s]
    facts = f"mean {format_percent(sum(loads) / len(loads) if loads else math.nan)}"
    if first.text:
        facts += f" since {first.text}"
    if history.frames.get(worker):
        facts += f" · {history.frames[worker]} frames · {format_joules(history.energy_j[worker])} (modelled)"
    width_px = (WIDTH_IN - LEFT_IN - RIGHT_IN) * figures.DPI
    room = width_px - font(_pixels(9), False).getlength(facts) - 30
    name = fitted(worker, _pixels(10), True, room, keep_end=True)
    style = {"transform": axes.transAxes, "va": "bottom", "parse_math": False}
    axes.text(0, 1.04, name, fontsize=10, fontweight="bold", color=figures.INK, ha="left", **style)
    axes.text(1, 1.04, facts, fontsize=9, color=figures.QUIET, ha="right", **style)


def _mark_labels(figure, height_in: float, history: LoadHistory, end_s: float) -> None:
    # Left to right; one that would touch the previous label or leave the picture stays a line without words.
    plot_px, left_px = (WIDTH_IN - LEFT_IN - RIGHT_IN) * figures.DPI, LEFT_IN * figures.DPI
    free_from = 0.0
    for mark in history.marks:
        x = left_px + plot_px * mark.time_s / end_s
        width = font(_pixels(MARK_PT), False).getlength(mark.text) * 1.1
        if not 0 <= mark.time_s <= end_s or x < free_from or x + width > WIDTH_IN * figures.DPI - 4:
            continue
        figure.text(
            x / (WIDTH_IN * figures.DPI), 1 - (HEAD_IN - 0.02) / height_in, mark.text, fontsize=MARK_PT,
            color=figures.QUIET, va="center", parse_math=False,
        )  # fmt: skip
        free_from = x + width + 8


def _with_gaps(samples: list[LoadSample]) -> tuple[np.ndarray, np.ndarray]:
    times, loads = [], []
    for sample in samples:
        if times and sample.time_s - times[-1] > GAP_S:
            times.append(times[-1])
            loads.append(np.nan)
        times.append(sample.time_s)
        loads.append(sample.load)
    return np.array(times), np.array(loads)


def _pixels(points: float) -> int:
    return round(points * figures.DPI / 72)
