"""GoogLeNet: parallel convolutions of several sizes, concatenated."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, conv_relu


class Inception(nn.Module):
    """Four parallel branches over the same map, concatenated over channels."""

    def __init__(self, channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int):
        super().__init__()
        self.one = conv_relu(channels, one, 1)
        self.three = nn.Sequential(conv_relu(channels, three[0], 1), conv_relu(three[0], three[1], 3))
        self.five = nn.Sequential(conv_relu(channels, five[0], 1), conv_relu(five[0], five[1], 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_relu(channels, pooled, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], 1)


def googlenet(classes: int = 1000) -> nn.Module:
    """Return GoogLeNet, without the auxiliary classifiers that only training uses.

    Szegedy et al.: Going deeper with convolutions, CVPR 2015, table 1. Local response norm as in the paper, no batch
    norm. Pooling rounds up: 112, 56, 28, 14, 7 rows from 224.
    """

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    def norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    return nn.Sequential(
        nn.Sequential(conv_relu(3, 64, 7, 2), pool(), norm()),
        nn.Sequential(conv_relu(64, 64, 1), conv_relu(64, 192, 3), norm(), pool()),
        Inception(192, 64, (96, 128), (16, 32), 32),
        Inception(256, 128, (128, 192), (32, 96), 64),
        pool(),
        Inception(480, 192, (96, 208), (16, 48), 64),
        Inception(512, 160, (112, 224), (24, 64), 64),
        Inception(512, 128, (128, 256), (24, 64), 64),
        Inception(512, 112, (144, 288), (32, 64), 64),
        Inception(528, 256, (160, 320), (32, 128), 128),
        pool(),
        Inception(832, 256, (160, 320), (32, 128), 128),
        Inception(832, 384, (192, 384), (48, 128), 128),
        ClassHead(1024, classes, dropout=0.4),
    )
