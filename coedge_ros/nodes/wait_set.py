"""Waiting for messages without an executor: a wait set of one's own, and a fallback where rclpy has none.

A worker that computes on its main thread and then waits for just the fragments it lacks needs no executor on that path;
handing messages over from an executor thread costs more than DDS itself. rclpy's WaitSet is not public API, so this
file is the only one that touches it. A node whose subscriptions are taken here must not be spun: the executor would
steal messages.
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

try:
    from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy

    HAS_WAIT_SET = hasattr(_rclpy, "WaitSet")
except ImportError:
    HAS_WAIT_SET = False

# Now and then a wait set sleeps on although a message is there: 2 to 4 of 1,600 stage waits in the demo, with three writers of
# one topic. The message is then found when the wait ends, so waits are short where something is under way, and longer
# only in a process that has had nothing to do for a while.
ACTIVE_WAIT_S = 0.002
QUIET_WAIT_S = 0.005
IDLE_WAIT_S = 0.05
QUIET_FOR_S = 3.0


def wait_for(has_frames: bool, quiet_s: float) -> float:
    """How long to wait at most: with frames under way, shortly after, and in an idle process."""
    if has_frames:
        return ACTIVE_WAIT_S
    return QUIET_WAIT_S if quiet_s < QUIET_FOR_S else IDLE_WAIT_S


def ignore(message: Any) -> None:
    """Callback of subscriptions that are taken, never called."""


class Inlet:
    """Takes messages of a node's subscriptions on the calling thread.

    Parameters
    ----------
    node : Node
        Owner of the subscriptions; in no executor.
    subscriptions : sequence of Subscription
        What to wait for. More can be added later with `add`.
    """

    def __init__(self, node: Node, subscriptions: list[Subscription]):
        self._context = node.context
        self._guard = node.create_guard_condition(ignore)
        self._subscriptions: list[Subscription] = []
        self._wait_set = None
        for subscription in subscriptions:
            self.add(subscription)

    def add(self, subscription: Subscription) -> None:
        """Wait for one more subscription; called by the thread that takes."""
        self._subscriptions.append(subscription)
        self._wait_set = None

    def wake(self) -> None:
        """End a wait early; called by any thread."""
        self._guard.trigger()

    def take(self, subscription: Subscription) -> Any | None:
        """Next message of a subscription; None when there is none."""
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, False)
        return taken[0] if taken else None

    def wait(self, timeout_s: float) -> None:
        """Sleep until a message may be there, `wake` is called, or the time is over."""
        if self._wait_set is None:
            self._wait_set = _rclpy.WaitSet(len(self._subscriptions), 1, 0, 0, 0, 0, self._context.handle)
        self._wait_set.clear_entities()
        for subscription in self._subscriptions:
            self._wait_set.add_subscription(subscription.handle)
        self._wait_set.add_guard_condition(self._guard.handle)
        self._wait_set.wait(int(timeout_s * 1e9))

    def close(self) -> None:
        """Let go of the entities before the node is destroyed."""
        self._wait_set = None
        self._subscriptions.clear()
