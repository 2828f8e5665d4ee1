"""Faces from the maps of MTCNN's proposal network: the pyramid that it looks at, and boxes of what it says.

Zhang, Zhang, Li, Qiao: Joint face detection and alignment using multitask cascaded convolutional networks, 2016. The
paper's second and third network look at each proposal again. They are left out, because what they would compute depends
on the values of the image. What takes their place is how many proposals agree, see `decode_faces`.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from coedge_ros.graph.detection import Detection, overlaps, suppress

CELL = 12  # pixels of a level that one position of its map sees
STRIDE = 2  # pixels of a level between positions
FACTOR = 0.709  # from one level to the next: about half the area
LEAST = 0.5  # probability of a proposal
LEVEL_OVERLAP = 0.5  # of two boxes of one level between which the better one is chosen
SAME_FACE = 0.5  # intersection over union of proposals that speak for the same face
FACE_OVERLAP = 0.3  # of two faces; 0.7 in the paper, where the second network chooses among them
MOST = 300  # proposals of a level, the surest: what resembles faces everywhere must not take the manager's time
WITNESSES = 24  # proposals that speak for a face that is seen well


def pyramid_sizes(height: int, width: int, min_face: int) -> tuple[tuple[int, int], ...]:
    """Return (rows, columns) of each level: in the first, faces of `min_face` pixels are `CELL` pixels high.

    Empty when no such face fits into the image.
    """
    sizes, scale = [], CELL / min_face
    while min(height, width) * scale >= CELL:
        sizes.append((math.ceil(height * scale), math.ceil(width * scale)))
        scale *= FACTOR
    return tuple(sizes)


def level_name(index: int) -> str:
    """Return the name of a level's map among the outputs."""
    return f"level_{index}"


def decode_faces(
    outputs: dict[str, torch.Tensor], size: tuple[int, int], threshold: float, min_face: int
) -> list[Detection]:
    """Return the faces in the maps of all levels, best first.

    Parameters
    ----------
    outputs
        (1, 5, h, w) by `level_name`: the probability of a face, and by how many widths and heights of the square that a
        position sees the face's left, top, right and bottom lie from that square's.
    size
        (H, W) of the model's input in pixels; boxes are in its pixels.
    threshold
        Least score. A face is seen from many positions and levels at once, other things that resemble one from few, and
        a single position is far too sure of itself. So the score of a face is not the best probability, as in the
        paper, but the mean of its `WITNESSES` best ones, where 0 stands for those that are missing. Its box is the mean
        of all.
    min_face
        With which the pyramid was made.
    """
    sizes = pyramid_sizes(*size, min_face)
    levels = [_proposals(outputs[level_name(index)], size, of) for index, of in enumerate(sizes)]
    boxes, sure = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    candidates = np.concatenate([found[suppress(found, of, LEVEL_OVERLAP)] for found, of in levels])
    agree = [overlaps(box, boxes) > SAME_FACE for box in candidates]
    scores = np.array([_score(sure[those]) for those in agree])
    best = [i for i in suppress(candidates, scores, FACE_OVERLAP) if scores[i] >= threshold]
    return [_face(np.average(boxes[agree[i]], axis=0, weights=sure[agree[i]]), float(scores[i])) for i in best]


def _proposals(level: torch.Tensor, size: tuple[int, int], level_size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Boxes (N, 4) in pixels of the model's input, and their probabilities (N,)."""
    maps = level[0].double().numpy()
    rows, columns = np.nonzero(maps[0] >= LEAST)
    down, across = size[0] / level_size[0], size[1] / level_size[1]
    unit = np.array([across, down, across, down])
    corner = np.stack([columns, rows, columns, rows], axis=1) * STRIDE + np.array([0, 0, CELL, CELL])
    boxes, sure = (corner + maps[1:, rows, columns].T * CELL) * unit, maps[0, rows, columns]
    is_box = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)  # weights may be anything
    boxes, sure = boxes[is_box], sure[is_box]
    surest = np.argsort(-sure, kind="stable")[:MOST]
    return boxes[surest], sure[surest]


def _score(sure: np.ndarray) -> float:
    return float(np.sort(sure)[-WITNESSES:].sum()) / WITNESSES


def _face(box: np.ndarray, score: float) -> Detection:
    left, top, right, bottom = map(float, box)
    return Detection("face", score, left, top, right - left, bottom - top)
