"""Text on pictures: fitted to the room it has, and every box it takes is known."""

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ImageDraw, ImageFont

from coedge_ros.drawing.palette import Color

ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class TextBox:
    """Where a text is, in pixels; half-open, y downwards."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "TextBox") -> bool:
        """Whether the two share a pixel."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def inside(self, width: float, height: float) -> bool:
        """Whether it lies within a picture of this size."""
        return min(self.left, self.top) >= 0 and self.right <= width and self.bottom <= height


@dataclass(frozen=True, slots=True)
class Rendering:
    """A drawn picture: (H, W, 3) uint8 RGB, and where its texts are."""

    rgb: np.ndarray
    text_boxes: tuple[TextBox, ...]


@cache
def font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along, or what Pillow has built in."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    import matplotlib  # only for its data; pyplot is never loaded

    for place in (str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), name):
        try:
            return ImageFont.truetype(place, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def cleaned(text: str) -> str:
    """One line that every font can draw: control characters become spaces."""
    return "".join(" " if unicodedata.category(char)[0] == "C" else char for char in text).strip()


def fitted(text: str, size: int, bold: bool, max_width: float, keep_end: bool = False) -> str:
    """`text`, or a part of it with an ellipsis, at most `max_width` pixels wide.

    With `keep_end` the middle goes instead of the end: names in a cluster differ most often at their end.
    """
    text = cleaned(text)
    measure = font(size, bold).getlength
    if measure(text) <= max_width:
        return text
    low, high = 0, len(text) - 1  # characters that stay
    while low < high:
        kept = (low + high + 1) // 2
        if measure(_shortened(text, kept, keep_end)) <= max_width:
            low = kept
        else:
            high = kept - 1
    short = _shortened(text, low, keep_end)
    return short if measure(short) <= max_width else ""


def _shortened(text: str, kept: int, keep_end: bool) -> str:
    front = (kept + 1) // 2 if keep_end else kept
    return text[:front].rstrip() + ELLIPSIS + (text[-(kept - front) :].lstrip() if kept > front else "")


class TextLayer:
    """Writes on a picture and remembers where.

    Attributes
    ----------
    boxes : list of TextBox
        Ink of everything written so far.
    """

    def __init__(self, draw: ImageDraw.ImageDraw):
        self._draw = draw
        self.boxes: list[TextBox] = []

    def put(
        self,
        x: float,
        y: float,
        text: str,
        color: Color,
        size: int = 13,
        bold: bool = False,
        anchor: str = "lm",
        max_width: float = float("inf"),
        keep_end: bool = False,
    ) -> float:
        """Write one line and return its width [pixels].

        Parameters
        ----------
        x, y : float
            Where the anchor is.
        anchor : str
            Pillow's anchor: l, m or r across and m for the middle of the line's height.
        max_width : float
            What is wider is shortened; nothing is written when not even an ellipsis fits.
        keep_end : bool
            Shorten in the middle instead of at the end.
        """
        text = fitted(text, size, bold, max_width, keep_end)
        if not text:
            return 0.0
        face = font(size, bold)
        self._draw.text((x, y), text, fill=color, font=face, anchor=anchor)
        self.boxes.append(TextBox(text, *self._draw.textbbox((x, y), text, font=face, anchor=anchor)))
        return face.getlength(text)
