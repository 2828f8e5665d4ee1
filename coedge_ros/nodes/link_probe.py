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
from coedge_ros.execution.fragment import FrameKey, Outgoing
from coedge_ros.nodes.dds_channel import DdsChannel, make_data_node
from coedge_ros.spec.cluster import Link
from coedge_ros.spec.schedule import Transfer, TransferKind

CHUNK_BYTES = 262144
SIZES = (1024, 16384, 65536, 262144, 1048576)
NEAR, FAR = "probe_near", "probe_far"
MATCH_LIMIT_S = 20.0
LOST_AFTER_S = 2.0
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


def _open(name: str, peer: str, chunk_bytes: int) -> tuple[Any, DdsChannel]:
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    control = rclpy.create_node(name, namespace="coedge_probe", start_parameter_services=False)
    channel = DdsChannel(make_data_node(control, name), name, 256, chunk_bytes, control.resolve_topic_name)
    channel.connect(peer)
    return control, channel


def _close(control: Any, channel: DdsChannel) -> None:
    channel.close()
    control.destroy_node()
    rclpy.try_shutdown()


def _take(channel: DdsChannel, limit_s: float) -> tuple[int, int] | None:
    """Number and size of the next whole transfer; None when it does not come."""
    got, end = 0, time.perf_counter() + limit_s
    while time.perf_counter() < end:
        fragment = channel.receive(0.002)
        if fragment is not None:
            got += 1
            if fragment.chunk == fragment.chunk_count - 1:
                return fragment.frame, fragment.shape[0]
    return None


def far(chunk_bytes: int = CHUNK_BYTES) -> None:
    """The far end: answers every transfer with 16 bytes, until the process is told to end (SIGTERM)."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    control, channel = _open(FAR, NEAR, chunk_bytes)
    while not stop.is_set():
        if came := _take(channel, 0.1):
            channel.send(NEAR, _message(16, came[0], FAR))
    _close(control, channel)


def near(repeats: int = 40, chunk_bytes: int = CHUNK_BYTES, sizes: tuple[int, ...] = SIZES) -> LinkFigures:
    """Measure from this process to one that runs `far`, over the domain and transport that the environment names.

    rclpy must not be initialised in this process.

    Raises
    ------
    UserError
        When the two do not find each other, or everything of a size is lost.
    """
    control, channel = _open(NEAR, FAR, chunk_bytes)
    try:
        end = time.perf_counter() + MATCH_LIMIT_S
        while FAR not in channel.matched():
            if time.perf_counter() > end:
                raise UserError(
                    f"two processes did not find each other over DDS within {MATCH_LIMIT_S:.0f} s: see ROS_DOMAIN_ID, "
                    "ROS_AUTOMATIC_DISCOVERY_RANGE and the Fast DDS profile"
                )
            time.sleep(0.05)
        return _round_trips(channel, repeats, sizes)
    finally:
        _close(control, channel)


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


def _round_trips(channel: DdsChannel, repeats: int, sizes: tuple[int, ...]) -> LinkFigures:
    times: dict[int, list[float]] = {size: [] for size in sizes}
    send_s, lost, number = [], 0, 0
    for round_ in range(repeats + 3):  # sizes in turn, so that whatever disturbs the machine disturbs all of them
        for size in sizes:
            number += 1
            message = _message(size, number, NEAR)
            began = time.perf_counter()
            channel.send(FAR, message)
            sent = time.perf_counter()
            came = _take(channel, LOST_AFTER_S)
            while came is not None and came[0] != number:
                came = _take(channel, LOST_AFTER_S)
            if came is None:
                lost += 1
            elif round_ >= 3:
                times[size].append(time.perf_counter() - began)
                if size == min(sizes):
                    send_s.append(sent - began)
    if not all(times.values()):
        raise UserError("everything of a size was lost between two processes: is /dev/shm full, or the link down?")
    return LinkFigures(times, median(send_s), _take_s(channel), lost)


def _take_s(channel: DdsChannel, repeats: int = 20) -> float:
    """Time of taking a small message that has arrived."""
    times = []
    for number in range(repeats):
        channel.send(FAR, _message(16, 2**31 + number, NEAR))
        time.sleep(0.005)
        began = time.perf_counter()
        if channel.receive(0.0) is not None:
            times.append(time.perf_counter() - began)
    return median(times) if times else 0.0
