"""One trunk, two answers: free space per pixel, and the kind of the scene, as a robot would ask both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class TwoHeads(nn.Module):
    """(N, 3, H, W) -> ((N, 4, H, W) probabilities, (N, 5) scores)."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 5, 2, 2), nn.Mish(), nn.AvgPool2d(3, 2, 1))
        self.left = nn.Conv2d(width // 2, width, 3, padding=2, dilation=2)
        self.right = nn.Conv2d(width // 2, width, (1, 5), padding=(0, 2))
        self.dense = nn.Conv2d(width, 4, 1)
        self.kind = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = x.shape[2:]
        left, right = torch.split(self.stem(x), self.stem[0].out_channels // 2, 1)
        y = F.gelu(self.left(left)) * torch.sigmoid(self.right(right))
        dense = F.interpolate(self.dense(y), size, mode="bilinear", align_corners=False)
        return torch.softmax(dense, 1), self.kind(y.amax((2, 3)))


def two_heads() -> nn.Module:
    """Return the net."""
    return TwoHeads()
