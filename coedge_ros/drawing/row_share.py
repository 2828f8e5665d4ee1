"""Who owns which rows of which stage, and who did how much of the work."""

from matplotlib.ticker import MaxNLocator

from coedge_ros.drawing import figures
from coedge_ros.drawing.text import Rendering, fitted
from coedge_ros.drawing.views import format_percent

WIDTH_IN, HEAD_IN, FOOT_IN = 9.0, 0.75, 0.72
PLOT_IN, BAR_IN = 2.6, 0.36
STAGES_LEFT_IN, STAGES_WIDTH_IN = 0.85, 3.9
WORK_LEFT_IN, WORK_WIDTH_IN = 6.55, 1.85
NAME_PX = 150


def draw_row_share(
    workers: tuple[str, ...],
    boundaries: tuple[tuple[int, ...], ...],
    work_shares: dict[str, float],
    colors: dict[str, int],
) -> Rendering:
    """Draw the plan's rows stage by stage, and beside it the work as executed.

    Parameters
    ----------
    workers : tuple of str
        In the order of the bands from top to bottom.
    boundaries : tuple of tuple of int
        Per stage `len(workers) + 1` ascending row numbers from 0; worker i owns rows `[b[i], b[i+1])`.
    work_shares : dict of str to float
        Each worker's part of all multiply-accumulates that were counted, [0, 1]; missing ones are not known.
    colors : dict of str to int
        Palette index per worker.
    """
    plot_in = max(PLOT_IN, BAR_IN * len(workers))
    height_in = HEAD_IN + plot_in + FOOT_IN
    figure = figures.new_figure(WIDTH_IN, height_in)
    style = {"fontsize": 11, "fontweight": "bold", "color": figures.INK, "va": "center"}
    y = 1 - 0.42 / height_in
    figure.text(STAGES_LEFT_IN / WIDTH_IN, y, "Rows of each stage", **style)
    figure.text((WORK_LEFT_IN - 1.4) / WIDTH_IN, y, "Work as executed", **style)
    bottom, tall = FOOT_IN / height_in, plot_in / height_in
    _stages(
        figure.add_axes((STAGES_LEFT_IN / WIDTH_IN, bottom, STAGES_WIDTH_IN / WIDTH_IN, tall)),
        workers, boundaries, colors,
    )  # fmt: skip
    _work(
        figure.add_axes((WORK_LEFT_IN / WIDTH_IN, bottom, WORK_WIDTH_IN / WIDTH_IN, tall)), workers, work_shares, colors
    )
    return figures.render(figure)


def _stages(axes, workers, boundaries, colors) -> None:
    stages = range(len(boundaries))
    for index, worker in enumerate(workers):
        starts = [100 * stage[index] / max(stage[-1], 1) for stage in boundaries]
        parts = [100 * (stage[index + 1] - stage[index]) / max(stage[-1], 1) for stage in boundaries]
        axes.bar(stages, parts, bottom=starts, width=0.9, color=figures.hex_color(colors.get(worker, 0)), linewidth=0)
    axes.set_xlim(-0.6, max(len(boundaries) - 0.4, 0.6))
    axes.set_ylim(100, 0)  # the top of the picture is the top here
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    axes.set_xlabel("stage", color=figures.QUIET, fontsize=9)
    axes.set_ylabel("height, from the top [%]", color=figures.QUIET, fontsize=9)
    figures.tidy(axes)


def _work(axes, workers, work_shares, colors) -> None:
    places = range(len(workers))
    shares = [100 * work_shares.get(worker, 0.0) for worker in workers]
    axes.barh(places, shares, height=0.62, color=[figures.hex_color(colors.get(worker, 0)) for worker in workers])
    limit = max([*shares, 1.0])
    for place, worker in zip(places, workers, strict=True):
        share = work_shares.get(worker, float("nan"))
        axes.text(
            (0.0 if share != share else 100 * share) + 0.03 * limit, place, format_percent(share),
            va="center", fontsize=9, color=figures.INK,
        )  # fmt: skip
    axes.set_xlim(0, 1.3 * limit)
    axes.set_ylim(len(workers) - 0.5, -0.5)
    names = [fitted(worker, round(9 * figures.DPI / 72), False, NAME_PX, keep_end=True) for worker in workers]
    axes.set_yticks(list(places), names, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set_xlabel("multiply-accumulates [%]", color=figures.QUIET, fontsize=9)
    figures.tidy(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    for label in axes.get_yticklabels():
        label.set_color(figures.INK)
