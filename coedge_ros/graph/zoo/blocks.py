"""Building blocks that several families of the zoo share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Activation = Callable[[], nn.Module] | None


def relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def relu6() -> nn.Module:
    return nn.ReLU6(inplace=True)


def same_padding(kernel: int | tuple[int, int], dilation: int = 1) -> tuple[int, int]:
    """Return the padding that keeps H and W at stride 1, for odd kernels."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    return (dilation * (height - 1) // 2, dilation * (width - 1) // 2)


def conv_relu(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    """Return convolution (with bias) and ReLU, as nets had it before batch norm."""
    padding = kernel // 2 if padding is None else padding
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, stride, padding), relu())


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int] = 3,
    stride: int = 1,
    *,
    padding: int | tuple[int, int] | None = None,
    dilation: int = 1,
    groups: int = 1,
    activation: Activation = relu,
    eps: float = 1e-5,
) -> nn.Sequential:
    """Return convolution (no bias), batch norm and, unless it is None, an activation."""
    padding = same_padding(kernel, dilation) if padding is None else padding
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out_channels, eps=eps),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


class ClassHead(nn.Module):
    """Global average pooling, dropout and one linear layer: (N, C, H, W) -> (N, classes)."""

    def __init__(self, channels: int, classes: int, dropout: float = 0.0):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.dropout(torch.flatten(self.pool(x), 1)))
