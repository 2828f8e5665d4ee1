"""A processor quota for running processes, as a hot board throttles itself (cgroup v1)."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

CPU = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 10_000  # with the kernel's 100 ms a burst of 12 ms runs untouched


def why_no_quota() -> str:
    """Why this process cannot give others a quota; "" when it can."""
    if os.geteuid() != 0:
        return "needs root: a processor quota is set through /sys/fs/cgroup/cpu"
    return "" if (CPU / "cgroup.procs").exists() else f"needs cgroup v1 with the cpu controller at {CPU}"


class ProcessorQuota:
    """Processes get `quota` of one processor until it is lifted: use it as a context manager."""

    def __init__(self, quota: float):
        self.quota = quota
        self._folder = CPU / f"coedge_{os.getpid()}_{time.monotonic_ns()}"
        self._processes: list[int] = []

    def __enter__(self) -> ProcessorQuota:
        self._folder.mkdir()
        (self._folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (self._folder / "cpu.cfs_quota_us").write_text(str(round(self.quota * PERIOD_US)))
        return self

    def hold(self, process: int) -> None:
        """Put a process with all of its threads under the quota, in which it shares with the others."""
        (self._folder / "cgroup.procs").write_text(str(process))
        self._processes.append(process)

    def lift(self) -> None:
        """All are free again."""
        for process in self._processes:
            with suppress(OSError):  # it has ended
                (CPU / "cgroup.procs").write_text(str(process))
        self._processes.clear()

    def __exit__(self, *exception) -> None:
        self.lift()
        self._folder.rmdir()
