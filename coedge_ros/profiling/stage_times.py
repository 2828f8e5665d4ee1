"""How long each stage of a model takes on this processor for several numbers of rows.

What is timed is the program that a worker really runs for a plan: putting rows together, kernels, and what is sent in
wire order. One frame at a time, all stages in order, so that caches are as cold as in a real frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import nn

from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.execution.program import StageProgram, Values, WorkerProgram
from coedge_ros.graph.lower import PartitionedModel, partition_model
from coedge_ros.spec.cluster import StageTimes
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares

FRACTIONS = (0.125, 0.25, 0.5, 0.75, 1.0)  # of the rows
_NAMES = ("measured", "others")
_OVERHEAD_STAGES = 12


@dataclass(frozen=True, slots=True)
class StageRange:
    """Operators `first` to `last` of a stage, and the height that its rows are counted in (see `StageTimes`)."""

    first: str
    last: str
    height: int


def stage_ranges(model: PartitionedModel, cuts: tuple[int, ...]) -> list[StageRange]:
    """All trunk stages and, where there is one, the head."""
    graph = model.graph
    ends = (*cuts, graph.trunk_length - 1, len(graph.operators) - 1)
    ranges, start = [], 0
    for end in ends:
        if end >= start:
            first, last = graph.operators[start], graph.operators[end]
            ranges.append(StageRange(first.name, last.name, last.output.height or graph.input.height))
        start = end + 1
    return ranges


def plan_with_fraction(model: PartitionedModel, cuts: tuple[int, ...], fraction: float) -> PartitionPlan:
    """A plan in which the first of two workers has a fraction of each stage's rows, and the head."""
    return plan_from_shares(model.graph, _NAMES, [fraction, 1.0 - fraction], cuts, head=_NAMES[0])


class TimedProgram:
    """The first worker's program of a plan, with everything that it receives in place."""

    def __init__(self, model: PartitionedModel, plan: PartitionPlan, clock: Callable[[], float] = time.perf_counter):
        self.program, self.clock = WorkerProgram(model, derive_schedule(model.graph, plan), 0), clock
        transfers = self.program.schedule.transfers
        self._arrived = {
            i: torch.zeros(transfers[i].wire_shape, dtype=getattr(torch, transfers[i].dtype))
            for stage in self.program.stages
            for i in stage.receives
        }

    @torch.inference_mode()
    def run(self) -> list[float]:
        """Seconds of each stage, for one frame."""
        values: Values = {}
        seconds = []
        for stage in self.program.stages:
            began = self.clock()
            self._run_stage(stage, values)
            seconds.append(self.clock() - began)
        return seconds

    def _run_stage(self, stage: StageProgram, values: Values) -> None:
        stage.run(values, self._arrived)
        for item in stage.sends:
            item.wire(values)
        for name in stage.frees:
            values.pop(name, None)


def measure_fraction(
    model: PartitionedModel,
    cuts: tuple[int, ...],
    fraction: float,
    budget_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median seconds per stage with a fraction of the rows, over the frames that fit into `budget_s`, at least 3."""
    timed = TimedProgram(model, plan_with_fraction(model, cuts, fraction), clock)
    timed.run()
    runs, began = [], clock()
    while len(runs) < 3 or clock() - began < budget_s:
        runs.append(timed.run())
    return [median(column) for column in zip(*runs, strict=True)]


def tables(
    model: PartitionedModel, cuts: tuple[int, ...], measured: dict[float, list[float]]
) -> tuple[StageTimes, ...]:
    """Measurements by fraction as tables over rows; row counts that two fractions share are kept once.

    Without rows (a head) the whole is the only row count.
    """
    found = []
    plans = {fraction: plan_with_fraction(model, cuts, fraction) for fraction in sorted(measured)}
    for index, stage in enumerate(stage_ranges(model, cuts)):
        points: dict[int, float] = {}
        for fraction, plan in plans.items():
            if index < plan.stages:
                bounds = plan.boundaries[index]
                rows = round(bounds[1] / bounds[-1] * stage.height)
            else:
                rows = stage.height
            if rows:
                points[rows] = max(measured[fraction][index], 1e-9)
        found.append(StageTimes(stage.first, stage.last, tuple(points), tuple(points.values())))
    return tuple(found)


def measure_stage_overhead(repeats: int = 30, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that a stage costs besides its kernels: Python between stages, measured on maps of a few values."""
    layers = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(_OVERHEAD_STAGES)]
    model = partition_model(nn.Sequential(*layers).eval(), 8, 8)
    plan = plan_with_fraction(model, layer_cuts(model.graph), 1.0)
    timed, cluster = TimedProgram(model, plan, clock), InProcessCluster(model, plan)
    frame = np.zeros((8, 8, 3), np.uint8)
    excess = []
    for _ in range(repeats):
        kernels = sum(timed.run())
        began = clock()
        cluster.run(frame)
        excess.append((clock() - began - kernels) / len(timed.program.stages))
    return max(median(excess), 0.0)


def default_cuts(model: PartitionedModel) -> tuple[int, ...]:
    """The finest stages that planners use: one layer each."""
    return layer_cuts(model.graph)
