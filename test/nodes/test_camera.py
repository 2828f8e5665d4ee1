"""The camera node as a process of its own, read over DDS."""

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from coedge_ros.errors import UserError
from coedge_ros.msg import FrameName
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.camera import PARAMETERS, Camera
from coedge_ros.nodes.compressed_images import decode_compressed
from coedge_ros.nodes.image_codec import decode_image

CONFIG = Path(__file__).parents[2] / "config"
pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def folder(tmp_path):
    """Three readable pictures of different heights and one that is none."""
    for index, name in enumerate(["a.png", "b.png", "c.png"]):
        cv2.imwrite(str(tmp_path / name), np.full((20 + index, 30, 3), 10 * (index + 1), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


class Reader:
    """Collects what a camera publishes."""

    def __init__(self, ros, image_qos=qos.CAMERA_INPUT_RELIABLE):
        self.images, self.names = [], []
        node = ros.node(Node, "reader")
        node.create_subscription(Image, topics.IMAGE, self.images.append, image_qos)
        node.create_subscription(FrameName, topics.FRAME_NAME, self.names.append, qos.FRAME_NAME)


def start(ros, **values):
    words = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    return ros.start("coedge_ros.nodes.camera", *words)


def finish(ros, process):
    """Spin until the process ends; its exit code and output."""
    ros.spin_until(lambda: process.poll() is not None, limit_s=30)
    return process.returncode, process.stdout.read()


def stamp(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


def test_every_picture_arrives_once_with_its_name_and_the_process_ends_by_itself(ros, folder):
    reader = Reader(ros)
    process = start(ros, source=folder, rate_hz=100, wait_for_subscribers=1, frame_id="front")
    code, output = finish(ros, process)
    ros.spin_until(lambda: len(reader.images) == 3 and len(reader.names) == 3)
    assert code == 0
    assert [name.name for name in reader.names] == ["a.png", "b.png", "c.png"]
    assert [name.index for name in reader.names] == [0, 1, 2]
    assert [stamp(image) for image in reader.images] == [stamp(name) for name in reader.names]
    assert len({stamp(image) for image in reader.images}) == 3
    for index, image in enumerate(reader.images):
        assert image.header.frame_id == "front"
        assert decode_image(image).shape == (20 + index, 30, 3) and (decode_image(image) == 10 * (index + 1)).all()
    assert "skipped broken.png" in output and "published 3 images" in output


def test_nothing_is_lost_at_the_end_although_the_reader_is_slower_than_the_camera(ros, folder):
    reader = Reader(ros)
    process = start(ros, source=folder, rate_hz=1000, loop="true", max_frames=9, wait_for_subscribers=1)
    # The reader takes nothing while the camera publishes all nine images, which fit in its queue.
    ros.spin_until(lambda: len(reader.names) > 0)
    code, _ = finish(ros, process)
    ros.spin_until(lambda: len(reader.images) == 9)
    assert code == 0


def test_a_best_effort_reader_matches_too(ros, folder):
    reader = Reader(ros, qos.CAMERA_INPUT)
    process = start(ros, source=folder, rate_hz=20, loop="true")
    ros.spin_until(lambda: len(reader.images) >= 3)
    process.send_signal(signal.SIGINT)
    finish(ros, process)


def test_images_are_resized_and_encoded_as_asked(ros, folder):
    reader = Reader(ros)
    process = start(ros, source=folder, height=10, width=8, encoding="mono8", wait_for_subscribers=1, max_frames=1)
    finish(ros, process)
    ros.spin_until(lambda: len(reader.images) == 1)
    (image,) = reader.images
    assert (image.height, image.width, image.encoding, image.step) == (10, 8, "mono8", 8)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_compressed_images_come_below_the_remapped_topic_to_those_who_want_them(ros, folder, kind):
    compressed = []
    node = ros.node(Node, "compressed_reader")
    topic = "/robot/image_raw"
    node.create_subscription(CompressedImage, f"{topic}/compressed", compressed.append, qos.CAMERA_INPUT_RELIABLE)
    words = ["-r", f"image:={topic}", "-p", f"compressed:={kind}", "-p", f"source:={folder / 'b.png'}"]
    process = ros.start("coedge_ros.nodes.camera", *words, "-p", "wait_for_subscribers:=1")
    code, output = finish(ros, process)
    ros.spin_until(lambda: len(compressed) == 1)
    assert code == 0 and "published 1 images" in output
    (image,) = compressed
    assert image.header.frame_id == "camera" and image.format == f"rgb8; {kind} compressed bgr8"
    decoded = decode_compressed(image)
    assert decoded.shape == (21, 30, 3) and np.abs(decoded.astype(int) - 20).max() <= 2 * (kind == "jpeg")


def test_one_given_side_keeps_the_proportions(ros, folder):
    reader = Reader(ros)
    finish(ros, start(ros, source=folder / "a.png", width=60, wait_for_subscribers=1))
    ros.spin_until(lambda: len(reader.images) == 1)
    assert (reader.images[0].height, reader.images[0].width) == (40, 60)


def test_names_are_there_for_a_reader_that_comes_late(ros, folder):
    process = start(ros, source=folder, rate_hz=50, wait_for_subscribers=1, loop="true")
    first = Reader(ros)
    ros.spin_until(lambda: len(first.images) >= 5)
    late = []
    ros.node(Node, "late").create_subscription(FrameName, topics.FRAME_NAME, late.append, qos.FRAME_NAME)
    ros.spin_until(lambda: len(late) >= 5)
    assert late[0].index == 0
    process.send_signal(signal.SIGINT)
    finish(ros, process)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(ros, folder, sent):
    reader = Reader(ros)
    process = start(ros, source=folder, loop="true", rate_hz=50)
    ros.spin_until(lambda: len(reader.images) > 0)
    process.send_signal(sent)
    code, output = finish(ros, process)
    assert code == 0 and "Traceback" not in output, output


def test_a_signal_while_it_waits_for_readers_ends_it_quietly(ros, folder):
    watcher = ros.node(Node, "watcher")
    process = start(ros, source=folder, wait_for_subscribers=1)
    ros.spin_until(lambda: ("camera", "/") in watcher.get_node_names_and_namespaces())
    process.send_signal(signal.SIGINT)
    code, output = finish(ros, process)
    assert code == 0 and "Traceback" not in output, output


@pytest.mark.parametrize(
    "values,said",
    [
        ({"source": "/no/such/folder"}, "parameter source: /no/such/folder does not exist"),
        ({"rate_hz": 0.0}, "parameter rate_hz [Hz] must be at least 0.01"),
        ({"encoding": "yuv422"}, "parameter encoding must be one of rgb8"),
        ({"wait_for_subscribers": 2, "wait_timeout_s": 0.2}, "0 of 2 readers of /image after 0.2 s"),
    ],
)
def test_a_mistake_ends_it_with_code_2_and_one_clear_line(ros, values, said):
    code, output = finish(ros, start(ros, **values))
    assert code == 2 and said in output and "Traceback" not in output, output


def test_a_source_of_unreadable_pictures_ends_it_with_code_2(ros, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    code, output = finish(ros, start(ros, source=tmp_path, loop="true"))
    assert code == 2 and "skipped broken.png" in output and "not one of its pictures" in output, output


def test_the_rate_can_be_changed_while_it_runs_and_nothing_else_can(ros, folder):
    camera = ros.node(
        Camera, parameter_overrides=[Parameter("source", value=str(folder)), Parameter("loop", value=True)]
    )
    (changed,) = camera.set_parameters([Parameter("rate_hz", value=200)])  # a whole number is a rate too
    assert changed.successful and camera.get_parameter("rate_hz").value == 200.0
    (refused,) = camera.set_parameters([Parameter("rate_hz", value=0.0)])
    assert not refused.successful and "rate_hz" in refused.reason
    (refused,) = camera.set_parameters([Parameter("source", value="elsewhere")])
    assert not refused.successful
    reader = Reader(ros)
    ros.spin_until(lambda: len(reader.images) > 20)
    camera.close()


def test_a_refused_parameter_leaves_no_camera_behind(ros):
    with pytest.raises(UserError, match="max_frames"):
        Camera(context=ros.context, parameter_overrides=[Parameter("max_frames", value=-1)])


def test_the_parameter_file_holds_exactly_the_declared_parameters_and_their_defaults():
    (entry,) = yaml.safe_load((CONFIG / "camera.param.yaml").read_text()).values()
    assert entry["ros__parameters"] == {parameter.name: parameter.default for parameter in PARAMETERS}
