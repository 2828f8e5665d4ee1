"""A worker's order of work, what it gives up and what it forgets; clocks and channels are given, so no time passes."""

import numpy as np
import pytest
import torch
from support.two_workers import NAMES, Bench, schedule

from coedge_ros.execution import band_worker
from coedge_ros.execution.band_worker import ABANDON, MAX_SESSIONS, BandWorker
from coedge_ros.execution.fragment import FrameKey


def test_the_oldest_frame_that_can_go_on_goes_first():
    bench = Bench()
    for frame in (2, 0, 1):
        bench.start(frame)
    bench.run("top")
    assert bench.events == [(0, 0), (1, 0), (2, 0)]  # the next stage waits for the other worker's rows
    bench.run("bottom")
    bench.events.clear()
    bench.run("top")
    assert bench.events[0] == (0, 1) and [f for f, _ in bench.events] == sorted(f for f, _ in bench.events)
    bench.run()
    assert [a.key.frame for a in bench.answers()] == [0, 1, 2]


def test_a_frame_that_stays_incomplete_is_given_up_and_what_comes_later_is_stale():
    bench = Bench()
    bench.start(0)
    bench.run("top")
    top = bench.workers["top"]
    assert list(top.runs) == [FrameKey(1, 1, 0)]
    bench.now_s = 2.0 * ABANDON - 0.1
    top.poll(0.0)
    assert top.runs
    bench.now_s = 2.0 * ABANDON + 0.1
    top.poll(0.0)
    assert not top.runs and top.totals.abandoned == 1 and not top.inbox.frames
    bench.run()
    assert top.inbox.rejected["stale_frame"] > 0 and not top.runs
    bench.start(1)
    bench.run()
    assert [a.key.frame for a in bench.answers()] == [1]


def test_the_last_two_plans_of_a_session_are_kept():
    bench = Bench()
    for epoch in (2, 3):
        bench.install(1, epoch)
    assert list(bench.workers["top"].programs) == [(1, 2), (1, 3)]
    bench.start(0, epoch=1)
    bench.run()
    assert bench.workers["top"].inbox.rejected["unknown_epoch"] == 1
    for epoch in (2, 3):
        bench.start(epoch, epoch=epoch)
    bench.run()
    assert len(bench.answers()) == 2


def test_a_plan_with_an_epoch_out_of_order_does_not_keep_out_those_that_follow():
    bench = Bench()
    for epoch in (2**32 - 1, 2**32 - 2, 2, 3):
        bench.install(1, epoch)
    assert list(bench.workers["top"].programs) == [(1, 2), (1, 3)]
    bench.start(0, epoch=3)
    bench.run()
    assert len(bench.answers()) == 1


def test_frames_under_a_plan_that_is_forgotten_are_given_up():
    bench = Bench()
    bench.start(0)
    bench.run("top")
    bench.install(1, 2)
    assert bench.workers["top"].runs
    bench.install(1, 3)
    assert not bench.workers["top"].runs and bench.workers["top"].totals.abandoned == 1


def test_a_plan_that_comes_twice_disturbs_no_frame():
    bench = Bench()
    bench.start(0)
    bench.run("top")
    bench.install(1, 1)
    bench.run()
    assert len(bench.answers()) == 1


def test_plans_of_managers_that_are_gone_do_not_pile_up_and_the_one_in_use_stays():
    bench = Bench()
    for i in range(3 * MAX_SESSIONS):
        bench.now_s += 1
        bench.start(i)
        bench.run()
        assert len(bench.answers()) == 1
        bench.now_s += 1
        bench.install(100 + i, 1)
    sessions = {session for session, _ in bench.workers["top"].programs}
    assert len(sessions) == MAX_SESSIONS and 1 in sessions


def test_a_session_that_ends_takes_its_plans_and_frames_with_it():
    bench = Bench()
    bench.install(7, 1)
    bench.start(0)
    bench.start(0, session=7)
    bench.run("top")
    bench.workers["top"].release_session(1)
    assert list(bench.workers["top"].programs) == [(7, 1)]
    assert list(bench.workers["top"].runs) == [FrameKey(7, 1, 0)]


def test_two_managers_frames_of_one_number_are_not_mixed():
    bench = Bench()
    bench.install(7, 1)
    bench.start(0)
    bench.coordinator.start(FrameKey(7, 1, 0), schedule(), np.full((12, 10, 3), 200, np.uint8))
    bench.run()
    first, second = bench.answers()
    assert not torch.equal(first.outputs["output"], second.outputs["output"])


def broken_once(worker: BandWorker) -> None:
    """The second stage of the next frame fails."""
    stage = worker.programs[(1, 1)].stages[1]
    steps = stage.steps

    def fail(*operands):
        object.__setattr__(stage, "steps", steps)
        raise RuntimeError("out of memory")

    object.__setattr__(stage, "steps", (type(steps[0])(steps[0].output, fail, steps[0].operands, (), 0), *steps[1:]))


def test_a_stage_that_fails_costs_its_frame_only():
    said = []
    bench = Bench(on_error=said.append)
    broken_once(bench.workers["bottom"])
    bench.start(0)
    bench.run()
    assert said == ["stage 1 of frame 0 of epoch 1 failed: RuntimeError: out of memory"]
    assert bench.workers["bottom"].totals.abandoned == 1 and not bench.answers()
    bench.start(1)
    bench.run()
    assert [a.key.frame for a in bench.answers()] == [1]


def test_where_nobody_is_told_the_error_is_raised():
    bench = Bench()
    broken_once(bench.workers["bottom"])
    bench.start(0)
    with pytest.raises(RuntimeError, match="out of memory"):
        bench.run()


def test_a_flood_of_fragments_does_not_keep_frames_from_being_computed(monkeypatch):
    monkeypatch.setattr(band_worker, "MAX_TAKEN", 10)
    bench = Bench()
    bench.start(0)
    queue = bench.hub.queues["top"]
    good = queue[0]
    queue.extend([good] * 1000)  # duplicates of what has come
    assert bench.workers["top"].poll(0.0)  # a stage has run
    assert len(queue) > 900


def test_waiting_for_neighbours_is_told_from_waiting_for_pixels():
    bench = Bench()
    top = bench.workers["top"]
    receive = top.channel.receive

    def slow(timeout_s: float):
        bench.now_s += timeout_s
        return receive(timeout_s)

    top.channel.receive = slow
    key = bench.start(0)
    pixels = bench.hub.queues["top"].popleft()
    assert top.inbox.expect(key)
    top._open(key)
    top.poll(0.25)
    bench.hub.queues["top"].append(pixels)
    bench.run("top")
    top.poll(0.5)
    run = top.runs[key]
    assert (run.scatter_s, run.wait_s, run.gather_s) == (0.25, 0.75, 0.0)
    bench.run()
    (usage, _) = bench.answers()[0].usage
    assert (usage.scatter_s, usage.wait_s, usage.gather_s, usage.head_s) == (0.25, 0.75, 0.0, 0.0)


def test_time_and_bytes_are_counted_as_they_pass():
    bench = Bench()
    bench.start(0)
    bench.run()
    (answer,) = bench.answers()
    for index, usage in enumerate(answer.usage):
        assert usage.worker == NAMES[index] and usage.macs == sum(schedule().macs(index, s) for s in range(3))
        assert usage.bytes_in == sum(t.wire_bytes for t in schedule().transfers if t.target == index)
    totals = bench.workers["top"].totals
    assert totals.frames == 1 and totals.bytes_out > 0
