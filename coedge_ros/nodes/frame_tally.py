"""Counts answers as they are heard: latency, rate, lost ones, self-checks. No node, no clock."""

from __future__ import annotations

import math
from collections import deque

from coedge_ros.drawing.cluster_view import FrameLines
from coedge_ros.msg import InferenceResult, ManagerStatus

WINDOW_S = 10.0  # of latency and rate
LOST_AFTER_S = 5.0  # an accepted frame without an answer for so long is lost
_HISTORY_S = 60
_MOST = 5000  # answers within the window, and frames without one


class FrameTally:
    """Answers of the last seconds, and counts since the first one. Times are seconds of a clock that only goes on."""

    def __init__(self):
        self._latencies: deque[tuple[float, float]] = deque(maxlen=_MOST)  # when [s], latency [ms]
        self._seconds: deque[tuple[int, list[float]]] = deque(maxlen=_HISTORY_S + 2)
        self._open: dict[int, float] = {}  # numbers of frames that were passed over: since when [s]
        self._session, self._newest, self._began_s = 0, -1, math.nan
        self._fallbacks = self._again = self._late = self._checked = 0
        self._ratio, self._doubt = math.nan, ""

    def take(self, result: InferenceResult, now_s: float) -> None:
        """A frame was answered."""
        if result.session != self._session:
            self._session, self._newest = result.session, result.frame - 1
            self._open.clear()
        self._began_s = now_s if math.isnan(self._began_s) else self._began_s
        self._note_number(result.frame, now_s)
        latency_ms = result.latency_ms
        self._latencies.append((now_s, latency_ms))
        if not self._seconds or self._seconds[-1][0] != int(now_s):
            self._seconds.append((int(now_s), []))
        self._seconds[-1][1].append(latency_ms)
        self._fallbacks += result.fallback
        self._again += result.attempts > 1
        self._late += 0 < result.deadline_ms < latency_ms
        if not math.isnan(result.scale):
            self._checked += 1
            ratio = result.max_abs_diff / result.scale if result.scale > 0 else math.nan
            self._ratio = ratio if math.isnan(self._ratio) else max(self._ratio, ratio)
        self._doubt = result.fallback_reason if result.fallback_reason.startswith("self-check") else ""

    def _note_number(self, number: int, now_s: float) -> None:
        """Frames are numbered one by one: those that were passed over are still to come, or lost."""
        self._open.pop(number, None)
        if number > self._newest:
            first = max(self._newest + 1, number - _MOST)
            self._open.update((n, now_s) for n in range(first, number))
            self._newest = number
        while len(self._open) > _MOST:
            del self._open[next(iter(self._open))]

    def lines(self, status: ManagerStatus | None, now_s: float) -> FrameLines:
        """What the picture shows now.

        A frame counts as lost when both say so: its number was passed over long ago, and the manager has answered
        fewer than it has accepted. An answer that only did not reach us is not lost.
        """
        while self._latencies and now_s - self._latencies[0][0] > WINDOW_S:
            self._latencies.popleft()
        ordered = sorted(latency for _, latency in self._latencies)
        passed_over = sum(now_s - since > LOST_AFTER_S for since in self._open.values())
        unanswered = max(0, status.frames_accepted - status.frames_answered) if status else 0
        span_s = min(WINDOW_S, max(1.0, now_s - self._began_s)) if not math.isnan(self._began_s) else 1.0
        dropped = zip(status.dropped_reasons, status.dropped_counts, strict=False) if status else ()
        return FrameLines(
            p50_ms=_percentile(ordered, 0.50), p99_ms=_percentile(ordered, 0.99), per_s=len(ordered) / span_s,
            history_ms=self._history(now_s), accepted=status.frames_accepted if status else 0,
            answered=status.frames_answered if status else 0, dropped=tuple(dropped),
            lost=min(passed_over, unanswered), fallbacks=self._fallbacks, again=self._again, late=self._late,
            checked=self._checked, check_ratio=self._ratio, doubt=self._doubt,
        )  # fmt: skip

    def _history(self, now_s: float) -> tuple[float, ...]:
        """Medians of the whole seconds up to now."""
        medians = {second: _percentile(sorted(values), 0.5) for second, values in self._seconds}
        return tuple(medians.get(second, math.nan) for second in range(int(now_s) - _HISTORY_S, int(now_s)))


def _percentile(ordered: list[float], part: float) -> float:
    """Nearest rank; NaN of nothing."""
    return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan
