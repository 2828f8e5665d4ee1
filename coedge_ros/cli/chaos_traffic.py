"""Frames at a steady rate into a cluster in which things break, and the account of what came out."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from coedge_ros.execution.comparison import TOLERANCE

SETTLE_S = 10.0  # answers may be under way for so long after the last frame


@dataclass
class Account:
    """What became of the frames of a scenario.

    Attributes
    ----------
    sent_s, answered_s : dict of int to float
        Frame number to monotonic seconds.
    answers : Counter
        Results per frame; more than one is a duplicate.
    wrong : int
        Results that differ from the whole model's answer by more than the tolerance.
    results : dict of int to InferenceResult
        The last one of each frame, without its tensors.
    fallbacks : list of float
        When the manager answered by itself.
    largest : tuple of float
        Largest max|diff| and the scale of that answer.
    """

    sent_s: dict[int, float] = field(default_factory=dict)
    answered_s: dict[int, float] = field(default_factory=dict)
    answers: Counter = field(default_factory=Counter)
    wrong: int = 0
    fallbacks: list[float] = field(default_factory=list)
    results: dict[int, Any] = field(default_factory=dict)
    largest: tuple[float, float] = (0.0, 1.0)

    @property
    def unanswered(self) -> int:
        """Frames without an answer: lost, unless the manager says that it dropped them."""
        return len(self.sent_s.keys() - self.answered_s.keys())

    @property
    def duplicated(self) -> int:
        """Results beyond the first of a frame, and of frames that nobody sent."""
        return sum(count - (number in self.sent_s) for number, count in self.answers.items())

    def latencies_s(self, since_s: float = 0.0, until_s: float = math.inf) -> list[float]:
        """Times from a frame to its first answer, of the frames that were sent in a span of time."""
        found = self.answered_s
        return [found[n] - at for n, at in self.sent_s.items() if n in found and since_s <= at <= until_s]

    def in_flight_s(self, at_s: float, now_s: float) -> float:
        """Longest time from a frame that was under way at `at_s` to its answer, or until `now_s` without one."""
        under_way = {n: sent for n, sent in self.sent_s.items() if sent <= at_s < self.answered_s.get(n, math.inf)}
        return max((self.answered_s.get(n, now_s) - sent for n, sent in under_way.items()), default=0.0)

    def worst_latency_s(self, since_s: float = 0.0) -> float:
        """Longest time from a frame to its first answer, of frames sent after `since_s`; 0 when there are none."""
        return max(self.latencies_s(since_s), default=0.0)


class Traffic:
    """Sends pictures in turn and checks every result against the whole model's answer.

    Parameters
    ----------
    feeder : Feeder
        Of the cluster.
    pictures : list of ndarray, shape (H, W, 3), uint8
        Of the model's size.
    expected : list of list of Tensor
        What the whole model answers to each.
    rate_hz : float
        Frames per second.
    idle : callable
        Called between frames: listens to plans and status.
    """

    def __init__(self, feeder, pictures: list[np.ndarray], expected: list, rate_hz: float, idle: Callable[[], None]):
        self.feeder, self.pictures, self.expected = feeder, pictures, expected
        self.period_s, self.idle = 1.0 / rate_hz, idle
        self.account = Account()
        self.epoch = 0  # of the newest answer
        self._next_s = time.monotonic()

    def reset(self) -> None:
        """Begin another account; what still comes of the old one is ignored."""
        self.account = Account()
        self._next_s = time.monotonic()

    def step(self, sends: bool = True) -> None:
        """Send a frame when it is time, take what has come, listen for a moment."""
        now = time.monotonic()
        if sends and now >= self._next_s:
            self._next_s = max(self._next_s + self.period_s, now)
            message = self.feeder.message(self.pictures[self._next_picture()])
            self.account.sent_s[message.header.stamp.sec] = time.monotonic()
            self.feeder.send(message)
        while (result := self.feeder.take(0.0)) is not None:
            self._check(result)
        self.idle()

    def run_for(self, seconds: float) -> None:
        """Traffic for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def run_until(self, condition: Callable[[], bool], limit_s: float) -> float | None:
        """Traffic until something holds: the seconds that it took, None when it did not within the limit."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > limit_s:
                return None
            self.step()
        return time.monotonic() - began

    def settle(self, dropped: Callable[[], int] = lambda: 0) -> None:
        """No more frames; wait for the answers that are under way, and a moment longer for duplicates.

        `dropped()` is how many the manager says it dropped.
        """
        end = time.monotonic() + SETTLE_S
        while self.account.unanswered > dropped() and time.monotonic() < end:
            self.step(sends=False)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            self.step(sends=False)

    def _next_picture(self) -> int:
        return (self.feeder.number + 1) % len(self.pictures)

    def _check(self, result) -> None:
        number, now = result.header.stamp.sec, time.monotonic()
        account = self.account
        if number not in account.sent_s:
            return
        account.answers[number] += 1
        account.answered_s.setdefault(number, now)
        if result.fallback:
            account.fallbacks.append(now)
        else:
            self.epoch = result.epoch
        expected = self.expected[number % len(self.pictures)]
        worst = (0.0, 1.0)
        for whole, tensor in zip(expected, result.tensors, strict=True):
            theirs = torch.frombuffer(tensor.data, dtype=getattr(torch, tensor.dtype)).reshape(tuple(tensor.shape))
            found = float((theirs - whole).abs().max()), float(whole.abs().max())
            worst = max(worst, found, key=lambda pair: pair[0] / pair[1])
        result.tensors = []  # the rest is kept
        account.results[number] = result
        account.wrong += worst[0] > TOLERANCE * worst[1]
        account.largest = max(account.largest, worst, key=lambda pair: pair[0] / pair[1])
