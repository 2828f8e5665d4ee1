"""Where a worker is in its frame, in a file that outlives it: what it was doing when it was killed."""

from __future__ import annotations

import mmap
from pathlib import Path

from coedge_ros.errors import UserError
from coedge_ros.execution.fragment import FrameKey

_BYTES = 64


class FlightRecord:
    """Written by a worker's main thread, some microseconds per stage.

    Parameters
    ----------
    path : Path
        File; it is made, its folder must exist.

    Raises
    ------
    UserError
        When it cannot be written.
    """

    def __init__(self, path: Path):
        try:
            path.write_bytes(b" " * _BYTES)
            with path.open("r+b") as file:
                self._memory = mmap.mmap(file.fileno(), _BYTES)
        except OSError as error:
            raise UserError(f"parameter flight_record: {path} cannot be written: {error}") from error
        self._is_idle = False
        self.idle()

    def stage(self, key: FrameKey, stage: int) -> None:
        """A stage of a frame begins."""
        self._is_idle = False
        self._write(f"{key.frame} {stage}")

    def idle(self) -> None:
        """No frame is under way."""
        if not self._is_idle:
            self._is_idle = True
            self._write("")

    def _write(self, text: str) -> None:
        self._memory[:] = text.encode().ljust(_BYTES)


def read_flight_record(path: Path) -> tuple[int, int] | None:
    """(frame, stage) that the worker was at; None between frames."""
    words = path.read_bytes().split()
    return (int(words[0]), int(words[1])) if len(words) == 2 else None
