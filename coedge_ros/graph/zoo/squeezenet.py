"""SqueezeNet: few 1x1 channels feed parallel 1x1 and 3x3 convolutions."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import conv_relu


class Fire(nn.Module):
    """Squeeze by a 1x1 convolution, then expand by 1x1 and 3x3 side by side, concatenated."""

    def __init__(self, channels: int, squeezed: int, expanded: int):
        super().__init__()
        self.squeeze = conv_relu(channels, squeezed, 1)
        self.one = conv_relu(squeezed, expanded, 1)
        self.three = conv_relu(squeezed, expanded, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze(x)
        return torch.cat([self.one(x), self.three(x)], 1)


def _squeezenet(stem: nn.Module, channels: int, pools_before: tuple[int, int], classes: int) -> nn.Module:
    """Return stem, the eight fire modules of table 1 with pools before two of them, and the convolutional head."""
    layers: list[nn.Module] = [stem, nn.MaxPool2d(3, 2, ceil_mode=True)]
    for index, squeezed in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        if index in pools_before:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        layers.append(Fire(channels, squeezed, 4 * squeezed))
        channels = 8 * squeezed
    head = [nn.Dropout(0.5), conv_relu(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head)


def squeezenet1_0(classes: int = 1000) -> nn.Module:
    """Return SqueezeNet.

    Iandola et al.: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016, table 1.
    """
    return _squeezenet(conv_relu(3, 96, 7, 2, padding=0), 96, (3, 7), classes)


def squeezenet1_1(classes: int = 1000) -> nn.Module:
    """Return version 1.1 of the authors' repository: a smaller first kernel and earlier pooling."""
    return _squeezenet(conv_relu(3, 64, 3, 2, padding=0), 64, (2, 4), classes)
