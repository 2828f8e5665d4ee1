"""Row accesses as integer tables, so that the bands of many plans are followed through a model at once.

Rows `[lo, hi)` of an operator's result read rows `[start[lo], stop[hi])` of an operand. An empty range of a tensor of
height H is `lo = H + 1, hi = 0`: unions are then a minimum and a maximum, and tables map empty to empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.workload import bytes_touched
from coedge_ros.rows.access import RowAccess, Same, Several, Shift, Table, Transposed, Window
from coedge_ros.rows.row_set import RowRange
from coedge_ros.spec.graph import Kind, ModelGraph, Placement


@dataclass(frozen=True, slots=True)
class Reading:
    """An operand as tables of length H_out + 2; `may_vanish` where rows exist that read nothing.

    `is_same` marks the identity, for which no look-up is needed.
    """

    tensor: str
    start: np.ndarray
    stop: np.ndarray
    may_vanish: bool
    is_same: bool


class IntervalGraph:
    """The tables of a model's trunk.

    Attributes
    ----------
    readings : list of list of Reading or None
        Per operator and operand; None for an operand that is read whole.
    is_exact : bool
        False when some operator reads a set of rows that is no interval (circular padding, flips): plans of such a
        model are evaluated from their schedules.
    bytes_touched, heights : ndarray
        Per operator: bytes that the whole of it reads and writes, and rows of its result (1 where it has none).
    """

    def __init__(self, graph: ModelGraph):
        self.is_exact = True
        self.readings: list[list[Reading | None]] = []
        self.bytes_touched = np.array([bytes_touched(graph, i) for i in range(len(graph.operators))])
        self.heights = np.array([op.output.height or 1 for op in graph.operators])
        for op in graph.operators:
            row: list[Reading | None] = []
            for operand in op.operands:
                if operand.access is None or op.placement is not Placement.SHARDED or op.kind is Kind.REDUCE:
                    row.append(None)
                    continue
                tables = _tables(operand.access, op.output.height, graph.tensor(operand.tensor).height)
                if tables is None:
                    self.is_exact = False
                    row.append(None)
                    continue
                row.append(Reading(operand.tensor, *tables, isinstance(operand.access, Same)))
            self.readings.append(row)


def _tables(access: RowAccess, height: int, source: int) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """`start`, `stop` and whether rows may read nothing; None when some rows read a set that is no interval."""
    if isinstance(access, Several):
        parts = [_tables(part, height, source) for part in access.accesses]
        first = parts[0]
        if any(part is None for part in parts) or any(
            (p[0] != first[0]).any() or (p[1] != first[1]).any() for p in parts
        ):
            return None  # two ways that differ read a set
        return first
    row = np.arange(height + 1)
    if isinstance(access, Same):
        start, stop = row, row
    elif isinstance(access, Window):
        start = row * access.stride - access.padding
        stop = (row - 1) * access.stride - access.padding + access.dilation * (access.kernel - 1) + 1
    elif isinstance(access, Shift):
        start, stop = row + access.offset, row + access.offset
    elif isinstance(access, Transposed):
        reach = access.dilation * (access.kernel - 1)
        start = -((reach - row - access.padding) // access.stride)
        stop = (row - 1 + access.padding) // access.stride + 1
    elif isinstance(access, Table):
        return _of_rows(np.array(access.starts), np.array(access.stops), source)
    else:
        singles = [access.reads(RowRange(i, i + 1)) for i in range(height)]
        if any(len(single.ranges) > 1 for single in singles):
            return None
        starts = np.array([single.hull.start for single in singles])
        return _of_rows(starts, np.array([single.hull.stop for single in singles]), source)
    vanishes = bool((np.clip(start[:-1], 0, source) >= np.clip(stop[1:], 0, source)).any())
    return (*_with_empty(np.clip(start, 0, source), np.clip(stop, 0, source), source), vanishes)


def _of_rows(starts: np.ndarray, stops: np.ndarray, source: int) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Tables from what each single row reads, when every band of rows reads an interval."""
    reads = starts < stops
    first, last = starts[reads], stops[reads]
    touching = (first[1:] <= last[:-1]).all() and (np.diff(first) >= 0).all() and (np.diff(last) >= 0).all()
    if not touching:
        return None
    start = np.minimum.accumulate(np.where(reads, starts, source + 1)[::-1])[::-1]
    stop = np.maximum.accumulate(np.where(reads, stops, 0))
    start, stop = np.concatenate([start, [source + 1]]), np.concatenate([[0], stop])
    return (*_with_empty(start, stop, source), bool((~reads).any()))


def _with_empty(start: np.ndarray, stop: np.ndarray, source: int) -> tuple[np.ndarray, np.ndarray]:
    start, stop = np.append(start, source + 1), np.append(stop, 0)
    stop[0] = 0
    return start, stop
