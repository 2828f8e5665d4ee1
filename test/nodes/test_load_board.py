"""What the visualizer makes of the messages that it sees."""

import math

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.msg import (
    ClassScore,
    FrameName,
    InferenceResult,
    LinkSpeed,
    ManagerStatus,
    PartitionPlan,
    WorkerSpeed,
    WorkerStatus,
    WorkerUsage,
)
from coedge_ros.nodes.diagnostics import worker_diagnostics
from coedge_ros.nodes.frame_matcher import FrameMatcher
from coedge_ros.nodes.load_board import FAINTEST, LoadBoard, answer_view, stage_boundaries
from coedge_ros.spec.cluster_file import parse_cluster

NAMES = ("a", "b", "c")


def status(name, **fields):
    return WorkerStatus(name=name, state=WorkerStatus.STATE_ACTIVE, load=0.5, **fields)


def plan(epoch=1, workers=NAMES, boundaries=(0, 40, 80, 112, 0, 20, 40, 56), **fields):
    return PartitionPlan(
        session=9, epoch=epoch, workers=list(workers), boundaries=list(boundaries), height=224, **fields
    )


def usage(name, start, stop, macs=100):
    return WorkerUsage(name=name, row_start=[start], row_stop=[stop], macs=macs, compute_ms=5.0, energy_j=0.25)


def result(usages=(), epoch=1, **fields):
    return InferenceResult(session=9, epoch=epoch, workers=list(usages), head="b", **fields)


def board_of(*names, now=0.0):
    board = LoadBoard(stale_after_s=2.0, forget_after_s=10.0)
    for name in names:
        board.take_status(status(name), now)
    return board


def test_a_worker_is_lost_and_then_goes_and_comes_back_with_its_number():
    board = board_of("a", "b")
    board.take_status(status("b"), 9.0)
    assert [bar.state for bar in board.bars(1.9)] == ["active", "active"]
    assert [bar.state for bar in board.bars(2.1)] == ["lost", "active"]
    assert board.forget(9.9) == [] and board.forget(10.1) == [0] and board.forget(10.1) == []
    assert [bar.name for bar in board.bars(10.1)] == ["b"]
    board.take_status(status("a"), 11.0)
    assert [(bar.name, bar.index) for bar in board.bars(11.0)] == [("a", 0), ("b", 1)]


def test_a_lost_worker_fades_until_it_goes():
    board = board_of("a")
    faded = [board.bars(now_s)[0].opacity for now_s in (0.0, 2.0, 4.0, 6.0, 9.999)]
    assert faded == pytest.approx([1.0, 1.0, 1 - (1 - FAINTEST) / 4, 1 - (1 - FAINTEST) / 2, FAINTEST], abs=1e-3)


@pytest.mark.parametrize(
    "fields,tracked,state",
    [
        ({}, None, "active"),
        ({"throttled": True}, None, "slow"),
        ({"idle_factor": 0.5}, None, "slow"),
        ({"idle_factor": 0.9}, None, "active"),
        ({"idle_factor": 0.5}, 1.0, "active"),
        ({"idle_factor": 1.0}, 0.4, "slow"),
        ({"throttled": True, "state": WorkerStatus.STATE_RESTING}, None, "resting"),
    ],
)
def test_a_worker_is_slow_as_coedge_watch_says(fields, tracked, state):
    board = LoadBoard()
    board.take_status(WorkerStatus(name="a", **{"state": WorkerStatus.STATE_ACTIVE, **fields}), 0.0)
    if tracked is not None:
        board.take_manager(ManagerStatus(speeds=[WorkerSpeed(name="a", factor=tracked)]), 0.0)
    assert board.bars(0.0)[0].state == state


CLUSTER = parse_cluster("""
hosts: [{name: here}, {name: there}]
workers: [{name: a, host: there}]
links: {default: {bytes_per_s: 1e6}, pairs: [{from: here, to: there, bytes_per_s: 2e6, both_ways: false}]}
manager: {host: here}
""")


def bar_after(cluster, bytes_in, bytes_out, links=(), seconds=2.0):
    board = LoadBoard(cluster=cluster)
    if links:
        board.take_manager(ManagerStatus(links=list(links)), 0.0)
    board.take_status(status("a", bytes_in=1000, bytes_out=1000), 0.0)
    board.take_status(status("a", bytes_in=1000 + bytes_in, bytes_out=1000 + bytes_out), seconds)
    return board.bars(seconds)[0]


def test_the_busier_direction_tells_how_much_of_its_link_a_worker_uses():
    bar = bar_after(CLUSTER, 800_000, 400_000)  # in 2 s
    assert bar.bytes_per_s == pytest.approx(600_000) and bar.link_use == pytest.approx(0.2)
    assert bar_after(CLUSTER, 400_000, 800_000).link_use == pytest.approx(0.4)


def test_measured_links_go_before_those_of_the_file():
    measured = LinkSpeed(source="there", target="here", bytes_per_s=5e5)
    assert bar_after(CLUSTER, 0, 400_000, [measured]).link_use == pytest.approx(0.4)


def test_bytes_are_not_known_too_early_nor_links_without_a_cluster_file():
    assert math.isnan(bar_after(CLUSTER, 1, 1, seconds=0.2).bytes_per_s)
    bar = bar_after(None, 400_000, 0)
    assert bar.bytes_per_s == pytest.approx(200_000) and math.isnan(bar.link_use)


def test_a_worker_that_was_started_again_counts_its_bytes_anew():
    board = LoadBoard()
    for now_s, instance, total in ((0.0, 1, 10**9), (1.0, 2, 0), (2.0, 2, 500)):
        board.take_status(status("a", instance=instance, bytes_in=total), now_s)
    assert board.bars(2.0)[0].bytes_per_s == pytest.approx(500)


def test_a_lost_worker_has_no_bytes_per_second():
    board = LoadBoard(cluster=CLUSTER)
    for now_s in (0.0, 1.0):
        board.take_status(status("a", bytes_in=int(now_s * 1000)), now_s)
    assert math.isnan(board.bars(3.5)[0].bytes_per_s) and math.isnan(board.bars(3.5)[0].link_use)


def test_the_manager_is_shown_once_it_is_heard_and_fades_and_goes_as_workers_do():
    board = LoadBoard(stale_after_s=2.0, forget_after_s=10.0)
    assert board.manager_box(0.0) is None
    board.take_manager(ManagerStatus(state=ManagerStatus.STATE_ACTIVE, epoch=4), 0.0)
    assert (board.manager_box(0.0).state, board.manager_box(0.0).epoch) == ("active", 4)
    lost = board.manager_box(6.0)
    assert lost.state == "lost" and lost.opacity < 1.0 and not lost.is_gone and board.manager_box(10.1).is_gone


def test_colours_follow_the_names_until_there_is_a_plan_and_then_stay():
    board = board_of("w10", "w2")
    assert board.colors == {"w2": 0, "w10": 1}
    assert [(bar.name, bar.index, bar.color) for bar in board.bars(0.0)] == [("w2", 1, 0), ("w10", 0, 1)]
    board.take_plan(plan(workers=("w10", "w1"), boundaries=(0, 56, 112)), 0.0)
    assert board.colors == {"w1": 0, "w2": 1, "w10": 2}
    board.take_status(status("w0"), 0.0)
    assert board.colors == {"w1": 0, "w2": 1, "w10": 2, "w0": 3}


def test_bars_show_the_last_frames_own_count_and_before_it_the_status():
    board = LoadBoard()
    board.take_status(status("a", rows=75, compute_ms=7.0, frames=4, energy_j=2.0), 0.0)
    (bar,) = board.bars(0.0)
    assert (bar.rows, bar.compute_ms, bar.energy_j) == (75, 7.0, 0.5)
    board.take_result(result([usage("a", 0, 40)]))
    (bar,) = board.bars(0.0)
    assert (bar.compute_ms, bar.energy_j) == (5.0, 0.25)


def test_a_worker_that_has_done_nothing_yet_has_no_numbers():
    (bar,) = board_of("a").bars(0.0)
    assert math.isnan(bar.compute_ms) and math.isnan(bar.energy_j)


def test_bands_are_the_rows_as_executed_not_as_planned():
    board = board_of(*NAMES)
    board.take_plan(plan(), 0.0)
    views = board.frame_workers(result([usage("a", 0, 56, 200), usage("b", 56, 112), usage("c", 112, 112, 0)]), 0.0)
    assert [view.band for view in views] == [(0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]
    assert [view.rows for view in views] == [112, 112, 0]
    assert [view.work for view in views] == pytest.approx([2 / 3, 1 / 3, 0.0])
    assert [view.head for view in views] == [False, True, False]


def test_a_missing_report_is_filled_in_from_the_plan_without_numbers():
    board = board_of(*NAMES)
    board.take_plan(plan(), 0.0)
    view = board.frame_workers(result([usage("a", 0, 40), usage("c", 80, 112)]), 0.0)[1]
    assert view.name == "b" and view.band == pytest.approx((40 / 112, 80 / 112)) and math.isnan(view.compute_ms)


def test_without_the_plan_the_reports_alone_give_the_bands_from_top_to_bottom():
    views = LoadBoard().frame_workers(result([usage("z", 56, 112), usage("y", 0, 56)], epoch=5), 0.0)
    assert [(view.name, view.band) for view in views] == [("y", (0.0, 0.5)), ("z", (0.5, 1.0))]


def test_a_worker_outside_the_plan_is_listed_last_and_has_no_band():
    board = board_of("idle", *NAMES)
    board.take_plan(plan(), 0.0)
    views = board.frame_workers(result(), 0.0)
    assert [view.name for view in views] == ["a", "b", "c", "idle"] and views[-1].band == (0.0, 0.0)


def test_when_the_manager_answered_alone_nobody_has_a_band():
    board = board_of(*NAMES)
    board.take_plan(plan(), 0.0)
    assert {view.band for view in board.frame_workers(result(fallback=True), 0.0)} == {(0.0, 0.0)}


def test_a_worker_that_died_is_shown_silent_in_its_last_band():
    board = board_of(*NAMES)
    board.take_plan(plan(), 0.0)
    board.forget(20.0)
    assert all(view.silent for view in board.frame_workers(result(), 20.0))


@pytest.mark.parametrize(
    "bad",
    [
        plan(workers=()),
        plan(boundaries=()),
        plan(boundaries=(0, 1, 2)),
        plan(boundaries=(0, 0, 0, 0)),
        plan(boundaries=(0, 80, 40, 112)),
    ],
    ids=["nobody", "no rows", "wrong length", "zero height", "descending"],
)
def test_a_plan_that_makes_no_sense_does_no_harm(bad):
    board = board_of("a")
    board.take_plan(bad, 0.0)
    board.frame_workers(result([usage("a", 0, 40)]), 0.0)


@pytest.mark.parametrize("bad", [usage("a", 50, 40), usage("a", 0, 4_000_000), WorkerUsage(name="a")])
def test_a_report_that_makes_no_sense_does_no_harm(bad):
    board = board_of("a")
    board.take_plan(plan(), 0.0)
    board.take_result(result([bad]))
    for view in board.frame_workers(result([bad]), 0.0):
        assert 0 <= view.band[0] <= view.band[1] <= 1


def test_plans_are_marked_once_kept_within_a_bound_and_the_newest_is_known():
    board = LoadBoard()
    for epoch in (1, 1, 2, 3, 4, 5, 6):
        board.take_plan(plan(epoch), float(epoch))
    board.take_plan(plan(99, action=PartitionPlan.RELEASE), 9.0)
    assert [mark.text for mark in board.history.marks] == [f"plan {n}" for n in range(1, 7)]
    assert board.newest_plan().epoch == 6
    assert stage_boundaries(board.newest_plan()) == ((0, 40, 80, 112), (0, 20, 40, 56))


def test_classes_without_a_label_are_named_by_their_number():
    view = answer_view(result(classes=[ClassScore(id=285, probability=0.5)]), "a.png")
    assert view.classes == (("class 285", 0.5),) and view.frame == "a.png"


@pytest.mark.parametrize(
    "fields,silent_s,rejected,level,words",
    [
        ({"state": 2}, 0.0, 0, DiagnosticStatus.OK, "active"),
        ({"state": 1, "message": "waits for a plan"}, 0.0, 0, DiagnosticStatus.OK, "ready: waits for a plan"),
        ({"state": 0, "message": "measures speed"}, 0.0, 0, DiagnosticStatus.WARN, "measures speed"),
        ({"state": 3, "message": "no such model"}, 0.0, 0, DiagnosticStatus.ERROR, "no such model"),
        ({"state": 77}, 0.0, 0, DiagnosticStatus.ERROR, "error without a message"),
        ({"state": 2}, 0.0, 4, DiagnosticStatus.WARN, "active; dropped 4 fragments"),
        ({"state": 2}, 2.34, 4, DiagnosticStatus.STALE, "no status for 2.3 s"),
    ],
)
def test_diagnostics_tell_level_and_reason(fields, silent_s, rejected, level, words):
    line = worker_diagnostics(WorkerStatus(name="a", host="box", **fields), silent_s, rejected)
    assert (line.level, line.message, line.name, line.hardware_id) == (level, words, "coedge: worker a", "box")


def test_diagnostics_count_dropped_fragments_by_reason():
    line = worker_diagnostics(WorkerStatus(rejected_reasons=["wrong_size", "unknown_worker"], rejected_counts=[3, 1]))
    values = {pair.key: pair.value for pair in line.values}
    assert (values["rejected_wrong_size"], values["rejected_unknown_worker"]) == ("3", "1")


def test_dropped_fragments_warn_once_and_not_for_ever():
    board = LoadBoard()
    board.take_status(status("a", rejected_reasons=["wrong_size"], rejected_counts=[3]), 0.0)
    assert board.diagnostics(0.0)[0].level == DiagnosticStatus.WARN
    assert board.diagnostics(1.0)[0].level == DiagnosticStatus.OK
    board.take_status(status("a", rejected_reasons=["wrong_size"], rejected_counts=[5]), 2.0)
    assert board.diagnostics(2.0)[0].message == "active; dropped 2 fragments"


def stamped(kind, second, **fields):
    return kind(header=Header(stamp=Time(sec=second)), **fields)


def test_an_image_meets_its_result_in_any_order_and_only_once():
    matcher = FrameMatcher(limit=4)
    matcher.take_name(stamped(FrameName, 1, name="a.png"))
    assert matcher.take_image(stamped(Image, 1, height=11)) is None
    assert matcher.take_result(stamped(InferenceResult, 2)) is None
    found = matcher.take_result(stamped(InferenceResult, 1, frame=7))
    assert (found.image.height, found.result.frame, found.name) == (11, 7, "a.png")
    assert matcher.take_result(stamped(InferenceResult, 1)) is None
    found = matcher.take_image(stamped(Image, 2, height=22))
    assert (found.image.height, found.name) == (22, "")


def test_a_name_that_comes_last_gives_the_answered_image_again():
    matcher = FrameMatcher(limit=4)
    assert not matcher.has_names
    matcher.take_image(stamped(Image, 1, height=11))
    assert matcher.take_result(stamped(InferenceResult, 1, frame=7)).name == ""
    found = matcher.take_name(stamped(FrameName, 1, name="a.png"))
    assert (found.image.height, found.result.frame, found.name) == (11, 7, "a.png") and matcher.has_names
    assert matcher.take_name(stamped(FrameName, 1, name="a.png")) is None


def test_images_without_results_are_forgotten_oldest_first():
    matcher = FrameMatcher(limit=4)
    for second in range(10):
        matcher.take_image(stamped(Image, second))
    matched = [matcher.take_result(stamped(InferenceResult, second)) is not None for second in range(10)]
    assert matched == [False] * 6 + [True] * 4


def test_results_and_names_without_images_are_bounded_too():
    matcher = FrameMatcher(limit=2)
    for second in range(1000):
        matcher.take_result(stamped(InferenceResult, second))
        matcher.take_name(stamped(FrameName, second, name="a"))
    assert len(matcher._results) == len(matcher._names) == 20
