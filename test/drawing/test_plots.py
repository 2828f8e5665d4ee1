"""The pictures that the visualiser leaves at its end."""

import itertools
import math

import numpy as np
import pytest

from coedge_ros.drawing import history as history_module
from coedge_ros.drawing.history import LoadHistory
from coedge_ros.drawing.load_over_time import draw_load_over_time
from coedge_ros.drawing.palette import worker_color
from coedge_ros.drawing.row_share import draw_row_share

LONG = "jetson-nano-in-the-living-room-on-the-left-shelf-{}-of-the-$second$-cluster-and-of-no-other_one"


def recorded(workers, name="worker_{}", seconds=30, marks=()):
    history = LoadHistory()
    for tick, index in itertools.product(range(seconds * 5), range(workers)):
        history.add_load(name.format(index), 100 + tick / 5, (index + 1) / (workers + 1))
        history.add_work(name.format(index), 1_000_000 * (index + 1), 0.5)
    for time_s, text in marks:
        history.add_mark(100 + time_s, text)
    return history


def colors_of(history):
    return {name: index for index, name in enumerate(history.samples)}


def assert_readable(rendering):
    height, width = rendering.rgb.shape[:2]
    for box in rendering.text_boxes:
        assert box.inside(width, height), f"{box} leaves the picture {width} x {height}"
    for one, other in itertools.combinations(rendering.text_boxes, 2):
        assert not one.overlaps(other), f"{one} overlaps {other}"


@pytest.mark.parametrize("workers", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("name", ["worker_{}", LONG])
def test_no_texts_overlap_in_the_load_picture(workers, name):
    marks = [(0, "plan 1"), (10, "plan 2"), (10.2, "plan 3"), (29.8, "plan 4 with many more words")]
    history = recorded(workers, name, marks=marks)
    rendering = draw_load_over_time(history, colors_of(history))
    assert_readable(rendering)
    texts = [box.text for box in rendering.text_boxes]
    if workers:
        assert texts.count("busy [%]") == workers and "time [s]" in texts and "plan 2" in texts
        assert "plan 3" not in texts  # would lie on plan 2


@pytest.mark.parametrize("seconds", [1, 7, 600, 100_000])
def test_any_length_of_time_is_readable(seconds):
    history = LoadHistory()
    for tick in np.linspace(0, seconds, 50):
        history.add_load("a", tick, 0.5)
    assert_readable(draw_load_over_time(history, {"a": 0}))


def test_workers_are_in_the_order_of_their_names_and_the_mean_counts_from_the_first_plan():
    history = LoadHistory()
    for name, load in (("w10", 0.2), ("w2", 0.8)):
        for tick in range(10):
            history.add_load(name, tick, load if tick >= 5 else 0.0)
    history.add_mark(5, "plan 1")
    texts = {box.text: box for box in draw_load_over_time(history, {"w2": 0, "w10": 1}).text_boxes}
    assert texts["w2"].top < texts["w10"].top
    assert texts["mean 80 % since plan 1"].top < texts["mean 20 % since plan 1"].top


def test_a_single_sample_is_drawn():
    history = LoadHistory()
    history.add_load("a", 5.0, 0.5)
    assert_readable(draw_load_over_time(history, {"a": 0}))


def test_a_silent_time_is_a_gap_and_not_a_line():
    def coloured_part(silent):
        history = LoadHistory()
        for tick in range(100):
            if not (silent and 30 <= tick < 70):
                history.add_load("a", tick / 5, 1.0)
        rgb = draw_load_over_time(history, {"a": 0}).rgb.astype(int)
        return int((rgb[..., 2] - rgb[..., 0] > 60).sum())  # blue, the first worker's colour

    assert 0.5 < coloured_part(True) / coloured_part(False) < 0.7


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("stages", [1, 2, 12, 60])
@pytest.mark.parametrize("name", ["worker_{}", LONG])
def test_no_texts_overlap_in_the_row_picture(workers, stages, name):
    names = tuple(name.format(index) for index in range(workers))
    boundaries = tuple(tuple(np.linspace(0, 224 >> min(stage // 12, 5), workers + 1).round().astype(int))
                       for stage in range(stages))  # fmt: skip
    shares = dict.fromkeys(names[1:], 1 / workers)  # the first one's is not known
    rendering = draw_row_share(names, boundaries, shares, {name: index for index, name in enumerate(names)})
    assert_readable(rendering)
    assert "- %" in [box.text for box in rendering.text_boxes]


def test_rows_are_drawn_from_the_top_in_the_workers_colours():
    rendering = draw_row_share(("a", "b"), ((0, 30, 40),), {"a": 0.75, "b": 0.25}, {"a": 0, "b": 1})
    column = [tuple(pixel) for pixel in rendering.rgb[:, 300]]
    first = [row for row, pixel in enumerate(column) if pixel == worker_color(0)]
    second = [row for row, pixel in enumerate(column) if pixel == worker_color(1)]
    assert max(first) < min(second)
    assert len(first) / (len(first) + len(second)) == pytest.approx(0.75, abs=0.02)
    assert {"75 %", "25 %"} <= {box.text for box in rendering.text_boxes}


def test_the_history_is_bounded_and_forgets_the_oldest(monkeypatch):
    monkeypatch.setattr(history_module, "SAMPLES_PER_WORKER", 10)
    history = LoadHistory()
    for tick in range(50):
        history.add_load("a", tick, 0.5)
        history.add_mark(tick, "plan")
    assert len(history.samples["a"]) == 10 and history.samples["a"][0].time_s == 40
    assert len(history.marks) == 50 <= history_module.MARKS
    for tick in range(1000):
        history.add_mark(tick, "plan")
    assert len(history.marks) == history_module.MARKS


def test_loads_that_are_no_numbers_or_out_of_range_do_no_harm():
    history = LoadHistory()
    for tick, load in enumerate([math.nan, math.inf, -1.0, 7.0]):
        history.add_load("a", tick, load)
    assert [sample.load for sample in history.samples["a"]] == [0.0, 0.0, 0.0, 1.0]


def test_work_adds_up_over_frames():
    history = LoadHistory()
    for _ in range(3):
        history.add_work("a", 30, 0.5)
        history.add_work("b", 10, math.nan)
    assert history.work_shares() == {"a": 0.75, "b": 0.25}
    assert history.energy_j == {"a": 1.5, "b": 0.0} and history.frames == {"a": 3, "b": 3}
    assert LoadHistory().work_shares() == {}
