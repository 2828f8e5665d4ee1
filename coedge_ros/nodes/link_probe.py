"""What a message costs over the real data plane: two processes send fragments back and forth.

A message of n bytes takes `alpha + n / beta` one way (Hockney's model, the one of the planner). Measured is the way
there with n bytes and back with 16: the slope over n is 1 / beta, half of what is left for n = 0 is alpha. It contains
everything that a worker pays: filling the message, DDS, waking up, taking it and putting chunks together.

Two workers that exchange rows pay more than that: caches are full of maps, processors share clock and memory, and each
waits for the slower one. So both ends also compute, send and wait for each other, round after round (`meeting_s`). They
compute for as long as a stage of the model takes: the longer a stage, the longer the wait for whoever is late.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from statistics import mean, median
from typing import Any

import numpy as np
import torch

from coedge_ros.errors import UserError
from coedge_ros.nodes.link_end import LinkEnd
from coedge_ros.spec.cluster import Link

CHUNK_BYTES = 524288
SIZES = (1024, 16384, 65536, 262144, 1048576)
NEAR, FAR = "probe_near", "probe_far"
MATCH_LIMIT_S = 20.0
LOST_AFTER_S = 2.0
_LEAST_ALPHA_S = 1e-5
WINDOW, _STREAM_BYTES, _STREAM_MOST = 4, 67108864, 1000
MEETING_BYTES, MEETINGS = 20000, 60  # about a row of a large map; any other transfer is answered with 16 bytes
STAGE_S, _LONGEST_STAGE_S = 0.0015, 0.03  # what an end computes between two meetings
_MEETING_MAP = (1, 64, 40, 53)  # its 3x3 convolution takes about 1.5 ms


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """Round trips by payload size, and what follows from them.

    Attributes
    ----------
    round_trip_s : dict of int to list of float
        Payload bytes to seconds, there with the payload and back with 16 bytes.
    send_s, take_s : float
        Processor time of one small message at its sender and its receiver; both are part of the round trips.
    lost : int
        Round trips that never ended.
    meeting_s : float
        What an exchange of `MEETING_BYTES` in both directions takes between two ends that compute; 0: not measured.
    stream_bytes_per_s : dict of int to float
        Payload bytes to the rate of transfers that follow each other, `WINDOW` of them under way; empty: not measured.
    """

    round_trip_s: dict[int, list[float]]
    send_s: float
    take_s: float
    lost: int
    meeting_s: float = 0.0
    stream_bytes_per_s: dict[int, float] = field(default_factory=dict)

    def one_way_s(self, size_bytes: int) -> float:
        """Median time of a payload one way: the round trip less a small message back."""
        smallest = min(self.round_trip_s)
        return median(self.round_trip_s[size_bytes]) - median(self.round_trip_s[smallest]) / 2

    @property
    def link(self) -> Link:
        """Fit of `alpha + n / beta` to the medians, relative errors weighted alike."""
        alpha_s, per_byte_s = self._fit()
        return Link(max(alpha_s, _LEAST_ALPHA_S), 1.0 / max(per_byte_s, 1e-12))

    @property
    def message_s(self) -> float:
        """Processor time of a message at either end: half of what an exchange costs beyond the link."""
        idle_s = (self.send_s + self.take_s) / 2
        return max(idle_s, (self.meeting_s - self.link_beside_processors.seconds(MEETING_BYTES)) / 2)

    @property
    def link_beside_processors(self) -> Link:
        """The link for a planner that counts `message_s` at both ends by itself."""
        alpha_s, per_byte_s = self._fit()
        return Link(max(alpha_s - self.send_s - self.take_s, _LEAST_ALPHA_S), 1.0 / max(per_byte_s, 1e-12))

    def _fit(self) -> tuple[float, float]:
        sizes = np.array(sorted(self.round_trip_s), float)
        seconds = np.array([median(self.round_trip_s[int(n)]) for n in sizes])
        rows = np.stack([np.full(len(sizes), 2.0), sizes], axis=1) / seconds[:, None]
        alpha, per_byte = np.linalg.lstsq(rows, np.ones(len(sizes)), rcond=None)[0]
        return float(alpha), float(per_byte)


def far(
    chunk_bytes: int = CHUNK_BYTES, qos: dict[str, Any] | None = None, meeting_rows: int = 0, is_awake: bool = False
) -> None:
    """The far end: answers every transfer with 16 bytes, until the process is told to end (SIGTERM)."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    end = LinkEnd(FAR, NEAR, chunk_bytes, qos, is_awake)
    parent = multiprocessing.parent_process()  # None when it was not started by `probe_within_host`
    while not stop.is_set() and (parent is None or parent.is_alive()):
        if number := end.take(0.1):
            if end.taken_bytes == MEETING_BYTES:
                _meet(end, number, meeting_rows)
            else:
                end.send(16, number)
    end.close()


def near(
    repeats: int = 40,
    chunk_bytes: int = CHUNK_BYTES,
    sizes: tuple[int, ...] = SIZES,
    qos: dict[str, Any] | None = None,
    meeting_rows: int = 0,
    with_streams: bool = False,
    is_awake: bool = False,
) -> LinkFigures:
    """Measure from this process to one that runs `far`, over the domain and transport that the environment names.

    With `meeting_rows`, the same at both ends, `meeting_s` is measured too, beside convolutions of so many rows. With
    `is_awake`, the same at both ends, neither sleeps, see `LinkEnd`. rclpy must not be initialised in this process.

    Raises
    ------
    UserError
        When the two do not find each other, or everything of a size is lost.
    """
    end = LinkEnd(NEAR, FAR, chunk_bytes, qos, is_awake)
    try:
        limit = time.perf_counter() + MATCH_LIMIT_S
        while FAR not in end.channel.matched():
            if time.perf_counter() > limit:
                raise UserError(
                    f"two processes did not find each other over DDS within {MATCH_LIMIT_S:.0f} s: see ROS_DOMAIN_ID, "
                    "ROS_AUTOMATIC_DISCOVERY_RANGE and the Fast DDS profile"
                )
            time.sleep(0.05)
        figures = _round_trips(end, repeats, sizes)
        if with_streams:
            figures = replace(figures, stream_bytes_per_s={size: _stream(end, size) for size in sizes})
        return replace(figures, meeting_s=_invite(end, meeting_rows)) if meeting_rows else figures
    finally:
        end.close()


def probe_within_host(
    repeats: int = 40,
    chunk_bytes: int = CHUNK_BYTES,
    sizes: tuple[int, ...] = SIZES,
    with_meetings: bool = True,
    with_streams: bool = False,
    stage_s: float = STAGE_S,
) -> LinkFigures:
    """Measure between this process and a child, see `near`; `stage_s` is how long both compute between two meetings."""
    rows = _rows_for(stage_s) if with_meetings else 0
    child = multiprocessing.get_context("spawn").Process(target=far, args=(chunk_bytes, None, rows), daemon=True)
    child.start()
    try:
        return near(repeats, chunk_bytes, sizes, meeting_rows=rows, with_streams=with_streams)
    finally:
        child.terminate()
        child.join(5.0)
        if child.is_alive():
            child.kill()


def _round_trips(end: LinkEnd, repeats: int, sizes: tuple[int, ...]) -> LinkFigures:
    times: dict[int, list[float]] = {size: [] for size in sizes}
    send_s, lost, number = [], 0, 0
    for round_ in range(repeats + 3):  # sizes in turn, so that whatever disturbs the machine disturbs all of them
        for size in sizes:
            number += 1
            began = time.perf_counter()
            end.send(size, number)
            sent = time.perf_counter()
            while (came := end.take(LOST_AFTER_S, number)) not in (None, number):
                pass
            if came is None:
                lost += 1
            elif round_ >= 3:
                times[size].append(time.perf_counter() - began)
                if size == min(sizes):
                    send_s.append(sent - began)
    if not all(times.values()):
        raise UserError("everything of a size was lost between two processes: is /dev/shm full, or the link down?")
    return LinkFigures(times, median(send_s), _take_s(end, number), lost)


def _stream(end: LinkEnd, size_bytes: int) -> float:
    """Bytes per second of transfers that follow each other, `WINDOW` of them unanswered."""
    count = max(2 * WINDOW, min(_STREAM_MOST, _STREAM_BYTES // size_bytes))
    first = end.last_sent + 1
    began = time.perf_counter()
    for number in range(first, first + count + WINDOW):
        if number < first + count:
            end.send(size_bytes, number)
        if number >= first + WINDOW and end.take(LOST_AFTER_S) is None:
            raise UserError(f"a transfer of {size_bytes} bytes was lost in a stream of them: is /dev/shm full?")
    return count * size_bytes / (time.perf_counter() - began)


def _rows_for(stage_s: float) -> int:
    """Rows whose convolution takes `stage_s` on one thread of this machine, within bounds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x, weight = torch.zeros(_MEETING_MAP), torch.zeros(64, 64, 3, 3)
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        torch.nn.functional.conv2d(x, weight, padding=1)
        seconds.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return max(1, round(x.shape[2] * min(stage_s, _LONGEST_STAGE_S) / median(seconds)))


def _invite(end: LinkEnd, rows: int) -> float:
    """Have both ends compute and exchange; `LinkFigures.meeting_s`."""
    first = end.last_sent + 1
    end.send(MEETING_BYTES, first)
    return _meet(end, first, rows)


def _meet(end: LinkEnd, first: int, rows: int) -> float:
    """Compute, send, wait for what the other sends, again and again: mean time from computed to taken.

    The slowest tenth, in which something else had the processor, is left out. `first` numbers the transfer before.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x, weight = torch.zeros(*_MEETING_MAP[:2], rows or _MEETING_MAP[2], _MEETING_MAP[3]), torch.zeros(64, 64, 3, 3)
    seconds = []
    for number in range(first + 1, first + 1 + MEETINGS):
        torch.nn.functional.conv2d(x, weight, padding=1)
        computed = time.perf_counter()
        end.send(MEETING_BYTES, number)
        while (came := end.take(LOST_AFTER_S, number)) not in (None, number):
            pass
        if came is None:
            break
        seconds.append(time.perf_counter() - computed)
    torch.set_num_threads(threads)
    if not seconds:
        raise UserError("two processes that exchanged messages lost each other: is /dev/shm full?")
    return mean(sorted(seconds)[: math.ceil(0.9 * len(seconds))])


def _take_s(end: LinkEnd, number: int, repeats: int = 20) -> float:
    """Time of taking a small message that has arrived."""
    times = []
    for i in range(repeats):
        end.send(16, number + 1 + i)
        time.sleep(0.005)
        began = time.perf_counter()
        if end.channel.receive(0.0) is not None:
            times.append(time.perf_counter() - began)
    return median(times) if times else 0.0
