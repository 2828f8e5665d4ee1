"""Models that cannot be exported, or not split: what a user may bring by mistake."""

from __future__ import annotations

import torch
from torch import nn


class _Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)


class Branching(_Convolution):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if x.sum() > 0:
            return x.relu()
        return x


class Counting(_Convolution):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return x[:, :, : int(x.abs().max().item())]


class ThroughNumpy(_Convolution):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.conv(x).numpy())


class Selecting(_Convolution):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return x[x > 0]


class Raising(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the head\nis missing")


class SortingRows(_Convolution):
    """Half of its work stands behind an operator that no row rule covers."""

    def __init__(self):
        super().__init__()
        self.behind = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.behind(self.conv(x).sort(2).values)
