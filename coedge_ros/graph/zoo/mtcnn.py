"""The first of MTCNN's three networks: faces of any size, found by one small network over an image pyramid."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from coedge_ros.graph.detection import Detection
from coedge_ros.graph.faces import CELL, decode_faces, level_name, pyramid_sizes


class ProposalNetwork(nn.Module):
    """P-Net on every level of an image pyramid, with the same weights: a dict with a map (1, 5, h, w) per level.

    Zhang, Zhang, Li, Qiao: Joint face detection and alignment using multitask cascaded convolutional networks, IEEE
    Signal Processing Letters 2016. Channel 0 is the probability of a face in the 12 x 12 pixels that a position sees,
    the others how far the face's left, top, right and bottom lie from theirs, in widths and heights of that square.

    Layers are called as in the trained weights that facenet-pytorch ships. There a level is the mean over areas, in a
    loop that runs the network once a level; here levels are resized with an antialiased bilinear filter, which bands
    compute with few terms a row, and all of them are one graph.

    Parameters
    ----------
    min_face
        Side of the smallest face that is looked for, in pixels of the model's input. Halving it makes four times the
        work.
    """

    def __init__(self, min_face: int = 24):
        super().__init__()
        self.min_face = min_face
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def level(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map of one level."""
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return torch.cat([self.conv4_1(x).softmax(1)[:, 1:], self.conv4_2(x)], 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        sizes = pyramid_sizes(x.shape[2], x.shape[3], self.min_face)
        if not sizes:
            raise ValueError(f"no face of {self.min_face} pixels fits into {x.shape[2]} x {x.shape[3]}")
        return {
            level_name(index): self.level(F.interpolate(x, size, mode="bilinear", antialias=True))
            for index, size in enumerate(sizes)
        }

    def decode_detections(
        self, outputs: dict[str, torch.Tensor], size: tuple[int, int], threshold: float
    ) -> list[Detection]:
        """Return the faces, see `decode_faces`."""
        return decode_faces(outputs, size, threshold, self.min_face)


def mtcnn_pnet(min_face: int = 24) -> nn.Module:
    """Return MTCNN's proposal network over a pyramid whose smallest faces are `min_face` pixels high.

    Raises
    ------
    ValueError
        If `min_face` is less than what the network sees.
    """
    if min_face < CELL:
        raise ValueError(f"min_face must be at least {CELL} pixels, what the network sees, not {min_face}")
    return ProposalNetwork(min_face)
