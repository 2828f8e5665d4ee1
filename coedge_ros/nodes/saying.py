"""Log lines about what keeps coming in: each text now and then, and never a flood."""

from __future__ import annotations

import time
from collections import deque

PERIOD_S = 2.0
MOST = 5  # texts within a period; what comes from the network can make ever new ones


class Sayer:
    """Logs errors, but the same text at most once in a period, and few texts in all."""

    def __init__(self, log):
        self._log = log
        self._said: deque[tuple[float, str]] = deque(maxlen=MOST)

    def error(self, text: str) -> None:
        """Log a text, unless it or too many others were logged just now."""
        now_s = time.monotonic()
        while self._said and now_s - self._said[0][0] > PERIOD_S:
            self._said.popleft()
        if len(self._said) < MOST and all(text != said for _, said in self._said):
            self._said.append((now_s, text))
            self._log.error(text)
