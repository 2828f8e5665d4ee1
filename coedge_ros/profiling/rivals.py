"""What a cluster is measured against: the whole model in one process, and the ceiling.

The ceiling is what workers reach that run their shares of the trunk at the same time and exchange nothing, each with
the rows of the plan, on inputs that are in place already: the time of the slowest share, and of the head once.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from typing import Any

import torch

from coedge_ros.execution.allocator import keep_freed_memory
from coedge_ros.execution.program import StageProgram, Values, WorkerProgram
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import partition_model
from coedge_ros.graph.trace import PixelInput
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model a child process loads, as the parameters of the nodes say it."""

    spec: str
    weights: str | None
    height: int
    width: int
    threads: int


class Share:
    """One worker's part of the trunk on inputs that are in place: no assembly, no sending."""

    def __init__(self, program: WorkerProgram):
        self._stages = [s for s in program.stages if s.index < program.schedule.plan.stages]
        self._placed: list[Values] = []
        values: Values = {}
        transfers = program.schedule.transfers
        for stage in program.stages[: len(self._stages)]:
            arrived = {
                i: torch.zeros(transfers[i].wire_shape, dtype=getattr(torch, transfers[i].dtype))
                for i in stage.receives
            }
            placed = {a.tensor: a.run(values, arrived) for a in stage.assemblies}
            placed |= {c.operator: c.run(values, arrived) for c in stage.combines}
            self._placed.append(placed)
            stage.run(values, arrived)
            _free(stage, values)

    def run(self) -> None:
        """Compute all trunk stages."""
        values: Values = {}
        for stage, placed in zip(self._stages, self._placed, strict=True):
            values |= placed
            for step in stage.steps:
                values[step.output] = step.kernel(*[values[name] for name in step.operands])
                for name in step.frees:
                    del values[name]
            _free(stage, values)


def _free(stage: StageProgram, values: Values) -> None:
    for name in stage.frees:
        values.pop(name, None)


class Head:
    """What runs on the head worker after the trunk, on gathered inputs that are in place."""

    def __init__(self, program: WorkerProgram):
        self._stage = program.stages[-1]
        transfers = program.schedule.transfers
        self._arrived = {
            i: torch.zeros(transfers[i].wire_shape, dtype=getattr(torch, transfers[i].dtype))
            for i in self._stage.receives
        }
        self._values: Values = {}
        for stage in program.stages[:-1]:
            arrived = {
                i: torch.zeros(transfers[i].wire_shape, dtype=getattr(torch, transfers[i].dtype))
                for i in stage.receives
            }
            stage.run(self._values, arrived)
            _free(stage, self._values)

    def run(self) -> None:
        """Compute the head stage."""
        self._stage.run(dict(self._values), self._arrived)


def _serve(connection: Any, choice: ModelChoice, plan: PartitionPlan | None, worker: int) -> None:
    """Child process: makes what it is asked for, then runs it once per message and answers with seconds."""
    torch.set_num_threads(choice.threads)
    loaded = load_model(choice.spec, weights=choice.weights)
    if plan is None:  # bare torch as a user would run it
        module = PixelInput(loaded.module, loaded.mean, loaded.std).eval()
        frame = torch.zeros(1, 3, choice.height, choice.width, dtype=torch.uint8)
        jobs = {"run": lambda: module(frame)}
    else:
        keep_freed_memory()
        model = partition_model(
            loaded.module, choice.height, choice.width, mean=loaded.mean, std=loaded.std, digest=loaded.digest
        )
        program = WorkerProgram(model, derive_schedule(model.graph, plan), worker)
        jobs = {"run": Share(program).run}
        if plan.workers[worker] == plan.head:
            jobs["head"] = Head(program).run
    with torch.inference_mode():
        for _ in range(3):
            for job in jobs.values():
                job()
        connection.send("ready")
        while (what := connection.recv()) != "end":
            began = time.perf_counter()
            jobs[what]()
            connection.send(time.perf_counter() - began)


class Rival:
    """A child process that runs something when told to. Inference only; ends with `close`."""

    def __init__(self, choice: ModelChoice, plan: PartitionPlan | None = None, worker: int = 0):
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, choice, plan, worker), daemon=True)
        self._process.start()

    def wait_until_ready(self, limit_s: float = 120.0) -> None:
        """Block until it can run.

        Raises
        ------
        RuntimeError
            When it ended, or is not ready in time.
        """
        if not self._connection.poll(limit_s) or self._connection.recv() != "ready":
            raise RuntimeError("a process that measures did not become ready")

    def begin(self, what: str = "run") -> None:
        """Start one run."""
        self._connection.send(what)

    def seconds(self) -> float:
        """Time of the run that was started."""
        return self._connection.recv()

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive():
            self._connection.send("end")
            self._process.join(5.0)
        if self._process.is_alive():
            self._process.terminate()


class Ceiling:
    """All shares of a plan at the same time, then the head once."""

    def __init__(self, choice: ModelChoice, plan: PartitionPlan):
        self._shares = [Rival(choice, plan, i) for i in range(len(plan.workers))]
        self._head = self._shares[plan.workers.index(plan.head)]

    def wait_until_ready(self) -> None:
        """Block until all can run."""
        for share in self._shares:
            share.wait_until_ready()

    def run(self) -> float:
        """Seconds of the slowest share and the head."""
        for share in self._shares:
            share.begin()
        slowest = max(share.seconds() for share in self._shares)
        self._head.begin("head")
        return slowest + self._head.seconds()

    def close(self) -> None:
        """End the processes."""
        for share in self._shares:
            share.close()
