"""The annotated frame: readable at any size, with any cluster, and true to what it is given."""

import itertools
import math

import numpy as np
import pytest

from coedge_ros.drawing import palette
from coedge_ros.drawing.annotated_frame import draw_annotated_frame
from coedge_ros.drawing.text import TextBox, cleaned, fitted, font
from coedge_ros.drawing.views import AnswerView, BoxView, WorkerView, format_joules, format_ms, format_percent

SIZES = [
    (64, 64),
    (48, 320),
    (320, 48),
    (224, 224),
    (272, 640),
    (300, 451),
    (720, 1280),
    (1080, 1920),
    (1, 1),
    (2, 900),
]
LONG = "jetson-nano-in-the-living-room-on-the-left-shelf-{}-of-the-second-cluster"


def grey(height, width, value=128):
    return np.full((height, width, 3), value, np.uint8)


def cluster(count, name="worker_{}", **more):
    return tuple(
        WorkerView(
            name.format(index), index, (index / count, (index + 1) / count), 224 // count,
            load=1.0, compute_ms=1234.5, energy_j=12.3, work=1 / count, head=index == 0, **more,
        )
        for index in range(count)
    )  # fmt: skip


def full_answer(text="Egyptian cat"):
    return AnswerView(f"{text}.png", ((text, 0.73), (text, 0.12), (text, 0.05)), text, 1234.5, 1000, 12345, False, 12)


def assert_readable(rendering):
    height, width = rendering.rgb.shape[:2]
    for box in rendering.text_boxes:
        assert box.inside(width, height), f"{box} leaves the picture {width} x {height}"
    for one, other in itertools.combinations(rendering.text_boxes, 2):
        assert not one.overlaps(other), f"{one} overlaps {other}"


@pytest.mark.parametrize("workers", range(9))
@pytest.mark.parametrize("height,width", SIZES)
@pytest.mark.parametrize("name,label", [("worker_{}", "Egyptian cat"), (LONG, "a label that goes on and on " * 5)])
def test_no_texts_overlap_and_all_are_inside_the_picture(height, width, workers, name, label):
    rendering = draw_annotated_frame(grey(height, width), cluster(workers, name), full_answer(label))
    assert_readable(rendering)
    assert len(rendering.text_boxes) >= 5 + 4 * workers


def test_very_unequal_bands_and_workers_without_rows_are_readable_too():
    edges = [0, 0, 0.5, 0.501, 0.502, 1.0, 1.0]
    workers = tuple(WorkerView(f"w{i}", i, (edges[i], edges[i + 1])) for i in range(6))
    for height, width in SIZES:
        assert_readable(draw_annotated_frame(grey(height, width), workers, AnswerView()))


def test_the_check_for_overlaps_can_fail():
    box = TextBox("a", 0, 0, 10, 10)
    assert box.overlaps(TextBox("b", 9, 9, 20, 20)) and not box.overlaps(TextBox("b", 10, 0, 20, 10))
    assert not TextBox("c", -1, 0, 5, 5).inside(100, 100) and not TextBox("c", 0, 0, 5, 101).inside(100, 100)


def test_text_boxes_hold_the_ink_of_the_text():
    # Whatever is drawn near white must lie in a box of bright text, or the boxes would prove nothing.
    rendering = draw_annotated_frame(grey(300, 300), cluster(2), full_answer())
    panel = rendering.rgb[:, 360:].astype(int)  # right of the picture
    bright = np.argwhere((panel > 225).all(axis=2)) + np.array([0, 360])
    assert len(bright) > 200
    for y, x in bright:
        assert any(
            box.left - 1 <= x < box.right + 1 and box.top - 1 <= y < box.bottom + 1 for box in rendering.text_boxes
        ), f"ink at {x}, {y} outside of all boxes"


def test_it_says_what_it_is_given():
    worker = WorkerView("worker_a", 0, (0, 1), 224, 0.63, 12.34, 0.41, 1.0, head=True)
    answer = AnswerView("chelsea.png", (("Egyptian cat", 0.73), ("tabby", 0.12)), "mobilenet_v2", 41.3, 60, 3)
    texts = " | ".join(box.text for box in draw_annotated_frame(grey(300, 400), (worker,), answer).text_boxes)
    for words in (
        "chelsea.png", "Egyptian cat", "73 %", "tabby 12 %", "mobilenet_v2", "plan 3", "41.3 ms of 60 ms",
        "worker_a", "224 rows", "head", "63 % busy", "12.3 ms", "0.41 J", "100 % of work",
    ):  # fmt: skip
        assert words in texts, f"{words!r} is not in {texts}"


@pytest.mark.parametrize(
    "answer,words",
    [
        (AnswerView(latency_ms=80, deadline_ms=60), "80.0 ms of 60 ms, late"),
        (AnswerView(latency_ms=80, fallback=True), "80.0 ms, manager alone"),
        (AnswerView(latency_ms=80, attempts=2), "80.0 ms, attempt 2"),
        (AnswerView(), "- ms"),
        (AnswerView(classes=(("", 0.5),)), "unnamed class"),
    ],
)
def test_what_is_out_of_the_ordinary_is_said(answer, words):
    assert words in [box.text for box in draw_annotated_frame(grey(300, 400), cluster(1), answer).text_boxes]


def test_a_silent_worker_is_said_to_be_silent():
    texts = [box.text for box in draw_annotated_frame(grey(300, 400), cluster(1, silent=True), AnswerView()).text_boxes]
    assert "silent" in texts and "100 % busy" not in texts


def test_bands_are_tinted_with_their_workers_colours_where_the_rows_are():
    workers = (WorkerView("a", 0, (0.0, 0.75)), WorkerView("b", 1, (0.75, 1.0)))
    picture = draw_annotated_frame(grey(400, 400), workers, AnswerView(), tint=0.5).rgb
    for row, color in ((100, 0), (290, 0), (310, 1), (390, 1)):
        expected = [(128 + part) / 2 for part in palette.worker_color(color)]
        np.testing.assert_allclose(picture[row, 200], expected, atol=2)
        assert tuple(picture[row, 2]) == palette.worker_color(color)


def test_rows_that_nobody_computed_keep_their_colours():
    picture = draw_annotated_frame(grey(400, 400), (WorkerView("a", 0),), AnswerView()).rgb
    assert (picture[:400, :400] == 128).all()


def test_the_frame_itself_is_not_written_to():
    frame = grey(400, 400)
    frame.flags.writeable = False
    draw_annotated_frame(frame, cluster(3), full_answer())
    assert (frame == 128).all()


def test_frames_whose_rows_lie_apart_are_drawn_alike():
    wide = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    view = wide[:, 20:400]
    one = draw_annotated_frame(view, cluster(2), full_answer()).rgb
    np.testing.assert_array_equal(one, draw_annotated_frame(view.copy(), cluster(2), full_answer()).rgb)


def test_the_size_does_not_depend_on_texts_so_a_stream_keeps_its_size():
    short = draw_annotated_frame(grey(272, 640), cluster(3), AnswerView()).rgb.shape
    assert draw_annotated_frame(grey(272, 640), cluster(3, LONG), full_answer("long " * 50)).rgb.shape == short


def test_names_are_shortened_in_the_middle_and_sentences_at_the_end():
    name = LONG.format(7)
    short = fitted(name, 13, True, 150, keep_end=True)
    assert font(13, True).getlength(short) <= 150
    assert name.startswith(short.split("…")[0]) and name.endswith(short.split("…")[1]) and short.split("…")[1]
    assert fitted("some words", 13, False, 60).endswith("…")
    assert fitted("fits", 13, False, 500) == "fits"
    assert fitted("anything", 13, False, 1) == ""


def test_control_characters_cannot_break_the_lines():
    assert cleaned(" a\nb\tc\x00 ") == "a b c"


def test_numbers_are_formatted_for_people():
    assert [format_ms(value) for value in (0.04, 12.34, 99.94, 123.4, math.nan)] == [
        "0.0 ms", "12.3 ms", "99.9 ms", "123 ms", "- ms",
    ]  # fmt: skip
    assert [format_joules(value) for value in (0.0123, 0.41, 12.3, math.nan)] == ["12 mJ", "0.41 J", "12 J", "- J"]
    assert [format_percent(value) for value in (0.634, math.nan)] == ["63 %", "- %"]


def test_colours_repeat_and_numbers_read_on_all_of_them():
    assert palette.worker_color(0) == palette.worker_color(len(palette.WORKER_COLORS))
    for color in palette.WORKER_COLORS:
        text = palette.text_color_on(color)
        assert abs(sum(text) - sum(color)) / 3 > 80


def test_a_box_is_drawn_where_it_is_in_the_enlarged_picture_and_says_what_it_is():
    answer = AnswerView(boxes=(BoxView("face", 0.97, 20, 30, 40, 50),))
    rendering = draw_annotated_frame(grey(100, 100), (), answer)
    scale = rendering.rgb.shape[0] / 100
    assert scale > 2
    drawn = (rendering.rgb == palette.BOX).all(2)
    rows, columns = (np.flatnonzero(drawn[:, : int(100 * scale)].any(axis)) for axis in (1, 0))
    tag = 20
    assert (columns[0], columns[-1]) == (pytest.approx(20 * scale, abs=2), pytest.approx(60 * scale, abs=2))
    assert (rows[0], rows[-1]) == (pytest.approx(30 * scale - tag, abs=2), pytest.approx(80 * scale, abs=2))
    assert not drawn[round(55 * scale), round(25 * scale) : round(55 * scale)].any()  # it is no filled rectangle
    texts = [box.text for box in rendering.text_boxes]
    assert texts.count("face 97 %") == 1 and "face" in texts and "97 %" in texts  # on the picture, and in the panel
    assert_readable(rendering)


@pytest.mark.parametrize("height,width", SIZES)
def test_boxes_anywhere_and_of_any_number_leave_texts_readable(height, width):
    random = np.random.default_rng(0)
    boxes = [
        BoxView("a long label of a thing", float(random.random()), *map(float, random.uniform(-0.3, 1.1, 4) * width))
        for _ in range(40)
    ]
    rendering = draw_annotated_frame(grey(height, width), cluster(3), AnswerView(boxes=tuple(boxes)))
    assert_readable(rendering)
    outside = AnswerView(boxes=(BoxView("face", 1.0, 2.0 * width, 0, 10, 10),))
    assert not [t for t in draw_annotated_frame(grey(height, width), (), outside).text_boxes if t.text == "face 100 %"]
