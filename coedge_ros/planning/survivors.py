"""A plan at once when workers are lost: the stages of the plan before, their rows shared out among those that are left.

No search: a few milliseconds, where the search takes tenths of a second to a second of a processor that frames need.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from coedge_ros.planning.local import single_workers
from coedge_ros.planning.request import PlanRequest
from coedge_ros.rows.split import split_by_shares
from coedge_ros.spec.outcome import PlanOutcome
from coedge_ros.spec.plan import PartitionPlan


def plan_for_survivors(request: PlanRequest, before: PartitionPlan) -> PlanOutcome:
    """The plan before without the lost workers, or the best single worker where that is better.

    Parameters
    ----------
    request : PlanRequest
        For the workers that are left.
    before : PartitionPlan
        For more workers.

    Raises
    ------
    UserError
        For what no planner can answer.
    """
    request.check()
    plan, predicted = request.best_of([among(request, before), *single_workers(request)])
    lost = ", ".join(name for name in before.workers if name not in request.devices.names)
    why = f"At once, without {lost or 'a search'}: the rows of each stage as before among the others."
    return request.answer(request.planner, plan, predicted, why, proven=False)


def among(request: PlanRequest, before: PartitionPlan) -> PartitionPlan:
    """The same stages for the workers of the request, which keep the ratio of their rows.

    A stage that ran on lost workers alone is shared out by speed.
    """
    names = request.devices.names
    place = {name: i for i, name in enumerate(before.workers)}
    boundaries = []
    for bounds in before.boundaries:
        rows = [float(bounds[place[n] + 1] - bounds[place[n]]) if n in place else 0.0 for n in names]
        boundaries.append(split_by_shares(bounds[-1], rows if any(rows) else request.devices.speed.tolist()))
    heights = [b - a for a, b in pairwise(boundaries[-1])]
    head = before.head if before.head in names else names[heights.index(max(heights))]
    codecs = ()
    if before.codecs and all(name in place for name in names):
        codecs = tuple(tuple(before.codecs[place[a]][place[b]] for b in names) for a in names)
    return replace(before, workers=names, head=head, boundaries=tuple(boundaries), codecs=codecs)
