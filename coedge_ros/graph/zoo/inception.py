"""Inception v3: factorised convolutions (1x7 and 7x1) in parallel branches."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, conv_bn


def _conv(in_channels: int, out_channels: int, kernel: int | tuple[int, int], stride: int = 1) -> nn.Sequential:
    """Return convolution, batch norm and ReLU; a stride goes without padding, as do the layers of the stem."""
    return conv_bn(in_channels, out_channels, kernel, stride, padding=0 if stride > 1 else None, eps=1e-3)


class Branches(nn.Module):
    """Modules over the same map, concatenated over channels."""

    def __init__(self, *branches: nn.Module):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _mixed_a(channels: int, pooled: int) -> nn.Module:
    return Branches(
        _conv(channels, 64, 1),
        nn.Sequential(_conv(channels, 48, 1), _conv(48, 64, 5)),
        nn.Sequential(_conv(channels, 64, 1), _conv(64, 96, 3), _conv(96, 96, 3)),
        nn.Sequential(nn.AvgPool2d(3, 1, 1), _conv(channels, pooled, 1)),
    )


def _reduce_b(channels: int) -> nn.Module:
    return Branches(
        _conv(channels, 384, 3, 2),
        nn.Sequential(_conv(channels, 64, 1), _conv(64, 96, 3), _conv(96, 96, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _mixed_c(channels: int, width: int) -> nn.Module:
    return Branches(
        _conv(channels, 192, 1),
        nn.Sequential(_conv(channels, width, 1), _conv(width, width, (1, 7)), _conv(width, 192, (7, 1))),
        nn.Sequential(
            _conv(channels, width, 1),
            _conv(width, width, (7, 1)),
            _conv(width, width, (1, 7)),
            _conv(width, width, (7, 1)),
            _conv(width, 192, (1, 7)),
        ),
        nn.Sequential(nn.AvgPool2d(3, 1, 1), _conv(channels, 192, 1)),
    )


def _reduce_d(channels: int) -> nn.Module:
    return Branches(
        nn.Sequential(_conv(channels, 192, 1), _conv(192, 320, 3, 2)),
        nn.Sequential(_conv(channels, 192, 1), _conv(192, 192, (1, 7)), _conv(192, 192, (7, 1)), _conv(192, 192, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _mixed_e(channels: int) -> nn.Module:
    def split() -> nn.Module:
        return Branches(_conv(384, 384, (1, 3)), _conv(384, 384, (3, 1)))

    return Branches(
        _conv(channels, 320, 1),
        nn.Sequential(_conv(channels, 384, 1), split()),
        nn.Sequential(_conv(channels, 448, 1), _conv(448, 384, 3), split()),
        nn.Sequential(nn.AvgPool2d(3, 1, 1), _conv(channels, 192, 1)),
    )


def inception_v3(classes: int = 1000) -> nn.Module:
    """Return Inception v3, without the auxiliary classifier that only training uses.

    Szegedy et al.: Rethinking the Inception architecture for computer vision, CVPR 2016, table 1, with the branch
    widths of the authors' published model.
    """
    return nn.Sequential(
        _conv(3, 32, 3, 2),
        conv_bn(32, 32, 3, padding=0, eps=1e-3),
        _conv(32, 64, 3),
        nn.MaxPool2d(3, 2),
        _conv(64, 80, 1),
        conv_bn(80, 192, 3, padding=0, eps=1e-3),
        nn.MaxPool2d(3, 2),
        _mixed_a(192, 32),
        _mixed_a(256, 64),
        _mixed_a(288, 64),
        _reduce_b(288),
        _mixed_c(768, 128),
        _mixed_c(768, 160),
        _mixed_c(768, 160),
        _mixed_c(768, 192),
        _reduce_d(768),
        _mixed_e(1280),
        _mixed_e(2048),
        ClassHead(2048, classes, dropout=0.5),
    )
