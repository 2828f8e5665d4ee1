"""What `coedge watch` makes of the messages that it hears."""

import math

import pytest

from coedge_ros.drawing.cluster_view import Health
from coedge_ros.msg import InferenceResult, ManagerStatus, PartitionPlan, WorkerSpeed, WorkerStatus, WorkerUsage
from coedge_ros.nodes.watch_board import FORGET_AFTER_S, WatchBoard

NAMES = ("worker_1", "worker_2")


def status(name, **fields):
    values = {"state": WorkerStatus.STATE_ACTIVE, "load": 0.5, "host": "box", "instance": 1, "idle_factor": math.nan}
    return WorkerStatus(name=name, **(values | fields))


def manager(**fields):
    values = {"state": ManagerStatus.STATE_ACTIVE, "session": 9, "epoch": 1, "message": "plan 1 (first): 2 stages"}
    return ManagerStatus(**(values | fields))


def plan(epoch=1, workers=NAMES, boundaries=(0, 28, 112)):
    return PartitionPlan(
        session=9, epoch=epoch, workers=list(workers), boundaries=list(boundaries), height=224, width=224,
        head="worker_2", planner="fused", objective="latency", predicted_latency_s=0.02, predicted_energy_j=0.5,
        planning_ms=12.0,
    )  # fmt: skip


def result(frame, **fields):
    values = {"latency_ms": 10.0, "attempts": 1, "scale": math.nan, "max_abs_diff": math.nan}
    usages = [WorkerUsage(name=n, compute_ms=4.0, wait_ms=1.0, energy_j=0.2) for n in NAMES]
    return InferenceResult(session=9, epoch=1, frame=frame, workers=usages, **(values | fields))


@pytest.fixture
def board():
    made = WatchBoard("coedge", lambda: "12:00:00")
    for name in NAMES:
        made.take_worker(status(name), 0.0)
    made.take_plan(plan(), 0.0)
    made.take_manager(manager(), 0.0)
    return made


def events(board, now_s=0.0):
    return [event.text for event in board.view(now_s).events]


def health(board, now_s):
    return {line.name: line.health for line in board.view(now_s).workers}


def test_workers_show_the_rows_of_the_plan_and_means_of_the_last_frames(board):
    for frame in range(4):
        board.take_result(result(frame), 0.1 * frame)
    view = board.view(0.5)
    assert [(w.name, w.rows, w.share) for w in view.workers] == [("worker_1", 56, 0.25), ("worker_2", 168, 0.75)]
    assert [(w.compute_ms, w.wait_ms) for w in view.workers] == [(4.0, 1.0)] * 2
    assert view.workers[0].energy_j == pytest.approx(0.2)
    assert math.isnan(board.view(20.0).workers[0].compute_ms)  # no frames, no figures
    assert (view.plan.epoch, view.plan.head, view.plan.predicted_ms, view.plan.predicted_j) == (
        1,
        "worker_2",
        20.0,
        0.5,
    )
    assert [rows for _, rows in view.plan.bands] == [56, 168]


def test_a_worker_fades_is_lost_and_comes_back(board):
    assert health(board, 0.5)["worker_2"] is Health.OK
    board.take_worker(status("worker_1"), 1.0)
    assert health(board, 1.0) == {"worker_1": Health.OK, "worker_2": Health.SILENT}
    board.take_worker(status("worker_1"), 2.0)
    assert health(board, 2.0) == {"worker_1": Health.OK, "worker_2": Health.LOST}
    assert "worker_2 is LOST: nothing heard of it for 2.0 s" in events(board, 2.0)
    board.take_worker(status("worker_2", instance=2), 8.0)
    assert health(board, 8.0)["worker_2"] is Health.OK
    assert "worker_2 is back after 8.0 s, started again" in events(board, 8.0)
    assert sum("LOST" in text for text in events(board, 8.1)) == 2  # worker_1, which is silent meanwhile, once too


def test_a_worker_that_loads_may_be_silent_for_longer(board):
    board.take_worker(status("worker_2", state=WorkerStatus.STATE_LOADING), 0.0)
    assert health(board, 4.0) == {"worker_1": Health.LOST, "worker_2": Health.SILENT}
    assert health(board, 5.1)["worker_2"] is Health.LOST


def test_a_lost_worker_goes_unless_the_manager_expects_it(board):
    late = FORGET_AFTER_S + 1
    board.take_manager(manager(missing=["worker_2"]), late)
    assert health(board, late) == {"worker_2": Health.LOST}
    board.take_manager(manager(missing=["worker_2", "worker_3"]), late)
    lines = {line.name: line for line in board.view(late).workers}
    assert lines["worker_3"].health is Health.LOST and math.isnan(lines["worker_3"].silent_s)


@pytest.mark.parametrize(
    "fields,speed,expected",
    [
        ({}, 0.5, Health.SLOW),
        ({"throttled": True}, 1.0, Health.SLOW),
        ({}, 0.9, Health.OK),
        ({"state": WorkerStatus.STATE_LOADING}, 1.0, Health.LOADING),
        ({"state": WorkerStatus.STATE_RESTING, "message": "battery 5 %"}, 1.0, Health.RESTING),
        ({"state": 77}, 1.0, Health.ERROR),
    ],
)
def test_a_workers_health_is_one_word(board, fields, speed, expected):
    board.take_worker(status("worker_1", **fields), 0.1)
    board.take_manager(manager(speeds=[WorkerSpeed(name="worker_1", factor=speed, planned_factor=1.0)]), 0.1)
    line = board.view(0.2).workers[0]
    assert (line.health, line.speed) == (expected, speed)
    assert any(fields.get("message", "worker_1") in text for text in events(board, 0.2))


def test_bytes_per_second_are_those_of_the_last_second(board):
    for tenth in range(1, 21):
        board.take_worker(status("worker_1", bytes_in=tenth * 100_000, bytes_out=tenth * 50_000), tenth / 10)
    line = board.view(2.0).workers[0]
    assert (line.bytes_in_per_s, line.bytes_out_per_s) == (pytest.approx(1e6), pytest.approx(5e5))
    assert math.isnan(board.view(2.0).workers[1].bytes_in_per_s)


def test_each_plan_is_an_event_with_its_reason_once(board):
    board.take_plan(plan(2, ["worker_1"], (0, 112)), 1.0)
    for state in (ManagerStatus.STATE_PREPARING, ManagerStatus.STATE_ACTIVE):
        said = "plan 2 (without worker_2 (silent)): 2 stages, rows of the first (112): worker_1 112"
        board.take_manager(manager(epoch=2, state=state, message=said), 1.0)
    assert events(board, 1.0)[-1] == "plan 2 (without worker_2 (silent)): rows worker_1 224; made in 12 ms"
    for name in NAMES:
        board.take_worker(status(name), 2.0)
    board.take_plan(plan(3), 2.0)
    better = "worker_2 at 0.5; saves 20 %; before: 2 stages, rows of the first (112): worker_1 112; head on worker_1"
    board.take_manager(manager(epoch=3, message=f"plan 3 ({better}): 2 stages, rows of the first (112): a 1"), 2.0)
    assert (
        events(board, 2.0)[-1] == "plan 3 (worker_2 at 0.5; saves 20 %): rows worker_1 56, worker_2 168; made in 12 ms"
    )
    assert sum(text.startswith("plan") for text in events(board, 2.0)) == 3


def test_the_state_of_a_manager_that_is_silent_is_not_believed(board):
    assert board.view(1.0).state == "active"
    assert board.view(4.0).state == "manager LOST"
    board.take_manager(manager(session=10, state=ManagerStatus.STATE_ALONE), 5.0)
    assert board.view(5.0).state == "alone"
    assert events(board, 5.0)[-2:] == ["the manager was started again", "no worker is left: the manager answers alone"]


def test_latency_and_rate_are_of_the_last_seconds(board):
    for i in range(100):
        board.take_result(result(i, latency_ms=float(i + 1), deadline_ms=95.0), 20.0 + i / 10)
    frames = board.view(30.0).frames
    assert (frames.p50_ms, frames.p99_ms, frames.per_s, frames.late) == (50.0, 99.0, pytest.approx(10.0), 5)
    assert frames.history_ms[-1] == 95.0 and math.isnan(frames.history_ms[0])
    assert board.view(100.0).frames.per_s == 0 and math.isnan(board.view(100.0).frames.p50_ms)


def test_a_frame_is_lost_when_it_was_passed_over_long_ago_and_the_manager_has_not_answered_it_either(board):
    board.take_result(result(5), 1.0)  # what was before is not ours to know
    board.take_result(result(8), 1.1)
    board.take_manager(manager(frames_accepted=9, frames_answered=8), 7.0)
    assert board.view(2.0).frames.lost == 0
    assert board.view(7.0).frames.lost == 1  # two answers were not heard, one of them the manager never gave
    for frame in (6, 7):
        board.take_result(result(frame), 7.5)
    assert board.view(20.0).frames.lost == 0


def test_fallbacks_repetitions_drops_and_self_checks_are_counted(board):
    board.take_result(result(0, scale=2.0, max_abs_diff=1e-6), 0.0)
    board.take_result(result(1, scale=2.0, max_abs_diff=4e-6, attempts=2), 0.0)
    board.take_result(result(2, fallback=True, fallback_reason="self-check of frame 2: output differs"), 0.0)
    board.take_manager(manager(dropped_reasons=["unreadable image"], dropped_counts=[3]), 0.0)
    frames = board.view(0.1).frames
    assert (frames.checked, frames.check_ratio) == (2, pytest.approx(2e-6))
    assert (frames.fallbacks, frames.again, frames.dropped) == (1, 1, (("unreadable image", 3),))
    assert frames.doubt.startswith("self-check of frame 2")
    board.take_result(result(3), 0.2)
    assert board.view(0.3).frames.doubt == ""


def test_broken_messages_do_no_harm():
    board = WatchBoard("coedge", lambda: "")
    for bad in (plan(boundaries=(0, 0, 0)), plan(workers=()), plan(boundaries=(0, 1))):
        board.take_plan(bad, 0.0)
        board.take_manager(manager(), 0.0)
        board.view(0.0)
    for number in range(200):
        board.take_worker(status(f"w{number}"), 0.0)
    board.take_manager(manager(missing=[f"m{i}" for i in range(10_000)], dropped_reasons=["a"], dropped_counts=[]), 0.0)
    assert len(board.view(0.0).workers) <= 128
    board.take_result(result(4_000_000_000, latency_ms=math.nan), 0.0)
    board.take_result(result(0), 0.0)
    board.view(0.0)
