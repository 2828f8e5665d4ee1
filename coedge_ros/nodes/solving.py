"""The manager's planner: from the workers that are there to a plan."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from coedge_ros.errors import UserError
from coedge_ros.nodes.membership import Member
from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.planning.survivors import plan_for_survivors
from coedge_ros.planning.tracking import Estimates
from coedge_ros.rows.split import split_by_shares
from coedge_ros.spec.cluster import ClusterSpec, Power, WorkerSpec
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.outcome import PlanOutcome, Prediction, Status
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.profile import Profile

_REMEMBERED = 64  # plans
AIMS = ("objective", "deadline_s", "deadline_factor")  # parameters that may change while frames are served
NEAR = 2.0  # announced speeds of one worker that differ by less
NOTHING = Estimates()  # all is as announced and as the cluster file says


def _numbers(name: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UserError(f"parameter {name} is {text!r}: write whole numbers with commas between them") from None


@dataclass(frozen=True, slots=True)
class Solved:
    """A plan and what the planner says of it; NaN where it does not know.

    Attributes
    ----------
    compute_s : mapping of str to float
        Time that each worker's kernels take for a frame with the speed that it announced, neither pretended nor
        estimated: what its own count is compared with.
    estimates : Estimates
        Of speeds and links that it was made for.
    is_quick : bool
        Made without a search, because frames waited: another is probably better.
    """

    plan: PartitionPlan
    deadline_s: float | None
    latency_s: float
    energy_j: float
    explanation: str
    compute_s: Mapping[str, float] = field(default_factory=dict)
    estimates: Estimates = NOTHING
    is_quick: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan and the best one for the same estimates; `gain` is the part of the objective that the best one saves."""

    latency_s: float
    energy_j: float
    best: Solved
    gain: float

    def __str__(self) -> str:
        return (
            f"predicted {self.latency_s * 1e3:.1f} ms and {self.energy_j:.3g} J with the plan in force, "
            f"{self.best.latency_s * 1e3:.1f} ms and {self.best.energy_j:.3g} J with another"
        )


def _is_near(speeds: Mapping[str, float], others: Mapping[str, float]) -> bool:
    """Whether it is the same workers, of about the same speeds."""
    return speeds.keys() == others.keys() and all(
        others[name] / NEAR < speed < others[name] * NEAR for name, speed in speeds.items()
    )


def _gain(request: PlanRequest, before: Prediction, after: Prediction) -> float:
    """Part of the objective that is saved; 1 where only the second meets the deadline and the workers' limits."""
    fails = [bool(p.violations) or request.misses_deadline(p.latency_s) for p in (before, after)]
    if fails[0] != fails[1]:
        return float(fails[0])
    if fails[0]:
        return 1 - after.latency_s / before.latency_s
    return 1 - request.value(after) / request.value(before)


class Solver:
    """Makes plans with the manager's parameters `planner`, `objective`, `deadline_s`, `deadline_factor`.

    Parameters
    ----------
    graph : ModelGraph
        The model.
    cluster : ClusterSpec
        Powers, links and hosts of the cluster file. A worker that is not in it counts as one on the manager's host.
    values : dict
        The manager's parameters.
    search : callable
        `make_plan`, or what does the same without holding up frames, for what is not urgent.
    """

    def __init__(
        self,
        graph: ModelGraph,
        cluster: ClusterSpec,
        values: dict[str, Any],
        search: Callable[[PlanRequest], PlanOutcome] = make_plan,
    ):
        self.graph, self.cluster, self.values, self.search = graph, cluster, values, search
        self._lock = threading.Lock()
        self._solved: OrderedDict[tuple, Solved] = OrderedDict()

    def aims(self) -> tuple:
        """What plans are made for, as the parameters say now."""
        return tuple(self.values[name] for name in AIMS)

    def power_of(self, worker: str) -> Power:
        """Configured power of a worker; none for one that is not in the file."""
        return self.cluster.worker(worker).power if worker in self.cluster.worker_names else Power()

    def solve(
        self,
        members: list[Member],
        estimates: Estimates = NOTHING,
        search: Callable[[PlanRequest], PlanOutcome] = make_plan,
    ) -> Solved:
        """Plan for the workers that are there; at once when it has been solved before. Called by any thread.

        Raises
        ------
        UserError
            When there is nothing to plan. A deadline that cannot be met is no such case: the nearest plan is used.
        """
        key = self._key(members, estimates)
        solved = self._solved.get(key)
        if solved is None or solved.is_quick:  # not locked: nobody waits for another's plan
            solved = self._solve(members, estimates, search)
        self._remember(key, solved)
        return solved

    def _remember(self, key: tuple, solved: Solved) -> None:
        with self._lock:
            self._solved[key] = solved
            self._solved.move_to_end(key)
            while len(self._solved) > _REMEMBERED:
                self._solved.popitem(last=False)

    def solve_at_once(self, members: list[Member], estimates: Estimates = NOTHING) -> Solved:
        """As `solve`; while frames wait, the newest plan for the same workers will do, whatever was estimated then.

        A worker that was started again announces another speed than before, as it measured it this time. For workers
        without a plan, one is made of the newest plan that has them all, without a search (planner `fused`).

        Whether another is better now is found out afterwards, as for any plan in force.
        """
        speeds, figures, aims = self._key(members, estimates)
        with self._lock:
            known = dict(self._solved)
        now = dict(speeds)
        near = [(of, solved) for (of, _, to), solved in known.items() if to == aims and _is_near(dict(of), now)]
        if (speeds, figures, aims) in known:
            return known[speeds, figures, aims]
        if near:
            of, solved = near[-1]
            return solved if of == speeds else replace(solved, compute_s=self._compute_s(solved.plan, members))
        more = [solved.plan for (of, _, _), solved in known.items() if now.keys() < dict(of).keys()]
        if not more or self.values["planner"] != "fused":
            return self.solve(members, estimates)
        return self._solve_quickly(members, estimates, more[-1])

    def _solve_quickly(self, members: list[Member], estimates: Estimates, before: PartitionPlan) -> Solved:
        request = self._request(members, estimates)
        solved = self._solved_of(request, plan_for_survivors(request, before), members, estimates, is_quick=True)
        self._remember(self._key(members, estimates), solved)
        return solved

    def _key(self, members: list[Member], estimates: Estimates) -> tuple:
        return tuple(sorted((m.name, m.speed_macs_per_s) for m in members)), estimates.key(), self.aims()

    def compare(self, plan: PartitionPlan, members: list[Member], estimates: Estimates) -> Comparison:
        """A plan for just these workers against the best one for what is estimated now."""
        best = self.solve(members, estimates, self.search)
        request = self._request(members, estimates)
        before, after = (request.evaluator.predict(p) for p in (plan, best.plan))
        return Comparison(before.latency_s, before.energy_j, best, _gain(request, before, after))

    def prepare_for_losses(self, members: list[Member], estimates: Estimates, plan: PartitionPlan) -> None:
        """Have a plan for the loss of each worker of a plan, so that its loss costs no time for planning."""
        for lost in members if len(members) > 1 else ():
            rest = [m for m in members if m.name != lost.name]
            if self._key(rest, estimates) in self._solved:
                continue
            with contextlib.suppress(UserError):  # it is told when it is needed
                if self.values["planner"] == "fused":
                    self._solve_quickly(rest, estimates, plan)
                else:
                    self.solve(rest, estimates)

    def _request(self, members: list[Member], estimates: Estimates) -> PlanRequest:
        profile = self._profile(members, estimates)
        deadline_s = self.values["deadline_s"] or None
        if factor := self.values["deadline_factor"]:
            deadline_s = factor * best_single_latency_s(self.graph, profile)
        return PlanRequest(
            self.graph, profile, planner=self.values["planner"], objective=self.values["objective"],
            deadline_s=deadline_s, manual_rows=self._rows(len(members)), cuts=self._cuts(),
            codec=Codec.parse(self.values["codec"]),
        )  # fmt: skip

    def _solve(
        self, members: list[Member], estimates: Estimates, search: Callable[[PlanRequest], PlanOutcome]
    ) -> Solved:
        request = self._request(members, estimates)
        return self._solved_of(request, search(request), members, estimates)

    def _solved_of(
        self,
        request: PlanRequest,
        outcome: PlanOutcome,
        members: list[Member],
        estimates: Estimates,
        is_quick: bool = False,
    ) -> Solved:
        if outcome.status is Status.INVALID or outcome.plan is None:
            raise UserError(f"no plan: {outcome.explanation}")
        predicted = outcome.predicted
        text = outcome.explanation if outcome.is_feasible else f"{outcome.explanation} NOT MET: {outcome.binding}"
        return Solved(
            outcome.plan, request.deadline_s, predicted.latency_s if predicted else math.nan,
            predicted.energy_j if predicted else math.nan, text, self._compute_s(outcome.plan, members), estimates,
            is_quick,
        )  # fmt: skip

    def _compute_s(self, plan: PartitionPlan, members: list[Member]) -> dict[str, float]:
        profile = self._profile(members, NOTHING)
        plain = (replace(w, speed_factor=1.0, stage_s=0.0, message_s=0.0) for w in profile.cluster.workers)
        profile = profile.with_cluster(replace(profile.cluster, workers=tuple(plain)))
        stages = PlanRequest(self.graph, profile).evaluator.predict(plan).stage_compute_s
        return dict(zip(plan.workers, map(sum, zip(*stages, strict=True)), strict=True))

    def _rows(self, workers: int) -> tuple[int, ...]:
        """Parameter `rows`; equal rows when it is empty, or when workers are missing that it was written for."""
        height = self.graph.input.height
        rows = _numbers("rows", self.values["rows"])
        if len(rows) == workers:
            return rows
        bounds = split_by_shares(height, [1.0] * workers)
        return tuple(b - a for a, b in pairwise(bounds))

    def _cuts(self) -> tuple[int, ...] | None:
        """Parameter `cuts`: None for one layer a stage, () for the forced ones only."""
        text = self.values["cuts"]
        return None if text == "layers" else () if text == "none" else _numbers("cuts", text)

    def _profile(self, members: list[Member], estimates: Estimates) -> Profile:
        cluster = self.cluster
        for member in members:
            if member.name not in cluster.worker_names:
                cluster = cluster.with_worker(WorkerSpec(member.name, host=cluster.manager_host))
        # workers announce speeds that they measured at the same time, when all had just been started
        measured = {m.name: m.speed_macs_per_s for m in members}
        cluster = estimates.of(cluster.only(measured))
        return Profile(cluster, measured, measured_together=True, model=self.values["model"])
