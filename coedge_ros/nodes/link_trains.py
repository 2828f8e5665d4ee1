"""Trains of messages over a link that may lose some of them: what one says. Without ROS and without clocks."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from coedge_ros.spec.cluster import Link

MESSAGES, MESSAGE_BYTES = 4, 6144  # beyond a token bucket's burst, 2 ms at 100 Mbit/s: 0.4 % of such a link
TRAIN_BYTES = MESSAGES * MESSAGE_BYTES
PERIOD_S, MOST_PERIOD_S = 0.5, 1.0
LINK_SHARE = 0.05  # of a slow link that trains of one sender may take
COALESCED_S = 0.0002  # network cards hand over what came within about so long at once
MOST_BYTES_PER_S = 3e8  # messages that come closer tell nothing: their receiver was not awake before
MISSED_S = 1.5  # a train that is not answered by then is lost
MISSED_IN_A_ROW = 3  # single ones are lost on links that lose packets


@dataclass(slots=True)
class IncomingTrain:
    """One that is coming in: its number, when it and its last message came [s].

    The rate is that of messages that came right behind each other: on a link that loses packets at random the gaps
    would make it look slower than it is, on one whose queue overflows the lost messages faster. Where the receiver's
    processor is busy, messages wait for it and then come all at once; where the sender's is, or frames come between,
    one comes late. So it is the middle one of three gaps that no card has closed, and the longer one of two.
    """

    number: int
    began_s: float
    last_index: int = 0
    last_s: float = 0.0
    gaps: list[tuple[int, float]] = field(default_factory=list)  # bytes of a message, seconds after the one before

    def take(self, index: int, size_bytes: int, came_s: float) -> None:
        """A message with data, `index` from 1; those that come out of order are left out."""
        if index <= self.last_index:
            return
        if index == self.last_index + 1 and index > 1:
            self.gaps.append((size_bytes, came_s - self.last_s))
        self.last_index, self.last_s = index, came_s

    @property
    def bytes_per_s(self) -> float:
        """The rate at which messages came, 0 when too few came to tell."""
        seconds = [gap_s for _, gap_s in self.gaps]
        if max(seconds, default=0.0) <= COALESCED_S:  # a quick link, or what came at once: only a whole train can tell
            rates = [_rate(sum(size for size, _ in self.gaps), sum(seconds))] if len(seconds) == MESSAGES - 1 else []
        else:
            rates = sorted(_rate(*gap) for gap in self.gaps if gap[1] > COALESCED_S)
        rate = rates[(len(rates) - 1) // 2] if rates else 0.0
        return rate if rate <= MOST_BYTES_PER_S else 0.0


def _rate(size_bytes: float, seconds: float) -> float:
    return size_bytes / seconds if seconds > 0 else math.inf


@dataclass(slots=True)
class SentTrains:
    """Trains to one peer that are not answered yet, and what is known of the link to it."""

    _open: deque[tuple[int, float]] = field(default_factory=deque)
    _missed: int = 0
    _bytes_per_s: float = 0.0
    _next_s: float = float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for another train: less often where they would take more than `LINK_SHARE` of the link."""
        return now_s >= self._next_s

    def sent(self, number: int, now_s: float) -> None:
        """A train is on its way."""
        self._open.append((number, now_s))
        period_s = TRAIN_BYTES / (LINK_SHARE * self._bytes_per_s) if self._bytes_per_s else PERIOD_S
        self._next_s = now_s + min(max(PERIOD_S, period_s), MOST_PERIOD_S) - PERIOD_S / 2

    def missed(self, now_s: float) -> list[Link]:
        """What trains say that never came back: the link carries less than one of them in `MISSED_S`."""
        found = []
        while self._open and now_s - self._open[0][1] > MISSED_S:
            self._open.popleft()
            self._missed += 1
            if self._missed >= MISSED_IN_A_ROW:
                self._bytes_per_s = TRAIN_BYTES / MISSED_S
                found.append(Link(MISSED_S / 2, self._bytes_per_s))
        return found

    def answered(self, number: int, came_s: float, hold_s: float, bytes_per_s: float) -> Link | None:
        """The link as a train's answer tells it, None for a train that is not waited for.

        Parameters
        ----------
        hold_s : float
            Between the train's first message and the answer, at the peer [s].
        bytes_per_s : float
            0 when too little of the train came to tell: then the link's is NaN. The last known one again would make
            one sample count as many.
        """
        sent_s = dict(self._open).get(number)
        if sent_s is None:
            return None
        while self._open[0][0] != number:
            self._open.popleft()
        self._open.popleft()
        self._missed = 0
        self._bytes_per_s = bytes_per_s or self._bytes_per_s
        return Link(max(0.0, (came_s - sent_s - hold_s) / 2), bytes_per_s or math.nan)
