"""A path is the same however it is asked for, and goes on from its history."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.path import Asset, Grade, Path
from quantdesk.scenarios.paths import Bootstrap, Drawn, Filtered, Moves, StudentT
from quantdesk.scenarios.paths.method import Method, paths_in_block

NAMES = ("normal", "student", "bootstrap", "filtered")
BOOK = {"A": 60_000.0, "B": -25_000.0, "UST10Y": 4_000.0}


@pytest.fixture(scope="module")
def methods(moves: Moves) -> dict[str, Method]:
    return {
        "normal": StudentT.of(moves, nu=np.inf),
        "student": StudentT.of(moves, nu=5),
        "bootstrap": Bootstrap.of(moves),
        "filtered": Filtered.of(moves),
    }


def whole(drawn: Drawn, size: int | None = None) -> np.ndarray:
    return np.concatenate([moves for _, moves in drawn.chunks(size)])


@given(st.sampled_from(NAMES), st.integers(1, 9000), st.sampled_from([1, 1000, 5000, 10**6]), st.integers(0, 9000))
@settings(max_examples=30, deadline=None)
def test_no_path_depends_on_chunks_on_parts_or_on_how_many_there_are(methods, name, paths, size, cut):
    drawn = Drawn(methods[name], 5, paths, seed=3)
    cut = min(cut, paths)
    expected = whole(Drawn(methods[name], 5, 9000, seed=3), 20_000)[:paths]
    assert whole(drawn, size).tobytes() == expected.tobytes()
    parts = [*drawn.chunks(size, 0, cut), *drawn.chunks(size, cut)]
    assert [first for first, _ in parts] == np.cumsum([0, *[len(part) for _, part in parts]])[:-1].tolist()
    assert np.concatenate([part for _, part in parts]).tobytes() == expected.tobytes()
    assert drawn.moves(paths - 1).tobytes() == expected[-1].tobytes()
    split = np.concatenate([drawn.pnl(BOOK, 0, cut), drawn.pnl(BOOK, cut)])
    assert split.tobytes() == drawn.pnl(BOOK).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_profit_of_a_book_is_its_values_times_the_moves(methods, name):
    drawn = Drawn(methods[name], 7, 3000, seed=11)
    expected = whole(drawn).sum(axis=1) @ [60_000, -25_000, 4_000]
    np.testing.assert_allclose(drawn.pnl(BOOK), expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_books_meet_the_same_shocks_and_seeds_others(methods, name):
    drawn = Drawn(methods[name], 3, 500, seed=1)
    both = drawn.pnl({"A": 2.0, "B": 3.0})
    np.testing.assert_allclose(both, 2 * drawn.pnl({"A": 1.0}) + 3 * drawn.pnl({"B": 1.0}), rtol=1e-9, atol=1e-12)
    assert whole(drawn).tobytes() == whole(Drawn(methods[name], 3, 500, seed=1)).tobytes()
    other = whole(Drawn(methods[name], 3, 500, seed=2))
    assert not (other == whole(drawn)).all(axis=(1, 2)).any()
    assert (drawn.pnl({}) == 0).all()


def test_blocks_do_not_repeat_each_other(methods):
    drawn = Drawn(methods["normal"], 1, 200_000)
    first = whole(drawn)[:, 0, 0]
    assert len(first) > 5 * drawn.block
    assert len(np.unique(first)) == len(first)
    blocks = first[: len(first) // drawn.block * drawn.block].reshape(-1, drawn.block)
    correlations = np.corrcoef(blocks)[np.triu_indices(len(blocks), 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(drawn.block)


@given(st.integers(1, 2520), st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_a_block_is_a_power_of_two_that_fits_the_cache(days, width):
    paths = paths_in_block(days, width)
    assert paths & (paths - 1) == 0
    assert paths * days * width <= 65_536 or paths == 1
    assert 2 * paths * days * width > 65_536


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_that_of_a_chunk_and_not_of_the_paths(methods, name):
    def peak(paths: int, size: int) -> int:
        drawn = Drawn(methods[name], 10, paths)
        tracemalloc.start()
        for _, chunk in drawn.chunks(size):
            del chunk
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10, 10)
    chunk = 4 * Drawn(methods[name], 10, 1).block
    one, many, larger = peak(2 * chunk, chunk), peak(20 * chunk, chunk), peak(20 * chunk, 4 * chunk)
    numbers = 8 * chunk * 10 * 3
    assert many < 1.1 * one
    assert many < 2 * numbers + 3e6
    assert larger > 3 * numbers


def test_the_profit_keeps_one_number_a_path(methods):
    drawn = Drawn(methods["student"], 10, 200_000)
    drawn.pnl(BOOK, 0, 10)
    tracemalloc.start()
    found = drawn.pnl(BOOK)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < found.nbytes + 3e6


@pytest.mark.parametrize("name", NAMES)
def test_a_drawn_path_goes_on_from_the_history(methods, past, name):
    drawn = Drawn(methods[name], 20, 50, seed=5)
    path = drawn.to_path(17, past)
    moves = drawn.moves(17)
    assert path.symbols == drawn.symbols
    assert path.history is past
    assert path.graded(Grade.SIMULATED) == 60
    assert path.share_real() == 0
    assert path.methods["A"].startswith("simulated: ")
    assert "simulated" in path.labels
    assert "survivors_only" in path.labels
    closes = np.vstack([past.close[-1], path.close])
    np.testing.assert_allclose(closes[1:, :2] / closes[:-1, :2] - 1, moves[:, :2], atol=1e-12)
    np.testing.assert_allclose(np.diff(closes[:, 2]), moves[:, 2], atol=1e-12)
    last = past.sessions[-1]
    assert (path.sessions > last).all()
    assert path.sessions[0] - last <= pd.Timedelta(days=5)
    assert not path.is_intraday
    assert drawn.to_path(17, past).sha256 == path.sha256
    assert drawn.to_path(18, past).sha256 != path.sha256


def test_the_sessions_of_a_drawn_path_are_those_of_new_york(methods, past):
    path = Drawn(methods["normal"], 30, 1).to_path(0, past)
    ends = pd.DatetimeIndex(path.ends.astype("datetime64[ns]")).tz_localize("UTC").tz_convert("America/New_York")
    last = past.sessions[-1]
    assert (last.year, last.month, last.day) == (2019, 6, 14)
    assert ends[12].strftime("%Y-%m-%d %H:%M") == "2019-07-03 13:00"  # closes early
    assert pd.Timestamp("2019-07-04") not in path.sessions
    assert ((ends.hour == 16) | (ends.day == 3)).all()


def test_a_price_keeps_a_hundredth_of_itself(past):
    wild = StudentT(("A",), np.array([-2.0]), np.array([[1e-6]]))
    path = Drawn(wild, 3, 1).to_path(0, past)
    np.testing.assert_allclose(path.close[:, 0], past.close[-1, 0] * 0.01 ** np.arange(1, 4))


def test_what_cannot_be_drawn_is_refused(methods, past):
    method = methods["normal"]
    for wrong in ({"days": 0}, {"days": 1.5}, {"paths": 0}, {"seed": -1}, {"paths": True}):
        with pytest.raises(BadInput, match=str(next(iter(wrong.values())))):
            Drawn(method, **({"days": 2, "paths": 2} | wrong))
    drawn = Drawn(method, 2, 10)
    with pytest.raises(UnknownName, match="UST10Y"):
        drawn.pnl({"UST2Y": 1.0})
    with pytest.raises(BadInput, match="value of A is nan"):
        drawn.pnl({"A": float("nan")})
    with pytest.raises(BadInput, match="no path 10"):
        drawn.moves(10)
    with pytest.raises(BadInput, match="from 3 to 11"):
        next(drawn.chunks(first=3, last=11))
    with pytest.raises(BadInput, match="chunk of 0"):
        next(drawn.chunks(0))
    with pytest.raises(UnknownName):
        Drawn(StudentT(("Z",), np.zeros(1), np.eye(1)), 1, 1).to_path(0, past)


def test_a_history_that_does_not_fit_is_refused(methods, past):
    drawn = Drawn(methods["normal"], 2, 10)
    begins = past.ends[-1] + np.arange(3) * 60_000_000_000
    by_minute = Path("day", past.assets, begins, begins + 60_000_000_000, past.close[:3], past.grades[:3])
    with pytest.raises(BadInput, match="by the minute"):
        drawn.to_path(0, by_minute)
    with pytest.raises(BadInput, match="by the minute"):
        Moves.of(by_minute)
    with pytest.raises(BadInput, match="49 days"):
        Moves.of(past.cut(0, 50))
    empty = past.close.copy()
    empty[:, 1] = np.nan
    grades = np.where(np.isnan(empty), 3, past.grades).astype(np.int8)
    with pytest.raises(BadInput, match="no value of B"):
        drawn.to_path(0, Path("gone", past.assets, past.begins, past.ends, empty, grades))


def test_moves_are_those_of_days_that_all_assets_have(past):
    close, grades = past.close.copy(), past.grades.copy()
    close[400, 0], grades[400, 0] = np.nan, 3
    moves = Moves.of(Path("hole", past.assets, past.begins, past.ends, close, grades, labels=("a label",)))
    assert moves.values.shape == (len(close) - 2, 3)
    assert moves.labels == ("a label",)
    np.testing.assert_allclose(moves.values[399, :2], past.close[401, :2] / past.close[399, :2] - 1)
    np.testing.assert_allclose(moves.values[399, 2], past.close[401, 2] - past.close[399, 2])


def test_moves_that_are_none_are_refused(past):
    values = np.random.default_rng(0).normal(size=(200, 2))
    for wrong, said in (
        (values[:, :1], "shape"), (values[:50], "50 days"), (np.where(values == values[7, 1], np.nan, values), "row 7"),
        (values * [1, 0], "B makes the same move"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            Moves(("A", "B"), wrong)
    close = past.close.copy()
    close[5, 0] = -1.0
    with pytest.raises(BadInput, match="not above 0"):
        Moves.of(Path("oil", (Asset("WTI", "commodity"), *past.assets[1:]), past.begins, past.ends, close, past.grades))
