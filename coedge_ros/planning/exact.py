"""`exact`: the paper's P1 as a mixed-integer program (HiGHS): one share for all layers, per-layer cuts, workers chosen.

    z_i in {0, 1}: worker i works;  threshold z_i <= x_i <= z_i;  sum x_i = 1;  H x_i integer
    y_ij in {0, 1}: j is the next worker below i: a path from the top to the bottom of the image through the workers
    t_l >= W_l x_i / v_i + F_l,i z_i + halo(l, i) over the y into and out of i

so that only those who work pay for halos, with the links to the neighbours that they really have. It is the oracle for
Algorithm 1, with the same cost terms as `coedge_lp.share_program`; the head is tried on each of a few workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from coedge_ros.planning.coedge_lp import ShareProgram, share_program
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.layer_costs import LayerCosts
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import plan_from_shares

MOST_WORKERS = 10
TIME_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class ExactShares:
    """Shares of all workers, the head, and the program's own latency and energy."""

    shares: np.ndarray
    head: int
    latency_s: float
    energy_j: float


def plan_exact(request: PlanRequest) -> PlanOutcome:
    """The optimum of P1 for the request's objective (least latency where that is not energy)."""
    devices, cuts = request.devices, request.tables.layer_cuts
    costs = request.tables.layer_costs(cuts)
    if devices.count > MOST_WORKERS:
        note = f"exact takes at most {MOST_WORKERS} workers; the best single worker instead"
        plan, predicted = request.best_of([request.single_worker(name) for name in devices.names])
        return request.answer("exact", plan, predicted, note, proven=False, notes=(note,))
    deadline_s = (request.deadline_s or 1e6) if request.objective == "energy" else None
    found = exact_shares(costs, devices, deadline_s)
    note = "" if found else "no rows meet the deadline in this program; its fastest instead"
    found = found or exact_shares(costs, devices, None)
    plans = [request.single_worker(name) for name in devices.names]
    if found is not None and np.count_nonzero(found.shares) > 1:
        plans.append(
            plan_from_shares(request.graph, devices.names, found.shares.tolist(), cuts, devices.names[found.head])
        )
    plan, predicted = request.best_of(plans)
    why = "Optimum of the paper's exact problem: one share for all layers, one layer a stage. " + note
    return request.answer("exact", plan, predicted, why.strip(), proven=not note, notes=(note,) if note else ())


def exact_shares(
    costs: LayerCosts, devices: Devices, deadline_s: float | None, heads: tuple[int, ...] | None = None, rows: int = 0
) -> ExactShares | None:
    """Solve P1 with the head on each of `heads` (default: all workers); None when it is infeasible.

    `deadline_s` None minimises latency. `rows` > 0 makes shares whole numbers of that many rows.
    """
    best: ExactShares | None = None
    for head in heads if heads is not None else range(devices.count):
        shares = _solve(costs, devices, deadline_s, head, rows)
        if shares is None:
            continue
        program = program_of(costs, devices, shares, head)
        latency, energy = program.latency_s(shares[list(program.active)]), program.total_j(shares[list(program.active)])
        goal = (energy, latency) if deadline_s is not None else (latency, energy)
        if best is None or goal < ((best.energy_j, best.latency_s) if deadline_s else (best.latency_s, best.energy_j)):
            best = ExactShares(shares, head, latency, energy)
    return best


def program_of(costs: LayerCosts, devices: Devices, shares: np.ndarray, head: int) -> ShareProgram:
    """The paper's program with just those active that have a share."""
    return share_program(costs, devices, tuple(int(i) for i in np.flatnonzero(shares > 1e-9)), head)


class _Rows:
    """Collects the rows of a sparse matrix."""

    def __init__(self):
        self.data, self.row, self.column, self.lower, self.upper = [], [], [], [], []

    def add(self, terms: dict[int, float], lower: float, upper: float) -> None:
        """`lower <= sum of coefficient * variable <= upper`."""
        for column, value in terms.items():
            self.data.append(value)
            self.row.append(len(self.lower))
            self.column.append(column)
        self.lower.append(lower)
        self.upper.append(upper)


def _solve(costs: LayerCosts, devices: Devices, deadline_s: float | None, head: int, rows: int) -> np.ndarray | None:
    n, stages, m = devices.count, len(costs.macs), devices.manager
    everyone = tuple(range(n))
    # per-share and fixed terms of each worker as if it were alone: halos are added over the path below
    alone = [share_program(costs, devices, (i,), head) for i in everyone]
    together = share_program(costs, devices, everyone, head)
    pairs = [(i, j) for i in everyone for j in everyone if i < j]
    x, z = 0, n
    y = {pair: 2 * n + k for k, pair in enumerate(pairs)}
    first, last = 2 * n + len(pairs), 3 * n + len(pairs)
    t = 4 * n + len(pairs)
    wait = t + stages  # latency of the slower neighbour, where both are read / only the one above / below
    kinds = [(True, True), (True, False), (False, True)]
    fixed = wait + 3 * n  # largest scatter alpha, largest gather alpha
    count = fixed + 2
    model = _Rows()
    rate, alpha = devices.s_per_byte, devices.alpha_s
    model.add({x + i: 1.0 for i in everyone}, 1, 1)
    model.add({first + i: 1.0 for i in everyone}, 1, 1)
    model.add({last + i: 1.0 for i in everyone}, 1, 1)
    scale = 1.0 / rows if rows else 1.0
    for i in everyone:
        model.add({x + i: 1.0, z + i: -1.0}, -np.inf, 0)
        model.add({x + i: 1.0, z + i: -costs.threshold}, 0, np.inf)
        into = {first + i: 1.0, **{y[j, i]: 1.0 for j in everyone if j < i}, z + i: -1.0}
        out = {last + i: 1.0, **{y[i, j]: 1.0 for j in everyone if j > i}, z + i: -1.0}
        # a worker that works alone is no member of a pair: its threshold does not bind
        model.add(into, 0, 0)
        model.add(out, 0, 0)
        for k, (above, below) in enumerate(kinds):
            for j in everyone:
                if above and j < i:
                    model.add({wait + 3 * i + k: 1.0, y[j, i]: -alpha[j, i]}, 0, np.inf)
                if below and j > i:
                    model.add({wait + 3 * i + k: 1.0, y[i, j]: -alpha[j, i]}, 0, np.inf)
        model.add({fixed: 1.0, z + i: -alpha[m, i]}, 0, np.inf)
        if i != head:
            model.add({fixed + 1: 1.0, z + i: -alpha[i, head]}, 0, np.inf)
        for stage in range(stages):
            up, down = costs.above_bytes[stage], costs.below_bytes[stage]
            terms = {t + stage: 1.0, x + i: -together.stage_s[stage, i]}
            terms[z + i] = -float(alone[i].stage_fixed_s[stage, 0])
            for j in everyone:
                overhead = 2 * devices.message_s[i]
                if j < i:
                    terms[y[j, i]] = -(up * rate[j, i] + (up > 0) * overhead)
                elif j > i:
                    terms[y[i, j]] = -(down * rate[j, i] + (down > 0) * overhead)
                if j != i and costs.reduce_bytes[stage]:
                    terms[z + j] = terms.get(z + j, 0.0) - costs.reduce_bytes[stage] * rate[j, i]
            if (up > 0) or (down > 0):
                terms[wait + 3 * i + kinds.index((bool(up > 0), bool(down > 0)))] = -1.0
            slack = 0.0
            if costs.reduce_bytes[stage]:
                # partial results of the others are waited for by those who work
                slack = float(sum(costs.reduce_bytes[stage] * rate[j, i] for j in everyone if j != i))
                terms[z + i] -= slack
                model.add(terms, -slack, np.inf)
            else:
                model.add(terms, 0, np.inf)
    latency = {t + stage: 1.0 for stage in range(stages)} | {x + i: float(together.serial_s[i]) for i in everyone}
    latency |= {fixed: 1.0, fixed + 1: 1.0}
    for i in everyone:
        latency[z + i] = float(costs.partial_bytes * rate[i, head] * (i != head))
    head_s = float(alpha[head, m] + costs.head_macs / devices.speed[head])
    energy = {x + i: float(together.energy_j[i] + together.manager_j[i]) for i in everyone}
    for i in everyone:
        partial = costs.partial_bytes * rate[i, head] * devices.crosses[i, head] * (i != head)
        energy[z + i] = float(devices.transmit_w[i] * partial)
        energy[z + i] += float(devices.compute_w[i] * costs.fixed_macs.sum() / (devices.speed[i]))
    for (i, j), column in y.items():
        down, up = costs.above_bytes.sum(), costs.below_bytes.sum()
        power = devices.transmit_w[i] + devices.transmit_w[j]
        energy[column] = float(
            power * (down * rate[i, j] * devices.crosses[i, j] + up * rate[j, i] * devices.crosses[j, i])
        )
    if deadline_s is not None:
        model.add(latency, -np.inf, deadline_s - head_s)
    goal = np.zeros(count)
    for column, value in (energy if deadline_s is not None else latency).items():
        goal[column] = value
    integer = np.zeros(count)
    integer[z:t] = 1
    upper = np.full(count, np.inf)
    upper[:t] = 1.0
    matrix = coo_array((model.data, (model.row, model.column)), shape=(len(model.lower), count)).tocsr()
    constraints = [LinearConstraint(matrix, model.lower, model.upper)]
    if rows:
        # rows of worker i = rows * x_i, a whole number k_i
        whole = coo_array(
            ([1.0] * n + [-scale] * n, ([*range(n), *range(n)], [*range(n), *range(count, count + n)])),
            shape=(n, count + n),
        )
        constraints = [
            LinearConstraint(
                coo_array((model.data, (model.row, model.column)), shape=(len(model.lower), count + n)).tocsr(),
                model.lower,
                model.upper,
            ),
            LinearConstraint(whole.tocsr(), 0, 0),
        ]
        goal, integer = np.append(goal, np.zeros(n)), np.append(integer, np.ones(n))
        upper = np.append(upper, np.full(n, float(rows)))
    result = milp(
        goal / (np.abs(goal).max() or 1.0),
        constraints=constraints,
        integrality=integer,
        bounds=Bounds(0, upper),
        options={"time_limit": TIME_LIMIT_S, "mip_rel_gap": 1e-6},
    )
    if result.x is None:
        return None
    shares = np.where(result.x[:n] > 1e-7, result.x[:n], 0.0)
    return shares / shares.sum()
