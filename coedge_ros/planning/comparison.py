"""Planners side by side: cells of model, links, number of workers, deadline and planner; reductions between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from coedge_ros.errors import UserError
from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cluster import ClusterSpec
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.profile import Profile

PAPER_MODELS = ("alexnet", "vgg_f", "googlenet", "mobilenet_v1")
PAPER_PLANNERS = ("local", "modnn", "musical_chair", "coedge", "fused")
PAPER_BANDWIDTHS = (10.0, 50.0, 100.0, 300.0)
PAPER_FACTORS = (0.5, 0.75, 1.0)
PAPER_REDUCTIONS = (25.5, 66.9)  # percent, the range that the paper's abstract reports
OURS = ("coedge", "fused")


@dataclass(frozen=True, slots=True)
class Cell:
    """One planner's answer. Latency and energies are those of the plan, which misses the deadline when infeasible."""

    model: str
    planner: str
    bandwidth_mbit_s: float | None  # None: the cluster file's links
    deadline_ms: float | None
    status: str
    latency_ms: float
    energy_j: float
    energy_with_idle_j: float
    deadline_factor: float | None  # the deadline as a part of the best single worker's latency, where given so
    available_workers: int
    working: int  # workers that compute anything
    wire_kb: float

    @property
    def setting(self) -> tuple:
        """What cells to be compared with each other have in common."""
        return self.model, self.bandwidth_mbit_s, self.available_workers, self.deadline_ms

    @property
    def meets_deadline(self) -> bool:
        """Whether the plan meets its deadline and all limits."""
        return self.status != "infeasible"


@dataclass(frozen=True, slots=True)
class Reduction:
    """A planner of ours against a baseline: percent less energy, and latency as a part of the baseline's.

    A baseline that knows no deadlines may miss this one: `both_meet_deadline` tells.
    """

    model: str
    planner: str
    baseline: str
    deadline_ms: float | None
    energy_reduction_percent: float
    latency_ratio: float
    bandwidth_mbit_s: float | None
    available_workers: int
    meets_deadline: bool
    both_meet_deadline: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """Range of the reductions of one planner against one baseline; None where there are no such cells.

    `model` is None for all models together. `least` to `most`: cells in which the planner meets the deadline;
    `both_...`: in which both do; `all_...`: every cell, with plans that come closest to a deadline that nobody meets.
    """

    model: str | None
    planner: str
    baseline: str
    cells: int
    least: float | None
    most: float | None
    both_cells: int
    both_least: float | None
    both_most: float | None
    all_cells: int
    all_least: float | None
    all_most: float | None


def cell_of(
    model: str, bandwidth: float | None, factor: float | None, outcome: PlanOutcome, available_workers: int
) -> Cell:
    """One answer as a row."""
    predicted = outcome.predicted
    return Cell(
        model,
        outcome.planner,
        bandwidth,
        None if outcome.deadline_s is None else outcome.deadline_s * 1e3,
        outcome.status.value,
        predicted.latency_s * 1e3,
        predicted.energy_j,
        predicted.energy_with_idle_j,
        factor,
        available_workers,
        sum(worker.macs > 0 for worker in predicted.workers),
        predicted.wire_bytes / 1e3,
    )


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes
    ----------
    graphs : mapping of str to ModelGraph
    profiles : mapping of str to Profile
        Cluster and speeds per model.
    bandwidths : sequence of float or None
        Mbit/s of every link between hosts; None takes the file's.
    worker_counts : sequence of int or None
        The first so many workers; None takes all.
    deadlines_s : sequence of float or None
        Absolute deadlines; None is no deadline. Used when `factors` is empty.
    factors : sequence of float
        Deadlines as parts of the best single worker's latency.
    """

    graphs: Mapping[str, ModelGraph]
    profiles: Mapping[str, Profile]
    planners: Sequence[str]
    bandwidths: Sequence[float | None] = (None,)
    worker_counts: Sequence[int | None] = (None,)
    deadlines_s: Sequence[float | None] = (None,)
    factors: Sequence[float] = ()
    objective: str = "energy"
    count_idle: bool = False

    @property
    def size(self) -> int:
        """Number of cells."""
        deadlines = len(self.factors) or len(self.deadlines_s)
        return len(self.graphs) * len(self.bandwidths) * len(self.worker_counts) * deadlines * len(self.planners)

    def profile(self, model: str, bandwidth: float | None = None, workers: int | None = None) -> Profile:
        """The profile of a model with these links and so many workers."""
        profile = first_workers(self.profiles[model], workers) if workers else self.profiles[model]
        return replace(profile, cluster=with_bandwidth(profile.cluster, bandwidth), model=model)

    def request(self, model: str, profile: Profile, planner: str, deadline_s: float | None) -> PlanRequest:
        """One request."""
        return PlanRequest(self.graphs[model], profile, planner, self.objective, deadline_s, count_idle=self.count_idle)

    def plan(self, model: str, profile: Profile, planner: str, deadline_s: float | None) -> PlanOutcome:
        """One answer.

        Raises
        ------
        UserError
            If the request cannot be answered at all.
        """
        outcome = make_plan(self.request(model, profile, planner, deadline_s))
        if outcome.predicted is None:
            raise UserError(f"{model}, planner {planner}: {outcome.explanation}")
        return outcome

    def limits(self, model: str, profile: Profile) -> list[tuple[float | None, float | None]]:
        """Pairs of factor and deadline."""
        if not self.factors:
            return [(None, deadline) for deadline in self.deadlines_s]
        single = best_single_latency_s(self.graphs[model], profile)
        return [(factor, factor * single) for factor in self.factors]

    def cells(self, advance: Callable[[str], None] = lambda text: None) -> list[Cell]:
        """All cells, by model, bandwidth, workers, deadline, planner.

        `advance` is called after each with what it was.

        Raises
        ------
        UserError
            If a request cannot be answered at all.
        """
        return list(self._cells(advance))

    def _cells(self, advance: Callable[[str], None]) -> Iterator[Cell]:
        for model in self.graphs:
            for bandwidth in self.bandwidths:
                for workers in self.worker_counts:
                    profile = self.profile(model, bandwidth, workers)
                    for factor, deadline_s in self.limits(model, profile):
                        for planner in self.planners:
                            outcome = self.plan(model, profile, planner, deadline_s)
                            yield cell_of(model, bandwidth, factor, outcome, len(profile.cluster.workers))
                            advance(f"{model}, {planner}")


def with_bandwidth(cluster: ClusterSpec, mbit_s: float | None) -> ClusterSpec:
    """The cluster with all links between hosts at this rate; unchanged for None."""
    return cluster if mbit_s is None else cluster.with_bandwidth(mbit_s * 1e6 / 8)


def first_workers(profile: Profile, count: int) -> Profile:
    """The first `count` workers of a cluster; beyond its own number, copies of them on hosts of their own."""
    cluster = profile.cluster
    names = cluster.worker_names
    if count <= len(names):
        return profile.only(names[:count])
    hosts, workers, measured = list(cluster.hosts), list(cluster.workers), dict(profile.measured_macs_per_s)
    for index in range(len(names), count):
        original = cluster.workers[index % len(names)]
        host = replace(cluster.host(original.host), name=f"{original.host}_copy_{index}")
        hosts.append(host)
        workers.append(replace(original, name=f"{original.name}_copy_{index}", host=host.name))
        if original.name in measured:
            measured[workers[-1].name] = measured[original.name]
    cluster = replace(cluster, hosts=tuple(hosts), workers=tuple(workers))
    return replace(profile, cluster=cluster, measured_macs_per_s=measured)


def by_setting(cells: Iterable[Cell]) -> dict[tuple, dict[str, Cell]]:
    """Cells by what they have in common, then by planner."""
    found: dict[tuple, dict[str, Cell]] = {}
    for cell in cells:
        found.setdefault(cell.setting, {})[cell.planner] = cell
    return found


def reductions(cells: Iterable[Cell], ours: Sequence[str] = OURS) -> list[Reduction]:
    """Each planner of ours against each other planner, cell by cell."""
    found = []
    for planners in by_setting(cells).values():
        for name in ours:
            for baseline, other in planners.items():
                if name not in planners or baseline == name or (baseline == "fused" and name == "coedge"):
                    continue
                mine = planners[name]
                less = 100 * (1 - mine.energy_j / other.energy_j) if other.energy_j > 0 else 0.0
                both = mine.meets_deadline and other.meets_deadline
                found.append(
                    Reduction(
                        mine.model, name, baseline, mine.deadline_ms, less, mine.latency_ms / other.latency_ms,
                        mine.bandwidth_mbit_s, mine.available_workers, mine.meets_deadline, both,
                    )
                )  # fmt: skip
    return found


def summaries(found: Sequence[Reduction]) -> list[Summary]:
    """Ranges per pair of planners: per model, and over all of them."""
    result = []
    for planner, baseline in dict.fromkeys((item.planner, item.baseline) for item in found):
        mine = [item for item in found if (item.planner, item.baseline) == (planner, baseline)]
        for model in [*dict.fromkeys(item.model for item in mine), None]:
            chosen = [item for item in mine if model in (None, item.model)]
            met = [item.energy_reduction_percent for item in chosen if item.meets_deadline]
            both = [item.energy_reduction_percent for item in chosen if item.both_meet_deadline]
            every = [item.energy_reduction_percent for item in chosen]
            result.append(
                Summary(model, planner, baseline, *_range(met), *_range(both), *_range(every)),
            )
    return result


def _range(values: Sequence[float]) -> tuple[int, float | None, float | None]:
    return len(values), min(values, default=None), max(values, default=None)


def as_json(cells: Sequence[Cell], **more) -> dict:
    """Plain values."""
    found = reductions(cells)
    return {
        **more,
        "cells": [asdict(cell) for cell in cells],
        "reductions": [asdict(item) for item in found],
        "summaries": [asdict(item) for item in summaries(found)],
    }
