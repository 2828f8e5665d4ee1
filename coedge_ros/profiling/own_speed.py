"""A worker without frames finds out whether it is still as fast as when it started."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

QUIET_S = 1.0  # without frames for so long counts as idle
PERIOD_S, LONG_PERIOD_S = 0.5, 2.0
# A burst after a pause runs free under a processor quota: what would be news is measured for longer.
RUNS, LONG_RUNS = 5, 60
NEWS = 0.15  # by which part a factor must differ from what was last known
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
        Speed now, as a factor on that at `start`; NaN while there are frames, whose own times tell better.
    """

    def __init__(self, work: Callable[[], object] | None = None, clock: Callable[[], float] = time.perf_counter):
        self._work, self._clock = work or small_convolution(), clock
        self._fastest_s = math.inf
        self._next_s = -math.inf
        self._known = math.nan
        self.factor = math.nan

    def start(self) -> None:
        """Measure what later speeds are compared with: the fastest run, because what disturbs a run only ever adds."""
        self._fastest_s = min(self._seconds(1) for _ in range(FIRST_RUNS))

    def look(self, quiet_s: float) -> None:
        """Measure when it is time, `quiet_s` after the last frame was finished."""
        if quiet_s < QUIET_S or math.isinf(self._fastest_s):
            self.factor = math.nan
        elif self._clock() >= self._next_s:
            found, period_s = self._fastest_s / self._seconds(RUNS), PERIOD_S
            if not abs(found - self._known) <= NEWS * self._known:
                found, period_s = self._fastest_s / self._seconds(LONG_RUNS), LONG_PERIOD_S
            self.factor = self._known = found
            self._next_s = self._clock() + period_s

    def _seconds(self, runs: int) -> float:
        """Mean time of a run."""
        with torch.inference_mode():
            began = self._clock()
            for _ in range(runs):
                self._work()
            return (self._clock() - began) / runs
