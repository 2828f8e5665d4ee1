"""MobileNet v1 and v2: depthwise separable convolutions."""

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, conv_bn, relu6


def mobilenet_v1(classes: int = 1000) -> nn.Module:
    """Return MobileNet v1 of width 1.

    Howard et al.: MobileNets: efficient convolutional neural networks for mobile vision applications, 2017, table 1.
    The last stride in the table is 2 where the map sizes say 1; as everybody we follow the sizes.
    """
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2)]
    channels = 32
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for width, stride in plan:
        depthwise = conv_bn(channels, channels, 3, stride, groups=channels)
        layers.append(nn.Sequential(depthwise, conv_bn(channels, width, 1)))
        channels = width
    return nn.Sequential(*layers, ClassHead(channels, classes))


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, project without activation; added to the input if it fits."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int):
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        expand = [conv_bn(in_channels, hidden, 1, activation=relu6)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv_bn(hidden, hidden, 3, stride, groups=hidden, activation=relu6),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """MobileNet v2 of width 1; the names of its weights are torchvision's, so that their ImageNet weights load.

    Sandler et al.: MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018, table 2.
    """

    def __init__(self, classes: int = 1000):
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, activation=relu6)]
        channels = 32
        for expansion, width, count, stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            for index in range(count):
                layers.append(InvertedResidual(channels, width, stride if index == 0 else 1, expansion))
                channels = width
        self.features = nn.Sequential(*layers, conv_bn(channels, 1280, 1, activation=relu6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet_v2(classes: int = 1000) -> nn.Module:
    """Return MobileNet v2 of width 1."""
    return MobileNetV2(classes)
