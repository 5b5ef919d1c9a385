"""Whether a run is tried again, and whether one that waits for others may go on."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from typing import Any

import pytest

from quantdesk.errors import UnknownName
from quantdesk.reports import dispatch
from quantdesk.reports.dispatch.dependencies import Gate, begin_of_day, decide
from quantdesk.reports.dispatch.work import FAILURES, JITTER, Outcome, wait_before_retry
from quantdesk.reports.ledger import Recorded, State

NOON = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def recorded(run_id: str = "one", **more: Any) -> Recorded:
    values: dict[str, Any] = dict.fromkeys(Recorded.__dataclass_fields__)
    values |= {"id": run_id, "report": "tiny", "state": State.WAITING, "queued": NOON, "after": (), "details": {}}
    values |= {"attempt": 1, "attempts": 1}
    return Recorded(**values | more)


@pytest.mark.parametrize("state", [state for state in State if state.is_final])
@pytest.mark.parametrize(("attempt", "attempts"), [(1, 1), (1, 2), (2, 2), (3, 2)])
def test_another_attempt_only_where_it_helps(state: State, attempt: int, attempts: int) -> None:
    run = recorded(attempt=attempt, attempts=attempts)
    wait = wait_before_retry(run, Outcome(state, retry_after_s=10.0), random.Random(1))
    assert (wait is not None) == (state in FAILURES and attempt < attempts)
    # Whoever carried it out knows that it would fail again.
    assert wait_before_retry(run, Outcome(state), random.Random(1)) is None


def test_what_failed_together_does_not_come_back_together() -> None:
    run, rng = recorded(attempts=2), random.Random(1)
    waits = [wait_before_retry(run, Outcome(State.FAILED, retry_after_s=8.0), rng) or 0.0 for _ in range(100)]
    assert min(waits) >= 8.0
    assert max(waits) <= 8.0 * (1 + JITTER)
    assert len(set(waits)) == 100


def other(run_id: str, state: State, report: str = "first", **more: Any) -> Recorded:
    return recorded(run_id, report=report, state=state, due=NOON - HOUR, **more)


def by_hand(run_id: str, state: State) -> Recorded:
    return recorded(run_id, report="first", state=state, queued=NOON + HOUR)


WAITING = recorded(after=("first",), due=NOON, details={"timezone": "America/New_York"})


@pytest.mark.parametrize(
    ("others", "now", "gate", "reason"),
    [
        ([], NOON, Gate.CLOSED, "It waits for a run of first on 2026-11-27."),
        ([other("a", State.COMPLETED)], NOON, Gate.OPEN, ""),
        ([other("a", State.RUNNING)], NOON, Gate.CLOSED, "It waits for the run a of first."),
        ([other("a", State.QUEUED)], NOON, Gate.CLOSED, "It waits for the run a of first."),
        (
            [other("a", State.FAILED)],
            NOON,
            Gate.NEVER,
            "It was not begun: first, which has to be complete before, is failed (a).",
        ),
        # Somebody runs it again before anybody looks, and it is complete.
        ([other("a", State.FAILED), by_hand("b", State.COMPLETED)], NOON, Gate.OPEN, ""),
        (
            [other("a", State.FAILED), by_hand("b", State.RUNNING)],
            NOON,
            Gate.CLOSED,
            "It waits for the run b of first.",
        ),
        ([other("a", State.FAILED), by_hand("b", State.FAILED)], NOON, Gate.NEVER, "It was not begun"),
        # Of several, the last one before it counts.
        (
            [replace(other("a", State.COMPLETED), due=NOON - 2 * HOUR), other("b", State.RUNNING)],
            NOON,
            Gate.CLOSED,
            "It waits for the run b of first.",
        ),
        (
            [replace(other("a", State.COMPLETED), due=NOON - 2 * HOUR), other("b", State.FAILED)],
            NOON,
            Gate.NEVER,
            "It was",
        ),
        ([replace(other("a", State.FAILED), due=NOON - 2 * HOUR), other("b", State.COMPLETED)], NOON, Gate.OPEN, ""),
        # Yesterday's does not count, nor does what is yesterday in New York.
        ([other("a", State.COMPLETED, queued=NOON - DAY)], NOON, Gate.OPEN, ""),
        ([replace(other("a", State.COMPLETED), due=NOON - DAY)], NOON, Gate.CLOSED, "It waits for a run of first"),
        ([replace(other("a", State.COMPLETED), due=NOON - 9 * HOUR)], NOON, Gate.CLOSED, "It waits for a run of first"),
        ([replace(other("a", State.COMPLETED), due=NOON + 15 * HOUR)], NOON, Gate.OPEN, ""),
        ([replace(other("a", State.FAILED), due=None, queued=NOON)], NOON, Gate.NEVER, "It was not begun"),
        # The day ends in New York at 05:00 UTC, and an hour of patience later.
        ([], NOON + 17 * HOUR, Gate.CLOSED, "It waits for a run of first"),
        (
            [],
            NOON + 18 * HOUR,
            Gate.NEVER,
            "It was not begun: first, which has to be complete before, did not run on 2026-11-27.",
        ),
        ([other("a", State.RUNNING)], NOON + 90 * HOUR, Gate.CLOSED, "It waits for the run a"),
    ],
)
def test_a_run_that_waits(others: list[Recorded], now: dt.datetime, gate: Gate, reason: str) -> None:
    verdict = decide(WAITING, {"first": others}, now)
    assert verdict.gate is gate
    assert verdict.reason.startswith(reason)
    assert bool(verdict.reason) == bool(reason)


def test_it_waits_for_all_and_one_failure_is_enough() -> None:
    run = replace(WAITING, after=("first", "second"))
    ready = [other("a", State.COMPLETED)]
    assert decide(run, {"first": ready}, NOON).gate is Gate.CLOSED
    assert decide(run, {"first": ready, "second": [other("b", State.COMPLETED)]}, NOON).gate is Gate.OPEN
    assert decide(run, {"first": [], "second": [other("b", State.TIMED_OUT)]}, NOON).gate is Gate.NEVER


def test_it_does_not_wait_for_itself() -> None:
    run = replace(WAITING, after=("tiny",))
    assert decide(run, {"tiny": [run]}, NOON).reason == "It waits for a run of tiny on 2026-11-27."


def test_the_day_begins_in_the_zone_of_the_schedule() -> None:
    assert begin_of_day(WAITING) == dt.datetime(2026, 11, 27, 5, tzinfo=dt.UTC)
    assert begin_of_day(recorded(queued=NOON)) == dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
    with pytest.raises(UnknownName, match="time zone"):
        begin_of_day(replace(WAITING, details={"timezone": "Mars/Olympus"}))


def test_what_the_package_exports() -> None:
    assert set(dir(dispatch)) == set(dispatch.__all__)
    assert all(getattr(dispatch, name) for name in dispatch.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        dispatch.Nothing  # noqa: B018
