"""The manager's planner: from the workers that are there to a plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from coedge_ros.nodes.membership import Member
from coedge_ros.spec.cluster import ClusterSpec, Power
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares


@dataclass(frozen=True, slots=True)
class Solved:
    """A plan and what the planner says of it; NaN where it does not know."""

    plan: PartitionPlan
    deadline_s: float | None
    latency_s: float
    energy_j: float
    explanation: str


class Solver:
    def __init__(self, graph: ModelGraph, cluster: ClusterSpec, values: dict[str, Any]):
        self.graph, self.cluster, self.values = graph, cluster, values

    def power_of(self, worker: str) -> Power:
        return self.cluster.worker(worker).power if worker in self.cluster.worker_names else Power()

    def solve(self, members: list[Member]) -> Solved:
        names = tuple(m.name for m in members)
        plan = plan_from_shares(self.graph, names, [m.speed_macs_per_s for m in members], layer_cuts(self.graph))
        return Solved(plan, None, math.nan, math.nan, "by speed")
