"""Freshness counts sessions of the exchange, not hours, and never calls an ended history fresh."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, BadParameter
from quantdesk.features.freshness import Agreement, State, agreements, broken, freshness, gone, own_view, summary
from quantdesk.market import Flags, Series

JANUARY, DECEMBER = (dt.datetime.fromisoformat(day) for day in ("2026-01-05", "2026-12-01"))


def series(end: str, **changes: object) -> Series:
    plain = Series(
        symbol="ACME",
        source="desk",
        kind="equity",
        unit="USD",
        calendar="XNYS",
        fields=("close",),
        package="desk",
        version="1",
        licence="none",
        sha256="0" * 64,
        flags=Flags(real=True, adjusted_with_hindsight=False, survivors_only=False),
        publication="close",
        publication_lag=dt.timedelta(minutes=15),
        start=dt.date(2020, 1, 2),
        end=dt.date.fromisoformat(end),
        rows=100,
        preferred=True,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def judged(end: str, now: str, **more: object):  # type: ignore[no-untyped-def]
    one = series(end)
    return freshness("technical", one, one.end, at(now), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "missing", "state"),
    [
        # 2026-11-20 is a Friday; the exchange closes at 21:00 UTC, and the value is known at 21:15.
        ("2026-11-20T21:15", 0, State.FRESH),
        ("2026-11-21T12:00", 0, State.FRESH),
        ("2026-11-22T23:59", 0, State.FRESH),
        ("2026-11-23T21:14", 0, State.FRESH),
        ("2026-11-23T21:15", 1, State.FRESH),
        ("2026-11-24T21:14", 1, State.FRESH),
        ("2026-11-24T21:15", 2, State.LATE),
        # Wednesday is due in the evening, Thanksgiving is no session, and the Friday after it closes at 18:00.
        ("2026-11-26T23:00", 3, State.LATE),
        ("2026-11-27T18:14", 3, State.LATE),
        ("2026-11-27T18:15", 4, State.LATE),
    ],
)
def test_a_session_is_due_at_its_close_and_a_weekend_is_not_stale(now: str, missing: int, state: State) -> None:
    found = judged("2026-11-20", now)
    assert (found.missing, found.state) == (missing, state)
    assert found.broken == (state is State.LATE)


def test_the_latest_session_that_is_due_is_named() -> None:
    assert judged("2026-11-20", "2026-11-27T18:15").due == dt.date(2026, 11, 27)
    assert judged("2026-11-20", "2026-11-22T00:00").due == dt.date(2026, 11, 20)


def test_a_finished_file_is_ended_and_says_how_old_it_is() -> None:
    found = judged("2022-12-28", "2026-11-23T05:00", finished={"desk"})
    assert found.state is State.ENDED
    assert not found.broken
    assert found.due is None
    assert "2022-12-28" in found.says
    assert "1,426 days" in found.says


def test_the_same_history_from_a_live_source_is_late() -> None:
    found = judged("2022-12-28", "2026-11-23T05:00")
    assert found.state is State.LATE
    assert found.missing > 900


def test_a_finished_file_that_is_up_to_date_is_fresh() -> None:
    assert judged("2026-11-20", "2026-11-22T05:00", finished={"desk"}).state is State.FRESH


def test_rows_that_end_before_their_source_does_are_behind_even_if_it_has_ended() -> None:
    one = series("2022-12-28")
    found = freshness("technical", one, dt.date(2022, 12, 27), at("2026-11-23T05:00"), finished={"desk"})
    assert found.state is State.BEHIND
    assert found.broken
    assert "2022-12-27" in found.says


def test_nothing_at_all_and_an_unknowable_calendar_never_pass() -> None:
    one = series("2026-11-20")
    assert freshness("technical", one, None, at("2026-11-22T00:00")).state is State.EMPTY
    odd = series("2026-11-20", calendar="MOON")
    found = freshness("technical", odd, odd.end, at("2026-11-22T00:00"))
    assert found.state is State.UNKNOWN
    assert "MOON" in found.says
    assert len(broken([found])) == 1


def test_a_series_that_its_source_dropped_is_said_to_be_gone() -> None:
    found = gone("technical", series("2026-11-20"), dt.date(2026, 11, 20))
    assert found.state is State.GONE
    assert not found.broken


def test_a_time_without_a_zone_is_refused() -> None:
    one = series("2026-11-20")
    with pytest.raises(BadInput, match="time zone"):
        freshness("technical", one, one.end, dt.datetime.fromisoformat("2026-11-22"))


def test_agreements_are_read_from_a_setting() -> None:
    agreed = agreements("close=3, *=9")
    assert agreed["close"].sessions == 3
    assert agreed["eia-spot"].sessions == 5
    assert judged("2026-11-20", "2026-11-25T22:00", agreed=agreed).state is State.FRESH
    own = series("2026-11-20", publication="own")
    assert freshness("t", own, own.end, at("2026-11-30T22:00"), agreed=agreed).allowed == 9
    assert freshness("t", own, own.end, at("2026-11-30T22:00")).allowed == 1


@pytest.mark.parametrize("text", ["close", "close=", "=3", "close=-1", "close=two", "close=1.5"])
def test_a_setting_that_is_none_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(BadParameter, match="no agreement"):
        agreements(text)


@settings(deadline=None, max_examples=60)
@given(
    first=st.datetimes(JANUARY, DECEMBER, timezones=st.just(dt.UTC)),
    later=st.timedeltas(dt.timedelta(0), dt.timedelta(days=20)),
)
def test_what_is_missing_never_shrinks_by_waiting(first: dt.datetime, later: dt.timedelta) -> None:
    one = series("2026-01-02")
    found = [freshness("technical", one, one.end, now) for now in (first, first + later)]
    assert found[0].missing <= found[1].missing
    # At most one session a day, and none on the weekend.
    assert found[1].missing - found[0].missing <= later.days + 1


def test_a_summary_has_one_line_per_source_and_state() -> None:
    now = at("2026-11-24T22:00")
    members = [series("2026-11-20", symbol="A"), series("2026-11-24", symbol="B"), series("2026-11-19", symbol="C")]
    lines = summary([freshness("technical", one, one.end, now) for one in members])
    assert [(line["state"], line["series"], line["missing"]) for line in lines] == [("late", 2, 3), ("fresh", 1, 0)]
    assert lines[0]["broken"]
    assert "3 due sessions" in lines[0]["says"]


def test_agreement_has_a_reason() -> None:
    assert Agreement(1, "why").reason == "why"


def test_a_view_of_ones_own_is_judged_in_days_and_never_fresh_without_an_agreement() -> None:
    last, now = at("2026-11-20T12:00"), at("2026-11-23T12:00")
    assert own_view("news", last, now).state is State.OPEN
    assert not own_view("news", last, now).broken
    assert own_view("news", last, now, agreements("news=3")).state is State.FRESH
    late = own_view("news", last, now, agreements("news=2"))
    assert late.state is State.LATE
    assert "3 days old" in late.says
    assert own_view("news", None, now).state is State.EMPTY
