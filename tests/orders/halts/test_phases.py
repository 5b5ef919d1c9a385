"""The phases of the day, early closes, lunch, closures that calendars lack, and the cut-offs of auctions."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.orders.halts.closures import closures
from quantdesk.orders.halts.phases import Phase, cutoffs, next_session, phase, session, spans
from quantdesk.orders.rulebook import bundled, parse

NY = ZoneInfo("America/New_York")


def ny(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=NY)


@pytest.mark.parametrize(
    ("exchange", "when", "expected", "until"),
    [
        ("XNAS", "2026-11-24 00:00", Phase.PRE_OPEN, "2026-11-24 09:25"),
        ("XNAS", "2026-11-24 09:24:59.999999", Phase.PRE_OPEN, "2026-11-24 09:25"),
        ("XNAS", "2026-11-24 09:25", Phase.OPENING_AUCTION, "2026-11-24 09:30"),
        ("XNAS", "2026-11-24 09:30", Phase.CONTINUOUS, "2026-11-24 15:50"),
        ("XNAS", "2026-11-24 15:50", Phase.CLOSING_AUCTION, "2026-11-24 16:00"),
        ("XNAS", "2026-11-24 16:00", Phase.CLOSED, "2026-11-25 00:00"),
        ("XNYS", "2026-11-24 08:00", Phase.OPENING_AUCTION, "2026-11-24 09:30"),
        ("XNYS", "2026-11-25 16:00", Phase.CLOSED, "2026-11-27 00:00"),  # Thanksgiving
        ("XNYS", "2026-11-26 12:00", Phase.CLOSED, "2026-11-27 00:00"),
        ("XNYS", "2026-11-27 12:49", Phase.CONTINUOUS, "2026-11-27 12:50"),  # closes at 13:00
        ("XNYS", "2026-11-27 12:50", Phase.CLOSING_AUCTION, "2026-11-27 13:00"),
        ("XNYS", "2026-11-27 13:00", Phase.CLOSED, "2026-11-30 00:00"),
        ("XNYS", "2026-12-31 18:00", Phase.CLOSED, "2027-01-04 00:00"),
        ("XNYS", "2001-09-12 12:00", Phase.CLOSED, "2001-09-17 00:00"),
        ("XNYS", "2012-05-01 15:55", Phase.CONTINUOUS, "2012-05-01 16:00"),  # no entry for its auctions then
    ],
)
def test_phases_of_new_york(exchange: str, when: str, expected: Phase, until: str) -> None:
    found = phase(exchange, ny(when))
    assert (found.phase, found.until) == (expected, ny(until))
    assert found.since is not None
    assert found.since <= ny(when)


def test_the_calendar_knows_that_new_york_was_shut_in_september_2001() -> None:
    days = [dt.date(2001, 9, day) for day in (10, 11, 12, 13, 14, 17)]
    assert [session("XNYS", day) is not None for day in days] == [True, False, False, False, False, True]


def test_moscow_was_shut_in_march_2022_although_the_calendar_has_sessions() -> None:
    (closure,) = closures("xmos")
    assert (closure.first, closure.last) == (dt.date(2022, 2, 28), dt.date(2022, 3, 23))
    assert closure.source
    assert closures("XNYS") == ()
    days = [dt.date(2022, 2, 25), dt.date(2022, 2, 28), dt.date(2022, 3, 23), dt.date(2022, 3, 24)]
    assert [session("XMOS", day) is not None for day in days] == [True, False, False, True]
    found = phase("XMOS", dt.datetime(2022, 3, 10, 12, tzinfo=dt.UTC))
    assert found.phase is Phase.CLOSED
    assert found.until == dt.datetime(2022, 3, 24, tzinfo=ZoneInfo("Europe/Moscow"))


@pytest.mark.parametrize(
    ("exchange", "zone", "times"),
    [
        ("XLON", "Europe/London", [("07:59", Phase.PRE_OPEN), ("08:00", Phase.CONTINUOUS), ("16:30", Phase.CLOSED)]),
        (
            "XHKG",
            "Asia/Hong_Kong",
            [("11:59", Phase.CONTINUOUS), ("12:00", Phase.BREAK), ("13:00", Phase.CONTINUOUS), ("16:00", Phase.CLOSED)],
        ),
        ("XTKS", "Asia/Tokyo", [("11:30", Phase.BREAK), ("12:29", Phase.BREAK), ("12:30", Phase.CONTINUOUS)]),
    ],
)
def test_other_exchanges_have_hours_and_lunch(exchange: str, zone: str, times: list[tuple[str, Phase]]) -> None:
    for text, expected in times:
        when = dt.datetime.fromisoformat(f"2026-11-24 {text}").replace(tzinfo=ZoneInfo(zone))
        assert phase(exchange, when).phase is expected, text


def test_sessions_that_open_on_the_evening_before_and_markets_that_never_close() -> None:
    evening = phase("CMES", dt.datetime(2026, 11, 23, 23, 30, tzinfo=dt.UTC))
    assert evening.phase is Phase.CONTINUOUS
    found = phase("24/7", dt.datetime(2026, 11, 28, 13, tzinfo=dt.UTC))
    assert (found.phase, found.then) == (Phase.CONTINUOUS, Phase.CONTINUOUS)


def test_where_the_calendar_ends_nothing_comes() -> None:
    last = dt.datetime(2049, 12, 31, 20, tzinfo=dt.UTC)
    found = phase("XHKG", last)
    assert (found.phase, found.until, found.then) == (Phase.CLOSED, None, Phase.CLOSED)
    assert next_session("XHKG", last) is None
    after = next_session("XNYS", ny("2026-11-26 12:00"))
    assert after is not None
    assert after.opens == ny("2026-11-27 09:30")


def test_what_phases_mean() -> None:
    assert [one for one in Phase if one.trades] == [Phase.CONTINUOUS, Phase.CLOSING_AUCTION]
    assert [one for one in Phase if one.is_auction] == [Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION]


def test_cut_offs_of_a_full_day() -> None:
    nasdaq, new_york = (cutoffs(mic, dt.date(2026, 11, 24)) for mic in ("XNAS", "XNYS"))
    assert nasdaq is not None
    assert new_york is not None
    day = "2026-11-24 "
    assert (nasdaq.moo_until, nasdaq.moc_until, nasdaq.loc_until, nasdaq.cancel_until) == (
        ny(day + "09:28"),
        ny(day + "15:55"),
        ny(day + "15:58"),
        None,
    )
    assert (new_york.moo_until, new_york.moc_until, new_york.loc_until, new_york.cancel_until) == (
        ny(day + "09:30"),
        ny(day + "15:50"),
        ny(day + "15:50"),
        ny(day + "15:58"),
    )
    assert nasdaq.rule.source == "Nasdaq: opening and closing cross"


def test_cut_offs_move_with_an_early_close_and_those_of_the_opening_stay() -> None:
    found = cutoffs("XNAS", dt.date(2026, 11, 27))
    assert found is not None
    day = "2026-11-27 "
    assert (found.opening_imbalance, found.moo_until) == (ny(day + "09:25"), ny(day + "09:28"))
    assert (found.closing_imbalance, found.moc_until, found.loc_until) == (
        ny(day + "12:50"),
        ny(day + "12:55"),
        ny(day + "12:58"),
    )


def test_there_are_no_cut_offs_where_no_rule_or_no_session_is() -> None:
    assert cutoffs("XLON", dt.date(2026, 11, 24)) is None
    assert cutoffs("XNYS", dt.date(2026, 11, 26)) is None
    assert cutoffs("XNYS", dt.date(2012, 5, 1)) is None


def test_a_desk_adds_an_auction_in_its_rulebook() -> None:
    own = parse(
        """
        [[auction]]
        starts = 2020-01-01
        source = "a desk's own"
        grade = "user"
        exchange = "ARCX"
        opening_imbalance = 08:00:00
        closing_imbalance = 15:59:00
        moo_until = 09:29:00
        moc_until = 15:59:00
        loc_until = 15:59:00
        """,
        "own.toml",
    )
    book = bundled().over(own)
    assert phase("ARCX", ny("2026-11-24 15:59"), book).phase is Phase.CLOSING_AUCTION
    assert phase("ARCX", ny("2026-11-24 15:59")).phase is Phase.CONTINUOUS


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: phase("XNYX", ny("2026-11-24 10:00")), UnknownName, "XNYX"),
        (lambda: phase("", ny("2026-11-24 10:00")), BadInput, "names no exchange"),
        (lambda: phase("XNYS", ny("2026-11-24 10:00").replace(tzinfo=None)), BadDates, "no time zone"),
        (lambda: phase("XNYS", "noon"), BadDates, "noon"),  # type: ignore[arg-type]
        (lambda: session("XKRX", dt.date(1900, 1, 2)), BadDates, "does not cover 1900"),
    ],
)
def test_bad_input_gets_one_clear_error(call: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()  # type: ignore[operator]


moments = st.integers(0, 457 * 86_400_000_000).map(
    lambda passed: dt.datetime(2019, 10, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=passed)
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["XNAS", "XNYS", "XLON", "XHKG"]), moments)
def test_phases_partition_time(exchange: str, at: dt.datetime) -> None:
    found = phase(exchange, at)
    assert found.since is not None
    assert found.until is not None
    assert found.since <= at < found.until
    after = phase(exchange, found.until)
    assert (after.since, after.phase) == (found.until, found.then)
    before = phase(exchange, found.since - dt.timedelta(microseconds=1))
    assert (before.until, before.then) == (found.since, found.phase)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["XNAS", "XNYS", "XHKG", "XLON"]), st.dates(dt.date(2019, 10, 1), dt.date(2020, 12, 31)))
def test_the_spans_of_a_session_follow_each_other_and_cover_it(exchange: str, day: dt.date) -> None:
    found = session(exchange, day)
    if found is None:
        return
    parts = spans(found)
    assert all(part.since is not None and part.until is not None and part.since < part.until for part in parts)
    assert all(one.until == after.since and one.then is after.phase for one, after in pairwise(parts))
    assert (parts[-1].until, parts[-1].then) == (found.closes, Phase.CLOSED)
    assert sum((p.until - p.since for p in parts if p.phase.trades), dt.timedelta()) == found.closes - found.opens - (  # type: ignore[operator]
        found.breaks[1] - found.breaks[0] if found.breaks else dt.timedelta()
    )
