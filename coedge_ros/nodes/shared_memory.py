"""Fast DDS files in shared memory that killed processes have left behind.

A participant's segment and the port that it reads from each have a lock file beside them, `<name>_el`, which Fast DDS
holds locked for as long as the owner lives. A port is also opened by those who write to it, and removed by the last one
that closes it; where one of them was killed, it stays for good, without a lock file.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path

FOLDER = Path("/dev/shm")
_NAME = re.compile(r"(?:fastrtps|fastdds)_(?:[0-9a-f]{16}|port[0-9]+)")
_PORT = re.compile(r"(?:fastrtps|fastdds)_port[0-9]+")
_YOUNG_S = 2.0  # a process that starts makes the port first and its lock file a moment later


def stale_segments(folder: Path = FOLDER) -> list[Path]:
    """Files whose owner is gone."""
    if not folder.is_dir():
        return []
    found: list[Path] = []
    for lock in sorted(folder.glob("fast*_el")):
        if _NAME.fullmatch(lock.name.removesuffix("_el")) and _is_free(lock):
            found += _with_mutex(folder / lock.name.removesuffix("_el"), lock)
    for port in _ports_without_reader(folder):
        found += _with_mutex(port)
    return found


def _with_mutex(*files: Path) -> list[Path]:
    candidates = (*files, files[0].with_name(f"sem.{files[0].name}_mutex"))
    return [path for path in candidates if path.exists()]


def _ports_without_reader(folder: Path) -> list[Path]:
    """Ports without a lock file that no process has open.

    Only our own, and only where /proc tells who has what open. A writer in another container that shares this folder is
    not seen there; it opens the port anew when a reader comes.
    """
    ports = [p for p in sorted(folder.glob("fast*_port*")) if _PORT.fullmatch(p.name) and _is_old_and_ours(p)]
    ports = [p for p in ports if not any(p.with_name(p.name + end).exists() for end in ("_el", "_sl"))]
    opened = _mapped(folder) if ports else None
    return [] if opened is None else [p for p in ports if p.name not in opened]


def _is_old_and_ours(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:  # somebody else has just removed it
        return False
    return status.st_uid == os.getuid() and time.time() - status.st_mtime > _YOUNG_S


def _mapped(folder: Path) -> set[str] | None:
    """Names of the folder's files that processes have mapped; None where that cannot be known."""
    if not Path("/proc/self/maps").exists():
        return None
    names: set[str] = set()
    start = f"{folder}/"
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:  # it has ended, or is another user's
            continue
        names.update(line[line.index(start) + len(start) :] for line in lines if start in line)
    return names


def _is_free(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove_stale_segments(folder: Path = FOLDER) -> int:
    """Remove them; returns the bytes that were freed. Those of other users are left."""
    freed = 0
    for path in stale_segments(folder):
        try:
            size = path.stat().st_size
            path.unlink()
            freed += size
        except OSError:
            continue
    return freed
