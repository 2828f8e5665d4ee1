"""The manager's side of a frame: scatter the row bands, gather outputs and reports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from coedge_ros.execution.fragment import Channel, FrameKey, Outgoing, Request
from coedge_ros.execution.inbox import Inbox
from coedge_ros.spec.schedule import MANAGER, MANAGER_NAME, REPORT_HEADER, Schedule, TransferKind

_MOST_COUNTED, _MOST_ROWS = 2.0**53, 2.0**32  # what float64 counts exactly, and what the result's message can hold


@dataclass(frozen=True, slots=True)
class Usage:
    """What one worker did for a frame, as it counted itself. `rows` are half-open, per stage.

    `scatter_s` and `gather_s` are the parts of the waiting for pixels and for what the head reads, `head_s` is the
    head's part of the computing.
    """

    worker: str
    macs: int
    compute_s: float
    wait_s: float
    transmit_s: float
    bytes_in: int
    bytes_out: int
    rows: tuple[tuple[int, int], ...]
    scatter_s: float = 0.0
    gather_s: float = 0.0
    head_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Outputs of a frame by name, and the reports that have arrived."""

    key: FrameKey
    outputs: dict[str, torch.Tensor]
    usage: tuple[Usage, ...]
    usage_complete: bool
    latency_s: float
    scatter_bytes: int


@dataclass(slots=True)
class _Pending:
    schedule: Schedule
    started_s: float
    results: list[int]
    reports: list[int]
    scatter_bytes: int = 0
    answered_s: float | None = None
    patience_s: float = math.inf  # how long to wait from now on before what is missing is asked for
    waits_from_s: float = 0.0
    extra: dict = field(default_factory=dict)


class FrameCoordinator:
    """Sends frames to the workers of a plan and collects their answers.

    Parameters
    ----------
    channel : Channel
        Fragments in and out; the participant is `manager`.
    report_grace_s : float
        How long an answer waits for reports that are still under way.

    Attributes
    ----------
    heard_s : dict of str to float
        When the last good fragment of each worker was taken, by `clock`: who sends rows lives.
    """

    def __init__(
        self,
        channel: Channel,
        clock: Callable[[], float] = time.perf_counter,
        report_grace_s: float = 0.05,
        max_frames: int = 16,
    ):
        self.channel, self.clock, self.report_grace_s = channel, clock, report_grace_s
        self.inbox = Inbox(MANAGER_NAME, max_frames, is_manager=True)
        self.pending: dict[FrameKey, _Pending] = {}
        self.heard_s: dict[str, float] = {}

    def start(self, key: FrameKey, schedule: Schedule, frame: np.ndarray, patience_s: float = math.inf) -> None:
        """Scatter a frame `(H, W, 3)` uint8 of the model's size to the workers of a schedule.

        Results that are not there after `patience_s` are asked for, again after twice as long (`ask_for_missing`).
        """
        graph = schedule.graph
        if frame.shape != (graph.input.shape[2], graph.input.shape[3], graph.input.shape[1]):
            raise ValueError(f"frame is {frame.shape}, the plan is for {graph.input.shape}")
        began = self.clock()
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).unsqueeze(1)  # wire order: (H, 1, W, 3)
        of_kind = {
            kind: [t.index for t in schedule.of_kind(kind)] for kind in (TransferKind.RESULT, TransferKind.REPORT)
        }
        pending = _Pending(schedule, began, of_kind[TransferKind.RESULT], of_kind[TransferKind.REPORT])
        pending.waits_from_s, pending.patience_s = began, patience_s
        self.pending[key] = pending
        self.inbox.frames[key] = {}
        for t in schedule.of_kind(TransferKind.SCATTER):
            out = Outgoing(key, t, MANAGER_NAME, graph.digest, pixels[t.rows.start : t.rows.stop])
            pending.scatter_bytes += self.channel.send(schedule.plan.workers[t.target], out)

    def take(self, timeout_s: float) -> bool:
        """Take one fragment, waiting for at most `timeout_s`."""
        fragment = self.channel.receive(timeout_s)
        if fragment is not None and self.inbox.accept(fragment):
            self.heard_s[fragment.source] = self.clock()  # a name of a plan, so there are not many
        return fragment is not None

    def finished(self) -> list[Answer]:
        """Answers that are complete now, oldest first; each is given once."""
        answers = []
        for key in sorted(self.pending):
            pending, arrived = self.pending[key], self.inbox.frames.get(key, {})
            if not all(i in arrived for i in pending.results):
                continue
            now = self.clock()
            pending.answered_s = now if pending.answered_s is None else pending.answered_s
            complete = all(i in arrived for i in pending.reports)
            if complete or now - pending.answered_s >= self.report_grace_s:
                answers.append(self._answer(key, pending, arrived, complete))
                self.forget(key)
        return answers

    def overdue(self, timeout_s: float) -> list[FrameKey]:
        """Frames under way for longer than `timeout_s`."""
        now = self.clock()
        return [k for k in sorted(self.pending) if now - self.pending[k].started_s > timeout_s]

    def serve_requests(self) -> None:
        """Send again the rows of frames that workers lack."""
        self.channel.serve_requests()

    def ask_for_missing(self) -> int:
        """Ask for the results that are late, of frames that are still wanted; returns for how many."""
        now, asked = self.clock(), 0
        for key, pending in self.pending.items():
            if now - pending.waits_from_s < pending.patience_s:
                continue
            for index in pending.results:
                if index not in self.inbox.frames[key]:
                    source = pending.schedule.name_of(pending.schedule.transfers[index].source)
                    chunks = self.inbox.missing_chunks(key, index)
                    self.channel.ask(source, Request(key, index, MANAGER_NAME, chunks))
                    asked += 1
            pending.waits_from_s, pending.patience_s = now, 2 * pending.patience_s
        return asked

    def missing_workers(self, key: FrameKey) -> list[str]:
        """Workers whose result or report for a frame has not arrived."""
        pending, arrived = self.pending[key], self.inbox.frames.get(key, {})
        sources = {
            pending.schedule.transfers[i].source for i in (*pending.results, *pending.reports) if i not in arrived
        }
        return [pending.schedule.plan.workers[s] for s in sorted(sources) if s != MANAGER]

    def forget(self, key: FrameKey) -> None:
        """Give a frame up; what still comes of it is stale."""
        self.pending.pop(key, None)
        self.inbox.finish(key)

    def _answer(self, key, pending: _Pending, arrived, complete: bool) -> Answer:
        reports = [pending.schedule.transfers[i] for i in pending.reports if i in arrived]
        usage = [_usage(pending.schedule.plan.workers[t.source], arrived[t.index]) for t in reports]
        if bad := usage.count(None):
            self.inbox.rejected["report"] += bad
        return Answer(
            key=key,
            outputs=assemble_outputs(pending.schedule, arrived),
            usage=tuple(u for u in usage if u is not None),
            usage_complete=complete and not bad,
            latency_s=pending.answered_s - pending.started_s,
            scatter_bytes=pending.scatter_bytes,
        )


def assemble_outputs(schedule: Schedule, arrived: dict[int, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Outputs by name from the RESULT transfers; bands are stacked from top to bottom."""
    graph = schedule.graph
    outputs = {}
    for name, tensor_name in zip(graph.output_names, graph.outputs, strict=True):
        spec = graph.tensor(tensor_name)
        parts = [t for t in schedule.of_kind(TransferKind.RESULT) if t.tensor == tensor_name]
        if parts[0].rows is None:
            outputs[name] = arrived[parts[0].index]
            continue
        unwire = tuple(spec.wire_axes.index(a) for a in range(len(spec.shape)))
        bands = [arrived[t.index].permute(unwire) for t in sorted(parts, key=lambda t: t.rows)]
        outputs[name] = bands[0] if len(bands) == 1 else torch.cat(bands, dim=spec.row_axis)
    return outputs


def _usage(worker: str, report: torch.Tensor) -> Usage | None:
    """What a report says; None for one whose numbers cannot be counts and times."""
    counted, rows = report[:REPORT_HEADER], report[REPORT_HEADER:]
    if not bool(((counted >= 0) & (counted < _MOST_COUNTED)).all() & ((rows >= 0) & (rows < _MOST_ROWS)).all()):
        return None  # also for NaN
    values = report.tolist()
    macs, compute_s, wait_s, transmit_s, bytes_in, bytes_out, *parts = values[:REPORT_HEADER]
    rows = tuple(
        (int(a), int(b)) for a, b in zip(values[REPORT_HEADER::2], values[REPORT_HEADER + 1 :: 2], strict=True)
    )
    return Usage(worker, int(macs), compute_s, wait_s, transmit_s, int(bytes_in), int(bytes_out), rows, *parts)
