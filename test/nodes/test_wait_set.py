"""Taking messages on one's own thread, with a wait set and, where rclpy has none, over public API only."""

import threading
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Int64

from coedge_ros.nodes import wait_set
from coedge_ros.nodes.qos import fragments_qos
from coedge_ros.nodes.wait_set import ExecutorInlet, WaitSetInlet, make_inlet, wait_for

pytestmark = pytest.mark.timeout(60)
PROFILE = fragments_qos(100)


@pytest.fixture(params=[WaitSetInlet, ExecutorInlet], ids=lambda kind: kind.__name__)
def taker(request, ros):
    """A node of its own that nobody spins, and its inlet."""
    node = Node("taker", context=ros.context)
    inlet = request.param(node)
    yield inlet
    inlet.close()
    node.destroy_node()


def collect(inlet, subscription, count: int, limit_s: float = 10.0) -> list[int]:
    found, end = [], time.monotonic() + limit_s
    while len(found) < count:
        assert time.monotonic() < end, f"only {found} within {limit_s} s"
        message = inlet.take(subscription)
        if message is None:
            inlet.wait(0.05)
        else:
            found.append(message.data)
    return found


def matched_publisher(ros, topic: str):
    publisher = ros.node(Node, f"sender_of_{topic}").create_publisher(Int64, topic, PROFILE)
    ros.spin_until(lambda: publisher.get_subscription_count() > 0)
    return publisher


def test_messages_are_taken_in_their_order_and_then_there_is_none(ros, taker):
    subscription = taker.subscribe(Int64, "numbers", PROFILE)
    publisher = matched_publisher(ros, "numbers")
    for i in range(20):
        publisher.publish(Int64(data=i))
    assert collect(taker, subscription, 20) == list(range(20))
    assert taker.take(subscription) is None


def test_a_thread_may_wake_a_process_that_has_ended_its_node(ros):
    for kind in (WaitSetInlet, ExecutorInlet):
        node = Node("ends_early", context=ros.context)
        inlet = kind(node)
        inlet.close()
        node.destroy_node()
        inlet.wake()  # a loader's last command, as the one that a manager's goodbye brings


def test_each_subscription_gives_its_own_messages_also_one_that_is_added_later(ros, taker):
    first = taker.subscribe(Int64, "first", PROFILE)
    matched_publisher(ros, "first").publish(Int64(data=1))
    assert collect(taker, first, 1) == [1]
    second = taker.subscribe(Int64, "second", PROFILE)
    matched_publisher(ros, "second").publish(Int64(data=2))
    assert collect(taker, second, 1) == [2]
    assert taker.take(first) is None


def test_a_wait_ends_when_its_time_is_over(taker):
    taker.subscribe(Int64, "silent", PROFILE)
    began = time.monotonic()
    taker.wait(0.2)
    assert 0.1 < time.monotonic() - began < 5


def test_a_wait_ends_when_another_thread_wakes_it(taker):
    taker.subscribe(Int64, "silent", PROFILE)
    waiter = threading.Timer(0.2, taker.wake)
    waiter.start()
    began = time.monotonic()
    taker.wait(30.0)
    assert time.monotonic() - began < 10
    waiter.join()


def test_a_wait_ends_when_a_message_comes(ros, taker):
    subscription = taker.subscribe(Int64, "numbers", PROFILE)
    publisher = matched_publisher(ros, "numbers")
    sender = threading.Timer(0.2, lambda: publisher.publish(Int64(data=7)))
    sender.start()
    assert collect(taker, subscription, 1) == [7]
    sender.join()


def test_the_wait_set_is_used_where_there_is_one_and_the_executor_elsewhere(ros, monkeypatch):
    node = Node("chooser", context=ros.context)
    for there, kind in ((True, WaitSetInlet), (False, ExecutorInlet)):
        monkeypatch.setattr(wait_set, "HAS_WAIT_SET", there)
        inlet = make_inlet(node)
        assert type(inlet) is kind
        inlet.close()
    node.destroy_node()


def test_this_rclpy_has_a_wait_set():
    assert wait_set.HAS_WAIT_SET, "the slower way would be taken without a word"


def test_waits_are_short_while_something_is_under_way_and_longer_in_an_idle_process():
    assert wait_for(True, 100.0) < wait_for(False, 0.0) < wait_for(False, 100.0) <= 0.1


def test_a_node_that_is_spun_as_well_loses_messages_to_the_executor(ros):
    """Why the data node is in no executor; should rclpy change, the rule may go."""
    node = Node("spun", context=ros.context)
    inlet = WaitSetInlet(node)
    subscription = inlet.subscribe(Int64, "numbers", PROFILE)
    executor = SingleThreadedExecutor(context=ros.context)
    executor.add_node(node)
    publisher = matched_publisher(ros, "numbers")
    publisher.publish(Int64(data=1))
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    assert inlet.take(subscription) is None
    executor.shutdown()
    inlet.close()
    node.destroy_node()
    assert rclpy.ok(context=ros.context)
