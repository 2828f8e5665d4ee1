"""Costs of plans, many at a time: the one cost model, by the fastest way that is exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coedge_ros.planning.batch import Batch, batch_of
from coedge_ros.planning.cost import Cost, cost_of, prediction_of
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.model_tables import tables_of
from coedge_ros.planning.workload import together, workload_of
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.outcome import Prediction
from coedge_ros.spec.plan import PartitionPlan

TOGETHER = 192  # plans with different cuts whose times are followed together
MANY = 12  # workers from which those without rows are left out of an evaluation


@dataclass(frozen=True, slots=True)
class Figures:
    """What planners compare, per plan of a batch: arrays of shape (B,)."""

    latency_s: np.ndarray
    period_s: np.ndarray
    energy_j: np.ndarray
    energy_with_idle_j: np.ndarray
    excess: np.ndarray


@dataclass(frozen=True, slots=True)
class Group:
    """B plans with the same cuts: boundaries per stage of shape (B, N + 1), heads of shape (B,)."""

    cuts: tuple[int, ...]
    boundaries: Sequence[np.ndarray]
    heads: np.ndarray


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
        self._parts: dict[bytes, Devices] = {}

    def figures(
        self, cuts: tuple[int, ...], boundaries: Sequence[np.ndarray], heads: np.ndarray, *, hurry: bool = False
    ) -> Figures:
        """Figures of B plans with the same cuts: boundaries per stage of shape (B, N + 1), heads of shape (B,).

        With `hurry`, plans that intervals do not describe are given up (their `excess` is infinite) instead of deriving
        their schedules, unless the whole model is such.
        """
        return self.figures_of_groups([Group(cuts, boundaries, heads)], hurry=hurry)

    def figures_of(self, plans: Sequence[PartitionPlan]) -> Figures:
        """Figures of plans with any cuts, in their order."""
        by_cuts: dict[tuple, list[int]] = defaultdict(list)
        for index, plan in enumerate(plans):
            # of many workers few have rows: plans are faster one by one, each without those that have none
            by_cuts[plan.cuts, index if self.devices.count > MANY else 0].append(index)
        groups = []
        for (cuts, _), members in by_cuts.items():
            heads = np.array([self.devices.names.index(plans[i].head) for i in members])
            rows = np.swapaxes(np.array([plans[i].boundaries for i in members]), 0, 1)
            groups.append(Group(cuts, list(rows), heads))
        figures = self.figures_of_groups(groups)
        order = np.argsort(np.concatenate(list(by_cuts.values())), kind="stable")
        return Figures(*(getattr(figures, name)[order] for name in Figures.__dataclass_fields__))

    def figures_of_groups(self, groups: Sequence[Group], *, hurry: bool = False) -> Figures:
        """Figures of all plans of several groups, one after the other."""
        found: list[Figures] = []
        for part, devices, loads in self._batches(groups):
            figures = _figures(cost_of(together([batch.load for batch in loads]), devices))
            exact = np.concatenate([batch.exact for batch in loads])
            if not exact.all():
                self._from_schedules(figures, np.flatnonzero(~exact), part, hurry)
            found.append(figures)
        if len(found) == 1:
            return found[0]
        names = Figures.__dataclass_fields__
        return Figures(*(np.concatenate([getattr(figures, name) for figures in found]) for name in names))

    def _batches(self, groups: Sequence[Group]) -> Iterator[tuple[list[Group], Devices, list[Batch]]]:
        """Workloads of groups that are evaluated together: the same devices, not too many plans."""
        part: list[Group] = []
        loads: list[Batch] = []
        last: Devices | None = None
        for group in groups:
            self.evaluated += len(group.heads)
            devices, rows, at, _ = self._without_idle(group.boundaries, group.heads)
            if part and (devices is not last or sum(len(g.heads) for g in part) + len(group.heads) > TOGETHER):
                yield part, last, loads
                part, loads = [], []
            part.append(group)
            loads.append(batch_of(devices, self.tables.intervals, self.tables.stages(group.cuts), rows, at))
            last = devices
        if part:
            yield part, last, loads

    def _from_schedules(self, figures: Figures, indices: np.ndarray, groups: Sequence[Group], hurry: bool) -> None:
        """Put in the figures of plans that intervals do not describe."""
        if hurry and self.tables.intervals.is_exact:
            figures.excess[indices] = np.inf
            return
        starts = np.cumsum([0, *(len(group.heads) for group in groups)])
        for index in indices:
            k = int(np.searchsorted(starts, index, side="right")) - 1
            group, within = groups[k], int(index - starts[k])
            plan = self.plan(group.cuts, [bounds[within] for bounds in group.boundaries], int(group.heads[within]))
            single = _figures(self._from_schedule(plan))
            for name in Figures.__dataclass_fields__:
                getattr(figures, name)[index] = getattr(single, name)[0]

    def _without_idle(self, boundaries: Sequence[np.ndarray], heads: np.ndarray):
        """Devices, boundaries and heads without workers that no plan gives anything to do, and the indices kept."""
        everyone = np.arange(self.devices.count)
        if self.devices.count <= MANY:
            return self.devices, boundaries, heads, everyone
        works = np.zeros(self.devices.count, dtype=bool)
        works[heads] = True
        for bounds in boundaries:
            works |= (np.diff(bounds, axis=1) > 0).any(axis=0)
        index = everyone[works]
        key = index.tobytes()
        if key not in self._parts:
            if len(self._parts) > 64:
                self._parts.clear()
            self._parts[key] = self.devices.only(index)
        # a worker's rows end where its own upper boundary is: idle ones between have none
        rows = [np.concatenate([bounds[:, :1], bounds[:, index + 1]], axis=1) for bounds in boundaries]
        return self._parts[key], rows, np.searchsorted(index, heads), index

    def predict(self, plan: PartitionPlan) -> Prediction:
        """All details of one plan."""
        self.evaluated += 1
        return prediction_of(self._cost(plan), self.devices)

    def _cost(self, plan: PartitionPlan) -> Cost:
        if plan.workers == self.devices.names and not plan.codecs:
            boundaries = [np.array([row]) for row in plan.boundaries]
            heads = np.array([plan.workers.index(plan.head)])
            stages = self.tables.stages(plan.cuts)
            batch = batch_of(self.devices, self.tables.intervals, stages, boundaries, heads, with_memory=True)
            if batch.exact[0]:
                return cost_of(batch.load, self.devices)
            plan = self.devices.coding.of(plan) if self.devices.coding else plan
        return cost_of(workload_of(derive_schedule(self.graph, plan), self.devices), self.devices)

    def _from_schedule(self, plan: PartitionPlan) -> Cost:
        boundaries, heads = [np.array([row]) for row in plan.boundaries], np.array([plan.workers.index(plan.head)])
        devices, rows, _, index = self._without_idle(boundaries, heads)
        names = tuple(plan.workers[i] for i in index)
        small = replace(plan, workers=names, boundaries=tuple(tuple(int(b) for b in row[0]) for row in rows), codecs=())
        small = devices.coding.of(small) if devices.coding else small
        return cost_of(workload_of(derive_schedule(self.graph, small), devices), devices)

    def plan(self, cuts: tuple[int, ...], boundaries: Sequence[Sequence[int]], head: int) -> PartitionPlan:
        """A plan of this model on this cluster."""
        shape = self.graph.input.shape
        rows = tuple(tuple(int(b) for b in bounds) for bounds in boundaries)
        names = self.devices.names
        return PartitionPlan(self.graph.digest, shape[2], shape[3], names, names[head], tuple(cuts), rows)


def _figures(cost: Cost) -> Figures:
    return Figures(cost.latency_s.copy(), cost.period_s, cost.energy_j, cost.energy_with_idle_j, cost.excess + 0.0)
