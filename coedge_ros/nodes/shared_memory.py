"""Fast DDS segments in shared memory that killed processes have left behind."""

from __future__ import annotations

import fcntl
import re
from pathlib import Path

FOLDER = Path("/dev/shm")
_SEGMENT = re.compile(r"(?:fastrtps|fastdds)_(?:[0-9a-f]{16}|port[0-9]+)_el")


def stale_segments(folder: Path = FOLDER) -> list[Path]:
    """Files of segments whose owner is gone: Fast DDS holds a lock on `<segment>_el` for as long as the owner lives."""
    found: list[Path] = []
    if not folder.is_dir():
        return found
    for lock in sorted(folder.glob("fast*_el")):
        match = _SEGMENT.fullmatch(lock.name)
        if match and _is_free(lock):
            name = lock.name.removesuffix("_el")
            found += [p for p in (folder / name, folder / f"sem.{name}_mutex", lock) if p.exists()]
    return found


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
