"""config/coedge.rviz shows what the visualizer publishes: same topics, QoS that matches, same frame."""

from pathlib import Path

import pytest
import yaml
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy
from rclpy.qos import qos_check_compatible as check

from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.load_visualizer import PARAMETERS
from coedge_ros.nodes.markers import KINDS, MANAGER_KINDS

RVIZ = yaml.safe_load((Path(__file__).parents[2] / "config" / "coedge.rviz").read_text())
DISPLAYS = {display["Class"]: display for display in RVIZ["Visualization Manager"]["Displays"]}
SHOWN = [
    ("rviz_default_plugins/MarkerArray", topics.LOAD_MARKERS, qos.MARKERS),
    ("rviz_default_plugins/Image", topics.ANNOTATED_IMAGE, qos.ANNOTATED_IMAGE),
]


def asked_for(topic):
    """The profile that rviz subscribes with."""
    return QoSProfile(
        depth=topic["Depth"],
        history={"Keep Last": HistoryPolicy.KEEP_LAST}[topic["History Policy"]],
        reliability={"Reliable": ReliabilityPolicy.RELIABLE, "Best Effort": ReliabilityPolicy.BEST_EFFORT}[
            topic["Reliability Policy"]
        ],
        durability={"Volatile": DurabilityPolicy.VOLATILE, "Transient Local": DurabilityPolicy.TRANSIENT_LOCAL}[
            topic["Durability Policy"]
        ],
    )


@pytest.mark.parametrize("display,topic,offered", SHOWN)
def test_each_display_is_enabled_and_listens_where_the_visualizer_publishes(display, topic, offered):
    shown = DISPLAYS[display]
    assert shown["Enabled"] and shown["Topic"]["Value"] == f"/{topics.DEFAULT_NAMESPACE}/{topic}"


@pytest.mark.parametrize("display,topic,offered", SHOWN)
def test_each_display_asks_for_a_qos_that_is_offered(display, topic, offered):
    asked = asked_for(DISPLAYS[display]["Topic"])
    assert check(offered, asked)[0] != QoSCompatibility.ERROR
    assert (asked.reliability, asked.durability, asked.depth) == (
        offered.reliability,
        offered.durability,
        offered.depth,
    )


def test_all_namespaces_of_markers_are_shown():
    shown = DISPLAYS["rviz_default_plugins/MarkerArray"]["Namespaces"]
    assert shown == dict.fromkeys([*KINDS, *MANAGER_KINDS], True)


def test_the_check_can_fail():
    stronger = asked_for(DISPLAYS["rviz_default_plugins/Image"]["Topic"] | {"Durability Policy": "Transient Local"})
    assert check(qos.ANNOTATED_IMAGE, stronger)[0] == QoSCompatibility.ERROR


def test_the_fixed_frame_is_the_frame_of_the_markers():
    (frame,) = [parameter.default for parameter in PARAMETERS if parameter.name == "frame_id"]
    assert RVIZ["Visualization Manager"]["Global Options"]["Fixed Frame"] == frame
