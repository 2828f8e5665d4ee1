"""What a plan makes everybody compute and send, as arrays over a batch of plans with the same cuts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.coding import coding_macs
from coedge_ros.planning.devices import Devices
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.schedule import MANAGER, Schedule


@dataclass(frozen=True, slots=True)
class Messages:
    """What is sent after one stage and needed in another.

    `size_bytes` and `count` have the shape (B, M, M), from participant to participant. Messages between the same two
    for the same stage travel one after the other, so their sum tells when the last arrives.
    """

    sent_after: int
    needed_in: int
    size_bytes: np.ndarray
    count: np.ndarray


@dataclass(frozen=True, slots=True)
class Workload:
    """B plans with S stages and a head on N workers.

    Attributes
    ----------
    macs, seconds, active : ndarray, shape (B, S + 1, N)
        Multiply-accumulates as executed (overlap included); their time when nobody shares the worker's cores; whether
        the worker has anything to compute.
    messages : tuple of Messages
        In the order of `sent_after`, then `needed_in`.
    rows : ndarray, shape (B, N)
        Rows of the first stage, at the frame's scale.
    memory_bytes : ndarray, shape (B, N)
        Weights of what a worker computes and the largest input plus output of one operator.
    """

    macs: np.ndarray
    seconds: np.ndarray
    active: np.ndarray
    messages: tuple[Messages, ...]
    rows: np.ndarray
    memory_bytes: np.ndarray

    @property
    def batch(self) -> int:
        """Number of plans."""
        return self.macs.shape[0]

    @property
    def stages(self) -> int:
        """Trunk stages; the head is one more."""
        return self.macs.shape[1] - 1


def together(loads: Sequence[Workload]) -> Workload:
    """Plans with different cuts as one batch; those with fewer stages do nothing in some before the head."""
    if len(loads) == 1:
        return loads[0]
    stages = max(load.stages for load in loads)
    offsets = np.cumsum([0, *(load.batch for load in loads)])
    groups: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
    m = loads[0].macs.shape[2] + 1
    for load, offset in zip(loads, offsets[:-1], strict=True):
        # the head, and the manager behind it, move to the end
        moved = {s: s + stages - load.stages for s in (load.stages, load.stages + 1)}
        for group in load.messages:
            key = moved.get(group.sent_after, group.sent_after), moved.get(group.needed_in, group.needed_in)
            if key not in groups:
                groups[key] = np.zeros((offsets[-1], m, m), np.int64), np.zeros((offsets[-1], m, m), np.int64)
            rows = slice(offset, offset + load.batch)
            groups[key][0][rows], groups[key][1][rows] = group.size_bytes, group.count

    def stacked(name: str) -> np.ndarray:
        parts = [getattr(load, name) for load in loads]
        found = np.zeros((offsets[-1], stages + 1, m - 1), dtype=parts[0].dtype)
        for part, load, offset in zip(parts, loads, offsets[:-1], strict=True):
            found[offset : offset + load.batch, : load.stages] = part[:, :-1]
            found[offset : offset + load.batch, -1] = part[:, -1]
        return found

    return Workload(
        stacked("macs"),
        stacked("seconds"),
        stacked("active"),
        tuple(Messages(*key, *groups[key]) for key in sorted(groups)),
        np.concatenate([load.rows for load in loads]),
        np.concatenate([load.memory_bytes for load in loads]),
    )


def workload_of(schedule: Schedule, devices: Devices) -> Workload:
    """Workload of one plan (B = 1) from its schedule: the reference that every faster way must agree with."""
    graph, plan = schedule.graph, schedule.plan
    stages, workers, m = plan.stages, devices.count, devices.count + 1
    position = {name: devices.names.index(name) for name in plan.workers}
    place = [position[name] for name in plan.workers]
    macs = np.zeros((1, stages + 1, workers), dtype=np.int64)
    seconds = np.zeros((1, stages + 1, workers))
    active = np.zeros((1, stages + 1, workers), dtype=bool)
    for w, per_stage in enumerate(schedule.work):
        for s, stage in enumerate(per_stage):
            active[0, s, place[w]] = bool(stage.computes)
            for work in stage.computes:
                whole = not work.rows and not graph.operators[work.operator].output.height
                for length in [1] if whole else [len(piece) for piece in work.rows]:
                    rows = np.zeros(workers, dtype=np.int64)
                    rows[place[w]] = length
                    devices.times.add(work.operator, rows, macs[0, s], seconds[0, s])
    groups: dict[tuple[int, int], list[np.ndarray]] = defaultdict(
        lambda: [np.zeros((1, m, m), dtype=np.int64), np.zeros((1, m, m), dtype=np.int64)]
    )
    for t in schedule.transfers:
        source, target = (m - 1 if p == MANAGER else place[p] for p in (t.source, t.target))
        size, count = groups[t.sent_after, t.needed_in]
        size[0, source, target] += t.wire_bytes
        count[0, source, target] += 1
        if t.codec:
            encode, decode = coding_macs(t)
            seconds[0, t.sent_after, source] += encode / devices.speed[source]
            seconds[0, t.needed_in, target] += decode / devices.speed[target]
    bounds = plan.owned(0, graph.input.height)
    rows = np.zeros((1, workers), dtype=np.int64)
    rows[0, place] = np.diff(bounds)
    return Workload(
        macs,
        devices.times.total(macs, seconds),
        active,
        tuple(Messages(*key, *groups[key]) for key in sorted(groups)),
        rows,
        _memory(schedule, place, workers),
    )


def _memory(schedule: Schedule, place: list[int], workers: int) -> np.ndarray:
    graph = schedule.graph
    memory = np.zeros((1, workers), dtype=np.int64)
    for w, per_stage in enumerate(schedule.work):
        weights = largest = 0
        for work in (work for stage in per_stage for work in stage.computes):
            op = graph.operators[work.operator]
            weights += op.weight_bytes
            touched = bytes_touched(graph, work.operator)
            if op.output.height and work.rows:
                touched = len(work.rows) * touched // op.output.height
            largest = max(largest, touched)
        memory[0, place[w]] = weights + largest
    return memory


def bytes_touched(graph: ModelGraph, operator: int) -> int:
    """Bytes that the whole of an operator reads and writes."""
    op = graph.operators[operator]
    return op.output.total_bytes + sum(graph.tensor(operand.tensor).total_bytes for operand in op.operands)
