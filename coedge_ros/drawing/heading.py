"""Title, subtitle and legend above a picture's panels, in as many lines as its width asks for."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist

from coedge_ros.drawing import figures
from coedge_ros.drawing.text import cleaned, fitted, font

MARGIN_IN = 0.2
TITLE_PT, SUBTITLE_PT, LEGEND_PT = 13, 9.5, 8.5
TITLE_IN, SUBTITLE_IN, LEGEND_IN, END_IN = 0.46, 0.2, 0.25, 0.16
HANDLE, PAD, GAP = 1.9, 0.6, 1.2  # of a legend's entry, in parts of its letters' size


class Heading:
    """What stands above the panels, laid out for a width before the figure is made.

    Attributes
    ----------
    height_in : float
        How much of the picture's top it takes.
    """

    def __init__(self, title: str, subtitle: str, handles: Sequence[Artist], width_in: float):
        self.width_in = width_in
        room = (width_in - 2 * MARGIN_IN) * figures.DPI
        self.title = fitted(title, _pixels(TITLE_PT), True, room)
        self.lines = wrapped(subtitle, SUBTITLE_PT, room)
        self.rows = _rows(handles, room)
        self.height_in = TITLE_IN + SUBTITLE_IN * len(self.lines) + LEGEND_IN * len(self.rows) + END_IN

    def draw(self, figure, height_in: float) -> None:
        """Write it on a figure of this height."""
        left = MARGIN_IN / self.width_in
        style = {"va": "center", "parse_math": False}
        figure.text(
            left, 1 - 0.27 / height_in, self.title, fontsize=TITLE_PT, fontweight="bold", color=figures.INK, **style
        )
        top_in = TITLE_IN
        for line in self.lines:
            y = 1 - (top_in + 0.5 * SUBTITLE_IN) / height_in
            figure.text(left, y, line, fontsize=SUBTITLE_PT, color=figures.QUIET, **style)
            top_in += SUBTITLE_IN
        for row in self.rows:
            figure.legend(
                handles=row, loc="center left", bbox_to_anchor=(left, 1 - (top_in + 0.55 * LEGEND_IN) / height_in),
                ncol=len(row), frameon=False, fontsize=LEGEND_PT, borderaxespad=0, borderpad=0, columnspacing=GAP,
                handlelength=HANDLE, handletextpad=PAD, labelcolor=figures.INK,
            )  # fmt: skip
            top_in += LEGEND_IN


def wrapped(text: str, points: float, room: float) -> list[str]:
    """Lines of at most `room` pixels, broken between words; a longer word is shortened."""
    size = _pixels(points)
    lines: list[str] = []
    for word in cleaned(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font(size, False).getlength(longer) <= 0.97 * room:
            lines[-1] = longer
        else:
            lines.append(fitted(word, size, False, 0.97 * room))
    return lines


def _rows(handles: Sequence[Artist], room: float) -> list[list[Artist]]:
    size = _pixels(LEGEND_PT)
    rows: list[list[Artist]] = []
    used = 0.0
    for handle in handles:
        width = (HANDLE + PAD + GAP) * size + 1.06 * font(size, False).getlength(handle.get_label())
        if rows and used + width <= room:
            rows[-1].append(handle)
            used += width
        else:
            rows.append([handle])
            used = width
    return rows


def _pixels(points: float) -> int:
    return round(points * figures.DPI / 72)
