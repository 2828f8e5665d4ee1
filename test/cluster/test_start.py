"""Starting: who is waited for, for how long, and what a process says that cannot work."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sensor_msgs.msg import Image
from support.cluster import WORKERS, Cluster
from support.tiny import net

from coedge_ros.msg import ManagerStatus, WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.composition import ClusterOptions, cluster_processes

pytestmark = pytest.mark.timeout(180)
FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def tiny(**manager) -> ClusterOptions:
    manager = {"image_reliable": True, "wait_for_workers_s": 2.0, "objective": "latency", **manager}
    return ClusterOptions(
        model="support.tiny:net", weights="", height=48, width=64, source="", manager=manager, with_visualizer=False
    )


def write_other_weights(folder: Path) -> Path:
    """Weights that do not fit in three ways."""
    weights = {name: tensor for name, tensor in net().state_dict().items() if name != "0.bias"}
    weights["2.weight"] = torch.zeros(8, 8, 5, 5)
    weights["9.extra"] = torch.zeros(1)
    save_file(weights, folder / "other.safetensors")
    return folder / "other.safetensors"


def test_it_waits_for_all_names_who_is_missing_and_why_and_starts_without_them_when_the_time_is_over(tmp_path):
    with Cluster(tmp_path / "logs", tiny(wait_for_workers_s=1.0), without=WORKERS) as cluster:
        missing = ", ".join(f"{name} (has not announced itself)" for name in WORKERS)
        cluster.until(lambda: cluster.manager.message == f"waits for {missing}", "it says whom it waits for", 60)
        cluster.until(lambda: "no worker after 1 s" in cluster.log_of("partition_manager"), "it complains")
        assert cluster.manager.state == ManagerStatus.STATE_WAITING

        cluster.specs |= {spec.name: spec for spec in cluster_processes(tiny())}
        parameters = cluster.specs["worker_2"].parameters | {"weights": str(write_other_weights(tmp_path))}
        cluster.specs["worker_2"] = replace(cluster.specs["worker_2"], parameters=parameters)
        cluster.start("worker_2")
        cluster.until(lambda: cluster.worker("worker_2").state == WorkerStatus.STATE_ERROR, "it cannot work", 60)
        said = cluster.worker("worker_2").message
        for part in ("1 missing (0.bias)", "1 unexpected (9.extra)", "2.weight (8, 8, 5, 5) in the file, (8, 8, 3, 3)"):
            assert part in said

        cluster.start("worker_1")
        cluster.wait_until_active(["worker_1"])
        log = cluster.log_of("partition_manager")
        assert "after 1 s without worker_2 (is not ready: the weights in" in log
        assert "worker_3 (has not announced itself)" in log
        assert sorted(cluster.manager.missing) == ["worker_2", "worker_3"]
        assert [u.name for u in cluster.ask(FRAME).workers] == ["worker_1"]
        assert "worker_2" not in cluster.group.ended()  # it lives, and says why it cannot work


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A manager and one worker."""
    options = tiny(expected_workers=["worker_1"])
    with Cluster(tmp_path_factory.mktemp("small"), options, without=WORKERS[1:]) as cluster:
        cluster.wait_until_active(["worker_1"])
        yield cluster


def test_a_camera_that_offers_less_than_is_asked_for_is_named_with_what_to_change(small):
    small.node.destroy_publisher(small.images)
    small.images = small.node.create_publisher(Image, topics.IMAGE, qos.CAMERA_INPUT)  # best effort
    said = "offers less than this node asks for, so no image arrives: set image_reliable to false"
    small.until(lambda: said in small.log_of("partition_manager"), "the manager names it")
    small.node.destroy_publisher(small.images)
    small.images = small.node.create_publisher(Image, topics.IMAGE, qos.CAMERA_OUTPUT)
    small.until(lambda: small.images.get_subscription_count() == 1, "the manager reads again")
    assert small.ask(FRAME).usage_complete


def test_a_manager_that_ends_tells_its_workers_which_then_forget_its_plans(small):
    small.wait_until_active(["worker_1"])
    assert list(small.worker("worker_1").prepared_epochs)
    small.stop("partition_manager")
    assert small.group.ended() == {"partition_manager": 0}
    small.until(lambda: not small.worker("worker_1").prepared_epochs, "the worker has forgotten the plans")
    assert small.worker("worker_1").session == 0


def test_an_unknown_model_is_named_with_near_ones_and_stops_no_node(tmp_path):
    options = replace(tiny(), model="mobilenet-v2x", height=0, width=0)
    with Cluster(tmp_path, options, without=WORKERS[1:]) as cluster:
        cluster.manager_may_fail = True
        cluster.until(lambda: cluster.manager.state == ManagerStatus.STATE_ERROR, "the manager says it", 60)
        cluster.until(lambda: cluster.worker("worker_1").state == WorkerStatus.STATE_ERROR, "the worker says it", 60)
        for message in (cluster.manager.message, cluster.worker("worker_1").message):
            assert "no model is called 'mobilenet-v2x': did you mean mobilenet_v2" in message
        assert not cluster.group.ended()


def test_processes_that_are_stopped_while_they_load_end_at_once_and_without_a_word(tmp_path):
    options = replace(tiny(), model="resnet18", height=224, width=224)
    with Cluster(tmp_path, options) as cluster:
        everything = {"partition_manager", *WORKERS}
        cluster.until(
            lambda: all(f"loads {options.model}" in cluster.log_of(name) for name in everything), "all load", 60
        )
        cluster.group.stop()
        assert cluster.group.ended() == dict.fromkeys(everything, 0)
        for name in everything:
            log = cluster.log_of(name)
            assert not any(word in log for word in ("Traceback", "terminate called", "Fatal", "Error")), log
