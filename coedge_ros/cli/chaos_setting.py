"""Clusters for the scenarios of `coedge chaos`."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coedge_ros.errors import UserError

if TYPE_CHECKING:
    from coedge_ros.cli.bench_cluster import BenchCluster

READY_LIMIT_S = 60.0
# Nothing is given up because it waits, and a frame that is late is issued again soon.
MANAGER = {
    "queue_frames": 1000, "frames_in_flight": 3, "frame_timeout_s": 0.8, "lost_after_s": 1.0, "track": True,
}  # fmt: skip
WORKER = {"profile_cache": True}  # who comes back is as fast as it was, and plans for it may be known
# Where all cores compute all the time: 3 s of frames, which a death makes late on a machine that is not overloaded, and
# longer until silence is death, as docs/architecture.md says of busy hosts.
BUSY = {"queue_frames": 30, "lost_after_s": 3.0, "suspect_after_s": 1.5}
# What is kept to be sent again is bounded by bytes and by age, so its size follows the plan; where memory is watched it
# is small, and always full.
SMALL_LOG = {"resend_bytes": 2**20}


@dataclass
class Setting:
    """What all clusters of a run have in common.

    Attributes
    ----------
    weights : str
        File with weights that make a wrong answer show.
    """

    model: str
    weights: str
    size: tuple[int, int]
    workers: int
    rate_hz: float
    rng: random.Random
    messages: int = 0  # broken ones, of the scenario fuzz
    soak_s: float = 0.0  # length of the scenario soak
    _known: dict[tuple[int, int], tuple[list, list]] = field(default_factory=dict)

    def pictures_and_answers(self, size: tuple[int, int]) -> tuple[list, list]:
        """Frames of a size, and what the whole model answers to each."""
        if size not in self._known:
            self._known[size] = pictures_and_answers(self.model, self.weights, size)
        return self._known[size]

    @contextmanager
    def cluster(
        self,
        values: dict[str, Any],
        *,
        size: tuple[int, int] | None = None,
        rate_hz: float = 0.0,
        manager: dict[str, Any] | None = None,
        worker: dict[str, Any] | None = None,
        kind: type[BenchCluster] | None = None,
    ) -> Iterator:
        """A cluster of its own in a domain of its own, all of its workers used: its `Hands`."""
        from coedge_ros.cli.bench_cluster import BenchCluster, own_domain
        from coedge_ros.cli.chaos_scenarios import Hands
        from coedge_ros.cli.chaos_traffic import Traffic
        from coedge_ros.nodes.collector import Listening

        own_domain()
        size = size or self.size
        pictures, expected = self.pictures_and_answers(size)
        names = tuple(w["name"] for w in values["workers"])
        with (
            (kind or BenchCluster)(
                values, self.model, self.weights, size, {**MANAGER, **(manager or {})}, {**WORKER, **(worker or {})}
            ) as cluster,
            Listening(cluster.namespace) as listening,
        ):
            traffic = Traffic(
                cluster.feeder, pictures, expected, rate_hz or self.rate_hz, lambda: listening.spin(0.005)
            )
            hands = Hands(cluster, listening, traffic, names, self)
            _wait_for_all(hands)
            yield hands


@contextmanager
def slow_boards(
    setting: Setting, manager: dict[str, Any] | None = None, worker: dict[str, Any] | None = None
) -> Iterator:
    """Boards so slow that splitting pays in the plan: all workers take part."""
    from coedge_ros.cli.bench_cluster import equal_workers

    values = equal_workers(setting.workers, 1)
    for worker in values["workers"]:
        worker["speed_factor"] = 0.08
    with (
        tempfile.TemporaryDirectory(prefix="coedge_chaos_") as folder,
        setting.cluster(values, manager=manager, worker={"flight_record": folder, **(worker or {})}) as hands,
    ):
        hands.flight_records = Path(folder)
        yield hands


def busy_boards(setting: Setting) -> AbstractContextManager:
    """The same where frames may come faster than they are answered for a long time: the newest win, as ever."""
    return slow_boards(setting, {**BUSY, **SMALL_LOG}, SMALL_LOG)


def pictures_and_answers(model: str, weights: str, size: tuple[int, int], count: int = 3):
    """Frames of noise and what the whole model answers to each."""
    import torch

    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.trace import PixelInput

    loaded = load_model(model, weights=weights or None)
    whole = PixelInput(loaded.module, loaded.mean, loaded.std).eval()
    pictures = [np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8) for i in range(count)]
    with torch.inference_mode():
        answers = [
            torch.utils._pytree.tree_leaves(whole(torch.from_numpy(p).permute(2, 0, 1).unsqueeze(0))) for p in pictures
        ]
    return pictures, answers


def _wait_for_all(hands) -> None:
    end = time.monotonic() + READY_LIMIT_S
    while not (hands.listening.record.plans and hands.all_used()):
        hands.listening.spin(0.05)
        if time.monotonic() > end:
            said = hands.status.message if hands.status else "nothing from the manager"
            raise UserError(f"not all workers were used within {READY_LIMIT_S:.0f} s: {said}")
