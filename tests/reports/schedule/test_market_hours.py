"""Triggers that follow a market, against its calendar read directly, and days that people remember."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, DataError
from quantdesk.reports.schedule import CalendarEnds, parse

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def at(zone: str, text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


@pytest.mark.parametrize(
    ("text", "after", "zone", "expected"),
    [
        # The close follows daylight saving, early closes and holidays.
        ("30 minutes after the NYSE close", "2026-07-07T12:00", "America/New_York", "2026-07-07T16:30"),
        ("30 minutes after the NYSE close", "2026-01-07T12:00", "America/New_York", "2026-01-07T16:30"),
        ("at the NYSE close", "2025-07-03T12:00", "America/New_York", "2025-07-03T13:00"),
        ("30 minutes after the NYSE close", "2025-07-03T18:00", "America/New_York", "2025-07-07T16:30"),
        ("15 minutes before the NYSE close", "2025-11-27T12:00", "America/New_York", "2025-11-28T12:45"),
        ("15 minutes after the close", "2026-12-24T12:00", "America/New_York", "2026-12-24T13:15"),
        # The Friday of week 45 is the last session of daylight saving's odd weeks between London and New York.
        ("at the XNYS open", "2026-03-09T12:00", "Europe/London", "2026-03-09T13:30"),
        ("at the XNYS open", "2026-04-01T12:00", "Europe/London", "2026-04-01T14:30"),
        ("1 hour before the XLON close", "2026-12-24T12:00", "Europe/London", "2026-12-29T15:30"),
        ("1 hour before the XLON close", "2026-12-24T11:00", "Europe/London", "2026-12-24T11:30"),
        # Days on which the exchange was shut without a plan.
        ("at the NYSE open", "2001-09-10T18:00", "America/New_York", "2001-09-17T09:30"),
        ("at the NYSE close", "2012-10-28T12:00", "America/New_York", "2012-10-31T16:00"),
        ("at the NYSE close", "2018-12-04T20:00", "America/New_York", "2018-12-06T16:00"),
        # Clock times are those of the schedule's zone, on days of the market's.
        ("every session at 08:00", "2026-11-25T12:00", "America/New_York", "2026-11-27T08:00"),
        ("every session at 08:00", "2026-11-25T12:00", "Asia/Tokyo", "2026-11-27T08:00"),
        ("every XTKS session at 20:30", "2026-05-02T12:00", "Asia/Tokyo", "2026-05-07T20:30"),
        # First, last and n-th of a period.
        ("first session of the month at 08:00", "2026-08-15T12:00", "America/New_York", "2026-09-01T08:00"),
        ("first session of the month at 08:00", "2026-12-15T12:00", "America/New_York", "2027-01-04T08:00"),
        ("first session of the week at 08:00", "2026-09-05T12:00", "America/New_York", "2026-09-08T08:00"),
        (
            "last session of the week 15 minutes after the close",
            "2026-03-30T12:00",
            "America/New_York",
            "2026-04-02T16:15",
        ),
        ("last session of the month at the close", "2025-11-01T12:00", "America/New_York", "2025-11-28T13:00"),
        ("last session of the quarter at 18:00", "2026-04-01T12:00", "America/New_York", "2026-06-30T18:00"),
        ("last session of the year at the close", "2026-06-01T12:00", "America/New_York", "2026-12-31T16:00"),
        ("at 08:00 on the second session of the year", "2026-12-31T12:00", "America/New_York", "2027-01-05T08:00"),
        # A week of four sessions has no fifth one.
        ("fifth session of the week at 08:00", "2026-11-23T12:00", "America/New_York", "2026-12-04T08:00"),
        ("last session of the week at 08:00", "2027-12-28T12:00", "America/New_York", "2027-12-31T08:00"),
        # The London Clock: a local time that does not exist is the first moment after the gap.
        ("every 24/7 session at 02:30", "2026-03-07T12:00", "America/New_York", "2026-03-08T03:00"),
        ("every 24/7 session at 01:30", "2026-10-31T12:00", "America/New_York", "2026-11-01T01:30"),
        # Fixings.
        ("15 minutes after the ECB fixing", "2026-04-02T18:00", "Europe/Berlin", "2026-04-07T14:30"),
        ("every UST session at 18:00", "2026-10-09T20:00", "America/New_York", "2026-10-13T18:00"),
        # Sessions that open on the evening before.
        ("at the CMES open", "2026-11-22T12:00", "America/Chicago", "2026-11-22T17:00"),
    ],
)
def test_known_days(text: str, after: str, zone: str, expected: str) -> None:
    assert parse(text, zone).next_after(at(zone, after)) == at(zone, expected)


def test_the_grid_of_a_session() -> None:
    trigger = parse("every 15 minutes during the NYSE session", "America/New_York")
    day = trigger.between(utc("2026-11-25"), utc("2026-11-26"))
    assert (len(day), day[0], day[-1]) == (26, utc("2026-11-25T14:30"), utc("2026-11-25T20:45"))
    early = trigger.between(utc("2026-11-27"), utc("2026-11-28"))
    assert (len(early), early[-1]) == (14, utc("2026-11-27T17:45"))  # until 13:00 in New York
    assert trigger.between(utc("2026-11-26"), utc("2026-11-27")) == ()


def test_nothing_is_due_at_lunch() -> None:
    due = parse("every 30 minutes during the XHKG session", "Asia/Hong_Kong").between(
        utc("2026-11-25"), utc("2026-11-26")
    )
    shown = [f"{one.astimezone(ZoneInfo('Asia/Hong_Kong')):%H:%M}" for one in due]
    assert shown == ["09:30", "10:00", "10:30", "11:00", "11:30", "13:00", "13:30", "14:00", "14:30", "15:00", "15:30"]


@lru_cache
def schedule(market: str) -> Any:
    return exchange_calendars.get_calendar(market, start="2024-06-01", end="2026-12-31").schedule


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["XNYS", "XLON", "CMES"]),
    st.sampled_from(["open", "close"]),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.lists(st.integers(0, 600 * 24 * 60), min_size=3, max_size=3).map(sorted),
)
def test_every_session_and_no_other(market: str, event: str, minutes: int, cuts: list[int]) -> None:
    """Over a year and more; and ranges that touch neither share nor lose."""
    offset = dt.timedelta(minutes=minutes)
    side = "after" if minutes >= 0 else "before"
    trigger = parse(f"{abs(minutes)} minutes {side} the {market} {event}", "UTC")
    a, b, c = (utc("2025-01-01") + dt.timedelta(minutes=cut) for cut in cuts)
    expected = [moment.to_pydatetime() + offset for moment in schedule(market)[event]]
    got = trigger.between(a, c)
    assert list(got) == [due for due in expected if a < due <= c]
    assert trigger.between(a, b) + trigger.between(b, c) == got
    assert trigger.next_after(a) == next(due for due in expected if due > a)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["week", "month", "quarter", "year"]),
    st.sampled_from(["first", "second", "third", "fourth", "fifth", "last"]),
    st.sampled_from(["America/New_York", "Asia/Tokyo", "Pacific/Honolulu"]),
    st.lists(st.integers(0, 600 * 24), min_size=3, max_size=3).map(sorted),
)
def test_one_session_of_each_period(period: str, ordinal: str, zone: str, cuts: list[int]) -> None:
    sessions = [stamp.date() for stamp in schedule("XNYS").index]
    keys = {
        "week": lambda day: day.isocalendar()[:2],
        "month": lambda day: (day.year, day.month),
        "quarter": lambda day: (day.year, (day.month - 1) // 3),
        "year": lambda day: day.year,
    }
    groups: dict[Any, list[dt.date]] = {}
    for day in sessions:
        groups.setdefault(keys[period](day), []).append(day)
    place = ["first", "second", "third", "fourth", "fifth", "last"].index(ordinal) if ordinal != "last" else -1
    chosen = [group[place] for group in groups.values() if place == -1 or len(group) > place]
    expected = [at(zone, f"{day.isoformat()}T06:45") for day in chosen]
    trigger = parse(f"{ordinal} session of the {period} at 06:45", zone)
    a, b, c = (utc("2025-01-01") + cut * HOUR for cut in cuts)
    assert list(trigger.between(a, c)) == [due for due in expected if a < due <= c]
    assert trigger.between(a, b) + trigger.between(b, c) == trigger.between(a, c)


def test_the_end_of_a_calendar_is_said() -> None:
    """Shanghai's holidays are published a year at a time."""
    last = exchange_calendars.get_calendar("XSHG", start="2022-03-01", end="2022-03-31").bound_max().date()
    close = "at the XSHG close"
    trigger = parse(close, "Asia/Shanghai")
    end = dt.datetime.combine(last, dt.time(23), dt.UTC)
    # Up to its end, all is well, the last day included.
    assert trigger.between(end - 3 * DAY, end)[-1].date() == last
    with pytest.raises(CalendarEnds, match=rf"The calendar of XSHG is not known for {last.year + 1}") as error:
        trigger.next_after(end)
    assert isinstance(error.value, DataError)
    assert error.value.known_until == last
    assert "write cron" in error.value.remedy
    with pytest.raises(CalendarEnds):
        trigger.between(end - 3 * DAY, end + DAY)
    assert len(trigger.between(end - 3 * DAY, end + DAY, limit=1)) == 1


def test_moments_need_a_zone() -> None:
    trigger = parse("at the NYSE close", "UTC")
    for moment in (dt.datetime(2026, 1, 1), "2026-01-01", None, dt.date(2026, 1, 1)):  # noqa: DTZ001
        with pytest.raises(BadDates, match="is no moment"):
            trigger.next_after(moment)  # type: ignore[arg-type]
    with pytest.raises(BadDates, match="year from 1000"):
        trigger.next_after(dt.datetime(1, 1, 1, tzinfo=dt.UTC))
    assert trigger.next_after(at("Asia/Tokyo", "2026-11-26T00:00")) == utc("2026-11-25T21:00")
