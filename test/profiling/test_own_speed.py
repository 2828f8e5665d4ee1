"""An idle worker tells how fast it is against its start."""

import math

import pytest

from coedge_ros.profiling.own_speed import LONG_PERIOD_S, QUIET_S, RUNS, OwnSpeed


class Clock:
    def __init__(self):
        self.now_s, self.work_s, self.runs = 0.0, 0.001, 0

    def __call__(self) -> float:
        return self.now_s

    def work(self) -> None:
        self.runs += 1
        self.now_s += self.work_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_throttled_worker_says_so_and_says_when_it_is_over(clock):
    speed = OwnSpeed(clock.work, clock)
    speed.start()
    clock.work_s = 0.004
    speed.look(QUIET_S)
    assert speed.factor == pytest.approx(0.25)
    clock.work_s = 0.001
    clock.now_s += LONG_PERIOD_S
    speed.look(QUIET_S)
    assert speed.factor == pytest.approx(1.0)


def test_the_start_is_measured_by_its_fastest_run(clock):
    times = iter([0.009, 0.001] * 100)

    def disturbed() -> None:
        clock.now_s += next(times)

    speed = OwnSpeed(disturbed, clock)
    speed.start()
    speed._work, clock.work_s = clock.work, 0.001
    speed.look(QUIET_S)
    assert speed.factor == pytest.approx(1.0)


def test_a_burst_that_a_quota_lets_pass_is_not_taken_for_a_recovery(clock):
    speed = OwnSpeed(clock.work, clock)
    speed.start()
    since = 0

    def under_a_quota() -> None:
        nonlocal since
        since += 1
        clock.now_s += 0.001 if since <= RUNS else 0.005

    speed._work = under_a_quota
    for _ in range(3):
        since = 0
        speed.look(QUIET_S)
        assert speed.factor < 0.3
        clock.now_s += LONG_PERIOD_S


def test_what_is_no_news_is_measured_shortly(clock):
    speed = OwnSpeed(clock.work, clock)
    speed.start()
    speed.look(QUIET_S)
    clock.now_s += LONG_PERIOD_S
    runs = clock.runs
    speed.look(QUIET_S)
    assert clock.runs == runs + RUNS


def test_the_first_runs_after_a_pause_are_no_news(clock):
    speed = OwnSpeed(clock.work, clock)
    speed.start()
    speed.look(QUIET_S)
    times = iter([0.003, *[0.001] * (RUNS - 1)])

    def cold() -> None:
        clock.runs += 1
        clock.now_s += next(times)

    speed._work = cold
    clock.now_s += LONG_PERIOD_S
    runs = clock.runs
    speed.look(QUIET_S)
    assert clock.runs == runs + RUNS and speed.factor == pytest.approx(1.0)


def test_it_says_and_does_nothing_while_there_are_frames(clock):
    speed = OwnSpeed(clock.work, clock)
    speed.start()
    runs = clock.runs
    speed.look(0.0)
    assert math.isnan(speed.factor) and clock.runs == runs


def test_it_measures_now_and_then_only(clock):
    speed = OwnSpeed(clock.work, clock)
    speed.look(QUIET_S)  # before start there is nothing to compare with
    assert math.isnan(speed.factor) and clock.runs == 0
    speed.start()
    speed.look(QUIET_S)
    runs = clock.runs
    for _ in range(100):
        speed.look(QUIET_S)
    assert clock.runs == runs


def test_the_real_work_takes_less_than_a_frame():
    speed = OwnSpeed()
    speed.start()
    speed.look(QUIET_S)
    assert 0 < speed.factor < 20


def test_beside_frames_that_tell_nothing_it_measures_shortly_and_seldom(clock):
    speed = OwnSpeed(clock.work, clock)
    speed.start()
    clock.work_s, runs = 0.004, clock.runs
    speed.look(QUIET_S, is_serving=True)
    assert speed.factor == pytest.approx(0.25) and clock.runs == runs + RUNS  # news, and all the same no longer
    clock.now_s += 0.9 * LONG_PERIOD_S
    speed.look(QUIET_S, is_serving=True)
    assert clock.runs == runs + RUNS
