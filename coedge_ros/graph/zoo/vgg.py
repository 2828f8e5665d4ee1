"""VGG: nothing but 3x3 convolutions, pooling and three linear layers."""

from __future__ import annotations

from torch import nn

from coedge_ros.graph.zoo.blocks import conv_relu, linear_head

_POOL = 0
_CONFIGURATION_A = (64, _POOL, 128, _POOL, 256, 256, _POOL, 512, 512, _POOL, 512, 512, _POOL)
_CONFIGURATION_D = (
    *(64, 64, _POOL, 128, 128, _POOL),
    *(256, 256, 256, _POOL, 512, 512, 512, _POOL, 512, 512, 512, _POOL),
)


def _vgg(widths: tuple[int, ...], classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        if width == _POOL:
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers.append(conv_relu(channels, width))
            channels = width
    # Not in the paper: makes 7 x 7 of any map, and is the identity at 224 x 224.
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d((7, 7)), linear_head(512 * 7 * 7, classes))


def vgg11(classes: int = 1000) -> nn.Module:
    """Return VGG-11; (N, 3, 224, 224) is the size of the paper.

    Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, ICLR 2015, column A.
    """
    return _vgg(_CONFIGURATION_A, classes)


def vgg16(classes: int = 1000) -> nn.Module:
    """Return VGG-16: column D of the paper (see `vgg11`)."""
    return _vgg(_CONFIGURATION_D, classes)
