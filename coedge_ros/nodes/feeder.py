"""Feeds frames to a running cluster and waits for their results: for benchmarks and tests."""

from __future__ import annotations

import time

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.msg import InferenceResult
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.image_codec import encode_image
from coedge_ros.nodes.security import security_told
from coedge_ros.nodes.wait_set import make_inlet, wait_for


class Feeder:
    """Publishes images and takes results on the calling thread: use it as a context manager."""

    def __init__(self, namespace: str):
        self.namespace = namespace
        self.number = 0

    def __enter__(self) -> Feeder:
        self.context = rclpy.Context()
        with security_told():
            rclpy.init(context=self.context)
            self.node = Node("feeder", namespace=self.namespace, context=self.context, start_parameter_services=False)
        self.images = self.node.create_publisher(Image, topics.IMAGE, qos.CAMERA_OUTPUT)
        self.inlet = make_inlet(self.node)
        self.results = self.inlet.subscribe(InferenceResult, self.node.resolve_topic_name(topics.RESULT), qos.RESULT)
        return self

    def readers(self) -> frozenset[bytes]:
        """Identities of those that read images; of a killed one until its lease has run out."""
        found = self.node.get_subscriptions_info_by_topic(self.node.resolve_topic_name(topics.IMAGE))
        return frozenset(bytes(end.endpoint_gid) for end in found)

    def wait_for_manager(self, limit_s: float, gone: frozenset[bytes] = frozenset()) -> None:
        """Block until a manager reads images, which it does as soon as a plan is in force.

        Parameters
        ----------
        limit_s : float
            Longest wait.
        gone : frozenset of bytes
            Readers that do not count, because their process was killed; see `readers`.

        Raises
        ------
        TimeoutError
            When none does within `limit_s`.
        """
        deadline = time.monotonic() + limit_s
        while not (self.images.get_subscription_count() and self.readers() - gone and self.results_connected()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no manager reads images after {limit_s:.0f} s")
            time.sleep(0.05)

    def results_connected(self) -> bool:
        """Whether somebody publishes results."""
        return self.node.count_publishers(self.node.resolve_topic_name(topics.RESULT)) > 0

    def message(self, rgb: np.ndarray) -> Image:
        """An image message with a stamp of its own."""
        self.number += 1
        header = Header(frame_id="camera")
        header.stamp.sec = self.number
        return encode_image(rgb, header)

    def send(self, message: Image) -> None:
        """Publish an image."""
        self.images.publish(message)

    def take(self, limit_s: float) -> InferenceResult | None:
        """Next result; None after `limit_s`."""
        deadline = time.monotonic() + limit_s
        while (result := self.inlet.take(self.results)) is None:
            if time.monotonic() > deadline:
                return None
            self.inlet.wait(wait_for(True, 0.0))
        return result

    def __exit__(self, *exception) -> None:
        self.inlet.close()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
