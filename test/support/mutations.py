"""Ways in which a cluster can go wrong that the oracle must see, each made on purpose.

A mutation changes as little as it can: one transfer, one row, one worker, one layer. `seed` says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from unittest import mock

import numpy as np
import torch

from coedge_ros.execution.codec import to_bytes
from coedge_ros.execution.fragment import Fragment
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.execution.verification import Oracle, Verdict
from coedge_ros.graph.ir import Node
from coedge_ros.graph.lower import PartitionedModel, partition_nodes
from coedge_ros.graph.rules import convolution, resample
from coedge_ros.rows.access import Window
from coedge_ros.rows.row_set import RowRange, RowSet
from coedge_ros.rows.split import band
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.schedule import Transfer, TransferKind

MakeCluster = Callable[..., InProcessCluster]


def _halos(oracle: Oracle, plan: PartitionPlan) -> list[tuple[Transfer, list[int]]]:
    """Transfers with rows that their receiver does not own, and where these stand among the transfer's rows."""
    schedule = derive_schedule(oracle.model.graph, plan)
    found = []
    for t in schedule.of_kind(TransferKind.HALO, TransferKind.SCATTER):
        stage = max(0, plan.stage_of(schedule.graph.index[t.tensor]))
        owned = band(plan.owned(stage, schedule.graph.tensor(t.tensor).height), t.target)
        if rows := RowSet((t.rows,)) - owned:
            found.append((t, [i - t.rows.start for r in rows for i in range(r.start, r.stop)]))
    return found


def _rewriting(chosen: Transfer, change: Callable[[np.ndarray], np.ndarray]) -> MakeCluster:
    """Cluster in which one transfer's bytes `(rows, bytes of a row)` are changed on the way."""

    def tamper(receiver: str, fragment: Fragment) -> Fragment:
        if fragment.transfer != chosen.index:
            return fragment
        rows = fragment.data.reshape(chosen.wire_shape[0], -1)
        return replace(fragment, data=np.ascontiguousarray(change(rows)).reshape(-1))

    return partial(InProcessCluster, tamper=tamper)


def halo_zeroed(oracle: Oracle, plan: PartitionPlan, seed: int) -> Verdict:
    """One halo arrives as zeros, as if it were the layer's own padding."""
    halos = _halos(oracle, plan)
    chosen, rows = halos[seed % len(halos)]

    def change(data: np.ndarray) -> np.ndarray:
        data = data.copy()
        data[rows] = 0
        return data

    return oracle.verify(plan, make_cluster=_rewriting(chosen, change))


def halo_off_by_one_row(oracle: Oracle, plan: PartitionPlan, seed: int) -> Verdict:
    """One halo holds the rows beside those that were asked for."""
    halos = _halos(oracle, plan)
    chosen, rows = halos[seed % len(halos)]
    frames = oracle.frames()
    spec = oracle.model.graph.tensor(chosen.tensor)
    whole = oracle.model.nodes.run(torch.from_numpy(frames[0]).permute(2, 0, 1)[None], keep={chosen.tensor})
    wire = to_bytes(whole[chosen.tensor].permute(spec.wire_axes).contiguous()).reshape(spec.height, -1)
    step = 1 if chosen.rows.stop < spec.height else -1

    def change(data: np.ndarray) -> np.ndarray:
        data = data.copy()
        data[rows] = wire[[chosen.rows.start + i + step for i in rows]]
        return data

    return oracle.verify(plan, frames, _rewriting(chosen, change))


def border_treated_as_halo(oracle: Oracle, plan: PartitionPlan, seed: int) -> Verdict:
    """At the border of the image the edge row stands where the layer's own padding belongs."""
    band_with_padding, padded_index = convolution.band_with_padding, resample.padded_index

    def edge_repeated(access: Window, r: RowRange, held: RowSet, axis: int):
        pick, above, below = band_with_padding(access, r, held, axis)
        if not (above or below) or not access.reads(r):
            return pick, above, below

        def with_edges(x: torch.Tensor) -> torch.Tensor:
            x = x if pick is None else pick(x)
            index = torch.arange(-above, x.shape[axis] + below).clamp(0, x.shape[axis] - 1)
            return x.index_select(axis, index)

        return with_edges, 0, 0

    def other_edge(height: int, above: int, below: int, mode: str) -> list[int]:
        return padded_index(height, above, below, "reflect" if mode == "replicate" else "replicate")

    def make(model: PartitionedModel, plan: PartitionPlan, **options) -> InProcessCluster:
        with (
            mock.patch.object(convolution, "band_with_padding", edge_repeated),
            mock.patch.object(resample, "padded_index", other_edge),
        ):
            wrong = partition_nodes(oracle.nodes, model.graph.digest)
            return InProcessCluster(wrong, plan, **options)

    return oracle.verify(plan, make_cluster=make)


def weights_of_one_worker_perturbed(oracle: Oracle, plan: PartitionPlan, seed: int) -> Verdict:
    """One worker has one convolution's weights with noise of one percent."""
    random = torch.Generator().manual_seed(seed)

    def is_convolution(node: Node) -> bool:
        return "conv" in node.key and isinstance(node.args[1], torch.Tensor)

    convolutions = [n.name for n in oracle.nodes.nodes if is_convolution(n)]
    chosen = convolutions[int(torch.randint(len(convolutions), (), generator=random))]

    def perturbed(node: Node) -> Node:
        if node.name != chosen:
            return node
        weight = node.args[1]
        noise = 0.01 * weight.std() * torch.randn(weight.shape, generator=random)
        return replace(node, args=(node.args[0], weight + noise, *node.args[2:]))

    nodes = replace(oracle.nodes, nodes=tuple(map(perturbed, oracle.nodes.nodes)))
    wrong = partition_nodes(nodes, oracle.model.graph.digest)
    busy = [i for i in range(len(plan.workers)) if all(b[i] < b[i + 1] for b in plan.boundaries)]
    models = [oracle.model] * len(plan.workers)
    models[busy[seed % len(busy)]] = wrong
    return oracle.verify(plan, make_cluster=lambda model, plan, **options: InProcessCluster(models, plan, **options))


def fragment_of_the_previous_frame(oracle: Oracle, plan: PartitionPlan, seed: int) -> Verdict:
    """One halo of the second frame is that of the first."""
    halos = _halos(oracle, plan)
    chosen, _ = halos[seed % len(halos)]
    first: list[np.ndarray] = []

    def change(data: np.ndarray) -> np.ndarray:
        first.append(data)
        return first[0]

    verdict = oracle.verify(plan, oracle.frames(2), _rewriting(chosen, change))
    assert len(first) == 2
    return verdict


MUTATIONS = (
    halo_zeroed,
    halo_off_by_one_row,
    border_treated_as_halo,
    weights_of_one_worker_perturbed,
    fragment_of_the_previous_frame,
)
