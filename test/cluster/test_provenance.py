"""The answer comes from the workers only."""

import signal

import pytest
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from support.cluster import MANAGER, WORKERS, Cluster
from support.reference import TOLERANCE, Reference, write_rescaled_weights

from coedge_ros.nodes.composition import ClusterOptions

pytestmark = pytest.mark.timeout(180)


HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def rescaled(tmp_path_factory):
    """The weights that all say they have."""
    return write_rescaled_weights(tmp_path_factory.mktemp("weights"), "support.tiny:net", HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def whole(rescaled):
    """The model in this process."""
    return Reference("support.tiny:net", rescaled, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def suspicious(rescaled, tmp_path_factory):
    """One worker computes with other weights than it says, and the manager counts its convolutions."""
    entries = {
        "partition_manager": "support.entries:manager_that_counts_convolutions",
        "worker_3": "support.entries:worker_with_other_weights",
    }
    options = ClusterOptions(
        model="support.tiny:net", weights=str(rescaled), height=HEIGHT, width=WIDTH, source="", with_visualizer=False,
        manager={**MANAGER, "self_check_every": 0},
    )  # fmt: skip
    with Cluster(tmp_path_factory.mktemp("suspicious"), options, entries) as cluster:
        yield cluster


def convolutions(cluster) -> int:
    """How many convolutions the manager's process has run, as it says itself."""
    said = cluster.log_of("partition_manager").count("convolutions:")
    cluster.group.children["partition_manager"].send_signal(signal.SIGUSR1)
    cluster.until(lambda: cluster.log_of("partition_manager").count("convolutions:") > said, "a count")
    return int(cluster.log_of("partition_manager").rpartition("convolutions:")[2].split()[0])


def test_other_weights_on_one_worker_change_the_answer_and_the_manager_runs_no_convolution(suspicious, whole):
    suspicious.wait_until_active()
    frames = whole.frames(3, seed=20)
    results = suspicious.answers(suspicious.send_paced(frames))
    for result, frame in zip(results, frames, strict=True):
        assert {u.name for u in result.workers if u.macs} == set(WORKERS)
        assert whole.difference(result, frame) > 10 * TOLERANCE
        assert result.scale != result.scale  # not checked
    assert convolutions(suspicious) == 0


def test_the_self_check_sees_it_and_is_what_runs_convolutions_in_the_manager(suspicious, whole):
    suspicious.wait_until_active()
    client = AsyncParameterClient(suspicious.node, "partition_manager")
    suspicious.until(client.services_are_ready, "the manager's parameters")
    done = client.set_parameters([Parameter("self_check_every", value=1)])
    suspicious.until(done.done, "the parameter is set")
    assert done.result().results[0].successful
    result = suspicious.ask(whole.frames(1, seed=21)[0])
    assert result.max_abs_diff > 10 * TOLERANCE * result.scale
    suspicious.until(lambda: "self-check" in suspicious.log_of("partition_manager"), "the manager says it")
    checked = convolutions(suspicious)
    assert checked > 0
    # So are the kernels of the bands, which the manager runs when it is left alone.
    suspicious.kill(*WORKERS)
    assert suspicious.ask(whole.frames(1, seed=22)[0]).fallback
    assert convolutions(suspicious) > 2 * checked
