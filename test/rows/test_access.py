"""The row formulas against brute force: which input rows change which output rows, one by one."""

import itertools

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from coedge_ros.rows.access import Same, Shift, Table, Transposed, Window, is_halo_free, reads_of
from coedge_ros.rows.row_set import RowRange, RowSet

_WINDOWS = {
    "kernel": st.integers(1, 7),
    "stride": st.integers(1, 5),
    "padding": st.integers(0, 7),
    "dilation": st.integers(1, 3),
    "height": st.integers(1, 24),
}


def _members(rows: RowSet) -> set[int]:
    return {i for r in rows for i in range(r.start, r.stop)}


def _hull(rows: set[int]) -> set[int]:
    return set(range(min(rows), max(rows) + 1)) if rows else set()


def _ranges(height: int):
    return [RowRange(a, b) for a in range(height) for b in range(a + 1, height + 1)]


@given(**_WINDOWS)
@example(kernel=7, stride=2, padding=3, dilation=1, height=9)
@example(kernel=1, stride=3, padding=5, dilation=1, height=2)  # windows in the padding altogether
def test_a_window_reads_the_rows_that_its_taps_touch(kernel, stride, padding, dilation, height):
    outputs = (height + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    assume(outputs >= 1)
    access = Window(kernel, stride, padding, dilation, height)
    taps = [{o * stride - padding + dilation * j for j in range(kernel)} for o in range(outputs)]
    inside = [{i for i in touched if 0 <= i < height} for touched in taps]
    for rows in _ranges(outputs):
        touched = set().union(*taps[rows.start : rows.stop])
        assert access.unclipped(rows) == (min(touched), max(touched) + 1)
        reads = _members(access.reads(rows))
        wanted = set().union(*inside[rows.start : rows.stop])
        # A range is read whole: strides beyond the kernel and dilation leave holes, whose rows come along.
        assert wanted <= reads <= _hull(touched)
        if stride <= kernel and dilation == 1:
            assert reads == wanted


@given(**_WINDOWS)
@example(kernel=2, stride=5, padding=0, dilation=1, height=3)  # rows that no tap reaches
def test_a_transposed_window_reads_the_rows_that_add_to_its_output(kernel, stride, padding, dilation, height):
    outputs = (height - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
    assume(outputs >= 1)
    access = Transposed(kernel, stride, padding, dilation, height)
    readers: list[set[int]] = [set() for _ in range(outputs)]
    for i in range(height):
        for j in range(kernel):
            if 0 <= (o := i * stride - padding + dilation * j) < outputs:
                readers[o].add(i)
    for rows in _ranges(outputs):
        reads = _members(access.reads(rows))
        wanted = set().union(*readers[rows.start : rows.stop])
        assert wanted <= reads
        if dilation == 1:
            assert reads == wanted


@given(st.integers(-6, 6), st.integers(1, 12), st.integers(1, 12))
def test_a_shift_reads_the_rows_beside_where_they_exist(offset, height, outputs):
    access = Shift(offset, height)
    for rows in _ranges(outputs):
        wanted = {i + offset for i in range(rows.start, rows.stop)} & set(range(height))
        assert _members(access.reads(rows)) == wanted


@given(st.lists(st.integers(-1, 15), min_size=1, max_size=12))
def test_an_index_table_reads_just_the_rows_it_names(index):
    access = Table.of_index(index)
    for rows in _ranges(len(index)):
        assert _members(access.reads(rows)) == {i for i in index[rows.start : rows.stop] if i >= 0}


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), min_size=1, max_size=10))
def test_a_table_reads_the_union_of_its_intervals(intervals):
    access = Table(tuple(a for a, _ in intervals), tuple(a + n for a, n in intervals))
    for rows in _ranges(len(intervals)):
        wanted = {i for a, n in intervals[rows.start : rows.stop] for i in range(a, a + n)}
        assert _members(access.reads(rows)) == wanted


@given(st.lists(st.integers(0, 9), min_size=10, max_size=10), st.lists(st.integers(0, 9), max_size=4))
def test_a_set_of_rows_reads_what_its_rows_read_together(index, rows):
    access = Table.of_index(index)
    wanted = RowSet.of(*((r, r + 1) for r in rows))
    assert _members(reads_of(access, wanted)) == {index[r] for r in set(rows)}


@pytest.mark.parametrize("height", [1, 2, 5, 8])
def test_an_access_without_halo_reads_each_band_from_itself(height):
    assert is_halo_free(Same(), height)
    sizes = itertools.product(range(1, 5), range(1, 4), range(4), range(1, 4))
    windows = [Window(kernel, stride, padding, dilation, height) for kernel, stride, padding, dilation in sizes]
    kept = [w for w in windows if (height + 2 * w.padding - w.dilation * (w.kernel - 1) - 1) // w.stride + 1 == height]
    assert len(kept) > 5
    for window in kept:
        stays = all(_members(window.reads(rows)) <= set(range(rows.start, rows.stop)) for rows in _ranges(height))
        assert stays or not is_halo_free(window, height)
        assert is_halo_free(window, height) == ((window.kernel, window.stride, window.padding) == (1, 1, 0))
