"""The live picture of `coedge watch`: what it says, and that nothing is cut off at 100 x 30."""

import io
import math

import pytest
from rich.console import Console

from coedge_ros.drawing.cluster_view import ClusterView, EventLine, FrameLines, Health, PlanLines, WorkerLine
from coedge_ros.drawing.terminal import draw_cluster

CUT = "…"  # what rich puts where something does not fit


def lines_of(view: ClusterView, width: int = 100, height: int = 30) -> list[str]:
    # wider than the picture: a line that is too long must show, not be folded
    console = Console(file=io.StringIO(), width=width + 50, color_system=None)
    console.print(draw_cluster(view, width, height))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def worker(number: int, health: Health = Health.OK, **fields) -> WorkerLine:
    values = {
        "load": 0.42, "rows": 75, "share": 0.335, "compute_ms": 123.4, "wait_ms": 45.6, "energy_j": 0.012,
        "bytes_in_per_s": 1.25e6, "bytes_out_per_s": 123.4e6, "speed": 0.98,
    }  # fmt: skip
    return WorkerLine(f"worker_{number}", number, health, **(values | fields))


def full_view(workers: int = 3, events: int = 20) -> ClusterView:
    return ClusterView(
        namespace="coedge", clock="12:34:56", state="active",
        workers=tuple(worker(i + 1) for i in range(workers)),
        plan=PlanLines(
            7, "fused", "throughput", "mobilenet_v2 480x640", 14, "worker_2", 123.4, 0.345, 150.0,
            ((0, 75), (1, 75), (2, 74)), ("robot to box 93.5 Mbit/s",),
        ),
        frames=FrameLines(
            45.6, 123.4, 12.3, (10.0, 20.0, math.nan, 40.0) * 15, 123456, 123450,
            (("replaced by a newer frame", 12), ("unreadable image", 1)), 1, 2, 3, 4, 500, 2.4e-6,
        ),
        events=tuple(EventLine(f"12:30:{i:02d}", f"event number {i}") for i in range(events)),
    )  # fmt: skip


@pytest.mark.parametrize("workers", [0, 1, 3, 8, 30])
@pytest.mark.parametrize("events", [0, 40])
def test_the_picture_fits_100_by_30_and_nothing_is_cut_off(workers, events):
    lines = lines_of(full_view(workers, events))
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
    assert not [line for line in lines if CUT in line]


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_other_terminals_are_filled_and_not_exceeded(size):
    lines = lines_of(full_view(), *size)
    assert len(lines) <= size[1] and max(map(len, lines)) == size[0]


def test_a_narrow_terminal_shows_fewer_figures_rather_than_parts_of_all():
    table = lines_of(full_view(), 80, 24)[1:6]
    assert not [line for line in table if CUT in line]
    assert "worker_1" in table[2] and "123 ms" in table[2] and "0.98" in table[2] and "MB/s" not in table[1]


def test_every_figure_is_there():
    text = "\n".join(lines_of(full_view()))
    for words in (
        "/coedge", "active", "12:34:56", "worker_1", "ok", "42%", "75  34 %", "123 ms", "45.6 ms", "12 mJ", "1.25",
        "123.4", "0.98", "7  by fused for throughput", "mobilenet_v2 480x640", "123 ms, 0.34 J a frame", "150 ms",
        "14, head on worker_2", "robot to box 93.5 Mbit/s", "p50 45.6 ms  p99 123 ms", "12.3 /s",
        "123450 of 123456 answered", "13  replaced by a newer frame", "lost", "500 seen, off by at most 2e-06",
    ):  # fmt: skip
        assert words in text, f"{words}\n{text}"


def test_a_dead_worker_stands_out_and_shows_no_old_figures():
    dead = worker(2, Health.LOST, silent_s=12.3)
    (line,) = [line for line in lines_of(ClusterView("coedge", workers=(worker(1), dead))) if "worker_2" in line]
    assert "LOST 12 s" in line and "75" not in line and "123 ms" not in line
    fading = worker(2, Health.SILENT, silent_s=0.9)
    (fading,) = [line for line in lines_of(ClusterView("coedge", workers=(fading,))) if "worker_2" in line]
    assert "silent 0.9 s" in fading and "42%" in fading


def test_workers_that_do_not_fit_are_counted_with_those_that_are_lost():
    view = full_view(30)
    lost = tuple(worker(i, Health.LOST, silent_s=3.0) for i in (31, 32))
    text = "\n".join(lines_of(ClusterView("coedge", workers=view.workers + lost)))
    assert "and 21 more" in text and "2 LOST" in text


def test_the_newest_events_are_shown_and_a_long_one_goes_on_in_the_next_line():
    long = EventLine("12:31:00", "plan 9 (" + "worker_2 is slower than it was, " * 6 + "the end)")
    text = "\n".join(lines_of(ClusterView("coedge", events=(*full_view().events, long))))
    assert "the end)" in text and "event number 19" in text and "event number 0\n" not in text


def test_an_empty_view_says_that_nobody_was_heard():
    text = "\n".join(lines_of(ClusterView("team/robots")))
    assert "no manager heard" in text and "no worker heard" in text and "/team/robots" in text


def test_what_the_self_check_found_is_said():
    frames = FrameLines(checked=3, check_ratio=0.5, doubt="self-check of frame 4: output differs")
    assert "self-check of frame 4" in "\n".join(lines_of(ClusterView("coedge", frames=frames)))
