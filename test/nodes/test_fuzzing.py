"""Broken messages: seeded, of every field type, and broken indeed."""

import array
import random
from operator import eq

import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import BatteryState, CompressedImage, Image

from coedge_ros.msg import Fragment, FragmentRequest, PartitionPlan, WorkerStatus
from coedge_ros.nodes.fuzzing import Fuzzer, message_type

KINDS = (Fragment, FragmentRequest, PartitionPlan, WorkerStatus, Image, CompressedImage, BatteryState)


@pytest.mark.parametrize("kind", KINDS)
def test_random_messages_can_be_sent_and_the_same_seed_gives_the_same_ones(kind):
    one, other = (Fuzzer(random.Random(3)) for _ in range(2))
    for _ in range(50):
        message = one.random(kind)
        assert str(message) == str(other.random(kind))  # not ==, because NaN is not equal to itself
        deserialize_message(serialize_message(message), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_message_differs_in_few_fields_and_leaves_the_good_one_alone(kind):
    fuzzer, good = Fuzzer(random.Random(1)), kind()
    changes = []
    for _ in range(100):
        changed = fuzzer.changed(good)
        changes.append(
            sum(str(getattr(changed, n)) != str(getattr(good, n)) for n in good.get_fields_and_field_types())
        )
        serialize_message(changed)
    assert good == kind()
    assert max(changes) in (2, 3, 4) and sum(c > 0 for c in changes) > 60  # a broken value may be the default one


def test_message_types_are_found_by_either_name():
    assert message_type("sensor_msgs/Image") is message_type("sensor_msgs/msg/Image") is Image


def test_changed_bytes_often_begin_like_the_good_ones():
    fuzzer, good = Fuzzer(random.Random(2)), CompressedImage(data=array.array("B", range(200)))
    data = [fuzzer.changed(good).data for _ in range(200)]
    alike = [d for d in data if d != good.data and 20 < len(d) <= 200 and sum(map(eq, d, good.data)) >= len(d) - 8]
    assert len(alike) > 10 and any(len(d) < 200 for d in alike) and any(len(d) == 200 for d in alike)
    assert good.data == array.array("B", range(200))
