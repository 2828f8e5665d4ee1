"""The manager's side of a frame: complete answers, late and senseless reports, overdue frames."""

import math

import numpy as np
import pytest
import torch
from support.two_workers import NAMES, Bench, schedule

from coedge_ros.execution.fragment import FrameKey
from coedge_ros.spec.schedule import REPORT_HEADER, TransferKind

REPORT = schedule().of_kind(TransferKind.REPORT)[1]


def drop_report(bench: Bench) -> list:
    """Hold back the second worker's report."""
    queue = bench.hub.queues["manager"]
    held = [f for f in queue if f.transfer == REPORT.index]
    for fragment in held:
        queue.remove(fragment)
    return held


def test_an_answer_with_all_reports_is_given_at_once_and_only_once():
    bench = Bench()
    bench.start(0)
    assert bench.answers() == []
    bench.run()
    (answer,) = bench.answers()
    assert answer.usage_complete and [u.worker for u in answer.usage] == list(NAMES)
    assert answer.scatter_bytes == sum(t.wire_bytes for t in schedule().of_kind(TransferKind.SCATTER))
    assert bench.answers() == [] and not bench.coordinator.pending


def test_an_answer_waits_for_a_report_that_is_under_way_but_not_for_long():
    bench = Bench()
    bench.start(0)
    bench.run()
    drop_report(bench)
    assert bench.answers() == []
    bench.now_s = bench.coordinator.report_grace_s / 2
    assert bench.answers() == []
    bench.now_s = bench.coordinator.report_grace_s
    (answer,) = bench.answers()
    assert not answer.usage_complete and [u.worker for u in answer.usage] == ["top"]
    assert answer.latency_s == 0.0  # the outputs were there from the beginning


def test_a_report_that_comes_in_time_completes_it():
    bench = Bench()
    bench.start(0)
    bench.run()
    held = drop_report(bench)
    assert bench.answers() == []
    bench.hub.queues["manager"].extend(held)
    (answer,) = bench.answers()
    assert answer.usage_complete


SENSELESS = {"not a number": math.nan, "infinite": math.inf, "negative": -1.0, "more than can be counted": 2.0**60}


@pytest.mark.parametrize("value", SENSELESS.values(), ids=SENSELESS)
@pytest.mark.parametrize(
    "place", [0, 1, REPORT_HEADER, REPORT_HEADER + 1], ids=["work", "time", "first row", "last row"]
)
def test_a_senseless_report_is_refused_and_counted_and_the_answer_goes_out(value, place):
    bench = Bench()
    bench.start(0)
    bench.run()
    for fragment in bench.hub.queues["manager"]:
        if fragment.transfer == REPORT.index:
            numbers = np.frombuffer(bytes(fragment.data)).copy()
            numbers[place] = value
            fragment.data = numbers.view(np.uint8)
    (answer,) = bench.answers()
    assert [u.worker for u in answer.usage] == ["top"] and not answer.usage_complete
    assert dict(bench.coordinator.inbox.rejected) == {"report": 1}
    assert torch.isfinite(answer.outputs["output"]).all()


def test_an_overdue_frame_names_those_of_whom_nothing_came():
    bench = Bench()
    key = bench.start(0)
    bench.run("top")
    bench.now_s = 3.0
    assert bench.coordinator.overdue(3.5) == []
    assert bench.coordinator.overdue(2.5) == [key]
    assert bench.coordinator.missing_workers(key) == list(NAMES)  # the first waits for the second


def test_who_sends_something_good_for_a_frame_is_heard():
    bench = Bench()
    bench.start(0)
    assert bench.coordinator.heard_s == {}
    bench.now_s = 3.0
    bench.run()
    assert bench.answers() and bench.coordinator.heard_s == dict.fromkeys(NAMES, 3.0)
    bench.coordinator.forget(bench.start(1))
    bench.now_s = 4.0
    bench.run()
    assert bench.answers() == [] and bench.coordinator.heard_s == dict.fromkeys(
        NAMES, 3.0
    )  # what is refused proves nothing


def test_what_comes_of_a_frame_that_was_given_up_is_stale():
    bench = Bench()
    key = bench.start(0)
    bench.run()
    bench.coordinator.forget(key)
    assert bench.answers() == []
    assert bench.coordinator.inbox.rejected["stale_frame"] > 0 and not bench.coordinator.inbox.frames


def test_older_plans_of_a_session_are_forgotten_and_others_are_not():
    bench = Bench()
    for session, epoch in ((1, 2), (1, 3), (7, 1)):
        bench.install(session, epoch)
    bench.coordinator.inbox.release_before(1, 3)
    bench.start(0, epoch=2)
    bench.start(1, epoch=3)
    bench.start(2, session=7)
    bench.run()
    assert [a.key for a in bench.answers()] == [FrameKey(1, 3, 1), FrameKey(7, 1, 2)]
    assert bench.coordinator.inbox.rejected["unknown_epoch"] > 0


def test_a_frame_of_another_size_is_our_own_mistake():
    bench = Bench()
    with pytest.raises(ValueError, match="the plan is for"):
        bench.coordinator.start(FrameKey(1, 1, 0), schedule(), np.zeros((10, 12, 3), np.uint8))
