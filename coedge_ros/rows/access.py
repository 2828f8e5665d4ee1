"""Which input rows an operator reads for given output rows: pure integer arithmetic.

The window formula (checked by brute force in the tests): output rows `[a, b)` of a window operator with kernel `k`,
stride `s`, padding `p` and dilation `d` read input rows `[a*s - p, (b-1)*s - p + d*(k-1) + 1)`. What falls outside
the map is the layer's own padding, never halo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from coedge_ros.rows.row_set import RowRange, RowSet


@runtime_checkable
class RowAccess(Protocol):
    """How an operand's rows are read."""

    def reads(self, rows: RowRange) -> RowSet:
        """Input rows that output rows `rows` (not empty) need."""
        ...


def reads_of(access: RowAccess, rows: RowSet) -> RowSet:
    """Input rows that a set of output rows needs."""
    ranges = [r for out in rows for r in access.reads(out)]
    return RowSet.union_of(ranges)


@dataclass(frozen=True, slots=True)
class Same:
    """Output row `i` reads input row `i`: activations, additions, 1x1 kernels."""

    def reads(self, rows: RowRange) -> RowSet:
        """Input rows that output rows `rows` need."""
        return RowSet((rows,))


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window: convolution and pooling. `height` is the input's."""

    kernel: int
    stride: int
    padding: int
    dilation: int
    height: int

    def unclipped(self, rows: RowRange) -> tuple[int, int]:
        """First and one past last row that the windows touch, padding rows included (may be negative)."""
        start = rows.start * self.stride - self.padding
        return start, (rows.stop - 1) * self.stride - self.padding + self.dilation * (self.kernel - 1) + 1

    def reads(self, rows: RowRange) -> RowSet:
        """Input rows that output rows `rows` need."""
        start, stop = self.unclipped(rows)
        start, stop = max(0, start), min(self.height, stop)
        return RowSet.of((start, stop)) if start < stop else RowSet()


@dataclass(frozen=True, slots=True)
class Transposed:
    """Transposed convolution: input row `i` adds to output rows `i*s - p + d*j`, `j` in `[0, k)`."""

    kernel: int
    stride: int
    padding: int
    dilation: int
    height: int

    def reads(self, rows: RowRange) -> RowSet:
        """Input rows that output rows `rows` need."""
        reach = self.dilation * (self.kernel - 1)
        start = max(0, -((reach - rows.start - self.padding) // self.stride))  # ceil((a + p - reach) / s)
        stop = min(self.height, (rows.stop - 1 + self.padding) // self.stride + 1)
        return RowSet.of((start, stop)) if start < stop else RowSet()


@dataclass(frozen=True, slots=True)
class Shift:
    """Output row `i` reads input row `i + offset` where that exists: slices, pads and pieces of a concatenation."""

    offset: int
    height: int

    def reads(self, rows: RowRange) -> RowSet:
        """Input rows that output rows `rows` need."""
        start, stop = (
            max(0, rows.start + self.offset),
            min(self.height, rows.stop + self.offset),
        )
        return RowSet.of((start, stop)) if start < stop else RowSet()


@dataclass(frozen=True, slots=True)
class Table:
    """Output row `i` reads input rows `[starts[i], stops[i])`: everything that no formula above describes.

    Empty intervals (`starts[i] == stops[i]`) mean that the row reads nothing, such as constant padding.
    """

    starts: tuple[int, ...]
    stops: tuple[int, ...]

    @classmethod
    def of_index(cls, index: Sequence[int]) -> Table:
        """Row `i` reads just input row `index[i]`; -1 reads nothing."""
        return cls(
            tuple(max(0, i) for i in index),
            tuple(i + 1 if i >= 0 else 0 for i in index),
        )

    def reads(self, rows: RowRange) -> RowSet:
        """Input rows that output rows `rows` need."""
        pairs = zip(
            self.starts[rows.start : rows.stop],
            self.stops[rows.start : rows.stop],
            strict=True,
        )
        return RowSet.union_of(RowRange(a, b) for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Several:
    """An operand that is read in several ways, such as a map that is concatenated with itself."""

    accesses: tuple[RowAccess, ...]

    def reads(self, rows: RowRange) -> RowSet:
        """Rows that any of them reads."""
        return RowSet.union_of(r for access in self.accesses for r in access.reads(rows))


def is_halo_free(access: RowAccess, height: int) -> bool:
    """Whether any band of the output reads no rows outside of the same band of the input (equal heights)."""
    return isinstance(access, Same) or (
        isinstance(access, Window)
        and (access.kernel, access.stride, access.padding, access.height) == (1, 1, 0, height)
    )
