"""Johnson, Alahi, Fei-Fei: Perceptual losses for real-time style transfer, ECCV 2016, in a narrow width."""

from __future__ import annotations

import torch
from torch import nn


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return reflect padding, convolution and instance norm (Ulyanov et al. 2016)."""
    return nn.Sequential(
        nn.ReflectionPad2d(kernel // 2),
        nn.Conv2d(in_channels, out_channels, kernel, stride),
        nn.InstanceNorm2d(out_channels, affine=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions, added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        self.branch = nn.Sequential(_conv(channels, channels, 3), nn.ReLU(), _conv(channels, channels, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


def style_transfer(width: int = 16, depth: int = 2) -> nn.Module:
    """Return the net; (N, 3, H, W) to an image of at least that size."""
    return nn.Sequential(
        *(_conv(3, width, 9), nn.ReLU()),
        *(_conv(width, 2 * width, 3, 2), nn.ReLU()),
        *(_conv(2 * width, 4 * width, 3, 2), nn.ReLU()),
        *(Residual(4 * width) for _ in range(depth)),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(4 * width, 2 * width, 3), nn.ReLU()),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(2 * width, width, 3), nn.ReLU()),
        nn.ReflectionPad2d(4),
        nn.Conv2d(width, 3, 9),
    )
