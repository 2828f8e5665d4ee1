"""When the manager makes a plan, switches to it, or answers alone: decisions only, without ROS and without threads.

first plan: all expected workers can be used, or the time limit is over
new plan:   a worker of the plan is gone or was restarted, has forgotten it, or does not acknowledge it; another one
            has come; or speeds and links have changed and another plan is better now (`replanning.py` finds out)
switch:     all workers of a plan have acknowledged it
alone:      no worker of the plan is left, nor any other
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from coedge_ros.nodes.membership import Member, Membership
from coedge_ros.planning.tracking import Estimates
from coedge_ros.spec.schedule import Schedule

PREPARE_LIMIT_S = 15.0  # building programs takes tenths of a second; a worker may still be loading its model
UNUSABLE_LIMIT_S = 5.0  # workers that live but cannot be used for so long are no help to a frame
RETRY_S = 2.0  # after a plan could not be made
TOGETHER_S = 0.3  # a worker that joins waits so long for others that are still loading: robots are switched on together


@dataclass(frozen=True, slots=True)
class IssuedPlan:
    """A plan that was published.

    Attributes
    ----------
    schedule : Schedule
        With the plan in it.
    message : PartitionPlan
        The message that was published.
    instances : mapping of str to int
        The workers that it was made for, also those that got nothing to do: name to instance.
    issued_s : float
        When, monotonic seconds.
    estimates : Estimates
        Of speeds and links that it was made with.
    compute_s : mapping of str to float
        See `Solved.compute_s`.
    is_quick : bool
        See `Solved.is_quick`.
    """

    epoch: int
    schedule: Schedule
    message: Any
    instances: Mapping[str, int]
    issued_s: float
    estimates: Estimates = field(default_factory=Estimates)
    compute_s: Mapping[str, float] = field(default_factory=dict)
    is_quick: bool = False

    @property
    def workers(self) -> tuple[str, ...]:
        """Workers that run it."""
        return self.schedule.plan.workers

    def shares_process(self, other: IssuedPlan, worker: str) -> bool:
        """Whether a worker of this plan is the same process in another one."""
        return worker in other.workers and other.instances.get(worker) == self.instances.get(worker)


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Solve for these workers with these estimates of speeds and links.

    It is urgent where frames or a worker that came back wait for it: an earlier plan for the same workers will do then.
    """

    members: tuple[Member, ...]
    reason: str
    estimates: Estimates = field(default_factory=Estimates)
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class SwitchTo:
    """Use a plan from the next frame on.

    Attributes
    ----------
    leaving : mapping of str to int
        Workers of the plan before that are not in this one but live and still have theirs, so that they finish the
        frames under way: name to instance.
    """

    plan: IssuedPlan
    leaving: Mapping[str, int] = field(default_factory=dict)

    def finishes(self, old: IssuedPlan) -> bool:
        """Whether all workers of a plan before are still there to finish its frames."""
        return all(self.plan.shares_process(old, w) or self.leaving.get(w) == old.instances[w] for w in old.workers)


@dataclass(frozen=True, slots=True)
class GoAlone:
    """Nobody is left: the manager answers by itself."""


Action = MakePlan | SwitchTo | GoAlone


@dataclass
class Supervisor:
    """Decides; its owner acts, and tells it what came of it with `issued` and `failed`.

    Attributes
    ----------
    session : int
        Of the manager.
    wait_for_workers_s : float
        How long the first plan waits for all expected workers.
    started_s : float
        Monotonic seconds at start.
    """

    membership: Membership
    session: int
    wait_for_workers_s: float
    started_s: float
    proposed: IssuedPlan | None = None  # published, not yet acknowledged by all
    in_force: IssuedPlan | None = None
    is_alone: bool = False
    missing: list[str] = field(default_factory=list)
    waits_for: str = ""  # who is missing and why, until the first plan
    estimates: Estimates = field(default_factory=Estimates)  # of speeds and links, as they are now
    _better: tuple[int, MakePlan] | None = None  # an order in place of the plan with that epoch
    _changed_aims: str = ""
    _is_planning: bool = False
    _joins_since_s: float | None = None
    _retry_s: float = 0.0
    _unusable_since_s: float | None = None

    def issued(self, plan: IssuedPlan) -> None:
        """The plan that was asked for is published."""
        self.proposed = plan
        self._is_planning = False

    def failed(self, now_s: float) -> None:
        """The plan that was asked for could not be made; it is asked for again after a while."""
        self._retry_s = now_s + RETRY_S
        self._is_planning = False

    @property
    def is_planning(self) -> bool:
        """Whether a plan was asked for that is neither issued nor failed."""
        return self._is_planning

    @property
    def is_settled(self) -> bool:
        """Whether a plan is in force that uses all who are expected, and no other is on its way."""
        return self.in_force is not None and self.proposed is None and not self.missing

    def aims_changed(self, what: str) -> None:
        """What plans are made for is another thing now, in words: plan again as soon as nothing else has to be done."""
        self._changed_aims = what

    def found_better(self, epoch: int, order: MakePlan) -> None:
        """Another plan is better now than that of an epoch; the order is given when nothing else has to be done."""
        self._better = epoch, order

    def step(self, now_s: float, digest: str, size: tuple[int, int], reachable: Collection[str]) -> Action | None:
        """What to do now.

        Parameters
        ----------
        now_s : float
            Monotonic seconds.
        digest, size
            Of the manager's model.
        reachable : collection of str
            Workers that the manager can send to and receive from.
        """
        latest = self.proposed or self.in_force
        usable = self.membership.usable(digest, size, reachable, latest.workers if latest else ())
        self.missing = self.membership.missing(usable)
        if acknowledged := self._acknowledged():
            return acknowledged
        if self._is_planning or now_s < self._retry_s:
            return None
        if latest is None:
            return self._begin(usable, now_s)
        if gone := [w for w in latest.workers if not self.membership.is_alive(w, latest.instances[w])]:
            return self._without(gone, latest, usable, now_s)
        self._unusable_since_s = None
        if self.proposed and now_s - self.proposed.issued_s > PREPARE_LIMIT_S:
            return self._bar_silent(now_s)
        if forgetful := self._forgetful():
            return self._plan(usable, f"{', '.join(forgetful)} lost the plan")
        if new := [m.name for m in usable if latest.instances.get(m.name) != m.instance]:
            if self._others_are_coming(now_s):
                return None
            return self._plan(usable, f"with {', '.join(new)}", is_urgent=True)  # a plan with them may be known
        if self._changed_aims and self.proposed is None and usable:
            return self._plan(usable, self._changed_aims)
        return self._improve()

    def _others_are_coming(self, now_s: float) -> bool:
        if self._joins_since_s is None:
            self._joins_since_s = now_s
        is_early = now_s - self._joins_since_s < TOGETHER_S
        return is_early and not all(m.ready for m in self.membership.members.values())

    def _plan(
        self, usable: list[Member], reason: str, estimates: Estimates | None = None, is_urgent: bool = False
    ) -> MakePlan:
        self._is_planning, self.is_alone, self._unusable_since_s = True, False, None
        self._changed_aims, self._joins_since_s = "", None
        return MakePlan(tuple(usable), reason, estimates or self.estimates, is_urgent)

    def _improve(self) -> MakePlan | None:
        if self._better is None or self.proposed is not None:
            return None
        (epoch, order), self._better = self._better, None
        if epoch != self.in_force.epoch:
            return None
        self._is_planning = True
        return order

    def _begin(self, usable: list[Member], now_s: float) -> Action | None:
        if self.is_alone:  # whoever comes back is used at once
            names = ", ".join(m.name for m in usable)
            return self._plan(usable, f"{names} came back", is_urgent=True) if usable else None
        reasons = ", ".join(f"{name} ({self.membership.reason(name)})" for name in self.missing)
        self.waits_for = reasons or "workers"
        if usable and not self.missing:
            return self._plan(usable, "first")
        if usable and now_s - self.started_s > self.wait_for_workers_s:
            return self._plan(usable, f"first, after {self.wait_for_workers_s:g} s without {reasons}")
        return None

    def is_overdue(self, now_s: float) -> bool:
        """Whether the first plan waits for longer than it should, because there is no worker at all."""
        waits = self.proposed is None and self.in_force is None and not self.is_alone
        return waits and now_s - self.started_s > self.wait_for_workers_s

    def _without(self, gone: list[str], latest: IssuedPlan, usable: list[Member], now_s: float) -> Action | None:
        if usable:
            # with the estimates of that plan, because for its losses there are plans beforehand
            return self._plan(usable, f"without {', '.join(gone)}", latest.estimates, is_urgent=True)
        if len(gone) < len(latest.workers):  # some live, and will be connected in a moment
            self._unusable_since_s = self._unusable_since_s or now_s
            if now_s - self._unusable_since_s < UNUSABLE_LIMIT_S:
                return None
        self.proposed = self.in_force = None
        self.is_alone = True
        self._unusable_since_s = None
        return GoAlone()

    def _acknowledged(self) -> SwitchTo | None:
        plan = self.proposed
        if plan is None or not all(self._has_prepared(w, plan) for w in plan.workers):
            return None
        leaving = self._leaving(self.in_force, plan) if self.in_force else {}
        self.proposed, self.in_force = None, plan
        return SwitchTo(plan, leaving)

    def _leaving(self, old: IssuedPlan, new: IssuedPlan) -> dict[str, int]:
        return {
            worker: old.instances[worker]
            for worker in old.workers
            if worker not in new.workers
            and self.membership.has_prepared(worker, old.instances[worker], self.session, old.epoch)
        }

    def _has_prepared(self, worker: str, plan: IssuedPlan) -> bool:
        instance = plan.instances[worker]
        return self.membership.is_alive(worker, instance) and self.membership.has_prepared(
            worker, instance, self.session, plan.epoch
        )

    def _forgetful(self) -> list[str]:
        if self.proposed or not self.in_force:
            return []
        return [w for w in self.in_force.workers if not self._has_prepared(w, self.in_force)]

    def _bar_silent(self, now_s: float) -> None:
        for worker in self.proposed.workers:
            if not self._has_prepared(worker, self.proposed):
                self.membership.bar(worker, f"has not acknowledged plan {self.proposed.epoch}, see its log")
        # The next step plans without them.
