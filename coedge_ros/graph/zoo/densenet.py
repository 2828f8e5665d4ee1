"""DenseNet: every layer reads the concatenated outputs of all layers before it."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, conv_bn, relu


def _bn_conv(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(in_channels), relu(), conv)


class DenseBlock(nn.Module):
    """Layers of 1x1 and 3x3 convolution that each append `growth` channels to what they read."""

    def __init__(self, channels: int, depth: int, growth: int):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(_bn_conv(channels + index * growth, 4 * growth, 1), _bn_conv(4 * growth, growth, 3))
            for index in range(depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def densenet121(classes: int = 1000) -> nn.Module:
    """Return DenseNet-121. Huang et al.: Densely connected convolutional networks, CVPR 2017, table 1."""
    growth, channels = 32, 64
    layers: list[nn.Module] = [conv_bn(3, channels, 7, 2), nn.MaxPool2d(3, 2, 1)]
    for index, depth in enumerate((6, 12, 24, 16)):
        if index > 0:
            layers.append(nn.Sequential(_bn_conv(channels, channels // 2, 1), nn.AvgPool2d(2, 2)))
            channels //= 2
        layers.append(DenseBlock(channels, depth, growth))
        channels += depth * growth
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), relu(), ClassHead(channels, classes))
