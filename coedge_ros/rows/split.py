"""Splitting a height into contiguous bands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from coedge_ros.rows.row_set import RowRange, RowSet


def split_by_shares(height: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Boundaries of bands whose heights are nearest to `shares` of `height`.

    Parameters
    ----------
    height : int
        Rows to split, >= 0.
    shares : sequence of float
        One per band, >= 0, not all zero; they need not sum to one. A zero share gives exactly zero rows.

    Returns
    -------
    tuple of int
        `len(shares) + 1` ascending boundaries, from 0 to `height`. Cumulative sums are rounded, so each boundary is
        less than one row from where the shares put it, and scaling the same shares to another height keeps bands
        aligned.

    Raises
    ------
    ValueError
        For negative shares, or none above zero.
    """
    if not shares or min(shares) < 0 or sum(shares) <= 0:
        raise ValueError(f"shares must be >= 0 and not all zero, got {list(shares)}")
    total = sum(shares)
    bounds = [0]
    for cumulative, share in zip(accumulate(shares), shares, strict=True):
        bounds.append(max(bounds[-1], int(height * cumulative / total + 0.5)) if share > 0 else bounds[-1])
    last = max(i for i, share in enumerate(shares) if share > 0)
    return tuple(min(b, height) for b in bounds[: last + 1]) + (height,) * (len(bounds) - last - 1)


def scale_boundaries(boundaries: Sequence[int], height: int) -> tuple[int, ...]:
    """Boundaries of the same bands on a map of another height, rounded half up; ends map to ends.

    A pure integer function: the same on every machine, because transfers are derived from it.
    """
    reference = boundaries[-1]
    if reference == height:
        return tuple(boundaries)
    return tuple((2 * b * height + reference) // (2 * reference) for b in boundaries)


def band(boundaries: Sequence[int], index: int) -> RowSet:
    """Rows that band `index` owns."""
    return RowSet.of((boundaries[index], boundaries[index + 1]))


def bands(boundaries: Sequence[int]) -> list[RowRange]:
    """All bands, empty ones included."""
    return [RowRange(a, b) for a, b in pairwise(boundaries)]
