"""Two workers and the manager's side of a small model in one process, with a clock that is set by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn

from coedge_ros.execution.band_worker import BandWorker
from coedge_ros.execution.coordinator import FrameCoordinator
from coedge_ros.execution.fragment import FrameKey
from coedge_ros.execution.in_process import InProcessHub
from coedge_ros.execution.program import WorkerProgram
from coedge_ros.graph.lower import partition_model
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import plan_from_shares

torch.set_num_threads(1)
NAMES = ("top", "bottom")


@cache
def model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)).eval()
    return partition_model(net, 12, 10, digest="d" * 64)


@cache
def schedule():
    return derive_schedule(model().graph, plan_from_shares(model().graph, NAMES, [1, 1], layer_cuts(model().graph)))


def program(index: int) -> WorkerProgram:
    return WorkerProgram(model(), schedule(), index)


class Bench:
    """Two workers and the manager's side, and a clock that stands still."""

    def __init__(self, hub: InProcessHub | None = None, **options):
        self.now_s, self.events = 0.0, []
        self.hub = hub or InProcessHub()
        self.coordinator = FrameCoordinator(self.hub.channel("manager"), clock=self.clock)
        self.workers = {
            name: BandWorker(
                name, self.hub.channel(name), clock=self.clock, on_event=self.note if name == "top" else None, **options
            )
            for name in NAMES
        }
        self.install(1, 1)

    def clock(self) -> float:
        return self.now_s

    def note(self, key: FrameKey, stage: int) -> None:
        self.events.append((key.frame, stage))

    def install(self, session: int, epoch: int) -> None:
        self.coordinator.inbox.prepare(session, epoch, schedule())
        for index, name in enumerate(NAMES):
            self.workers[name].install(session, epoch, program(index), frame_timeout_s=2.0)

    def start(self, frame: int, session: int = 1, epoch: int = 1) -> FrameKey:
        key = FrameKey(session, epoch, frame)
        pixels = np.random.default_rng(frame).integers(0, 256, (12, 10, 3), dtype=np.uint8)
        self.coordinator.start(key, schedule(), pixels)
        return key

    def run(self, *names: str) -> None:
        """Poll until nobody can go on."""
        while sum(self.workers[name].poll(0.0) for name in names or NAMES):
            pass

    def answers(self) -> list:
        while self.coordinator.take(0.0):
            pass
        return self.coordinator.finished()
