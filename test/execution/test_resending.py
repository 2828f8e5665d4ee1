"""What is lost on the way is asked for and sent again: frames are answered all the same, and nothing grows."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.two_workers import Bench, schedule

from coedge_ros.execution.band_worker import ABANDON
from coedge_ros.execution.fragment import FrameKey, Request
from coedge_ros.execution.in_process import InProcessHub
from coedge_ros.execution.inbox import Inbox
from coedge_ros.execution.sent_log import Sent, SentLog
from coedge_ros.spec.schedule import TransferKind

KEY = FrameKey(1, 1, 0)


class Losing:
    """A hub's `tamper` that loses the first copies of some transfers."""

    def __init__(self, lost, copies: int = 1):
        self.left = Counter({t.index: copies for t in lost})

    def __call__(self, receiver, fragment):
        if self.left[fragment.transfer] > 0:
            self.left[fragment.transfer] -= 1
            return None
        return fragment


def run_for(bench: Bench, until_s: float, step_s: float = 0.05) -> list:
    """Let time pass for everybody; returns the answers."""
    answers = []
    while bench.now_s < until_s and not answers:
        bench.now_s += step_s
        bench.run()
        bench.coordinator.serve_requests()
        bench.coordinator.ask_for_missing()
        answers += bench.answers()
    return answers


def start(bench: Bench) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    bench.coordinator.start(KEY, schedule(), pixels, patience_s=0.25)


def whole_answer() -> dict:
    bench = Bench()
    start(bench)
    return run_for(bench, 1.0)[0].outputs


@pytest.mark.parametrize("kind", [TransferKind.SCATTER, TransferKind.HALO, TransferKind.RESULT])
@pytest.mark.parametrize("copies", [1, 2])
def test_a_frame_is_answered_though_every_transfer_of_a_kind_was_lost(kind, copies):
    lost = schedule().of_kind(kind)
    assert lost
    bench = Bench(hub=InProcessHub(Losing(lost, copies), resend_bytes=10**6))
    start(bench)
    (answer,) = run_for(bench, 1.9)
    assert all(np.array_equal(answer.outputs[k], v) for k, v in whole_answer().items())


def test_workers_that_heard_nothing_of_a_frame_learn_of_it_from_who_asks():
    bench = Bench(hub=InProcessHub(Losing(schedule().of_kind(TransferKind.SCATTER)), resend_bytes=10**6))
    start(bench)
    bench.run()
    assert not any(worker.runs for worker in bench.workers.values())
    assert run_for(bench, 1.9)
    assert all(worker.totals.frames == 1 for worker in bench.workers.values())


def test_without_a_log_a_lost_halo_stays_lost_until_the_frame_is_given_up():
    bench = Bench(hub=InProcessHub(Losing(schedule().of_kind(TransferKind.HALO)[:1])))
    start(bench)
    assert not run_for(bench, 2.0 * ABANDON + 0.5)
    assert sum(w.totals.abandoned for w in bench.workers.values()) >= 1


def test_nothing_is_asked_for_while_all_goes_well_and_ever_less_often_when_it_does_not():
    bench = Bench(hub=InProcessHub(resend_bytes=10**6))
    start(bench)
    assert run_for(bench, 0.2)
    assert sum(w.totals.asked for w in bench.workers.values()) == 0
    bench = Bench(hub=InProcessHub(Losing(schedule().of_kind(TransferKind.HALO), copies=99), resend_bytes=10**6))
    start(bench)
    assert not run_for(bench, 1.9, step_s=0.01)
    assert bench.workers["top"].totals.asked == 3  # after 1/8, 3/8 and 7/8 of the two seconds that a frame has


def test_a_request_by_somebody_it_was_not_sent_to_is_not_served():
    bench = Bench(hub=InProcessHub(resend_bytes=10**6))
    start(bench)
    halo = next(t for t in schedule().of_kind(TransferKind.HALO) if t.source == 0)
    bench.run("top")
    bottom = bench.hub.queues["bottom"]
    bottom.clear()
    bench.workers["bottom"].channel.ask("top", Request(KEY, halo.index, "somebody"))
    bench.run("top")
    assert not bottom
    bench.workers["bottom"].channel.ask("top", Request(KEY, halo.index, "bottom"))
    bench.run("top")
    assert len(bottom) == 1


def test_requests_for_unknown_plans_and_finished_frames_open_nothing_and_frames_stay_bounded():
    inbox = Inbox("top", max_frames=2)
    inbox.prepare(1, 1, schedule())
    assert not inbox.expect(replace(KEY, epoch=2)) and not inbox.expect(replace(KEY, session=9))
    assert inbox.expect(KEY) and not inbox.expect(KEY)
    inbox.finish(KEY)
    assert not inbox.expect(KEY)
    assert [inbox.expect(replace(KEY, frame=i)) for i in (1, 2, 3)] == [True, True, False]


def test_the_log_holds_no_more_bytes_than_it_may_and_nothing_old():
    log = SentLog(1000, keep_s=5.0)
    for i in range(20):
        log.keep(KEY, i, Sent("b", i, 300, float(i) / 10))
        assert log.held_bytes <= 1000 and log.held_bytes == 300 * len(log)
    assert log.find(KEY, 19).payload == 19 and log.find(KEY, 16) is None
    log.keep(KEY, 50, Sent("b", 50, 1001, 2.0))
    assert log.find(KEY, 50) is None and log.find(KEY, 19)
    log.keep(KEY, 19, Sent("b", "again", 100, 2.5))
    assert log.held_bytes == 700 and log.find(KEY, 19).payload == "again"
    log.keep(KEY, 60, Sent("b", 60, 10, 100.0))
    assert len(log) == 1 and log.held_bytes == 10
