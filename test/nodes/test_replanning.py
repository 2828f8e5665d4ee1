"""When the planner is asked to look for a better plan: dead band, persistence, growing pauses."""

import pytest

from coedge_ros.nodes.replanning import (
    CALM_S,
    HOLD_S,
    LOOK_S,
    MOST_CUTS,
    MOST_HOLD_S,
    MOST_LOOK_S,
    QUICK_S,
    REST,
    REST_PLAIN,
    URGENT_GAIN,
    Replanning,
)
from coedge_ros.planning.tracking import Estimates
from coedge_ros.spec.cluster import ClusterSpec, Host, Link, WorkerSpec

CLUSTER = ClusterSpec((Host("here"),), (WorkerSpec("a", "here"),), Link(0.001, 1e6), "here")
PLANNED = Estimates({"a": 1.0})
SLOW, SLOWER = Estimates({"a": 0.6}), Estimates({"a": 0.35})


class Bench:
    """Time passes in tenths of a second."""

    def __init__(self):
        self.replanning, self.now_s, self.epoch, self.is_quick = Replanning(CLUSTER), 100.0, 1, False

    def due_after(self, seconds: float, now: Estimates, planned: Estimates = PLANNED) -> bool:
        """Whether it is due at any time within `seconds`."""
        found = False
        for _ in range(round(10 * seconds)):
            self.now_s += 0.1
            found |= self.replanning.is_due(
                self.now_s, self.epoch, planned, now, margin=0.1, after_s=1.0, is_quick=self.is_quick
            )
        return found

    def replan(self) -> None:
        self.replanning.replanned(self.now_s)
        self.epoch += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_figures_within_the_margin_are_never_looked_at(bench):
    assert not bench.due_after(60.0, Estimates({"a": 0.92}))
    assert not bench.due_after(60.0, Estimates({"a": 1.09}))


def test_a_change_counts_when_it_has_lasted(bench):
    assert not bench.due_after(0.9, SLOW)
    assert bench.due_after(0.3, SLOW)


def test_a_plain_change_needs_to_last_half_as_long(bench):
    assert not bench.due_after(0.5, SLOWER)
    assert bench.due_after(0.2, SLOWER)


def test_a_passing_change_does_not_count(bench):
    for _ in range(5):
        assert not bench.due_after(0.9, SLOW)
        assert not bench.due_after(0.2, PLANNED)


def test_it_looks_again_when_figures_differ_from_those_for_which_nothing_better_was_found(bench):
    assert bench.due_after(2.0, SLOW)
    bench.replanning.found_little(SLOW, gain=0.1)
    assert not bench.due_after(60.0, SLOW)
    assert not bench.due_after(60.0, PLANNED)
    assert bench.due_after(2.0, SLOWER)


def test_what_was_found_for_one_plan_says_nothing_of_another(bench):
    assert bench.due_after(2.0, SLOW)
    bench.replanning.found_little(SLOW, gain=0.1)
    bench.epoch += 1
    assert bench.due_after(2.0, SLOW)


def test_after_a_plan_it_rests_and_each_flap_doubles_the_rest(bench):
    rests = []
    for _ in range(4):
        bench.replan()
        began = bench.now_s
        while not bench.due_after(0.1, SLOW):
            pass
        rests.append(round(bench.now_s - began, 1))
    assert rests == [pytest.approx(HOLD_S * factor, abs=0.11) for factor in (1, 2, 4, 8)]


def test_the_rest_has_a_limit_and_is_short_again_after_a_calm_time(bench):
    for _ in range(20):
        bench.replan()
        bench.now_s += 1.0
    bench.due_after(1.5, SLOW)
    assert bench.due_after(MOST_HOLD_S, SLOW)
    bench.now_s += 2 * MOST_HOLD_S + CALM_S
    bench.replan()
    assert bench.due_after(HOLD_S + 0.2, SLOW)


def long_rest(bench: Bench) -> None:
    for _ in range(5):
        bench.replan()
        bench.now_s += 1.0
    bench.replan()


def test_a_long_rest_is_cut_short_for_a_plain_change_only(bench):
    long_rest(bench)
    assert not bench.due_after(HOLD_S * 8 - 0.2, SLOW)  # an eighth of the rest is left; this change is not plain
    assert bench.due_after(0.4, SLOWER)


def test_a_link_that_was_cut_waits_for_no_long_rest(bench):
    long_rest(bench)
    cut = Estimates({"a": 1.0}, {("here", "there"): Link(0.001, 1e5)})
    assert not bench.due_after(LOOK_S - 0.2, cut)
    assert bench.due_after(0.4, cut)
    assert bench.replanning.least_gain(bench.now_s, margin=0.1) == 0.1
    bench.replan()
    began_s = bench.now_s
    while not bench.due_after(0.1, Estimates({"a": 0.6}, cut.links), cut):  # what was not known at once
        pass
    assert bench.now_s - began_s < HOLD_S
    assert bench.replanning.least_gain(bench.now_s, margin=0.1) == 0.1


def test_while_it_rests_another_plan_must_save_much_more(bench):
    long_rest(bench)
    assert bench.due_after(HOLD_S * 9, SLOWER)
    assert bench.replanning.least_gain(bench.now_s, margin=0.1) == URGENT_GAIN
    assert bench.replanning.least_gain(bench.now_s, margin=0.5) == 0.5
    bench.now_s += MOST_HOLD_S
    assert bench.replanning.least_gain(bench.now_s, margin=0.1) == 0.1


def test_little_that_was_found_while_it_rests_is_looked_at_again_after_it(bench):
    long_rest(bench)
    while not bench.due_after(0.1, SLOWER):
        pass
    bench.replanning.found_little(SLOWER, bench.replanning.least_gain(bench.now_s, margin=0.1))
    assert not bench.due_after(HOLD_S * 20, SLOWER)
    assert bench.due_after(HOLD_S * 32, SLOWER)


def test_looks_that_find_nothing_become_seldom_but_for_plain_changes(bench):
    swinging = [Estimates({"a": factor}) for factor in (0.6, 0.75)]
    looks = 0
    for k in range(60):
        if bench.due_after(1.5, swinging[k % 2]):
            looks += 1
            bench.replanning.found_little(swinging[k % 2], 0.1)
    assert 5 <= looks <= 90 / MOST_LOOK_S + 4  # 1, 2, 4, 8, 8, .. s apart
    assert bench.due_after(0.7, Estimates({"a": 0.2}))


def test_a_plan_that_was_made_at_once_is_looked_at_once_also_when_nothing_has_changed(bench):
    bench.is_quick = True
    assert not bench.due_after(QUICK_S - 0.1, PLANNED)
    assert bench.due_after(0.3, PLANNED)
    bench.replanning.found_little(PLANNED, 0.1)
    assert not bench.due_after(60.0, PLANNED)
    bench.epoch += 1
    assert bench.due_after(QUICK_S + 0.2, PLANNED)


def test_long_looks_are_further_apart_but_not_after_a_link_was_cut(bench):
    took_s = 0.8
    assert bench.due_after(1.5, SLOW)
    bench.replanning.looked(took_s)
    bench.replanning.found_little(SLOW, 0.1)
    began_s, cut = bench.now_s, Estimates({"a": 0.1}, {("here", "there"): Link(0.001, 1e5)})
    plainly = Estimates({"a": 0.2})
    while not bench.due_after(0.1, plainly):
        pass
    assert REST_PLAIN * took_s < bench.now_s - began_s < (2 + REST_PLAIN) * took_s
    bench.replanning.found_little(plainly, 0.1)
    began_s = bench.now_s
    while not bench.due_after(0.1, Estimates({"a": 0.3})):
        pass
    assert REST * took_s < bench.now_s - began_s < (2 + REST) * took_s
    bench.replanning.found_little(Estimates({"a": 0.3}), 0.1)
    assert bench.due_after(LOOK_S + 0.1, cut)


def test_links_that_are_cut_again_and_again_are_noise_until_it_was_calm(bench):
    rates, planned, plans = (1e5, 1e6), PLANNED, []
    began_s = bench.now_s
    for _ in range(300):
        now = Estimates({"a": 1.0}, {("here", "there"): Link(0.001, rates[len(plans) % 2])})
        if bench.due_after(0.1, now, planned):
            bench.replan()
            plans.append(bench.now_s - began_s)
            planned = now
    assert plans[MOST_CUTS - 1] < MOST_CUTS * (LOOK_S + 1.0)
    assert max(b - a for a, b in zip(plans[MOST_CUTS:], plans[MOST_CUTS + 1 :], strict=False)) > HOLD_S  # pauses grow
    assert bench.replanning.least_gain(bench.now_s, margin=0.1) == URGENT_GAIN
    bench.now_s += 2 * MOST_HOLD_S
    cut = Estimates({"a": 1.0}, {("here", "there"): Link(0.001, 1e4)})
    assert bench.due_after(1.5, cut, planned) and bench.replanning.least_gain(bench.now_s, margin=0.1) == 0.1
