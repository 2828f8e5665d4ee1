"""Bands cover the height, each row once, and are as near to the shares as whole rows can be."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coedge_ros.rows.row_set import RowSet
from coedge_ros.rows.split import band, bands, scale_boundaries, split_by_shares

_SHARES = st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 1e3)), min_size=1, max_size=6).filter(any)
_BOUNDARIES = st.lists(st.integers(0, 40), min_size=1, max_size=6).map(lambda cuts: (0, *accumulate(cuts)))


@given(st.integers(0, 500), _SHARES)
def test_boundaries_ascend_from_zero_to_the_height_and_keep_to_the_shares(height, shares):
    bounds = split_by_shares(height, shares)
    assert bounds[0] == 0 and bounds[-1] == height and len(bounds) == len(shares) + 1
    assert list(bounds) == sorted(bounds)
    for i, share in enumerate(shares):
        if share == 0:
            assert bounds[i] == bounds[i + 1]
        ideal = height * sum(shares[: i + 1]) / sum(shares)
        assert abs(bounds[i + 1] - ideal) < 1


def test_equal_shares_differ_by_one_row_at_most():
    for height in range(60):
        for count in range(1, 6):
            heights = [len(r) for r in bands(split_by_shares(height, [1] * count))]
            assert max(heights) - min(heights) <= 1


@pytest.mark.parametrize("shares", [[], [0, 0], [1, -1]])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(ValueError, match="shares must be >= 0"):
        split_by_shares(10, shares)


@given(_BOUNDARIES.filter(lambda b: b[-1] > 0), st.integers(0, 300))
def test_scaled_boundaries_are_the_same_bands_of_another_height(bounds, height):
    scaled = scale_boundaries(bounds, height)
    assert scaled[0] == 0 and scaled[-1] == height and list(scaled) == sorted(scaled)
    for before, after in zip(bounds, scaled, strict=True):
        assert abs(after - before * height / bounds[-1]) <= 0.5
        assert before != 0 or after == 0  # a band of no rows at an end stays one
        assert before != bounds[-1] or after == height


@given(_BOUNDARIES.filter(lambda b: b[-1] > 0))
def test_every_row_has_one_owner(bounds):
    owners = [
        sum(band(bounds, i).covers(RowSet.of((row, row + 1))) for i in range(len(bounds) - 1))
        for row in range(bounds[-1])
    ]
    assert owners == [1] * bounds[-1]
    assert [len(r) for r in bands(bounds)] == [len(band(bounds, i)) for i in range(len(bounds) - 1)]
