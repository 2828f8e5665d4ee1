"""Which workers are there and can be used: from their status messages, without ROS."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from coedge_ros.spec.schedule import MANAGER_NAME

MAX_MEMBERS = 256  # names come from the network
PATIENCE = 3  # a second that a status came late lately gives a worker so many seconds more
MOST_PATIENCE_S = 3.0
LOADING_S = (
    5.0  # a worker that loads may be silent for so long: nothing waits for it, and loading holds up its statuses
)
FORGET = 0.99  # of that, per sign of life
_NOBODY: Mapping[str, float] = MappingProxyType({})
APART_S = 0.2  # of two suspects one is dead and the other waits for it, mostly: between two losses by suspicion


@dataclass(slots=True)
class Member:
    """A worker as the manager knows it.

    Attributes
    ----------
    heard_s : float
        When its last sign of life came, monotonic seconds.
    ready : bool
        Whether it has its model loaded and can work.
    size : tuple of int
        Input size (H, W) that its model was loaded for.
    matched : frozenset of str
        Participants that it can send to and receive from.
    prepared : frozenset of (int, int)
        (session, epoch) of the plans that it can run.
    instance : int
        Another one means that the worker was restarted.
    message : str
        What it says of itself.
    """

    name: str
    heard_s: float
    ready: bool
    digest: str
    size: tuple[int, int]
    speed_macs_per_s: float
    matched: frozenset[str]
    prepared: frozenset[tuple[int, int]]
    instance: int = 0
    message: str = ""

    @property
    def standing(self) -> tuple:
        """What plans depend on; two statuses with the same bring no news."""
        return self.ready, self.digest, self.size, self.matched, self.prepared, self.instance


class Heard(Enum):
    """What a status told."""

    KNOWN = "known"
    JOINED = "joined"
    RESTARTED = "restarted"
    NAMESAKE = "namesake"  # an earlier process of that name is still alive: two workers share it
    TOO_MANY = "too many"


class Membership:
    """Workers that have announced themselves.

    Parameters
    ----------
    expected : tuple of str
        Workers that the first plan waits for.
    lost_after_s : float
        A worker that is silent for this long is gone.
    suspect_after_s : float
        The same for a worker that an overdue frame waits for.

    Attributes
    ----------
    busy : frozenset of str
        Workers that load another model, as they were asked to, beside their frames: they may be silent for longer.

    Where all cores compute, statuses come late from workers that live: those have longer, see `PATIENCE`.
    """

    def __init__(self, expected: tuple[str, ...], lost_after_s: float, suspect_after_s: float = math.inf):
        self.expected, self.lost_after_s = expected, lost_after_s
        self.suspect_after_s = min(suspect_after_s, lost_after_s)
        self.members: dict[str, Member] = {}
        self.refused: dict[str, str] = {}
        self.busy: frozenset[str] = frozenset()
        self._replaced: dict[str, deque[int]] = {}  # instances that another process of the same name has followed
        self._barred: dict[str, tuple[int, str]] = {}
        self._late_s: dict[str, float] = {}  # how late statuses came lately
        self._lost: dict[str, tuple[int, float]] = {}  # instance of who is gone, and when it was last heard
        self._suspected_s = -math.inf  # when the last one was lost by suspicion

    def heard(self, member: Member) -> Heard:
        """Take a status."""
        known = self.members.get(member.name)
        if member.instance in self._replaced.get(member.name, ()):
            return Heard.NAMESAKE
        if known is None and len(self.members) >= MAX_MEMBERS:
            return Heard.TOO_MANY
        self.members[member.name] = member
        if known is None:
            instance, heard_s = self._lost.pop(member.name, (None, 0.0))
            silent_s = member.heard_s - heard_s
            if instance == member.instance and silent_s < self.lost_after_s:  # suspected in vain; longer is an outage
                self._late_s[member.name] = max(0.0, silent_s - self.suspect_after_s)
            return Heard.JOINED
        if known.instance == member.instance:
            if not (known.ready and member.ready and known.prepared):  # without a plan nothing waits for it
                return Heard.KNOWN
            self._learn(member.name, member.heard_s - known.heard_s)
            return Heard.KNOWN
        self._replaced.setdefault(known.name, deque(maxlen=8)).append(known.instance)
        return Heard.RESTARTED

    def lives(self, name: str, heard_s: float) -> None:
        """Take another sign of life than a status: rows or a report of a frame came at `heard_s`, monotonic seconds.

        A worker that computes sends them from another thread than its statuses, mostly more often.
        """
        member = self.members.get(name)
        if member is not None and heard_s > member.heard_s:
            self._learn(name, heard_s - member.heard_s)
            member.heard_s = heard_s

    def _learn(self, name: str, silent_s: float) -> None:
        self._late_s[name] = max(silent_s - self.suspect_after_s, FORGET * self._late_s.get(name, 0.0))

    def lose_silent(self, now_s: float, waited_for: Mapping[str, float] = _NOBODY) -> list[str]:
        """Remove and return workers that have been silent for too long.

        For those that a late frame waits for it takes less, `waited_for` times `suspect_after_s`: silence alone is a
        busy processor's too. Of several of them the one that has been silent for longest goes first, and the next only
        when that was not enough.
        """
        silent_s = {m.name: now_s - m.heard_s for m in self.members.values()}
        gone = [name for name, s in silent_s.items() if s > self._limit_s(name, _NOBODY)]
        suspects = [n for n in waited_for if n in silent_s and silent_s[n] > self._limit_s(n, waited_for)]
        if not gone and suspects and now_s - self._suspected_s > APART_S:
            self._suspected_s = now_s
            gone = [max(suspects, key=silent_s.__getitem__)]
        for name in gone:
            lost = self.members.pop(name)
            self._lost[name] = lost.instance, lost.heard_s
            while len(self._lost) > MAX_MEMBERS:
                del self._lost[next(iter(self._lost))]
            self._replaced.pop(name, None)
            self._barred.pop(name, None)
            while len(self._late_s) > MAX_MEMBERS:  # kept for its return: its host is as busy as it was
                del self._late_s[next(iter(self._late_s))]
        return gone

    def _limit_s(self, name: str, waited_for: Mapping[str, float]) -> float:
        if name in self.busy:
            return max(self.lost_after_s, LOADING_S)
        if not self.members[name].ready and name not in waited_for:
            return max(self.lost_after_s, LOADING_S)
        limit_s = self.lost_after_s
        if name in waited_for:
            limit_s = min(waited_for[name] * self.suspect_after_s, limit_s)
        return limit_s + min(PATIENCE * self._late_s.get(name, 0.0), MOST_PATIENCE_S)

    def excuse(self, seconds: float) -> None:
        """The manager itself has not run for a while: that is nobody's silence."""
        for member in self.members.values():
            member.heard_s += seconds

    def bar(self, name: str, reason: str) -> None:
        """Do not use a worker until it is restarted."""
        if name in self.members:
            self._barred[name] = (self.members[name].instance, reason)

    def is_alive(self, name: str, instance: int) -> bool:
        """Whether a worker is still the process that it was and able to work."""
        member = self.members.get(name)
        return member is not None and member.ready and member.instance == instance and not self._bar_of(member)

    def has_prepared(self, name: str, instance: int, session: int, epoch: int) -> bool:
        """Whether a worker is still the process that it was and can run a plan, be it in use or on its way out."""
        member = self.members.get(name)
        return member is not None and member.instance == instance and (session, epoch) in member.prepared

    def usable(
        self, digest: str, size: tuple[int, int], reachable: Collection[str], first: Collection[str] = ()
    ) -> list[Member]:
        """Workers that a plan can be made for, in the order of their names; fills `refused` with the others' reasons.

        All of them match each other and the manager both ways. Where some do not, workers `first` (those of the plan in
        force) are kept rather than newcomers.

        Parameters
        ----------
        digest, size
            Of the manager's model.
        reachable : collection of str
            Workers that the manager can send to and receive from.
        """
        self.refused.clear()
        chosen: list[Member] = []
        for member in sorted(self.members.values(), key=lambda m: (m.name not in first, m.name)):
            reason = self._unfit(member, digest, size) or self._unconnected(member, reachable, chosen)
            if reason:
                self.refused[member.name] = reason
            else:
                chosen.append(member)
        return sorted(chosen, key=lambda m: m.name)

    def missing(self, usable: Collection[Member]) -> list[str]:
        """Expected workers that cannot be used yet."""
        there = {m.name for m in usable}
        return [name for name in self.expected if name not in there]

    def reason(self, name: str) -> str:
        """Why a worker cannot be used."""
        return self.refused.get(name, "has not announced itself" if name not in self.members else "is not ready yet")

    def _bar_of(self, member: Member) -> str:
        instance, reason = self._barred.get(member.name, (None, ""))
        return reason if instance == member.instance else ""

    def _unfit(self, member: Member, digest: str, size: tuple[int, int]) -> str:
        if not member.ready:
            return f"is not ready: {member.message}" if member.message else "is not ready yet"
        if member.digest != digest:
            return f"has weights {member.digest[:12]}, the manager {digest[:12]}"
        if member.size != size:
            return f"was loaded for {member.size[0]}x{member.size[1]}, the manager for {size[0]}x{size[1]}"
        if not (math.isfinite(member.speed_macs_per_s) and member.speed_macs_per_s > 0):
            return f"says that its speed is {member.speed_macs_per_s}"
        return self._bar_of(member)

    @staticmethod
    def _unconnected(member: Member, reachable: Collection[str], chosen: list[Member]) -> str:
        lacking = [m.name for m in chosen if m.name not in member.matched or member.name not in m.matched]
        if member.name not in reachable or MANAGER_NAME not in member.matched:
            lacking.append("the manager")
        return f"has no connection yet to {', '.join(lacking)}" if lacking else ""
