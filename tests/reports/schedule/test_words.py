"""What people write: read, or refused at the word that is wrong."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, QuantdeskError, UnknownName
from quantdesk.reports import schedule
from quantdesk.reports.schedule import Trigger, parse

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("30 minutes after the NYSE close", "on every session half an hour after the XNYS closing"),
        ("30 minutes after the NYSE close", "30 min after NYSE Close"),
        ("90 minutes before the XLON open", "1 hour and 30 minutes before each LSE opening"),
        ("60 minutes after the close", "an hour after the close"),
        ("at the XNYS open", "at NASDAQ open"),
        ("every session at 08:00", "at 8:00 on each NYSE session"),
        ("every session at 08:00", "08:00 on every session"),
        ("first session of the month at 08:00", "on the first XNYS session of each month at 08:00"),
        (
            "last session of the week 15 minutes after the close",
            "15 minutes after the close of the last session of the week",
        ),
        ("every 60 minutes during the session", "every hour during every NYSE session"),
        ("every 0 hours 5 minutes during the session", "every 5 minutes during the session"),
        ("0 minutes after the close", "at the close"),
    ],
)
def test_two_ways_to_say_it(text: str, same: str) -> None:
    one, other = (parse(words, "Europe/Berlin") for words in (text, same))
    until = NOW + dt.timedelta(days=40)
    assert one.between(NOW, until) == other.between(NOW, until) != ()
    assert one.describe() == other.describe()
    assert other.text == same


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("30 minutes after the NYSE clse", r"at word 6, 'clse': .*\"close\".* was expected"),
        ("at the clse", r"at word 3, 'clse': \"open\" or"),
        ("30 minutes aftr the close", r"at word 3, 'aftr': \"after\" or \"before\" was expected"),
        ("30 furlongs after the close", r"at word 2, 'furlongs'"),
        ("40 hours after the close", r"at word 1, '40': a distance below 24 hours was expected"),
        ("at 25:00", r"at word 2, '25:00': a time such as 08:00 was expected"),
        ("at 08:00", r"at its end: \"on every session\""),
        ("every session", r"at its end: \"at\", a time such as 08:00"),
        ("every session at 08:00 please", r"at word 5, 'please': nothing more"),
        ("first session of the decade at 08:00", r"at word 5, 'decade': \"week\" or \"month\""),
        ("every 0 minutes during the session", r"at word 2, '0': a time from 1 minute"),
        ("every 5 minutes", r"at its end: \"during\""),
        ("first NYSE session of the month at the XLON close", r"'XLON': XNYS, of which it speaks already"),
        ("at the ECB close", 'ECB has no close. It has "fixing"'),
        ("at the NYSE fixing", "XNYS has no fixing"),
        ("half a minute after the close", r"at word 2, 'a': \"an\" was expected"),
        ("@daily", "at word 1, '@daily'"),
        ("", "'' is no schedule"),
        (" \t", "is no schedule"),
        (None, "None is no schedule"),
        ("every " * 100, "has 600 characters"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as error:
        parse(text, "UTC")
    assert error.value.remedy


def test_an_unknown_market_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"Unknown market 'NYZE'. Did you mean .*NYSE"):
        parse("30 minutes after the NYZE close", "UTC")


WORDS = ["every", "each", "first", "last", "the", "session", "sessions", "of", "month", "week", "at", "on", "in", "and"]
WORDS += ["08:00", "24:00", "0", "30", "99999", "minutes", "an", "hour", "half", "open", "close", "after", "before"]
WORDS += ["during", "NYSE", "XLON", "ECB"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join), st.text(max_size=40)))
def test_any_words_are_read_or_refused(text: str) -> None:
    try:
        trigger = parse(text, "America/New_York")
    except QuantdeskError:
        return
    assert isinstance(trigger, Trigger)
    assert trigger.next_after(NOW) > NOW
    assert trigger.describe().endswith(".")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "30 7 * * MON-FRI",
            "At 07:30 on Monday through Friday (Europe/Berlin); each local time once, also when clocks change.",
        ),
        (
            "30 minutes after the NYSE close",
            "30 minutes after the close of XNYS, on every session; follows early closes and holidays.",
        ),
        ("every session at 08:00", "At 08:00 (Europe/Berlin) on every session of XNYS; not on its holidays."),
        (
            "15 minutes before the ECB fixing",
            "15 minutes before the fixing of ECB, on every session; not on its holidays.",
        ),
        (
            "every 90 minutes during the last XTKS session of the month",
            "Every 1 hour 30 minutes during the last session of each month of XTKS: from the opening on, not at lunch, "
            "the last time before the close.",
        ),
    ],
)
def test_in_plain_words(text: str, said: str) -> None:
    assert parse(text, "Europe/Berlin").describe() == said


def test_what_the_package_exports() -> None:
    assert set(dir(schedule)) == set(schedule.__all__)
    assert all(getattr(schedule, name) for name in schedule.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        schedule.Nothing  # noqa: B018
