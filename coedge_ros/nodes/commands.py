"""Work handed from the control thread to the data thread."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue


class Commands:
    """A queue of callables; `wake` ends the data thread's wait."""

    def __init__(self, wake: Callable[[], None]):
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = wake

    def post(self, command: Callable[[], None]) -> None:
        """Called by any thread."""
        self._queue.put(command)
        self._wake()

    def run(self) -> None:
        """Run what has been posted; called by the data thread."""
        while True:
            try:
                command = self._queue.get_nowait()
            except Empty:
                return
            command()
