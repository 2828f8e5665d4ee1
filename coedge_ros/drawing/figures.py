"""What the matplotlib pictures share: style, colours, and where their texts are. No display and no global state."""

import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from coedge_ros.drawing.palette import Color, worker_color
from coedge_ros.drawing.text import Rendering, TextBox

DPI = 110
PAPER, INK, QUIET, GRID = "#ffffff", "#1b1f27", "#5b6472", "#e3e6eb"


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure that draws in memory."""
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def tidy(axes) -> None:
    """Take away what carries no information."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=QUIET, labelsize=9, length=3)
    axes.set_axisbelow(True)


def hex_color(index: int) -> str:
    """A worker's colour as matplotlib takes it."""
    return as_hex(worker_color(index))


def as_hex(color: Color) -> str:
    """`#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def darker(index: int) -> str:
    """A worker's colour, dark enough for a line on white paper."""
    return as_hex(tuple(round(0.72 * part) for part in worker_color(index)))


def render(figure: Figure) -> Rendering:
    """Draw a figure to pixels and find out where its texts are."""
    canvas = figure.canvas
    canvas.draw()
    renderer = canvas.get_renderer()
    rgb = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    boxes = []
    for text in _visible_texts(figure):
        box = text.get_window_extent(renderer)
        if box.width > 0:
            # Extents include a pixel of margin; matplotlib counts rows from below.
            boxes.append(TextBox(text.get_text(), box.x0, rgb.shape[0] - box.y1, box.x1, rgb.shape[0] - box.y0))
    return Rendering(rgb, tuple(boxes))


def _visible_texts(figure: Figure) -> list[Text]:
    hidden = set()
    for axis in figure.findobj(Axis):
        # Labels of ticks beyond the limits exist but are not drawn.
        low, high = sorted(axis.get_view_interval())
        shown = axis.get_visible() and axis.axes.get_visible() and axis.axes.axison
        for tick in axis.get_major_ticks() + axis.get_minor_ticks():
            inside = low - 1e-9 <= tick.get_loc() <= high + 1e-9
            if not (shown and inside):
                hidden.update({tick.label1, tick.label2})
        if not shown:
            hidden.update({axis.label, axis.offsetText})
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in hidden]
