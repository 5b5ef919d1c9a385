"""The flow: bars come back exactly, the same seed gives the same bytes, bad bars are refused."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.rulebook import bundled
from quantdesk.orders.venues import Impact, SessionBars, Shape, flow_of
from quantdesk.orders.venues.impact import Pressure
from quantdesk.orders.venues.intake import sessions_of, tick_and_lot
from quantdesk.orders.venues.path import bar_path, range_volatility
from quantdesk.orders.venues.sources import BarSource

CENT = 10_000
VENUES = ("A", "B", "C")
OPENS = 1_772_461_800 * SECOND


@st.composite
def corners(draw: st.DrawFn) -> tuple[int, int, int, int]:
    low = draw(st.integers(1, 10**9))
    high = low + draw(st.integers(0, low))
    return draw(st.integers(low, high)), high, low, draw(st.integers(low, high))


@st.composite
def sessions(draw: st.DrawFn) -> SessionBars:
    bars = draw(st.lists(corners(), min_size=1, max_size=5))
    width = 120 * SECOND
    starts = OPENS + np.arange(len(bars)) * width
    volume = draw(st.lists(st.integers(4, 10**7), min_size=len(bars), max_size=len(bars)))
    tick = draw(st.sampled_from([100, CENT]))
    closes = OPENS + 6 * 3600 * SECOND
    return SessionBars("ABC", OPENS, closes, starts, starts + width, np.array(bars), np.array(volume), tick, 100)


@settings(max_examples=80, deadline=None)
@given(corners(), st.integers(4, 300), st.integers(0, 2**32))
def test_a_path_visits_the_corners_of_its_bar_and_never_leaves_it(
    bar: tuple[int, int, int, int], steps: int, seed: int
) -> None:
    path, (at_high, at_low) = bar_path(bar, steps, np.random.default_rng(seed))
    assert len(path) == steps
    assert (path[0], path.max(), path.min(), path[-1]) == bar
    assert (path[at_high], path[at_low]) == (bar[1], bar[2])


def test_a_path_has_the_volatility_of_the_range() -> None:
    """Quadratic variation of the bridges against the square of Parkinson's estimate, over many bars."""
    bar = (10_000 * CENT, 10_100 * CENT, 9_900 * CENT, 10_000 * CENT)
    rng = np.random.default_rng(0)
    paths = [np.diff(np.log(bar_path(bar, 2000, rng)[0])) for _ in range(60)]
    assert np.sqrt(np.mean([np.sum(steps**2) for steps in paths])) == pytest.approx(
        range_volatility(bar[1], bar[2]), rel=0.05
    )


@pytest.mark.parametrize("bar", [(10, 9, 8, 9), (10, 12, 11, 11), (0, 1, 0, 1), (5, 6, 4, 7)])
def test_corners_that_do_not_fit_are_refused(bar: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadInput, match="are no bar"):
        bar_path(bar, 10, np.random.default_rng(0))
    with pytest.raises(BadInput, match="3 steps"):
        bar_path((1, 1, 1, 1), 3, np.random.default_rng(0))


@settings(max_examples=60, deadline=None)
@given(sessions(), st.integers(0, 2**32), st.sampled_from([0.0, 0.4, 1.0]))
def test_the_tape_has_exactly_the_bars_it_was_made_from(session: SessionBars, seed: int, off_book: float) -> None:
    flow = flow_of(session, VENUES, np.random.default_rng(seed), shape=Shape(step_s=7, off_book=off_book))
    trades = flow.trades
    assert (np.diff(trades.at) >= 0).all()
    for start, end, bar, volume in zip(session.starts, session.ends, session.corners, session.volume, strict=True):
        within = (trades.at >= start) & (trades.at < end)
        price, shares = trades.price[within], trades.shares[within]
        assert [price[0], price.max(), price.min(), price[-1]] == bar.tolist()
        assert shares.sum() == volume
        assert (shares > 0).all()


@settings(max_examples=60, deadline=None)
@given(sessions(), st.integers(0, 2**32))
def test_quotes_lie_on_the_tick_around_the_midpoint(session: SessionBars, seed: int) -> None:
    flow = flow_of(session, VENUES, np.random.default_rng(seed), shape=Shape(step_s=11))
    bid, ask = flow.best
    assert (np.diff(flow.at) > 0).all()
    for side, size in ((flow.bid, flow.bid_size), (flow.ask, flow.ask_size)):
        assert (side % session.tick == 0).all()
        assert ((side > 0) == (size > 0)).all()
        assert (size % session.lot == 0).all()
    assert (flow.bid < flow.ask).all()
    assert (bid < ask).all()
    wide = bid > session.tick  # at the smallest price there is no room
    assert (np.abs(bid + ask - 2 * flow.mid)[wide] <= session.tick).all()
    on_book = flow.trades.venue >= 0
    step = np.searchsorted(flow.at, flow.trades.at[on_book], side="right") - 1
    assert (flow.trades.price[on_book] == np.where(flow.trades.side[on_book] > 0, ask[step], bid[step])).all()


def whole(flow: Any) -> bytes:
    names = ("at", "mid", "bid", "bid_size", "ask", "ask_size")
    parts = [getattr(flow, name).tobytes() for name in names]
    return b"".join(
        parts + [getattr(flow.trades, name).tobytes() for name in ("at", "venue", "side", "price", "shares")]
    )


def test_the_same_seed_gives_the_same_flow_whatever_else_was_asked(bars: dict[str, pd.DataFrame]) -> None:
    days = sessions_of(bars)
    one, other = (BarSource(days, VENUES, 5) for _ in range(2))
    first = days["ABC"][0].opens
    other.flow("XYZ", first)
    other.flow("ABC", first + 24 * 3600 * SECOND)
    a, b = one.flow("ABC", first), other.flow("ABC", first)
    assert whole(a) == whole(b)
    assert whole(BarSource(days, VENUES, 6).flow("ABC", first)) != whole(a)
    assert one.flow("ABC", days["ABC"][1].closes) is None
    assert one.begun("ABC", first - 1) is None
    assert whole(one.begun("ABC", days["ABC"][1].opens - 1)) == whole(a)
    assert one.begun("ABC", 2 * first).opens == days["ABC"][1].opens
    with pytest.raises(UnknownName):
        one.flow("NONE", first)


def test_it_says_what_it_is(bars: dict[str, pd.DataFrame]) -> None:
    days = sessions_of(bars)
    labels = [
        BarSource(days, VENUES, 5, shape=Shape(bars_are=kind)).flow("ABC", OPENS).label
        for kind in ("real", "simulated")
    ]  # type: ignore[arg-type,union-attr]
    assert labels == ["reconstructed", "simulated"]


def test_nothing_is_quoted_or_traded_while_it_stands_still(bars: dict[str, pd.DataFrame]) -> None:
    session = sessions_of(bars)["ABC"][0]
    since, until = session.opens + 3600 * SECOND, session.opens + 4500 * SECOND
    flow = flow_of(session, VENUES, np.random.default_rng(0), stopped=lambda at: since <= at < until)
    still = (flow.at >= since) & (flow.at < until)
    assert still.any()
    assert not flow.bid[still].any()
    assert not flow.ask_size[still].any()
    assert flow.bid[~still].all()
    last = flow.at[still][0]
    assert not ((flow.trades.at >= last) & (flow.trades.at < until)).any()
    assert flow.trades.shares.sum() == session.volume.sum()


def test_venues_are_at_the_best_as_often_as_it_is_said(bars: dict[str, pd.DataFrame]) -> None:
    session = sessions_of(bars)["ABC"][0]
    flow = flow_of(session, [f"V{n}" for n in range(10)], np.random.default_rng(0), shape=Shape(at_best=0.5))
    share = (flow.bid == flow.best[0][:, None]).mean()
    assert share == pytest.approx(0.5 + 0.5 / 10, abs=0.03)
    weights = {"A": 3.0, "B": 1.0, "C": 0.0}
    flow = flow_of(session, VENUES, np.random.default_rng(0), shape=Shape(weights=weights, off_book=0))
    traded = [int(flow.trades.shares[flow.trades.venue == number].sum()) for number in range(3)]
    assert traded[0] > traded[1] > traded[2] == 0
    assert flow.weights == (0.75, 0.25, 0.0)


def test_spreads_grow_with_volatility_and_thin_trading() -> None:
    def spread(high: int, volume: int) -> float:
        bar = np.array([[10_000, high, 9_900, 10_000]]) * CENT
        closes = OPENS + 23_400 * SECOND
        times = np.array([OPENS]), np.array([closes])
        session = SessionBars("ABC", OPENS, closes, *times, bar, np.array([volume]), CENT, 100)
        bid, ask = flow_of(session, VENUES, np.random.default_rng(0), shape=Shape(step_s=60)).best
        return float((ask - bid).mean())

    assert spread(10_050, 50_000_000) == CENT
    assert CENT < spread(10_300, 200_000) < spread(10_900, 200_000)
    assert spread(10_300, 2_000_000) < spread(10_300, 200_000)
    assert spread(10_300, 0) > spread(10_300, 200_000)


def test_without_volume_there_are_quotes_and_no_trades(bars: dict[str, pd.DataFrame]) -> None:
    frame = bars["ABC"].drop(columns="volume")
    flow = flow_of(sessions_of({"ABC": frame})["ABC"][0], VENUES, np.random.default_rng(0))
    assert not flow.trades.at.size
    assert flow.impact is None
    assert (flow.bid > 0).all()


def test_intraday_bars_and_every_form_of_frame(bars: dict[str, pd.DataFrame]) -> None:
    index = pd.date_range("2026-03-02 09:00", "2026-03-02 16:29", freq="min", tz="America/New_York")
    steps = np.random.default_rng(0).normal(0, 0.05, len(index)).cumsum() + 100
    prices = {"open": steps, "high": steps + 0.1, "low": steps - 0.1, "close": steps + 0.05}
    minute = pd.DataFrame({**prices, "volume": 1000.0}, index=index)
    (session,) = sessions_of({"ABC": minute})["ABC"]
    assert len(session.starts) == 390
    assert session.starts[0] == session.opens
    assert session.ends[-1] == session.closes
    stacked = pd.concat(bars, names=["symbol", "timestamp"]).swaplevel()
    flat = stacked.reset_index("symbol")
    wide = pd.concat(bars, axis="columns")
    for form in (bars, stacked, flat, wide):
        found = sessions_of(form)
        assert {name: len(days) for name, days in found.items()} == {"ABC": 2, "XYZ": 2}
        assert found["ABC"][0].corners.tolist() == [[100 * 10**6, 103 * 10**6, 99_130_000, 101 * 10**6]]
        assert found["ABC"][1].volume.tolist() == [4_000_000]


def test_an_early_close_is_one(bars: dict[str, pd.DataFrame]) -> None:
    frame = bars["ABC"].iloc[:1].set_axis(pd.to_datetime(["2026-11-27"]))
    (session,) = sessions_of({"ABC": frame})["ABC"]
    assert session.closes - session.opens == 3 * 3600 * SECOND + 1800 * SECOND


def test_ticks_and_lots_are_those_of_the_day() -> None:
    book = bundled()
    assert tick_and_lot(100 * 10**6, dt.date(2026, 3, 2), book) == (CENT, 100)
    assert tick_and_lot(300 * 10**6, dt.date(2026, 3, 2), book) == (CENT, 40)
    assert tick_and_lot(300 * 10**6, dt.date(2020, 3, 2), book) == (CENT, 100)
    assert tick_and_lot(500_000, dt.date(2026, 3, 2), book) == (100, 100)
    assert tick_and_lot(100 * 10**6, dt.date(1999, 3, 2), book) == (62_500, 100)
    assert tick_and_lot(100 * 10**6, dt.date(1987, 10, 19), book) == (62_500, 100)


def edited(frame: pd.DataFrame, column: str, value: float) -> pd.DataFrame:
    return frame.assign(**{column: [value, *frame[column].iloc[1:]]})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda frame: edited(frame, "high", float("nan")), BadInput, "2026-03-02"),
        (lambda frame: edited(frame, "high", 100.5), BadInput, "low <= open"),
        (lambda frame: edited(frame, "low", -1.0), BadInput, "above 0"),
        (lambda frame: edited(frame, "volume", -1.0), BadInput, "volume"),
        (lambda frame: frame.drop(columns="close"), BadInput, "no close"),
        (lambda frame: frame.iloc[::-1], BadDates, "descend"),
        (lambda frame: frame.reset_index(drop=True), BadDates, "no times"),
        (lambda frame: frame.set_axis(pd.to_datetime(["2026-02-28", "2026-03-02"])), BadDates, "closed on 2026-02-28"),
        (lambda frame: frame.set_axis(pd.to_datetime(["2026-03-02 10:00", "2026-03-02 10:01"])), BadDates, "time zone"),
        (
            lambda frame: frame.set_axis(pd.to_datetime(["2026-03-02 03:00", "2026-03-02 03:01"]).tz_localize("UTC")),
            BadInput,
            "nothing of a regular session",
        ),
    ],
)
def test_bars_that_are_none_are_refused(bars: dict[str, pd.DataFrame], change: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        sessions_of({"ABC": change(bars["ABC"])})


def test_frames_without_symbols_are_refused(bars: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(BadInput, match="no symbol"):
        sessions_of(bars["ABC"])
    with pytest.raises(BadInput, match="no bars"):
        sessions_of({})


@pytest.mark.parametrize(
    "given",
    [{"off_book": 1.5}, {"step_s": 0}, {"cancels_per_s": float("nan")}, {"levels": 0}, {"recovery_s": float("inf")}],
)
def test_parameters_outside_of_their_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(given))):
        Shape(**given)


@pytest.mark.parametrize("weights", [{"A": -1.0}, {}, {"A": float("nan")}])
def test_weights_are_numbers(weights: dict[str, float], bars: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(BadInput, match="weights"):
        flow_of(sessions_of(bars)["ABC"][0], VENUES, np.random.default_rng(0), shape=Shape(weights=weights))


def test_the_law_of_impact() -> None:
    law = Impact(sigma=0.02, volume=1_000_000, price=10_000 * CENT, tick=CENT)
    assert law.moves(10_000) == pytest.approx(0.02 * 100e6 * math.sqrt(0.01))
    assert law.per_tick == pytest.approx(1_000_000 * (0.01 / 2) ** 2)
    assert law.levels(1, 4) == [25, 75, 125, 175]
    assert sum(law.levels(1, 40, 0.25)) == law.depth(40, 0.25) == 10_000
    for wrong in ({"sigma": 0.0}, {"volume": -1}, {"price": 0}, {"y": float("nan")}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            Impact(**{"sigma": 0.02, "volume": 1e6, "price": 10**8, "tick": CENT, **wrong})


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(-5000, 5000)), max_size=4),
    st.lists(st.integers(0, 3 * 10**4), max_size=30),
)
def test_offsets_of_many_moments_are_those_of_each(taken: list[tuple[int, int]], moments: list[int]) -> None:
    law = Impact(sigma=0.02, volume=1_000_000, price=10_000 * CENT, tick=CENT)
    pressure = Pressure(5000)
    for at, shares in sorted(taken):
        pressure.add(at, shares)
    at = np.array(sorted(moments), dtype=np.int64)
    assert pressure.offsets(at, law).tolist() == [pressure.offset(int(when), law) for when in at]


def test_pressure_is_forgotten_and_sells_push_down() -> None:
    law = Impact(sigma=0.02, volume=1_000_000, price=10_000 * CENT, tick=CENT)
    pressure = Pressure(1800 * SECOND)
    assert pressure.offset(5, law) == 0
    pressure.add(10, -10_000)
    assert (pressure.offset(9, law), pressure.offset(10, law), pressure.offset(10, None)) == (0, -20 * CENT, 0)
    assert pressure.offsets(np.array([9, 10]), law).tolist() == [0, -20 * CENT]
    assert pressure.shares(10 + 1800 * SECOND) == pytest.approx(-10_000 / math.e)
    pressure.add(5, 4_000)  # late news counts from now
    assert pressure.shares(10) == -6_000
