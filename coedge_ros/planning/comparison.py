"""Planners side by side: cells of model, link rate, deadline and planner; reductions; sweeps; adaptation to a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.planning.simulation import BandwidthTrace, simulate
from coedge_ros.spec.cluster import ClusterSpec
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.profile import Profile
from coedge_ros.spec.schedule import derive_schedule

PAPER_MODELS = ("alexnet", "vgg_f", "googlenet", "mobilenet_v1")
PAPER_PLANNERS = ("local", "modnn", "musical_chair", "coedge", "fused")
PAPER_BANDWIDTHS = (10.0, 50.0, 100.0, 300.0)
PAPER_FACTORS = (0.5, 0.75, 1.0)
PAPER_REDUCTIONS = (25.5, 66.9)  # percent, the range that the paper's abstract reports
AIM_LATENCY, AIM_ENERGY = 1.3, 20.0
OURS = ("coedge", "fused")
BISECTIONS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """One planner's answer. Latency and energies are those of the plan, which misses the deadline when infeasible."""

    model: str
    planner: str
    bandwidth_mbit_s: float | None  # None: the cluster file's links
    deadline_ms: float | None
    deadline_factor: float | None
    status: str
    latency_ms: float
    energy_j: float
    energy_with_idle_j: float
    wire_kb: float
    workers: int  # that have rows


@dataclass(frozen=True, slots=True)
class Reduction:
    """A planner of ours against a baseline: percent less energy, and latency as a part of the baseline's."""

    model: str
    planner: str
    baseline: str
    bandwidth_mbit_s: float | None
    deadline_ms: float | None
    energy_reduction_percent: float
    latency_ratio: float
    both_meet_deadline: bool


@dataclass(frozen=True, slots=True)
class Aim:
    """`fused` against `coedge` in one cell.

    How much faster at no more energy, and how much less energy at the deadline.
    """

    model: str
    bandwidth_mbit_s: float | None
    deadline_ms: float | None
    speedup_at_same_energy: float
    energy_reduction_percent: float
    met: bool
    why: str


def cell_of(model: str, bandwidth: float | None, factor: float | None, outcome: PlanOutcome) -> Cell:
    """One answer as a row."""
    predicted = outcome.predicted
    return Cell(
        model,
        outcome.planner,
        bandwidth,
        None if outcome.deadline_s is None else outcome.deadline_s * 1e3,
        factor,
        outcome.status.value,
        predicted.latency_s * 1e3,
        predicted.energy_j,
        predicted.energy_with_idle_j,
        predicted.wire_bytes / 1e3,
        sum(worker.macs > 0 for worker in predicted.workers),
    )


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes
    ----------
    graphs : mapping of str to ModelGraph
    profile : Profile
        Cluster and speeds; `model` is filled in per model.
    bandwidths : sequence of float or None
        Mbit/s of every link between hosts; None takes the file's.
    deadlines_s : sequence of float or None
        Absolute deadlines; None is no deadline. Used when `factors` is empty.
    factors : sequence of float
        Deadlines as parts of the best single worker's latency.
    """

    graphs: Mapping[str, ModelGraph]
    profile: Profile
    planners: Sequence[str]
    bandwidths: Sequence[float | None] = (None,)
    deadlines_s: Sequence[float | None] = (None,)
    factors: Sequence[float] = ()
    objective: str = "energy"
    count_idle: bool = False

    def request(self, model: str, cluster: ClusterSpec, planner: str, deadline_s: float | None) -> PlanRequest:
        """One request."""
        profile = replace(self.profile, cluster=cluster, model=model)
        return PlanRequest(self.graphs[model], profile, planner, self.objective, deadline_s, count_idle=self.count_idle)

    def limits(self, model: str, cluster: ClusterSpec) -> list[tuple[float | None, float | None]]:
        """Pairs of factor and deadline."""
        if not self.factors:
            return [(None, deadline) for deadline in self.deadlines_s]
        single = best_single_latency_s(self.graphs[model], replace(self.profile, cluster=cluster, model=model))
        return [(factor, factor * single) for factor in self.factors]

    def cells(self, progress: Callable[[str], None] = lambda text: None) -> list[Cell]:
        """All cells, by model, bandwidth, deadline, planner."""
        found = []
        for model in self.graphs:
            for bandwidth in self.bandwidths:
                progress(f"{model}, {f'{bandwidth:g} Mbit/s' if bandwidth else 'links of the file'}")
                cluster = with_bandwidth(self.profile.cluster, bandwidth)
                for factor, deadline_s in self.limits(model, cluster):
                    for planner in self.planners:
                        outcome = make_plan(self.request(model, cluster, planner, deadline_s))
                        if outcome.predicted is not None:
                            found.append(cell_of(model, bandwidth, factor, outcome))
        return found

    def aims(self, cells: Iterable[Cell]) -> list[Aim]:
        """`fused` against `coedge` where both are among the cells."""
        by_key: dict[tuple, dict[str, Cell]] = {}
        for cell in cells:
            by_key.setdefault((cell.model, cell.bandwidth_mbit_s, cell.deadline_ms), {})[cell.planner] = cell
        pairs = [(key, found) for key, found in by_key.items() if {"coedge", "fused"} <= set(found)]
        return [self._aim(*key, found["coedge"], found["fused"]) for key, found in pairs]

    def _aim(self, model: str, bandwidth: float | None, deadline_ms: float | None, coedge: Cell, fused: Cell) -> Aim:
        """Bisect for the tightest deadline that `fused` meets with no more energy than `coedge` takes."""
        cluster = with_bandwidth(self.profile.cluster, bandwidth)
        low, high = coedge.latency_ms / 4, min(coedge.latency_ms, fused.latency_ms)
        if fused.energy_j > coedge.energy_j * (1 + 1e-9):
            high = coedge.latency_ms
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            outcome = make_plan(self.request(model, cluster, "fused", middle / 1e3))
            if outcome.is_feasible and outcome.predicted.energy_j <= coedge.energy_j * (1 + 1e-9):
                high = min(middle, outcome.predicted.latency_s * 1e3)
            else:
                low = middle
        speedup = coedge.latency_ms / high
        comparable = coedge.status != "infeasible" and fused.status != "infeasible"
        less = 100 * (1 - fused.energy_j / coedge.energy_j) if comparable else 0.0
        met = speedup >= AIM_LATENCY or less >= AIM_ENERGY or (coedge.status == "infeasible" != fused.status)
        return Aim(model, bandwidth, deadline_ms, speedup, less, met, "" if met else _why_below(coedge, fused))


def _why_below(coedge: Cell, fused: Cell) -> str:
    if coedge.workers == fused.workers == 1:
        return "one worker is best: it computes most of what all could together, and every split pays for its messages"
    if fused.status == "infeasible":
        return "nobody meets the deadline: sending the frame, and what the fastest worker must compute, take longer"
    if coedge.workers == 1:
        return "one worker takes the least energy within the deadline, and splitting gains little time"
    return "both split, and computing dominates: fewer messages save little"


def with_bandwidth(cluster: ClusterSpec, mbit_s: float | None) -> ClusterSpec:
    """The cluster with all links between hosts at this rate; unchanged for None."""
    return cluster if mbit_s is None else cluster.with_bandwidth(mbit_s * 1e6 / 8)


def reductions(cells: Iterable[Cell], ours: Sequence[str] = OURS) -> list[Reduction]:
    """Each planner of ours against each other planner, cell by cell."""
    by_key: dict[tuple, dict[str, Cell]] = {}
    for cell in cells:
        by_key.setdefault((cell.model, cell.bandwidth_mbit_s, cell.deadline_ms), {})[cell.planner] = cell
    found = []
    for (model, bandwidth, deadline), planners in by_key.items():
        for name in ours:
            for baseline, other in planners.items():
                if name not in planners or baseline == name or (baseline == "fused" and name == "coedge"):
                    continue
                mine = planners[name]
                less = 100 * (1 - mine.energy_j / other.energy_j) if other.energy_j > 0 else 0.0
                both = "infeasible" not in (mine.status, other.status)
                found.append(
                    Reduction(
                        model, name, baseline, bandwidth, deadline, less, mine.latency_ms / other.latency_ms, both
                    )
                )
    return found


def first_workers(cluster: ClusterSpec, count: int) -> ClusterSpec:
    """The first `count` workers of a cluster; beyond its own number, copies of them on hosts of their own."""
    names = cluster.worker_names
    if count <= len(names):
        return cluster.only(names[:count])
    hosts, workers = list(cluster.hosts), list(cluster.workers)
    for index in range(len(names), count):
        original = cluster.workers[index % len(names)]
        host = replace(cluster.host(original.host), name=f"{original.host}_copy_{index}")
        hosts.append(host)
        workers.append(replace(original, name=f"{original.name}_copy_{index}", host=host.name))
    return replace(cluster, hosts=tuple(hosts), workers=tuple(workers))


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Simulated latencies of frames while the links change.

    `planned` are the names of the strategies: plan kept from the first frame, or made anew whenever the rate changes.
    """

    times_s: tuple[float, ...]
    bandwidth_mbit_s: tuple[float, ...]
    latency_ms: dict[str, tuple[float, ...]]


def adapt(
    graph: ModelGraph,
    profile: Profile,
    trace: Sequence[tuple[float, float]],
    end_s: float,
    planners: Sequence[str] = ("local", "coedge", "fused"),
    interval_s: float = 1.0,
) -> Adaptation:
    """Simulate a frame every `interval_s` under a trace of (time [s], Mbit/s), with the fixed and the renewed plan.

    Planners look at the rate of the moment; every planner but `local` minimises latency. `fused, plan kept` keeps the
    plan that was made for the first rate.
    """
    plans: dict[tuple[str, float], PartitionPlan] = {}

    def plan_for(planner: str, rate: float) -> PartitionPlan:
        if (planner, rate) not in plans:
            cluster = with_bandwidth(profile.cluster, rate)
            outcome = make_plan(PlanRequest(graph, profile.with_cluster(cluster), planner, "latency"))
            plans[planner, rate] = outcome.plan
        return plans[planner, rate]

    rates = BandwidthTrace(tuple(t for t, _ in trace), tuple(rate for _, rate in trace))
    times = [i * interval_s for i in range(int(end_s / interval_s) + 1)]
    base = with_bandwidth(profile.cluster, 1.0)
    latencies: dict[str, list[float]] = {name: [] for name in [*planners, "fused, plan kept"]}
    for time_s in times:
        for name, values in latencies.items():
            kept = name.endswith("kept")
            planner = name.split(",")[0]
            plan = plan_for(planner, rates.factor(0.0) if kept else rates.factor(time_s))
            done = simulate(derive_schedule(graph, plan), profile.with_cluster(base), trace=rates, start_s=time_s)
            values.append(done.latency_s * 1e3)
    return Adaptation(
        tuple(times), tuple(rates.factor(t) for t in times), {name: tuple(v) for name, v in latencies.items()}
    )


def as_json(cells: Iterable[Cell], **more) -> dict:
    """Plain values."""
    cells = list(cells)
    return {
        **more,
        "cells": [asdict(cell) for cell in cells],
        "reductions": [asdict(item) for item in reductions(cells)],
    }
