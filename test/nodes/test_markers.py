"""rviz markers of worker loads."""

import itertools
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from visualization_msgs.msg import Marker

from coedge_ros.drawing.palette import worker_color
from coedge_ros.nodes.diagnostics import STATES
from coedge_ros.nodes.marker_layout import SPACING_M, MarkerLayout
from coedge_ros.nodes.markers import (
    KINDS,
    LINK_COLORS,
    MANAGER_KINDS,
    NAME_LIMIT,
    STATE_COLORS,
    THICKEST_M,
    THINNEST_M,
    ManagerBox,
    WorkerBar,
    format_rate,
    load_markers,
)
from coedge_ros.spec.cluster_file import parse_cluster

STAMP = Time(sec=7)
ROW = MarkerLayout("coedge")
PLACED = """
hosts: [{name: left, position: [1, 3]}, {name: right, position: [1, -3, 0.5]}, {name: moving, frame: robot/base_link}]
workers: [{name: a, host: left}, {name: b, host: right}, {name: c, host: right}, {name: d, host: moving}]
links: {default: {bytes_per_s: 1e6}}
manager: {host: left}
"""


def markers_of(*bars, removed=(), layout=ROW, manager=None):
    return {(m.ns, m.id): m for m in load_markers(bars, removed, layout, STAMP, manager).markers}


def layout_of(text):
    return MarkerLayout("coedge", parse_cluster(text))


def place(marker):
    at = marker.pose.position
    return marker.header.frame_id, at.x, at.y


def color(marker):
    return tuple(round(255 * part) for part in (marker.color.r, marker.color.g, marker.color.b))


def test_each_worker_has_one_marker_of_every_kind_with_ids_of_its_own():
    array = load_markers([WorkerBar(f"w{i}", i, i, "active", 0.5) for i in range(3)], [], ROW, STAMP)
    keys = [(marker.ns, marker.id) for marker in array.markers]
    assert sorted(keys) == sorted((kind, index) for kind in KINDS if kind != "link" for index in range(3))
    for marker in array.markers:
        assert marker.action == Marker.ADD and marker.header.frame_id == "coedge" and marker.header.stamp == STAMP
        assert marker.lifetime.sec > 0  # a visualizer that dies leaves nothing in rviz


@pytest.mark.parametrize("load,height", [(0.0, 0.05), (0.63, 0.63), (1.0, 1.0), (7.0, 1.0), (-1.0, 0.05)])
def test_the_bar_is_as_high_as_the_load_and_stands_on_the_ground(load, height):
    bar = markers_of(WorkerBar("w", 0, 0, "active", load))["bar", 0]
    assert bar.scale.z == pytest.approx(height)
    assert bar.pose.position.z - bar.scale.z / 2 == pytest.approx(0)


@pytest.mark.parametrize("state", STATE_COLORS)
def test_the_bar_has_the_colour_of_the_state(state):
    assert color(markers_of(WorkerBar("w", 0, 0, state, 0.5))["bar", 0]) == STATE_COLORS[state]


def test_every_state_that_a_worker_may_say_has_a_colour_of_its_own():
    assert set(STATES.values()) | {"slow", "lost"} == set(STATE_COLORS)
    assert len(set(STATE_COLORS.values())) == len(STATE_COLORS)


def test_the_base_has_the_workers_colour_that_its_band_has_in_the_picture():
    assert color(markers_of(WorkerBar("w", 3, 1, "active", 0.5))["base", 3]) == worker_color(1)


def test_a_lost_worker_is_grey_and_without_load():
    found = markers_of(WorkerBar("w", 0, 0, "lost", 0.9, 75))
    assert color(found["bar", 0]) == color(found["base", 0]) == (128, 128, 128)
    assert found["bar", 0].scale.z == pytest.approx(0.05)
    assert found["label", 0].text == "w\nlost"


def test_removed_workers_are_deleted_in_every_kind():
    found = markers_of(WorkerBar("w", 0, 0, "active"), removed=[4])
    assert all(found[kind, 4].action == Marker.DELETE for kind in KINDS)
    assert all(found[kind, 0].action == Marker.ADD for kind in KINDS if kind != "link")


def test_workers_stand_in_a_row_without_touching_and_centred():
    found = markers_of(*[WorkerBar(f"w{i}", i, i, "active", 0.5) for i in range(4)])
    places = [found["bar", index].pose.position.y for index in range(4)]
    assert places == sorted(places, reverse=True) and sum(places) == pytest.approx(0)
    assert all(a - b == pytest.approx(SPACING_M) for a, b in itertools.pairwise(places))


def test_the_label_tells_name_rows_time_energy_and_load():
    bar = WorkerBar("worker_a", 0, 0, "active", 0.634, 75, 12.34, 0.41)
    assert markers_of(bar)["label", 0].text == "worker_a\n75 rows, 12.3 ms\n0.41 J per frame, 63 %"


def test_an_error_says_why():
    text = markers_of(WorkerBar("w", 0, 0, "error", message="no such model"))["label", 0].text
    assert text.splitlines()[1:3] == ["error", "no such model"]


def test_what_is_not_known_is_a_dash():
    assert markers_of(WorkerBar("w", 0, 0, "loading"))["label", 0].text.endswith("0 rows, - ms\n- J per frame, - %")


def test_labels_are_narrower_than_the_spacing():
    bar = WorkerBar("jetson-nano-in-the-living-room-on-the-left", 0, 0, "error", 1.0, 1080, 12345, 0.099, "m" * 300)
    text = markers_of(bar)["label", 0].text
    assert max(map(len, text.splitlines())) <= NAME_LIMIT + 3  # about 0.08 m a character
    assert text.splitlines()[0].startswith("jetson") and text.splitlines()[0].endswith("left")


def test_no_marker_has_a_size_or_place_that_is_no_number():
    for marker in load_markers([WorkerBar("w", 0, 0, "active", math.nan)], [], ROW, STAMP).markers:
        numbers = [marker.scale.x, marker.scale.y, marker.scale.z, marker.pose.position.y, marker.pose.position.z]
        assert all(math.isfinite(number) for number in numbers)
        assert marker.pose.orientation.w == 1.0


ABCD = tuple(WorkerBar(name, index, index, "active", 0.5, bytes_per_s=1e5) for index, name in enumerate("abcd"))


def test_workers_stand_where_their_host_does_and_side_by_side_on_one_host():
    found = markers_of(*ABCD, layout=layout_of(PLACED), manager=ManagerBox("active"))
    assert place(found["bar", 0]) == ("coedge", 1, 3)
    assert place(found["bar", 1]) == ("coedge", 1, -3 + SPACING_M / 2)
    assert place(found["bar", 2]) == ("coedge", 1, -3 - SPACING_M / 2)
    assert found["bar", 1].pose.position.z - found["bar", 1].scale.z / 2 == pytest.approx(0.5)
    assert {place(found[kind, 0]) for kind in ("bar", "outline", "base", "label")} == {("coedge", 1, 3)}


def test_a_host_with_a_frame_has_its_markers_there_and_rviz_moves_them():
    found = markers_of(*ABCD, layout=layout_of(PLACED))
    assert all(place(found[kind, 3]) == ("robot/base_link", 0, 0) for kind in ("bar", "outline", "base", "label"))
    assert all(marker.frame_locked for marker in found.values() if marker.action == Marker.ADD)


def test_a_worker_that_the_file_does_not_have_stands_at_the_host_that_it_names_or_in_the_row():
    strangers = [WorkerBar("x", 0, 0, "active", host="right"), WorkerBar("y", 1, 1, "active", host="nobody knows")]
    found = markers_of(*strangers, layout=layout_of(PLACED))
    assert place(found["bar", 0]) == ("coedge", 1, -3) and place(found["bar", 1]) == ("coedge", 0, 0)


def test_without_positions_a_cluster_file_changes_nothing():
    text = "hosts: [{name: h}]\nworkers: [{name: a, host: h}, {name: b, host: h}]\nlinks: {default: {bytes_per_s: 1}}"
    assert markers_of(*ABCD, layout=layout_of(text)) == markers_of(*ABCD)


def test_the_manager_has_a_flat_box_and_a_label_at_its_host_or_in_front_of_the_row():
    found = markers_of(layout=layout_of(PLACED), manager=ManagerBox("active", 3))
    assert found["manager_label", 0].text == "manager\nactive, plan 3"
    assert found["manager", 0].scale.z < 0.2 and place(found["manager", 0]) == ("coedge", -1, 3)
    assert place(markers_of(manager=ManagerBox("waiting"))["manager", 0]) == ("coedge", -2, 0)


@pytest.mark.parametrize("state,shown", [("alone", "error"), ("error", "error"), ("lost", "lost")])
def test_a_manager_in_trouble_has_the_colour_of_trouble(state, shown):
    assert color(markers_of(manager=ManagerBox(state))["manager", 0]) == STATE_COLORS[shown]


def test_a_manager_that_is_gone_takes_its_markers_and_all_lines_along():
    found = markers_of(*ABCD, manager=ManagerBox("lost", is_gone=True))
    assert all(found[kind, 0].action == Marker.DELETE for kind in MANAGER_KINDS)
    assert all(found["link", index].action == Marker.DELETE for index in range(4))


def test_lines_join_the_manager_and_workers_over_whose_links_bytes_flow():
    still = WorkerBar("still", 9, 9, "ready", bytes_per_s=0.0)
    found = markers_of(*ABCD, still, manager=ManagerBox("active"))
    assert found["link", 9].action == Marker.DELETE
    manager, bar = found["manager", 0].pose.position, found["bar", 2].pose.position
    line = found["link", 2]
    assert line.type == Marker.LINE_LIST and line.action == Marker.ADD
    way = np.array([bar.x - manager.x, bar.y - manager.y])
    for end, middle, size in zip(line.points, (manager, bar), (0.25, 0.4), strict=True):
        off = np.array([end.x - middle.x, end.y - middle.y])
        assert (
            np.linalg.norm(off) == pytest.approx(size) and abs(off[0] * way[1] - off[1] * way[0]) < 1e-9
        )  # beside it, on the way


def test_a_worker_in_the_managers_place_does_no_harm():
    text = PLACED.replace("position: [1, 3]", "position: [-1, -2]") + "  # the manager comes to stand at -3, -2"
    both = MarkerLayout("coedge", parse_cluster(text.replace("[1, -3, 0.5]", "[-3, -2]")))
    found = markers_of(WorkerBar("b", 0, 0, "active", bytes_per_s=1.0), layout=both, manager=ManagerBox("active"))
    assert place(found["bar", 0]) == place(found["manager", 0])
    assert all(math.isfinite(value) for end in found["link", 0].points for value in (end.x, end.y, end.z))


def test_lines_are_drawn_only_within_one_frame():
    found = markers_of(*ABCD, layout=layout_of(PLACED), manager=ManagerBox("active"))
    assert [found["link", index].action for index in range(4)] == [Marker.ADD] * 3 + [Marker.DELETE]


@pytest.mark.parametrize(
    "use,width,shown",
    [
        (0.0, THINNEST_M, LINK_COLORS[0]),
        (0.5, (THINNEST_M + THICKEST_M) / 2, LINK_COLORS[1]),
        (1.0, THICKEST_M, LINK_COLORS[2]),
        (3.0, THICKEST_M, LINK_COLORS[2]),
        (math.nan, THINNEST_M, (128, 128, 128)),
    ],
)
def test_a_line_is_as_wide_and_as_red_as_its_link_is_used(use, width, shown):
    line = markers_of(WorkerBar("w", 0, 0, "active", bytes_per_s=1e6, link_use=use), manager=ManagerBox("active"))
    assert line["link", 0].scale.x == pytest.approx(width) and color(line["link", 0]) == shown


def test_all_markers_of_a_worker_fade_together():
    bar = WorkerBar("w", 0, 0, "lost", opacity=0.5, bytes_per_s=1.0)
    found = markers_of(bar, manager=ManagerBox("active"))
    assert {kind: found[kind, 0].color.a for kind in KINDS} == pytest.approx(
        {"bar": 0.5, "outline": 0.06, "base": 0.5, "label": 0.5, "link": 0.5}
    )
    assert found["manager", 0].color.a == 1.0


def test_the_label_tells_bytes_and_how_much_of_the_link_they_are():
    known = WorkerBar("w", 0, 0, "active", bytes_per_s=1.25e6, link_use=0.1)
    assert markers_of(known)["label", 0].text.splitlines()[-1] == "1.2 MB/s, link 10 %"
    unknown = WorkerBar("w", 0, 0, "active", bytes_per_s=1.25e6)
    assert markers_of(unknown)["label", 0].text.splitlines()[-1] == "1.2 MB/s"


@pytest.mark.parametrize(
    "value,text",
    [(0, "0 B/s"), (994, "994 B/s"), (996, "1.0 kB/s"), (45_600, "46 kB/s"), (12.5e6, "12 MB/s"), (2.5e9, "2.5 GB/s")],
)
def test_rates_have_a_unit_that_keeps_them_short(value, text):
    assert format_rate(value) == text


def test_a_label_stands_on_what_it_belongs_to_however_many_lines_it_has():
    for bar in (WorkerBar("w", 0, 0, "active"), WorkerBar("w", 0, 0, "error", message="m", bytes_per_s=1.0)):
        label = markers_of(bar)["label", 0]
        bottom = label.pose.position.z - len(label.text.splitlines()) * label.scale.z / 2
        assert bottom == pytest.approx(1.12)
