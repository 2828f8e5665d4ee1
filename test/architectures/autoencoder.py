"""A convolutional autoencoder with the kernels of DCGAN (Radford, Metz, Chintala, ICLR 2016)."""

from __future__ import annotations

from torch import nn


def autoencoder(width: int = 16) -> nn.Module:
    """Return the net; (N, 3, H, W) -> the same shape, H and W multiples of 8."""
    w1, w2, w3 = width, 2 * width, 4 * width
    return nn.Sequential(
        *(nn.Conv2d(3, w1, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(w1, w2, 4, 2, 1, bias=False), nn.BatchNorm2d(w2), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(w2, w3, 4, 2, 1, bias=False), nn.BatchNorm2d(w3), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(w3, w3, 2, padding="same"), nn.Hardtanh()),
        *(nn.ConvTranspose2d(w3, w2, 4, 2, 1, bias=False), nn.BatchNorm2d(w2), nn.ReLU()),
        *(nn.ConvTranspose2d(w2, w1, 3, 2, 1, output_padding=1, groups=2), nn.Softplus()),
        *(nn.ConvTranspose2d(w1, 3, 4, 2, 1), nn.Tanh()),
    )
