"""All architectures of this folder, with what they add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from architectures.autoencoder import autoencoder
from architectures.denoiser import denoiser
from architectures.group_norm import group_norm_net
from architectures.panorama import panorama
from architectures.pyramid_pooling import pyramid_pooling
from architectures.style_transfer import style_transfer
from architectures.two_heads import two_heads


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model that every part of which but its head must run in bands.

    Attributes
    ----------
    adds
        The operators that it has and no model of the zoo.
    multiple
        H and W must be multiples of it.
    """

    name: str
    factory: Callable[[], nn.Module]
    adds: str
    multiple: int = 1

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size next below that it takes."""
        return height // self.multiple * self.multiple, width // self.multiple * self.multiple

    def __str__(self) -> str:
        return self.name


ARCHITECTURES = (
    Architecture("style_transfer", style_transfer, "reflect padding, instance norm, nearest enlargement by a factor"),
    Architecture("group_norm", group_norm_net, "group norm, replicate padding, mean over H and W with keepdim"),
    Architecture("denoiser", denoiser, "pixel unshuffle, leaky ReLU, subtraction of the answer from the image", 2),
    Architecture("autoencoder", autoencoder, "even kernels, transposed convolution 4x4 and 3x3 with output padding", 8),
    Architecture("pyramid_pooling", pyramid_pooling, "adaptive pooling to 1, 2, 3 and 6 rows, align_corners"),
    Architecture("two_heads", two_heads, "a tuple of a dense and a pooled answer, amax, softmax over channels, split"),
    Architecture("panorama", panorama, "circular padding, flip, slices with steps along H, stack"),
)
