"""Work handed from the control thread to the data thread."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue

from coedge_ros.nodes.saying import Sayer


class Commands:
    """A queue of callables.

    Parameters
    ----------
    wake : callable
        Ends the data thread's wait.
    log
        Told what went wrong in a command; the next one runs all the same.
    """

    def __init__(self, wake: Callable[[], None], log):
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake, self._trouble = wake, Sayer(log)

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
            try:
                command()
            except Exception as error:
                self._trouble.error(f"{type(error).__name__}: {error}")
