"""Colours, as (red, green, blue) from 0 to 255."""

Color = tuple[int, int, int]

# Distinct in hue and brightness, on photos, on the dark panel and on white paper. Numbers and names always stand beside
# them, because no eight colours are distinct for everybody.
WORKER_COLORS: tuple[Color, ...] = (
    (66, 153, 245),  # blue
    (247, 147, 30),  # orange
    (76, 187, 106),  # green
    (229, 90, 158),  # pink
    (240, 205, 60),  # yellow
    (54, 196, 197),  # teal
    (226, 84, 80),  # red
    (156, 120, 240),  # violet
)

PANEL: Color = (22, 25, 31)
CARD: Color = (35, 39, 48)
TRACK: Color = (62, 68, 80)
TEXT: Color = (240, 242, 246)
MUTED: Color = (164, 171, 184)
GOOD: Color = (104, 211, 145)
BAD: Color = (252, 129, 129)
NOTICE: Color = (246, 193, 68)
BOX: Color = (255, 235, 59)  # of a detection: brighter than any worker's
INK: Color = (18, 20, 24)


def worker_color(index: int) -> Color:
    """Colour of the worker with this index; they repeat after the last."""
    return WORKER_COLORS[index % len(WORKER_COLORS)]


def text_color_on(background: Color) -> Color:
    """Dark or light text, whichever reads better on `background` (luminance by ITU-R BT.601)."""
    red, green, blue = background
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else TEXT


def faded(color: Color, background: Color, strength: float) -> Color:
    """`color` laid over `background` with opacity `strength` in [0, 1]."""
    return tuple(round(strength * front + (1 - strength) * back) for front, back in zip(color, background, strict=True))
