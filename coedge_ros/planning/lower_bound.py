"""What no split with one share for all layers can beat: a relaxation of the cost model, to judge planners by.

Worker i owns the part `x_i` of the rows, of the frame and of every map, as in the paper's P1; head on worker h:

    x_i / v_i * trunk + head / v_h * [i = h]     processor time
    x_i * frame                                  bytes from the manager, which leave in order of the workers
    T >= alpha + sum_{j <= i} frame x_j / b + trunk x_i / v_i + alpha + head / v_h + alpha
    E >= sum_i P^c_i (processor time) + (P^x_i + P^x_manager) (frame's time on the link) + manager's part

Halo rows, overlap, reports, rounding and waiting between stages are left out, which only lowers the bound: a plan of
this kind that is better does not exist. Plans of `fused` that move rows from worker to worker on the way are not of
this kind. On one worker only the report is left out.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from coedge_ros.planning.devices import UNREACHABLE_S_PER_BYTE, Devices
from coedge_ros.spec.graph import Placement

MOST_WORKERS = 16
SLACK = 1e-6  # relative: what the solver's tolerances may hide


def least_latency_s(devices: Devices, energy_j: float = np.inf) -> float | None:
    """Least latency of such plans that take at most `energy_j`; None when none does, or where nothing is known."""
    return _least(devices, energy_j, np.inf)


def least_energy_j(devices: Devices, latency_s: float) -> float | None:
    """Least energy of such plans that take at most `latency_s`; None when none does, or where nothing is known."""
    return _least(devices, np.inf, latency_s)


def is_known(devices: Devices) -> bool:
    """Whether the bound holds: speeds rather than measured stage times, every link there, not too many workers."""
    linked = bool((devices.s_per_byte < UNREACHABLE_S_PER_BYTE).all())
    return devices.count <= MOST_WORKERS and not devices.times.tables and linked


def _least(devices: Devices, energy_j: float, latency_s: float) -> float | None:
    if not is_known(devices):
        return None
    found = [_with_head(devices, head, energy_j, latency_s) for head in range(devices.count)]
    return min((value for value in found if value is not None), default=None)


def _with_head(devices: Devices, head: int, energy_j: float, latency_s: float) -> float | None:
    graph, n, m = devices.graph, devices.count, devices.manager
    speed = devices.speed * devices.factor_when_measured
    trunk = sum(op.macs for op in graph.operators[: graph.trunk_length] if op.placement is Placement.SHARDED)
    head_s = sum(op.macs for op in graph.operators[graph.trunk_length :]) / speed[head]
    has_head = len(graph.operators) > graph.trunk_length
    compute_s = trunk / speed
    scatter_s = graph.input.total_bytes * devices.s_per_byte[m, :n]
    back_s = devices.alpha_s[head, m] + head_s if has_head else 0.0
    # variables: x_i, z_i (has rows), T, E
    time, energy, count = 2 * n, 2 * n + 1, 2 * n + 2
    rows, low, high = [], [], []

    def add(terms: dict[int, float], least: float, most: float) -> None:
        row = np.zeros(count)
        row[list(terms)] = list(terms.values())
        rows.append(row)
        low.append(least)
        high.append(most)

    add(dict.fromkeys(range(n), 1.0), 1.0, np.inf)
    most = float(scatter_s.sum() + compute_s.max() + devices.alpha_s.max() * 3 + back_s)
    for i in range(n):
        add({i: 1.0, n + i: -1.0}, -np.inf, 0.0)
        away = devices.alpha_s[i, m]
        if has_head:
            away = back_s + (devices.alpha_s[i, head] if i != head else 0.0)
        terms = {j: scatter_s[j] for j in range(i + 1)}
        terms[i] = scatter_s[i] + compute_s[i]
        # holds for those that have rows: z_i = 1
        add({**terms, n + i: devices.alpha_s[m, i] + away + most, time: -1.0}, -np.inf, most)
    power = (devices.transmit_w + devices.manager_transmit_w) * devices.crosses[m, :n]
    joules = devices.compute_w * compute_s + power * scatter_s
    add({**{i: joules[i] for i in range(n)}, energy: -1.0}, -np.inf, -float(devices.compute_w[head] * head_s))
    upper = np.ones(count)
    upper[time], upper[energy] = latency_s, energy_j
    goal = np.zeros(count)
    goal[energy if np.isfinite(latency_s) else time] = 1.0
    integer = np.zeros(count)
    integer[n : 2 * n] = 1
    result = milp(
        goal,
        constraints=LinearConstraint(np.array(rows), low, high),
        integrality=integer,
        bounds=Bounds(0, upper),
        options={"mip_rel_gap": 1e-6},
    )
    return None if result.x is None else float(result.mip_dual_bound) * (1 - SLACK)
