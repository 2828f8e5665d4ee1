"""Fast DDS files in shared memory that killed processes have left behind.

A participant's segment and the port that it reads from each have a lock file beside them, `<name>_el`, which Fast DDS
holds locked for as long as the owner lives. A port is also opened by those who write to it, and removed by the last one
that closes it; where one of them was killed, it stays for good, without a lock file.

A port that anybody has open is left alone, although its reader may be dead: Fast DDS renews it under a mutex of its
own, and whoever removes port or mutex meanwhile can make two ports of it, a reader at one and its writers at the other.
The same happens, without anybody's doing, where a reader was killed in the moment between waiting and reading: writers
then take its port for a living one for ever, and a process that takes over its number is never heard by them. So the
numbers of dead readers' ports are not used again while anybody has them open.

Where all cores compute, a process that opens a port may also take its living reader for dead, because that did not run
in time, and make the port anew. Then the reader reads from a file that is gone, and newcomers are never heard:
`OwnPorts` finds that out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

FOLDER = Path("/dev/shm")
_NAME = re.compile(r"(?:fastrtps|fastdds)_(?:[0-9a-f]{16}|port[0-9]+)")
_PORT = re.compile(r"(?:fastrtps|fastdds)_port[0-9]+")
_MAPPED_PORT = re.compile(r"(?:fastrtps|fastdds)_port([0-9]+)(?P<deleted> \(deleted\))?")
_DISCOVERY = range(7000, 7400)  # ports for discovery in shared memory, the same in all domains
MOST_HELD = 60  # port numbers, two for each participant: one past the 32nd is not found by unicast discovery on a host
_YOUNG_S = 2.0  # a process that starts makes the file first, its lock file a moment later, and then locks it


def stale_segments(folder: Path = FOLDER) -> list[Path]:
    """Files whose owner is gone.

    Of ports only those that no process has open, and only where /proc tells who has what open. A writer in another
    container that shares this folder is not seen there; it opens the port anew when a reader comes.
    """
    if not folder.is_dir():
        return []
    locks = [p for p in sorted(folder.glob("fast*_el")) if _NAME.fullmatch(_of_lock(p).name)]
    found = [p for lock in locks if not _is_port(lock) and _is_free(lock) for p in _with_mutex(_of_lock(lock), lock)]
    lonely = [p for p in sorted(folder.glob("fast*_port*")) if _PORT.fullmatch(p.name) and _is_old_and_ours(p)]
    lonely = [p for p in lonely if not any(p.with_name(p.name + end).exists() for end in ("_el", "_sl"))]
    ports = [(_of_lock(lock), lock) for lock in locks if _is_port(lock)] + [(port,) for port in lonely]
    opened = _mapped(folder) if ports else None
    if opened is None:
        return found
    for port, *lock in ports:
        if port.name not in opened and all(map(_is_free, lock)):
            found += _with_mutex(port, *lock)
    return found


def _of_lock(lock: Path) -> Path:
    return lock.with_name(lock.name.removesuffix("_el"))


def _is_port(lock: Path) -> bool:
    return bool(_PORT.fullmatch(_of_lock(lock).name))


def _with_mutex(*files: Path) -> list[Path]:
    candidates = (*files, files[0].with_name(f"sem.{files[0].name}_mutex"))
    return [path for path in candidates if path.exists()]


def _is_old_and_ours(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:  # somebody else has just removed it
        return False
    return status.st_uid == os.getuid() and time.time() - status.st_mtime > _YOUNG_S


def _mapped(folder: Path, process: str = "[0-9]*") -> set[str] | None:
    """Names of the folder's files that processes have mapped; None where that cannot be known."""
    if not Path("/proc/self/maps").exists():
        return None
    names: set[str] = set()
    start = f"{folder}/"
    for maps in Path("/proc").glob(f"{process}/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:  # it has ended, or is another user's
            continue
        names.update(line[line.index(start) + len(start) :] for line in lines if start in line)
    return names


def bytes_in_use(pids: Iterable[int], folder: Path = FOLDER) -> int:
    """Size of the files that processes have mapped and of those whose owner is gone."""
    names = {name for pid in pids for name in _mapped(folder, str(pid)) or ()}
    names |= {path.name for path in stale_segments(folder)}
    size = 0
    for name in names:
        with contextlib.suppress(OSError):
            size += (folder / name).stat().st_size
    return size


def dead_ports(domain: int, folder: Path = FOLDER) -> list[int]:
    """Numbers of unicast ports of a domain whose reader is gone and which a process has open, lowest first.

    Either the file was removed, which only a new reader or writer that found its lock free does, or the lock is free.
    """
    first = 7400 + 250 * domain  # DDSI-RTPS 9.6.1.1; the ten below are for multicast, and shared
    found = set()
    for name in _mapped(folder) or ():
        port = _MAPPED_PORT.fullmatch(name)
        if port is None or not (first + 10 <= int(port[1]) < first + 250 or int(port[1]) in _DISCOVERY):
            continue
        if port["deleted"] or _is_left(folder / f"{name}_el"):
            found.add(int(port[1]))
    return sorted(found)


def _is_left(lock: Path) -> bool:
    return lock.exists() and _is_free(lock, age_s=0)


def hold_dead_ports(domain: int, folder: Path = FOLDER) -> list[socket.socket]:
    """Occupy the UDP ports of the same numbers, so that Fast DDS takes others for this process.

    Keep the sockets until the participant exists. At most MOST_HELD are held, the highest, which died last. Processes
    that start at the same time hold the same ones: none of them gets one that another has just let go.
    """
    held = []
    for number in dead_ports(domain, folder)[-MOST_HELD:]:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # Fast DDS does not set it, so it is kept out
        try:
            one.bind(("", number))
            held.append(one)
        except OSError:  # in use: Fast DDS will find that too
            one.close()
    return held


class OwnPorts:
    """Ports in shared memory that this process reads from, as they are when this is made.

    They have the numbers of its UDP ports, as Fast DDS gives them.
    """

    def __init__(self, folder: Path = FOLDER):
        self._inodes: dict[Path, set[int]] = {}
        own = {c.laddr.port for c in psutil.Process().net_connections("udp4") if c.laddr}
        maps, start = Path("/proc/self/maps"), f"{folder}/"
        for line in maps.read_text(errors="replace").splitlines() if maps.exists() else ():
            if start not in line:
                continue
            inode, path = line.split(maxsplit=5)[4:]
            port = _MAPPED_PORT.fullmatch(path.removeprefix(start))
            if port and int(port[1]) in own:
                self._inodes.setdefault(Path(path.removesuffix(" (deleted)")), set()).add(int(inode))

    def torn(self) -> list[str]:
        """Names of those that are no longer what others open by the same name: who does is not heard."""
        return sorted(path.name for path, inodes in self._inodes.items() if inodes != {_inode_of(path)})


def _inode_of(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _is_free(lock: Path, age_s: float = _YOUNG_S) -> bool:
    try:
        if time.time() - lock.stat().st_mtime < age_s:
            return False
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
