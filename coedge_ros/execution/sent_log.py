"""What was sent lately, so that it can be sent again to a receiver that lacks it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from coedge_ros.execution.fragment import FrameKey

JUST_SENT_S = 0.02  # it may have crossed the request on the way


@dataclass(slots=True)
class Sent:
    """A transfer as it went out; `payload` is whatever the channel sends again."""

    receiver: str
    payload: Any
    size_bytes: int
    at_s: float


class SentLog:
    """The newest transfers, at most `max_bytes` of them and none older than `keep_s`.

    Parameters
    ----------
    max_bytes : int
        Payload that is kept; 0 keeps nothing.
    keep_s : float
        Frames do not wait longer than this for what they lack.
    """

    def __init__(self, max_bytes: int, keep_s: float = 5.0):
        self.max_bytes, self.keep_s = max_bytes, keep_s
        self.held_bytes = 0
        self._sent: OrderedDict[tuple[FrameKey, int], Sent] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sent)

    def keep(self, key: FrameKey, transfer: int, sent: Sent) -> None:
        """Remember a transfer, and forget the oldest ones where there are too many or they are of no use any more."""
        if sent.size_bytes > self.max_bytes:
            return
        if old := self._sent.pop((key, transfer), None):
            self.held_bytes -= old.size_bytes
        self._sent[(key, transfer)] = sent
        self.held_bytes += sent.size_bytes
        while self.held_bytes > self.max_bytes or next(iter(self._sent.values())).at_s < sent.at_s - self.keep_s:
            self.held_bytes -= self._sent.popitem(last=False)[1].size_bytes

    def find(self, key: FrameKey, transfer: int) -> Sent | None:
        """What was sent; None when it was not, or is not kept any more."""
        return self._sent.get((key, transfer))
