"""The profile as arrays, participants in the order of the cluster's workers with the manager last."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np

from coedge_ros.errors import UserError
from coedge_ros.planning.coding import Coding
from coedge_ros.planning.times import OperatorTimes
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.profile import Profile

_PER_WORKER = (
    "speed", "idle_w", "compute_w", "transmit_w", "host_idle_w", "stage_s", "message_s", "memory_bytes", "energy_cap_j",
    "duty_cap", "threads", "cores",
)  # fmt: skip
UNREACHABLE_S_PER_BYTE = 1e6  # stands for "no link": finite, so that times stay comparable


class Devices:
    """Speeds, powers and links of a cluster as arrays, for one model.

    Attributes
    ----------
    alpha_s, s_per_byte : ndarray, shape (M, M)
        Link from participant i to j; M = workers + 1, the manager is the last.
    crosses : ndarray of bool, shape (M, M)
        Whether that link leaves the host: only then does sending cost transmit energy.
    same_host : ndarray, shape (N, N)
        1 where two workers share a host.
    coding : Coding or None
        Codecs of the links between workers, where any but raw is allowed: `codec` is the coarsest, `codec_everywhere`
        puts it on every link.

    Raises
    ------
    UserError
        For an empty cluster or a worker of unknown speed.
    """

    def __init__(self, graph: ModelGraph, profile: Profile, codec: Codec = Codec.RAW, codec_everywhere: bool = False):
        cluster = profile.cluster
        if not cluster.workers:
            raise UserError(f"{cluster.source}: there is no worker; name or start at least one")
        self.graph, self.profile = graph, profile
        workers = cluster.workers
        self.names = cluster.worker_names
        self.count = len(workers)
        self.manager = self.count
        self.speed = np.array([profile.speed_macs_per_s(name) for name in self.names])
        hosts = [worker.host for worker in workers] + [cluster.manager_host]
        links = [[cluster.link(a, b) for b in hosts] for a in hosts]
        self.alpha_s = np.array([[link.alpha_s for link in row] for row in links])
        rates = np.array([[link.bytes_per_s for link in row] for row in links])
        with np.errstate(divide="ignore"):
            self.s_per_byte = np.minimum(1.0 / rates, UNREACHABLE_S_PER_BYTE)
        self.crosses = np.array([[a != b for b in hosts] for a in hosts])
        self.same_host = np.array([[float(a == b) for b in hosts[:-1]] for a in hosts[:-1]])
        self.idle_w, self.compute_w, self.transmit_w = (
            np.array([getattr(worker.power, key) for worker in workers])
            for key in ("idle_w", "compute_w", "transmit_w")
        )
        self.manager_transmit_w = cluster.manager_transmit_w
        self.host_idle_w = np.array([cluster.host(name).idle_w for name in hosts[:-1]])
        self.stage_s = np.array([worker.stage_s for worker in workers])
        self.message_s = np.array([worker.message_s for worker in workers])
        self.memory_bytes = np.array([worker.memory_bytes or np.inf for worker in workers])
        self.energy_cap_j = np.array([worker.energy_cap_j for worker in workers])
        self.duty_cap = np.array([worker.duty_cap for worker in workers])
        self.threads = np.array([float(worker.threads) for worker in workers])
        self.cores = np.array([float(cluster.host(name).cores or np.inf) for name in hosts[:-1]])
        self.times = OperatorTimes(graph, profile, self.speed)
        between = self.s_per_byte[: self.count, : self.count]
        self.coding = Coding(codec, self.speed, between, codec_everywhere) if codec else None

    def only(self, workers: np.ndarray) -> Devices:
        """These workers (ascending indices) in the same cluster; what was measured stays as it was measured."""
        part = copy.copy(self)
        for name in ("shares_cores", "factor_when_measured", "has_limits", "lacks_links"):
            part.__dict__.pop(name, None)
        part.__dict__["factor_when_measured"] = self.factor_when_measured[workers]
        part.names = tuple(self.names[i] for i in workers)
        part.count = part.manager = len(workers)
        both = np.append(workers, self.manager)
        for name in ("alpha_s", "s_per_byte", "crosses"):
            setattr(part, name, getattr(self, name)[np.ix_(both, both)])
        part.same_host = self.same_host[np.ix_(workers, workers)]
        for name in _PER_WORKER:
            setattr(part, name, getattr(self, name)[workers])
        part.times = self.times.only(workers)
        part.coding = self.coding and self.coding.only(workers)
        return part

    @cached_property
    def shares_cores(self) -> bool:
        """Whether any host has fewer cores than its workers have threads."""
        return bool((self.same_host @ self.threads > self.cores).any())

    @cached_property
    def has_limits(self) -> bool:
        """Whether any worker's memory, energy or computing time is limited."""
        limited = np.isfinite(self.memory_bytes) | np.isfinite(self.energy_cap_j) | (self.duty_cap < 1.0)
        return bool(limited.any())

    @cached_property
    def lacks_links(self) -> bool:
        """Whether any two participants have no link."""
        return bool((self.s_per_byte >= UNREACHABLE_S_PER_BYTE).any())

    @cached_property
    def factor_when_measured(self) -> np.ndarray:
        """How much slower than alone each worker was when it was measured, shape (N,)."""
        if not self.profile.measured_together:
            return np.ones(self.count)
        return np.maximum(1.0, self.same_host @ self.threads / self.cores)

    def contention(self, active: np.ndarray) -> np.ndarray:
        """How much slower than as measured workers are while the `active` ones (shape (..., N)) compute.

        Threads beyond the host's cores share them evenly; nothing else (caches, memory bandwidth) is modelled.
        """
        if not self.shares_cores:
            return np.ones(active.shape)
        demand = (active * self.threads) @ self.same_host
        return np.maximum(1.0, demand / self.cores) / self.factor_when_measured
