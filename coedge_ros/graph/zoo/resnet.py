"""ResNets: residual blocks, and their grouped (ResNeXt), wide and dilated variants."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, conv_bn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, dilation: int, groups: int, group_width: int):
        super().__init__()
        self.branch = nn.Sequential(
            conv_bn(in_channels, channels, 3, stride),
            conv_bn(channels, channels, 3, activation=None),
        )
        self.shortcut = _shortcut(in_channels, channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride, as in all later implementations) and 1x1 convolution beside a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, dilation: int, groups: int, group_width: int):
        super().__init__()
        middle = channels * group_width // 64 * groups
        self.branch = nn.Sequential(
            conv_bn(in_channels, middle, 1),
            conv_bn(middle, middle, 3, stride, dilation=dilation, groups=groups),
            conv_bn(middle, channels * self.expansion, 1, activation=None),
        )
        self.shortcut = _shortcut(in_channels, channels * self.expansion, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return conv_bn(in_channels, out_channels, 1, stride, activation=None)


def resnet_stages(
    block: type[BasicBlock | Bottleneck],
    depths: tuple[int, int, int, int],
    *,
    groups: int = 1,
    group_width: int = 64,
    dilated: bool = False,
) -> list[nn.Sequential]:
    """Return the stem and the four stages, with 4, 4, 8, 16, 32 input rows per row of their maps.

    `dilated` keeps the last two stages at 8 by dilation instead of stride (Chen et al. 2017), for dense prediction;
    as there, the first block of a stage still has the dilation of the stage before.
    """
    stem = nn.Sequential(conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
    stages, in_channels, dilation = [stem], 64, 1
    for index, depth in enumerate(depths):
        channels, stride, before = 64 * 2**index, 1 if index == 0 else 2, dilation
        if dilated and index >= 2:
            stride, dilation = 1, dilation * 2
        blocks = []
        for position in range(depth):
            first = position == 0
            spacing = before if first else dilation
            blocks.append(block(in_channels, channels, stride if first else 1, spacing, groups, group_width))
            in_channels = channels * block.expansion
        stages.append(nn.Sequential(*blocks))
    return stages


def resnet18(classes: int = 1000) -> nn.Module:
    """Return ResNet-18. He et al.: Deep residual learning for image recognition, CVPR 2016, table 1."""
    return nn.Sequential(*resnet_stages(BasicBlock, (2, 2, 2, 2)), ClassHead(512, classes))


def resnet50(classes: int = 1000) -> nn.Module:
    """Return ResNet-50 (He et al. 2016)."""
    return nn.Sequential(*resnet_stages(Bottleneck, (3, 4, 6, 3)), ClassHead(2048, classes))


def resnext50_32x4d(classes: int = 1000) -> nn.Module:
    """Return ResNeXt-50. Xie et al.: Aggregated residual transformations for deep neural networks, CVPR 2017."""
    return nn.Sequential(*resnet_stages(Bottleneck, (3, 4, 6, 3), groups=32, group_width=4), ClassHead(2048, classes))


def wide_resnet50_2(classes: int = 1000) -> nn.Module:
    """Return Wide ResNet-50-2. Zagoruyko, Komodakis: Wide residual networks, BMVC 2016."""
    return nn.Sequential(*resnet_stages(Bottleneck, (3, 4, 6, 3), group_width=128), ClassHead(2048, classes))
