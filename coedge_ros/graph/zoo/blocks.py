"""Building blocks that several families of the zoo share."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Activation = Callable[[], nn.Module]

# None of them works in place: in inference that saves little, and a model with in-place operators is traced twice.


def relu() -> nn.Module:
    """Return max(x, 0)."""
    return nn.ReLU()


def relu6() -> nn.Module:
    """Return min(max(x, 0), 6)."""
    return nn.ReLU6()


def silu() -> nn.Module:
    """Return x sigmoid(x), also called swish."""
    return nn.SiLU()


def hardswish() -> nn.Module:
    """Return x relu6(x + 3) / 6."""
    return nn.Hardswish()


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
    activation: Activation | None = relu,
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


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate that two 1x1 convolutions compute from all channels' means.

    Hu, Shen, Sun: Squeeze-and-excitation networks, CVPR 2018.
    """

    def __init__(self, channels: int, squeezed: int, activation: Activation = relu, gate: Activation = nn.Sigmoid):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            activation(),
            nn.Conv2d(squeezed, channels, 1),
            gate(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, project without activation; added to the input if it fits.

    Sandler et al. 2018. `hidden` equal to `in_channels` leaves the expansion out; `squeeze_excite` sits before the
    projection, as in MobileNet v3 and EfficientNet; `dilation` replaces the stride.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        dilation: int = 1,
        activation: Activation = relu6,
        squeeze_excite: nn.Module | None = None,
        eps: float = 1e-5,
    ):
        super().__init__()
        self.residual = stride == 1 and in_channels == out_channels
        expand = [conv_bn(in_channels, hidden, 1, activation=activation, eps=eps)] if hidden != in_channels else []
        stride = 1 if dilation > 1 else stride
        self.conv = nn.Sequential(
            *expand,
            conv_bn(hidden, hidden, kernel, stride, dilation=dilation, groups=hidden, activation=activation, eps=eps),
            *([] if squeeze_excite is None else [squeeze_excite]),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels, eps=eps),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class ClassHead(nn.Module):
    """Global average pooling, dropout and one linear layer: (N, C, H, W) -> (N, classes)."""

    def __init__(self, channels: int, classes: int, dropout: float = 0.0):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.dropout(torch.flatten(self.pool(x), 1)))


def linear_head(features: int, classes: int) -> nn.Sequential:
    """Return the three linear layers of AlexNet and VGG over a flattened map of `features` numbers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, 4096),
        relu(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        relu(),
        nn.Dropout(0.5),
        nn.Linear(4096, classes),
    )
