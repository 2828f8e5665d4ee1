"""What the pictures show, as plain values: no messages, no clocks."""

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker as a picture shows it. NaN stands for "not known".

    Attributes
    ----------
    name : str
        Its name.
    color : int
        Index into the palette, the same in every picture.
    band : tuple of float
        The part [start, stop) of the frame's height that it computed, each in [0, 1]; equal for no rows.
    rows : int
        Rows of the model's input that it owned.
    load : float
        Busy fraction, [0, 1].
    compute_ms : float
        Time in the model for the frame [ms].
    energy_j : float
        Modelled energy for the frame [J].
    work : float
        Its part of all multiply-accumulates of the frame, [0, 1].
    head : bool
        It computed the head.
    silent : bool
        Nothing was heard of it lately.
    """

    name: str
    color: int
    band: tuple[float, float] = (0.0, 0.0)
    rows: int = 0
    load: float = math.nan
    compute_ms: float = math.nan
    energy_j: float = math.nan
    work: float = math.nan
    head: bool = False
    silent: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.rows} rows, {self.compute_ms:.1f} ms, load {self.load:.2f}"


@dataclass(frozen=True, slots=True)
class BoxView:
    """One detection as a picture shows it: `score` in [0, 1]; left, top, width, height in pixels of the frame."""

    label: str
    score: float
    left: float
    top: float
    width: float
    height: float

    def __str__(self) -> str:
        return f"{self.label} {format_percent(self.score)}"


@dataclass(frozen=True, slots=True)
class AnswerView:
    """The answer for one frame as a picture shows it.

    Attributes
    ----------
    frame : str
        Name of the picture, "" for none.
    classes : tuple of (str, float)
        Names and probabilities, best first; empty when the model does not classify.
    boxes : tuple of BoxView
        What a detector found, best first.
    model : str
        Model spec.
    latency_ms : float
        Image in to answer out [ms].
    deadline_ms : float
        Latency deadline [ms]; 0 for none.
    epoch : int
        Plan that answered.
    fallback : bool
        The manager answered alone.
    attempts : int
        1, or more when the frame was issued again.
    """

    frame: str = ""
    classes: tuple[tuple[str, float], ...] = ()
    model: str = ""
    latency_ms: float = math.nan
    deadline_ms: float = 0.0
    epoch: int = 0
    fallback: bool = False
    attempts: int = 1
    boxes: tuple[BoxView, ...] = ()

    @property
    def late(self) -> bool:
        """The latency deadline was missed."""
        return self.deadline_ms > 0 and self.latency_ms > self.deadline_ms


def natural(name: str) -> tuple:
    """Sorting key for people: worker_2 comes before worker_10."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts))


def format_ms(value: float) -> str:
    """Milliseconds with three digits or so, `-` when not known."""
    if math.isnan(value):
        return "- ms"
    return f"{value:.0f} ms" if value >= 99.95 else f"{value:.1f} ms"


def format_joules(value: float) -> str:
    """Joules or millijoules, `-` when not known."""
    if math.isnan(value):
        return "- J"
    return f"{value * 1e3:.0f} mJ" if value < 0.0995 else f"{value:.2f} J" if value < 9.995 else f"{value:.0f} J"


def format_percent(fraction: float) -> str:
    """Whole per cent of a fraction, `-` when not known."""
    return "- %" if math.isnan(fraction) else f"{100 * fraction:.0f} %"
