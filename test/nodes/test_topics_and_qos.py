"""Topic names and named QoS profiles."""

import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSCompatibility, ReliabilityPolicy, qos_check_compatible
from std_msgs.msg import Header

from coedge_ros.errors import UserError
from coedge_ros.nodes import qos, topics


def test_all_topics_but_diagnostics_are_relative():
    names = [value for name, value in vars(topics).items() if name.isupper() and not name.startswith("_")]
    assert [name for name in names if name.startswith("/")] == ["/diagnostics"]


def test_each_receiver_has_its_own_fragment_topic():
    assert topics.fragments_topic("worker_1") == "fragments/worker_1"


@pytest.mark.parametrize("name", ["", "jetson-1", "1st", "a/b", "a b", "ü"])
def test_a_name_that_no_topic_can_hold_is_refused(name):
    with pytest.raises(UserError, match="worker's name"):
        topics.fragments_topic(name)


@pytest.mark.parametrize(
    "offered,asked",
    [(qos.CAMERA_OUTPUT, qos.CAMERA_INPUT), (qos.CAMERA_OUTPUT, qos.CAMERA_INPUT_RELIABLE)]
    + [(profile, profile) for profile in (qos.PLAN, qos.STATUS, qos.RESULT, qos.FRAME_NAME, qos.fragments_qos(8))],
)
def test_what_our_own_nodes_offer_suits_what_they_ask_for(offered, asked):
    assert qos_check_compatible(offered, asked)[0] == QoSCompatibility.OK


def test_profiles_are_what_their_reasons_say():
    assert qos.CAMERA_INPUT.reliability == ReliabilityPolicy.BEST_EFFORT and qos.CAMERA_INPUT.depth == 5
    assert qos.camera_input(True).reliability == ReliabilityPolicy.RELIABLE
    assert qos.camera_input(False) is qos.CAMERA_INPUT
    assert qos.PLAN.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert qos.fragments_qos(17).depth == 17 and qos.fragments_qos(17).durability == DurabilityPolicy.VOLATILE
    assert qos.STATUS.liveliness == LivelinessPolicy.AUTOMATIC
    assert qos.STATUS.liveliness_lease_duration.nanoseconds == qos.STATUS_LEASE_S * 1e9


class Log:
    """Records what a node's logger says."""

    def __init__(self, node):
        self.lines = []
        node.get_logger = lambda: self

    def error(self, text):
        self.lines.append(text)


def test_both_sides_log_an_incompatible_partner_with_what_to_change(ros):
    weak, strong = ros.node(Node, "weak"), ros.node(Node, "strong")
    weak_log, strong_log = Log(weak), Log(strong)
    weak.create_publisher(Header, "plan", qos.RESULT, event_callbacks=qos.publisher_events(weak, "plan"))
    strong.create_subscription(
        Header, "plan", lambda message: None, qos.PLAN, event_callbacks=qos.subscription_events(strong, "plan")
    )
    ros.spin_until(lambda: weak_log.lines and strong_log.lines)
    assert "/plan" in weak_log.lines[0] and "relax the subscriber's DURABILITY" in weak_log.lines[0]
    assert "/plan" in strong_log.lines[0] and "strengthen the publisher's DURABILITY" in strong_log.lines[0]
