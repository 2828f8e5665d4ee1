"""Bytes per second of a worker, from the counters in its status."""

import math
from collections import deque

from coedge_ros.msg import WorkerStatus

_SPAN_S = 1.0  # over which bytes are counted, at least
_KEPT = 16  # statuses: workers send several per second


class ByteRate:
    """Of one worker. Times are seconds of a clock that does not run backwards."""

    def __init__(self):
        self._counted: deque[tuple[float, int, int]] = deque(maxlen=_KEPT)  # time, bytes in, bytes out
        self._instance = 0

    def take(self, status: WorkerStatus, now_s: float) -> None:
        """The worker said how it is; one that was started again counts from zero."""
        if status.instance != self._instance:
            self._instance = status.instance
            self._counted.clear()
        self._counted.append((now_s, status.bytes_in, status.bytes_out))

    def per_second(self) -> tuple[float, float]:
        """Bytes in and out per second, up to its newest status; NaN before two statuses are far enough apart."""
        if not self._counted:
            return math.nan, math.nan
        now_s, bytes_in, bytes_out = self._counted[-1]
        before = next((sample for sample in reversed(self._counted) if now_s - sample[0] >= _SPAN_S), None)
        if before is None:
            return math.nan, math.nan
        span_s = now_s - before[0]
        return max(0, bytes_in - before[1]) / span_s, max(0, bytes_out - before[2]) / span_s
