"""What a message costs over the real data plane: two processes send fragments back and forth.

A message of n bytes takes `alpha + n / beta` one way (Hockney's model, the one of the planner). Measured is the way
there with n bytes and back with 16: the slope over n is 1 / beta, half of what is left for n = 0 is alpha. It contains
everything that a worker pays: filling the message, DDS, waking up, taking it and putting chunks together.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import rclpy
import torch
from rclpy.signals import SignalHandlerOptions

from coedge_ros.errors import UserError
from coedge_ros.execution.fragment import FrameKey, Outgoing, Request
from coedge_ros.nodes.dds_channel import DdsChannel, make_data_node
from coedge_ros.spec.cluster import Link
from coedge_ros.spec.schedule import Transfer, TransferKind

CHUNK_BYTES = 524288
SIZES = (1024, 16384, 65536, 262144, 1048576)
NEAR, FAR = "probe_near", "probe_far"
MATCH_LIMIT_S = 20.0
LOST_AFTER_S = 2.0
_RESEND_BYTES = 67108864
_LEAST_ALPHA_S = 1e-5


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
    """

    round_trip_s: dict[int, list[float]]
    send_s: float
    take_s: float
    lost: int

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
        """Processor time of a message at either end, the mean of both."""
        return (self.send_s + self.take_s) / 2

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


def _message(size_bytes: int, number: int, source: str) -> Outgoing:
    transfer = Transfer(
        0, TransferKind.HALO, "probe", 0, 1, None, 0, 1, (size_bytes,), "uint8", size_bytes
    )  # fmt: skip
    return Outgoing(FrameKey(1, 1, number), transfer, source, "", torch.zeros(size_bytes, dtype=torch.uint8))


class _End:
    """One end of the link: whole transfers out and in.

    Parameters
    ----------
    qos : dict, optional
        `reliable` and `depth` of the fragments, and `ask_after_s`: seconds after which what is missing is asked for.
    """

    def __init__(self, name: str, peer: str, chunk_bytes: int, qos: dict[str, Any] | None):
        qos = {"reliable": True, "depth": 256, "ask_after_s": 0.0} | (qos or {})
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.name, self.peer, self.ask_after_s = name, peer, qos["ask_after_s"]
        self._control = rclpy.create_node(name, namespace="coedge_probe", start_parameter_services=False)
        self.channel = DdsChannel(
            make_data_node(self._control, name), name, qos["depth"], chunk_bytes, self._control.resolve_topic_name,
            _RESEND_BYTES if self.ask_after_s else 0, qos["reliable"],
        )  # fmt: skip
        self.channel.connect(peer)
        self._chunks: dict[int, set[int]] = {}
        self._done, self._count = 0, 1

    def send(self, size_bytes: int, number: int) -> None:
        self.channel.send(self.peer, _message(size_bytes, number, self.name))

    def take(self, limit_s: float, wanted: int = 0) -> int | None:
        """Number of the next whole transfer; None when it does not come. `wanted` is asked for when it is late."""
        began = asked = time.perf_counter()
        while (now := time.perf_counter()) - began < limit_s:
            fragment = self.channel.receive(0.002)
            if fragment is not None:
                if fragment.frame > self._done:
                    chunks = self._chunks.setdefault(fragment.frame, set())
                    chunks.add(fragment.chunk)
                    self._count = fragment.chunk_count
                    if len(chunks) == fragment.chunk_count:
                        self._done = fragment.frame
                        self._chunks.clear()
                        return fragment.frame
                asked = time.perf_counter()
            elif self.ask_after_s:
                for request in self.channel.serve_requests():  # for an answer to something that never came here
                    self._ask(request.key.frame, ())
                if now - asked > self.ask_after_s and (self._chunks or wanted):
                    asked = now
                    number = max(self._chunks, default=wanted)
                    missing = set(range(self._count)) - self._chunks[number] if self._chunks else set()
                    self._ask(number, tuple(sorted(missing)))
        return None

    def _ask(self, number: int, chunks: tuple[int, ...]) -> None:
        self.channel.ask(self.peer, Request(FrameKey(1, 1, number), 0, self.name, chunks))

    def close(self) -> None:
        self.channel.close()
        self._control.destroy_node()
        rclpy.try_shutdown()


def far(chunk_bytes: int = CHUNK_BYTES, qos: dict[str, Any] | None = None) -> None:
    """The far end: answers every transfer with 16 bytes, until the process is told to end (SIGTERM)."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    end = _End(FAR, NEAR, chunk_bytes, qos)
    parent = multiprocessing.parent_process()  # None when it was not started by `probe_within_host`
    while not stop.is_set() and (parent is None or parent.is_alive()):
        if number := end.take(0.1):
            end.send(16, number)
    end.close()


def near(
    repeats: int = 40,
    chunk_bytes: int = CHUNK_BYTES,
    sizes: tuple[int, ...] = SIZES,
    qos: dict[str, Any] | None = None,
) -> LinkFigures:
    """Measure from this process to one that runs `far`, over the domain and transport that the environment names.

    rclpy must not be initialised in this process.

    Raises
    ------
    UserError
        When the two do not find each other, or everything of a size is lost.
    """
    end = _End(NEAR, FAR, chunk_bytes, qos)
    try:
        limit = time.perf_counter() + MATCH_LIMIT_S
        while FAR not in end.channel.matched():
            if time.perf_counter() > limit:
                raise UserError(
                    f"two processes did not find each other over DDS within {MATCH_LIMIT_S:.0f} s: see ROS_DOMAIN_ID, "
                    "ROS_AUTOMATIC_DISCOVERY_RANGE and the Fast DDS profile"
                )
            time.sleep(0.05)
        return _round_trips(end, repeats, sizes)
    finally:
        end.close()


def probe_within_host(repeats: int = 40, chunk_bytes: int = CHUNK_BYTES, sizes: tuple[int, ...] = SIZES) -> LinkFigures:
    """Measure between this process and a child, see `near`."""
    child = multiprocessing.get_context("spawn").Process(target=far, args=(chunk_bytes,), daemon=True)
    child.start()
    try:
        return near(repeats, chunk_bytes, sizes)
    finally:
        child.terminate()
        child.join(5.0)
        if child.is_alive():
            child.kill()


def _round_trips(end: _End, repeats: int, sizes: tuple[int, ...]) -> LinkFigures:
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


def _take_s(end: _End, number: int, repeats: int = 20) -> float:
    """Time of taking a small message that has arrived."""
    times = []
    for i in range(repeats):
        end.send(16, number + 1 + i)
        time.sleep(0.005)
        began = time.perf_counter()
        if end.channel.receive(0.0) is not None:
            times.append(time.perf_counter() - began)
    return median(times) if times else 0.0
