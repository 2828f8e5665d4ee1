"""Running estimates: outliers pass, changes are seen, pretended speeds stay pretended."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coedge_ros.planning.tracking import LINK_WINDOW, SPEED_WINDOW, Estimates, Tracker, changes
from coedge_ros.spec.cluster import ClusterSpec, Host, Link, MeasuredTimes, StageTimes, WorkerSpec
from coedge_ros.spec.profile import Profile

LINK = Link(0.001, 12.5e6)


def cluster() -> ClusterSpec:
    hosts = (Host("here"), Host("there"))
    return ClusterSpec(hosts, (WorkerSpec("a", "here", speed_factor=0.1), WorkerSpec("b", "there")), LINK, "here")


def tracker(*factors: float) -> Tracker:
    found = Tracker()
    for factor in factors:
        found.computed("a", 0.010, 0.010 / factor)
    return found


def test_a_few_samples_tell_nothing():
    assert tracker(*[0.3] * (SPEED_WINDOW - 1)).estimates == Estimates()
    assert tracker(*[0.3] * SPEED_WINDOW).estimates.speed == {"a": pytest.approx(0.3)}


def test_a_slow_frame_is_a_hiccup_and_two_that_are_plainly_slow_or_three_are_a_slower_worker():
    steady = [1.0] * SPEED_WINDOW
    assert tracker(*steady, 0.1).estimates.speed["a"] == pytest.approx(1.0)
    assert tracker(*steady, 0.1, 1.0, 0.1).estimates.speed["a"] == pytest.approx(1.0)
    assert tracker(*steady, 0.1, 0.2).estimates.speed["a"] == pytest.approx(0.2)
    assert tracker(*steady, 4.0, 5.0).estimates.speed["a"] == pytest.approx(4.0)
    assert tracker(*steady, 0.6, 0.6).estimates.speed["a"] == pytest.approx(1.0)
    assert tracker(*steady, 0.6, 0.6, 0.6).estimates.speed["a"] == pytest.approx(0.6)


@given(st.lists(st.floats(0.01, 100.0), min_size=SPEED_WINDOW, max_size=40))
def test_the_estimate_lies_among_the_last_samples(factors):
    found = tracker(*factors).estimates.speed["a"]
    last = factors[-SPEED_WINDOW:]
    assert min(last) * (1 - 1e-9) <= found <= max(last) * (1 + 1e-9)


@pytest.mark.parametrize(
    "expected_s, compute_s", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, math.inf)]
)
def test_what_is_no_measurement_is_ignored(expected_s, compute_s):
    found = Tracker()
    for _ in range(SPEED_WINDOW):
        found.computed("a", expected_s, compute_s)
        found.checked("a", math.nan)
        found.carried("here", "there", Link(math.nan, 1.0))
        found.carried("here", "there", Link(0.1, 0.0))
        found.carried("here", "there", Link(0.1, math.inf))
        found.carried("here", "there", Link(0.1, -1.0))
    assert found.estimates == Estimates()


def test_a_link_is_as_good_as_its_second_best_probe_because_frames_slow_the_others():
    found = Tracker()
    for rate, alpha in ((12e6, 0.002), (99e6, 0.0), (2e6, 0.004)):
        found.carried("here", "there", Link(alpha, rate))
    assert found.estimates.links == {("here", "there"): Link(0.002, 12e6)}
    for _ in range(LINK_WINDOW - 1):
        found.carried("here", "there", Link(0.003, 1e6))
    assert found.estimates.links[("here", "there")].bytes_per_s == 1e6


def test_a_probe_that_tells_no_rate_changes_the_latency_only():
    found, nothing = Tracker(), Link(0.004, math.nan)
    found.carried("here", "there", Link(0.001, 12e6))
    for _ in range(5):
        found.carried("here", "there", nothing)
    assert not found.estimates.links  # one rate tells nothing, however often it is not told again
    for rate in (12e6, 11e6):
        found.carried("here", "there", Link(0.001, rate))
    found.carried("here", "there", nothing)
    assert found.estimates.links == {("here", "there"): Link(0.001, 12e6)}


def test_a_worker_that_was_restarted_has_no_estimate():
    found = tracker(*[0.3] * SPEED_WINDOW)
    found.forget("a")
    found.forget("nobody")
    assert found.estimates == Estimates()


def test_an_estimate_slows_what_is_pretended_and_what_was_measured_alike():
    estimates = Estimates({"a": 0.5}, {("here", "there"): Link(0.1, 1e6)})
    adapted = estimates.of(cluster())
    assert Profile(adapted, {"a": 1e9, "b": 2e9}).speed_macs_per_s("a") == 1e9 * 0.1 * 0.5
    assert Profile(adapted, {"a": 1e9, "b": 2e9}).speed_macs_per_s("b") == 2e9
    assert adapted.link("here", "there") == Link(0.1, 1e6) and adapted.link("there", "here") == LINK
    assert Estimates().of(cluster()) == cluster()


def test_changes_are_named_largest_first_against_what_the_file_says():
    now = Estimates({"a": 0.8, "b": 1.0}, {("here", "there"): Link(0.001, 1.25e6)})
    first, second = changes(Estimates(), now, cluster())
    assert first.text == "here to there carries 10 Mbit/s after 1 ms, not 100 Mbit/s after 1 ms"
    assert first.ratio == pytest.approx((0.001 + 30720 / 1.25e6) / (0.001 + 30720 / 12.5e6))
    assert second.text == "a runs at 0.80 of the speed it announced, not 1.00" and second.ratio == pytest.approx(1.25)
    assert changes(now, Estimates(), cluster())[0].ratio == pytest.approx(first.ratio)
    assert changes(now, now, cluster()) == []


def test_stage_times_of_the_file_are_scaled_too():
    times = MeasuredTimes("m", 8, 8, (StageTimes("x", "x", (8,), (1.0,)),))
    worker = WorkerSpec("a", "here", measured=(times,))
    spec = ClusterSpec((Host("here"),), (worker,), LINK, "here")
    assert Estimates({"a": 0.25}).of(spec).worker("a").speed_factor == 0.25  # by which the planner divides them
