"""What links between hosts carry, measured while frames are served: short trains of messages, now and then.

The receiver times a train by when DDS took its messages in: bytes after the first one, by the time from the first to
the last. Neither clocks of two hosts nor busy Python threads are part of that. The round trip of the first message,
less the time that the receiver held it, gives twice the latency. Cross traffic slows a train; `planning.tracking` takes
that out.
"""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher

from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.msg import LinkProbe, LinkReport
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.pace import steady_timer
from coedge_ros.spec.cluster import Link

PERIOD_S = 0.5
MESSAGES, MESSAGE_BYTES = 4, 6144  # beyond a token bucket's burst, 2 ms at 100 Mbit/s: 0.4 % of such a link
MAX_PEERS = 256  # names come from the network


@dataclass(slots=True)
class _Train:
    """One that is coming in: its number, when messages came [s], bytes after the first with data."""

    number: int
    began_s: float
    first_s: float = 0.0
    bytes_after: int = 0
    next_index: int = 1


class LinkMonitor:
    """Sends trains to peers on other hosts, answers theirs, reports what comes out. Control node's executor thread.

    Parameters
    ----------
    node : Node
        Control node: its participant sends over the same transports and ports as the fragments.
    name : str
        This participant.
    """

    def __init__(self, node: Node, name: str):
        self._node, self.name = node, name
        self._peers: dict[str, Publisher] = {}  # to answer, also those that are not probed
        self._probed: set[str] = set()
        self._sent: dict[str, tuple[int, float]] = {}
        self._trains: dict[str, _Train] = {}
        self._number = 0
        self._reports = node.create_publisher(LinkReport, topics.LINK_REPORTS, qos.LINK_REPORTS)
        group = MutuallyExclusiveCallbackGroup()
        node.create_subscription(
            LinkProbe, topics.link_probes_topic(name), self._on_probe, qos.LINK_PROBES, callback_group=group
        )
        steady_timer(node, PERIOD_S, self._send_trains, group)

    def probe(self, peer: str) -> None:
        """Measure the link to a peer on another host from now on."""
        if peer != self.name and self._publisher(peer) is not None:
            self._probed.add(peer)

    def _publisher(self, peer: str) -> Publisher | None:
        if peer not in self._peers:
            if len(self._peers) >= MAX_PEERS:
                return None
            topic = topics.link_probes_topic(peer)
            self._peers[peer] = self._node.create_publisher(LinkProbe, topic, qos.LINK_PROBES)
        return self._peers[peer]

    def _send_trains(self) -> None:
        for peer in sorted(self._probed):
            publisher = self._peers[peer]
            if not publisher.get_subscription_count():
                continue
            self._number += 1
            message = LinkProbe(
                protocol_version=PROTOCOL_VERSION, source=self.name, number=self._number, count=MESSAGES + 1
            )
            self._sent[peer] = self._number, time.time()
            publisher.publish(message)
            message.data = array.array("B", bytes(MESSAGE_BYTES))
            for index in range(1, MESSAGES + 1):
                message.index = index
                publisher.publish(message)

    def _on_probe(self, message: LinkProbe, info: dict) -> None:
        came_s = info["received_timestamp"] * 1e-9
        if message.protocol_version != PROTOCOL_VERSION:
            return
        if message.count == 0:
            self._on_answer(message, came_s)
        elif message.index == 0 and len(self._trains) < MAX_PEERS:
            self._trains[message.source] = _Train(message.number, came_s)
        elif (train := self._trains.get(message.source)) is not None:
            self._on_data(message, train, came_s)

    def _on_data(self, message: LinkProbe, train: _Train, came_s: float) -> None:
        if (message.number, message.index) != (train.number, train.next_index):
            self._trains.pop(message.source)  # one was lost: what came says nothing
            return
        train.next_index += 1
        if message.index == 1:
            train.first_s = came_s
            return
        train.bytes_after += len(message.data)
        if message.index < message.count - 1:
            return
        self._trains.pop(message.source)
        if came_s > train.first_s and self._is_peer(message.source):
            answer = LinkProbe(protocol_version=PROTOCOL_VERSION, source=self.name, number=message.number)
            answer.bytes_per_s = train.bytes_after / (came_s - train.first_s)
            answer.hold_s = time.time() - train.began_s
            self._peers[message.source].publish(answer)

    def _is_peer(self, source: str) -> bool:
        try:
            topics.link_probes_topic(source)
        except ValueError:
            return False
        return self._publisher(source) is not None

    def _on_answer(self, message: LinkProbe, came_s: float) -> None:
        number, sent_s = self._sent.get(message.source, (0, 0.0))
        if message.number == number:
            alpha_s = max(0.0, (came_s - sent_s - message.hold_s) / 2)
            self._reports.publish(LinkReport(
                protocol_version=PROTOCOL_VERSION, source=self.name, target=message.source, alpha_s=alpha_s,
                bytes_per_s=message.bytes_per_s,
            ))  # fmt: skip


def listen_to_reports(node: Node, take: Callable[[str, str, Link], None]) -> None:
    """`take(source, target, link)` for every report."""

    def on_report(message: LinkReport) -> None:
        if message.protocol_version == PROTOCOL_VERSION:
            take(message.source, message.target, Link(message.alpha_s, message.bytes_per_s))

    node.create_subscription(LinkReport, topics.LINK_REPORTS, on_report, qos.LINK_REPORTS)
