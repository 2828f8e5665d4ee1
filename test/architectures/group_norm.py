"""A small residual net with group norm: Wu, He: Group normalization, ECCV 2018."""

from __future__ import annotations

import torch
from torch import nn


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False, padding_mode="replicate"),
        nn.GroupNorm(4, out_channels),
    )


class GroupNormNet(nn.Module):
    """Three stages of one residual block each, then a pooled head; (N, 3, H, W) -> (N, 10)."""

    def __init__(self):
        super().__init__()
        self.enter = nn.ModuleList()
        self.branch = nn.ModuleList()
        for before, width in ((3, 16), (16, 32), (32, 64)):
            self.enter.append(_conv(before, width, 2))
            self.branch.append(nn.Sequential(_conv(width, width), nn.ELU(), _conv(width, width)))
        self.head = nn.Conv2d(64, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for enter, branch in zip(self.enter, self.branch, strict=True):
            x = torch.nn.functional.elu(enter(x))
            x = torch.relu(x + branch(x))
        return self.head(x.mean((2, 3), keepdim=True)).flatten(1)


def group_norm_net() -> nn.Module:
    """Return the net."""
    return GroupNormNet()
