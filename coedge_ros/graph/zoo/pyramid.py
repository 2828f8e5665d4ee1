"""Several maps as the answer: a feature pyramid (FPN), and a YOLO-style detector with a path aggregation neck."""

# ruff: noqa: D102 - what forward does is its class's docstring

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from coedge_ros.graph.zoo.blocks import conv_bn, silu
from coedge_ros.graph.zoo.resnet import BasicBlock, resnet_stages


def _enlarge(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="nearest")


class FeaturePyramid(nn.Module):
    """ResNet-18 with a top-down path; answers a dict p2 to p5 of (N, 256, H / 4, W / 4) to (N, 256, H / 32, W / 32)."""

    def __init__(self, channels: int = 256):
        super().__init__()
        self.stem, *stages = resnet_stages(BasicBlock, (2, 2, 2, 2))
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in (64, 128, 256, 512))
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.stem(x)
        maps = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        for level in (2, 1, 0):
            maps[level] = maps[level] + _enlarge(maps[level + 1], maps[level])
        return {f"p{level + 2}": smooth(maps[level]) for level, smooth in enumerate(self.smooth)}


def fpn_resnet18(channels: int = 256) -> nn.Module:
    """Return a feature pyramid over ResNet-18. Lin et al.: Feature pyramid networks for object detection, CVPR 2017."""
    return FeaturePyramid(channels)


def _conv(in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    return conv_bn(in_channels, out_channels, kernel, stride, activation=silu, eps=1e-3)


class CrossStage(nn.Module):
    """Half of the channels through bottlenecks, half past them (CSP); the bottlenecks add their input if `residual`."""

    def __init__(self, in_channels: int, out_channels: int, depth: int, residual: bool):
        super().__init__()
        half = out_channels // 2
        self.residual = residual
        self.enter = _conv(in_channels, half)
        self.bypass = _conv(in_channels, half)
        self.bottlenecks = nn.ModuleList(nn.Sequential(_conv(half, half), _conv(half, half, 3)) for _ in range(depth))
        self.leave = _conv(2 * half, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.enter(x)
        for bottleneck in self.bottlenecks:
            y = y + bottleneck(y) if self.residual else bottleneck(y)
        return self.leave(torch.cat([y, self.bypass(x)], 1))


class PoolPyramid(nn.Module):
    """Max pooling over 5, 9 and 13 pixels side by side, computed as 5 of 5 of 5 (SPP)."""

    def __init__(self, channels: int):
        super().__init__()
        self.enter = _conv(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.leave = _conv(2 * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [self.enter(x)]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        return self.leave(torch.cat(maps, 1))


class YoloPan(nn.Module):
    """Detector that answers its three raw head maps, (N, anchors (5 + classes), H / 8, W / 8), then / 16, then / 32.

    Boxes are for the caller to decode. Cross-stage partial backbone (Wang et al. 2020), spatial pyramid pooling and
    path aggregation neck (Liu et al. 2018), as put together by Bochkovskiy et al.: YOLOv4, 2020, in a small size.
    """

    def __init__(self, classes: int, width: int, anchors: int):
        super().__init__()
        w1, w2, w3, w4, w5 = (width * factor for factor in (1, 2, 4, 8, 16))
        self.to_8 = nn.Sequential(
            _conv(3, w1, 6, 2),
            _conv(w1, w2, 3, 2),
            CrossStage(w2, w2, 1, True),
            _conv(w2, w3, 3, 2),
            CrossStage(w3, w3, 2, True),
        )
        self.to_16 = nn.Sequential(_conv(w3, w4, 3, 2), CrossStage(w4, w4, 3, True))
        self.to_32 = nn.Sequential(_conv(w4, w5, 3, 2), CrossStage(w5, w5, 1, True), PoolPyramid(w5))
        self.reduce_32 = _conv(w5, w4)
        self.merge_16 = CrossStage(2 * w4, w4, 1, False)
        self.reduce_16 = _conv(w4, w3)
        self.merge_8 = CrossStage(2 * w3, w3, 1, False)
        self.down_8 = _conv(w3, w3, 3, 2)
        self.again_16 = CrossStage(2 * w3, w4, 1, False)
        self.down_16 = _conv(w4, w4, 3, 2)
        self.again_32 = CrossStage(2 * w4, w5, 1, False)
        self.heads = nn.ModuleList(nn.Conv2d(channels, anchors * (5 + classes), 1) for channels in (w3, w4, w5))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        at_8 = self.to_8(x)
        at_16 = self.to_16(at_8)
        top = self.reduce_32(self.to_32(at_16))
        middle = self.reduce_16(self.merge_16(torch.cat([_enlarge(top, at_16), at_16], 1)))
        out_8 = self.merge_8(torch.cat([_enlarge(middle, at_8), at_8], 1))
        out_16 = self.again_16(torch.cat([self.down_8(out_8), middle], 1))
        out_32 = self.again_32(torch.cat([self.down_16(out_16), top], 1))
        return [head(out) for head, out in zip(self.heads, (out_8, out_16, out_32), strict=True)]


def yolo_pan(classes: int = 80, width: int = 32, anchors: int = 3) -> nn.Module:
    """Return the YOLO-style detector."""
    return YoloPan(classes, width, anchors)
