"""What the manager learns while it serves frames: speeds of workers and links, and whether another plan pays."""

from __future__ import annotations

import time
from collections import deque
from statistics import median
from typing import Any

from coedge_ros.execution.coordinator import Answer
from coedge_ros.msg import LinkSpeed, ManagerStatus, WorkerSpeed, WorkerStatus
from coedge_ros.nodes.membership import MAX_MEMBERS, Member
from coedge_ros.nodes.replanning import Replanning
from coedge_ros.nodes.solving import NOTHING, Solver
from coedge_ros.nodes.supervisor import IssuedPlan, MakePlan
from coedge_ros.planning.tracking import Estimates, Tracker, changes
from coedge_ros.spec.cluster import ClusterSpec, Link
from coedge_ros.spec.schedule import MANAGER_NAME, TELLING_SHARE

RECENT = 15  # frames whose latency is reported


class Adaptation:
    """Executor thread, but for `compare`.

    Parameters
    ----------
    cluster : ClusterSpec
        Of the cluster file.
    values : dict
        The manager's parameters `track`, `planner`, `replan_margin`, `replan_after_s`, followed as they change.
    """

    def __init__(self, cluster: ClusterSpec, values: dict[str, Any]):
        self.cluster, self.values = cluster, values
        self.tracker = Tracker()
        self.decision = Replanning(cluster)
        self._announced: dict[str, tuple[int, float]] = {}  # instance and speed
        self._latency_s: deque[float] = deque(maxlen=RECENT)
        self._predicted_s = float("nan")
        self._compares = False

    @property
    def estimates(self) -> Estimates:
        """Of now; nothing when tracking is switched off."""
        return self.tracker.estimates if self.values["track"] else NOTHING

    def heard(self, message: WorkerStatus) -> None:
        """A worker's status: another process of that name announces another speed."""
        announced = message.instance, message.speed_macs_per_s
        if self._announced.get(message.name) != announced:
            self._announced[message.name] = announced
            self.tracker.forget(message.name)
            if len(self._announced) > MAX_MEMBERS:  # of workers that are gone too: one that hung comes back as it was
                oldest = next(iter(self._announced))
                del self._announced[oldest]
                self.tracker.forget(oldest)
        self.tracker.checked(message.name, message.idle_factor)

    def carried(self, source: str, target: str, link: Link) -> None:
        """A link between two participants was measured: what the cluster file says holds for its hosts.

        Latency is no less than the file's, which contains what software adds at both ends.
        """
        hosts = self._host_of(source), self._host_of(target)
        if None in hosts or hosts[0] == hosts[1]:
            return
        least = self.cluster.link(*hosts).alpha_s
        self.tracker.carried(*hosts, Link(max(link.alpha_s, least), link.bytes_per_s))

    def _host_of(self, participant: str) -> str | None:
        if participant == MANAGER_NAME:
            return self.cluster.manager_host
        return self.cluster.worker(participant).host if participant in self.cluster.worker_names else None

    def take_in(self, served: deque[tuple[IssuedPlan, Answer]]) -> None:
        """Frames that have been served since the last time."""
        while served:
            plan, answer = served.popleft()
            least_macs = TELLING_SHARE * sum(usage.macs for usage in answer.usage)
            for usage in answer.usage:
                if usage.macs >= least_macs:
                    self.tracker.computed(usage.worker, plan.compute_s.get(usage.worker, 0.0), usage.compute_s)
            self._latency_s.append(answer.latency_s)
            self._predicted_s = plan.message.predicted_latency_s

    def should_compare(self, now_s: float, plan: IssuedPlan) -> bool:
        """Whether the planner should look for a better plan than the one in force now."""
        if self._compares or not self.values["track"] or self.values["planner"] == "manual":
            return False
        margin, after_s = self.values["replan_margin"], self.values["replan_after_s"]
        self._compares = self.decision.is_due(
            now_s, plan.epoch, plan.estimates, self.estimates, margin, after_s, plan.is_quick
        )
        return self._compares

    def compare(self, solver: Solver, plan: IssuedPlan, members: list[Member], now_s: float) -> MakePlan | None:
        """The order to plan again, when another plan is better by the margin. Called by a thread with time to spare."""
        began_s = time.monotonic()
        try:
            now = self.estimates
            found = solver.compare(plan.schedule.plan, members, now)
            least = self.decision.least_gain(now_s, self.values["replan_margin"])
            if found.gain < least:
                self.decision.found_little(now, least)
                return None
            self.decision.replanned(now_s)
            what = [change.text for change in changes(plan.estimates, now, self.cluster)[:3]]
            what += ["the plan was made at once"] * plan.is_quick
            return MakePlan(tuple(members), f"{'; '.join(what)}; {found}; before: {plan.schedule.plan}", now)
        finally:
            self.decision.looked(time.monotonic() - began_s)
            self._compares = False

    def add_to(self, message: ManagerStatus, plan: IssuedPlan | None) -> None:
        """Fill the figures of a status message."""
        now, planned = self.estimates, plan.estimates if plan else NOTHING
        message.speeds = [
            WorkerSpeed(
                name=name, announced_macs_per_s=self._announced.get(name, (0, 0.0))[1],
                factor=now.speed.get(name, 1.0), planned_factor=planned.speed.get(name, 1.0),
            )
            for name in sorted({*now.speed, *planned.speed})
        ]  # fmt: skip
        for pair in sorted({*now.links, *planned.links}):
            new, old = (e.links.get(pair) or self.cluster.link(*pair) for e in (now, planned))
            message.links.append(LinkSpeed(
                source=pair[0], target=pair[1], alpha_s=new.alpha_s, bytes_per_s=new.bytes_per_s,
                planned_alpha_s=old.alpha_s, planned_bytes_per_s=old.bytes_per_s,
            ))  # fmt: skip
        latency = list(self._latency_s)
        message.latency_ms = median(latency) * 1e3 if latency else float("nan")
        message.predicted_ms = self._predicted_s * 1e3
