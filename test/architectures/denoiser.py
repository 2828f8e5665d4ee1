"""Zhang, Zuo, Zhang: FFDNet: toward a fast and flexible solution for CNN-based image denoising, TIP 2018, narrow."""

from __future__ import annotations

import torch
from torch import nn


class Denoiser(nn.Module):
    """Work on four images of half the size and subtract the noise that they hold; H and W are even."""

    def __init__(self, width: int = 24, depth: int = 3):
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, width, 3, padding="same"), nn.LeakyReLU(0.1)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding="same", bias=False), nn.BatchNorm2d(width), nn.PReLU(width)]
        self.noise = nn.Sequential(*layers, nn.Conv2d(width, 12, 3, padding="same"), nn.PixelShuffle(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - self.noise(x)


def denoiser() -> nn.Module:
    """Return the net."""
    return Denoiser()
