"""Each of the doctor's checks of a running cluster, by breaking the thing."""

import time
from dataclasses import replace

import pytest
from rclpy.node import Node
from std_msgs.msg import Header

from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.msg import ManagerStatus, PartitionPlan, WorkerStatus
from coedge_ros.nodes import cluster_checks, qos, topics
from coedge_ros.nodes.cluster_checks import Endpoint, HeardManager, HeardPlan, HeardWorker
from coedge_ros.nodes.examination import Examiner, findings_of

A = HeardWorker("a", 1, "left", PROTOCOL_VERSION, "d" * 64, (224, 224), first_s=0.0, last_s=4.0)
B = replace(A, name="b", instance=2, host="right")
PLAN = HeardPlan(PROTOCOL_VERSION, "d" * 64, (224, 224))


def complaints(findings) -> list[str]:
    return [str(finding) for finding in findings if finding.level != "ok"]


def test_a_complete_cluster_has_no_complaints():
    assert complaints(cluster_checks.check_members(["a", "b"], [A, B], 1)) == []
    assert cluster_checks.check_protocol([A, B], PLAN).level == "ok"
    assert complaints(cluster_checks.check_model([A, B], PLAN)) == []
    assert complaints(cluster_checks.check_clocks([A, B])) == []


@pytest.mark.parametrize(
    ("workers", "managers", "text"),
    [
        ([A], 1, "fail: missing: b"),
        ([A, B, replace(A, name="c", instance=3)], 1, "warn: not in the cluster file: c"),
        ([A, B, replace(B, instance=9)], 1, "two processes at a time are called b"),
        ([A, replace(B, error="no such model")], 1, "b cannot work: no such model; correct that on right"),
        ([A, B], 0, "manager: fail: none is there"),
        ([A, B], 2, "manager: fail: 2 at the same time"),
    ],
)
def test_members_that_are_missing_strange_doubled_or_broken_are_named(workers, managers, text):
    (complaint,) = complaints(cluster_checks.check_members(["a", "b"], workers, managers))
    assert text in complaint


def test_a_worker_of_the_file_that_the_manager_does_not_wait_for_may_be_there_or_not():
    spare = replace(A, name="c", instance=3)
    for workers in ([A, B], [A, B, spare]):
        assert complaints(cluster_checks.check_members(["a", "b"], workers, 1, known=["a", "b", "c"])) == []
    (complaint,) = complaints(cluster_checks.check_members(["a"], [A, replace(A, name="x", instance=4)], 1, ["a", "b"]))
    assert "warn: not in the cluster file: x" in complaint


def test_a_worker_that_nobody_has_activated_is_named_with_the_command():
    workers = [A, replace(B, inactive="inactive: ros2 lifecycle set /coedge/b activate")]
    (complaint,) = complaints(cluster_checks.check_members(["a", "b"], workers, 1))
    assert "worker state: warn: b is not used: inactive: ros2 lifecycle set /coedge/b activate" in complaint


def test_a_worker_at_rest_is_named_with_its_reason():
    workers = [A, replace(B, resting="battery at 12 %")]
    (complaint,) = complaints(cluster_checks.check_members(["a", "b"], workers, 1))
    assert "worker state: warn: b rests: battery at 12 %; charge or cool right" in complaint


@pytest.mark.parametrize(
    ("manager", "text"),
    [
        (HeardManager("active", received=7), ""),
        (HeardManager("active"), "warn: active, but no image has come"),
        (HeardManager("waiting", "waits for workers", ("b",)), "warn: waiting, without b: waits for workers"),
        (HeardManager("alone", missing=("a", "b")), "warn: no worker can be used, it answers alone, without a, b"),
        (HeardManager("error", "no such model"), "fail: cannot work: no such model"),
        (None, ""),
    ],
)
def test_what_the_manager_complains_of_is_told(manager, text):
    found = complaints(cluster_checks.check_manager(manager))
    assert len(found) == bool(text) and text in "".join(found)


def test_a_worker_that_was_restarted_is_no_second_one():
    before, after = replace(B, instance=8, last_s=1.0), replace(B, first_s=2.0)
    assert complaints(cluster_checks.check_members(["a", "b"], [A, before, after], 1)) == []


def test_another_protocol_is_named():
    finding = cluster_checks.check_protocol([A, replace(B, protocol=PROTOCOL_VERSION + 1)], PLAN)
    assert finding.level == "fail" and finding.found.startswith(f"b {PROTOCOL_VERSION + 1};")
    assert "the manager" in cluster_checks.check_protocol([A], replace(PLAN, protocol=0)).found


def test_other_weights_and_sizes_than_the_managers_are_named():
    (complaint,) = complaints(cluster_checks.check_model([A, replace(B, digest="e" * 64)], PLAN))
    assert "fail: b eeeeeeeeeeee; the manager dddddddddddd" in complaint
    (complaint,) = complaints(cluster_checks.check_model([A, replace(B, size=(480, 640))], None))
    assert "fail: b 480x640; a 224x224" in complaint
    assert len(complaints(cluster_checks.check_model([A, B], replace(PLAN, digest="f", size=(1, 1))))) == 2


@pytest.mark.parametrize(("seconds", "word"), [(0.5, "500 ms behind"), (-2.0, "2000 ms ahead of")])
def test_a_clock_that_differs_is_named_by_its_host(seconds, word):
    (complaint,) = complaints(cluster_checks.check_clocks([A, replace(B, clock_s=seconds)]))
    assert "clock of right: warn" in complaint and word in complaint


def test_two_types_on_one_topic_are_named():
    offer = Endpoint("/coedge/image", "driver", True, "sensor_msgs/msg/CompressedImage", qos.CAMERA_OUTPUT)
    ask = Endpoint("/coedge/image", "manager_data", False, "sensor_msgs/msg/Image", qos.CAMERA_INPUT)
    (complaint,) = complaints(cluster_checks.check_endpoints([offer, ask]))
    assert (
        "type /coedge/image: fail: driver publishes, manager_data reads: sensor_msgs/msg/CompressedImage" in complaint
    )
    assert complaints(cluster_checks.check_endpoints([replace(offer, kind=ask.kind), ask])) == []


def test_what_is_wrong_in_a_real_domain_is_found(ros):
    """Two workers of different weights and clock, and a reader that asks for more than is offered."""
    examiner = ros.node(lambda context: Examiner("coedge", context))
    node = ros.node(Node, "stranger", namespace="coedge")
    statuses = node.create_publisher(WorkerStatus, topics.WORKER_STATUS, qos.STATUS)
    plans = node.create_publisher(PartitionPlan, topics.PARTITION_PLAN, qos.PLAN)
    manager = node.create_publisher(ManagerStatus, topics.MANAGER_STATUS, qos.MANAGER_STATUS)
    manager.publish(ManagerStatus(state=ManagerStatus.STATE_ALONE, missing=["good", "bad"]))
    node.create_publisher(Header, "picture", qos.CAMERA_INPUT)  # best effort
    plans.publish(PartitionPlan(protocol_version=PROTOCOL_VERSION, model_digest="d" * 64, height=224, width=224))
    outside = ros.node(Node, "outside")
    outside.create_subscription(Header, "/coedge/picture", lambda message: None, qos.CAMERA_INPUT_RELIABLE)

    def say(name, digest, seconds_behind):
        message = WorkerStatus(
            name=name, instance=1, host=name, protocol_version=PROTOCOL_VERSION, model_digest=digest,
            height=224, width=224, state=WorkerStatus.STATE_READY,
        )  # fmt: skip
        message.header.stamp.sec = int(time.time() - seconds_behind)
        statuses.publish(message)

    def is_heard():
        say("good", "d" * 64, 0)
        say("bad", "e" * 64, 100)
        return len(examiner.workers) == 2 and examiner.plan and examiner.manager and len(examiner.endpoints()) >= 5

    ros.spin_until(is_heard)
    found = "\n".join(map(str, findings_of(examiner, None)))
    assert "model digest: fail: bad eeeeeeeeeeee; the manager dddddddddddd" in found
    assert "clock of bad: warn" in found
    assert "QoS /coedge/picture: fail: stranger publishes, outside reads" in found
    assert "manager state: warn: no worker can be used, it answers alone, without good, bad" in found
    assert "manager: ok" in found and "workers: ok" in found
