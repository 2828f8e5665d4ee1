"""What `coedge watch` knows of a cluster, from the messages that it has heard. No node, no clock, no terminal."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from coedge_ros.drawing.cluster_view import ClusterView, EventLine, Health, PlanLines, WorkerLine
from coedge_ros.drawing.views import natural
from coedge_ros.msg import InferenceResult, ManagerStatus, PartitionPlan, WorkerStatus, WorkerUsage
from coedge_ros.nodes.byte_rate import ByteRate
from coedge_ros.nodes.diagnostics import state_name
from coedge_ros.nodes.frame_tally import FrameTally
from coedge_ros.nodes.load_board import LoadBoard, stage_boundaries
from coedge_ros.nodes.manager_status import STATES
from coedge_ros.nodes.worker_speed import current_factor, is_slow

SILENT_AFTER_S = 0.7  # workers speak several times per second
LOST_AFTER_S = 1.5  # as the manager's lost_after_s ...
LOADING_LOST_AFTER_S = 5.0  # ... and its patience with a worker that loads
FORGET_AFTER_S = 60.0  # unless the manager expects the worker
USAGE_FRAMES = 50  # frames that a worker's means are of, at most ...
USAGE_S = 3.0  # ... and how old they may be
_MOST_WORKERS, _MOST_EVENTS = 64, 50  # names come from the network
_SAID = re.compile(r"plan (\d+) \((.*?)\): ")  # the manager's message while it prepares a plan


@dataclass
class _Heard:
    """One worker."""

    status: WorkerStatus
    heard_s: float
    rate: ByteRate = field(default_factory=ByteRate)
    usages: deque[tuple[float, WorkerUsage]] = field(default_factory=lambda: deque(maxlen=USAGE_FRAMES))
    is_lost: bool = False


class WatchBoard:
    """Takes messages, gives the picture's values. Times are seconds of a clock that only goes on.

    Parameters
    ----------
    namespace : str
        Of the cluster.
    clock : callable
        The time of day as text, for events.
    """

    def __init__(self, namespace: str, clock: Callable[[], str]):
        self.namespace, self._clock = namespace, clock
        self._load = LoadBoard(LOST_AFTER_S, FORGET_AFTER_S)  # plans, and the colours that the pictures have too
        self._workers: dict[str, _Heard] = {}
        self._tally = FrameTally()
        self._status: ManagerStatus | None = None
        self._status_s = -math.inf
        self._reported = (0, 0)  # session and epoch of the last plan among the events
        self._events: deque[EventLine] = deque(maxlen=_MOST_EVENTS)

    @property
    def has_heard(self) -> bool:
        """Whether anything was heard at all."""
        return bool(self._workers) or self._status is not None

    # -- messages -----------------------------------------------------------------------------------------------------

    def take_worker(self, status: WorkerStatus, now_s: float) -> None:
        """A worker said how it is."""
        known = self._workers.get(status.name)
        if known is None and len(self._workers) >= _MOST_WORKERS:
            return
        self._load.take_status(status, now_s)
        if known is None:
            known = self._workers[status.name] = _Heard(status, now_s)
            self._say(f"{status.name} is there, on {status.host or 'a host without a name'}")
        is_new = status.instance != known.status.instance
        if known.is_lost or is_new:
            silent = f" after {now_s - known.heard_s:.1f} s" if known.is_lost else ""
            self._say(f"{status.name} is back{silent}{', started again' if is_new else ''}", "good")
            known.usages.clear()
        self._note_state(known.status, status)
        known.status, known.heard_s, known.is_lost = status, now_s, False
        known.rate.take(status, now_s)

    def _note_state(self, before: WorkerStatus, now: WorkerStatus) -> None:
        """States that keep a worker from work, and their end."""
        was, state = state_name(before), state_name(now)
        if state != was and state in ("resting", "inactive", "error"):
            self._say(f"{now.name}: {state}{', ' if now.message else ''}{now.message}", "bad")
        elif state != was and was in ("resting", "inactive", "error"):
            self._say(f"{now.name} is {state} again", "good")

    def take_plan(self, plan: PartitionPlan, now_s: float) -> None:
        """A plan was published."""
        self._load.take_plan(plan, now_s)

    def take_result(self, result: InferenceResult, now_s: float) -> None:
        """A frame was answered."""
        self._load.take_result(result)
        self._tally.take(result, now_s)
        for usage in result.workers:
            if usage.name in self._workers:
                self._workers[usage.name].usages.append((now_s, usage))

    def take_manager(self, status: ManagerStatus, now_s: float) -> None:
        """The manager said how it is."""
        before, self._status, self._status_s = self._status, status, now_s
        if before is not None and before.session != status.session:
            self._say("the manager was started again")
        if said := _SAID.match(status.message):
            self._note_plan(status, int(said[1]), said[2].partition("; before: ")[0])
        elif status.epoch:
            self._note_plan(status, status.epoch, "")
        alone = ManagerStatus.STATE_ALONE
        if status.state == alone and (before is None or before.state != alone):
            self._say("no worker is left: the manager answers alone", "bad")

    def _note_plan(self, status: ManagerStatus, epoch: int, reason: str) -> None:
        plan = self._load.plan(status.session, epoch)
        session, newest = self._reported
        if plan is None or (status.session == session and epoch <= newest):
            return
        self._reported = (status.session, epoch)
        rows = ", ".join(f"{name} {n}" for i, name in enumerate(plan.workers) if (n := _rows_of(plan, i)))
        why = f" ({reason})" if reason else ""
        self._say(f"plan {epoch}{why}: rows {rows}; made in {plan.planning_ms:.0f} ms")

    def _say(self, text: str, kind: str = "news") -> None:
        self._events.append(EventLine(self._clock(), text, kind))

    # -- picture ------------------------------------------------------------------------------------------------------

    def notice(self, now_s: float) -> None:
        """Note who has become silent: to be called several times per second, also when there is no picture to draw."""
        missing = self._status.missing if self._status else ()
        for name, heard in list(self._workers.items()):
            silent_s = now_s - heard.heard_s
            if silent_s > FORGET_AFTER_S and name not in missing:
                del self._workers[name]
            elif silent_s > _patience_s(heard.status) and not heard.is_lost:
                heard.is_lost = True
                self._say(f"{name} is LOST: nothing heard of it for {silent_s:.1f} s", "bad")

    def view(self, now_s: float) -> ClusterView:
        """The picture's values at this moment."""
        self.notice(now_s)
        status = self._status
        missing = status.missing if status else ()
        self._load.forget(now_s)
        is_heard = status is not None and now_s - self._status_s <= LOST_AFTER_S + 1.0  # it speaks twice per second
        plan = self._load.plan(status.session, status.epoch) if status else self._load.newest_plan()
        names = sorted({*self._workers, *missing[:_MOST_WORKERS]}, key=natural)
        state = "" if status is None else STATES.get(status.state, "error") if is_heard else "manager LOST"
        return ClusterView(
            namespace=self.namespace, clock=self._clock(), state=state, message=status.message if is_heard else "",
            workers=tuple(self._line(name, plan, now_s) for name in names),
            plan=self._plan_lines(plan), frames=self._tally.lines(status, now_s), events=tuple(self._events),
        )  # fmt: skip

    def _line(self, name: str, plan: PartitionPlan | None, now_s: float) -> WorkerLine:
        color = self._load.colors.get(name, len(self._load.colors))
        heard = self._workers.get(name)
        if heard is None:
            return WorkerLine(name, color, Health.LOST, math.nan)
        status, silent_s = heard.status, now_s - heard.heard_s
        speed = current_factor(status, self._status)
        rows = _rows_of(plan, list(plan.workers).index(name)) if plan and name in plan.workers else 0
        usages = [usage for when_s, usage in heard.usages if now_s - when_s <= USAGE_S]
        bytes_in, bytes_out = heard.rate.per_second()
        return WorkerLine(
            name=name, color=color, health=_health(status, silent_s, speed), silent_s=silent_s, load=status.load,
            rows=rows, share=rows / plan.height if plan and plan.height else math.nan,
            compute_ms=_mean(u.compute_ms for u in usages), wait_ms=_mean(u.wait_ms for u in usages),
            energy_j=_mean(u.energy_j for u in usages), bytes_in_per_s=bytes_in, bytes_out_per_s=bytes_out,
            speed=speed,
        )  # fmt: skip

    def _plan_lines(self, plan: PartitionPlan | None) -> PlanLines:
        if plan is None:
            return PlanLines()
        links = self._status.links if self._status else ()
        return PlanLines(
            epoch=plan.epoch, planner=plan.planner, objective=plan.objective,
            model=f"{plan.model} {plan.height}x{plan.width}", stages=len(stage_boundaries(plan)), head=plan.head,
            predicted_ms=plan.predicted_latency_s * 1e3, predicted_j=plan.predicted_energy_j,
            deadline_ms=plan.deadline_s * 1e3,
            bands=tuple((self._load.colors.get(n, 0), _rows_of(plan, i)) for i, n in enumerate(plan.workers)),
            links=tuple(f"{k.source} to {k.target} {k.bytes_per_s / 125e3:.3g} Mbit/s" for k in links),
        )  # fmt: skip


def _patience_s(status: WorkerStatus) -> float:
    """How long a worker may be silent that was last heard saying this."""
    return LOADING_LOST_AFTER_S if state_name(status) == "loading" else LOST_AFTER_S


def _health(status: WorkerStatus, silent_s: float, speed: float) -> Health:
    if silent_s > _patience_s(status):
        return Health.LOST
    if silent_s > SILENT_AFTER_S:
        return Health.SILENT
    state = state_name(status)
    if state in ("loading", "resting", "inactive", "error"):
        return Health(state)
    return Health.SLOW if is_slow(status, speed) else Health.OK


def _rows_of(plan: PartitionPlan, index: int) -> int:
    """Rows of the model's input that a plan's first stage gives to its worker number `index`."""
    first = stage_boundaries(plan)[0]
    if not first[-1]:
        return 0
    return round(plan.height * first[index + 1] / first[-1]) - round(plan.height * first[index] / first[-1])


def _mean(values) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
