"""MobileNet v1, v2, v3 and MnasNet: depthwise separable convolutions."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, InvertedResidual, SqueezeExcite, conv_bn, hardswish, relu, relu6


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
                step = stride if index == 0 else 1
                layers.append(InvertedResidual(channels, channels * expansion, width, 3, step))
                channels = width
        self.features = nn.Sequential(*layers, conv_bn(channels, 1280, 1, activation=relu6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet_v2(classes: int = 1000) -> nn.Module:
    """Return MobileNet v2 of width 1."""
    return MobileNetV2(classes)


def mnasnet1_0(classes: int = 1000) -> nn.Module:
    """Return MnasNet-B1. Tan et al.: MnasNet: platform-aware neural architecture search for mobile, CVPR 2019."""
    stem = nn.Sequential(
        conv_bn(3, 32, 3, 2),
        conv_bn(32, 32, 3, groups=32),
        conv_bn(32, 16, 1, activation=None),
    )
    layers: list[nn.Module] = [stem]
    channels = 16
    for kernel, expansion, width, count, stride in (
        (3, 3, 24, 3, 2),
        (5, 3, 40, 3, 2),
        (5, 6, 80, 3, 2),
        (3, 6, 96, 2, 1),
        (5, 6, 192, 4, 2),
        (3, 6, 320, 1, 1),
    ):
        for index in range(count):
            step = stride if index == 0 else 1
            layers.append(InvertedResidual(channels, channels * expansion, width, kernel, step, activation=relu))
            channels = width
    return nn.Sequential(*layers, conv_bn(channels, 1280, 1), ClassHead(1280, classes, dropout=0.2))


# Kernel, expanded width, width, squeeze-and-excitation, activation, stride: table 1 of the paper.
_V3_LARGE = (
    (3, 16, 16, False, relu, 1),
    (3, 64, 24, False, relu, 2),
    (3, 72, 24, False, relu, 1),
    (5, 72, 40, True, relu, 2),
    (5, 120, 40, True, relu, 1),
    (5, 120, 40, True, relu, 1),
    (3, 240, 80, False, hardswish, 2),
    (3, 200, 80, False, hardswish, 1),
    (3, 184, 80, False, hardswish, 1),
    (3, 184, 80, False, hardswish, 1),
    (3, 480, 112, True, hardswish, 1),
    (3, 672, 112, True, hardswish, 1),
    (5, 672, 160, True, hardswish, 2),
    (5, 960, 160, True, hardswish, 1),
    (5, 960, 160, True, hardswish, 1),
)


def mobilenet_v3_trunk(dilated: bool = False) -> list[nn.Module]:
    """Return stem, the 15 blocks and the last 1x1 convolution (960 channels) of MobileNet v3 large.

    `dilated` keeps the last blocks at 16 input rows per row by dilation instead of stride, for dense prediction.
    """
    layers: list[nn.Module] = [conv_bn(3, 16, 3, 2, activation=hardswish, eps=1e-3)]
    channels = 16
    for index, (kernel, hidden, width, squeezes, activation, stride) in enumerate(_V3_LARGE):
        gate = SqueezeExcite(hidden, _multiple_of_8(hidden / 4), gate=nn.Hardsigmoid) if squeezes else None
        block = InvertedResidual(
            channels,
            hidden,
            width,
            kernel,
            stride,
            dilation=2 if dilated and index >= 12 else 1,
            activation=activation,
            squeeze_excite=gate,
            eps=1e-3,
        )
        layers.append(block)
        channels = width
    return [*layers, conv_bn(channels, 960, 1, activation=hardswish, eps=1e-3)]


def mobilenet_v3_large(classes: int = 1000) -> nn.Module:
    """Return MobileNet v3 large. Howard et al.: Searching for MobileNetV3, ICCV 2019, table 1."""
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(960, 1280), hardswish()]
    return nn.Sequential(*mobilenet_v3_trunk(), *head, nn.Dropout(0.2), nn.Linear(1280, classes))


def _multiple_of_8(width: float) -> int:
    """Round to a multiple of 8 that is at least nine tenths of the width, as the MobileNet authors do."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded
