"""CoEdge's program P2 and Algorithm 1 (Zeng et al. 2021), reconstructed (docs/planning.md has the sources).

Shares x_i of the rows are real, the same in all stages; t_l is the time of stage l:

    min  sum_i E_i(x_i)
    s.t. t_l >= W_l x_i / v_i + h_{l,i}       for every stage l and active worker i
         T_scatter(x) + sum_l t_l + T_gather(x) + T_head <= D,   sum_i x_i = 1,   x_i >= 0

Ours: work in multiply-accumulates instead of cycles per byte; a latency alpha per message (the paper has none); gather
and scatter serialised at the one that gathers or scatters; caps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from coedge_ros.planning.devices import Devices
from coedge_ros.planning.layer_costs import LayerCosts


@dataclass(frozen=True, slots=True)
class ShareProgram:
    """Coefficients of P2 for a set of active workers (indices into the devices), all linear in their shares."""

    active: tuple[int, ...]
    stage_s: np.ndarray  # (S, n): time of a stage per share
    stage_fixed_s: np.ndarray  # (S, n): halo and fixed work
    serial_s: np.ndarray  # (n,): scatter and gather per share
    serial_fixed_s: float
    energy_j: np.ndarray  # (n,)
    energy_fixed_j: np.ndarray  # (n,)
    manager_j: np.ndarray  # (n,): the manager's part of the energy, not under a worker's cap
    energy_cap_j: np.ndarray
    threshold: float

    def latency_s(self, shares: np.ndarray) -> float:
        """The program's own latency of some shares."""
        stages = (self.stage_s * shares + self.stage_fixed_s).max(axis=1).sum()
        return float(stages + self.serial_s @ shares + self.serial_fixed_s)

    def total_j(self, shares: np.ndarray) -> float:
        """The program's own energy."""
        return float((self.energy_j + self.manager_j) @ shares + self.energy_fixed_j.sum())


def share_program(costs: LayerCosts, devices: Devices, active: tuple[int, ...], head: int) -> ShareProgram:
    """Coefficients for these workers; the first has no neighbour above, the last none below."""
    index, n = np.array(active), len(active)
    busy = np.zeros(devices.count, dtype=bool)
    busy[index] = True
    speed = devices.speed[index] / devices.contention(busy)[index]
    rate, alpha, crosses = devices.s_per_byte, devices.alpha_s, devices.crosses
    fixed = costs.fixed_macs[:, None] / speed + devices.stage_s[index]
    radio = np.zeros(n)
    stages = len(costs.macs)
    for k, i in enumerate(index):
        wait, latency = np.zeros(stages), np.zeros(stages)
        for neighbour, size in ((k - 1, costs.above_bytes), (k + 1, costs.below_bytes)):
            if not 0 <= neighbour < n:
                continue
            j = index[neighbour]
            wait += size * rate[j, i]
            latency = np.maximum(latency, (size > 0) * alpha[j, i])
            radio[k] += (size * rate[j, i]).sum() * crosses[j, i]
            radio[neighbour] += (size * rate[j, i]).sum() * crosses[j, i]
            wait += (size > 0) * (devices.message_s[i] * 2)
        for j in index[index != i] if costs.reduce_bytes.any() else ():
            wait += costs.reduce_bytes * rate[j, i]
            latency = np.maximum(latency, (costs.reduce_bytes > 0) * alpha[j, i])
            radio[k] += (costs.reduce_bytes * rate[j, i]).sum() * crosses[j, i] * 2
        fixed[:, k] += wait + latency
    m = devices.manager
    head_s = costs.head_macs / (devices.speed[head] / devices.contention(busy)[head])
    scatter = costs.frame_bytes * rate[m, index]
    others = index != head
    gather = costs.gather_bytes * rate[index, head] * others + costs.result_bytes * rate[index, m]
    partial = costs.partial_bytes * rate[index, head] * others
    latencies = alpha[m, index].max() + (alpha[index, head] * others).max() + alpha[head, m]
    to_head = crosses[index, head] * others * rate[index, head]
    # cores that are shared do not make the same work take more energy, only more time
    unshared = devices.speed[index] * devices.factor_when_measured[index]
    energy = devices.compute_w[index] * costs.macs.sum() / unshared + devices.transmit_w[index] * (
        scatter * crosses[m, index]
        + costs.gather_bytes * to_head
        + costs.result_bytes * rate[index, m] * crosses[index, m]
    )
    energy_fixed = (
        devices.compute_w[index] * costs.fixed_macs.sum() / unshared
        + devices.transmit_w[index] * (radio + costs.partial_bytes * to_head)
        + devices.compute_w[index] * (index == head) * costs.head_macs / unshared
    )
    manager = devices.manager_transmit_w * crosses[m, index] * (scatter + costs.result_bytes * rate[index, m])
    return ShareProgram(
        active,
        costs.macs[:, None] / speed,
        fixed,
        scatter + gather,
        float(latencies + partial.sum() + head_s),
        energy,
        energy_fixed,
        manager,
        devices.energy_cap_j[index],
        costs.threshold,
    )


def solve_shares(program: ShareProgram, deadline_s: float | None) -> np.ndarray | None:
    """P2: shares of least energy within the deadline, or of least latency when it is None; None when infeasible."""
    stages, n = program.stage_s.shape
    rows = np.repeat(np.arange(stages * n), 2)
    columns = np.stack([np.tile(np.arange(n), stages), n + np.repeat(np.arange(stages), n)], axis=1).ravel()
    values = np.stack([program.stage_s.ravel(), -np.ones(stages * n)], axis=1).ravel()
    bounds_ub = [-program.stage_fixed_s.ravel()]
    count = stages * n
    latency = np.concatenate([program.serial_s, np.ones(stages)])
    if deadline_s is not None:
        rows = np.concatenate([rows, np.full(n + stages, count)])
        columns = np.concatenate([columns, np.arange(n + stages)])
        values = np.concatenate([values, latency])
        bounds_ub.append([deadline_s - program.serial_fixed_s])
        count += 1
    capped = np.flatnonzero(np.isfinite(program.energy_cap_j))
    if len(capped):
        rows = np.concatenate([rows, count + np.arange(len(capped))])
        columns = np.concatenate([columns, capped])
        values = np.concatenate([values, program.energy_j[capped]])
        bounds_ub.append((program.energy_cap_j - program.energy_fixed_j)[capped])
        count += len(capped)
    goal = latency
    if deadline_s is not None:
        # Halo energy is a constant of the program, so equal workers tie, though fewer of them would cost less: a part
        # in a million for being slower, or later in line, makes the answer one corner instead of any mixture.
        order = np.argsort(np.argsort(program.stage_s.sum(axis=0), kind="stable"))
        goal = program.energy_j + program.manager_j
        goal = np.concatenate([goal + 1e-6 * (goal.max() or 1.0) * order, np.zeros(stages)])
    found = linprog(
        goal / (np.abs(goal).max() or 1.0),
        A_ub=coo_array((values, (rows, columns)), shape=(count, n + stages)).tocsr(),
        b_ub=np.concatenate(bounds_ub),
        A_eq=coo_array((np.ones(n), (np.zeros(n, int), np.arange(n))), shape=(1, n + stages)).tocsr(),
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
    )
    return np.clip(found.x[:n], 0.0, 1.0) if found.success else None


@dataclass(frozen=True, slots=True)
class ShareSolution:
    """Shares of all workers (zero where dropped), the head, and how many programs were solved."""

    shares: np.ndarray
    head: int
    program: ShareProgram
    solved: int


def algorithm_1(
    costs: LayerCosts, devices: Devices, deadline_s: float | None, *, head: int | None = None
) -> ShareSolution | None:
    """Solve P2; while a share is below the threshold, drop the smallest and solve again.

    With `deadline_s` None the latency is minimised instead of the energy. `head` is fixed or chosen (`choose_head`).
    None when a program is infeasible.
    """
    active = tuple(range(devices.count))
    for solved in range(1, devices.count + 1):
        chosen = choose_head(costs, devices, active) if head is None else head
        program = share_program(costs, devices, active, chosen)
        if len(active) == 1:
            fits = deadline_s is None or program.latency_s(np.ones(1)) <= deadline_s
            shares = np.ones(1) if fits else None
        else:
            shares = solve_shares(program, deadline_s)
        if shares is None:
            return None
        smallest = int(shares.argmin())
        if len(active) == 1 or shares[smallest] >= costs.threshold - 1e-12:
            everyone = np.zeros(devices.count)
            everyone[list(active)] = shares
            return ShareSolution(everyone, chosen, program, solved)
        active = active[:smallest] + active[smallest + 1 :]
    raise AssertionError("every round drops a worker or returns")


def choose_head(costs: LayerCosts, devices: Devices, active: tuple[int, ...]) -> int:
    """The worker on which gather and head together take the least time when shares follow the speeds."""
    index = np.array(active)
    shares = devices.speed[index] / devices.speed[index].sum()

    def time_on(h: int) -> float:
        moved = (shares * costs.gather_bytes + costs.partial_bytes) * devices.s_per_byte[index, h]
        return float(costs.head_macs / devices.speed[h] + moved[index != h].sum() + devices.alpha_s[h, devices.manager])

    return min(active, key=time_on)
