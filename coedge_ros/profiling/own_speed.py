"""A worker without frames, or with next to nothing to do for them, finds out whether it is as fast as at its start."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

QUIET_S = 1.0  # without frames for so long counts as idle
PERIOD_S, LONG_PERIOD_S = 1.0, 2.0
# A burst after a pause runs free under a processor quota: what would be news is measured for longer.
RUNS, LONG_RUNS = 5, 60
NEWS = 0.2  # by which part a factor must differ from what was last known
FIRST_RUNS = 40


def small_convolution() -> Callable[[], object]:
    """Work of about a millisecond, of the kind that workers do."""
    image, weight = torch.zeros(1, 16, 56, 56), torch.zeros(32, 16, 3, 3)
    return lambda: F.conv2d(image, weight, padding=1)


class OwnSpeed:
    """Main thread of a worker, but for `start`.

    Attributes
    ----------
    factor : float
        Speed now, as a factor on that at `start`; NaN while frames are computed whose own times tell better.
    """

    def __init__(self, work: Callable[[], object] | None = None, clock: Callable[[], float] = time.perf_counter):
        self._work, self._clock = work or small_convolution(), clock
        self._fastest_s = math.inf
        self._next_s = -math.inf
        self._known = math.nan
        self.factor = math.nan

    def start(self) -> None:
        """Measure what later speeds are compared with: the fastest run, because what disturbs a run only ever adds."""
        self._fastest_s = self._least_s(FIRST_RUNS)

    def look(self, quiet_s: float, is_serving: bool = False) -> None:
        """Measure when it is time, `quiet_s` after the last frame was finished that tells how fast this worker is.

        Where it serves frames that do not, it measures for a few milliseconds only, and not in the middle of one. Where
        it is idle, the fastest of a few runs tells whether there is news: after a pause memory is cold, and a mean of
        so few would say that a worker at rest is a third slower.
        """
        if quiet_s < QUIET_S or math.isinf(self._fastest_s):
            self.factor = math.nan
        elif self._clock() >= self._next_s:
            if is_serving:
                found, period_s = self._fastest_s / self._mean_s(RUNS), LONG_PERIOD_S
            else:
                found, period_s = self._fastest_s / self._least_s(RUNS), PERIOD_S
                if not abs(found - self._known) <= NEWS * self._known:
                    found, period_s = self._fastest_s / self._mean_s(LONG_RUNS), LONG_PERIOD_S
            self.factor = self._known = found
            self._next_s = self._clock() + period_s

    def _least_s(self, runs: int) -> float:
        """Time of the fastest run."""
        return min(self._mean_s(1) for _ in range(runs))

    def _mean_s(self, runs: int) -> float:
        """Mean time of a run."""
        with torch.inference_mode():
            began = self._clock()
            for _ in range(runs):
                self._work()
            return (self._clock() - began) / runs
