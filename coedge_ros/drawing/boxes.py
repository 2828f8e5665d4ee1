"""Boxes of detections on the picture, each with its label and score where there is room."""

from PIL import ImageDraw

from coedge_ros.drawing import palette
from coedge_ros.drawing.text import TextBox, TextLayer, fitted, font
from coedge_ros.drawing.views import BoxView

LINE = 3
TEXT_SIZE, TAG_HEIGHT, TAG_PADDING = 13, 20, 5


def draw_box(
    draw: ImageDraw.ImageDraw,
    texts: TextLayer,
    picture: tuple[int, int, int, int],
    across: float,
    down: float,
    box: BoxView,
) -> None:
    """Draw one detection.

    Parameters
    ----------
    picture : tuple of int
        (left, top, width, height) of the picture in what is drawn on, in pixels. What lies outside is cut off.
    across, down : float
        Pixels of the picture per pixel of the frame that the box is in.
    """
    left, top, width, height = picture
    x, y = left + max(0.0, box.left * across), top + max(0.0, box.top * down)
    right = left + min(width - 1.0, (box.left + box.width) * across)
    bottom = top + min(height - 1.0, (box.top + box.height) * down)
    if right <= x or bottom <= y:
        return
    draw.rectangle((x, y, right, bottom), outline=palette.INK, width=LINE + 2)
    if right - x > 2 and bottom - y > 2:
        draw.rectangle((x + 1, y + 1, right - 1, bottom - 1), outline=palette.BOX, width=LINE)
    _tag(draw, texts, picture, (x, y, right, bottom), str(box))


def _tag(draw, texts: TextLayer, picture, edges, text: str) -> None:
    """Above the box, else below it, else inside; nothing where another text is already."""
    left, top, width, height = picture
    x, y, _, bottom = edges
    text = fitted(text, TEXT_SIZE, True, width - 2 * TAG_PADDING)
    tag_width = font(TEXT_SIZE, True).getlength(text) + 2 * TAG_PADDING
    x = min(x, left + width - tag_width)
    for row in (y - TAG_HEIGHT, bottom + 1, y):
        place = TextBox(text, x, row, x + tag_width, row + TAG_HEIGHT)
        is_inside = row >= top and row + TAG_HEIGHT <= top + height
        if text and is_inside and not any(place.overlaps(other) for other in texts.boxes):
            draw.rectangle((x, row, x + tag_width - 1, row + TAG_HEIGHT - 1), fill=palette.BOX)
            color = palette.text_color_on(palette.BOX)
            texts.put(x + TAG_PADDING, row + TAG_HEIGHT / 2, text, color, TEXT_SIZE, bold=True)
            return
