"""One end of a link that is measured: whole transfers of zeros out and in, over the real data plane."""

from __future__ import annotations

import os
import time
from typing import Any

import rclpy
import torch
from rclpy.signals import SignalHandlerOptions

from coedge_ros.execution.fragment import FrameKey, Outgoing, Request
from coedge_ros.nodes.dds_channel import DdsChannel, make_data_node
from coedge_ros.spec.schedule import Transfer, TransferKind

_RESEND_BYTES = 67108864


def _message(size_bytes: int, number: int, source: str) -> Outgoing:
    transfer = Transfer(
        0, TransferKind.HALO, "probe", 0, 1, None, 0, 1, (size_bytes,), "uint8", size_bytes
    )  # fmt: skip
    return Outgoing(FrameKey(1, 1, number), transfer, source, "", torch.zeros(size_bytes, dtype=torch.uint8))


class LinkEnd:
    """One end of the link: whole transfers out and in.

    Parameters
    ----------
    qos : dict, optional
        `reliable` and `depth` of the fragments, and `ask_after_s`: seconds after which what is missing is asked for.
    is_awake : bool
        Look for messages all the time, as if there were other work: an idle processor takes up to milliseconds to wake
        up, which is not the link's.
    """

    def __init__(self, name: str, peer: str, chunk_bytes: int, qos: dict[str, Any] | None, is_awake: bool = False):
        qos = {"reliable": True, "depth": 256, "ask_after_s": 0.0} | (qos or {})
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.name, self.peer, self.ask_after_s = name, peer, qos["ask_after_s"]
        self._control = rclpy.create_node(name, namespace="coedge_probe", start_parameter_services=False)
        self.channel = DdsChannel(
            make_data_node(self._control, name), name, qos["depth"], chunk_bytes, self._control.resolve_topic_name,
            _RESEND_BYTES if self.ask_after_s else 0, qos["reliable"],
        )  # fmt: skip
        self.channel.connect(peer)
        self._wait_s = 0.0 if is_awake else 0.002
        self._chunks: dict[int, set[int]] = {}
        self._done, self._count = 0, 1
        self.taken_bytes = 0  # of the last whole transfer
        self.last_sent = 0  # number of the last transfer

    def send(self, size_bytes: int, number: int) -> None:
        """Send a transfer; numbers ascend."""
        self.last_sent = number
        self.channel.send(self.peer, _message(size_bytes, number, self.name))

    def take(self, limit_s: float, wanted: int = 0) -> int | None:
        """Number of the next whole transfer; None when it does not come. `wanted` is asked for when it is late."""
        began = asked = time.perf_counter()
        while (now := time.perf_counter()) - began < limit_s:
            fragment = self.channel.receive(self._wait_s)
            if fragment is None and not self._wait_s:
                os.sched_yield()  # the threads of DDS need a processor too
            if fragment is not None:
                if fragment.frame > self._done:
                    chunks = self._chunks.setdefault(fragment.frame, set())
                    chunks.add(fragment.chunk)
                    self._count = fragment.chunk_count
                    if len(chunks) == fragment.chunk_count:
                        self._done, self.taken_bytes = fragment.frame, fragment.shape[0]
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
        """Let go of everything."""
        self.channel.close()
        self._control.destroy_node()
        rclpy.try_shutdown()
