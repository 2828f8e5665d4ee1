"""What trains of messages say of a link that loses some of them."""

import math

import pytest

from coedge_ros.nodes.link_trains import (
    COALESCED_S,
    MESSAGE_BYTES,
    MISSED_IN_A_ROW,
    MISSED_S,
    MOST_PERIOD_S,
    PERIOD_S,
    TRAIN_BYTES,
    IncomingTrain,
    SentTrains,
)
from coedge_ros.spec.cluster import Link

RATE = 1e6
STEP_S = MESSAGE_BYTES / RATE


def arrived(*indices: int) -> IncomingTrain:
    train = IncomingTrain(7, began_s=99.0)
    for index in indices:
        train.take(index, MESSAGE_BYTES, 100 + index * STEP_S)
    return train


@pytest.mark.parametrize("indices", [(1, 2, 3, 4), (1, 2), (3, 4), (1, 2, 4), (2, 3), (1, 3, 4)])
def test_messages_behind_each_other_give_the_rate_whatever_else_is_lost(indices):
    assert arrived(*indices).bytes_per_s == pytest.approx(RATE)


@pytest.mark.parametrize("came", [(0.0, 0.0, 1.0, 2.0), (0.0, 1.0, 1.01, 2.0), (0.0, 1.0, 2.0, 2.0)])
def test_messages_that_waited_for_a_busy_receiver_and_came_at_once_tell_nothing(came):
    train = IncomingTrain(7, began_s=99.0)
    for index, steps in enumerate(came, start=1):
        train.take(index, MESSAGE_BYTES, 100 + steps * STEP_S)
    assert train.bytes_per_s == pytest.approx(RATE, rel=0.02)


@pytest.mark.parametrize("gaps", [(1.0, 1.0, 40.0), (40.0, 1.0, 1.0), (1.0, 40.0, 1.0), (1.0, 0.001, 1.0)])
def test_one_message_that_was_held_up_or_waited_for_a_busy_receiver_does_not_spoil_a_train(gaps):
    train, came = IncomingTrain(7, began_s=99.0), 0.0
    for index, gap in enumerate((0.0, *gaps), start=1):
        came += gap
        train.take(index, MESSAGE_BYTES, 100 + came * STEP_S)
    assert train.bytes_per_s == pytest.approx(RATE, rel=0.01)


@pytest.mark.parametrize("gap_s", [0.0, 3e-6, 1.5e-5])
def test_a_train_that_came_all_at_once_tells_no_rate(gap_s):
    train = IncomingTrain(7, began_s=99.0)
    for index in range(1, 5):
        train.take(index, MESSAGE_BYTES, 100 + index * gap_s)
    assert train.bytes_per_s == 0


@pytest.mark.parametrize("indices", [(1, 2), (2, 3), (1, 2, 3), (1, 2, 4)])
def test_what_came_at_once_of_a_train_that_is_not_whole_tells_no_rate(indices):
    """It is a quick link or a busy receiver: two in three such figures were wrong by 20 times."""
    train = IncomingTrain(7, began_s=99.0)
    for index in indices:
        train.take(index, MESSAGE_BYTES, 100 + index * 0.9 * COALESCED_S)
    assert train.bytes_per_s == 0


def test_what_a_network_card_hands_over_at_once_counts_as_a_whole():
    train = IncomingTrain(7, began_s=99.0)
    for index, came_s in enumerate((0.0, 2e-6, 4e-6, 1.5e-4), start=1):
        train.take(index, MESSAGE_BYTES, 100 + came_s)
    assert train.bytes_per_s == pytest.approx(3 * MESSAGE_BYTES / 1.5e-4, rel=0.01)


@pytest.mark.parametrize("indices", [(), (1,), (2,), (1, 3), (2, 4), (4, 3), (2, 2)])
def test_too_few_messages_tell_no_rate(indices):
    assert arrived(*indices).bytes_per_s == 0


def test_an_answer_gives_the_link_and_closes_older_trains():
    trains = SentTrains()
    trains.sent(1, 0.0)
    trains.sent(2, 0.5)
    assert trains.answered(2, 0.54, hold_s=0.02, bytes_per_s=RATE) == Link(pytest.approx(0.01), RATE)
    assert trains.answered(1, 0.55, 0.02, RATE) is None and trains.answered(2, 0.55, 0.02, RATE) is None
    assert trains.missed(100.0) == []


def test_a_train_of_which_too_little_came_tells_the_latency_only():
    trains = SentTrains()
    for number, rate in ((1, 0.0), (2, RATE), (3, 0.0)):
        trains.sent(number, float(number))
        link = trains.answered(number, number + 0.8, 0.0, bytes_per_s=rate)
        assert link.alpha_s == pytest.approx(0.4)
        assert link.bytes_per_s == rate if rate else math.isnan(link.bytes_per_s)


def test_trains_that_never_come_back_say_that_the_link_carries_next_to_nothing():
    trains = SentTrains()
    for number in range(MISSED_IN_A_ROW + 1):
        trains.sent(number, float(number))
    assert trains.missed(MISSED_S) == []  # the first may still come
    assert trains.missed(MISSED_IN_A_ROW - 2 + MISSED_S + 0.1) == []
    (link,) = trains.missed(MISSED_IN_A_ROW - 1 + MISSED_S + 0.1)
    assert link.bytes_per_s == pytest.approx(TRAIN_BYTES / MISSED_S) and link.alpha_s > 0.5
    late = MISSED_IN_A_ROW + 0.5
    assert trains.answered(MISSED_IN_A_ROW, late, 0.0, RATE) == Link(pytest.approx(0.25), RATE)
    for number in range(10, 12):  # counted anew
        trains.sent(number, 10.0)
    assert trains.missed(20.0) == []


def test_trains_take_a_small_part_of_a_slow_link():
    trains = SentTrains()
    for number, (rate, wanted_s) in enumerate([(1e9, PERIOD_S), (0.7e6, 0.7), (1e3, MOST_PERIOD_S)]):
        trains.sent(number, 0.0)
        trains.answered(number, 0.1, 0.0, rate)
        trains.sent(100 + number, 1.0)
        assert not trains.is_due(1.0 + wanted_s - PERIOD_S / 2 - 0.01)
        assert trains.is_due(1.0 + wanted_s)
        trains.answered(100 + number, 1.1, 0.0, rate)
