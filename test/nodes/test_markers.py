"""rviz markers of worker loads."""

import itertools
import math

import pytest
from builtin_interfaces.msg import Time
from visualization_msgs.msg import Marker

from coedge_ros.drawing.palette import worker_color
from coedge_ros.nodes.diagnostics import STATES
from coedge_ros.nodes.markers import KINDS, NAME_LIMIT, SPACING_M, STATE_COLORS, WorkerBar, load_markers

STAMP = Time(sec=7)


def markers_of(*bars, removed=()):
    return {(m.ns, m.id): m for m in load_markers(bars, removed, "coedge", STAMP).markers}


def color(marker):
    return tuple(round(255 * part) for part in (marker.color.r, marker.color.g, marker.color.b))


def test_each_worker_has_one_marker_of_every_kind_with_ids_of_its_own():
    array = load_markers([WorkerBar(f"w{i}", i, i, "active", 0.5) for i in range(3)], [], "coedge", STAMP)
    keys = [(marker.ns, marker.id) for marker in array.markers]
    assert sorted(keys) == sorted((kind, index) for kind in KINDS for index in range(3))
    for marker in array.markers:
        assert marker.action == Marker.ADD and marker.header.frame_id == "coedge" and marker.header.stamp == STAMP
        assert marker.lifetime.sec > 0  # a visualizer that dies leaves nothing in rviz


@pytest.mark.parametrize("load,height", [(0.0, 0.01), (0.63, 0.63), (1.0, 1.0), (7.0, 1.0), (-1.0, 0.01)])
def test_the_bar_is_as_high_as_the_load_and_stands_on_the_ground(load, height):
    bar = markers_of(WorkerBar("w", 0, 0, "active", load))["bar", 0]
    assert bar.scale.z == pytest.approx(height)
    assert bar.pose.position.z - bar.scale.z / 2 == pytest.approx(0)


@pytest.mark.parametrize("state", STATE_COLORS)
def test_the_bar_has_the_colour_of_the_state(state):
    assert color(markers_of(WorkerBar("w", 0, 0, state, 0.5))["bar", 0]) == STATE_COLORS[state]


def test_every_state_that_a_worker_may_say_has_a_colour_of_its_own():
    assert set(STATES.values()) | {"silent"} == set(STATE_COLORS)
    assert len(set(STATE_COLORS.values())) == len(STATE_COLORS)


def test_the_base_has_the_workers_colour_that_its_band_has_in_the_picture():
    assert color(markers_of(WorkerBar("w", 3, 1, "active", 0.5))["base", 3]) == worker_color(1)


def test_a_silent_worker_is_grey_and_without_load():
    found = markers_of(WorkerBar("w", 0, 0, "silent", 0.9))
    assert color(found["bar", 0]) == color(found["base", 0]) == (128, 128, 128)
    assert found["bar", 0].scale.z == pytest.approx(0.01)
    assert "silent" in found["label", 0].text


def test_removed_workers_are_deleted_in_every_kind():
    found = markers_of(WorkerBar("w", 0, 0, "active"), removed=[4])
    assert all(found[kind, 4].action == Marker.DELETE for kind in KINDS)
    assert all(found[kind, 0].action == Marker.ADD for kind in KINDS)


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
    for marker in load_markers([WorkerBar("w", 0, 0, "active", math.nan)], [], "coedge", STAMP).markers:
        numbers = [marker.scale.x, marker.scale.y, marker.scale.z, marker.pose.position.y, marker.pose.position.z]
        assert all(math.isfinite(number) for number in numbers)
        assert marker.pose.orientation.w == 1.0
