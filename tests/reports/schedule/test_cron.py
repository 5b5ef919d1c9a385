"""Cron against a walk through all minutes, in zones whose clocks do odd things."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, QuantdeskError, UnknownName
from quantdesk.reports.schedule import parse
from quantdesk.reports.schedule.cron import parse_cron

MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
#: Zone, and the UTC day around which its clocks change: forward, back, by half an hour, at midnight, by two hours, by
#: a whole day, by 45-minute offsets, and never.
CHANGES = [
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Europe/London", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"),
    ("America/Santiago", "2026-09-06"),
    ("America/Santiago", "2026-04-05"),
    ("Africa/Cairo", "2026-04-23"),
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Pacific/Chatham", "2026-09-26"),
    ("Pacific/Apia", "2011-12-30"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Asia/Kolkata", "2026-03-08"),
    ("UTC", "2026-03-08"),
]
zones = st.sampled_from(CHANGES)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def local(zone: str, text: str, fold: int = 0) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(dt.UTC)


@st.composite
def field(draw: st.DrawFn, low: int, high: int) -> tuple[str, set[int]]:
    """The text of a field, and the numbers that it means, made together: no parser is trusted."""
    number = st.integers(low, high)
    match draw(st.sampled_from(["*", "*/", "one", "list", "range", "range/"])):
        case "*":
            return "*", set(range(low, high + 1))
        case "*/":
            step = draw(st.integers(1, high))
            return f"*/{step}", set(range(low, high + 1, step))
        case "one":
            one = draw(number)
            return str(one), {one}
        case "list":
            several = draw(st.lists(number, min_size=2, max_size=4))
            return ",".join(map(str, several)), set(several)
        case kind:
            first, last = sorted((draw(number), draw(number)))
            if kind == "range":
                return f"{first}-{last}", set(range(first, last + 1))
            step = draw(st.integers(1, 12))
            # A range of one number with steps means "from there on"; it is left to the tables of cronsim.
            last = max(last, min(first + 1, high))
            first = min(first, last - 1)
            return f"{first}-{last}/{step}", set(range(first, last + 1, step))


@st.composite
def expression(draw: st.DrawFn) -> tuple[str, list[set[int]]]:
    texts, sets = zip(
        draw(field(0, 59)),
        draw(field(0, 23)),
        draw(field(1, 31)),
        ("*", set(range(1, 13))),
        draw(field(0, 6)),
        strict=True,
    )
    return " ".join(texts), list(sets)


def matches(wall: dt.datetime, text: str, sets: list[set[int]]) -> bool:
    minutes, hours, days, months, weekdays = sets
    _, _, day_text, _, weekday_text = text.split()
    day, weekday = wall.day in days, wall.isoweekday() % 7 in weekdays
    both = day_text.startswith("*") or weekday_text.startswith("*")
    return (
        wall.minute in minutes
        and wall.hour in hours
        and wall.month in months
        and (day and weekday if both else day or weekday)
    )


@lru_cache(maxsize=64)
def walls(zone: str, day: dt.date) -> list[tuple[dt.datetime, dt.datetime]]:
    """Each minute from two days before a day to four after it, and what the clock shows then."""
    begin, where = dt.datetime.combine(day, dt.time(), dt.UTC) - 2 * DAY, ZoneInfo(zone)
    instants = (begin + number * MINUTE for number in range(6 * 24 * 60))
    return [(at, at.astimezone(where).replace(tzinfo=None)) for at in instants]


def walk(text: str, sets: list[set[int]], zone: str, after: dt.datetime, until: dt.datetime) -> list[dt.datetime]:
    """Minute by minute through UTC: what the clock shows, or each local time once."""
    fixed = not any(part.startswith("*") for part in text.split()[:2])
    found, shown = set(), set()
    minutes = walls(zone, after.date())
    last = minutes[0][1] - MINUTE
    for at, wall in minutes:
        if not fixed:
            due = matches(wall, text, sets)
        else:
            # All the local minutes that this one has to answer for: itself, and those that the clock jumped over.
            passed = [wall] if wall <= last else [last + n * MINUTE for n in range(1, (wall - last) // MINUTE + 1)]
            new = [one for one in passed if one not in shown]
            shown.update(new)
            due = any(matches(one, text, sets) for one in new)
        if due and after < at <= until:
            found.add(at)
        last = wall
    return sorted(found)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expression(), zones, st.integers(0, 2 * 24 * 60))
def test_every_due_time_and_no_other(made: tuple[str, list[set[int]]], place: tuple[str, str], into: int) -> None:
    text, sets = made
    zone, day = place
    after = utc(day) - DAY + into * MINUTE
    until = after + 2 * DAY
    trigger = parse_cron(text, zone)
    assert list(trigger.between(after, until)) == walk(text, sets, zone, after, until)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expression(), zones, st.lists(st.integers(0, 3 * 24 * 3600 * 1000), min_size=3, max_size=3).map(sorted))
def test_ranges_that_touch_neither_share_nor_lose(
    made: tuple[str, list[set[int]]], place: tuple[str, str], cuts: list[int]
) -> None:
    trigger = parse_cron(made[0], place[0])
    a, b, c = (utc(place[1]) - DAY + dt.timedelta(milliseconds=cut) for cut in cuts)
    whole = trigger.between(a, c)
    assert trigger.between(a, b) + trigger.between(b, c) == whole
    assert all(one < two for one, two in pairwise(whole))
    # One at a time comes to the same.
    chain, at = [], a
    while len(chain) < 50 and (due := trigger.next_after(at)) is not None and due <= c:
        chain.append(due)
        at = due
    assert tuple(chain) == whole[:50]
    assert trigger.between(a, c, 3) == whole[:3]


@pytest.mark.parametrize(
    ("zone", "forward", "at", "runs", "back", "first"),
    [
        ("America/New_York", "2026-03-08", "02:30", "2026-03-08T07:00", "2026-11-01", "01:30"),
        ("Europe/London", "2026-03-29", "01:15", "2026-03-29T01:00", "2026-10-25", "01:15"),
        ("Europe/Berlin", "2026-03-29", "02:00", "2026-03-29T01:00", "2026-10-25", "02:59"),
        ("Australia/Sydney", "2026-10-04", "02:30", "2026-10-03T16:00", "2026-04-05", "02:30"),
        ("America/Havana", "2026-03-08", "00:10", "2026-03-08T05:00", "2026-11-01", "00:10"),
        ("Australia/Lord_Howe", "2026-10-04", "02:10", "2026-10-03T15:30", "2026-04-05", "01:40"),
    ],
)
def test_a_daily_job_runs_once_when_clocks_change(
    zone: str, forward: str, at: str, runs: str, back: str, first: str
) -> None:
    hour, minute = at.split(":")
    trigger = parse_cron(f"{int(minute)} {int(hour)} * * *", zone)
    night = local(zone, f"{forward}T12:00")
    assert trigger.between(night - DAY, night) == (utc(runs),)
    hour, minute = first.split(":")
    trigger = parse_cron(f"{int(minute)} {int(hour)} * * *", zone)
    night = local(zone, f"{back}T12:00")
    assert trigger.between(night - DAY, night) == (local(zone, f"{back}T{first}"),)
    # Asked between the first and the second time that the clock shows it, the next one is tomorrow's.
    second = local(zone, f"{back}T{first}", fold=1)
    assert second > local(zone, f"{back}T{first}")
    assert trigger.next_after(second - MINUTE) == trigger.next_after(second) > second + 12 * 60 * MINUTE


def test_two_times_in_one_gap_are_one_run() -> None:
    trigger = parse_cron("0,30 2,3 * * *", "America/New_York")
    got = trigger.between(utc("2026-03-08"), utc("2026-03-08T20:00"))
    assert got == (utc("2026-03-08T07:00"), utc("2026-03-08T07:30"))


def test_what_the_clock_shows_goes_on_every_ten_minutes() -> None:
    trigger = parse_cron("*/10 * * * *", "America/New_York")
    for day in ("2026-03-08", "2026-11-01"):
        got = trigger.between(utc(day), utc(day) + DAY)
        assert len(got) == 144
        assert {two - one for one, two in pairwise(got)} == {10 * MINUTE}


@pytest.mark.parametrize(
    "text", ["30 7 * * MON-FRI", "0 0 L * *", "0 9 * * FRI#2", "15 6 LW * *", "0 12 1,15 * *", "0 0 29 2 *"]
)
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Europe/London"])
def test_as_cronsim_has_it(text: str, zone: str) -> None:
    """Where no clock changes at the time, the library and we agree, over years and in its special forms."""
    begin = local(zone, "2024-01-01")
    theirs = CronSim(text, begin.astimezone(ZoneInfo(zone)))
    at = begin
    for _ in range(40):
        expected = next(theirs).astimezone(dt.UTC)
        at = parse_cron(text, zone).next_after(at)
        assert at == expected


def test_far_apart() -> None:
    trigger = parse("0 0 29 2 *", "UTC")
    assert trigger.next_after(utc("2096-03-01")) == utc("2104-02-29")  # 2100 is no leap year
    assert parse("*/5 0 29 2 *", "Europe/Berlin").next_after(utc("2026-11-27")) == local("Europe/Berlin", "2028-02-29")
    assert parse("0 0 1 1 *", "UTC").next_after(utc("9000-06-01")) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("61 7 * * *", r"'61 7 \* \* \*' is wrong in its minute, field 1 of five: '61'"),
        ("0 24 * * *", "hour, field 2 of five: '24'"),
        ("0 7 32 * *", "day-of-month, field 3 of five: '32'"),
        ("0 7 * JANUARY *", "month, field 4 of five: 'JANUARY'"),
        ("0 7 * * 8", "day-of-week, field 5 of five: '8'"),
        ("*/0 7 * * *", "minute, field 1 of five"),
        ("0 7 * *", "has 4 of the five fields"),
        ("0 0 7 * * *", "has 6 of the five fields"),
        ("0 0 31 2 *", "never due"),
        ("0 0 */31 2 MON#5", "never due"),
        ("٣ 7 * * *", "minute, field 1 of five"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as error:
        parse(text, "UTC")
    assert "30 7 * * MON-FRI" in error.value.remedy


def test_zones_are_checked() -> None:
    with pytest.raises(UnknownName, match=r"Unknown time zone 'Europe/Berln'. Did you mean Europe/Berlin"):
        parse("0 7 * * *", "Europe/Berln")
    for hostile in ("../../etc/passwd", "America", "UTC\0", "", "/etc/localtime", "x" * 10_000):
        with pytest.raises(UnknownName):
            parse("0 7 * * *", hostile)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="0123456789*/,-#LWMONFRIJA ²٣\n", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        trigger = parse(text, "America/New_York")
    except QuantdeskError:
        return
    due = trigger.next_after(utc("2026-01-01"))
    assert due is not None
    assert due > utc("2026-01-01")
    assert trigger.describe()
