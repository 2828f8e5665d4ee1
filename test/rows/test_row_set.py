"""Sets of rows behave like sets of integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coedge_ros.rows.row_set import EMPTY, RowRange, RowSet

_PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=6)
_SETS = _PAIRS.map(lambda pairs: RowSet.of(*pairs))


def _members(rows: RowSet) -> set[int]:
    return {i for r in rows for i in range(r.start, r.stop)}


def _is_normal(rows: RowSet) -> bool:
    return all(r for r in rows) and all(a.stop < b.start for a, b in zip(rows.ranges, rows.ranges[1:], strict=False))


@given(_PAIRS)
def test_a_set_holds_the_rows_of_all_its_pairs(pairs):
    rows = RowSet.of(*pairs)
    assert _members(rows) == {i for start, stop in pairs for i in range(start, stop)}
    assert _is_normal(rows)


@given(_SETS, _SETS)
def test_union_intersection_difference_and_covering_are_those_of_sets(a, b):
    assert _members(a | b) == _members(a) | _members(b)
    assert _members(a & b) == _members(a) & _members(b)
    assert _members(a - b) == _members(a) - _members(b)
    assert all(_is_normal(rows) for rows in (a | b, a & b, a - b))
    assert a.covers(b) == (_members(b) <= _members(a))
    assert (a == b) == (_members(a) == _members(b))
    assert len(a) == len(_members(a))
    assert bool(a) == bool(_members(a))


@given(_SETS)
def test_the_hull_is_the_smallest_range_that_holds_the_set(rows):
    members = _members(rows)
    assert rows.hull == (RowRange(min(members), max(members) + 1) if members else RowRange(0, 0))


@given(_SETS)
def test_the_offset_of_a_row_is_its_place_among_the_rows_in_order(rows):
    for offset, row in enumerate(sorted(_members(rows))):
        assert rows.offset_of(row) == offset
    with pytest.raises(KeyError):
        rows.offset_of(99)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2)])
def test_a_range_that_is_none_is_refused(start, stop):
    with pytest.raises(ValueError, match="not a row range"):
        RowRange(start, stop)


def test_sets_print_as_half_open_ranges():
    assert str(RowSet.of((4, 6), (0, 2))) == "[0, 2) + [4, 6)"
    assert str(EMPTY) == "[)"
    assert RowSet.full(3) == RowSet.of((0, 3))
