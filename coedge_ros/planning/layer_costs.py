"""What CoEdge's program knows of a model with given cuts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.plan import plan_from_shares
from coedge_ros.spec.schedule import Schedule, TransferKind


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """What the program knows of a model with given cuts: per trunk stage, for a band with neighbours above and below.

    Attributes
    ----------
    macs, fixed_macs : ndarray, shape (S,)
        Work that the workers share, and work that each of them does whole.
    above_bytes, below_bytes, reduce_bytes : ndarray, shape (S,)
        What a band pulls from its neighbours before a stage, and from every other band.
    frame_bytes, gather_bytes, result_bytes : int
        The frame; what the head needs of a map; what goes straight to the manager: shared by the workers.
    partial_bytes : int
        What every other worker sends to the head whatever its share.
    threshold : float
        One-hop rule: smallest share with which a worker owns at least as many rows as a neighbour needs, at every
        layer.
    """

    macs: np.ndarray
    fixed_macs: np.ndarray
    above_bytes: np.ndarray
    below_bytes: np.ndarray
    reduce_bytes: np.ndarray
    frame_bytes: int
    gather_bytes: int
    result_bytes: int
    partial_bytes: int
    head_macs: int
    threshold: float


def layer_costs(graph: ModelGraph, cuts: tuple[int, ...]) -> LayerCosts:
    """Costs of a model with these cuts, measured on the middle one of three equal bands."""
    names = ("above", "middle", "below")
    plan = plan_from_shares(graph, names, [1.0, 1.0, 1.0], cuts, head="middle")
    schedule = derive_schedule(graph, plan)
    stages = plan.stages
    above, below, reduced = np.zeros(stages), np.zeros(stages), np.zeros(stages)
    result = partial = 0
    threshold = 0.0
    for t in schedule.transfers:
        height = graph.tensor(t.tensor).height if t.tensor in graph.index else 0
        if t.kind is TransferKind.HALO and t.target == 1:
            (above if t.source < t.target else below)[t.needed_in] += t.wire_bytes
            threshold = max(threshold, len(t.rows) / height)
        elif t.kind is TransferKind.REDUCE and t.target == 1 and t.source == 0:
            if t.needed_in < stages:
                reduced[t.needed_in] += t.wire_bytes
            else:
                partial += t.wire_bytes
        elif t.kind is TransferKind.RESULT and t.rows is not None:
            result += t.wire_bytes
    macs, fixed = _macs(schedule)
    gathered = sum(graph.tensor(name).total_bytes for name in {t.tensor for t in schedule.of_kind(TransferKind.GATHER)})
    head = sum(op.macs for op in graph.operators[graph.trunk_length :])
    return LayerCosts(
        macs, fixed, above, below, reduced, graph.input.total_bytes, gathered, result, partial, head, threshold
    )


def _macs(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    graph, plan = schedule.graph, schedule.plan
    macs, fixed = np.zeros(plan.stages), np.zeros(plan.stages)
    for i, op in enumerate(graph.operators[: graph.trunk_length]):
        (macs if op.output.height else fixed)[plan.stage_of(i)] += op.macs
    return macs, fixed
