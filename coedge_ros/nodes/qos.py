"""Named QoS profiles, one reason each. Call sites name the intent and never spell policies."""

from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)

STATUS_DEADLINE_S = 1.0  # workers send several times per second, so one second of silence means several lost
STATUS_LEASE_S = 1.0  # 300 ms gave false alarms on a machine whose cores all computed


def _profile(depth: int, *, reliable: bool = True, latched: bool = False, **more) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        liveliness=LivelinessPolicy.AUTOMATIC,
        **more,
    )


# Any camera driver matches best effort. Only the newest frame is worth an answer, yet five, as ROS has it for sensors:
# what DDS replaces with a newer one before the node has looked is counted by nobody.
CAMERA_INPUT = _profile(5, reliable=False)
# For a source whose every frame counts (pictures, recordings, the demo): nothing is lost on the way in, also when the
# reader has no processor for a while: 3 s at 10 frames per second; where all cores compute, 1 s was too short.
CAMERA_INPUT_RELIABLE = _profile(30)
# Reliable serves both kinds of reader; not longer, because a picture is large.
CAMERA_OUTPUT = _profile(30)
# A name is small and useless when it is missing: also a reader that comes late gets the last hundred.
FRAME_NAME = _profile(100, latched=True)
# A worker that starts late needs the plan in force; two, because a worker holds at most two programs.
PLAN = _profile(2, latched=True)
# Requests to send chunks again are rare and small; one lost costs a whole time limit.
FRAGMENT_REQUESTS = _profile(100)
# A probe that is lost is not sent again: that would be another measurement.
LINK_PROBES = _profile(64, reliable=False)
LINK_REPORTS = _profile(64, reliable=False)
# Silence is the first signal of failure: DDS reports a missed deadline and a lost writer by itself.
STATUS = _profile(
    50,
    deadline=Duration(seconds=STATUS_DEADLINE_S),
    liveliness_lease_duration=Duration(seconds=STATUS_LEASE_S),
)
# Battery drivers publish either way; only the newest charge counts.
BATTERY = _profile(1, reliable=False)
# One sender, twice per second; whoever comes late gets the last one.
MANAGER_STATUS = _profile(1, latched=True)
# Every accepted frame has exactly one answer, so none may be lost between two reads of a slow reader.
RESULT = _profile(100)
# The same for those who read vision_msgs.
VISION_MSGS = _profile(10)
# Reliable serves both kinds of reader; images are large, and only the newest is worth having.
LABELS = _profile(5)
OVERLAY = _profile(1)
# Sent again several times per second, so a late rviz needs no history.
MARKERS = _profile(1)
# rviz asks for reliable by default; only the newest picture is worth showing.
ANNOTATED_IMAGE = _profile(1)
# What diagnostic tools subscribe with.
DIAGNOSTICS = _profile(10)


def fragments_qos(depth: int, reliable: bool = True, lifespan_s: float | None = None) -> QoSProfile:
    """Fragments for one receiver: reliable, never latched, because a fragment of an old frame is only a burden.

    Parameters
    ----------
    depth : int
        Samples that may be in flight on this topic, counted over ALL of its writers: a smaller depth loses silently.
    reliable : bool
        Whether DDS itself sends again what was lost; without it only our own requests for missing chunks do.
    lifespan_s : float, optional
        Of a writer: how long it sends a fragment again. On a link that carries less than is sent all of it would pile
        up and be sent again and again, until other links of the sender are full of it too. Readers have none: theirs
        would compare the clocks of two hosts.
    """
    more = {} if lifespan_s is None else {"lifespan": Duration(seconds=lifespan_s)}
    return _profile(depth, reliable=reliable, **more)


def camera_input(reliable: bool) -> QoSProfile:
    """Profile of a reader of camera images, chosen by its parameter `image_reliable`."""
    return CAMERA_INPUT_RELIABLE if reliable else CAMERA_INPUT


def subscription_events(node: Node, topic: str) -> SubscriptionEventCallbacks:
    """Log an incompatible publisher together with what to change."""

    def incompatible(event) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        node.get_logger().error(
            f"a publisher on {node.resolve_topic_name(topic)} offers a weaker {policy} than this node asks for, so "
            f"nothing arrives from it: strengthen the publisher's {policy}, or relax it here where a parameter allows "
            "it (image_reliable for images)"
        )

    return SubscriptionEventCallbacks(incompatible_qos=incompatible)


def publisher_events(node: Node, topic: str) -> PublisherEventCallbacks:
    """Log an incompatible subscriber together with what to change."""

    def incompatible(event) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        node.get_logger().error(
            f"a subscriber of {node.resolve_topic_name(topic)} asks for a stronger {policy} than this node offers, so "
            f"nothing reaches it: relax the subscriber's {policy}"
        )

    return PublisherEventCallbacks(incompatible_qos=incompatible)
