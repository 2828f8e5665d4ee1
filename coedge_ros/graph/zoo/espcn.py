"""ESPCN: super-resolution whose last step turns channels into pixels."""

from __future__ import annotations

from torch import nn


def espcn(factor: int = 3) -> nn.Module:
    """Return ESPCN for colour images: (N, 3, H, W) -> (N, 3, factor H, factor W).

    Shi et al.: Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network, CVPR 2016. The paper has one channel, the brightness.
    """
    return nn.Sequential(
        nn.Conv2d(3, 64, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(32, 3 * factor**2, 3, padding=1),
        nn.PixelShuffle(factor),
    )
