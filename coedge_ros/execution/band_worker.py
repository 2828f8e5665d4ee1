"""A worker without ROS: takes fragments, runs the oldest frame that can go on, sends what others lack."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from coedge_ros.execution.fragment import Channel, FrameKey, Outgoing, Request
from coedge_ros.execution.inbox import Inbox
from coedge_ros.execution.program import StageProgram, Values, WorkerProgram


@dataclass(slots=True)
class FrameRun:
    """A frame under way on one worker."""

    key: FrameKey
    program: WorkerProgram
    started_s: float
    stage: int = 0
    values: Values = field(default_factory=dict)
    macs: int = 0
    compute_s: float = 0.0
    transmit_s: float = 0.0
    wait_s: float = 0.0
    scatter_s: float = 0.0  # of the waiting: for the frame's pixels
    gather_s: float = 0.0  # of the waiting: for what the head reads
    head_s: float = 0.0  # of the computing
    bytes_out: int = 0
    rows: list[tuple[int, int]] = field(default_factory=list)
    patience_s: float = float("inf")  # how long to wait from now on before what is missing is asked for
    waits_from_s: float = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether all stages have run."""
        return self.stage >= len(self.program.stages)

    def is_ready(self, arrived: dict[int, torch.Tensor]) -> bool:
        """Whether everything has arrived that the next stage needs."""
        return all(i in arrived for i in self.program.stages[self.stage].receives)

    def waited(self, seconds: float) -> None:
        """Count time in which what the next stage needs was missing."""
        self.wait_s += seconds
        if self.stage == 0:
            self.scatter_s += seconds
        elif self.stage == len(self.program.stages) - 1:
            self.gather_s += seconds

    def wait_from(self, now_s: float, patience_s: float) -> None:
        """Wait for `patience_s` from now on before asking."""
        self.waits_from_s, self.patience_s = now_s, patience_s


@dataclass(slots=True)
class Totals:
    """Counted since start."""

    frames: int = 0
    abandoned: int = 0
    asked: int = 0  # transfers that were late and asked for
    bytes_out: int = 0
    busy_s: float = 0.0
    last_finished_s: float = float("-inf")
    last_telling_s: float = float("-inf")  # of a frame in which it had enough to do for its speed to show
    last: FrameRun | None = None


MAX_SESSIONS = 4  # managers that are gone without a word leave their plans here
PATIENCE = 1 / 8  # of a frame's time limit; what is late by then is asked for, again after twice as long
ABANDON = 4  # times its time limit: a worker forgets a frame; a manager may wait so long before it issues one again
SERVE_EVERY = 16  # polls of a worker that never waits, between two looks for requests
MAX_TAKEN = 256  # fragments taken between two stages: a flood of them must not keep frames from being computed


class BandWorker:
    """Computes bands of frames.

    Parameters
    ----------
    name : str
        This worker's name in the plans.
    channel : Channel
        Fragments in and out.
    clock : callable
        Monotonic seconds.
    on_event : callable, optional
        `on_event(key, stage)`: told when a stage begins, for tests and the flight recorder.
    max_frames : int
        Frames that may be under way at the same time; fragments of one more are refused.
    on_error : callable, optional
        Told in one line when a stage failed; its frame is then abandoned. Without it the error is raised.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        clock: Callable[[], float] = time.perf_counter,
        on_event: Callable[[FrameKey, int], None] | None = None,
        max_frames: int = 8,
        on_error: Callable[[str], None] | None = None,
    ):
        self.name, self.channel, self.clock = name, channel, clock
        self.on_event, self.on_error = on_event, on_error
        self.inbox = Inbox(name, max_frames)
        self.totals = Totals()
        self.programs: dict[tuple[int, int], WorkerProgram] = {}
        self.timeout_s: dict[tuple[int, int], float] = {}
        self.runs: dict[FrameKey, FrameRun] = {}
        self._polls = 0
        self._used_s: dict[int, float] = {}  # session: when it last got a plan or finished a frame

    def install(self, session: int, epoch: int, program: WorkerProgram, frame_timeout_s: float) -> None:
        """Accept frames of a plan; of each session the last two plans are kept, and of sessions the last used ones.

        A plan that is there already stays as it is. The last two are those that came last, whatever their epochs say: a
        broken one with a large epoch would otherwise keep out all that follow.
        """
        if (session, epoch) in self.programs:
            return
        self._used_s[session] = self.clock()
        while len(self._used_s) > MAX_SESSIONS:
            self.release_session(min((s for s in self._used_s if s != session), key=self._used_s.get))
        self.programs[(session, epoch)] = program
        self.timeout_s[(session, epoch)] = frame_timeout_s
        self.inbox.prepare(session, epoch, program.schedule)
        mine = [e for s, e in self.programs if s == session]  # in the order of their arrival
        for old in mine[:-2]:
            self.release(session, old)

    def release(self, session: int, epoch: int) -> None:
        """Forget a plan and its frames."""
        self.programs.pop((session, epoch), None)
        self.timeout_s.pop((session, epoch), None)
        for key in [k for k in self.runs if (k.session, k.epoch) == (session, epoch)]:
            self._abandon(key)
        self.inbox.release(session, epoch)

    def release_session(self, session: int) -> None:
        """Forget all plans of a session."""
        for epoch in [e for s, e in self.programs if s == session]:
            self.release(session, epoch)
        self._used_s.pop(session, None)

    def poll(self, timeout_s: float) -> bool:
        """Take what has arrived, then run one stage of the oldest frame that can go on.

        Waits for at most `timeout_s` when nothing can. Returns whether a stage ran.
        """
        taken = 0
        while taken < MAX_TAKEN and self._take(0.0):
            taken += 1
        run = self._runnable()
        self._polls += 1
        if run is None or self._polls % SERVE_EVERY == 0:
            self._serve_requests()
        if run is None:
            began, waiting_for = self.clock(), min(self.runs, default=None)
            has_come = self._take(timeout_s)
            if waiting_for is not None:  # something is missing for the oldest frame; without frames it is idleness
                self.runs[waiting_for].waited(self.clock() - began)
            self._drop_overdue()
            if has_come:
                run = self._runnable()
            self._ask_for_missing()
        if run is None:
            return False
        try:
            self._run_stage(run)
        except Exception as error:
            if self.on_error is None:
                raise
            if run.key in self.runs:
                self._abandon(run.key)
            self.on_error(f"stage {run.stage} of {run.key} failed: {type(error).__name__}: {error}")
        return True

    # -- one step each ------------------------------------------------------------------------------------------------

    def _take(self, timeout_s: float) -> bool:
        fragment = self.channel.receive(timeout_s)
        if fragment is None:
            return False
        key = self.inbox.accept(fragment)
        if key is not None and key not in self.runs:
            self._open(key)
        return True

    def _open(self, key: FrameKey) -> None:
        plan = (key.session, key.epoch)
        run = self.runs[key] = FrameRun(key, self.programs[plan], self.clock())
        run.wait_from(run.started_s, PATIENCE * self.timeout_s[plan])

    def _serve_requests(self) -> None:
        """Send again what others lack. Who asks for a frame of which nothing came here shows that it was lost."""
        for request in self.channel.serve_requests():
            if self.inbox.expect(request.key):
                self._open(request.key)

    def _ask_for_missing(self) -> None:
        now = self.clock()
        for key, run in self.runs.items():
            if now - run.waits_from_s < run.patience_s:
                continue
            schedule, arrived = run.program.schedule, self.inbox.frames[key]
            for index in run.program.stages[run.stage].receives:
                if index not in arrived:
                    source = schedule.name_of(schedule.transfers[index].source)
                    self.channel.ask(source, Request(key, index, self.name, self.inbox.missing_chunks(key, index)))
                    self.totals.asked += 1
            run.wait_from(now, 2 * run.patience_s)

    def _runnable(self) -> FrameRun | None:
        for key in sorted(self.runs):
            run = self.runs[key]
            if run.is_ready(self.inbox.frames[key]):
                return run
        return None

    def _run_stage(self, run: FrameRun) -> None:
        stage = run.program.stages[run.stage]
        if self.on_event:
            self.on_event(run.key, run.stage)
        began = self.clock()
        with torch.inference_mode():
            run.macs += stage.run(run.values, self.inbox.frames[run.key])
            run.rows.append((stage.rows.start, stage.rows.stop))
            computed = self.clock()
            self._send(run, stage)
        for index in stage.receives:
            del self.inbox.frames[run.key][index]
        for name in stage.frees:
            run.values.pop(name, None)
        ended = self.clock()
        run.compute_s += computed - began
        run.head_s += computed - began if run.stage == len(run.program.stages) - 1 else 0.0
        run.transmit_s += ended - computed
        self.totals.busy_s += ended - began
        run.stage += 1
        run.wait_from(ended, PATIENCE * self.timeout_s[(run.key.session, run.key.epoch)])
        if run.is_finished:
            self._finish(run)

    def _send(self, run: FrameRun, stage: StageProgram) -> None:
        for item in stage.sends:
            wire = item.wire(run.values)
            out = Outgoing(run.key, item.transfer, self.name, run.program.graph.digest, wire)
            run.bytes_out += self.channel.send(item.receiver, out)

    def _finish(self, run: FrameRun) -> None:
        counted = [run.macs, run.compute_s, run.wait_s, run.transmit_s, self.inbox.bytes_of[run.key], run.bytes_out]
        counted += [run.scatter_s, run.gather_s, run.head_s]
        trunk_rows = run.rows[: run.program.schedule.plan.stages]
        wire = torch.tensor([*counted, *(n for pair in trunk_rows for n in pair)], dtype=torch.float64)
        if run.program.report:
            out = Outgoing(run.key, run.program.report, self.name, run.program.graph.digest, wire)
            self.channel.send("manager", out)
        self.totals.frames += 1
        self.totals.bytes_out += run.bytes_out
        self.totals.last_finished_s = self.clock()
        if run.macs >= run.program.telling_macs:
            self.totals.last_telling_s = self.totals.last_finished_s
        self.totals.last = run
        self._used_s[run.key.session] = self.totals.last_finished_s
        run.values.clear()
        del self.runs[run.key]
        self.inbox.finish(run.key)

    def _drop_overdue(self) -> None:
        now = self.clock()
        for key, run in list(self.runs.items()):
            if now - run.started_s > ABANDON * self.timeout_s[(key.session, key.epoch)]:
                self._abandon(key)

    def _abandon(self, key: FrameKey) -> None:
        del self.runs[key]
        self.inbox.finish(key)
        self.totals.abandoned += 1
