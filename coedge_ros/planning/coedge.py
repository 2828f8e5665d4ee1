"""`coedge`: the paper's planner.

One share per worker for all layers, one layer a stage, P2 with Algorithm 1, then rounding.

Where it is not the paper's: message latency is part of the program; a plan that misses the deadline after rounding is
solved again for a tighter one (rounding can break the deadline); an infeasible program is answered with the plan that
comes closest.
"""

from __future__ import annotations

from coedge_ros.planning.coedge_lp import ShareSolution, algorithm_1
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import PlanOutcome, Prediction
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares

TIGHTENINGS = 3


def coedge_plan(request: PlanRequest) -> PartitionPlan:
    """The plan of `plan_coedge`."""
    return plan_coedge(request).plan


def plan_coedge(request: PlanRequest) -> PlanOutcome:
    """Least energy within the deadline by P2 and Algorithm 1; least latency for the other objectives.

    The paper knows no throughput: for that objective, and for latency, the program minimises latency.
    """
    cuts = request.tables.layer_cuts
    costs = request.tables.layer_costs(cuts)
    notes = []
    found = None
    if request.objective == "energy":
        # without a deadline any latency will do; a number keeps the program the same
        deadline_s = limit_s = request.deadline_s or 1e6
        for _ in range(1 + TIGHTENINGS):
            solution = algorithm_1(costs, request.devices, limit_s)
            if solution is None:
                break
            plan, predicted = _rounded(request, cuts, solution)
            found = (plan, predicted)
            if not request.misses_deadline(predicted.latency_s):
                break
            # what rounding and the model's simplifications added is taken off the limit, with a little to spare
            limit_s -= (predicted.latency_s - deadline_s) * 1.05
            if limit_s <= 0:
                break
        if found and not request.misses_deadline(found[1].latency_s):
            return request.answer("coedge", *found, _why(solution, request), proven=limit_s == deadline_s)
        notes.append(
            "Algorithm 1 finds no shares that meet the deadline" if found is None else "rounding breaks the deadline"
        )
    return _nearest(request, cuts, costs, found, notes)


def _nearest(request: PlanRequest, cuts, costs, found, notes) -> PlanOutcome:
    """The fastest that the program can do, for the other objectives and for a deadline that it cannot meet."""
    solution = algorithm_1(costs, request.devices, None)
    candidates = [found] if found else []
    if solution is not None:
        candidates.append(_rounded(request, cuts, solution))
    fastest = max(range(request.devices.count), key=lambda i: request.devices.speed[i])
    single = request.single_worker(request.devices.names[fastest])
    candidates.append((single, request.evaluator.predict(single)))
    plan, predicted = min(candidates, key=lambda pair: request.rank(pair[1]))
    why = "The shares with the least latency." if not notes else f"{notes[0]}; these are the shares that come closest."
    return request.answer("coedge", plan, predicted, why, proven=not notes, notes=notes)


def _rounded(request: PlanRequest, cuts: tuple[int, ...], solution: ShareSolution) -> tuple[PartitionPlan, Prediction]:
    """Plan with the shares rounded to rows, its head where the program put it or on the largest band."""
    names = request.devices.names
    shares = [float(share) for share in solution.shares]
    if sum(share > 0 for share in shares) == 1:
        plan = request.single_worker(names[max(range(len(shares)), key=shares.__getitem__)])
        return plan, request.evaluator.predict(plan)
    plan = plan_from_shares(request.graph, names, shares, cuts, head=names[solution.head])
    return plan, request.evaluator.predict(plan)


def _why(solution: ShareSolution, request: PlanRequest) -> str:
    names = request.devices.names
    working = [name for name, share in zip(names, solution.shares, strict=True) if share > 0]
    dropped = [name for name in names if name not in working]
    limit = f"within {request.deadline_s * 1e3:.1f} ms" if request.deadline_s else "without a deadline"
    text = f"Least energy {limit} by CoEdge's linear program: {', '.join(working)} share the rows"
    if len(working) == 1:
        text = f"Least energy {limit} by CoEdge's linear program is {working[0]} alone"
    if dropped:
        text += (
            f"; Algorithm 1 dropped {', '.join(dropped)} (less than {solution.program.threshold:.1%} of the rows each)"
        )
    return text + "."
