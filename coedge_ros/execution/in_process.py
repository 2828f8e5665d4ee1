"""The second channel: the same protocol within one process, for verification, tests and embedding."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import torch

from coedge_ros.execution.band_worker import BandWorker
from coedge_ros.execution.coordinator import Answer, FrameCoordinator
from coedge_ros.execution.fragment import MANAGER_NAME, Fragment, FrameKey, Outgoing, to_bytes
from coedge_ros.execution.program import WorkerProgram
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.schedule import MANAGER, derive_schedule

Tamper = Callable[[str, Fragment], Fragment | None]


class InProcessHub:
    """Queues of fragments by receiver; `tamper(receiver, fragment)` may change or drop them (mutation tests)."""

    def __init__(self, tamper: Tamper | None = None):
        self.queues: dict[str, deque[Fragment]] = {}
        self.tamper = tamper

    def channel(self, name: str) -> InProcessChannel:
        """The channel of one participant."""
        self.queues[name] = deque()
        return InProcessChannel(self, name)


class InProcessChannel:
    """A participant's end of the hub."""

    def __init__(self, hub: InProcessHub, name: str):
        self.hub, self.name = hub, name

    def send(self, receiver: str, item: Outgoing) -> int:
        t = item.transfer
        start, stop = (t.rows.start, t.rows.stop) if t.rows else (0, 0)
        fragment = Fragment(
            item.key.session, item.key.epoch, item.key.frame, t.index, item.source, item.model_digest,
            start, stop, t.wire_shape, t.dtype, to_bytes(item.wire),
        )  # fmt: skip
        size = len(fragment.data)
        if self.hub.tamper:
            fragment = self.hub.tamper(receiver, fragment)
        if fragment is not None:
            self.hub.queues[receiver].append(fragment)
        return size

    def receive(self, timeout_s: float) -> Fragment | None:
        queue = self.hub.queues[self.name]
        return queue.popleft() if queue else None


class InProcessCluster:
    """All workers of a plan and the manager's side, run in turn by the calling thread.

    Parameters
    ----------
    models : PartitionedModel or list of PartitionedModel
        The model of each worker; one for all usually.
    plan : PartitionPlan
        What to run.
    on_cut : callable, optional
        `on_cut(worker index, stage, values, held rows)` after each stage, to compare tensors at cuts.
    """

    def __init__(self, models, plan: PartitionPlan, tamper: Tamper | None = None):
        self.models = models if isinstance(models, list) else [models] * len(plan.workers)
        self.plan = plan
        self.schedule = derive_schedule(self.models[0].graph, plan)
        hub = InProcessHub(tamper)
        self.coordinator = FrameCoordinator(hub.channel(MANAGER_NAME), report_grace_s=0.0)
        self.coordinator.inbox.prepare(1, 1, self.schedule)
        self.workers = [BandWorker(name, hub.channel(name)) for name in plan.workers]
        for i, worker in enumerate(self.workers):
            program = WorkerProgram(self.models[i], self.schedule, i)
            worker.install(1, 1, program, frame_timeout_s=float("inf"))
        self.frame = 0

    def run(self, frame: np.ndarray) -> Answer:
        """Answer one frame `(H, W, 3)` uint8.

        Raises
        ------
        RuntimeError
            When the workers stop before there is an answer, because fragments were dropped or refused.
        """
        key = FrameKey(1, 1, self.frame)
        self.frame += 1
        self.coordinator.start(key, self.schedule, frame)
        while any([worker.poll(0.0) for worker in self.workers]):
            pass
        while self.coordinator.take(0.0):
            pass
        answers = self.coordinator.finished()
        if not answers:
            refused = {w.name: dict(w.inbox.rejected) for w in self.workers if w.inbox.rejected}
            raise RuntimeError(f"no answer for {key}; refused fragments: {refused or 'none'}")
        return answers[0]


def run_whole(model: PartitionedModel, frame: np.ndarray) -> dict[str, torch.Tensor]:
    """All tensors of the model for one frame, computed whole, by name."""
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).unsqueeze(0)
    return model.nodes.run(pixels)


def owned_of(schedule, tensor: str, worker: int):
    """Rows of a tensor that a worker owns at the stage that makes it, as boundaries (start, stop)."""
    plan = schedule.plan
    stage = max(0, plan.stage_of(schedule.graph.index[tensor]))
    bounds = plan.owned(stage, schedule.graph.tensor(tensor).height)
    return (0, bounds[-1]) if worker == MANAGER else (bounds[worker], bounds[worker + 1])
