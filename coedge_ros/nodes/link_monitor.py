"""What links between hosts carry, measured while frames are served: short trains of messages, now and then.

The receiver times a train by when DDS took its messages in, so neither clocks of two hosts nor busy Python threads are
part of that. The round trip of the first message, less the time that the receiver held it, gives twice the latency.
Cross traffic slows a train; `planning.tracking` takes that out. A link that is so full that trains are lost is measured
by what comes of them, see `link_trains`: it is then that the planner must know.
"""

from __future__ import annotations

import array
import time
from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher

from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.msg import LinkProbe, LinkReport
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.link_trains import MESSAGE_BYTES, MESSAGES, PERIOD_S, IncomingTrain, SentTrains
from coedge_ros.nodes.pace import steady_timer
from coedge_ros.spec.cluster import Link

MAX_PEERS = 256  # names come from the network


class LinkMonitor:
    """Sends trains to peers on other hosts, answers theirs, reports what comes out. Control node's executor thread.

    Parameters
    ----------
    node : Node
        Control node: its participant sends over the same transports and ports as the fragments.
    name : str
        This participant.

    Attributes
    ----------
    is_on : bool
        Whether trains are sent; those of others are answered in any case.
    """

    def __init__(self, node: Node, name: str):
        self._node, self.name = node, name
        self.is_on = True
        self._peers: dict[str, Publisher] = {}  # to answer, also those that are not probed
        self._probed: dict[str, SentTrains] = {}
        self._trains: dict[str, IncomingTrain] = {}
        self._number = 0
        self._reports = node.create_publisher(LinkReport, topics.LINK_REPORTS, qos.LINK_REPORTS)
        group = MutuallyExclusiveCallbackGroup()
        node.create_subscription(
            LinkProbe, topics.link_probes_topic(name), self._on_probe, qos.LINK_PROBES, callback_group=group
        )
        steady_timer(node, PERIOD_S, self._send_trains, group)

    def probe(self, peer: str) -> None:
        """Measure the link to a peer on another host from now on."""
        if peer != self.name and peer not in self._probed and self._publisher(peer) is not None:
            self._probed[peer] = SentTrains()

    def _publisher(self, peer: str) -> Publisher | None:
        if peer not in self._peers:
            if len(self._peers) >= MAX_PEERS:
                return None
            topic = topics.link_probes_topic(peer)
            self._peers[peer] = self._node.create_publisher(LinkProbe, topic, qos.LINK_PROBES)
        return self._peers[peer]

    def _send_trains(self) -> None:
        if not self.is_on:
            self._probed = {peer: SentTrains() for peer in self._probed}  # nothing is missed
            return
        for peer, trains in sorted(self._probed.items()):
            publisher = self._peers[peer]
            if not publisher.get_subscription_count():
                self._probed[peer] = SentTrains()  # nobody is there: nothing is missed
                continue
            now_s = time.time()
            for link in trains.missed(now_s):
                self._report(peer, link)
            if not trains.is_due(now_s):
                continue
            self._number += 1
            message = LinkProbe(
                protocol_version=PROTOCOL_VERSION, source=self.name, number=self._number, count=MESSAGES + 1
            )
            trains.sent(self._number, now_s)
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
            return
        train = self._trains.get(message.source)
        if train is None or message.index == 0 or train.number < message.number:
            if train is not None:
                self._answer(message.source)  # its end was lost
            if len(self._trains) >= MAX_PEERS:
                return
            train = self._trains[message.source] = IncomingTrain(message.number, came_s)
        if message.number != train.number:
            return
        if message.index > 0:
            train.take(message.index, len(message.data), came_s)
        if message.index == message.count - 1:
            self._answer(message.source)

    def _answer(self, source: str) -> None:
        train = self._trains.pop(source)
        if self._is_peer(source):
            answer = LinkProbe(protocol_version=PROTOCOL_VERSION, source=self.name, number=train.number)
            answer.bytes_per_s = train.bytes_per_s
            answer.hold_s = time.time() - train.began_s
            self._peers[source].publish(answer)

    def _is_peer(self, source: str) -> bool:
        try:
            topics.link_probes_topic(source)
        except ValueError:
            return False
        return self._publisher(source) is not None

    def _on_answer(self, message: LinkProbe, came_s: float) -> None:
        trains = self._probed.get(message.source)
        link = trains and trains.answered(message.number, came_s, message.hold_s, message.bytes_per_s)
        if link:
            self._report(message.source, link)

    def _report(self, peer: str, link: Link) -> None:
        self._reports.publish(LinkReport(
            protocol_version=PROTOCOL_VERSION, source=self.name, target=peer, alpha_s=link.alpha_s,
            bytes_per_s=link.bytes_per_s,
        ))  # fmt: skip


def listen_to_reports(node: Node, take: Callable[[str, str, Link], None]) -> None:
    """`take(source, target, link)` for every report."""

    def on_report(message: LinkReport) -> None:
        if message.protocol_version == PROTOCOL_VERSION:
            take(message.source, message.target, Link(message.alpha_s, message.bytes_per_s))

    node.create_subscription(LinkReport, topics.LINK_REPORTS, on_report, qos.LINK_REPORTS)
