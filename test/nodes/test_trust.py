"""What follows from self-checks; decisions only."""

import pytest

from coedge_ros.nodes.trust import Trust


@pytest.fixture
def doubted():
    trust = Trust()
    trust.use(1)
    trust.was_wrong(1, "frame 7 differs")
    return trust


def test_workers_are_believed_until_a_frame_is_wrong():
    trust = Trust()
    trust.use(1)
    assert trust.lets_work(0) and trust.lets_work(1) and trust.reason == ""
    assert not trust.was_right(1)  # nothing to clear
    trust.was_wrong(1, "frame 1 differs")
    assert not trust.lets_work(2) and trust.reason == "frame 1 differs"


def test_a_right_frame_of_earlier_does_not_clear_a_wrong_one(doubted):
    assert not doubted.was_right(6) and doubted.reason and not doubted.lets_work(8)


@pytest.mark.parametrize("cause", ["asked for", "another plan"])
def test_one_frame_is_tried_and_when_it_is_right_all_go_to_the_workers_again(doubted, cause):
    doubted.try_again() if cause == "asked for" else doubted.use(2)
    assert doubted.lets_work(8) and doubted.trial == 8
    assert not doubted.lets_work(9)  # until it is known what became of the other
    assert doubted.lets_work(8)  # issued again
    assert doubted.was_right(8) and doubted.reason == "" and doubted.lets_work(10)


def test_a_wrong_trial_leaves_things_as_they_were(doubted):
    doubted.use(2)
    assert doubted.lets_work(8)
    doubted.was_wrong(2, "frame 8 differs")
    assert not doubted.lets_work(9) and doubted.reason == "frame 8 differs"


def test_a_frame_that_the_workers_did_not_answer_proves_nothing_and_the_next_one_is_tried(doubted):
    doubted.try_again()
    assert doubted.lets_work(8)
    doubted.no_trial_of(8)
    assert doubted.lets_work(9) and doubted.trial == 9


def test_a_wrong_frame_of_a_plan_that_is_over_puts_the_new_one_on_trial():
    trust = Trust()
    trust.use(1)
    trust.use(2)
    trust.was_wrong(1, "frame 7 differs")
    assert trust.reason and trust.lets_work(8) and trust.trial == 8


def test_asking_for_a_trial_of_workers_that_are_believed_changes_nothing():
    trust = Trust()
    trust.try_again()
    assert trust.lets_work(1) and trust.lets_work(2) and trust.trial is None
