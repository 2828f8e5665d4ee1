"""Images of one or several cameras, raw or compressed: parameters, subscriptions, and each camera in its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from coedge_ros.errors import UserError
from coedge_ros.nodes import qos
from coedge_ros.nodes.camera_topics import TRANSPORTS, camera_topics, compressed_topic, is_compressed, raw_topic
from coedge_ros.nodes.compressed_images import AnyImage, decode_compressed
from coedge_ros.nodes.image_codec import decode_image
from coedge_ros.nodes.parameters import Parameter
from coedge_ros.nodes.wait_set import Inlet

INPUT_PARAMETERS = (
    Parameter("image_topics", (), "Topics of several cameras; empty for the one topic image.", read_only=True),
    Parameter(
        "image_transport",
        "raw",
        "Whether images come raw, or compressed on TOPIC/compressed, as image_transport names it.",
        choices=TRANSPORTS,
        read_only=True,
    ),
    Parameter("image_reliable", False, "Ask the camera for reliable delivery.", read_only=True),
)


def topics_to_read(values: dict[str, Any], resolve: Callable[[str], str]) -> tuple[str, ...]:
    """Absolute topics that `INPUT_PARAMETERS` name, see `camera_topics`.

    Raises
    ------
    UserError
        When one cannot be a topic's name, or is named twice.
    """

    def resolved(name: str) -> str:
        try:
            return resolve(name)
        except Exception as error:  # rclpy's own type of it is in no public module
            raise UserError(f"parameter image_topics: {name!r} cannot be a topic's name: {error}") from error

    return camera_topics(values["image_topics"], values["image_transport"], resolved)


def kind_of(topic: str) -> type[AnyImage]:
    """Class of the messages of a camera's topic."""
    return CompressedImage if is_compressed(topic) else Image


def decode(message: AnyImage) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image of either kind; see `decode_image` and `decode_compressed`.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    return decode_compressed(message) if isinstance(message, CompressedImage) else decode_image(message)


class Cameras:
    """The cameras that a node takes images of, through an inlet.

    Parameters
    ----------
    values : dict
        `INPUT_PARAMETERS` of the node.
    resolve : callable
        Makes absolute names, remapped.
    warn : callable
        Takes a sentence for people.
    profile_of : callable
        What becomes of the profile of a topic's subscription, see `qos_overrides`.

    Attributes
    ----------
    topics : tuple of str
        Absolute, one per camera.
    """

    def __init__(
        self,
        values: dict[str, Any],
        resolve: Callable[[str], str],
        warn: Callable[[str], None],
        profile_of: Callable[[str, QoSProfile], QoSProfile] = lambda topic, profile: profile,
    ):
        self.topics = topics_to_read(values, resolve)
        profile, self._warn = qos.camera_input(values["image_reliable"]), warn
        self._profiles = {topic: profile_of(topic, profile) for topic in self.topics}
        self._subscriptions: tuple[Subscription, ...] = ()
        self._turn = 0
        self._frame_ids: dict[str, str] = {}

    @property
    def is_open(self) -> bool:
        """Whether images are taken."""
        return bool(self._subscriptions)

    def open(self, inlet: Inlet) -> None:
        """Subscribe."""
        self._subscriptions = tuple(inlet.subscribe(kind_of(t), t, profile) for t, profile in self._profiles.items())

    def close(self, inlet: Inlet) -> None:
        """Unsubscribe."""
        subscriptions, self._subscriptions = self._subscriptions, ()
        for subscription in subscriptions:
            inlet.unsubscribe(subscription)

    def take(self, inlet: Inlet) -> tuple[str, AnyImage] | None:
        """Next image and its camera: the first that has one after the one whose turn it was.

        The camera is its topic, or "" where there is only one.
        """
        count = len(self._subscriptions)
        for step in range(count):
            at = (self._turn + step) % count
            message = inlet.take(self._subscriptions[at])
            if message is not None:
                self._turn = at + 1
                if count == 1:
                    return "", message
                self._look_at(self.topics[at], message.header.frame_id)
                return self.topics[at], message
        return None

    def _look_at(self, topic: str, frame_id: str) -> None:
        """Warn once of cameras whose results nobody can tell apart."""
        if topic in self._frame_ids:
            return
        self._frame_ids[topic] = frame_id
        if same := [other for other, known in self._frame_ids.items() if known == frame_id and other != topic]:
            self._warn(
                f"{topic} and {same[0]} have the same frame_id {frame_id[:64]!r}: give each camera its own, because "
                "results carry nothing but stamp and frame_id of their image"
            )

    def silent(self, node: Node) -> dict[str, str]:
        """Topics from which nothing can arrive although a camera publishes, each with what to change.

        Called by any thread, also while `close` ends the subscriptions.
        """
        found = {}
        for topic, subscription in zip(self.topics, self._subscriptions, strict=False):
            try:
                if subscription.get_publisher_count() > 0:
                    continue
            except RuntimeError:  # rclpy's InvalidHandle: ended since
                continue
            other = raw_topic(topic) if is_compressed(topic) else compressed_topic(topic)
            if node.count_publishers(topic) > 0:
                found[topic] = (
                    f"a publisher on {topic} offers less than this node asks for, so no image arrives: set "
                    f"image_reliable to false, or let it publish sensor_msgs/{kind_of(topic).__name__} reliably"
                )
            elif node.count_publishers(other) > 0:
                found[topic] = (
                    f"nobody publishes {topic}, so no image arrives, but {other} is there: set image_transport to "
                    f"{TRANSPORTS[is_compressed(other)]}"
                )
        return found
