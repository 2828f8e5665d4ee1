"""P1 as a mixed-integer program for HiGHS, with the head on a given worker.

    z_i in {0, 1}: worker i works;  threshold z_i <= x_i <= z_i;  sum x_i = 1;  H x_i integer
    y_ij in {0, 1}: j is the next worker below i; first_i, last_i in {0, 1}: i is at the top, at the bottom of the image
    first_i + sum_j y_ji = z_i,  last_i + sum_j y_ij = z_i: a path from top to bottom through those who work
    t_l >= W_l x_i / v_i + F_l,i z_i + halo(l, i) over the y into and out of i

so that only those who work pay for halos, with the links to the neighbours that they really have. Times are counted in
parts of the fastest worker's latency, because the solver's tolerances are absolute.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from coedge_ros.planning.coedge_lp import share_program
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.layer_costs import LayerCosts

TIME_LIMIT_S = 20.0
ABOVE_AND_BELOW, ABOVE, BELOW = range(3)  # from which neighbours a stage reads halo rows

Terms = dict[int, float]  # coefficients by column


def solve_exact(
    costs: LayerCosts, devices: Devices, deadline_s: float | None, head: int, rows: int = 0
) -> np.ndarray | None:
    """Shares of least energy within the deadline, of least latency when it is None; None when infeasible.

    `rows` > 0 makes shares whole numbers of that many rows.
    """
    program = _ExactProgram(costs, devices, head, deadline_s)
    latency = program.latency()
    if deadline_s is not None:
        program.rows.add(latency, -np.inf, deadline_s / program.unit_s - program.constant)
    program.whole_rows(rows)
    return program.solve(program.energy() if deadline_s is not None else latency)


class _Rows:
    """Collects the rows of a sparse matrix."""

    def __init__(self):
        self.data: list[float] = []
        self.row: list[int] = []
        self.column: list[int] = []
        self.lower: list[float] = []
        self.upper: list[float] = []

    def add(self, terms: Terms, lower: float, upper: float) -> None:
        """`lower <= sum of coefficient * variable <= upper`."""
        for column, value in terms.items():
            self.data.append(value)
            self.row.append(len(self.lower))
            self.column.append(column)
        self.lower.append(lower)
        self.upper.append(upper)


class _ExactProgram:
    """Variables and constraints; `unit_s` is the unit of time, `constant` the part of the latency without variables."""

    def __init__(self, costs: LayerCosts, devices: Devices, head: int, deadline_s: float | None):
        self.costs, self.devices, self.head = costs, devices, head
        self.rows, self.upper, self.integer = _Rows(), [], []
        self.everyone = range(devices.count)
        n, stages = devices.count, len(costs.macs)
        self.together = share_program(costs, devices, tuple(self.everyone), head)
        # fixed terms of each worker as if it were alone: halos are added over the path
        self.alone = [share_program(costs, devices, (i,), head) for i in self.everyone]
        self.unit_s = min(program.latency_s(np.ones(1)) for program in self.alone)
        # Nobody can have more than fits into the deadline, or into the best single worker's latency. Workers that are
        # too slow for the threshold are left out: their coefficients are beyond the solver's tolerances.
        compute_s = self.together.stage_s.sum(axis=0)
        limit_s = deadline_s
        if deadline_s is None:
            slower = compute_s - [program.stage_s.sum() for program in self.alone]  # all on one host share its cores
            limit_s = min(program.latency_s(np.ones(1)) + slower[i] for i, program in enumerate(self.alone))
        most = np.minimum(1.0, 2.0 * limit_s / compute_s)
        self.slow = most < costs.threshold
        self.share = self._variables(n, np.where(self.slow, 0.0, most))
        self.works = self._variables(n, np.where(self.slow, 0.0, 1.0), integer=True)
        self.first = self._variables(n, 1.0, integer=True)
        self.last = self._variables(n, 1.0, integer=True)
        self.pairs = [(i, j) for i in self.everyone for j in self.everyone if i < j]
        self.next = dict(zip(self.pairs, self._variables(len(self.pairs), 1.0, integer=True), strict=True))
        self.stage = self._variables(stages)
        self.halo_latency = np.array(self._variables(3 * n)).reshape(3, n)
        self.scatter_latency, self.gather_latency = self._variables(2)
        self._path()
        self._latencies()
        for stage in range(stages):
            for i in np.flatnonzero(~self.slow):
                self._stage_time(stage, int(i))

    def _variables(self, count: int, upper: float | np.ndarray = np.inf, *, integer: bool = False) -> list[int]:
        first = len(self.upper)
        self.upper += np.broadcast_to(upper, count).tolist()
        self.integer += [int(integer)] * count
        return list(range(first, first + count))

    def _path(self) -> None:
        add, share, works = self.rows.add, self.share, self.works
        for chosen in (share, self.first, self.last):
            add(dict.fromkeys(chosen, 1.0), 1, 1)
        for i in self.everyone:
            add({share[i]: 1.0, works[i]: -1.0}, -np.inf, 0)
            add({share[i]: 1.0, works[i]: -self.costs.threshold}, 0, np.inf)
            above = {self.next[j, i]: 1.0 for j in self.everyone if j < i}
            below = {self.next[i, j]: 1.0 for j in self.everyone if j > i}
            add({self.first[i]: 1.0, **above, works[i]: -1.0}, 0, 0)
            add({self.last[i]: 1.0, **below, works[i]: -1.0}, 0, 0)

    def _latencies(self) -> None:
        """Latency of the slower neighbour; the largest of scatter and of gather."""
        alpha, m = self.devices.alpha_s / self.unit_s, self.devices.manager
        for i in self.everyone:
            for kind, read in ((ABOVE_AND_BELOW, (True, True)), (ABOVE, (True, False)), (BELOW, (False, True))):
                for j in self.everyone:
                    pair = (j, i) if j < i else (i, j)
                    if j != i and read[j > i]:
                        waits = {self.halo_latency[kind, i]: 1.0, self.next[pair]: -alpha[j, i]}
                        self.rows.add(waits, 0, np.inf)
            self.rows.add({self.scatter_latency: 1.0, self.works[i]: -alpha[m, i]}, 0, np.inf)
            if i != self.head:
                self.rows.add({self.gather_latency: 1.0, self.works[i]: -alpha[i, self.head]}, 0, np.inf)

    def _stage_time(self, stage: int, i: int) -> None:
        """The stage takes at least as long as worker i computes and waits."""
        costs, rate = self.costs, self.devices.s_per_byte / self.unit_s
        up, down, reduced = costs.above_bytes[stage], costs.below_bytes[stage], costs.reduce_bytes[stage]
        overhead = 2 * self.devices.message_s[i] / self.unit_s
        terms = {
            self.stage[stage]: 1.0,
            self.share[i]: -self.together.stage_s[stage, i] / self.unit_s,
            self.works[i]: -self.alone[i].stage_fixed_s[stage, 0] / self.unit_s,
        }
        for j in self.everyone:
            if j < i:
                terms[self.next[j, i]] = -(up * rate[j, i] + (up > 0) * overhead)
            elif j > i:
                terms[self.next[i, j]] = -(down * rate[j, i] + (down > 0) * overhead)
        if up > 0 or down > 0:
            kind = ABOVE_AND_BELOW if up > 0 and down > 0 else ABOVE if up > 0 else BELOW
            terms[self.halo_latency[kind, i]] = -1.0
        slack = 0.0
        if reduced:
            # partial results of the others are waited for, but only by those who work
            for j in self.everyone:
                if j != i:
                    terms[self.works[j]] = terms.get(self.works[j], 0.0) - reduced * rate[j, i]
                    slack += float(reduced * rate[j, i])
            terms[self.works[i]] -= slack
        self.rows.add(terms, -slack, np.inf)

    @property
    def constant(self) -> float:
        """Part of the latency that no choice changes: the head and the result's latency."""
        devices, head = self.devices, self.head
        return (devices.alpha_s[head, devices.manager] + self.costs.head_macs / devices.speed[head]) / self.unit_s

    def latency(self) -> Terms:
        """Latency of the frame but for `constant`."""
        terms = dict.fromkeys([*self.stage, self.scatter_latency, self.gather_latency], 1.0)
        for i in self.everyone:
            partial = self.costs.partial_bytes * self.devices.s_per_byte[i, self.head] * (i != self.head)
            terms[self.share[i]] = float(self.together.serial_s[i] / self.unit_s)
            terms[self.works[i]] = float(partial / self.unit_s)
        return terms

    def energy(self) -> Terms:
        """Energy of the frame in joules, without the head's, which no choice of rows changes."""
        costs, devices, head = self.costs, self.devices, self.head
        rate = devices.s_per_byte * devices.crosses
        terms: Terms = {}
        for i in self.everyone:
            terms[self.share[i]] = float(self.together.energy_j[i] + self.together.manager_j[i])
            fixed = devices.transmit_w[i] * costs.partial_bytes * rate[i, head] * (i != head)
            unshared = devices.speed[i] * devices.factor_when_measured[i]
            terms[self.works[i]] = float(fixed + devices.compute_w[i] * costs.fixed_macs.sum() / unshared)
        for (i, j), column in self.next.items():
            power = devices.transmit_w[i] + devices.transmit_w[j]
            busy = costs.above_bytes.sum() * rate[i, j] + costs.below_bytes.sum() * rate[j, i]
            terms[column] = float(power * busy)
        return terms

    def whole_rows(self, rows: int) -> None:
        """Make shares whole numbers of so many rows (0: any shares)."""
        if rows:
            for column, count in zip(self.share, self._variables(len(self.share), rows, integer=True), strict=True):
                self.rows.add({column: 1.0, count: -1.0 / rows}, 0, 0)

    def solve(self, goal: Terms) -> np.ndarray | None:
        """Shares of least goal, or None."""
        weights = np.zeros(len(self.upper))
        weights[list(goal)] = list(goal.values())
        rows = self.rows
        shape = len(rows.lower), len(weights)
        matrix = coo_array((rows.data, (rows.row, rows.column)), shape=shape).tocsr()
        with _output_to_stderr():
            result = milp(
                weights / (np.abs(weights).max() or 1.0),
                constraints=LinearConstraint(matrix, rows.lower, rows.upper),
                integrality=np.array(self.integer),
                bounds=Bounds(0, np.array(self.upper, dtype=float)),
                options={"time_limit": TIME_LIMIT_S, "mip_rel_gap": 1e-6},
            )
        if result.x is None:
            return None
        shares = np.where(result.x[self.share] > 1e-7, result.x[self.share], 0.0)
        return shares / shares.sum()


@contextmanager
def _output_to_stderr() -> Iterator[None]:
    """HiGHS prints a line for developers on the standard output now and then, into JSON that others read from there."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of them is closed
        yield
        return
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
