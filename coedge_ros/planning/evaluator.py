"""Costs of plans, many at a time: the one cost model, by the fastest way that is exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.batch import batch_of
from coedge_ros.planning.cost import Cost, cost_of, prediction_of
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.model_tables import tables_of
from coedge_ros.planning.workload import workload_of
from coedge_ros.spec.outcome import Prediction
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.schedule import derive_schedule


@dataclass(frozen=True, slots=True)
class Figures:
    """What planners compare, per plan of a batch: arrays of shape (B,)."""

    latency_s: np.ndarray
    period_s: np.ndarray
    energy_j: np.ndarray
    energy_with_idle_j: np.ndarray
    excess: np.ndarray


class Evaluator:
    """Evaluates plans of one model on one cluster.

    Attributes
    ----------
    evaluated : int
        Plans so far.
    """

    def __init__(self, devices: Devices):
        self.devices, self.graph = devices, devices.graph
        self.tables = tables_of(devices.graph)
        self.evaluated = 0

    def figures(self, cuts: tuple[int, ...], boundaries: Sequence[np.ndarray], heads: np.ndarray) -> Figures:
        """Figures of B plans with the same cuts: boundaries per stage of shape (B, N + 1), heads of shape (B,)."""
        self.evaluated += len(heads)
        batch = batch_of(self.devices, self.tables.intervals, self.tables.stages(cuts), boundaries, heads)
        figures = _figures(cost_of(batch.load, self.devices))
        for index in np.flatnonzero(~batch.exact):
            plan = self.plan(cuts, [bounds[index] for bounds in boundaries], int(heads[index]))
            single = _figures(self._from_schedule(plan))
            for name in Figures.__dataclass_fields__:
                getattr(figures, name)[index] = getattr(single, name)[0]
        return figures

    def figures_of(self, plans: Sequence[PartitionPlan]) -> Figures:
        """Figures of plans with any cuts, in their order."""
        by_cuts: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, plan in enumerate(plans):
            by_cuts[plan.cuts].append(index)
        result = Figures(*(np.zeros(len(plans)) for _ in Figures.__dataclass_fields__))
        for cuts, members in by_cuts.items():
            boundaries = [
                np.array([plans[i].boundaries[stage] for i in members]) for stage in range(plans[members[0]].stages)
            ]
            heads = np.array([self.devices.names.index(plans[i].head) for i in members])
            part = self.figures(cuts, boundaries, heads)
            for name in Figures.__dataclass_fields__:
                getattr(result, name)[members] = getattr(part, name)
        return result

    def predict(self, plan: PartitionPlan) -> Prediction:
        """All details of one plan."""
        self.evaluated += 1
        return prediction_of(self._cost(plan), self.devices)

    def _cost(self, plan: PartitionPlan) -> Cost:
        if plan.workers == self.devices.names:
            boundaries = [np.array([row]) for row in plan.boundaries]
            heads = np.array([plan.workers.index(plan.head)])
            stages = self.tables.stages(plan.cuts)
            batch = batch_of(self.devices, self.tables.intervals, stages, boundaries, heads, with_memory=True)
            if batch.exact[0]:
                return cost_of(batch.load, self.devices)
        return self._from_schedule(plan)

    def _from_schedule(self, plan: PartitionPlan) -> Cost:
        return cost_of(workload_of(derive_schedule(self.graph, plan), self.devices), self.devices)

    def plan(self, cuts: tuple[int, ...], boundaries: Sequence[Sequence[int]], head: int) -> PartitionPlan:
        """A plan of this model on this cluster."""
        shape = self.graph.input.shape
        rows = tuple(tuple(int(b) for b in bounds) for bounds in boundaries)
        names = self.devices.names
        return PartitionPlan(self.graph.digest, shape[2], shape[3], names, names[head], tuple(cuts), rows)


def _figures(cost: Cost) -> Figures:
    return Figures(cost.latency_s.copy(), cost.period_s, cost.energy_j, cost.energy_with_idle_j, cost.excess + 0.0)
