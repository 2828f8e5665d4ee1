"""The pictures of `coedge compare`: everything readable, nothing missing."""

import itertools

import numpy as np
import pytest

from coedge_ros.drawing.adaptation_lines import AdaptationPanel, draw_adaptation
from coedge_ros.drawing.comparison_bars import Bar, BarPanel, draw_bars
from coedge_ros.drawing.comparison_lines import Line, LinePanel, LinesText, draw_lines
from coedge_ros.drawing.planner_style import planner_style

PLANNERS = ("local", "modnn", "musical_chair", "deepthings", "coedge", "exact", "fused")
LONG = "my_company.perception.models.experiments.nets_$a$_{}:make_a_detector_for_tomatoes_and_nothing_else"
SUBTITLE = "links of 50 Mbit/s; deadline 1 x the best single worker's latency; predicted by the cost model; and so on"
TEXT = LinesText("Energy of a frame against its deadline", SUBTITLE, "deadline [ms]", "energy [J]")


def assert_readable(rendering):
    height, width = rendering.rgb.shape[:2]
    for box in rendering.text_boxes:
        assert box.inside(width, height), f"{box} leaves the picture {width} x {height}"
    for one, other in itertools.combinations(rendering.text_boxes, 2):
        assert not one.overlaps(other), f"{one} overlaps {other}"


def texts_of(rendering):
    return [box.text for box in rendering.text_boxes]


def bar_panels(models, planners, name="net_{}", spread=1.0, misses=(1,)):
    panels = []
    for m in range(models):
        bars = [
            Bar(p, (1.2 + 0.1 * i) * spread**i, (40 + m) * spread**i, i not in misses)
            for i, p in enumerate(PLANNERS[:planners])
        ]
        panels.append(BarPanel(name.format(m), 50.0 if misses else None, tuple(bars)))
    return panels


# -- bars -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("models", [1, 2, 5])
@pytest.mark.parametrize("planners", [1, 7])
@pytest.mark.parametrize("name", ["net_{}", LONG])
def test_bars_are_readable_for_any_number_of_models_and_planners(models, planners, name):
    rendering = draw_bars(bar_panels(models, planners, name), SUBTITLE)
    assert_readable(rendering)
    texts = texts_of(rendering)
    rows = -(-models // 4)
    for planner in PLANNERS[:planners]:
        assert texts.count(planner_style(planner).label) == 2 * rows
    assert texts.count("energy [J]") == texts.count("latency [ms]") == models
    assert texts.count("deadline 50.0 ms") == models


@pytest.mark.parametrize("spread", [0.01, 3.0, 1000.0])
def test_bars_of_very_different_lengths_are_readable_and_their_numbers_are_all_there(spread):
    rendering = draw_bars(bar_panels(4, 5, spread=spread), "links of 10 Mbit/s")
    assert_readable(rendering)
    numbers = [text for text in texts_of(rendering) if text.replace(".", "").replace("e-", "").isdigit()]
    assert len(numbers) == 4 * 5 * 2
    if spread > 1:
        assert any("a gap in a bar: longer than drawn" in text for text in texts_of(rendering))


def test_a_plan_that_misses_the_deadline_is_hatched_with_its_number_and_a_legend():
    met, missed = (draw_bars(bar_panels(1, 3, misses=m), "-") for m in ((7,), (1,)))
    assert "misses the deadline" in texts_of(missed) and "misses the deadline" not in texts_of(met)
    assert set(texts_of(missed)) - set(texts_of(met)) == {"misses the deadline"}
    # MoDNN's orange: a full bar on one, lines with white between on the other
    orange = [(np.abs(r.rgb.astype(int) - (247, 147, 30)).max(axis=2) < 8).sum() for r in (met, missed)]
    assert orange[0] > 1000 > orange[1]


def test_the_deadline_is_a_line_at_its_place():
    # bars of 40, 41, ... ms; the line is at 50 ms: as far from a bar's left end as 50 / 40 of that bar
    rendering = draw_bars([BarPanel("net", 50.0, (Bar("fused", 1.0, 40.0, True), Bar("local", 1.0, 80.0, False)))], "-")
    rgb = rendering.rgb.astype(int)
    green = (np.abs(rgb - (76, 187, 106)).max(axis=2) < 4)[rgb.shape[0] // 2 :]
    columns = np.flatnonzero(green.any(axis=0))
    left, right = columns[0], columns[-1]
    dark = (rgb.max(axis=2) < 90)[rgb.shape[0] // 2 :]
    # in the rows of no bar, only the dashed line is dark
    gap = [row for row in range(len(green)) if not green[row].any()]
    expected = left + (right - left) * 50 / 40
    assert dark[gap][:, int(expected) - 3 : int(expected) + 4].any()


def test_the_deadlines_line_does_not_run_through_a_number():
    with_line, without = (
        draw_bars([BarPanel("net", deadline, (Bar("fused", 7.0, 40.5, True), Bar("local", 7.0, 60.5, True)))], "-")
        for deadline in (43.0, 1e6)
    )
    (box,) = (box for box in without.text_boxes if box.text == "40.5")
    shift = with_line.rgb.shape[0] - without.rgb.shape[0]  # the legend names the line in both
    rows, columns = slice(round(box.top), round(box.bottom)), slice(round(box.left), round(box.right))
    assert shift == 0 and (with_line.rgb != without.rgb).any()
    assert (with_line.rgb[rows, columns] == without.rgb[rows, columns]).all()


def test_no_deadline_is_said():
    assert "no deadline" in texts_of(draw_bars(bar_panels(1, 2, misses=()), "-"))


# -- lines ------------------------------------------------------------------------------------------------------------


def line_panels(models, planners, settings, name="net_{}", spread=1.0, met=lambda i, x: True):
    return [
        LinePanel(
            name.format(m),
            tuple(settings),
            tuple(
                Line(p, tuple((1 + i) * spread**k for k in range(len(settings))), tuple(met(i, x) for x in settings))
                for i, p in enumerate(PLANNERS[:planners])
            ),
        )
        for m in range(models)
    ]


@pytest.mark.parametrize("models", [1, 3])
@pytest.mark.parametrize("planners", [1, 7])
@pytest.mark.parametrize("name", ["net_{}", LONG])
def test_lines_are_readable_for_any_number_of_models_and_planners(models, planners, name):
    settings = (0.5, 0.6, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
    rendering = draw_lines(line_panels(models, planners, settings, name, met=lambda i, x: x >= 1), TEXT)
    assert_readable(rendering)
    texts = texts_of(rendering)
    assert {planner_style(p).label for p in PLANNERS[:planners]} <= set(texts)
    assert {TEXT.title, "misses the deadline", "no planner meets it"} <= set(texts)
    assert SUBTITLE in " ".join(texts)
    assert texts.count("deadline [ms]") == texts.count("energy [J]") == models


@pytest.mark.parametrize("spread", [0.2, 0.9999, 1.3, 10.0])
@pytest.mark.parametrize(
    "settings", [(1.0,), (5.0, 1000.0), (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 600.0, 1000.0)]
)
def test_lines_of_any_range_have_a_few_numbers_on_both_axes(spread, settings):
    rendering = draw_lines(line_panels(2, 3, settings, spread=spread), TEXT)
    assert_readable(rendering)
    numbers = [
        text for text in texts_of(rendering) if text.replace(".", "").replace("e-", "").replace("e+", "").isdigit()
    ]
    assert len(numbers) >= 2 * (1 + min(len(settings), 2))


def test_a_count_has_whole_numbers():
    boxes = draw_lines(line_panels(1, 2, range(1, 9)), TEXT, log_x=False).text_boxes
    label = next(box for box in boxes if box.text == TEXT.x_label)
    under = [box.text for box in boxes if label.top - 25 < box.top < label.top]
    assert under == [str(count) for count in range(1, 9)]


def test_nothing_is_said_of_deadlines_when_all_meet_them():
    texts = texts_of(draw_lines(line_panels(1, 2, (1.0, 2.0)), TEXT))
    assert "misses the deadline" not in texts and "no planner meets it" not in texts


def test_planners_with_the_same_answer_are_all_seen():
    same = tuple(Line(p, (1.0, 1.0, 1.0), (True,) * 3) for p in ("local", "coedge", "fused"))
    rgb = draw_lines([LinePanel("net", (1.0, 2.0, 3.0), same)], TEXT).rgb.astype(int)
    plot = rgb[rgb.shape[0] // 3 :]
    for planner in ("local", "coedge", "fused"):
        line = planner_style(planner).line
        color = [int(line[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(plot - color).max(axis=2) < 6).sum() > 300, planner


def test_a_planner_that_is_not_known_has_its_name():
    assert planner_style("mine").label == "mine"


# -- adaptation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("models", [1, 4])
@pytest.mark.parametrize("name", ["net_{}", LONG])
@pytest.mark.parametrize("rates", [(100.0, 20.0, 4.0, 40.0, 200.0), (50.0,)])
def test_adaptation_is_readable(models, name, rates):
    times = [0.5 * i for i in range(81)]
    rate = [rates[i * len(rates) // 81] for i in range(81)]
    lines = {(p, again): [1e3 / r + 10 * again for r in rate] for p in ("coedge", "fused") for again in (False, True)}
    rendering = draw_adaptation(
        times, rate, [AdaptationPanel(name.format(m), lines) for m in range(models)], "simulated"
    )
    assert_readable(rendering)
    texts = texts_of(rendering)
    assert {
        "fused (ours), planned again",
        "CoEdge, first plan kept",
        "rate of the links between hosts",
        "Mbit/s",
    } <= set(texts)
    assert texts.count("latency [ms]") == models and texts.count("time [s]") == 1
