"""Searching for plans in a process of its own, of low priority: a search takes up to a second on a slow machine.

On a thread of the manager it would hold up frames, and take the processor from workers on the same host, which then
look slow, which is a reason to search again.

`python -m coedge_ros.planning.apart` answers requests on its standard input until that ends.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import subprocess
import sys
import threading
from dataclasses import replace
from typing import BinaryIO

from coedge_ros.planning.registry import make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.outcome import PlanOutcome

NICENESS = 10  # a tenth of what a worker gets where all processors are busy: plans are still there within seconds
IDLE_S = 60.0  # a process that has nothing to do for so long gives its memory back


class SearchApart:
    """`make_plan` in another process, started when it is needed. Called by any thread, one search at a time."""

    def __init__(self):
        self._lock, self._is_closed = threading.Lock(), False
        self._process: subprocess.Popen | None = None
        self._graph: ModelGraph | None = None  # that it knows

    def __call__(self, request: PlanRequest) -> PlanOutcome:
        """As `make_plan`; here, where another process cannot be had."""
        with self._lock:
            for _ in range(2):  # one that has just ended is started again
                if self._is_closed:
                    break
                with contextlib.suppress(OSError, EOFError, pickle.PickleError):
                    return self._ask(request)
                self._end()
        return make_plan(request)

    def _ask(self, request: PlanRequest) -> PlanOutcome:
        if self._process is None:
            command = [sys.executable, "-P", "-m", __name__]  # the package that runs here, not one in this folder
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for who asks
            )  # fmt: skip
        graph = request.graph
        known = None if graph is self._graph else graph  # it keeps what it has worked out of a graph
        bare = replace(request, graph=None)  # without what was worked out here
        pickle.dump((known, bare), self._process.stdin)
        self._process.stdin.flush()
        outcome = pickle.load(self._process.stdout)
        self._graph = graph
        return outcome

    def _end(self) -> None:
        process, self._process, self._graph = self._process, None, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what was not written yet
                    pipe.close()

    def close(self) -> None:
        """End the process; a search that is under way begins again here."""
        self._is_closed, process = True, self._process
        if process is not None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)


def answer(requests: BinaryIO, answers: BinaryIO, idle_s: float = IDLE_S) -> None:
    """Plan for requests until there are no more, or none comes for a while."""
    graph = None
    # One request at a time, so nothing of the next is in the buffer where `select` would not see it.
    while select.select([requests], [], [], idle_s)[0]:
        try:
            news, request = pickle.load(requests)
        except EOFError:
            return
        graph = news or graph
        pickle.dump(make_plan(replace(request, graph=graph)), answers)
        answers.flush()


def main() -> int:
    """Answer the process that has started this one."""
    os.nice(NICENESS)
    answer(sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
