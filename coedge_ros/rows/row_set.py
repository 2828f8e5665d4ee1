"""Half-open row ranges and sets of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class RowRange:
    """Rows `[start, stop)` of a map, `0 <= start <= stop`."""

    start: int
    stop: int

    def __post_init__(self):
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"not a row range: [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start

    def __str__(self) -> str:
        return f"[{self.start}, {self.stop})"


@dataclass(frozen=True, slots=True)
class RowSet:
    """A set of rows as disjoint, non-adjacent, non-empty ranges in ascending order.

    Bands are contiguous; what they need is not always: circular padding and flips reach to the other end.
    """

    ranges: tuple[RowRange, ...] = ()

    @classmethod
    def of(cls, *pairs: tuple[int, int]) -> RowSet:
        """Build from `(start, stop)` pairs in any order; empty pairs vanish, touching ones merge."""
        return cls.union_of(RowRange(start, stop) for start, stop in pairs)

    @classmethod
    def union_of(cls, ranges: Iterable[RowRange]) -> RowSet:
        """Build the union of ranges in any order."""
        merged: list[RowRange] = []
        for item in sorted(r for r in ranges if r):
            if merged and item.start <= merged[-1].stop:
                if item.stop > merged[-1].stop:
                    merged[-1] = RowRange(merged[-1].start, item.stop)
            else:
                merged.append(item)
        return cls(tuple(merged))

    @classmethod
    def full(cls, height: int) -> RowSet:
        """All rows of a map of `height` rows."""
        return cls.of((0, height))

    def __iter__(self) -> Iterator[RowRange]:
        return iter(self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __len__(self) -> int:
        return sum(len(r) for r in self.ranges)

    def __or__(self, other: RowSet) -> RowSet:
        return RowSet.union_of((*self.ranges, *other.ranges))

    def __and__(self, other: RowSet) -> RowSet:
        return RowSet.union_of(
            RowRange(max(a.start, b.start), min(a.stop, b.stop))
            for a in self
            for b in other
            if max(a.start, b.start) < min(a.stop, b.stop)
        )

    def __sub__(self, other: RowSet) -> RowSet:
        left = list(self.ranges)
        for cut in other:
            pieces = []
            for r in left:
                if cut.stop <= r.start or r.stop <= cut.start:
                    pieces.append(r)
                    continue
                pieces += [RowRange(a, b) for a, b in ((r.start, cut.start), (cut.stop, r.stop)) if a < b]
            left = pieces
        return RowSet(tuple(left))

    def covers(self, other: RowSet) -> bool:
        """Whether every row of `other` is in this set."""
        return not other - self

    @property
    def hull(self) -> RowRange:
        """Smallest range that holds the whole set; `[0, 0)` for the empty set."""
        return RowRange(self.ranges[0].start, self.ranges[-1].stop) if self.ranges else RowRange(0, 0)

    def offset_of(self, row: int) -> int:
        """Position of `row` when the rows of the set are stacked in ascending order.

        Raises
        ------
        KeyError
            If the row is not in the set.
        """
        position = 0
        for r in self.ranges:
            if r.start <= row < r.stop:
                return position + row - r.start
            position += len(r)
        raise KeyError(row)

    def __str__(self) -> str:
        return " + ".join(map(str, self.ranges)) or "[)"


EMPTY = RowSet()
