"""Several cameras, raw and compressed, over DDS: each in its turn, and what is said when nothing can arrive."""

import threading

import numpy as np
import pytest
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from coedge_ros.errors import UserError
from coedge_ros.nodes import qos
from coedge_ros.nodes.compressed_images import encode_compressed
from coedge_ros.nodes.image_codec import encode_image
from coedge_ros.nodes.image_input import INPUT_PARAMETERS, Cameras, decode
from coedge_ros.nodes.wait_set import make_inlet

PIXELS = np.full((8, 8, 3), 77, np.uint8)
pytestmark = pytest.mark.timeout(60)


def values(**changes) -> dict:
    return {parameter.name: parameter.default for parameter in INPUT_PARAMETERS} | {"image_reliable": True} | changes


class Reader:
    """Cameras of a node of their own."""

    def __init__(self, ros, **changes):
        self.ros, self.said = ros, []
        self.node = Node("reader", context=ros.context)
        ros._nodes.append(self.node)
        self.cameras = Cameras(values(**changes), self.node.resolve_topic_name, self.said.append)
        self.inlet = make_inlet(self.node)
        self.cameras.open(self.inlet)

    def publisher(self, kind, topic, profile=qos.CAMERA_OUTPUT):
        sender = getattr(self, "sender", None) or self.ros.node(Node, "sender")
        self.sender = sender
        return sender.create_publisher(kind, topic, profile)

    def take(self, count: int) -> list:
        found = []

        def enough() -> bool:
            found.append(self.cameras.take(self.inlet))
            return sum(one is not None for one in found) >= count

        self.ros.spin_until(enough)
        return [one for one in found if one is not None]


def test_each_camera_comes_in_its_turn_however_many_images_another_has_sent(ros):
    reader = Reader(ros, image_topics=("front", "rear/compressed"))
    front, rear = reader.publisher(Image, "front"), reader.publisher(CompressedImage, "rear/compressed")
    ros.spin_until(lambda: front.get_subscription_count() and rear.get_subscription_count())
    for _ in range(6):
        front.publish(encode_image(PIXELS, Header(frame_id="front")))
    for _ in range(2):
        rear.publish(encode_compressed(PIXELS, Header(frame_id="rear"), "png"))
    assert front.wait_for_all_acked() and rear.wait_for_all_acked()
    taken = reader.take(8)
    assert [camera for camera, _ in taken[:4]] == ["/front", "/rear/compressed"] * 2
    assert all((decode(message) == PIXELS).all() for _, message in taken) and not reader.said


def test_the_only_camera_has_no_name(ros):
    reader = Reader(ros, image_transport="compressed")
    assert reader.cameras.topics == ("/image/compressed",)
    camera = reader.publisher(CompressedImage, "image/compressed")
    ros.spin_until(camera.get_subscription_count)
    camera.publish(encode_compressed(PIXELS, Header(), "jpeg"))
    ((name, message),) = reader.take(1)
    assert name == "" and isinstance(message, CompressedImage)


def test_cameras_with_one_frame_id_are_warned_of_once(ros):
    reader = Reader(ros, image_topics=("front", "rear"))
    publishers = [reader.publisher(Image, topic) for topic in ("front", "rear")]
    ros.spin_until(lambda: all(p.get_subscription_count() for p in publishers))
    for _ in range(2):
        for publisher in publishers:
            publisher.publish(encode_image(PIXELS, Header(frame_id="camera")))
    reader.take(4)
    assert len(reader.said) == 1 and "have the same frame_id 'camera': give each camera its own" in reader.said[0]


@pytest.mark.parametrize(
    ("transport", "kind", "topic", "said"),
    [
        ("raw", CompressedImage, "image/compressed", "set image_transport to compressed"),
        ("compressed", Image, "image", "set image_transport to raw"),
    ],
)
def test_a_camera_that_sends_the_other_way_is_named_with_what_to_change(ros, transport, kind, topic, said):
    reader = Reader(ros, image_transport=transport)
    assert reader.cameras.silent(reader.node) == {}  # nobody publishes: nothing is wrong
    reader.publisher(kind, topic)
    ros.spin_until(lambda: bool(reader.cameras.silent(reader.node)))
    ((silent, text),) = reader.cameras.silent(reader.node).items()
    assert silent == reader.cameras.topics[0] and said in text and f"but /{topic} is there" in text


def test_cameras_may_be_closed_while_another_thread_asks_which_are_silent(ros):
    """The manager's status does, while its data thread deactivates it."""
    reader = Reader(ros, image_topics=("front", "rear", "left", "right"))
    is_over, asked = threading.Event(), []

    def ask() -> None:
        try:
            while not is_over.is_set():
                asked.append(reader.cameras.silent(reader.node))
        except Exception as error:
            asked.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    for _ in range(50):
        reader.cameras.close(reader.inlet)
        assert not reader.cameras.is_open
        reader.cameras.open(reader.inlet)
    is_over.set()
    asker.join(10)
    assert len(asked) > 50 and not [a for a in asked if a]


@pytest.mark.parametrize("name", ["front camera", "a//b", "1st"])
def test_what_cannot_be_a_topic_is_refused_by_name(ros, name):
    with pytest.raises(UserError, match=f"parameter image_topics: {name!r} cannot be a topic's name"):
        Reader(ros, image_topics=(name, "rear"))
