"""What the simulator's frames compete for: ports, cores, and links whose rate changes over time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BandwidthTrace:
    """Factors on the rate of all links between hosts.

    `factors[i]` from `times_s[i]` on; the first from the beginning.
    """

    times_s: tuple[float, ...]
    factors: tuple[float, ...]

    def __post_init__(self):
        assert len(self.times_s) == len(self.factors) and list(self.times_s) == sorted(self.times_s), self
        assert min(self.factors) > 0, "a trace must leave some bandwidth"

    def factor(self, time_s: float) -> float:
        """Factor at a time."""
        return self.factors[max(0, bisect_right(self.times_s, time_s) - 1)]

    def duration(self, start_s: float, nominal_s: float) -> float:
        """Time that something of `nominal_s` at factor 1 takes when it starts at `start_s`."""
        now, left = start_s, nominal_s
        index = max(0, bisect_right(self.times_s, start_s) - 1)
        while True:
            end = self.times_s[index + 1] if index + 1 < len(self.times_s) else float("inf")
            need = left / self.factors[index]
            if now + need <= end:
                return now + need - start_s
            left -= (end - now) * self.factors[index]
            now, index = end, index + 1


CONSTANT = BandwidthTrace((0.0,), (1.0,))


class Port:
    """One end of a participant's link: a queue, one message at a time."""

    __slots__ = ("busy", "queue")

    def __init__(self):
        self.queue: deque = deque()
        self.busy = False


class Processors:
    """The cores of one host, shared evenly by the threads that are busy."""

    def __init__(self, cores: float, slow_when_measured: float):
        self.cores, self.measured = cores, slow_when_measured
        self.left: dict[int, float] = {}
        self.threads: dict[int, int] = {}
        self.since, self.version = 0.0, 0

    def speed(self) -> float:
        """Work per second of each task that runs now, against the measured speed."""
        demand = sum(self.threads[w] for w in self.left)
        return self.measured / max(1.0, demand / self.cores) if demand else self.measured

    def advance(self, now: float) -> None:
        """Take off what was computed since the last change."""
        done = (now - self.since) * self.speed()
        for worker in self.left:
            self.left[worker] -= done
        self.since = now
        self.version += 1

    def next_end(self) -> tuple[float, int] | None:
        """When the next task ends, and whose it is."""
        if not self.left:
            return None
        worker = min(self.left, key=lambda w: (self.left[w], w))
        return self.since + max(self.left[worker], 0.0) / self.speed(), worker
