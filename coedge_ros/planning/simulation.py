"""Event-driven simulation of one frame, message by message: code of its own, to check the cost model against.

Participants take turns as events tell: a processor computes one stage at a time; a link's two ends each serve one
message at a time, in the order in which messages come; threads of one host share its cores as they are busy at each
moment (the cost model shares them for a whole stage); links may change their rate over time, and compute times may
scatter.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from coedge_ros.planning.coding import coding_macs
from coedge_ros.planning.resources import CONSTANT, BandwidthTrace, Port, Processors
from coedge_ros.planning.times import OperatorTimes
from coedge_ros.spec.profile import Profile
from coedge_ros.spec.schedule import MANAGER, Schedule, TransferKind


@dataclass(frozen=True, slots=True)
class Simulated:
    """What happened to one frame.

    `stages_s` has start and end per (worker, stage), `delivered_s` the end of each transfer by its index, both from the
    frame's start. `busy_s` is per worker, of the plan's order; `link_s` per participant, manager last: time that its
    link was busy sending plus receiving between hosts. Energies as in the cost model.
    """

    latency_s: float
    stages_s: dict[tuple[int, int], tuple[float, float]]
    delivered_s: dict[int, float]
    busy_s: tuple[float, ...]
    link_s: tuple[float, ...]
    energy_j: float
    energy_with_idle_j: float
    messages: int
    wire_bytes: int


def simulate(
    schedule: Schedule,
    profile: Profile,
    *,
    noise: float = 0.0,
    seed: int = 0,
    trace: BandwidthTrace = CONSTANT,
    start_s: float = 0.0,
    in_stage_order: bool = False,
) -> Simulated:
    """Follow one frame through a plan.

    Parameters
    ----------
    noise : float
        Standard deviation of the logarithm of each stage's compute time.
    trace : BandwidthTrace
        How links between hosts change; `start_s` is when the frame enters.
    in_stage_order : bool
        Whether a receiver's port serves messages of earlier stages first, even if it must wait for them, as the cost
        model has it; otherwise first come, first served.
    """
    return _Simulation(schedule, profile, noise, random.Random(seed), trace, start_s, in_stage_order).run()


class _Simulation:
    def __init__(self, schedule, profile, noise, rng, trace, start_s, in_stage_order):
        self.in_stage_order = in_stage_order
        self.schedule, self.noise, self.rng, self.trace = schedule, noise, rng, trace
        self.now = self.start = start_s
        cluster = profile.cluster
        self.specs = [cluster.worker(name) for name in schedule.plan.workers]
        self.hosts = [spec.host for spec in self.specs] + [cluster.manager_host]
        self.cluster = cluster
        self.manager = len(self.specs)
        self.seconds = _compute_seconds(schedule, profile)
        self.events: list = []
        self.ticket = count()
        self.out, self.into = ([Port() for _ in self.hosts] for _ in range(2))
        self.stage = [0] * self.manager
        self.running = [False] * self.manager
        self.missing = [[len(stage.receives) for stage in stages] for stages in schedule.work]
        self.expected: list[Counter] = [Counter() for _ in range(self.manager + 1)]
        for t in schedule.transfers:
            self.expected[self.place(t.target)][t.sent_after] += 1
        self.pending = sum(1 for t in schedule.transfers if t.target == MANAGER)
        self.link = [0.0] * (self.manager + 1)
        self.started: dict[int, float] = {}
        self.stages: dict[tuple[int, int], tuple[float, float]] = {}
        self.delivered: dict[int, float] = {}
        self.reports = {t.source: t for t in schedule.transfers if t.kind is TransferKind.REPORT}
        self.processors = {}
        for host in {spec.host for spec in self.specs}:
            threads = sum(w.threads for w in cluster.workers if w.host == host)
            cores = cluster.host(host).cores or float("inf")
            measured = max(1.0, threads / cores) if profile.measured_together else 1.0
            self.processors[host] = Processors(cores, measured)

    # -- events
    # ---------------------------------------------------------------------------------------------------------

    def at(self, time_s: float, action: Callable, *args) -> None:
        heapq.heappush(self.events, (time_s, next(self.ticket), action, args))

    def run(self) -> Simulated:
        for pool in self.processors.values():
            pool.since = self.now
        for transfer in self.schedule.transfers:
            if transfer.source == MANAGER:
                self.send(transfer)
        for worker in range(self.manager):
            self.try_stage(worker)
        latency = 0.0
        while self.events:
            self.now, _, action, args = heapq.heappop(self.events)
            action(*args)
            if self.pending == 0 and not latency:
                latency = self.now - self.start
        assert self.pending == 0, "the schedule waits for a message that nobody sends"
        return self.result(latency)

    # -- links
    # ----------------------------------------------------------------------------------------------------------

    def place(self, participant: int) -> int:
        return self.manager if participant == MANAGER else participant

    def send(self, transfer) -> None:
        source = self.place(transfer.source)
        self.out[source].queue.append(transfer)
        self.serve_out(source)

    def wire_s(self, transfer) -> float:
        a, b = self.hosts[self.place(transfer.source)], self.hosts[self.place(transfer.target)]
        link = self.cluster.link(a, b)
        nominal = transfer.wire_bytes / link.bytes_per_s
        return nominal if a == b else self.trace.duration(self.now, nominal)

    def serve_out(self, source: int) -> None:
        port = self.out[source]
        if port.busy or not port.queue:
            return
        port.busy = True
        transfer = port.queue.popleft()
        duration = self.wire_s(transfer)
        self.charge(source, transfer, duration)
        target = self.place(transfer.target)
        alpha = self.cluster.link(self.hosts[source], self.hosts[target]).alpha_s
        # the first byte reaches the other end after alpha and its port serves from then on
        self.at(self.now + alpha, self.reach, transfer)
        self.at(self.now + duration, self.sent, source)

    def sent(self, source: int) -> None:
        self.out[source].busy = False
        self.serve_out(source)

    def reach(self, transfer) -> None:
        target = self.place(transfer.target)
        self.into[target].queue.append(transfer)
        self.serve_in(target)

    def serve_in(self, target: int) -> None:
        port = self.into[target]
        if port.busy or not port.queue:
            return
        if self.in_stage_order:
            following = min(port.queue, key=lambda t: t.sent_after)
            if following.sent_after > min(stage for stage, left in self.expected[target].items() if left):
                return
            port.queue.remove(following)
            port.queue.appendleft(following)
        port.busy = True
        transfer = port.queue.popleft()
        self.expected[target][transfer.sent_after] -= 1
        duration = self.wire_s(transfer)
        self.charge(target, transfer, duration)
        self.at(self.now + duration, self.deliver, target, transfer)

    def deliver(self, target: int, transfer) -> None:
        self.into[target].busy = False
        self.delivered[transfer.index] = self.now - self.start
        self.serve_in(target)
        if transfer.target == MANAGER:
            self.pending -= 1
            return
        self.missing[target][transfer.needed_in] -= 1
        self.try_stage(target)

    def charge(self, participant: int, transfer, duration: float) -> None:
        if self.hosts[self.place(transfer.source)] != self.hosts[self.place(transfer.target)]:
            self.link[participant] += duration

    # -- processors
    # -----------------------------------------------------------------------------------------------------

    def try_stage(self, worker: int) -> None:
        """Start the next stage when all that it needs is here; pass over stages without work."""
        while not self.running[worker] and self.stage[worker] < len(self.schedule.work[worker]):
            stage = self.stage[worker]
            if self.missing[worker][stage]:
                return
            seconds = self.seconds[worker][stage]
            self.started[worker] = self.now - self.start
            if seconds <= 0:
                self.finish(worker)
                continue
            if self.noise:
                seconds *= self.rng.lognormvariate(0.0, self.noise)
            self.running[worker] = True
            pool = self.processors[self.specs[worker].host]
            pool.advance(self.now)
            pool.left[worker], pool.threads[worker] = seconds, self.specs[worker].threads
            self.plan_end(pool)

    def plan_end(self, pool: Processors) -> None:
        following = pool.next_end()
        if following:
            self.at(following[0], self.ended, pool, pool.version, following[1])

    def ended(self, pool: Processors, version: int, worker: int) -> None:
        if version != pool.version:
            return  # somebody started or ended since: this end was planned with another speed
        pool.advance(self.now)
        del pool.left[worker]
        self.plan_end(pool)
        self.running[worker] = False
        self.finish(worker)
        self.try_stage(worker)

    def finish(self, worker: int) -> None:
        stage = self.stage[worker]
        self.stages[worker, stage] = self.started[worker], self.now - self.start
        self.stage[worker] += 1
        for index in self.schedule.work[worker][stage].sends:
            self.send(self.schedule.transfers[index])
        if self.stage[worker] == len(self.schedule.work[worker]) and worker in self.reports:
            self.send(self.reports[worker])

    # -- result
    # ---------------------------------------------------------------------------------------------------------

    def result(self, latency: float) -> Simulated:
        busy = [
            sum(stages) / self.processors[spec.host].measured
            for stages, spec in zip(self.seconds, self.specs, strict=True)
        ]
        power = [spec.power for spec in self.specs]
        working = [worker for worker in self.reports if any(s.computes for s in self.schedule.work[worker])]
        energy = self.cluster.manager_transmit_w * self.link[self.manager]
        energy += sum(p.compute_w * b + p.transmit_w * t for p, b, t in zip(power, busy, self.link, strict=False))
        idle = sum(power[w].idle_w * max(latency - busy[w] - self.link[w], 0.0) for w in working)
        idle += sum(self.cluster.host(host).idle_w * latency for host in {self.hosts[w] for w in working})
        transfers = self.schedule.transfers
        return Simulated(
            latency,
            self.stages,
            self.delivered,
            tuple(busy),
            tuple(self.link),
            energy,
            energy + idle,
            len(transfers),
            sum(t.wire_bytes for t in transfers),
        )


def _compute_seconds(schedule: Schedule, profile: Profile) -> list[list[float]]:
    """Processor seconds per worker and stage when nobody shares the cores, messages at both ends included."""
    graph = schedule.graph
    speeds = [profile.speed_macs_per_s(name) for name in schedule.plan.workers]
    order = profile.cluster.worker_names
    tables = OperatorTimes(graph, profile, np.array([profile.speed_macs_per_s(n) for n in order])).tables
    reporting = {t.source for t in schedule.of_kind(TransferKind.REPORT)}
    found = []
    for w, name in enumerate(schedule.plan.workers):
        spec, table = profile.cluster.worker(name), tables.get(order.index(name), {})
        per_stage = []
        for stage, work in enumerate(schedule.work[w]):
            total = spec.stage_s if work.computes else 0.0
            for item in work.computes:
                op = graph.operators[item.operator]
                pieces: Sequence[int] = [len(piece) for piece in item.rows] or [1]
                for rows in pieces:
                    if item.operator in table:
                        total += float(table[item.operator][rows])
                    else:
                        total += op.macs_of(rows) / speeds[w]
            report = w in reporting and stage == len(schedule.work[w]) - 1
            coded = [(schedule.transfers[i], end) for end, some in enumerate((work.sends, work.receives)) for i in some]
            total += sum(coding_macs(t)[end] / speeds[w] for t, end in coded if t.codec)
            messages = len(work.receives) + len(work.sends) + report
            per_stage.append(total + spec.message_s * messages)
        found.append(per_stage)
    return found
