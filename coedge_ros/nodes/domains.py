"""ROS domains that nobody on this host uses."""

from __future__ import annotations

import random
from pathlib import Path


def free_domain() -> int:
    """A random ROS domain whose UDP ports (DDSI-RTPS: 7400 + 250 x domain and up) nobody on this host has open."""
    try:
        lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    except OSError:
        lines = []
    taken = {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    return random.choice([d for d in range(1, 101) if not taken & set(range(7400 + 250 * d, 7650 + 250 * d))] or [1])
