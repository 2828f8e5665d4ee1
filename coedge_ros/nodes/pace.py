"""Timers that go on under a simulated clock."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.timer import Timer


def steady_timer(
    node: Node, period_s: float, callback: Callable[[], None], group: CallbackGroup | None = None
) -> Timer:
    """Timer on the steady clock: with `use_sim_time` it keeps its pace when the simulation is slow or stands still.

    A node's own timers follow the simulation. A worker that says nothing while that is paused would count as dead.
    """
    return node.create_timer(period_s, callback, callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME))
