"""The cost model: what a plan costs in time, bytes and energy. Every planner is judged by `evaluate`.

Energy of a worker is `compute_w * busy + transmit_w * link busy` (CoEdge's E^c + E^x, both ends of a transfer counted);
with idle power, participants also draw `idle_w` while they wait, and their hosts `idle_w` all the time. A worker
without rows costs nothing in either. Sending within a host costs no transmit energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.devices import UNREACHABLE_S_PER_BYTE, Devices
from coedge_ros.planning.timeline import Timeline, timeline
from coedge_ros.planning.workload import Workload, workload_of
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.outcome import Prediction, WorkerPrediction
from coedge_ros.spec.plan import PartitionPlan

TOLERANCE = 1e-9  # relative: a deadline met to rounding errors is met


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of a batch of plans: arrays of shape (B,), per worker (B, N)."""

    latency_s: np.ndarray
    period_s: np.ndarray
    energy_j: np.ndarray
    energy_with_idle_j: np.ndarray
    worker_energy_j: np.ndarray
    worker_idle_j: np.ndarray
    excess: (
        np.ndarray
    )  # by how much (relative, summed) memory, energy and duty caps are exceeded; + messages without a link
    load: Workload
    timeline: Timeline


def cost_of(load: Workload, devices: Devices) -> Cost:
    """Costs of a batch of plans from their workload."""
    times = timeline(load, devices)
    n = devices.count
    energy = devices.compute_w * times.busy_s + devices.transmit_w * times.radio_s[:, :n]
    takes_part = load.active.any(axis=1)
    waiting = np.maximum(times.latency_s[:, None] - times.busy_s - times.radio_s[:, :n], 0.0)
    # a host that several participants share is on once
    host_idle = devices.host_idle_w / np.maximum(takes_part @ devices.same_host, 1.0)
    idle = takes_part * (devices.idle_w * waiting + host_idle * times.latency_s[:, None])
    manager = devices.manager_transmit_w * times.radio_s[:, n]
    total = energy.sum(axis=1) + manager
    excess = _excess(load, devices, times, energy, takes_part)
    return Cost(
        times.latency_s, times.period_s(devices), total, total + idle.sum(axis=1), energy, idle, excess, load, times
    )


def _excess(
    load: Workload, devices: Devices, times: Timeline, energy: np.ndarray, takes_part: np.ndarray
) -> np.ndarray:
    """`Cost.excess`; most clusters have no limits, and planners evaluate thousands of plans."""
    excess = np.zeros(load.batch)
    if devices.lacks_links:
        missing = devices.s_per_byte >= UNREACHABLE_S_PER_BYTE
        excess = excess + sum(((group.count > 0) & missing).sum(axis=(1, 2)) for group in load.messages)
    if devices.has_limits:
        with np.errstate(invalid="ignore"):
            duty = times.busy_s / (devices.duty_cap * times.latency_s[:, None])
            ratios = (
                load.memory_bytes / devices.memory_bytes,
                energy / devices.energy_cap_j,
                np.where(takes_part, duty, 0.0),
            )
        over = (np.maximum(np.nan_to_num(r, nan=0.0) - 1.0 - TOLERANCE, 0.0).sum(axis=1) for r in ratios)
        excess = excess + sum(over)
    return excess


def evaluate(plan: PartitionPlan, devices: Devices) -> Prediction:
    """What one frame under this plan is expected to cost, in all detail, from the schedule that workers derive."""
    load = workload_of(derive_schedule(devices.graph, plan), devices)
    return prediction_of(cost_of(load, devices), devices)


def prediction_of(cost: Cost, devices: Devices, index: int = 0) -> Prediction:
    """One plan of a batch as values for people."""
    load, times = cost.load, cost.timeline
    size_bytes = sum(group.size_bytes[index] for group in load.messages)
    messages = sum(int(group.count[index].sum()) for group in load.messages)
    waits = np.maximum(times.arrive - np.concatenate([np.zeros_like(times.end[:, :1]), times.end[:, :-1]], axis=1), 0.0)
    workers = tuple(
        WorkerPrediction(
            name=name,
            rows=int(load.rows[index, i]),
            macs=int(load.macs[index, :, i].sum()),
            compute_s=float(times.busy_s[index, i]),
            wait_s=float(waits[index, :, i].sum()),
            transmit_s=float(times.out_s[index, i] + times.in_s[index, i]),
            bytes_in=int(size_bytes[:, i].sum()),
            bytes_out=int(size_bytes[i].sum()),
            energy_j=float(cost.worker_energy_j[index, i]),
            idle_j=float(cost.worker_idle_j[index, i]),
            memory_bytes=int(load.memory_bytes[index, i]),
        )
        for i, name in enumerate(devices.names)
    )
    return Prediction(
        latency_s=float(cost.latency_s[index]),
        period_s=float(cost.period_s[index]),
        energy_j=float(cost.energy_j[index]),
        energy_with_idle_j=float(cost.energy_with_idle_j[index]),
        wire_bytes=int(size_bytes.sum()),
        messages=messages,
        workers=workers,
        stage_compute_s=tuple(map(tuple, (times.end - times.start)[index].tolist())),
        violations=_violations(cost, devices, index),
    )


def participant(devices: Devices, index: int) -> str:
    """Name of a worker, or "the manager"."""
    return devices.names[index] if index < devices.count else "the manager"


def _violations(cost: Cost, devices: Devices, index: int) -> tuple[str, ...]:
    found = []
    for group in cost.load.messages:
        for i, j in zip(*np.nonzero(group.count[index]), strict=True):
            if devices.s_per_byte[i, j] >= UNREACHABLE_S_PER_BYTE:
                text = f"there is no link from {participant(devices, i)} to {participant(devices, j)}"
                found += [text] * (text not in found)
    for i, name in enumerate(devices.names):
        memory = cost.load.memory_bytes[index, i]
        if memory > devices.memory_bytes[i]:
            found.append(f"{name} needs {memory / 1e6:.1f} MB and has {devices.memory_bytes[i] / 1e6:.1f} MB")
        energy = cost.worker_energy_j[index, i]
        if energy > devices.energy_cap_j[i] * (1 + TOLERANCE):
            found.append(f"{name} takes {energy:.3g} J per frame, its cap is {devices.energy_cap_j[i]:.3g} J")
        busy = cost.timeline.busy_s[index, i]
        if busy > devices.duty_cap[i] * cost.latency_s[index] * (1 + TOLERANCE):
            share = busy / cost.latency_s[index]
            found.append(f"{name} computes {share:.0%} of the frame's time, its cap is {devices.duty_cap[i]:.0%}")
    return tuple(found)
