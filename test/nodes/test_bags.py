"""MCAP files: read back by a reader that knows neither ROS nor us, whole and broken off."""

import sys

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

import coedge_ros.msg
from coedge_ros.errors import UserError
from coedge_ros.nodes import qos
from coedge_ros.nodes.bag_reader import BagImages
from coedge_ros.nodes.bag_writer import BagWriter, qos_text
from coedge_ros.nodes.compressed_images import encode_compressed
from coedge_ros.nodes.image_codec import encode_image
from coedge_ros.nodes.message_definitions import full_definition, type_name

KINDS = [getattr(coedge_ros.msg, name) for name in dir(coedge_ros.msg) if name[0].isupper()]


def image(value: int) -> Image:
    return encode_image(np.full((4, 6, 3), value, np.uint8), Header(frame_id="camera"))


def write_images(path, count=5, topics=("/robot/image_raw",), finish=True):
    writer = BagWriter(path)
    for topic in topics:
        writer.add_topic(topic, Image, [qos.CAMERA_OUTPUT])
    for i in range(count):
        for topic in topics:
            writer.write(topic, serialize_message(image(i)), 10**9 * (i + 1), 10**9 * i)
    if finish:
        writer.__exit__()
    return writer


def test_a_definition_has_every_type_that_it_contains_once_in_rosbags_form():
    text = full_definition("coedge_ros/msg/InferenceResult")
    parts = text.split("\n" + "=" * 80 + "\nMSG: ")
    assert [part.partition("\n")[0] for part in parts[1:]] == [
        "std_msgs/Header", "builtin_interfaces/Time", "coedge_ros/ClassScore", "coedge_ros/Detection",
        "coedge_ros/Tensor", "coedge_ros/WorkerUsage",
    ]  # fmt: skip
    assert "WorkerUsage[] workers" in parts[0] and "int32 sec" in parts[2]
    assert full_definition("visualization_msgs/msg/MarkerArray").count("MSG: std_msgs/Header") == 1


def test_a_type_whose_package_is_missing_is_named(monkeypatch):
    with pytest.raises(UserError, match="no_such_msgs"):
        full_definition("no_such_msgs/msg/Thing")


@pytest.mark.parametrize(
    "kind", [*KINDS, DiagnosticArray, MarkerArray, Image, CompressedImage], ids=lambda kind: kind.__name__
)
def test_every_type_is_decoded_by_its_definition_alone(tmp_path, kind):
    message = kind()
    if kind is MarkerArray:
        message.markers = [Marker(ns="a", points=[Point(x=1.0), Point(y=2.0)])]
    with BagWriter(tmp_path / "a.mcap") as writer:
        writer.add_topic("/t", kind, [qos.RESULT])
        writer.write("/t", serialize_message(message), 7, 5)
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        ((schema, channel, record, decoded),) = reader.iter_decoded_messages()
    assert (schema.name, schema.encoding, channel.message_encoding) == (type_name(kind), "ros2msg", "cdr")
    assert (record.log_time, record.publish_time) == (7, 5)
    assert set(decoded.__slots__) >= {name.lstrip("_") for name in kind.get_fields_and_field_types()}
    if kind is MarkerArray:
        assert (decoded.markers[0].ns, decoded.markers[0].points[1].y) == ("a", 2.0)


def test_the_profile_and_the_qos_are_what_ros2_bag_reads(tmp_path):
    write_images(tmp_path / "a.mcap")
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file)
        assert reader.get_header().profile == "ros2"
        (channel,) = reader.get_summary().channels.values()
        assert reader.get_summary().statistics.message_count == 5
    (offered,) = yaml.safe_load(channel.metadata["offered_qos_profiles"])
    assert offered["history"] == "keep_last" and offered["depth"] == 30
    assert (offered["reliability"], offered["durability"], offered["liveliness"]) == (
        "reliable",
        "volatile",
        "automatic",
    )
    assert set(offered["deadline"]) == {"sec", "nsec"} and offered["avoid_ros_namespace_conventions"] is False


def test_a_profile_that_several_publishers_offer_is_there_once():
    offered = yaml.safe_load(qos_text([qos.STATUS, qos.STATUS, qos.PLAN]))
    assert [profile["durability"] for profile in offered] == ["volatile", "transient_local"]
    assert offered[0]["deadline"] == {"sec": 1, "nsec": 0}


def test_images_are_read_back_in_order(tmp_path):
    write_images(tmp_path / "a.mcap")
    bag = BagImages(tmp_path / "a.mcap")
    assert bag.topic == "/robot/image_raw"
    for _ in range(2):  # a second pass begins anew
        found = list(bag)
        assert [(f.number, f.received_ns, f.image.data[0]) for f in found] == [
            (i, 10**9 * (i + 1), i) for i in range(5)
        ]
    assert found[0].image.header.frame_id == "camera" and found[0].image.encoding == "rgb8"


def test_what_a_killed_recorder_has_written_is_read_as_far_as_it_goes(tmp_path):
    writer = write_images(tmp_path / "a.mcap", finish=False)
    writer._writer.flush()
    writer.write("/robot/image_raw", serialize_message(image(9)), 10**10, 10**10)  # never reaches the file
    assert [found.image.data[0] for found in BagImages(tmp_path / "a.mcap")] == [0, 1, 2, 3, 4]
    whole = (tmp_path / "a.mcap").read_bytes()
    for cut in (1, 10, 40):
        (tmp_path / "b.mcap").write_bytes(whole[:-cut])
        assert len(list(BagImages(tmp_path / "b.mcap"))) in (0, 5)


def test_which_images_are_meant_is_asked_for_when_it_is_not_clear(tmp_path):
    write_images(tmp_path / "two.mcap", topics=("/left/image", "/right/image"))
    with pytest.raises(UserError, match=r"/left/image, /right/image: choose one with --topic"):
        BagImages(tmp_path / "two.mcap")
    assert BagImages(tmp_path / "two.mcap", "right/image").topic == "/right/image"
    with pytest.raises(UserError, match=r"no images on /middle"):
        BagImages(tmp_path / "two.mcap", "/middle")
    write_images(tmp_path / "ours.mcap", topics=("/coedge/image", "/coedge/annotated_image"))
    assert BagImages(tmp_path / "ours.mcap").topic == "/coedge/image"


@pytest.mark.parametrize("content", [b"", b"no bag", bytes(100)])
def test_what_is_no_bag_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.mcap").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.mcap"):
        BagImages(tmp_path / "a.mcap")


def test_a_missing_file_and_one_that_exists_are_named(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        BagImages(tmp_path / "none.mcap")
    write_images(tmp_path / "a.mcap")
    with pytest.raises(UserError, match="exists"):
        BagWriter(tmp_path / "a.mcap")


def test_a_missing_package_is_told_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcap.reader", None)
    with pytest.raises(UserError, match="pip install mcap"):
        BagWriter(tmp_path / "a.mcap")
    assert not (tmp_path / "a.mcap").exists()


def test_compressed_images_are_read_where_no_raw_ones_are_of_a_camera_or_when_they_are_named(tmp_path):
    sent = encode_compressed(np.full((4, 6, 3), 9, np.uint8), Header(frame_id="front"), "png")

    def bag(name: str, topic: str = "", **messages) -> BagImages:
        with BagWriter(tmp_path / name) as writer:
            for own, message in messages.items():
                own = f"/{own.replace('__', '/')}"
                writer.add_topic(own, type(message), [qos.CAMERA_OUTPUT])
                writer.write(own, serialize_message(message), 10**9, 10**9)
        return BagImages(tmp_path / name, topic)

    one = bag("one.mcap", front__image_raw__compressed=sent)
    assert (one.topic, one.kind) == ("/front/image_raw/compressed", CompressedImage)
    assert [found.image for found in one] == [sent]
    both = {"image": image(1), "image__compressed": sent}
    assert bag("both.mcap", **both).topic == "/image"
    assert bag("named.mcap", "/image/compressed", **both).kind is CompressedImage
    # as `coedge record --images --image-transport compressed` writes it
    assert bag("annotated.mcap", annotated_image=image(1), image__compressed=sent).topic == "/image/compressed"
