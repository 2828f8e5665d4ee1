"""Whoever dies, every accepted frame has exactly one right answer; whoever comes back is used again."""

import signal
import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from support.cluster import WORKERS

from coedge_ros.msg import ManagerStatus
from coedge_ros.nodes.manager_status import manager_diagnostics

pytestmark = pytest.mark.timeout(180)
PERIOD_S = 0.01  # quicker than they are answered, so that frames are always in flight


def kill_under_way(cluster, frames, *names) -> tuple[list[int], float]:
    """Send frames and kill processes when the first answer is there; the stamps, and when they were killed."""
    stamps = cluster.send_paced(frames[:6], PERIOD_S)
    cluster.until(lambda: cluster.results_of(stamps[0]), "a first answer")
    stamps += cluster.send_paced(frames[6:10], PERIOD_S)
    unanswered = [stamp for stamp in stamps if not cluster.results_of(stamp)]
    assert unanswered, "no frame is in flight: the test proves nothing"
    began = time.monotonic()
    cluster.kill(*names)
    stamps += cluster.send_paced(frames[10:], PERIOD_S)
    return stamps, began


def names_of(result) -> set[str]:
    return {usage.name for usage in result.workers if usage.macs}


def test_a_killed_worker_loses_no_frame_and_is_used_again_when_it_is_back(cluster, reference):
    frames, epoch = reference.frames(24, seed=10), cluster.manager.epoch
    stamps, began = kill_under_way(cluster, frames, "worker_2")
    results = cluster.answers(stamps)
    print(f"all answered {time.monotonic() - began:.2f} s after the kill")
    assert all(reference.is_equal(r, f) for r, f in zip(results, frames, strict=True))
    assert not any(r.fallback for r in results)
    assert names_of(results[0]) == set(WORKERS) and names_of(results[-1]) == {"worker_1", "worker_3"}
    assert max(r.attempts for r in results) > 1  # those in flight were issued again
    cluster.until(lambda: cluster.manager.frames_answered == cluster.manager.frames_accepted, "counted")
    assert cluster.manager.epoch > epoch and list(cluster.manager.missing) == ["worker_2"]
    assert "worker_2" not in cluster.manager.workers

    cluster.wait_until_active()  # starts it again
    frame = reference.frames(1, seed=11)[0]
    result = cluster.ask(frame)
    assert names_of(result) == set(WORKERS) and reference.is_equal(result, frame)


def test_a_worker_that_hangs_is_left_out_and_rejoins_without_mixing_frames(cluster, reference):
    frames = reference.frames(24, seed=12)
    stamps = cluster.send_paced(frames[:6], PERIOD_S)
    cluster.until(lambda: cluster.results_of(stamps[0]), "a first answer")
    process = cluster.group.children["worker_1"]
    process.send_signal(signal.SIGSTOP)
    try:
        stamps += cluster.send_paced(frames[6:12], PERIOD_S)
        cluster.answers(stamps)
        cluster.until(lambda: list(cluster.manager.missing) == ["worker_1"], "worker_1 is missing")
    finally:
        process.send_signal(signal.SIGCONT)  # what it still sends is of frames that have been answered
    stamps += cluster.send_paced(frames[12:18], PERIOD_S)
    cluster.wait_until_active()
    stamps += cluster.send_paced(frames[18:], PERIOD_S)
    results = cluster.answers(stamps)
    assert all(reference.is_equal(r, f) for r, f in zip(results, frames, strict=True))
    assert not any(r.fallback for r in results)
    assert names_of(results[-1]) == set(WORKERS)


def test_when_all_workers_are_killed_the_manager_answers_alone_until_they_are_back(cluster, reference):
    frames = reference.frames(16, seed=13)
    stamps, _ = kill_under_way(cluster, frames, *WORKERS)
    results = cluster.answers(stamps)
    assert all(reference.is_equal(r, f) for r, f in zip(results, frames, strict=True))
    assert not results[0].fallback and results[-1].fallback
    for result in results:
        assert result.fallback == (result.head == "manager") == (not result.workers)
    cluster.until(lambda: cluster.manager.state == ManagerStatus.STATE_ALONE, "the manager says that it is alone")
    assert manager_diagnostics(cluster.manager).level == DiagnosticStatus.ERROR
    assert sorted(cluster.manager.missing) == sorted(WORKERS)

    cluster.wait_until_active()  # starts them again
    frame = reference.frames(1, seed=14)[0]
    result = cluster.ask(frame)
    assert not result.fallback and names_of(result) == set(WORKERS) and reference.is_equal(result, frame)


def test_a_new_manager_takes_over_workers_that_stay_up(cluster, reference):
    session = cluster.manager.session
    instances = {name: cluster.worker(name).instance for name in WORKERS}
    cluster.kill("partition_manager")
    cluster.record.status = None
    cluster.start("partition_manager")
    cluster.wait_until_active()
    assert cluster.manager.session != session
    frame = reference.frames(1, seed=15)[0]
    assert reference.is_equal(cluster.ask(frame), frame)
    assert {name: cluster.worker(name).instance for name in WORKERS} == instances
