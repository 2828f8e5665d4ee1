"""A vision transformer (Dosovitskiy et al., ICLR 2021): no CNN, every token needs all others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    """One block of self-attention and a two-layer perceptron, each added to its input."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels)
        self.mix = nn.Linear(channels, channels)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, channels = x.shape
        split = self.project(self.norm(x)).view(batch, tokens, 3, self.heads, channels // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        x = x + self.mix(attended.transpose(1, 2).reshape(batch, tokens, channels))
        return x + self.perceptron(x)


class VisionTransformer(nn.Module):
    """(N, 3, 224, 224) -> (N, 10), over 16 x 16 pixel patches."""

    def __init__(self, channels: int = 64, depth: int = 2, heads: int = 4):
        super().__init__()
        self.patches = nn.Conv2d(3, channels, 16, 16)
        self.position = nn.Parameter(torch.randn(1, 14 * 14, channels) * 0.02)
        self.blocks = nn.Sequential(*(Attention(channels, heads) for _ in range(depth)))
        self.head = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.blocks(tokens).mean(1))


def vit() -> nn.Module:
    """Return the net."""
    return VisionTransformer()
