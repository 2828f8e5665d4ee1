"""Managed nodes: what `ros2 lifecycle set`, `~/enable`, `~/set_model` and a deadline do to a cluster that serves."""

import time

import numpy as np
import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from std_srvs.srv import SetBool
from support.cluster import MANAGER, NAMESPACE, WORKERS, Cluster
from support.reference import Reference, write_rescaled_weights

from coedge_ros.msg import ManagerStatus, WorkerStatus
from coedge_ros.nodes.composition import ClusterOptions
from coedge_ros.nodes.image_codec import resize_to
from coedge_ros.srv import SetModel

pytestmark = pytest.mark.timeout(180)

HEIGHT, WIDTH = 48, 64
LATE = "worker_3"  # is not configured at start
OTHERS = tuple(name for name in WORKERS if name != LATE)
LEADER = "partition_manager"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    weights = write_rescaled_weights(tmp_path_factory.mktemp("weights"), "support.tiny:net", HEIGHT, WIDTH)
    return Reference("support.tiny:net", weights, HEIGHT, WIDTH), weights


@pytest.fixture(scope="module")
def cluster(whole, tmp_path_factory):
    options = ClusterOptions(
        model="support.tiny:net", weights=str(whole[1]), height=HEIGHT, width=WIDTH, source="", with_visualizer=False,
        manager={
            **MANAGER, "planner": "manual", "expected_workers": list(OTHERS), "switchable_models": ["support.tiny:*"]
        },
        worker={"switchable_models": ["support.tiny:*"]},
    )  # fmt: skip
    cluster = Cluster(tmp_path_factory.mktemp("lifecycle"), options)
    cluster.specs[LATE].parameters["autostart"] = False
    with cluster:
        cluster.wait_until_active(OTHERS)
        yield cluster


def call(cluster, kind, name, request, limit_s=30.0):
    """Answer of a service."""
    client = cluster.node.create_client(kind, f"/{NAMESPACE}/{name}")
    cluster.until(client.service_is_ready, f"service {name}")
    future = client.call_async(request)
    cluster.until(future.done, f"an answer of {name}", limit_s)
    cluster.node.destroy_client(client)
    return future.result()


def change(cluster, node, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return call(cluster, ChangeState, f"{node}/change_state", request).success


def state(cluster, node):
    return call(cluster, GetState, f"{node}/get_state", GetState.Request()).current_state.id


def stream(cluster, frames, act, at):
    """Publish images; in the middle of them `act()`. Returns their stamps."""
    stamps = cluster.send_paced(frames[:at])
    act()
    return stamps + cluster.send_paced(frames[at:])


def test_a_node_without_autostart_waits_until_it_is_configured_and_activated(cluster, whole):
    assert state(cluster, LATE) == State.PRIMARY_STATE_UNCONFIGURED
    cluster.until(lambda: cluster.worker(LATE).state == WorkerStatus.STATE_INACTIVE, "it says that it is not active")
    assert "configure" in cluster.worker(LATE).message and not cluster.worker(LATE).model_digest
    assert not change(cluster, LATE, Transition.TRANSITION_ACTIVATE)
    assert change(cluster, LATE, Transition.TRANSITION_CONFIGURE)
    assert state(cluster, LATE) == State.PRIMARY_STATE_INACTIVE
    cluster.refresh()
    assert cluster.worker(LATE).model_digest and "activate" in cluster.worker(LATE).message
    assert LATE not in cluster.plan().workers
    assert change(cluster, LATE, Transition.TRANSITION_ACTIVATE)
    cluster.wait_until_active()
    frame = whole[0].frames(1, seed=50)[0]
    assert whole[0].is_equal(cluster.ask(frame), frame)


def test_a_worker_that_is_deactivated_in_the_middle_of_a_stream_costs_no_frame(cluster, whole):
    cluster.wait_until_active()
    frames = whole[0].frames(40, seed=51)
    stamps = stream(cluster, frames, lambda: change(cluster, "worker_2", Transition.TRANSITION_DEACTIVATE), 15)
    results = cluster.answers(stamps)
    assert all(whole[0].is_equal(result, frame) for result, frame in zip(results, frames, strict=True))
    assert not any(result.fallback for result in results)
    assert {u.name for u in results[0].workers} == set(WORKERS)
    assert {u.name for u in results[-1].workers} == set(WORKERS) - {"worker_2"}
    assert all(result.attempts == 1 for result in results)  # it computed its rows until the others had taken over
    assert change(cluster, "worker_2", Transition.TRANSITION_ACTIVATE)
    cluster.wait_until_active()


def test_a_manager_that_is_deactivated_answers_what_it_has_accepted_and_is_back_within_a_second(cluster, whole):
    cluster.wait_until_active()
    frames = whole[0].frames(30, seed=52)
    stream(cluster, frames, lambda: change(cluster, LEADER, Transition.TRANSITION_DEACTIVATE), 15)
    cluster.refresh()
    status = cluster.manager
    assert status.state == ManagerStatus.STATE_INACTIVE and "activate" in status.message
    dropped = dict(zip(status.dropped_reasons, status.dropped_counts, strict=True))
    assert 15 <= status.frames_received < 1000
    assert status.frames_received == status.frames_answered + sum(dropped.values())
    assert cluster.images.get_subscription_count() == 0
    assert all(w.rows for w in cluster.record.workers.values())  # the plan stays
    epoch = status.epoch
    began_s = time.monotonic()
    assert change(cluster, LEADER, Transition.TRANSITION_ACTIVATE)
    cluster.until(lambda: cluster.images.get_subscription_count() > 0, "images are read again")
    result = cluster.ask(frames[0])
    took_s = time.monotonic() - began_s - 0.3  # in which `ask` waits for a second answer
    assert whole[0].is_equal(result, frames[0]) and result.epoch == epoch
    assert took_s < 1.0


def test_images_are_read_only_while_it_is_enabled(cluster, whole):
    cluster.wait_until_active()
    answer = call(cluster, SetBool, f"{LEADER}/enable", SetBool.Request(data=False))
    assert answer.success and "enable" in answer.message
    cluster.until(lambda: cluster.images.get_subscription_count() == 0, "no images are read")
    cluster.until(lambda: cluster.manager.state == ManagerStatus.STATE_INACTIVE, "it says so")
    before = cluster.manager.frames_received
    cluster.send_paced(whole[0].frames(5, seed=53))
    cluster.refresh()
    assert cluster.manager.frames_received == before
    assert call(cluster, SetBool, f"{LEADER}/enable", SetBool.Request(data=True)).message == "takes images"
    cluster.wait_until_active()
    cluster.until(lambda: cluster.images.get_subscription_count() > 0, "images are read again")
    assert not cluster.ask(whole[0].frames(1, seed=54)[0]).fallback


def test_cleanup_frees_the_model_and_configure_brings_it_back(cluster, whole):
    cluster.wait_until_active()
    for name in (LEADER, *WORKERS):
        assert change(cluster, name, Transition.TRANSITION_DEACTIVATE)
        assert change(cluster, name, Transition.TRANSITION_CLEANUP)
        assert state(cluster, name) == State.PRIMARY_STATE_UNCONFIGURED
    cluster.refresh()
    assert not any(w.model_digest or w.prepared_epochs or w.rows for w in cluster.record.workers.values())
    assert "configure" in cluster.manager.message
    for name in (LEADER, *WORKERS):
        assert change(cluster, name, Transition.TRANSITION_CONFIGURE)
        assert change(cluster, name, Transition.TRANSITION_ACTIVATE)
    cluster.wait_until_active()
    cluster.until(lambda: cluster.images.get_subscription_count() > 0, "images are read again")
    frame = whole[0].frames(1, seed=55)[0]
    assert whole[0].is_equal(cluster.ask(frame), frame)


def set_parameter(cluster, name, value):
    request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
    return call(cluster, SetParameters, f"{LEADER}/set_parameters", request).results[0]


def test_a_new_deadline_is_planned_for_at_once(cluster, whole):
    cluster.wait_until_active()
    epoch = cluster.manager.epoch
    changed = set_parameter(
        cluster, "deadline_s", ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=0.75)
    )
    assert changed.successful, changed.reason
    cluster.until(lambda: cluster.manager.epoch > epoch and cluster.plan().deadline_s == 0.75, "a plan for it")
    result = cluster.ask(whole[0].frames(1, seed=56)[0])
    assert result.deadline_ms == 750.0 and not result.fallback
    refused = set_parameter(
        cluster, "deadline_s", ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=-1.0)
    )
    assert not refused.successful and "deadline_s" in refused.reason


def test_the_whole_cluster_changes_its_model_while_it_serves(cluster, whole, tmp_path_factory):
    cluster.wait_until_active()
    height, width = 64, 48
    weights = write_rescaled_weights(tmp_path_factory.mktemp("other"), "support.tiny:net", height, width)
    other = Reference("support.tiny:net", weights, height, width)
    request = SetModel.Request(model="support.tiny:net", weights=str(weights), height=height, width=width)
    first, second = whole[0].frames(1, seed=57)[0], other.frames(1, seed=58)[0]
    answer = call(cluster, SetModel, f"{LEADER}/set_model", request)
    assert answer.success, answer.message
    stamps = []
    while cluster.plan().height != height:
        stamps += cluster.send_paced([first])
        assert len(stamps) < 1000, cluster.logs()
    cluster.wait_until_active()
    cluster.refresh()
    status = cluster.manager
    dropped = dict(zip(status.dropped_reasons, status.dropped_counts, strict=True)).get("the model was changed", 0)
    answered = [result for stamp in stamps for result in cluster.results_of(stamp)]
    assert len(answered) == len(stamps) - dropped and not any(result.fallback for result in answered)
    is_old = [whole[0].is_equal(result, first) for result in answered]
    assert (
        is_old == sorted(is_old, reverse=True) and sum(is_old) > 3
    )  # answered meanwhile, by the one and then the other
    resized = resize_to(first, height, width)
    assert all(other.is_equal(result, resized) for result in answered[sum(is_old) :])
    result = cluster.ask(second)
    assert other.is_equal(result, second) and {u.name for u in result.workers} == set(WORKERS)
    values = call(
        cluster, GetParameters, f"{LEADER}/get_parameters", GetParameters.Request(names=["height", "weights"])
    )
    assert values.values[0].integer_value == height and values.values[1].string_value == str(weights)

    # one that comes back as it was started gets it too
    cluster.kill("worker_1")
    cluster.wait_until_active()
    assert other.is_equal(cluster.ask(second), second)


def test_only_models_that_are_allowed_are_loaded(cluster):
    for model, weights in (("subprocess:check_output", ""), ("mobilenet_v2", "imagenet"), ("../model.pt2", "")):
        answer = call(cluster, SetModel, f"{LEADER}/set_model", SetModel.Request(model=model, weights=weights))
        assert not answer.success and "switchable_models" in answer.message
    answer = call(cluster, SetModel, f"{LEADER}/set_model", SetModel.Request(model="support.tiny:nothing"))
    assert answer.success  # allowed; that there is none is found when it is loaded
    cluster.until(lambda: "could not change" in cluster.manager.message, "why it was not changed")
    assert not cluster.ask(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).fallback


def test_the_model_is_no_parameter_that_one_sets(cluster):
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="resnet18")
    refused = set_parameter(cluster, "model", value)
    assert not refused.successful and "set_model" in refused.reason
