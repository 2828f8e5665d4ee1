"""When everything happens: stage by stage, on processors and links that serve one thing at a time.

The rules, which the simulator (`simulate`) follows independently, event by event:

- a worker starts a stage when its previous one is done and everything that the stage needs has arrived;
- a message occupies its sender's port for bytes / rate from when it is made, arrives `alpha` later at the receiver's
  port and
  occupies that for the same time: transfers of one participant are serialised, latencies of several overlap;
- computing and sending overlap, but for `message_s` of processor time per message at both ends;
- the frame is done when its results and the workers' reports are at the manager.

What is approximated here and not in the simulator: at a receiver, messages of one stage are served before those of
later stages, whichever arrives first; threads share cores evenly for the whole of a stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.devices import Devices
from coedge_ros.planning.workload import Workload

PAIRWISE_UP_TO = 12  # participants up to which comparing all pairs is faster than sorting


@dataclass(frozen=True, slots=True)
class Timeline:
    """Times of a batch of plans [s].

    Attributes
    ----------
    latency_s : ndarray, shape (B,)
    arrive, start, end : ndarray, shape (B, S + 1, N)
        When what a stage needs has arrived, when it starts, when it ends and its messages are handed over.
    busy_s : ndarray, shape (B, N)
        Processor time: what the worker would take if nobody shared its cores. Energy and throughput depend on it.
    out_s, in_s : ndarray, shape (B, M)
        Time that a participant's link is busy sending and receiving; `radio_s` is the part of both that leaves the
        host.
    """

    latency_s: np.ndarray
    arrive: np.ndarray
    start: np.ndarray
    end: np.ndarray
    busy_s: np.ndarray
    out_s: np.ndarray
    in_s: np.ndarray
    radio_s: np.ndarray

    def period_s(self, devices: Devices) -> np.ndarray:
        """Time per frame of the busiest processor, host or link, when frames follow each other closely, shape (B,)."""
        host = (self.busy_s * devices.threads) @ devices.same_host / devices.cores
        busiest = [self.busy_s, host, self.out_s, self.in_s]
        return np.max([part.max(axis=1) for part in busiest], axis=0)


def timeline(load: Workload, devices: Devices) -> Timeline:
    """Follow a batch of plans through time."""
    batch, stages, n = load.batch, load.stages, devices.count
    m = n + 1
    end, out_free, in_free = np.zeros((batch, n)), np.zeros((batch, m)), np.zeros((batch, m))
    arrived = np.zeros((stages + 2, batch, m))
    starts, ends = np.zeros((batch, stages + 1, n)), np.zeros((batch, stages + 1, n))
    by_stage: dict[int, list] = {}
    total_bytes = np.zeros((batch, m, m))
    for group in load.messages:
        by_stage.setdefault(group.sent_after, []).append(group)
        total_bytes += group.size_bytes
    alone = load.seconds + load.active * devices.stage_s
    if devices.message_s.any():
        alone = alone + _handled(load, n) * devices.message_s
    work = alone * devices.contention(load.active)
    through = _through_port_pairwise if m <= PAIRWISE_UP_TO else _through_port
    ready = np.zeros((batch, m))
    for stage in range(-1, stages + 1):
        if stage >= 0:
            start = np.maximum(end, arrived[stage, :, :n])
            end = start + work[:, stage]
            starts[:, stage], ends[:, stage] = start, end
            ready[:, :n] = end
        for group in by_stage.get(stage, ()):
            duration = group.size_bytes * devices.s_per_byte
            sent = group.count > 0
            cumulative = np.cumsum(duration, axis=2)
            free = np.maximum(out_free, ready)
            at_port = np.where(sent, free[:, :, None] + (cumulative - duration + devices.alpha_s), -np.inf)
            out_free = np.where(sent.any(axis=2), free + cumulative[:, :, -1], out_free)
            received = sent.any(axis=1)
            in_free = np.where(received, through(at_port, duration, in_free), in_free)
            arrived[group.needed_in] = np.where(received, in_free, arrived[group.needed_in])
    busy = total_bytes * devices.s_per_byte
    crossing = busy * devices.crosses
    return Timeline(
        arrived[stages + 1, :, n],
        np.moveaxis(arrived[: stages + 1, :, :n], 0, 1),
        starts,
        ends,
        alone.sum(axis=1) / devices.factor_when_measured,
        busy.sum(axis=2),
        busy.sum(axis=1),
        crossing.sum(axis=2) + crossing.sum(axis=1),
    )


def _handled(load: Workload, n: int) -> np.ndarray:
    """Messages that each worker receives for each stage and sends after it, shape (B, S + 1, N)."""
    counts = np.zeros((load.batch, load.stages + 1, n))
    for group in load.messages:
        if group.needed_in <= load.stages:
            counts[:, group.needed_in] += group.count.sum(axis=1)[:, :n]
        if group.sent_after >= 0:
            counts[:, group.sent_after] += group.count.sum(axis=2)[:, :n]
    return counts


def _through_port_pairwise(at_port: np.ndarray, duration: np.ndarray, free: np.ndarray) -> np.ndarray:
    """`_through_port` without sorting: the last is done when the port has served all that came since it was last idle.

    That is the largest, over the messages k, of `at_k` plus the durations of all that come no earlier than k.
    """
    later = at_port[:, None, :, :] >= at_port[:, :, None, :]  # (B, k, j, receiver)
    served = at_port + (later * duration[:, None, :, :]).sum(axis=2)
    return np.maximum(served.max(axis=1), free + duration.sum(axis=1))


def _through_port(at_port: np.ndarray, duration: np.ndarray, free: np.ndarray) -> np.ndarray:
    """First come, first served, at every receiver: when the last is done; `free` is when the port gets idle before.

    `done_k = max(at_k, done_{k-1}) + d_k`, which is a running maximum of `at_j - D_{j-1}` plus the running sum `D`.
    """
    at, duration = np.swapaxes(at_port, 1, 2), np.swapaxes(duration, 1, 2)
    order = np.argsort(at, axis=2)
    at, duration = np.take_along_axis(at, order, 2), np.take_along_axis(duration, order, 2)
    total = np.cumsum(duration, axis=2)
    return np.maximum((at - (total - duration)).max(axis=2), free) + total[:, :, -1]
