"""U-Net: an encoder, a decoder, and a skip connection at every size."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from coedge_ros.graph.zoo.blocks import conv_bn


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(in_channels, out_channels), conv_bn(out_channels, out_channels))


class Up(nn.Module):
    """Enlarge to the size of the skip connection, append it, and convolve twice."""

    def __init__(self, channels: int, skip_channels: int, bilinear: bool):
        super().__init__()
        self.enlarge = None if bilinear else nn.ConvTranspose2d(channels, skip_channels, 2, 2)
        self.convolve = _double((channels if bilinear else skip_channels) + skip_channels, skip_channels)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        if self.enlarge is None:
            x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
        else:
            x = self.enlarge(x, output_size=skip.shape[2:])
        return self.convolve(torch.cat([skip, x], 1))


class UNet(nn.Module):
    """U-Net for any size of at least 16 x 16; the answer has the size of the image: (N, classes, H, W).

    Ronneberger, Fischer, Brox: U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015. As usual
    today with padding (the paper crops instead) and batch norm; `width` is 64 in the paper.
    """

    def __init__(self, classes: int, width: int, bilinear: bool):
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.encoder = nn.ModuleList(_double(*pair) for pair in zip([3, *widths[:-1]], widths, strict=True))
        self.pool = nn.MaxPool2d(2, 2)
        self.decoder = nn.ModuleList(
            Up(below, skip, bilinear) for below, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips: list[torch.Tensor] = []
        for index, convolve in enumerate(self.encoder):
            x = convolve(x if index == 0 else self.pool(x))
            skips.append(x)
        for up, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = up(x, skip)
        return self.classify(x)


def unet(classes: int = 2, width: int = 32) -> nn.Module:
    """Return a U-Net that enlarges by transposed convolution."""
    return UNet(classes, width, bilinear=False)


def unet_bilinear(classes: int = 2, width: int = 32) -> nn.Module:
    """Return a U-Net that enlarges by bilinear interpolation."""
    return UNet(classes, width, bilinear=True)
