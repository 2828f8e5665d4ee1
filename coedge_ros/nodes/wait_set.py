"""Taking messages on the thread that computes: a wait set of one's own, and an executor where rclpy has none.

A worker that computes on its main thread and then waits for just the fragments it lacks needs no executor on that path;
handing messages over from an executor thread costs more than DDS itself. rclpy's WaitSet is not public API, so this
file is the only one that touches it. A node whose messages are taken here must not be spun by anything else, which
would steal them.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Any, Protocol

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

try:
    from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy

    HAS_WAIT_SET = hasattr(_rclpy, "WaitSet")
except ImportError:
    HAS_WAIT_SET = False

# Now and then a wait set sleeps on although a message is there: 2 to 4 of 1,600 stage waits in the demo, with three
# writers of one topic. The message is then found when the wait ends, so waits are short where something is under way,
# and longer only in a process that has had nothing to do for a while.
ACTIVE_WAIT_S = 0.002
QUIET_WAIT_S = 0.005
IDLE_WAIT_S = 0.1
QUIET_FOR_S = 3.0


def wait_for(has_frames: bool, quiet_s: float) -> float:
    """How long to wait at most: with frames under way, shortly after, and in an idle process."""
    if has_frames:
        return ACTIVE_WAIT_S
    return QUIET_WAIT_S if quiet_s < QUIET_FOR_S else IDLE_WAIT_S


class Inlet(Protocol):
    """Where a thread takes the messages of a node from. All but `wake` are called by that one thread."""

    def subscribe(self, kind: type, topic: str, profile: QoSProfile) -> Subscription:
        """Make a subscription and wait for it from now on."""

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; what has come and was not taken is gone."""

    def take(self, subscription: Subscription) -> Any | None:
        """Next message of a subscription; None when there is none."""

    def wait(self, timeout_s: float) -> None:
        """Sleep until a message may be there, `wake` is called, or the time is over."""

    def wake(self) -> None:
        """End a wait early; called by any thread, also one that goes on while the node is destroyed."""

    def close(self) -> None:
        """Let go of the entities before the node is destroyed."""


def make_inlet(node: Node) -> Inlet:
    """The quickest inlet that this rclpy has, for a node that is in no executor."""
    return WaitSetInlet(node) if HAS_WAIT_SET else ExecutorInlet(node)


class WaitSetInlet:
    """A wait set over the node's subscriptions: nothing runs between DDS and the thread that takes."""

    def __init__(self, node: Node):
        self._node = node
        self._guard = node.create_guard_condition(_ignore)
        self._subscriptions: list[Subscription] = []
        self._wait_set = None

    def subscribe(self, kind: type, topic: str, profile: QoSProfile) -> Subscription:
        """See `Inlet`."""
        subscription = self._node.create_subscription(kind, topic, _ignore, profile)
        self._subscriptions.append(subscription)
        self._wait_set = None  # its size is fixed
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """See `Inlet`."""
        self._subscriptions.remove(subscription)
        self._wait_set = None
        self._node.destroy_subscription(subscription)

    def take(self, subscription: Subscription) -> Any | None:
        """See `Inlet`."""
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, False)
        return taken[0] if taken else None

    def wait(self, timeout_s: float) -> None:
        """See `Inlet`."""
        if self._wait_set is None:
            self._wait_set = _rclpy.WaitSet(len(self._subscriptions), 1, 0, 0, 0, 0, self._node.context.handle)
        self._wait_set.clear_entities()
        for subscription in self._subscriptions:
            self._wait_set.add_subscription(subscription.handle)
        self._wait_set.add_guard_condition(self._guard.handle)
        self._wait_set.wait(int(timeout_s * 1e9))

    def wake(self) -> None:
        """See `Inlet`."""
        with contextlib.suppress(RuntimeError):  # rclpy's InvalidHandle: nobody waits any more
            self._guard.trigger()

    def close(self) -> None:
        """See `Inlet`."""
        self._wait_set = None
        self._subscriptions.clear()


class ExecutorInlet:
    """The same over public API only: an executor that the taking thread spins itself, one message at a time."""

    def __init__(self, node: Node):
        self._node = node
        self._guard = node.create_guard_condition(_ignore)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._arrived: dict[Subscription, deque] = {}

    def subscribe(self, kind: type, topic: str, profile: QoSProfile) -> Subscription:
        """See `Inlet`."""
        arrived: deque = deque()
        subscription = self._node.create_subscription(kind, topic, lambda message: arrived.append(message), profile)
        self._arrived[subscription] = arrived
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """See `Inlet`."""
        del self._arrived[subscription]
        self._node.destroy_subscription(subscription)

    def take(self, subscription: Subscription) -> Any | None:
        """See `Inlet`."""
        arrived = self._arrived[subscription]
        if not arrived:
            self._executor.spin_once(timeout_sec=0)
        return arrived.popleft() if arrived else None

    def wait(self, timeout_s: float) -> None:
        """See `Inlet`."""
        if not any(self._arrived.values()):
            self._executor.spin_once(timeout_sec=timeout_s)

    def wake(self) -> None:
        """See `Inlet`."""
        with contextlib.suppress(RuntimeError):  # rclpy's InvalidHandle: nobody waits any more
            self._guard.trigger()

    def close(self) -> None:
        """See `Inlet`."""
        self._executor.shutdown()
        self._arrived.clear()


def _ignore(message: Any = None) -> None:
    """Callback of subscriptions that are taken, and of the guard condition: never called, or nothing to do."""
