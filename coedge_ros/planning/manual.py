"""`manual`: the rows that a person gives, scaled to every stage."""

from __future__ import annotations

from coedge_ros.errors import UserError
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cuts import layer_cuts, legal_cuts, with_forced
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import plan_from_shares


def plan_manual(request: PlanRequest) -> PlanOutcome:
    """The plan with `manual_rows`, `cuts` and `head` of the request.

    Raises
    ------
    UserError
        If they do not fit the model or the cluster.
    """
    names, height = request.devices.names, request.graph.input.height
    rows = list(request.manual_rows)
    if len(rows) != len(names) or min(rows, default=0) < 0 or sum(rows) != height:
        raise UserError(
            f"manual rows {rows} do not fit: give one number >= 0 per worker ({', '.join(names)}), together {height}"
        )
    if request.head and request.head not in names:
        raise UserError(f"head {request.head!r} is none of the workers {', '.join(names)}")
    if request.cuts is None:
        cuts = layer_cuts(request.graph)
    else:
        legal = legal_cuts(request.graph)
        if bad := sorted(set(request.cuts) - set(legal)):
            raise UserError(f"cuts {bad} are not legal: operators 0 to {len(legal) - 1} can end a stage")
        cuts = with_forced(request.graph, request.cuts)
    plan = plan_from_shares(request.graph, names, [float(r) for r in rows], cuts, request.head or None)
    predicted = request.evaluator.predict(plan)
    return request.answer("manual", plan, predicted, "The rows were given by hand.", proven=False)
