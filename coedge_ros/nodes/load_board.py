"""What the visualiser knows of the cluster, from the messages that it has seen. No node, no clock, no drawing."""

import math
from collections import OrderedDict
from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticStatus

from coedge_ros.drawing.history import LoadHistory
from coedge_ros.drawing.views import AnswerView, BoxView, WorkerView, natural
from coedge_ros.msg import InferenceResult, ManagerStatus, PartitionPlan, WorkerStatus, WorkerUsage
from coedge_ros.nodes.byte_rate import ByteRate
from coedge_ros.nodes.diagnostics import rejected_total, state_name, worker_diagnostics
from coedge_ros.nodes.link_use import link_use
from coedge_ros.nodes.manager_status import STATES
from coedge_ros.nodes.markers import ManagerBox, WorkerBar
from coedge_ros.nodes.worker_speed import current_factor, is_slow
from coedge_ros.spec.cluster import ClusterSpec

PLANS_KEPT = 4  # a result may come shortly after a newer plan
FAINTEST = 0.15  # opacity just before a lost worker goes


class LoadBoard:
    """The newest status of each worker, the newest plans, and the loads so far.

    Times are seconds of any clock that does not run backwards, given by the caller.

    Parameters
    ----------
    stale_after_s : float
        A worker that was not heard for this long is lost.
    forget_after_s : float
        A worker that was not heard for this long is no longer shown; until then it fades.
    cluster : ClusterSpec, optional
        For what links carry.

    Attributes
    ----------
    history : LoadHistory
        For the pictures at the end.
    numbers : dict of str to int
        For each worker ever heard of, in the order of their first mention; the marker id.
    colors : dict of str to int
        Index into the palette. In the order of the names until there is a plan, so that two runs look alike; fixed from
        then on, so that no worker changes its colour when another one comes.
    """

    def __init__(self, stale_after_s: float = 2.0, forget_after_s: float = 10.0, cluster: ClusterSpec | None = None):
        self._stale_after_s = stale_after_s
        self._forget_after_s = max(forget_after_s, stale_after_s)
        self._cluster = cluster
        self._host_of = {worker.name: worker.host for worker in cluster.workers} if cluster else {}
        self._manager: tuple[ManagerStatus, float] | None = None
        self._rates: dict[str, ByteRate] = {}
        self._status: dict[str, tuple[WorkerStatus, float]] = {}
        self._usage: dict[str, WorkerUsage] = {}
        self._rejected_before: dict[str, int] = {}
        self._plans: OrderedDict[tuple[int, int], PartitionPlan] = OrderedDict()
        self.history = LoadHistory()
        self.numbers: dict[str, int] = {}
        self.colors: dict[str, int] = {}

    def take_status(self, status: WorkerStatus, now_s: float) -> None:
        """A worker said how it is."""
        self._meet(status.name)
        self._status[status.name] = (status, now_s)
        self._rates.setdefault(status.name, ByteRate()).take(status, now_s)
        self.history.add_load(status.name, now_s, status.load)

    def take_manager(self, status: ManagerStatus, now_s: float) -> None:
        """The manager said how it is."""
        self._manager = (status, now_s)

    def take_plan(self, plan: PartitionPlan, now_s: float) -> None:
        """A plan was published; the end of a session changes nothing here."""
        key = (plan.session, plan.epoch)
        if plan.action != PartitionPlan.PREPARE or key in self._plans or not _is_sound(plan):
            return
        for worker in plan.workers:
            self._meet(worker)
        self._plans[key] = plan
        self.history.add_mark(now_s, f"plan {plan.epoch}")
        while len(self._plans) > PLANS_KEPT:
            self._plans.popitem(last=False)

    def take_result(self, result: InferenceResult) -> None:
        """A frame was answered."""
        for usage in result.workers:
            self._meet(usage.name)
            self._usage[usage.name] = usage
            self.history.add_work(usage.name, usage.macs, usage.energy_j)

    def forget(self, now_s: float) -> list[int]:
        """Drop workers that were silent for too long; returns their numbers, whose markers go."""
        gone = [name for name, (_, heard) in self._status.items() if now_s - heard > self._forget_after_s]
        for name in gone:
            del self._status[name]
            self._usage.pop(name, None)
            self._rejected_before.pop(name, None)
            self._rates.pop(name, None)
        return [self.numbers[name] for name in gone]

    def bars(self, now_s: float) -> list[WorkerBar]:
        """What the markers show, in the order of the names."""
        return [self._bar(name, now_s) for name in sorted(self._status, key=natural)]

    def _bar(self, name: str, now_s: float) -> WorkerBar:
        status, heard = self._status[name]
        usage, manager = self._usage.get(name), self._manager[0] if self._manager else None
        state, bytes_per_s, use = state_name(status), math.nan, math.nan
        if now_s - heard > self._stale_after_s:
            state = "lost"
        else:
            if state in ("ready", "active") and is_slow(status, current_factor(status, manager)):
                state = "slow"
            rates = self._rates[name].per_second()
            bytes_per_s = sum(rates)
            if self._cluster is not None:
                use = link_use(*rates, self._host_of.get(name, status.host), self._cluster, manager)
        own_j, own_ms = math.nan, math.nan  # before the first report of a frame
        if status.frames:
            own_j, own_ms = status.energy_j / status.frames, status.compute_ms
        return WorkerBar(
            name=name, index=self.numbers[name], color=self.colors[name], state=state, load=status.load,
            rows=status.rows, compute_ms=usage.compute_ms if usage else own_ms,
            energy_j=usage.energy_j if usage else own_j, message=status.message, host=status.host,
            opacity=self._opacity(now_s - heard), bytes_per_s=bytes_per_s, link_use=use,
        )  # fmt: skip

    def manager_box(self, now_s: float) -> ManagerBox | None:
        """What the manager's marker shows; None before it was heard."""
        if self._manager is None:
            return None
        status, heard = self._manager
        silent_s = now_s - heard
        state = "lost" if silent_s > self._stale_after_s else STATES.get(status.state, "error")
        return ManagerBox(state, status.epoch, self._opacity(silent_s), is_gone=silent_s > self._forget_after_s)

    def _opacity(self, silent_s: float) -> float:
        """1 while it is heard, then down to `FAINTEST` until it goes."""
        if silent_s <= self._stale_after_s:
            return 1.0
        fading_s = max(self._forget_after_s - self._stale_after_s, 1e-3)
        return max(FAINTEST, 1.0 - (1.0 - FAINTEST) * (silent_s - self._stale_after_s) / fading_s)

    def diagnostics(self, now_s: float) -> list[DiagnosticStatus]:
        """One line per worker; fragments dropped since the last call make a warning."""
        lines = []
        for name, (status, heard) in self._status.items():
            silent_s = now_s - heard
            total = rejected_total(status)
            new = total - self._rejected_before.get(name, 0)
            self._rejected_before[name] = total
            lines.append(worker_diagnostics(status, silent_s if silent_s > self._stale_after_s else 0.0, new))
        return lines

    def frame_workers(self, result: InferenceResult, now_s: float) -> tuple[WorkerView, ...]:
        """What the picture of one answer shows: the workers of its plan from top to bottom, then the others."""
        plan = self._plans.get((result.session, result.epoch))
        usages = {usage.name: usage for usage in result.workers}
        planned = list(plan.workers) if plan else []
        executed = sorted((name for name in usages if name not in planned), key=lambda name: _first_rows(usages[name]))
        idle = [name for name in self._status if name not in planned and name not in usages]
        bands = {} if result.fallback else _bands(plan, usages.values())
        macs = sum(usage.macs for usage in usages.values())
        height = plan.height if plan else 0
        views = []
        for name in [*planned, *executed, *sorted(idle, key=natural)]:
            usage, (status, heard) = usages.get(name), self._status.get(name, (None, -math.inf))
            start, stop = bands.get(name, (0.0, 0.0))
            views.append(
                WorkerView(
                    name=name,
                    color=self.colors.get(name, len(self.colors)),
                    band=(start, stop),
                    rows=round(height * stop) - round(height * start),
                    load=status.load if status else math.nan,
                    compute_ms=usage.compute_ms if usage else math.nan,
                    energy_j=usage.energy_j if usage else math.nan,
                    work=usage.macs / macs if usage and macs else math.nan,
                    head=name == result.head,
                    silent=now_s - heard > self._stale_after_s,
                )
            )
        return tuple(views)

    def newest_plan(self) -> PartitionPlan | None:
        """The plan that came last."""
        return next(reversed(self._plans.values()), None)

    def plan(self, session: int, epoch: int) -> PartitionPlan | None:
        """A plan by its number, if it is one of the newest."""
        return self._plans.get((session, epoch))

    def _meet(self, name: str) -> None:
        if name in self.numbers:
            return
        self.numbers[name] = self.colors[name] = len(self.numbers)
        if not self._plans:
            self.colors.update({known: rank for rank, known in enumerate(sorted(self.numbers, key=natural))})


def answer_view(result: InferenceResult, frame_name: str) -> AnswerView:
    """What the picture says of an answer."""
    return AnswerView(
        frame=frame_name,
        classes=tuple((score.label or f"class {score.id}", score.probability) for score in result.classes),
        model=result.model,
        latency_ms=result.latency_ms,
        deadline_ms=result.deadline_ms,
        epoch=result.epoch,
        fallback=result.fallback,
        attempts=result.attempts,
        boxes=tuple(BoxView(d.label, d.score, d.x, d.y, d.width, d.height) for d in result.detections),
    )


def stage_boundaries(plan: PartitionPlan) -> tuple[tuple[int, ...], ...]:
    """The plan's row boundaries, stage by stage."""
    per_stage = len(plan.workers) + 1
    flat = list(plan.boundaries)
    return tuple(tuple(flat[i : i + per_stage]) for i in range(0, len(flat), per_stage))


def _is_sound(plan: PartitionPlan) -> bool:
    if not plan.workers or not plan.boundaries or len(plan.boundaries) % (len(plan.workers) + 1):
        return False
    return all(stage[0] == 0 and list(stage) == sorted(stage) for stage in stage_boundaries(plan))


def _first_rows(usage: WorkerUsage) -> int:
    return usage.row_start[0] if usage.row_start else 0


def _bands(plan: PartitionPlan | None, usages: Iterable[WorkerUsage]) -> dict[str, tuple[float, float]]:
    """Parts of the height in the first stage: as executed, or as planned for a worker whose report is missing."""
    bands = {}
    planned = stage_boundaries(plan)[0] if plan else ()
    if planned and planned[-1] > 0:
        for name, start, stop in zip(plan.workers, planned, planned[1:], strict=False):
            bands[name] = (start / planned[-1], stop / planned[-1])
    executed = {u.name: (u.row_start[0], u.row_stop[0]) for u in usages if len(u.row_start) and len(u.row_stop)}
    total = planned[-1] if planned else max((stop for _, stop in executed.values()), default=0)
    for name, (start, stop) in executed.items():
        if 0 <= start <= stop <= total and total:
            bands[name] = (start / total, stop / total)
    return bands
