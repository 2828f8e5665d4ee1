"""RegNet X and Y: stages of grouped bottlenecks whose widths follow a line."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, SqueezeExcite, conv_bn


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3, optional squeeze-and-excitation, 1x1, beside a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int, group_width: int, squeezes: bool):
        super().__init__()
        fits = stride == 1 and in_channels == channels
        self.shortcut = nn.Identity() if fits else conv_bn(in_channels, channels, 1, stride, activation=None)
        self.branch = nn.Sequential(
            conv_bn(in_channels, channels, 1),
            conv_bn(channels, channels, 3, stride, groups=channels // group_width),
            *([SqueezeExcite(channels, round(0.25 * in_channels))] if squeezes else []),
            conv_bn(channels, channels, 1, activation=None),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.shortcut(x) + self.branch(x))


def _regnet(stages: tuple[tuple[int, int], ...], group_width: int, squeezes: bool, classes: int) -> nn.Module:
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2)]
    channels = 32
    for width, depth in stages:
        for index in range(depth):
            layers.append(RegNetBlock(channels, width, 2 if index == 0 else 1, group_width, squeezes))
            channels = width
    return nn.Sequential(*layers, ClassHead(channels, classes))


def regnet_x_400mf(classes: int = 1000) -> nn.Module:
    """Return RegNetX-400MF.

    Radosavovic et al.: Designing network design spaces, CVPR 2020; widths and depths of their published model.
    """
    return _regnet(((32, 1), (64, 2), (160, 7), (400, 12)), 16, False, classes)


def regnet_y_400mf(classes: int = 1000) -> nn.Module:
    """Return RegNetY-400MF: with squeeze-and-excitation (see `regnet_x_400mf`)."""
    return _regnet(((48, 1), (104, 3), (208, 6), (440, 6)), 8, True, classes)
