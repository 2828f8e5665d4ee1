"""Publishes broken messages on every topic that the nodes of a cluster read."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

from coedge_ros.nodes.dds_channel import data_node_name
from coedge_ros.nodes.fuzzing import Fuzzer, message_type

DEPTH = 200
FAR = 2**31 - 1
CALM_S = 1.0  # discovery has found everything when it found nothing new for so long
OVERHEARD = 20  # good messages that are remembered of each topic


class Intruder:
    """Learns what is read and how good messages look, then sends broken ones.

    Parameters
    ----------
    node : Node
        In the cluster's namespace; somebody spins it.
    readers : iterable of str
        Names of the nodes whose topics are meant, with data nodes.
    """

    def __init__(self, node: Node, readers: Iterable[str], rng: random.Random):
        self.node, self.readers, self.rng, self.fuzzer = node, set(readers), rng, Fuzzer(rng)
        self.types: dict[str, type] = {}
        self.good: dict[str, list[Any]] = {}
        self.sent: Counter[str] = Counter()
        self._publishers: dict[str, Publisher] = {}
        self._discovered: dict[str, list] = {}
        self._discovered_s = 0.0

    @property
    def is_informed(self) -> bool:
        """Whether all nodes have been discovered, and what they read, which comes later, for a while nothing new."""
        if not self.readers <= set(self.node.get_node_names()):
            return False
        read = {reader: self._read_by(reader) for reader in self.readers}
        if read != self._discovered:
            self._discovered, self._discovered_s = read, time.monotonic()
        return all(read.values()) and time.monotonic() - self._discovered_s > CALM_S

    def _read_by(self, reader: str) -> list[tuple[str, list[str]]]:
        return self.node.get_subscriber_names_and_types_by_node(reader, self.node.get_namespace())

    def overhear(self, spin: Callable[[], None]) -> None:
        """Find out what is read, and listen to the real messages while `spin` lasts."""
        for reader in self.readers:
            for topic, kinds in self._read_by(reader):
                self.types[topic], self.good[topic] = message_type(kinds[0]), []
        subscriptions = []
        for topic, kind in self.types.items():
            take = self.good[topic].append
            subscriptions.append(self.node.create_subscription(kind, topic, take, self._profile(topic)))
        spin()
        for subscription in subscriptions:
            self.node.destroy_subscription(subscription)
        for topic, messages in self.good.items():
            self.good[topic] = messages[-OVERHEARD:]
            for message in self.good[topic]:
                if hasattr(message, "header"):
                    message.header.stamp.sec = FAR  # an answer to it is no second answer to a real picture

    def open(self) -> None:
        """Make the publishers."""
        for topic, kind in self.types.items():
            self._publishers[topic] = self.node.create_publisher(kind, topic, self._profile(topic))

    @property
    def is_connected(self) -> bool:
        """Whether all topics have readers."""
        return all(p.get_subscription_count() > 0 for p in self._publishers.values())

    def send(self, topics: Sequence[str]) -> None:
        """Publish one broken message on one of some topics."""
        topic = self.rng.choice(topics)
        good = self.good[topic]
        if good and self.rng.random() < 0.8:
            message = self.fuzzer.changed(self.rng.choice(good))
        else:
            message = self.fuzzer.random(self.types[topic])
        self._publishers[topic].publish(message)
        self.sent[topic] += 1

    def flush(self, limit_s: float = 1.0) -> None:
        """Wait until the readers have what was sent."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=limit_s))

    def close(self) -> None:
        """Remove the publishers."""
        for publisher in self._publishers.values():
            self.node.destroy_publisher(publisher)

    def _profile(self, topic: str) -> QoSProfile:
        """As the reader asks for, so that everything arrives."""
        asked = self.node.get_subscriptions_info_by_topic(topic)[0].qos_profile
        return QoSProfile(
            depth=DEPTH, reliability=asked.reliability, durability=asked.durability, deadline=asked.deadline,
            liveliness=asked.liveliness, liveliness_lease_duration=asked.liveliness_lease_duration,
        )  # fmt: skip


def node_names(workers: Iterable[str]) -> list[str]:
    """Names of all nodes of a cluster's manager and workers."""
    return ["partition_manager", data_node_name("manager"), *workers, *map(data_node_name, workers)]
