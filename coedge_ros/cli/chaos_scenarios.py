"""What is done to a cluster on purpose, and what must hold all the same."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coedge_ros.cli.chaos_setting import Setting
from coedge_ros.cli.chaos_traffic import Traffic
from coedge_ros.cli.namespaces import Hosts
from coedge_ros.msg import ManagerStatus
from coedge_ros.nodes.flight_record import read_flight_record

DETECT_LIMIT_S = 0.5
REPLAN_LIMIT_S = 0.2
ANSWER_LIMIT_S = 1.0  # the frame in flight when a worker dies
REJOIN_LIMIT_S = 30.0  # a worker that is started again imports torch and traces its model first
BACK_LIMIT_S = 3.0
AT_STAGE_LIMIT_S = 5.0
LOOK_S = 0.0003  # between two looks at which stage a worker is: less than a stage takes, and workers need the processor


@dataclass
class Found:
    """Times of a scenario [s], None for what it does not measure or what never came; `figures` are its own."""

    detect_s: float | None = None
    replan_s: float | None = None
    problems: tuple[str, ...] = ()
    fallback_allowed: bool = False
    figures: dict[str, Any] = field(default_factory=dict)


class Hands:
    """What scenarios may do: break and mend processes, and look at what the cluster says."""

    def __init__(self, cluster, listening, traffic: Traffic, workers: tuple[str, ...], setting: Setting):
        self.cluster, self.listening, self.traffic, self.workers = cluster, listening, traffic, workers
        self.setting, self.rng = setting, setting.rng
        self.hosts: Hosts | None = None  # where each worker is on one of its own
        self.flight_records: Path | None = None  # folder where workers say at which stage they are

    @property
    def status(self) -> ManagerStatus | None:
        """The manager's last word."""
        return self.listening.record.status

    @property
    def plan(self):
        """The newest plan."""
        return self.listening.record.plans[-1]

    def plan_in_force(self):
        """The plan of the newest answer."""
        known = [plan for plan in self.listening.record.plans if plan.epoch == self.traffic.epoch]
        return known[-1] if known else self.plan

    def with_rows(self) -> list[str]:
        """Workers that have rows in the plan in force: nobody waits for the others in a frame."""
        plan = self.plan_in_force()
        edges = np.reshape(plan.boundaries, (-1, len(plan.workers) + 1))
        return [name for name, rows in zip(plan.workers, np.diff(edges).sum(axis=0), strict=True) if rows]

    def signal(self, number: int, *names: str) -> float:
        """Send a signal to processes; returns when."""
        now = time.monotonic()
        for name in names:
            self.cluster.group.children[name].send_signal(number)
        return now

    def kill_in_flight(self, *names: str) -> float:
        """Kill at a random moment of a frame that is on its way."""
        account = self.traffic.account
        self.traffic.run_until(lambda: account.unanswered > 0, 5.0)
        end = time.monotonic() + self.rng.uniform(0.0, self.traffic.period_s)
        while time.monotonic() < end:
            self.traffic.step()
        return self.signal(signal.SIGKILL, *names)

    def kill_at_stage(self, name: str) -> tuple[float, str]:
        """Kill a worker at a random stage of a frame: when, and at which stage it was as it has said itself."""
        path, stages = self.flight_records / name, len(self.plan_in_force().cuts) + 2
        wanted, end = self.rng.randrange(stages), time.monotonic() + AT_STAGE_LIMIT_S
        while time.monotonic() < end:
            self.traffic.step()
            moment = time.monotonic() + self.traffic.period_s / 2  # no results are taken meanwhile
            while (at := read_flight_record(path)) is None and time.monotonic() < moment:
                time.sleep(LOOK_S)
            while at is not None and at[1] < wanted:
                time.sleep(LOOK_S)
                at = read_flight_record(path)
            if at is not None:
                break
        now = self.signal(signal.SIGKILL, name)
        self.cluster.group.children[name].wait(5)
        at = read_flight_record(path)
        return now, "between frames" if at is None else f"{at[1] + 1} of {stages}"

    def start(self, *names: str) -> None:
        """Start processes again that have ended."""
        for name in names:
            with suppress(Exception):
                self.cluster.group.children[name].wait(5)
        self.cluster.group.start([self.cluster.specs[name] for name in names])

    def plan_without(self, *names: str) -> bool:
        """Whether the newest plan does without them."""
        return not set(names) & set(self.plan.workers)

    def all_used(self) -> bool:
        """Whether the plan in force is for all workers."""
        status = self.status
        return (
            status is not None
            and status.state == ManagerStatus.STATE_ACTIVE
            and not status.missing
            and set(self.plan.workers) == set(self.workers)
            and status.epoch == self.plan.epoch
        )

    def lose(self, began_s: float, *names: str, limit_s: float = 6.0) -> Found:
        """Wait for the plan without some workers: how long until they were missed, and until there was a plan."""
        if self.traffic.run_until(lambda: self.plan_without(*names), limit_s) is None:
            return Found(problems=(f"no plan without {', '.join(names)} within {limit_s:g} s",))
        planning_s = self.plan.planning_ms / 1e3
        return Found(max(0.0, time.monotonic() - began_s - planning_s), planning_s)

    def rejoin(self, limit_s: float = REJOIN_LIMIT_S) -> tuple[str, ...]:
        """Wait until all workers are used."""
        if self.traffic.run_until(self.all_used, limit_s) is None:
            return (f"not all workers were used again within {limit_s:g} s",)
        return ()


def kill_one(hands: Hands) -> Found:
    """A worker is killed while a frame is on its way; it comes back and is used again."""
    hands.traffic.run_for(1.0)
    victim = hands.rng.choice(hands.with_rows())
    began, stage = hands.kill_at_stage(victim)
    found = hands.lose(began, victim)
    hands.traffic.run_for(1.0)
    problems = list(found.problems)
    in_flight_s = hands.traffic.account.in_flight_s(began, time.monotonic())
    if in_flight_s > ANSWER_LIMIT_S:
        problems.append(f"the frame in flight took {in_flight_s:.2f} s, limit {ANSWER_LIMIT_S:g} s")
    if found.detect_s is not None and found.detect_s > DETECT_LIMIT_S:
        problems.append(f"missed after {found.detect_s:.2f} s, limit {DETECT_LIMIT_S:g} s")
    if found.replan_s is not None and found.replan_s > REPLAN_LIMIT_S:
        problems.append(f"planning took {found.replan_s:.2f} s, limit {REPLAN_LIMIT_S:g} s")
    hands.start(victim)
    problems += hands.rejoin()
    figures = {"stage_hit": stage, "in_flight_ms": round(in_flight_s * 1e3, 1)}
    return Found(found.detect_s, found.replan_s, tuple(problems), figures=figures)


def hang(hands: Hands) -> Found:
    """A worker hangs (SIGSTOP) and goes on later: what it still sends is stale and harms nothing."""
    victim = hands.rng.choice(hands.workers)
    hands.traffic.run_for(1.0)
    began = hands.signal(signal.SIGSTOP, victim)
    try:
        found = hands.lose(began, victim)
        hands.traffic.run_for(1.0)
    finally:
        hands.signal(signal.SIGCONT, victim)
    return Found(found.detect_s, found.replan_s, found.problems + hands.rejoin(BACK_LIMIT_S))


def kill_two(hands: Hands) -> Found:
    """All workers but one are killed at once."""
    victims = hands.rng.sample(hands.workers, len(hands.workers) - 1)
    hands.traffic.run_for(1.0)
    found = hands.lose(hands.kill_in_flight(*victims), *victims)
    hands.traffic.run_for(1.0)
    hands.start(*victims)
    return Found(found.detect_s, found.replan_s, found.problems + hands.rejoin())


def kill_all(hands: Hands) -> Found:
    """All workers are killed: the manager answers by itself until they are back."""
    hands.traffic.run_for(1.0)
    began = hands.kill_in_flight(*hands.workers)
    account = hands.traffic.account
    alone_s = hands.traffic.run_until(lambda: bool(account.fallbacks), 6.0)
    problems = [] if alone_s is not None else ["the manager did not answer alone within 6 s"]
    hands.traffic.run_for(1.0)
    started = time.monotonic()
    hands.start(*hands.workers)
    problems += hands.rejoin()
    figures = {"used_again_s": round(time.monotonic() - started, 2)}
    answered = account.fallbacks[0] - began if account.fallbacks else None
    return Found(answered, None, tuple(problems), fallback_allowed=True, figures=figures)


def manager_restart(hands: Hands) -> Found:
    """The manager is killed and started again; the workers stay up. Frames of the time between have no manager."""
    hands.traffic.run_for(0.5)
    hands.traffic.settle()
    instances = {w: hands.listening.record.workers[w].instance for w in hands.workers}
    session, gone = hands.plan.session, hands.cluster.feeder.readers()
    began = hands.signal(signal.SIGKILL, "partition_manager")
    answered = len(hands.traffic.account.answered_s)
    hands.start("partition_manager")
    end = time.monotonic() + REJOIN_LIMIT_S
    while (hands.plan.session == session or not hands.all_used()) and time.monotonic() < end:
        hands.traffic.step(sends=False)
    hands.cluster.feeder.wait_for_manager(REJOIN_LIMIT_S, gone)
    hands.traffic.run_until(lambda: len(hands.traffic.account.answered_s) > answered, REJOIN_LIMIT_S)
    back_s = time.monotonic() - began
    hands.traffic.run_for(1.0)
    now = {w: hands.listening.record.workers[w].instance for w in hands.workers}
    problems = [] if now == instances else ["workers were restarted too"]
    if back_s > BACK_LIMIT_S:
        problems.append(f"frames were answered again after {back_s:.1f} s, limit {BACK_LIMIT_S:g} s")
    return Found(problems=tuple(problems), figures={"back_s": round(back_s, 2)})
