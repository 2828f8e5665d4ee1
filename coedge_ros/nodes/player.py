"""Plays the images of a bag as a camera does: for `coedge play`."""

from __future__ import annotations

import threading
import time

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node

from coedge_ros.errors import UserError
from coedge_ros.msg import FrameName
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.bag_reader import BagImages
from coedge_ros.nodes.camera_topics import is_compressed
from coedge_ros.nodes.image_input import kind_of

POLL_S = 0.05
SETTLE_S = 1.5  # a busy reader may know this writer later than the other way round, and would miss the first images
ACKNOWLEDGE_LIMIT_S = 10.0  # how long the end waits for readers to have the last images


class Player(Node):
    """Publishes `image` and, just before each, `frame_name` with the same header, as the camera node does.

    Parameters
    ----------
    topic : str
        Of the images: one that ends in `/compressed` for compressed ones.
    """

    def __init__(self, namespace: str, context: rclpy.Context, topic: str = topics.IMAGE):
        super().__init__("coedge_play", namespace=namespace, context=context, start_parameter_services=False)
        self._names = self.create_publisher(FrameName, topics.FRAME_NAME, qos.FRAME_NAME)
        self._images = self.create_publisher(
            kind_of(topic), topic, qos.CAMERA_OUTPUT, event_callbacks=qos.publisher_events(self, topic)
        )
        self.count = 0

    def wait_for_reader(self, limit_s: float, stop: threading.Event) -> None:
        """Return when the images are read and no more readers come, or when `stop` is set.

        Raises
        ------
        UserError
            When nobody reads them within `limit_s`.
        """
        began_s = since_s = time.monotonic()
        count = 0
        while not stop.is_set():
            now_s, found = time.monotonic(), self._images.get_subscription_count()
            if found != count:
                count, since_s = found, now_s
            elif count and now_s - since_s > SETTLE_S:
                return
            elif not count and now_s - began_s > limit_s:
                transport = " --image-transport compressed" if is_compressed(self._images.topic_name) else ""
                raise UserError(
                    f"nobody reads {self._images.topic_name} after {limit_s:g} s: start a cluster (with --source ''"
                    f"{transport}) in the same ROS_DOMAIN_ID and namespace, or wait longer with --wait"
                )
            stop.wait(POLL_S)

    def play(self, bag: BagImages, rate: float, stop: threading.Event) -> None:
        """One pass over a bag, at `rate` times the pace at which it was recorded; until `stop` is set.

        The stamps are those of now, because a cluster and its results tell frames apart by them; `frame_id` is the
        recorded one.
        """
        began_s, first_ns = time.monotonic(), None
        for found in bag:
            first_ns = found.received_ns if first_ns is None else first_ns
            wait_s = began_s + (found.received_ns - first_ns) * 1e-9 / rate - time.monotonic()
            if stop.wait(max(0.0, wait_s)):
                return
            image = found.image
            image.header.stamp = self.get_clock().now().to_msg()
            name = f"{bag.path.name}#{found.number}"
            self._names.publish(FrameName(header=image.header, name=name, index=self.count))
            self._images.publish(image)
            self.count += 1

    def finish(self) -> None:
        """Let reliable readers have what was published."""
        limit = Duration(seconds=ACKNOWLEDGE_LIMIT_S)
        if not all([self._images.wait_for_all_acked(limit), self._names.wait_for_all_acked(limit)]):
            self.get_logger().warning(f"a reader has not acknowledged all images within {ACKNOWLEDGE_LIMIT_S} s")
