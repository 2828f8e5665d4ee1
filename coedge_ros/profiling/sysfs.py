"""Numbers that Linux gives in small files below /sys. The root is an argument, so that tests bring their own."""

from __future__ import annotations

import math
from pathlib import Path

SYS = Path("/sys")


def read_text(path: Path) -> str:
    """Content of a file without white space around it; "" for one that cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def read_number(path: Path) -> float:
    """A number; NaN where there is none, or none that can be read."""
    try:
        return float(read_text(path))
    except ValueError:
        return math.nan
