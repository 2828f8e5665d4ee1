"""A net for images that close upon themselves, with index tricks along H."""

from __future__ import annotations

import torch
from torch import nn


class Panorama(nn.Module):
    """Convolve around the image, beside its mirror image and beside every other row; (N, 3, H, W) -> (N, 6)."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.around = nn.Conv2d(3, width, 5, padding=2, padding_mode="circular")
        self.mirrored = nn.Conv2d(width, width, 3, padding=1)
        self.every_other = nn.Conv2d(width, width, 3, padding=1)
        self.odd = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.around(x))
        x = torch.relu(x + self.mirrored(x.flip(2)))
        x = x[:, :, : x.shape[2] // 2 * 2]
        even, odd = self.every_other(x[:, :, 0::2]), self.odd(x[:, :, 1::2])
        return self.head(torch.stack([even, odd], 1).sum(1).clamp(min=0).mean((2, 3)))


def panorama() -> nn.Module:
    """Return the net."""
    return Panorama()
