"""What is run of that which was missed."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadParameter
from quantdesk.reports.schedule import CatchUp, Decision, missed, parse

HOURLY = parse("0 * * * *", "UTC")
NOON = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)


def test_nothing_was_due() -> None:
    assert missed(HOURLY, NOON, NOON + 59 * MINUTE, CatchUp.ALL) == Decision()
    assert Decision().handled is None


@pytest.mark.parametrize("policy", CatchUp)
def test_on_time_is_run_whatever_the_policy(policy: CatchUp) -> None:
    decision = missed(HOURLY, NOON - HOUR, NOON + MINUTE, policy)
    assert decision == Decision((NOON,))
    assert decision.handled == NOON


@pytest.mark.parametrize(
    ("policy", "late", "run", "first", "last"),
    [
        (CatchUp.SKIP, 10, [], -4, 0),
        (CatchUp.SKIP, 1, [0], -4, -1),
        (CatchUp.LATEST, 10, [0], -4, -1),
        (CatchUp.LATEST, 1, [0], -4, -1),
        (CatchUp.ALL, 10, [-4, -3, -2, -1, 0], None, None),
    ],
)
def test_after_a_night_without_a_worker(
    policy: CatchUp, late: int, run: list[int], first: int | None, last: int | None
) -> None:
    decision = missed(HOURLY, NOON - 5 * HOUR, NOON + late * MINUTE, policy)
    assert decision.run == tuple(NOON + one * HOUR for one in run)
    assert decision.first_skipped == (None if first is None else NOON + first * HOUR)
    assert decision.last_skipped == (None if last is None else NOON + last * HOUR)
    assert decision.handled == NOON


def test_all_has_a_limit_and_the_latest_are_kept() -> None:
    decision = missed(HOURLY, NOON - 500 * HOUR, NOON + 10 * MINUTE, CatchUp.ALL, limit=3)
    assert decision == Decision((NOON - 2 * HOUR, NOON - HOUR, NOON), NOON - 499 * HOUR, NOON - 3 * HOUR)


@pytest.mark.parametrize("policy", CatchUp)
def test_a_clock_that_was_put_back_repeats_nothing(policy: CatchUp) -> None:
    assert missed(HOURLY, NOON, NOON - 30 * HOUR, policy) == Decision()


def test_years_of_minutes_are_not_walked_through() -> None:
    asked = []

    class Counting(type(HOURLY)):
        def between(self, after, until, limit=None):
            found = super().between(after, until, limit)
            asked.append(len(found))
            return found

    minutely = Counting("* * * * *", "UTC")
    decision = missed(minutely, NOON.replace(year=2006), NOON, CatchUp.LATEST)
    assert decision.run == (NOON,)
    assert decision.first_skipped == NOON.replace(year=2006) + MINUTE
    assert sum(asked) < 1000


@pytest.mark.parametrize(("limit", "grace"), [(0, MINUTE), (1, -MINUTE)])
def test_limits_make_sense(limit: int, grace: dt.timedelta) -> None:
    with pytest.raises(BadParameter, match="limit"):
        missed(HOURLY, NOON, NOON, CatchUp.ALL, limit=limit, grace=grace)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(
        ["0 * * * *", "*/7 3-9 * * *", "30 minutes after the NYSE close", "every 45 minutes during the session"]
    ),
    st.sampled_from(CatchUp),
    st.integers(0, 20 * 24 * 60),
    st.integers(0, 20 * 24 * 60),
    st.integers(0, 120),
    st.integers(1, 10),
)
def test_every_due_time_is_run_or_skipped(
    text: str, policy: CatchUp, last: int, now: int, grace: int, limit: int
) -> None:
    trigger = parse(text, "America/New_York")
    since, moment = (NOON + offset * MINUTE for offset in (last, now))
    due = trigger.between(since, moment) if moment > since else ()
    decision = missed(trigger, since, moment, policy, grace=grace * MINUTE, limit=limit)
    on_time = tuple(one for one in due if one > moment - grace * MINUTE)
    expected = {CatchUp.SKIP: on_time[-limit:], CatchUp.LATEST: due[-1:], CatchUp.ALL: due[-limit:]}[policy]
    assert decision.run == expected
    left = [one for one in due if one not in expected]
    assert (decision.first_skipped, decision.last_skipped) == ((left[0], left[-1]) if left else (None, None))
    assert decision.handled == (due[-1] if due else None)
