"""What planning again is worth when links change: frames simulated under a bandwidth trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coedge_ros.planning.comparison import with_bandwidth
from coedge_ros.planning.registry import make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.planning.simulation import BandwidthTrace, simulate
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.profile import Profile
from coedge_ros.spec.schedule import Schedule

TRACE = ((0.0, 100.0), (8.0, 20.0), (16.0, 4.0), (24.0, 40.0), (32.0, 200.0))  # seconds, Mbit/s
END_S = 40.0
KEPT, AGAIN = "first plan kept", "planned again"


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Simulated latencies of frames while the links change.

    `latency_ms` has one row per strategy: planner, and whether it plans again.
    """

    model: str
    times_s: tuple[float, ...]
    bandwidth_mbit_s: tuple[float, ...]
    latency_ms: dict[tuple[str, str], tuple[float, ...]]


def adapt(
    graph: ModelGraph,
    profile: Profile,
    trace: Sequence[tuple[float, float]] = TRACE,
    end_s: float = END_S,
    planners: Sequence[str] = ("coedge", "fused"),
    interval_s: float = 0.5,
    delay_s: float = 1.0,
    advance: Callable[[], None] = lambda: None,
) -> Adaptation:
    """Simulate a frame every `interval_s` under a trace of (time [s], Mbit/s).

    Every planner minimises latency for the rate that it knows: of the first moment, for good; or of `delay_s` ago,
    which stands for measuring the link, planning and switching. `advance` is called after each strategy.
    """
    rates = BandwidthTrace(tuple(t for t, _ in trace), tuple(rate for _, rate in trace))
    times = [i * interval_s for i in range(int(end_s / interval_s) + 1)]
    base = profile.with_cluster(with_bandwidth(profile.cluster, 1.0))
    schedules: dict[tuple[str, float], Schedule] = {}
    steady: dict[tuple[PartitionPlan, float], float] = {}

    def schedule_for(planner: str, rate: float) -> Schedule:
        if (planner, rate) not in schedules:
            there = profile.with_cluster(with_bandwidth(profile.cluster, rate))
            plan = make_plan(PlanRequest(graph, there, planner, "latency")).plan
            schedules[planner, rate] = derive_schedule(graph, plan)
        return schedules[planner, rate]

    def latency(schedule: Schedule, time_s: float) -> float:
        key = schedule.plan, rates.factor(time_s)
        if key in steady and rates.factor(time_s + steady[key]) == key[1]:
            return steady[key]  # the links stay as they are until it is done
        found = simulate(schedule, base, trace=rates, start_s=time_s).latency_s
        if rates.factor(time_s + found) == key[1]:
            steady[key] = found
        return found

    latencies: dict[tuple[str, str], tuple[float, ...]] = {}
    for planner in planners:
        for strategy in (KEPT, AGAIN):
            known = [0.0 if strategy == KEPT else max(0.0, t - delay_s) for t in times]
            latencies[planner, strategy] = tuple(
                1e3 * latency(schedule_for(planner, rates.factor(k)), t) for k, t in zip(known, times, strict=True)
            )
            advance()
    return Adaptation(profile.model, tuple(times), tuple(rates.factor(t) for t in times), latencies)
