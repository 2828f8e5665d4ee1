"""Time of an operator for a number of rows: linear in its work, or interpolated between measurements."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from coedge_ros.errors import UserError
from coedge_ros.spec.cluster import MeasuredTimes, StageTimes
from coedge_ros.spec.graph import Kind, ModelGraph, Operator
from coedge_ros.spec.profile import Profile


class OperatorTimes:
    """Seconds per operator, worker and rows.

    A worker without measured stage times computes `speed` multiply-accumulates per second whatever the operator: the
    paper's one rate per device. With measurements, time is piecewise linear in rows between them; below the smallest
    row count it follows the first piece, so that what does not shrink with the rows (dispatch, weights from memory)
    stays.
    """

    def __init__(self, graph: ModelGraph, profile: Profile, speed: np.ndarray):
        self.graph, self.speed = graph, speed
        self.tables: dict[int, dict[int, np.ndarray]] = {}
        height, width = graph.input.shape[2], graph.input.shape[3]
        for index, worker in enumerate(profile.cluster.workers):
            measured = profile.times_of(worker.name, height, width)
            if measured is not None:
                self.tables[index] = _tables(graph, measured, worker.name, worker.speed_factor)
        self.tabulated = np.array([i in self.tables for i in range(len(speed))])

    def only(self, workers: np.ndarray) -> OperatorTimes:
        """The same times of just these workers."""
        part = copy.copy(self)
        part.speed, part.tabulated = self.speed[workers], self.tabulated[workers]
        part.tables = {new: self.tables[int(old)] for new, old in enumerate(workers) if int(old) in self.tables}
        return part

    def add(self, operator: int, rows: np.ndarray, macs: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Add an operator's work to `macs`, and what its time differs from `macs / speed` to `seconds`.

        All have the shape (..., N). `rows` are output rows; for a REDUCE rows of what it reads; for an operator without
        rows 1 where it runs. Returns the multiply-accumulates.
        """
        op = self.graph.operators[operator]
        work = op.macs * rows // op.output.height if op.output.height else op.macs * (rows > 0)
        macs += work
        for worker, tables in self.tables.items():
            if operator in tables:
                table = tables[operator]
                seconds[..., worker] += table[np.minimum(rows[..., worker], len(table) - 1)]
                seconds[..., worker] -= work[..., worker] / self.speed[worker]
        return work

    def add_measured(self, operators: Sequence[int], rows: np.ndarray, seconds: np.ndarray) -> None:
        """The second part of `add` for many operators at once: `rows` has the shape (operators, ..., N)."""
        for worker, tables in self.tables.items():
            for k, i in enumerate(operators):
                if i in tables:
                    op, count = self.graph.operators[i], rows[k, ..., worker]
                    seconds[..., worker] += tables[i][np.minimum(count, len(tables[i]) - 1)]
                    seconds[..., worker] -= (op.macs // op.output.height) * count / self.speed[worker]

    def total(self, macs: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Seconds of everything that was added."""
        return np.maximum(macs / self.speed + seconds, 0.0)


def units_of(graph: ModelGraph, operator: int) -> int:
    """Rows that an operator's work is counted in: its output's, for a REDUCE its input's, 1 without rows."""
    op = graph.operators[operator]
    if op.kind is Kind.REDUCE:
        return graph.tensor(op.operands[0].tensor).height or 1
    return op.output.height or 1


def _tables(graph: ModelGraph, measured: MeasuredTimes, worker: str, factor: float) -> dict[int, np.ndarray]:
    tables: dict[int, np.ndarray] = {}
    for stage in measured.stages:
        for name in (stage.first, stage.last):
            if name not in graph.index:
                raise UserError(
                    f"worker {worker!r}: measured times of {measured.model} name the operator {name!r}, which the "
                    "model does not have: measure again"
                )
        members = range(graph.index[stage.first], graph.index[stage.last] + 1)
        weights = [_weight(graph.operators[i]) for i in members]
        reference = graph.operator(stage.last).output.height or graph.input.height
        for i, weight in zip(members, weights, strict=True):
            height = units_of(graph, i)
            part = weight / sum(weights) / factor
            tables[i] = _interpolated(stage, np.arange(height + 1) * reference / height) * part
    return tables


def _weight(op: Operator) -> float:
    # How a stage's time is divided among its operators. A value written costs about as much as a few
    # multiply-accumulates; only stages that are measured as a whole and then cut differently depend on it.
    return op.macs + 4.0 * op.output.total_bytes + 1.0


def _interpolated(stage: StageTimes, rows: np.ndarray) -> np.ndarray:
    x, y = np.array(stage.rows, float), np.array(stage.seconds)
    if len(x) == 1:
        return rows * y[0] / x[0]
    values = np.interp(rows, x, y)
    low, high = rows < x[0], rows > x[-1]
    values[low] = y[0] + (rows[low] - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
    values[high] = y[-1] + (rows[high] - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    values = np.maximum(values, 0.0)
    values[rows == 0] = 0.0
    return values
