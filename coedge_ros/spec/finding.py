"""What one check of `coedge doctor` found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # works, or worked so far, but not as well as it could
    FAIL = "fail"  # does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table.

    Attributes
    ----------
    check : str
        What was looked at.
    found : str
        What is there.
    cure : str
        What to do; empty when nothing needs to be done.
    """

    check: str
    level: Level
    found: str
    cure: str = ""

    def __post_init__(self):
        assert self.level is Level.OK or self.cure, f"{self.check}: a complaint without a cure helps nobody"

    def __str__(self) -> str:
        return f"{self.check}: {self.level.value}: {self.found}" + (f"; {self.cure}" if self.cure else "")


def ok(check: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, found)


def warn(check: str, found: str, cure: str) -> Finding:
    """Works, with a disadvantage."""
    return Finding(check, Level.WARN, found, cure)


def fail(check: str, found: str, cure: str) -> Finding:
    """Does not work."""
    return Finding(check, Level.FAIL, found, cure)


def has_failed(findings: Iterable[Finding]) -> bool:
    """Whether any of them is a failure."""
    return any(finding.level is Level.FAIL for finding in findings)
