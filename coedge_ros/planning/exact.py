"""`exact`: the paper's P1 as a mixed-integer program (HiGHS): one share for all layers, one layer a stage.

The program itself is in `exact_program`. It has the same cost terms as `coedge_lp.share_program`, so that it is the
oracle for Algorithm 1; the head is tried on every worker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.coedge_lp import ShareProgram, share_program
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.exact_program import solve_exact
from coedge_ros.planning.layer_costs import LayerCosts
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import plan_from_shares

MOST_WORKERS = 10


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
        shares = solve_exact(costs, devices, deadline_s, head, rows)
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
