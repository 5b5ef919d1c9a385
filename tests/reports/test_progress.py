"""How long a run takes yet, by what its last one took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.reports.progress import Last, Step, estimate


@pytest.mark.parametrize(
    ("durations", "done", "in_cell", "left"),
    [
        ([], 0, 0.0, 0.0),
        ([1, 2, 3], 0, 0.0, 6.0),
        ([1, 2, 3], -1, 0.0, 6.0),
        ([1, 2, 3], 1, 0.5, 4.5),
        ([1, 2, 3], 1, 60.0, 3.0),  # it takes longer than it did: it is about to end
        ([1, 2, 3], 2, -5.0, 3.0),  # a clock that was set back
        ([1, 2, 3], 3, 0.0, 0.0),
        ([1, 2, 3], 9, 0.0, 0.0),
    ],
)
def test_what_is_left(durations: list[float], done: int, in_cell: float, left: float) -> None:
    assert estimate(durations, done, in_cell) == left


@given(st.lists(st.floats(0, 1e6), max_size=30), st.integers(0, 40), st.floats(0, 1e6))
def test_it_is_never_negative_and_never_grows(durations: list[float], done: int, in_cell: float) -> None:
    left = estimate(durations, done, in_cell)
    assert 0 <= left <= sum(durations) + 1e-6
    assert estimate(durations, done + 1, 0.0) <= left + 1e-6


def test_the_current_cell_has_a_number() -> None:
    assert Step("Wait", 2, 5, 1.0, None).cell == 3
    assert Step("starting", 0, 0, 1.0, None).cell is None
    assert Step("end", 5, 5, 1.0, 0.0).cell is None


@pytest.mark.parametrize(
    ("last", "done", "total", "elapsed", "left"),
    [
        (Last(10.0, (1.0, 2.0, 3.0), 0), 0, 0, 0.5, 9.5),  # it is starting
        (Last(10.0, (1.0, 2.0, 3.0), 0), 1, 3, 4.0, 5.0),
        (Last(10.0, (1.0, 2.0, 3.0), 1), 2, 4, 4.0, 5.0),  # a cell that sets parameters stands before
        (Last(10.0, (1.0, 2.0, 3.0), 1), 0, 4, 4.0, 6.0),
        (Last(10.0, (), 0), 1, 3, 4.0, 6.0),  # the notebook has changed since
        (Last(10.0, (), 0), 1, 3, 40.0, 0.0),
        (Last(10.0, (), 0), 3, 3, 4.0, 0.0),  # the page is written
        (Last(10.0, (1.0, 2.0, 3.0), 0), 2, 2, 4.0, 0.0),  # the second cell failed: the third will not run
    ],
)
def test_the_last_run_tells_what_is_left(last: Last, done: int, total: int, elapsed: float, left: float) -> None:
    assert last.remaining(done, total, elapsed) == left
