"""Parameters `qos_overrides.TOPIC.publisher|subscription.POLICY`, named as rclcpp and rclpy name them.

rclpy declares them only on the node that has the endpoint, and changes the profile that it is given. Ours carry data
over a node of its own that has no parameters, and share profiles. Only for topics at the rim of the cluster (images in,
answers and pictures out): plans, fragments and statuses need what they have.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from coedge_ros.errors import UserError

PUBLISHER, SUBSCRIPTION = "publisher", "subscription"
CHOICES: dict[str, type[Enum]] = {
    "history": HistoryPolicy, "reliability": ReliabilityPolicy, "durability": DurabilityPolicy,
}  # fmt: skip
POLICIES = (*CHOICES, "depth")


def overridden(node: Node, endpoint: str, topic: str, profile: QoSProfile) -> QoSProfile:
    """A profile with what the node's parameters change of it, read-only once it is made.

    Parameters
    ----------
    node : Node
        Control node, whose parameters count.
    endpoint : str
        `publisher` or `subscription`.
    topic : str
        As the node names it; the parameter has the absolute name, remapped.
    profile : QoSProfile
        What holds otherwise; stays as it is.

    Raises
    ------
    UserError
        When a value does not fit.
    """
    resolved = node.resolve_topic_name(topic)
    values = {policy: getattr(profile, policy) for policy in POLICIES}
    for policy in POLICIES:
        name = f"qos_overrides.{resolved}.{endpoint}.{policy}"
        if not node.has_parameter(name):
            text = f"{policy} of the {endpoint} {resolved}"
            usual = values[policy] if policy == "depth" else values[policy].name.lower()
            node.declare_parameter(name, usual, ParameterDescriptor(description=text, read_only=True))
        values[policy] = _parsed(name, policy, node.get_parameter(name).value)
    return QoSProfile(
        **values, deadline=profile.deadline, lifespan=profile.lifespan, liveliness=profile.liveliness,
        liveliness_lease_duration=profile.liveliness_lease_duration,
    )  # fmt: skip


def _parsed(name: str, policy: str, value: Any) -> Any:
    if policy == "depth":
        if value < 1:
            raise UserError(f"parameter {name} must be at least 1, not {value}")
        return value
    choices = {choice.name.lower(): choice for choice in CHOICES[policy] if choice.name.lower() != "unknown"}
    if value not in choices:
        raise UserError(f"parameter {name} must be one of {', '.join(choices)}, not {value!r}")
    return choices[value]
