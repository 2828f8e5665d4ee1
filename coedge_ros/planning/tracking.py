"""Running estimates of workers' speeds and of links, from what frames and probes took."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from coedge_ros.spec.cluster import ClusterSpec, Link, WorkerSpec

SPEED_WINDOW, LINK_WINDOW = 5, 3  # samples: frames come quicker than probes
PLAIN = 2.0  # a change of speed by such a factor is believed after two samples instead of three
MESSAGE_BYTES = 30720  # links are compared by the time of such a message, one chunk between hosts
_MOST = 1e3  # how far a factor may be from 1: a sample beyond is no measurement


@dataclass(frozen=True, slots=True)
class Estimates:
    """What was measured since the workers announced themselves.

    Attributes
    ----------
    speed : mapping of str to float
        Worker to what its speed is now, as a factor on the speed that it announced; 1 for those that are left out.
    links : mapping of (str, str) to Link
        (from host, to host); as the cluster file says for those that are left out.
    """

    speed: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[tuple[str, str], Link] = field(default_factory=dict)

    def of(self, cluster: ClusterSpec) -> ClusterSpec:
        """The cluster with these figures. Pretended speeds stay pretended, measured times are scaled."""
        workers = tuple(_scaled(w, self.speed.get(w.name, 1.0)) for w in cluster.workers)
        return replace(cluster, workers=workers, links={**cluster.links, **self.links})

    def key(self) -> Hashable:
        """Equal for equal estimates."""
        return tuple(sorted(self.speed.items())), tuple(
            sorted((k, v.alpha_s, v.bytes_per_s) for k, v in self.links.items())
        )


def _scaled(worker: WorkerSpec, factor: float) -> WorkerSpec:
    return replace(
        worker, speed_factor=worker.speed_factor * factor, stage_s=worker.stage_s / factor,
        message_s=worker.message_s / factor,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between two estimates, of a worker or of a link; `ratio` is above 1, whichever is larger."""

    text: str
    ratio: float
    is_link: bool = False


def changes(before: Estimates, after: Estimates, cluster: ClusterSpec) -> list[Change]:
    """Differences, largest first. A link's is that of the time of a message of `MESSAGE_BYTES`."""
    found = []
    for name in {*before.speed, *after.speed}:
        old, new = before.speed.get(name, 1.0), after.speed.get(name, 1.0)
        found.append(Change(f"{name} runs at {new:.2f} of the speed it announced, not {old:.2f}", _ratio(old, new)))
    for pair in {*before.links, *after.links}:
        old, new = (e.links.get(pair) or cluster.link(*pair) for e in (before, after))
        ratio = _ratio(old.seconds(MESSAGE_BYTES), new.seconds(MESSAGE_BYTES))
        found.append(Change(f"{pair[0]} to {pair[1]} carries {_rate(new)}, not {_rate(old)}", ratio, True))
    return sorted((c for c in found if c.ratio > 1), key=lambda c: (-c.ratio, c.text))


def _ratio(a: float, b: float) -> float:
    return math.inf if math.isinf(a) != math.isinf(b) else 1.0 if a == b else max(a / b, b / a)


def _rate(link: Link) -> str:
    return f"{link.bytes_per_s / 125e3:.3g} Mbit/s after {link.alpha_s * 1e3:.2g} ms"


def _usual(samples: Sequence[float]) -> float:
    """Median; of the last three when the last two agree that it is plainly out of date."""
    middle = median(samples)
    last = samples[-2:]
    changed = all(s > PLAIN * middle for s in last) or all(s * PLAIN < middle for s in last)
    return median(samples[-3:]) if changed else middle


def _second_best(samples: Sequence[float]) -> float:
    return sorted(samples)[-2]


class Tracker:
    """Robust figures of the last samples.

    Of a speed the median, but for plain changes: a processor quota does not hit every frame alike. Of a link the second
    best: what else is on it only ever slows a probe, and the very best may be an error.
    """

    def __init__(self):
        self._speed: dict[str, deque[float]] = {}
        self._alpha: dict[tuple[str, str], deque[float]] = {}
        self._rate: dict[tuple[str, str], deque[float]] = {}

    def computed(self, worker: str, expected_s: float, compute_s: float) -> None:
        """A worker computed its part of a frame.

        Parameters
        ----------
        expected_s : float
            Time that it would take with the speed that the worker announced [s].
        compute_s : float
            Time that it took [s].
        """
        if expected_s > 0 and compute_s > 0:
            self.checked(worker, expected_s / compute_s)

    def checked(self, worker: str, factor: float) -> None:
        """A worker found out its speed by itself, as a factor on what it announced."""
        if 1 / _MOST < factor < _MOST:  # also refuses NaN
            self._speed.setdefault(worker, deque(maxlen=SPEED_WINDOW)).append(factor)

    def carried(self, source: str, target: str, link: Link) -> None:
        """A link between two hosts was measured; its rate is NaN where only its latency was."""
        if not (link.alpha_s >= 0 and (0 < link.bytes_per_s < math.inf or math.isnan(link.bytes_per_s))):
            return
        self._alpha.setdefault((source, target), deque(maxlen=LINK_WINDOW)).append(-link.alpha_s)
        if not math.isnan(link.bytes_per_s):
            self._rate.setdefault((source, target), deque(maxlen=LINK_WINDOW)).append(link.bytes_per_s)

    def forget(self, worker: str) -> None:
        """A worker is gone, or another process announces another speed."""
        self._speed.pop(worker, None)

    @property
    def estimates(self) -> Estimates:
        """The figures of now: those with a full window, because one sample tells nothing."""
        return Estimates(
            {w: _usual(list(found)) for w, found in sorted(self._speed.items()) if len(found) == SPEED_WINDOW},
            {
                pair: Link(-_second_best(self._alpha[pair]), _second_best(found))
                for pair, found in sorted(self._rate.items())
                if len(found) == LINK_WINDOW
            },
        )
