"""Every run that was asked for is carried out by one worker at a time, and ends once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.reports.ledger import Order, RunLedger, State
from quantdesk.reports.ledger.queue import TAKEN_OVER_AT_MOST, ClaimLost
from quantdesk.reports.runs import Status

Make = Callable[..., Order]
DUE = datetime(2026, 11, 27, 21, 30, tzinfo=UTC)
RECORD = {"started": "2026-11-27T12:00:00+00:00", "ended": "2026-11-27T12:00:05+00:00"}


def test_every_end_of_a_run_is_a_state_of_the_ledger() -> None:
    assert {status.value for status in Status} <= {state.value for state in State if state.is_final}


def test_a_run_is_asked_for_once(ledger: RunLedger, order: Make) -> None:
    first, is_new = ledger.queue.add(order("a", parameters={"window": 20}))
    again, is_new_again = ledger.queue.add(order("a", parameters={"window": 30}))
    assert (is_new, is_new_again) == (True, False)
    assert again == first
    assert first.state is State.QUEUED
    assert first.parameters == {"window": 20}


def test_a_due_time_has_one_run_whatever_its_name(ledger: RunLedger, order: Make) -> None:
    first, _ = ledger.queue.add(order("a", schedule_id="s", due=DUE))
    second, is_new = ledger.queue.add(order("b", schedule_id="s", due=DUE))
    later, is_later_new = ledger.queue.add(order("b", schedule_id="s", due=DUE + timedelta(days=1)))
    assert (second.id, is_new) == ("a", False)
    assert (later.id, is_later_new) == ("b", True)
    assert first.due == DUE


def test_a_due_time_without_a_schedule_is_refused(ledger: RunLedger, order: Make) -> None:
    with pytest.raises(BadInput, match="only one of schedule and due time"):
        ledger.queue.add(order("a", due=DUE))
    with pytest.raises(BadInput, match="0 attempts"):
        ledger.queue.add(order("a", attempts=0))
    with pytest.raises(UnknownName):
        ledger.queue.get("a")


def test_claims_go_by_age_and_one_worker_each(ledger: RunLedger, order: Make) -> None:
    for name in "abc":
        ledger.queue.add(order(name))
    claims = [ledger.queue.claim(worker, 60) for worker in ("w1", "w2", "w3", "w4")]
    assert [claim.run.id for claim in claims if claim is not None] == ["a", "b", "c"]
    assert claims[3] is None
    assert ledger.queue.get("a").holder == "w1"
    assert ledger.queue.get("a").attempt == 1


def test_two_workers_at_once_never_have_the_same_run(url: str, ledger: RunLedger, order: Make) -> None:
    names = [f"r{number:02d}" for number in range(24)]
    for name in names:
        ledger.queue.add(order(name))
    got: list[str] = []

    def work(worker: str) -> None:
        with RunLedger.open(url) as mine:
            while (claim := mine.queue.claim(worker, 60)) is not None:
                got.append(claim.run.id)
                mine.queue.finish(claim, State.COMPLETED, {})

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(got) == names
    assert {ledger.queue.get(name).state for name in names} == {State.COMPLETED}


def test_no_more_runs_of_a_report_are_under_way_than_it_allows(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a", concurrency=1))
    ledger.queue.add(order("b", concurrency=1))
    ledger.queue.add(order("c", report="other"))
    first = ledger.queue.claim("w", 60)
    second = ledger.queue.claim("w2", 60)
    assert first is not None
    assert second is not None
    assert (first.run.id, second.run.id) == ("a", "c")
    assert ledger.queue.claim("w3", 60) is None
    ledger.queue.finish(first, State.COMPLETED, {})
    assert ledger.queue.claim("w3", 60, at_most=1) is None
    third = ledger.queue.claim("w3", 60, at_most=2)
    assert third is not None
    assert third.run.id == "b"


def test_a_run_does_not_begin_before_its_time(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("later", not_before=datetime.now(UTC) + timedelta(hours=1)))
    assert ledger.queue.claim("w", 60) is None


def test_a_run_waits_for_others_until_it_is_released(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("b", after=("a",)))
    assert ledger.queue.claim("w", 60) is None
    assert [run.id for run in ledger.queue.waiting()] == ["b"]
    assert ledger.queue.release("b")
    assert not ledger.queue.release("b")
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    assert claim.run.after == ("a",)


def test_an_end_is_kept_with_metrics_and_comes_once(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a"))
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    metrics: dict[str, Any] = {"sharpe": (1.5, ""), "var": (None, "USD"), "regime": ("calm", "")}
    ended = ledger.queue.finish(claim, State.COMPLETED, {"x": 1}, folder="/runs/a", metrics=metrics, cache_key="k")
    assert (ended.state, ended.folder, ended.record, ended.cache_key) == (State.COMPLETED, "/runs/a", {"x": 1}, "k")
    assert ended.metrics == metrics
    assert ended.duration_s is not None
    assert ended.duration_s >= 0
    with pytest.raises(ClaimLost):
        ledger.queue.finish(claim, State.FAILED, {})
    with pytest.raises(ClaimLost):
        ledger.queue.renew(claim, 60)
    assert [(one.number, one.state) for one in ledger.queue.attempts("a")] == [(1, State.COMPLETED)]


def test_an_end_that_is_none_is_refused(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a"))
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    with pytest.raises(BadInput, match="running is no end"):
        ledger.queue.finish(claim, State.RUNNING, {})
    with pytest.raises(BadInput, match="queued is no end"):
        ledger.queue.note(order("b"), RECORD, State.QUEUED)
    assert ledger.queue.get("a").state is State.RUNNING


def test_progress_and_a_wish_to_cancel_meet_at_the_renewal(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a"))
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    renewed, is_cancelling = ledger.queue.renew(claim, 60, {"what": "cell 2", "done": 1, "total": 5})
    assert not is_cancelling
    assert renewed.deadline >= claim.deadline
    assert ledger.queue.get("a").progress == {"what": "cell 2", "done": 1, "total": 5}
    assert ledger.queue.cancel("a").state is State.RUNNING
    assert ledger.queue.renew(claim, 60)[1]
    assert ledger.queue.finish(claim, State.CANCELLED, {}, problem="It was cancelled.").state is State.CANCELLED


def test_what_has_not_begun_is_cancelled_at_once_and_what_has_ended_not_at_all(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a"))
    assert ledger.queue.cancel("a", "ada did").state is State.CANCELLED
    ledger.queue.note(order("b"), RECORD, State.COMPLETED)
    assert ledger.queue.cancel("b").state is State.COMPLETED
    with pytest.raises(UnknownName, match="nobody"):
        ledger.queue.cancel("nobody")


def test_a_failed_attempt_is_kept_and_tried_again_later(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a", attempts=2))
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    back = ledger.queue.retry(claim, State.FAILED, "ValueError: x", datetime.now(UTC) + timedelta(hours=1))
    assert (back.state, back.problem) == (State.QUEUED, "ValueError: x")
    assert ledger.queue.claim("w", 60) is None
    assert [(one.state, one.problem) for one in ledger.queue.attempts("a")] == [(State.FAILED, "ValueError: x")]


def test_a_claim_that_was_given_back_counts_no_attempt(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a"))
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    ledger.queue.give_back(claim)
    again = ledger.queue.claim("w2", 60)
    assert again is not None
    assert again.run.attempt == 1
    assert ledger.queue.attempts("a") == ()
    with pytest.raises(ClaimLost):
        ledger.queue.finish(claim, State.COMPLETED, {})


def test_a_worker_that_slept_through_its_claim_can_change_nothing(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a"))
    slept = ledger.queue.claim("w1", 0.0)
    assert slept is not None
    _wait_over(ledger, slept.deadline)
    assert ledger.queue.take_over("w1") == ()  # who asks is alive
    assert [run.state for run in ledger.queue.take_over()] == [State.QUEUED]
    fresh = ledger.queue.claim("w2", 60)
    assert fresh is not None
    assert fresh.fence > slept.fence
    with pytest.raises(ClaimLost, match="w1 has the run a no longer"):
        ledger.queue.finish(slept, State.COMPLETED, {})
    assert ledger.queue.finish(fresh, State.COMPLETED, {}).state is State.COMPLETED
    assert [(one.holder, one.state) for one in ledger.queue.attempts("a")] == [
        ("w1", State.LOST),
        ("w2", State.COMPLETED),
    ]


def test_a_run_that_kills_its_workers_is_lost_in_the_end(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a"))
    begun = 0
    while (claim := ledger.queue.claim("w", 0.0)) is not None:
        begun += 1
        _wait_over(ledger, claim.deadline)
        ledger.queue.take_over()
    assert begun == 1 + TAKEN_OVER_AT_MOST
    lost = ledger.queue.get("a")
    assert (lost.state, lost.problem) == (State.LOST, "Its worker w ended without a word.")


def test_a_cancelled_run_whose_worker_died_is_not_begun_again(ledger: RunLedger, order: Make) -> None:
    ledger.queue.add(order("a"))
    claim = ledger.queue.claim("w", 0.0)
    assert claim is not None
    ledger.queue.cancel("a")
    _wait_over(ledger, claim.deadline)
    assert [run.state for run in ledger.queue.take_over()] == [State.CANCELLED]


def test_a_claim_of_a_time_that_a_clock_only_thought_of_is_taken_over(
    ledger: RunLedger, order: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.queue.add(order("a"))
    now = ledger.database.now
    with monkeypatch.context() as years_ahead:
        years_ahead.setattr(ledger.database, "now", lambda connection: now(connection) + 10**17)
        assert ledger.queue.claim("gone", 30) is not None
        assert ledger.queue.take_over("other") == ()
    assert [(run.id, run.state) for run in ledger.queue.take_over("other")] == [("a", State.QUEUED)]


def test_a_run_from_a_terminal_is_noted_once(ledger: RunLedger, order: Make) -> None:
    noted, is_new = ledger.queue.note(order("a"), RECORD, State.COMPLETED, metrics={"x": (1.0, "")}, folder="/runs/a")
    again = ledger.queue.note(order("a", title="another"), RECORD, State.FAILED)
    assert is_new
    assert again == (noted, False)
    assert noted.duration_s == 5.0
    assert noted.metrics == {"x": (1.0, "")}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["add", "claim", "finish", "retry", "back", "die", "cancel", "over"]), max_size=25))
def test_whatever_happens_every_run_ends_once(steps: list[str]) -> None:
    """A worker may do anything in any order: no run is with two, and each can be brought to one end."""
    with RunLedger.open("sqlite:///:memory:") as ledger:
        queue, claims, added = ledger.queue, [], 0
        for step in [*steps, "over"]:
            match step:
                case "add":
                    added += 1
                    queue.add(Order(f"r{added}", "daily", "Daily", {}, "ada"))
                case "claim" if (claim := queue.claim("w", 60)) is not None:
                    claims.append(claim)
                case "die" if (claim := queue.claim("gone", -1)) is not None:
                    assert queue.get(claim.run.id).state is State.RUNNING
                case "finish" if claims:
                    assert queue.finish(claims.pop(), State.COMPLETED, {}).state is State.COMPLETED
                case "retry" if claims:
                    queue.retry(claims.pop(), State.FAILED, "x", datetime.now(UTC))
                case "back" if claims:
                    queue.give_back(claims.pop())
                case "cancel" if added:
                    queue.cancel(f"r{added}")
                case "over":
                    queue.take_over()
            with_me = [claim.run.id for claim in claims]
            assert len(with_me) == len(set(with_me))
        for claim in claims:
            queue.finish(claim, State.FAILED, {})
        while True:
            queue.take_over()
            claim_left = queue.claim("last", 60)
            if claim_left is None:
                break
            queue.finish(claim_left, State.COMPLETED, {})
        assert all(queue.get(f"r{number}").state.is_final for number in range(1, added + 1))


def _wait_over(ledger: RunLedger, deadline: float) -> None:
    """Until the database's clock, too, is past the end of the claim."""
    while time.monotonic() <= deadline:
        time.sleep(0.001)
    before = ledger.schedules.now()
    while ledger.schedules.now() <= before:
        time.sleep(0.001)
