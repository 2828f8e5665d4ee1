"""Dense prediction over a classification trunk: FCN, DeepLab v3, LR-ASPP. All answer (N, classes, H, W)."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from coedge_ros.graph.zoo.blocks import conv_bn
from coedge_ros.graph.zoo.mobilenet import mobilenet_v3_trunk
from coedge_ros.graph.zoo.resnet import Bottleneck, resnet_stages


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class Segmenter(nn.Module):
    """A trunk, a head, and the head's scores enlarged to the size of the image."""

    def __init__(self, trunk: nn.Module, head: nn.Module):
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _resize(self.head(self.trunk(x)), x)


def _dilated_resnet50() -> nn.Sequential:
    return nn.Sequential(*resnet_stages(Bottleneck, (3, 4, 6, 3), dilated=True))


def fcn_resnet50(classes: int = 21) -> nn.Module:
    """Return a fully convolutional head over a dilated ResNet-50.

    Long, Shelhamer, Darrell: Fully convolutional networks for semantic segmentation, CVPR 2015.
    """
    head = nn.Sequential(conv_bn(2048, 512), nn.Dropout(0.1), nn.Conv2d(512, classes, 1))
    return Segmenter(_dilated_resnet50(), head)


class ImagePooling(nn.Module):
    """The mean of the whole map, through a 1x1 convolution, spread over the map again."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn(in_channels, out_channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _resize(self.pool(x), x)


class AtrousPyramid(nn.Module):
    """Convolutions of several dilations side by side, and image pooling (ASPP)."""

    def __init__(self, in_channels: int, rates: tuple[int, ...], out_channels: int = 256):
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_bn(in_channels, out_channels, 1),
                *(conv_bn(in_channels, out_channels, 3, dilation=rate) for rate in rates),
                ImagePooling(in_channels, out_channels),
            ]
        )
        self.project = nn.Sequential(conv_bn((len(rates) + 2) * out_channels, out_channels, 1), nn.Dropout(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(torch.cat([branch(x) for branch in self.branches], 1))


def deeplab_v3_resnet50(classes: int = 21) -> nn.Module:
    """Return DeepLab v3 over a dilated ResNet-50, 8 input rows per row of its map.

    Chen et al.: Rethinking atrous convolution for semantic image segmentation, 2017.
    """
    head = nn.Sequential(AtrousPyramid(2048, (12, 24, 36)), conv_bn(256, 256), nn.Conv2d(256, classes, 1))
    return Segmenter(_dilated_resnet50(), head)


class LiteAtrousPyramid(nn.Module):
    """LR-ASPP: the last map, scaled by a gate from its mean, and an early map, each classified and added."""

    def __init__(self, classes: int):
        super().__init__()
        trunk = mobilenet_v3_trunk(dilated=True)
        self.early = nn.Sequential(*trunk[:5])  # 40 channels, 8 input rows per row
        self.late = nn.Sequential(*trunk[5:])  # 960 channels, 16 input rows per row
        self.convolve = conv_bn(960, 128, 1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(960, 128, 1, bias=False), nn.Sigmoid())
        self.classify_early = nn.Conv2d(40, classes, 1)
        self.classify_late = nn.Conv2d(128, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        early = self.early(x)
        late = self.late(early)
        late = _resize(self.convolve(late) * self.gate(late), early)
        return _resize(self.classify_early(early) + self.classify_late(late), x)


def lraspp_mobilenet_v3(classes: int = 21) -> nn.Module:
    """Return LR-ASPP over MobileNet v3 large. Howard et al.: Searching for MobileNetV3, ICCV 2019, section 6.4."""
    return LiteAtrousPyramid(classes)
