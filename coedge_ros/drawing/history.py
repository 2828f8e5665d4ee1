"""What the workers did over time, kept within a bound."""

import math
from collections import deque
from dataclasses import dataclass

SAMPLES_PER_WORKER = 20_000  # more than an hour at five per second; after that the oldest are forgotten
MARKS = 200


@dataclass(frozen=True, slots=True)
class LoadSample:
    """Load of one worker at one time: seconds since the history began, busy fraction [0, 1]."""

    time_s: float
    load: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: seconds since the history began, a few words."""

    time_s: float
    text: str


class LoadHistory:
    """Loads of all workers since the first sample, and events such as new plans.

    Attributes
    ----------
    samples : dict of str to deque of LoadSample
        By worker, in the order in which they were first heard of.
    marks : deque of Mark
        Events, oldest first.
    frames : dict of str to int
        Frames that each worker took part in.
    energy_j : dict of str to float
        Modelled energy of each worker for those frames [J].
    macs : dict of str to int
        Multiply-accumulates that each worker executed for those frames.
    """

    def __init__(self):
        self._start_s: float | None = None
        self.samples: dict[str, deque[LoadSample]] = {}
        self.marks: deque[Mark] = deque(maxlen=MARKS)
        self.frames: dict[str, int] = {}
        self.energy_j: dict[str, float] = {}
        self.macs: dict[str, int] = {}

    def add_load(self, worker: str, now_s: float, load: float) -> None:
        """Record a load; `now_s` is any clock that does not run backwards [s]."""
        sample = LoadSample(self._since_start(now_s), min(max(load, 0.0), 1.0) if math.isfinite(load) else 0.0)
        self.samples.setdefault(worker, deque(maxlen=SAMPLES_PER_WORKER)).append(sample)

    def add_mark(self, now_s: float, text: str) -> None:
        """Record an event."""
        self.marks.append(Mark(self._since_start(now_s), text))

    def add_work(self, worker: str, macs: int, energy_j: float) -> None:
        """Record one frame's work of one worker."""
        self.frames[worker] = self.frames.get(worker, 0) + 1
        self.macs[worker] = self.macs.get(worker, 0) + macs
        self.energy_j[worker] = self.energy_j.get(worker, 0.0) + (energy_j if math.isfinite(energy_j) else 0.0)

    def work_shares(self) -> dict[str, float]:
        """Each worker's part of all multiply-accumulates, [0, 1]; empty when none were counted."""
        total = sum(self.macs.values())
        return {worker: macs / total for worker, macs in self.macs.items()} if total else {}

    def _since_start(self, now_s: float) -> float:
        if self._start_s is None:
            self._start_s = now_s
        return now_s - self._start_s
