"""The answers of real processes over DDS are the whole model's, and say truly where they come from."""

import numpy as np
import pytest
from support.cluster import FIXED_SHARES, MANAGER, WORKERS, Cluster
from support.reference import TOLERANCE, Reference, write_rescaled_weights

from coedge_ros.msg import WorkerStatus
from coedge_ros.nodes.composition import ClusterOptions
from coedge_ros.nodes.messages import plan_from_message
from coedge_ros.spec.derivation import derive_schedule

pytestmark = pytest.mark.timeout(180)


def test_every_answer_is_the_whole_models(cluster, reference):
    frames = reference.frames(6)
    results = cluster.answers(cluster.send_paced(frames))
    differences = [reference.difference(result, frame) for result, frame in zip(results, frames, strict=True)]
    assert max(differences) <= TOLERANCE
    assert [r.attempts for r in results] == [1] * 6 and not any(r.fallback for r in results)
    # The check can fail: an answer compared with the next frame's is far off.
    assert reference.difference(results[0], frames[1]) > 100 * TOLERANCE


def test_rows_work_and_bytes_are_what_the_workers_executed(cluster, reference, partitioned):
    result = cluster.ask(reference.frames(1)[0])
    plan = plan_from_message(cluster.plan())
    schedule = derive_schedule(partitioned.graph, plan)
    assert (result.session, result.epoch) == (cluster.manager.session, cluster.manager.epoch)
    assert result.usage_complete and result.head == plan.head
    assert sorted(u.name for u in result.workers) == sorted(WORKERS)
    for usage in result.workers:
        index = plan.workers.index(usage.name)
        rows = list(zip(usage.row_start, usage.row_stop, strict=True))
        assert rows == [
            (schedule.owned_rows(index, s).start, schedule.owned_rows(index, s).stop) for s in range(plan.stages)
        ]
        assert rows[0][1] > rows[0][0]
        assert usage.macs == sum(schedule.macs(index, s) for s in range(plan.stages + 1)) > 0
        assert usage.bytes_in == sum(t.wire_bytes for t in schedule.transfers if t.target == index)
        assert usage.compute_ms > 0 and usage.energy_j > 0
    assert sum(u.macs for u in result.workers) >= partitioned.graph.total_macs
    assert max(u.macs for u in result.workers) <= 0.6 * sum(u.macs for u in result.workers)


def test_images_of_any_size_are_resized_once_and_keep_their_header(cluster, reference):
    from coedge_ros.nodes.image_codec import resize_to

    large = np.random.default_rng(1).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    result = cluster.ask(large)
    assert result.header.frame_id == "test"
    assert reference.is_equal(result, resize_to(large, reference.height, reference.width))


def test_status_counts_what_was_done(cluster, reference):
    cluster.refresh()
    before = {name: cluster.worker(name).frames for name in WORKERS}
    answered = cluster.manager.frames_answered
    cluster.answers(cluster.send_paced(reference.frames(3)))
    cluster.until(lambda: cluster.manager.frames_answered == answered + 3, "the manager counts three more answers")
    cluster.until(lambda: all(cluster.worker(n).frames == before[n] + 3 for n in WORKERS), "each worker counts three")
    for name in WORKERS:
        status = cluster.worker(name)
        assert status.state == WorkerStatus.STATE_ACTIVE and status.model == "mobilenet_v2"
        assert status.rows > 0 and status.bytes_in > 0 and status.bytes_out > 0 and status.energy_j > 0
        assert sorted(status.matched_peers) == sorted({*WORKERS, "manager"} - {name})
    status = cluster.manager
    assert status.frames_accepted == status.frames_answered == status.frames_received
    assert not status.dropped_counts and not status.missing


@pytest.fixture(scope="module")
def googlenet(tmp_path_factory):
    """Branches joined by concatenation, local response norm, pooling with ceil mode; two workers."""
    folder = tmp_path_factory.mktemp("googlenet")
    height, width = 131, 97
    weights = write_rescaled_weights(folder, "googlenet", height, width)
    manager = {**MANAGER, "expected_workers": ["worker_1", "worker_2"]}
    options = ClusterOptions(
        model="googlenet", weights=str(weights), height=height, width=width, source="", manager=manager
    )
    with Cluster(folder, options, FIXED_SHARES, without=["worker_3"]) as cluster:
        cluster.reference = Reference("googlenet", weights, height, width)
        yield cluster


def test_a_second_model_with_branches_is_exact_too(googlenet):
    googlenet.wait_until_active(["worker_1", "worker_2"])
    frames = googlenet.reference.frames(3)
    results = googlenet.answers(googlenet.send_paced(frames))
    differences = [googlenet.reference.difference(r, f) for r, f in zip(results, frames, strict=True)]
    assert max(differences) <= TOLERANCE
    assert all(sorted(u.name for u in r.workers if u.macs) == ["worker_1", "worker_2"] for r in results)
