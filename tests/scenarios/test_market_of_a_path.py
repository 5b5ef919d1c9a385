"""What venues quote while a path goes by: around its values, wider and thinner under stress, and nothing when shut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.scenarios import Path
from quantdesk.scenarios.market import Effects, MarketConfig, PathMarket, tick_of
from quantdesk.scenarios.path import GRADES, Grade

CLOSED, MISSING = GRADES.index(Grade.CLOSED), GRADES.index(Grade.MISSING)


def holed(path: Path, rows: slice, column: int, grade: int) -> Path:
    """The same path without some bars of a symbol."""
    close, grades = path.close.copy(), path.grades.copy()
    close[rows, column], grades[rows, column] = np.nan, grade
    return dataclasses.replace(path, close=close, grades=grades)


def just_before(path: Path, bar: int) -> int:
    return int(path.ends[bar]) - SECOND


def test_the_closing_quote_of_each_day_stands_around_its_close(path_of) -> None:
    path = path_of(bars=10)
    market = PathMarket(path)
    for bar in range(10):
        for symbol in path.traded:
            bid, ask, _ = market.shown(symbol, just_before(path, bar))
            close = path.close[bar, path.column(symbol)] * MICRO
            assert bid < close < ask
            assert (ask - bid) / close < 0.005
            assert bid % tick_of(close / MICRO) == ask % tick_of(close / MICRO) == 0 or close < 20 * MICRO


@pytest.mark.parametrize("grade", [CLOSED, MISSING])
def test_nobody_quotes_where_there_is_no_bar(path_of, grade: int) -> None:
    path = holed(path_of(bars=8), slice(3, 5), 0, grade)
    market = PathMarket(path)
    symbol = path.symbols[0]
    for bar in range(8):
        shown = market.shown(symbol, just_before(path, bar))
        assert (shown is None) == (bar in (3, 4))
        flow = market.begun(symbol, just_before(path, bar))
        assert flow is not None
        assert (flow.closes == path.ends[bar]) == (bar not in (3, 4))  # the last session that had opened is over
    assert market.shown(path.symbols[1], just_before(path, 3)) is not None


def test_a_session_ends_at_its_close_and_the_next_begins_with_the_next_day(path_of) -> None:
    path = path_of(bars=4)
    market = PathMarket(path)
    symbol = path.symbols[0]
    assert market.shown(symbol, int(path.ends[1])) is None  # the close itself
    following = market.flow(symbol, int(path.ends[1]))
    assert following is not None
    assert (following.opens, following.closes) == (path.begins[2], path.ends[2])
    assert market.flow(symbol, int(path.ends[-1])) is None
    assert market.begun(symbol, int(path.begins[0]) - 1) is None


def test_quotes_widen_and_thin_out_when_the_path_turns_wild(path_of) -> None:
    """A calm month, then moves six times as large: half-spreads above, depth below what they were."""
    path = path_of(bars=30, drift=0.0)
    moves = np.diff(np.log(path.close), axis=0) * np.where(np.arange(29) < 14, 0.5, 6.0)[:, None]
    close = path.close[0] * np.exp(np.vstack([np.zeros(path.close.shape[1]), np.cumsum(moves, axis=0)]))
    market = PathMarket(dataclasses.replace(path, close=close))
    half, shares = market.quoted
    assert (half[-5:].mean(axis=0) > 1.5 * half[5:14].mean(axis=0)).all()
    assert (shares[-5:].mean(axis=0) < shares[5:14].mean(axis=0) / 1.5).all()


def test_effects_multiply_spread_and_depth(path_of) -> None:
    path = path_of(bars=6)
    calm = PathMarket(path)
    table = np.ones(path.close.shape)
    table[2] = 5.0
    shocked = PathMarket(path, effects=Effects(depth=1 / table, spread=table))
    for before, after, factor in zip(calm.quoted, shocked.quoted, (5.0, 0.2), strict=True):
        np.testing.assert_allclose(after[2], factor * before[2])
        np.testing.assert_array_equal(after[[0, 1, 3, 4, 5]], before[[0, 1, 3, 4, 5]])
    symbol = path.symbols[0]
    wide, narrow = (one.shown(symbol, just_before(path, 2)) for one in (shocked, calm))
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_what_is_dark_shows_its_last_quote_and_grows_old(path_of) -> None:
    path = path_of(bars=6)
    symbol, other = path.symbols[:2]
    since, until = int(path.begins[2]) + 1, int(path.ends[3])
    market = PathMarket(path, effects=Effects(dark=[((symbol,), since, until)]))
    plain = PathMarket(path)
    at = just_before(path, 3)
    assert at - market.shown(symbol, at)[2] > 3600 * SECOND  # one quote, of when the session began
    assert market.shown(other, at) == plain.shown(other, at)
    assert market.shown(symbol, just_before(path, 4)) == plain.shown(symbol, just_before(path, 4))


def test_flows_are_labelled_by_what_they_rest_on(path_of) -> None:
    path = path_of(bars=3)
    made = np.full_like(path.grades, GRADES.index(Grade.SIMULATED))
    for given, label in ((path, "reconstructed"), (dataclasses.replace(path, grades=made), "simulated")):
        flow = PathMarket(given).flow(path.symbols[0], int(path.begins[0]))
        assert flow is not None
        assert flow.label == label


@pytest.mark.parametrize(
    ("price", "step"), [(20.0, 10_000), (4000.0, 10_000), (19.99, 1_000), (2.0, 1_000), (1.5, 100), (1e-4, 1)]
)
def test_steps_of_prices(price: float, step: int) -> None:
    assert tick_of(price) == step


def test_unknown_symbols_and_wrong_multiples_are_refused(path_of) -> None:
    path = path_of(bars=3)
    with pytest.raises(UnknownName, match="AAPX"):
        PathMarket(path).flow("AAPX", 0)
    for table in (np.zeros(3), np.full(3, np.nan), np.ones(2)):
        with pytest.raises(BadInput, match="Multiples"):
            PathMarket(path, effects=Effects(spread=table))


def test_venues_are_those_of_the_rulebook_and_share_what_is_displayed(path_of) -> None:
    path = path_of(bars=3)
    market = PathMarket(path, MarketConfig(venues=3))
    assert len(market.venues) == 3
    flow = market.flow(path.symbols[0], int(path.begins[0]))
    assert flow is not None
    assert flow.bid_size.shape[1] == 3
    assert (flow.bid_size % 100 == 0).all()
    assert (np.diff(flow.bid_size[0]) <= 0).all()  # the largest first
