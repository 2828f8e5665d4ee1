"""`fused` against `coedge` in every cell: how much faster or cheaper, and what is in the way where it is not much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from coedge_ros.planning.comparison import Cell, Comparison, by_setting
from coedge_ros.planning.lower_bound import least_energy_j, least_latency_s
from coedge_ros.planning.registry import make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.profile import Profile

AIM_LATENCY, AIM_ENERGY = 1.3, 20.0  # times as fast at no more energy, or percent less energy at the same deadline
BISECTIONS = 5
SAME = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Aim:
    """`fused` against `coedge` in one cell.

    Attributes
    ----------
    speedup_at_same_energy : float
        Latency of `coedge` over the least latency that `fused` finds with no more energy than `coedge` takes.
    energy_reduction_percent : float or None
        At the same deadline; None where one of them misses it.
    fastest_ms : float
        Latency of the fastest plan that `fused` finds, whatever its energy.
    floor_ms, floor_j : float or None
        Least latency at no more energy than `coedge` takes, and least energy within the deadline, of any split with
        one share for all layers whose halo rows are free (`lower_bound`); None: there is none, or it is not known.
    """

    model: str
    bandwidth_mbit_s: float | None
    deadline_ms: float | None
    deadline_factor: float | None
    available_workers: int
    speedup_at_same_energy: float
    energy_reduction_percent: float | None
    met: bool
    fastest_ms: float
    floor_ms: float | None
    floor_j: float | None
    why: str


def aims(
    comparison: Comparison, cells: Sequence[Cell], advance: Callable[[str], None] = lambda text: None
) -> list[Aim]:
    """One for each setting in which both planners are among the cells."""
    known: dict[tuple, object] = {}
    result = []
    for found in pairs(cells):
        result.append(_aim(comparison, found["coedge"], found["fused"], known))
        advance(f"{found['coedge'].model}, fused at coedge's energy")
    return result


def pairs(cells: Sequence[Cell]) -> list[dict[str, Cell]]:
    """Cells by planner, of the settings in which both planners are."""
    return [found for found in by_setting(cells).values() if {"coedge", "fused"} <= set(found)]


def _aim(comparison: Comparison, coedge: Cell, fused: Cell, known: dict[tuple, object]) -> Aim:
    place = coedge.model, coedge.bandwidth_mbit_s, coedge.available_workers
    profile = comparison.profile(*place)

    def once(what: str, make: Callable[[], object], *more: float):
        """Cells of other deadlines often ask for the same."""
        key = what, *place, *more
        if key not in known:
            known[key] = make()
        return known[key]

    request = once("request", lambda: comparison.request(coedge.model, profile, "fused", None))
    figures = coedge.latency_ms, coedge.energy_j
    least_ms = once("least", lambda: _least_latency_ms(comparison, profile, coedge), *figures)
    fastest_ms = once("fastest", lambda: _fastest_ms(request))
    floor_s = once("floor_s", lambda: least_latency_s(request.devices, coedge.energy_j * SAME), coedge.energy_j)
    limit_ms = coedge.deadline_ms if coedge.meets_deadline and coedge.deadline_ms else coedge.latency_ms
    floor_j = once("floor_j", lambda: least_energy_j(request.devices, limit_ms / 1e3), limit_ms)
    if fused.energy_j <= coedge.energy_j * SAME:
        least_ms = min(least_ms, fused.latency_ms)
    speedup = coedge.latency_ms / least_ms
    less = None
    if coedge.meets_deadline and fused.meets_deadline:
        less = 100 * (1 - fused.energy_j / coedge.energy_j)
    only_fused = fused.meets_deadline and not coedge.meets_deadline
    met = speedup >= AIM_LATENCY or (less or 0.0) >= AIM_ENERGY or only_fused
    why = "only fused meets the deadline" if only_fused else ""
    if not met:
        why = once("why", lambda: why_below(request, coedge, fastest_ms, floor_s, floor_j), *figures, limit_ms)
    return Aim(
        coedge.model, coedge.bandwidth_mbit_s, coedge.deadline_ms, coedge.deadline_factor, coedge.available_workers,
        speedup, less, met, fastest_ms, None if floor_s is None else floor_s * 1e3, floor_j, why,
    )  # fmt: skip


def _least_latency_ms(comparison: Comparison, profile: Profile, coedge: Cell) -> float:
    """Bisect for the tightest deadline that `fused` meets with no more energy than `coedge` takes."""
    low, high = coedge.latency_ms / 4, coedge.latency_ms
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        outcome = comparison.plan(coedge.model, profile, "fused", middle / 1e3)
        if outcome.is_feasible and outcome.predicted.energy_j <= coedge.energy_j * SAME:
            high = min(middle, outcome.predicted.latency_s * 1e3)
        else:
            low = middle
    return high


def _fastest_ms(request: PlanRequest) -> float:
    return make_plan(replace(request, objective="latency")).predicted.latency_s * 1e3


def why_below(
    request: PlanRequest, coedge: Cell, fastest_ms: float, floor_s: float | None, floor_j: float | None
) -> str:
    """What is in the way of the aim, in numbers of the cell."""
    devices = request.devices
    deadline_s = None if coedge.deadline_ms is None else coedge.deadline_ms / 1e3
    predicted = make_plan(replace(request, planner="coedge", deadline_s=deadline_s)).predicted
    busiest = max(predicted.workers, key=lambda worker: worker.compute_s)
    speed = devices.speed[devices.names.index(busiest.name)] / devices.speed.sum()
    latency_ms = coedge.latency_ms
    text = [
        f"{busiest.name}{' alone' if coedge.working == 1 else ''} has {speed:.0%} of all speed",
        f"frame and messages take {latency_ms - busiest.compute_s * 1e3:.1f} of {latency_ms:.1f} ms",
    ]
    if floor_s is None:
        text.append(f"the fastest plan found takes {fastest_ms:.1f} ms")
    elif floor_s * 1e3 > latency_ms / AIM_LATENCY:
        text.append(f"one share takes at least {floor_s * 1e3:.1f} ms, even with free halo rows")
    else:
        text.append(
            f"the fastest plan found takes {fastest_ms:.1f} ms, free halo rows would make {floor_s * 1e3:.1f} ms"
        )
    if floor_j is not None and floor_j > coedge.energy_j * (1 - AIM_ENERGY / 100):
        text.append(f"one share takes at least {floor_j:.2f} J")
    return "; ".join(text)
