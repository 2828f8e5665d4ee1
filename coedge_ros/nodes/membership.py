"""Which workers are there: from their status messages, without ROS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Member:
    """A worker as the manager knows it. Times are monotonic seconds."""

    name: str
    heard_s: float
    ready: bool
    digest: str
    size: tuple[int, int]
    speed_macs_per_s: float
    matched: frozenset[str]
    session: int
    prepared: frozenset[int]
    instance: float = 0.0  # changes when the worker was restarted


class Membership:
    """Workers that have announced themselves.

    Parameters
    ----------
    expected : tuple of str
        Workers that the first plan waits for.
    lost_after_s : float
        A worker that is silent for this long is gone.
    """

    def __init__(self, expected: tuple[str, ...], lost_after_s: float):
        self.expected, self.lost_after_s = expected, lost_after_s
        self.members: dict[str, Member] = {}
        self.refused: dict[str, str] = {}

    def heard(self, member: Member) -> bool:
        """Take a status; returns whether the worker is new."""
        known = member.name in self.members
        self.members[member.name] = member
        return not known

    def lose_silent(self, now_s: float) -> list[str]:
        """Remove and return workers that have been silent for too long."""
        gone = [m.name for m in self.members.values() if now_s - m.heard_s > self.lost_after_s]
        for name in gone:
            del self.members[name]
        return gone

    def usable(self, digest: str, size: tuple[int, int]) -> list[Member]:
        """Ready workers with the manager's model, ordered by name; fills `refused` with the others' reasons."""
        self.refused.clear()
        good = []
        for member in sorted(self.members.values(), key=lambda m: m.name):
            if not member.ready:
                self.refused[member.name] = "is not ready yet"
            elif member.digest != digest:
                self.refused[member.name] = f"has weights {member.digest[:12]}, the manager {digest[:12]}"
            elif member.size != size:
                self.refused[member.name] = f"was loaded for {member.size[0]}x{member.size[1]}, not {size[0]}x{size[1]}"
            else:
                good.append(member)
        names = {m.name for m in good} | {"manager"}
        connected = [m for m in good if names - {m.name} <= m.matched | {m.name}]
        for member in good:
            if member not in connected:
                lacking = ", ".join(sorted(names - member.matched - {member.name}))
                self.refused[member.name] = f"has no connection yet to {lacking}"
        return connected

    def missing(self, usable: list[Member]) -> list[str]:
        """Expected workers that cannot be used yet."""
        there = {m.name for m in usable}
        return [name for name in self.expected if name not in there]
