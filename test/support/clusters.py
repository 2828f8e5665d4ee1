"""Clusters for tests."""

from __future__ import annotations

import random
from collections.abc import Sequence

from coedge_ros.spec.cluster import ClusterSpec, Host, Link, Power, WorkerSpec


def cluster_of(
    speeds: Sequence[float],
    compute_w: Sequence[float] | float = 5.0,
    *,
    link: Link | None = None,
    idle_w: float = 1.0,
    transmit_w: float = 2.0,
    **more,
) -> ClusterSpec:
    """One worker per host, the manager on a host of its own; speeds in macs/s."""
    powers = [compute_w] * len(speeds) if isinstance(compute_w, (int, float)) else list(compute_w)
    hosts = [Host(f"h{i}") for i in range(len(speeds))] + [Host("camera")]
    workers = [
        WorkerSpec(f"w{i}", f"h{i}", macs_per_s=speed, power=Power(idle_w, power, transmit_w))
        for i, (speed, power) in enumerate(zip(speeds, powers, strict=True))
    ]
    return ClusterSpec(tuple(hosts), tuple(workers), link or Link(1e-4, 12.5e6), "camera", **more)


def random_cluster(rng: random.Random, workers: int, macs: float) -> ClusterSpec:
    """Unequal speeds, powers and links, such that `macs` take a worker about 20 ms to 2 s."""
    hosts = [Host(f"h{i}", idle_w=rng.choice([0.0, 1.0])) for i in range(workers)] + [Host("camera")]
    names = [host.name for host in hosts]

    def link() -> Link:
        return Link(rng.choice([0.0, 1e-4, 1e-3]), 10 ** rng.uniform(5.5, 8))

    specs = []
    for i in range(workers):
        idle = rng.uniform(0, 3)
        compute = idle + rng.uniform(1, 15)
        power = Power(idle, compute, idle + rng.uniform(0, 3))
        specs.append(WorkerSpec(f"w{i}", f"h{i}", macs_per_s=macs / 10 ** rng.uniform(-1.7, 0.3), power=power))
    pairs = [(a, b) for a in names for b in names if a != b]
    links = {pair: link() for pair in pairs} if rng.random() < 0.5 else {}
    manager = rng.choice(names)
    return ClusterSpec(tuple(hosts), tuple(specs), link(), manager, links=links, manager_transmit_w=rng.uniform(0, 3))
