"""Random requests for planners: clusters of many kinds, small models made once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from support.clusters import random_cluster
from support.graphs import GRAPHS

from coedge_ros.planning.registry import best_single_latency_s
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cluster import ClusterSpec, Link
from coedge_ros.spec.cuts import forced_cuts, layer_cuts, legal_cuts, with_forced
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares, reference_heights
from coedge_ros.spec.profile import Profile

NO_LINK = Link(0.0, 0.0)


@cache
def small_graph(name: str, height: int = 24, width: int = 32) -> ModelGraph:
    """A graph of `support.graphs`, the same object every time, so that planners reuse what they know of it."""
    return GRAPHS[name](height, width)


def many_kinds_of_cluster(rng: random.Random, workers: int, graph: ModelGraph) -> ClusterSpec:
    """`random_cluster` with limits, workers almost without speed, missing links, shared hosts, costs per message."""
    cluster = random_cluster(rng, workers, graph.total_macs)
    need = sum(op.weight_bytes for op in graph.operators) + 2 * max(op.output.total_bytes for op in graph.operators)
    changed = []
    limited = rng.random() < 0.4
    for worker in cluster.workers:
        more = {}
        if limited and rng.random() < 0.3:
            more["memory_bytes"] = int(need * rng.uniform(0.4, 1.5))
        if rng.random() < 0.1:
            more["macs_per_s"] = worker.macs_per_s * 1e-4
        if limited and rng.random() < 0.2:
            more["energy_cap_j"] = worker.power.compute_w * graph.total_macs / worker.macs_per_s * rng.uniform(0.2, 1)
        if limited and rng.random() < 0.2:
            more["duty_cap"] = rng.uniform(0.3, 1.0)
        if rng.random() < 0.2:
            more |= {"stage_s": 1e-4, "message_s": 1e-4}
        changed.append(replace(worker, **more))
    hosts, links = list(cluster.hosts), dict(cluster.links)
    if workers > 1 and rng.random() < 0.3:
        shared = rng.sample(range(workers), rng.randint(2, workers))
        for i in shared:
            changed[i] = replace(changed[i], host=hosts[shared[0]].name, threads=rng.choice([1, 2]))
        hosts[shared[0]] = replace(hosts[shared[0]], cores=rng.choice([1, 2, 4]))
    if rng.random() < 0.1:
        a, b = rng.sample([host.name for host in hosts], 2)
        links[a, b] = NO_LINK
    return replace(cluster, hosts=tuple(hosts), workers=tuple(changed), links=links)


def random_requests(count: int, seed: object, most_workers: int = 5) -> Iterator[PlanRequest]:
    """Requests over all objectives, with and without deadline, for `fused` unless replaced."""
    rng = random.Random(str(seed))
    for _ in range(count):
        graph = small_graph(rng.choice(list(GRAPHS)), rng.choice([24, 40]))
        cluster = many_kinds_of_cluster(rng, rng.randint(1, most_workers), graph)
        profile = Profile(cluster, measured_together=rng.random() < 0.3)
        objective = rng.choice(["energy", "energy", "latency", "throughput"])
        factor = rng.choice([0.6, 0.8, 1.0, 1.3, 2.0] if objective == "energy" else [None, None, 0.9, 1.2])
        deadline_s = factor and factor * best_single_latency_s(graph, profile)
        yield PlanRequest(graph, profile, "fused", objective, deadline_s, count_idle=rng.random() < 0.3)


def random_plan(rng: random.Random, graph: ModelGraph, names, vary: bool | None = None) -> PartitionPlan:
    """Any cuts, any shares, thin bands and none among them, with `vary` others in every stage."""
    legal = legal_cuts(graph)
    some = with_forced(graph, rng.sample(legal, min(3, len(legal))))
    cuts = rng.choice([layer_cuts(graph), forced_cuts(graph), some])
    base = [rng.choice([0, 0.02, 1, 2]) for _ in names]
    base[rng.randrange(len(names))] += 1
    vary = rng.random() < 0.4 if vary is None else vary
    heights = reference_heights(graph, cuts)
    shares = [[s * rng.uniform(0.8, 1.2) if vary else s for s in base] for _ in heights]
    return plan_from_shares(graph, names, shares, cuts, head=rng.choice(names))


def score_of(request: PlanRequest, plan) -> float:
    """Objective of a plan, or above all objectives how much it misses."""
    return float(request.scores(request.evaluator.figures_of([plan]))[0])
