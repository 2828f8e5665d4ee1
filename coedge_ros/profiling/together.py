"""Workers of one host, measured at the same time: cores share clock, caches and memory, so one alone is faster."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from coedge_ros.errors import UserError
from coedge_ros.execution.allocator import keep_freed_memory
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import partition_model
from coedge_ros.profiling.rivals import ModelChoice
from coedge_ros.profiling.stage_times import FRACTIONS, default_cuts, measure_fraction, tables
from coedge_ros.spec.cluster import MeasuredTimes

LIMIT_S = 300.0  # until all have loaded the model, and for each step


def _measure(connection: Any, start: Any, choice: ModelChoice, budget_s: float, fractions: tuple[float, ...]) -> None:
    """Child process: measures fraction by fraction, each together with the others, and sends what it found."""
    torch.set_num_threads(choice.threads)
    keep_freed_memory()
    try:
        loaded = load_model(choice.spec, weights=choice.weights)
        model = partition_model(
            loaded.module, choice.height, choice.width, mean=loaded.mean, std=loaded.std, digest=loaded.digest
        )
        cuts = default_cuts(model)
        found = {}
        for fraction in fractions:
            start.wait(LIMIT_S)
            found[fraction] = measure_fraction(model, cuts, fraction, budget_s)
            connection.send(("step", fraction))
        connection.send(("done", MeasuredTimes(choice.spec, choice.height, choice.width, tables(model, cuts, found))))
    except Exception as error:
        start.abort()
        if not isinstance(error, threading.BrokenBarrierError):
            connection.send(("failed", str(error)))


def measure_together(
    choices: list[ModelChoice],
    budget_s: float = 1.0,
    on_step: Callable[[], None] = lambda: None,
    fractions: tuple[float, ...] = FRACTIONS,
) -> list[MeasuredTimes]:
    """Stage times of one worker process per entry of `choices`, all running at the same time.

    Parameters
    ----------
    budget_s : float
        Per process and row count.
    on_step : callable
        Told when one process has done one row count.
    fractions : tuple of float
        Row counts, as parts of the whole.

    Raises
    ------
    UserError
        When a process cannot load the model, or ends.
    """
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(len(choices))
    children = []
    for choice in choices:
        here, there = context.Pipe()
        process = context.Process(target=_measure, args=(there, start, choice, budget_s, fractions), daemon=True)
        process.start()
        there.close()
        children.append((process, here))
    try:
        return [_result(here, on_step) for _, here in children]
    finally:
        for process, here in children:
            here.close()
            process.join(5.0)
            if process.is_alive():
                process.terminate()


def slowdown(together: list[MeasuredTimes], choice: ModelChoice, budget_s: float = 1.0) -> float:
    """How many times as long the whole takes with all workers computing as with one alone.

    Between 1 and their number: more is the doing of something else on the machine.
    """
    alone = measure_together([choice], budget_s, fractions=(1.0,))[0]
    shared = [sum(stage.seconds[-1] for stage in times.stages) for times in together]
    ratio = median(shared) / sum(stage.seconds[-1] for stage in alone.stages)
    return min(max(1.0, ratio), float(len(together)))


def _result(connection: Any, on_step: Callable[[], None]) -> MeasuredTimes:
    while True:
        try:
            if not connection.poll(LIMIT_S):
                raise UserError(f"a process that measures did not answer for {LIMIT_S:.0f} s")
            what, value = connection.recv()
        except EOFError:
            raise UserError("a process that measures has ended; is there enough memory for all workers?") from None
        if what == "failed":
            raise UserError(value)
        if what == "done":
            return value
        on_step()
