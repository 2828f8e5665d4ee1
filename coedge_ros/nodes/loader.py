"""A thread for slow work: loading models, building programs, solving plans."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue

from coedge_ros.errors import CoedgeError

MOST = 32  # waiting; what comes from the network must not pile up


_all: weakref.WeakSet[Loader] = weakref.WeakSet()


def any_busy() -> bool:
    """Whether any loader of this process runs something: ending the interpreter then would abort the process."""
    return any(loader.is_busy for loader in _all)


class Loader:
    """Runs functions one after the other in a thread that dies with the process.

    Parameters
    ----------
    on_failure : callable
        Told in one line what went wrong; the thread goes on, because a process that says why it cannot work is more use
        than a dead one.
    """

    def __init__(self, on_failure: Callable[[str], None]):
        self._queue: SimpleQueue[tuple[Callable, tuple]] = SimpleQueue()
        self._on_failure = on_failure
        self.is_busy = False  # while a function runs
        _all.add(self)
        threading.Thread(target=self._run, name="loader", daemon=True).start()

    def submit(self, function: Callable, *args) -> bool:
        """Run `function(*args)` when its turn comes; returns whether there is room for it."""
        if self._queue.qsize() >= MOST:
            return False
        self._queue.put((function, args))
        return True

    def _run(self) -> None:
        while True:
            function, args = self._queue.get()
            self.is_busy = True
            try:
                function(*args)
            except CoedgeError as error:
                self._on_failure(str(error))
            except Exception as error:
                self._on_failure(f"{type(error).__name__}: {error}")
            finally:
                self.is_busy = False
