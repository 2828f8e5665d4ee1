"""QoS of the cluster's rim comes from the parameters that ROS 2 has for it."""

import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import Image

from coedge_ros.errors import UserError
from coedge_ros.nodes import qos
from coedge_ros.nodes.qos_overrides import PUBLISHER, SUBSCRIPTION, overridden


def node_with(ros, **overrides):
    """A node that was given these parameters."""
    pairs = [rclpy.parameter.Parameter(name, value=value) for name, value in overrides.items()]
    return ros.node(Node, "rim", parameter_overrides=pairs)


def test_a_profile_stays_as_it_is_without_overrides_and_says_what_it_is(ros):
    node = node_with(ros)
    assert overridden(node, PUBLISHER, "result", qos.RESULT) == qos.RESULT
    name = f"qos_overrides.{node.resolve_topic_name('result')}.publisher."
    assert node.get_parameter(f"{name}depth").value == qos.RESULT.depth
    assert node.get_parameter(f"{name}reliability").value == "reliable"


def test_what_is_overridden_reaches_the_endpoint_and_no_other_profile(ros):
    start = "qos_overrides./cam/image.subscription."
    node = node_with(ros, **{f"{start}reliability": "reliable", f"{start}depth": 7})
    profile = overridden(node, SUBSCRIPTION, "/cam/image", qos.CAMERA_INPUT)
    assert (profile.reliability, profile.depth) == (ReliabilityPolicy.RELIABLE, 7)
    assert qos.CAMERA_INPUT.reliability is ReliabilityPolicy.BEST_EFFORT and qos.CAMERA_INPUT.depth != 7
    subscription = node.create_subscription(Image, "/cam/image", lambda message: None, profile)
    (info,) = node.get_subscriptions_info_by_topic("/cam/image")
    assert info.qos_profile.reliability is ReliabilityPolicy.RELIABLE
    assert info.qos_profile.durability is DurabilityPolicy.VOLATILE
    node.destroy_subscription(subscription)
    assert not node.set_parameters([rclpy.parameter.Parameter(f"{start}depth", value=9)])[0].successful


@pytest.mark.parametrize(
    ("policy", "value", "said"),
    [("reliability", "sometimes", "best_effort"), ("depth", 0, "at least 1"), ("durability", "unknown", "volatile")],
)
def test_a_value_that_does_not_fit_is_refused_with_what_does(ros, policy, value, said):
    node = node_with(ros, **{f"qos_overrides./cam/image.subscription.{policy}": value})
    with pytest.raises(UserError, match=said):
        overridden(node, SUBSCRIPTION, "/cam/image", qos.CAMERA_INPUT)
