"""How a node that runs until a signal ends."""

import os
import signal
import time

import pytest
import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Empty

from coedge_ros.nodes.run import EXIT_DONE, run_node


@pytest.fixture(autouse=True)
def handlers():
    """Of this process, which a node sets at its end for the process that it should have to itself."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Publisher(Node):
    """Publishes once, when `end` has had its turn."""

    def __init__(self, end):
        super().__init__("publisher")
        self.done, self.is_closed, self._end = Future(), False, end
        self._publisher = self.create_publisher(Empty, "said", 1)
        self.create_timer(0.01, self._say)

    def _say(self):
        self._end(self)
        self._publisher.publish(Empty())

    def close(self):
        self.is_closed = True


def run(end):
    nodes = []

    def make():
        nodes.append(Publisher(end))
        return nodes[-1]

    try:
        return run_node(make, args=[]), nodes[-1]
    finally:
        assert not rclpy.ok()


def terminate(*_):
    """As a signal does that comes between two lines of the node's: rclpy ends the context on a thread of its own."""
    os.kill(os.getpid(), signal.SIGTERM)
    end_s = time.monotonic() + 10
    while rclpy.ok():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def test_a_signal_while_the_context_is_used_ends_the_node_quietly():
    code, node = run(terminate)
    assert code == EXIT_DONE and node.is_closed


def test_a_signal_while_the_node_is_made_ends_it_quietly():
    def make():
        terminate()
        return Publisher(lambda node: None)

    assert run_node(make, args=[]) == EXIT_DONE


def test_an_error_of_ros_with_a_live_context_is_not_taken_for_a_signal():
    with pytest.raises(RCLError):
        run(lambda node: refuse())


def refuse():
    raise RCLError("a queue of length zero")


def test_a_context_that_cannot_be_made_is_not_taken_for_a_signal(monkeypatch):
    monkeypatch.setattr(rclpy, "init", lambda args=None: refuse())
    with pytest.raises(RCLError):
        run_node(lambda: None, args=[])
