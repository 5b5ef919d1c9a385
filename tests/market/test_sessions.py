"""Days and instants, against the rules of the exchanges and against the data itself."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market import MarketStore
from quantdesk.market.publication import POLICIES
from quantdesk.market.sessions import OWN, calendar_names, event_times, sessions_between, time_zone

NEW_YORK, FRANKFURT = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")


def days(*given: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(given, dtype="datetime64[ns]")


@pytest.mark.parametrize(
    ("calendar", "day", "utc"),
    [
        ("XNYS", "2020-03-16", "2020-03-16T20:00:00"),  # summer time
        ("XNYS", "2020-01-02", "2020-01-02T21:00:00"),  # winter time
        ("XNYS", "2020-11-27", "2020-11-27T18:00:00"),  # half a day after Thanksgiving
        ("XNYS", "2019-12-24", "2019-12-24T18:00:00"),  # half a day before Christmas
        ("XNYS", "1986-03-13", "1986-03-13T21:00:00"),
        ("XNAS", "2018-07-03", "2018-07-03T17:00:00"),
        ("XCBF", "2018-02-05", "2018-02-05T21:15:00"),  # 15:15 in Chicago
        ("XLON", "2020-12-24", "2020-12-24T12:30:00"),
        ("ECB", "1999-01-04", "1999-01-04T13:15:00"),
        ("ECB", "2020-06-15", "2020-06-15T12:15:00"),
        ("UST", "2008-12-30", "2008-12-30T20:30:00"),
        ("OIL-US", "1986-01-02", "1986-01-02T19:30:00"),
        ("MONTHLY-US", "1932-05-31", "1932-05-31T21:00:00"),  # New York kept summer time in 1932
        ("XNYS", "2020-12-25", "2020-12-25T21:00:00"),  # no session: the time of a regular close
    ],
)
def test_known_instants(calendar: str, day: str, utc: str) -> None:
    events = event_times(calendar, days(day))
    assert str(events.dtype) == "datetime64[ns, UTC]"
    assert events[0] == pd.Timestamp(utc, tz="UTC")


@pytest.mark.parametrize(
    ("calendar", "closed", "open_"),
    [
        ("XNYS", ["2001-09-11", "2001-09-14", "2012-10-29", "2018-12-05", "2007-01-02"], ["2001-09-17", "2012-10-31"]),
        ("ECB", ["2020-04-10", "2020-04-13", "2020-05-01", "2020-12-25"], ["2020-12-24", "2020-12-31", "2020-11-03"]),
        ("UST", ["2001-09-12", "2004-06-11", "1995-11-23", "1992-07-03"], ["2001-09-13", "1993-12-31", "1995-11-10"]),
        ("OIL-US", ["2012-12-25", "2001-09-03"], ["2001-09-11", "2012-10-29", "2007-01-02"]),
    ],
)
def test_closures_that_are_known(calendar: str, closed: list[str], open_: list[str]) -> None:
    for day, expected in [*((day, 0) for day in closed), *((day, 1) for day in open_)]:
        date = dt.date.fromisoformat(day)
        assert len(sessions_between(calendar, date, date)) == expected, day


def test_month_ends() -> None:
    found = sessions_between("MONTHLY-US", dt.date(2020, 1, 1), dt.date(2020, 6, 30))
    assert [str(day.date()) for day in found] == [
        "2020-01-31",
        "2020-02-28",
        "2020-03-31",
        "2020-04-30",
        "2020-05-29",
        "2020-06-30",
    ]


def test_the_stock_series_fit_the_exchange(store: MarketStore) -> None:
    """The calendar is not made from the data: 41 series have a row on exactly its sessions; one lacks two."""
    off, held = {}, 0
    for series in store.series():
        if series.calendar not in OWN:
            held += 1
            expected = sessions_between(series.calendar, series.start, series.end)
            days_ = pd.DatetimeIndex(store.bars(series.id).frame["session"])
            if not expected.equals(days_):
                off[series.id] = [str(day.date()) for day in expected.symmetric_difference(days_)]
    assert held == 42
    assert off == {"MSFT@pmdarima": ["1998-10-29", "1999-11-16"]}


def test_the_ecb_calendar_has_exactly_the_fixings(store: MarketStore) -> None:
    for symbol in ("EURUSD", "EURJPY", "EURGBP"):
        series = store.resolve(symbol)
        assert (series.start, series.end) == (dt.date(1999, 1, 4), dt.date(2026, 10, 30))
        frame = store.bars(symbol).frame
        expected = sessions_between("ECB", series.start, series.end)
        assert list(expected) == list(frame["session"])
    assert store.resolve("EURRUB").end == dt.date(2022, 3, 1)


def test_the_treasury_calendar_differs_on_three_days(store: MarketStore) -> None:
    series = store.resolve("UST10Y")
    expected = sessions_between("UST", series.start, series.end)
    held = pd.DatetimeIndex(store.bars("UST10Y").frame["session"])
    assert [str(day.date()) for day in expected.difference(held)] == ["1994-04-27", "2001-09-11"]
    assert [str(day.date()) for day in held.difference(expected)] == ["1996-04-05"]


def test_events_are_at_the_local_time_of_their_kind(store: MarketStore) -> None:
    """Local date and time of every bar, by another library than the one that made the instants."""
    wanted = {"ECB": (FRANKFURT, {dt.time(14, 15)}), "UST": (NEW_YORK, {dt.time(15, 30)})}
    wanted |= {"OIL-US": (NEW_YORK, {dt.time(14, 30)}), "MONTHLY-US": (NEW_YORK, {dt.time(17)})}
    early = {dt.time(13), dt.time(14)}
    wanted |= {"XNYS": (NEW_YORK, {dt.time(16), *early}), "XNAS": (NEW_YORK, {dt.time(16), *early})}
    wanted |= {"XCBF": (NEW_YORK, {dt.time(16, 15), dt.time(13, 15)})}
    for name in ("EURUSD", "UST10Y", "WTI", "AAA", "AAPL", "IXIC", "VIX", "MSFT@pmdarima"):
        bars = store.bars(name)
        zone, times = wanted[bars.series.calendar]
        for instant, session in zip(bars.frame.index[::7], bars.frame["session"].iloc[::7], strict=True):
            local = instant.to_pydatetime().astimezone(zone)
            assert local.date() == session.date()
            assert local.time() in times


def test_every_lag_is_a_policy_with_a_reason(store: MarketStore) -> None:
    for series in store.series():
        policy = POLICIES[series.publication]
        assert series.publication_lag == policy.lag > dt.timedelta(0)
        assert len(policy.reason) > 40
    lags = {series.kind: series.publication_lag for series in store.series() if series.frequency == "daily"}
    assert lags["equity"] == lags["index"] == lags["etf"] == lags["volatility"] == dt.timedelta(minutes=15)
    assert lags["fx"] == dt.timedelta(hours=2)
    assert lags["commodity"] == dt.timedelta(days=7)


def test_a_monthly_average_is_known_only_after_the_month(store: MarketStore) -> None:
    bars = store.bars("AAA", "2008-09-01", "2008-09-30")
    known = bars.frame.index[0] + bars.series.publication_lag
    assert pd.Timestamp("2008-10-01", tz="UTC") < known < pd.Timestamp("2008-10-09", tz="UTC")


def test_names_of_calendars() -> None:
    names = calendar_names()
    assert {*OWN, "XNYS", "XLON", "XTKS", "NYSE"} <= set(names)
    assert time_zone("XTKS") == "Asia/Tokyo"
    assert time_zone("ECB") == "Europe/Berlin"
    with pytest.raises(UnknownName, match=r"Unknown calendar 'XNYZ'.*XNYS"):
        sessions_between("XNYZ", dt.date(2020, 1, 1), dt.date(2020, 1, 2))


def test_a_range_that_no_calendar_covers() -> None:
    with pytest.raises(BadInput, match="No calendar covers 1500-01-01"):
        sessions_between("XNYS", dt.date(1500, 1, 1), dt.date(2020, 1, 2))
    with pytest.raises(BadInput, match="XKRX does not cover"):
        sessions_between("XKRX", dt.date(1910, 1, 1), dt.date(1920, 1, 2))
    assert event_times("XNYS", days()).empty
    for name in ("XNYS", *OWN):  # the oldest sessions that there can be
        assert len(sessions_between(name, dt.date(1886, 1, 1), dt.date(1886, 12, 31))) >= 12


def test_every_own_calendar_is_described() -> None:
    for own in OWN.values():
        assert len(own.description) > 40
        assert ZoneInfo(own.zone)
