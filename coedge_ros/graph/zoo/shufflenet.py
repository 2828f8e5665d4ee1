"""ShuffleNet v2: half of the channels pass by, the halves are shuffled."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, conv_bn


def _branch(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv_bn(in_channels, out_channels, 1),
        conv_bn(out_channels, out_channels, 3, stride, groups=out_channels, activation=None),
        conv_bn(out_channels, out_channels, 1),
    )


class ShuffleUnit(nn.Module):
    """Split the channels, convolve one half, concatenate, and interleave the halves (figure 3 of the paper).

    With stride 2 both branches read all channels and the map gets `out_channels`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        half = out_channels // 2
        self.bypass = None
        if stride > 1:
            depthwise = conv_bn(in_channels, in_channels, 3, stride, groups=in_channels, activation=None)
            self.bypass = nn.Sequential(depthwise, conv_bn(in_channels, half, 1))
        self.branch = _branch(in_channels if stride > 1 else half, half, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.bypass is None:
            kept, worked = x.chunk(2, dim=1)
        else:
            kept, worked = self.bypass(x), x
        x = torch.cat([kept, self.branch(worked)], 1)
        batch, channels, height, width = x.shape
        return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)


def shufflenet_v2_x1_0(classes: int = 1000) -> nn.Module:
    """Return ShuffleNet v2 of width 1.

    Ma et al.: ShuffleNet V2: practical guidelines for efficient CNN architecture design, ECCV 2018, table 5.
    """
    layers: list[nn.Module] = [conv_bn(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 24
    for width, depth in ((116, 4), (232, 8), (464, 4)):
        for index in range(depth):
            layers.append(ShuffleUnit(channels, width, 2 if index == 0 else 1))
            channels = width
    return nn.Sequential(*layers, conv_bn(channels, 1024, 1), ClassHead(1024, classes))
