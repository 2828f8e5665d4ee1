"""Which topics cameras are read from."""

import pytest

from coedge_ros.errors import UserError
from coedge_ros.nodes.camera_topics import camera_topics, compressed_topic, is_compressed, raw_topic, topics_of_text


def test_without_names_there_is_one_camera():
    assert camera_topics([]) == camera_topics([""]) == ("image",)
    assert camera_topics([], "compressed") == ("image/compressed",)


def test_names_are_resolved_before_the_transport_is_added_because_the_cameras_name_is_what_is_remapped():
    resolve = {"image": "/robot/image_raw"}.get
    assert camera_topics(["image"], "compressed", resolve) == ("/robot/image_raw/compressed",)


def test_a_camera_named_compressed_is_so_whatever_the_transport():
    names = ["front", "rear/compressed"]
    assert camera_topics(names) == ("front", "rear/compressed")
    assert camera_topics(names, "compressed") == ("front/compressed", "rear/compressed")


def test_a_camera_named_twice_is_refused():
    with pytest.raises(UserError, match="names a/compressed twice"):
        camera_topics(["a", "a/compressed"], "compressed")


def test_either_topic_is_made_from_the_other():
    assert compressed_topic("a") == compressed_topic("a/compressed") == "a/compressed"
    assert raw_topic("a/compressed") == raw_topic("a") == "a"
    assert is_compressed("/a/compressed") and not is_compressed("/compressed_camera")


def test_a_text_holds_topics_with_commas_between():
    assert topics_of_text(" front, /rear/image_raw ,") == ("front", "/rear/image_raw") and topics_of_text("") == ()
