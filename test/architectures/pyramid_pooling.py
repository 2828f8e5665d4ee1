"""Zhao et al.: Pyramid scene parsing network, CVPR 2017, over a small trunk."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())


class PyramidPooling(nn.Module):
    """The map beside its means over 1, 2, 3 and 6 by as many windows; (N, 3, H, W) -> (N, 7, H, W)."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.trunk = nn.Sequential(_conv(3, width // 2, 3, 2), _conv(width // 2, width, 3, 2), _conv(width, width, 3))
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), _conv(width, width // 4, 1)) for bins in (1, 2, 3, 6)
        )
        self.head = nn.Sequential(_conv(2 * width, width, 3), nn.Conv2d(width, 7, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[2:]
        x = self.trunk(x)
        spread = [F.interpolate(pool(x), x.shape[2:], mode="bilinear", align_corners=True) for pool in self.pools]
        return F.interpolate(self.head(torch.cat([x, *spread], 1)), size, mode="bilinear", align_corners=True)


def pyramid_pooling() -> nn.Module:
    """Return the net."""
    return PyramidPooling()
