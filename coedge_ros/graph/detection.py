"""What a detector finds, and what every detector's decoder needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from coedge_ros.errors import ModelError

DECODER = "decode_detections"  # method of a module that detects
_LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Detection:
    """One thing that was found.

    Attributes
    ----------
    label : str
        What it is.
    score : float
        How sure that is, [0, 1].
    x, y : float
        Left and top edge in pixels; 0 is the outer edge of the first pixel. It may lie outside of the picture.
    width, height : float
        Of the box in pixels.

    Raises
    ------
    ValueError
        If a number is none or beyond any picture, or the box is empty.
    """

    label: str
    score: float
    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not all(abs(number) < _LARGEST for number in (self.score, self.x, self.y, self.width, self.height)):
            raise ValueError(f"a detection has a number that is none, or far too large: {self}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a detection needs a width and a height above 0: {self}")

    def __str__(self) -> str:
        return f"{self.label} {self.score:.2f} at {self.x:.1f}, {self.y:.1f}, {self.width:.1f} x {self.height:.1f}"

    def scaled(self, across: float, down: float) -> Detection:
        """Return it in a picture that is wider and higher by these factors, in Python's own numbers."""
        edges = self.x * across, self.y * down, self.width * across, self.height * down
        return Detection(str(self.label), float(self.score), *map(float, edges))


Decoder = Callable[[dict[str, torch.Tensor], tuple[int, int], float], list[Detection]]


def decoder_of(module: nn.Module) -> Decoder | None:
    """Return the module's method `DECODER`, which makes detections of its outputs, or None where it has none.

    The method takes the outputs by name, the model's input size (H, W) and the least score, and returns the
    `Detection`s in pixels of the model's input, best first.

    Raises
    ------
    ModelError
        If the module has something of that name that cannot be called.
    """
    decoder = getattr(module, DECODER, None)
    if decoder is not None and (isinstance(decoder, nn.Module) or not callable(decoder)):
        raise ModelError(
            f"{type(module).__name__}.{DECODER} is a {type(decoder).__name__}: it must be a method that takes outputs, "
            "size and threshold and returns detections"
        )
    return decoder


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return intersection over union of a box (4,) with boxes (N, 4), each left, top, right, bottom, as (N,)."""
    corners = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(corners[1] - corners[0], 0, None), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return shared / np.maximum(area - shared, np.finfo(float).tiny)


def suppress(boxes: np.ndarray, scores: np.ndarray, most_overlap: float) -> np.ndarray:
    """Return the indices of boxes that no better kept box overlaps by more than `most_overlap`, best first.

    Greedy non-maximum suppression, as torchvision's `nms`; boxes are (N, 4) left, top, right, bottom, scores (N,).
    """
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        waiting = waiting[overlaps(boxes[best], boxes[waiting]) <= most_overlap]
    return np.array(kept, dtype=np.intp)
