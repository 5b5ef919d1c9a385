"""Due times into the queue: once each, after downtime, with a clock that jumps, with two workers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.dispatch import Scheduler, WorkerConfig
from quantdesk.reports.dispatch import due as due_module
from quantdesk.reports.lab.job import ATTEMPTS
from quantdesk.reports.ledger import Filter, Recorded, RunLedger, Schedule, State

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class Clock:
    """The clock of the database, set by hand."""

    def __init__(self, ledger: RunLedger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOON
        for owner, name in ((ledger.database, "now"), (ledger.leases, "_now")):
            monkeypatch.setattr(owner, name, lambda _: round(self.now.timestamp() * 1e6) * 1000)


@pytest.fixture
def clock(ledger: RunLedger, monkeypatch: pytest.MonkeyPatch, state: Path, notebook: Any) -> Clock:
    notebook("tiny", ["x = 1"])
    return Clock(ledger, monkeypatch)


@pytest.fixture
def scheduler(ledger: RunLedger) -> Scheduler:
    return Scheduler(ledger, "one", WorkerConfig())


def hourly(**more: Any) -> Schedule:
    return Schedule("hourly", "tiny", "0 * * * *", "UTC", "ana", **more)


def dues(ledger: RunLedger, schedule: str = "hourly") -> list[datetime]:
    runs = ledger.search.runs(Filter(schedule_id=schedule), limit=1000).runs
    return sorted(run.due for run in runs if run.due is not None)


def test_a_due_time_becomes_one_run(ledger: RunLedger, clock: Clock, scheduler: Scheduler) -> None:
    ledger.schedules.add(hourly(parameters={"x": 2}, details={"note": "y"}))
    assert scheduler.step() == 0
    clock.now = NOON + HOUR + MINUTE
    assert scheduler.step() == 1
    assert scheduler.step() == 0
    (run,) = ledger.search.runs().runs
    assert (run.report, run.title, run.due, run.trigger) == ("tiny", "tiny", NOON + HOUR, "schedule")
    assert (run.requested_by, run.parameters, run.state) == ("ana", {"x": 2}, State.QUEUED)
    assert run.details == {"note": "y", "timezone": "UTC"}
    assert ledger.schedules.get("hourly").handled == NOON + HOUR


@pytest.mark.parametrize(
    ("policy", "run", "skipped"),
    [("skip", [], (1, 6)), ("latest", [6], (1, 5)), ("all", [1, 2, 3, 4, 5, 6], None)],
)
def test_after_a_night_without_a_worker(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, policy: str, run: list[int], skipped: tuple[int, int] | None
) -> None:
    ledger.schedules.add(hourly(catch_up=policy))
    clock.now = NOON + 6 * HOUR + 30 * MINUTE
    scheduler.step()
    assert dues(ledger) == [NOON + one * HOUR for one in run]
    assert ledger.schedules.get("hourly").handled == NOON + 6 * HOUR
    trail = ledger.remarks.trail("hourly")
    if skipped is None:
        assert trail == ()
    else:
        first, last = ((NOON + one * HOUR).isoformat() for one in skipped)
        assert [(one.who, one.what) for one in trail] == [("scheduler", "skipped")]
        assert trail[0].details == {"first": first, "last": last, "policy": policy}
    # The next one is on time.
    clock.now = NOON + 7 * HOUR
    assert scheduler.step() == 1


def test_a_clock_that_jumps(ledger: RunLedger, clock: Clock, scheduler: Scheduler) -> None:
    ledger.schedules.add(hourly(catch_up="all"))
    clock.now = NOON + 2 * HOUR
    assert scheduler.step() == 2
    clock.now = NOON - 30 * HOUR
    assert scheduler.step() == 0
    clock.now = NOON + 2 * HOUR + MINUTE  # the same hours once more
    assert scheduler.step() == 0
    clock.now = NOON + 5 * HOUR
    assert scheduler.step() == 3
    assert dues(ledger) == [NOON + one * HOUR for one in range(1, 6)]


def test_two_workers_and_one_database(ledger: RunLedger, clock: Clock, scheduler: Scheduler) -> None:
    ledger.schedules.add(hourly(catch_up="all"))
    second = Scheduler(ledger, "two", WorkerConfig())
    clock.now = NOON + HOUR - timedelta(seconds=10)
    assert scheduler.step() == second.step() == 0
    clock.now = NOON + HOUR
    assert (second.step(), scheduler.step()) == (0, 1)  # the lease is with the first
    scheduler.end()
    clock.now = NOON + 2 * HOUR
    scheduler._renew_at = second._renew_at = 0
    assert (second.step(), scheduler.step()) == (1, 0)
    assert len(dues(ledger)) == 2


def test_one_that_slept_through_its_lease_does_nothing_twice(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler
) -> None:
    ledger.schedules.add(hourly(catch_up="all"))
    scheduler.step()
    stale = ledger.schedules.get("hourly")
    clock.now = NOON + HOUR
    second = Scheduler(ledger, "two", WorkerConfig())
    assert second.step() == 1
    # The first wakes up in the middle of its step, with what it had read.
    assert scheduler._handle(stale, None, clock.now) == 0
    assert dues(ledger) == [NOON + HOUR]


def test_a_run_is_there_though_its_scheduler_died(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies after the run was queued and before the schedule was moved on."""
    ledger.schedules.add(hourly())
    clock.now = NOON + HOUR

    def dies(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ledger.schedules, "handled", dies)
        with pytest.raises(KeyboardInterrupt):
            scheduler.step()
    scheduler.end()
    assert Scheduler(ledger, "two", WorkerConfig()).step() == 0
    assert dues(ledger) == [NOON + HOUR]
    assert ledger.schedules.get("hourly").handled == NOON + HOUR


def test_a_name_of_a_run_that_is_taken(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six random digits can be those of another run: the due time gets its own run all the same."""
    ledger.schedules.add(hourly(catch_up="all"))
    names = iter(["same", "same", "same", "other"])
    order_for = due_module.order_for
    monkeypatch.setattr(due_module, "order_for", lambda *given: replace(order_for(*given), id=next(names)))
    clock.now = NOON + 2 * HOUR
    assert scheduler.step() == 2
    assert dues(ledger) == [NOON + HOUR, NOON + 2 * HOUR]


def test_one_schedule_that_nobody_can_read_stops_no_other(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.schedules.add(Schedule("a-bad", "tiny", "at the clse", "UTC", "ana"))
    ledger.schedules.add(Schedule("b-ended", "tiny", "at the XSHG close", "UTC", "ana"))
    ledger.schedules.add(hourly())
    clock.now = datetime(2050, 1, 4, 12, 1, tzinfo=UTC)
    with caplog.at_level(logging.ERROR):
        assert scheduler.step() == 1
        assert scheduler.step() == 0
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2  # once, and not at each look
    assert "schedule a-bad (at the clse): The schedule 'at the clse' cannot be read at word 3" in said[0]
    assert "The calendar of XSHG is not known for" in said[1]
    assert dues(ledger) == [datetime(2050, 1, 4, 12, tzinfo=UTC)]


def test_paused_changed_and_removed(ledger: RunLedger, clock: Clock, scheduler: Scheduler) -> None:
    added = ledger.schedules.add(hourly(catch_up="all"))
    clock.now = NOON + HOUR
    assert scheduler.step() == 1
    paused = ledger.schedules.change(replace(added, is_enabled=False))
    clock.now = NOON + 3 * HOUR
    assert scheduler.step() == 0
    resumed = ledger.schedules.change(replace(paused, is_enabled=True))
    assert scheduler.step() == 0  # a pause is not caught up
    ledger.schedules.change(replace(resumed, trigger="30 * * * *"))
    clock.now = NOON + 4 * HOUR
    assert scheduler.step() == 1
    ledger.schedules.remove("hourly")
    clock.now = NOON + 9 * HOUR
    assert scheduler.step() == 0
    assert dues(ledger) == [NOON + HOUR, NOON + 3 * HOUR + 30 * MINUTE]


def test_a_report_that_is_gone_has_its_run_and_a_lab_job_is_one(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler
) -> None:
    ledger.schedules.add(replace(hourly(), report="gone", source="lab", is_private=True))
    clock.now = NOON + HOUR
    assert scheduler.step() == 1
    (run,) = ledger.search.runs().runs
    assert (run.report, run.title, run.trigger, run.is_private) == ("gone", "gone", "lab", True)
    assert run.attempts == ATTEMPTS, "where the machine was at fault, a job is begun again"


# ------------------------------------------------------------------------------------------------------- declarations


def declare(notebooks: Path, text: str) -> None:
    (notebooks / "tiny.toml").write_text(text)


DAILY = 'owner = "bo"\nvisibility = "private"\nretries = 2\nconcurrency = 3\n[[schedules]]\ntrigger = "0 18 * * *"\n'


def look_again(scheduler: Scheduler) -> int:
    scheduler._declared_at = 0.0
    return scheduler.step()


def test_declared_schedules_follow_the_notebook(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, tmp_path: Path
) -> None:
    declare(tmp_path / "notebooks", DAILY)
    scheduler.step()
    (kept,) = ledger.schedules.list()
    assert (kept.id, kept.trigger, kept.created_by, kept.source) == (
        "tiny-declared-1",
        "0 18 * * *",
        "bo",
        "declaration",
    )
    assert kept.is_private
    clock.now = NOON + 6 * HOUR
    assert scheduler.step() == 1
    (run,) = ledger.search.runs().runs
    assert (run.owner, run.is_private, run.attempts, run.concurrency) == ("bo", True, 3, 3)
    # Somebody pauses it: it stays paused until the declaration changes.
    ledger.schedules.change(replace(ledger.schedules.get(kept.id), is_enabled=False))
    look_again(scheduler)
    assert not ledger.schedules.get(kept.id).is_enabled
    declare(tmp_path / "notebooks", DAILY.replace("18", "19"))
    look_again(scheduler)
    changed = ledger.schedules.get(kept.id)
    assert (changed.trigger, changed.is_enabled) == ("0 19 * * *", True)
    # A notebook that cannot be read at this moment changes nothing; one without the schedule pauses it, not twice.
    declare(tmp_path / "notebooks", "owner = ")
    look_again(scheduler)
    assert ledger.schedules.get(kept.id) == changed
    declare(tmp_path / "notebooks", 'owner = "bo"\n')
    look_again(scheduler)
    look_again(scheduler)
    gone = ledger.schedules.get(kept.id)
    assert not gone.is_enabled
    assert gone.version == changed.version + 1
    declare(tmp_path / "notebooks", DAILY)
    look_again(scheduler)
    assert ledger.schedules.get(kept.id).is_enabled
    assert len(ledger.schedules.list()) == 1


def test_a_folder_of_notebooks_that_is_gone_stops_nothing(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger.schedules.add(hourly())
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(tmp_path / "nowhere"))
    clock.now = NOON + HOUR
    assert scheduler.step() == 1


# ------------------------------------------------------------------------------------------------------------- waiting


def test_a_run_waits_for_another_report(ledger: RunLedger, clock: Clock, scheduler: Scheduler, notebook: Any) -> None:
    notebook("first", ["x = 1"])
    ledger.schedules.add(replace(hourly(), id="a", report="first"))
    ledger.schedules.add(replace(hourly(), id="b", after=("first",)))
    clock.now = NOON + HOUR
    assert scheduler.step() == 2

    def of(report: str) -> Recorded:
        return ledger.search.runs(Filter(report=report)).runs[0]

    assert (of("first").state, of("tiny").state) == (State.QUEUED, State.WAITING)
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    assert claim.run.report == "first"
    assert ledger.queue.claim("w", 60) is None
    scheduler.step()
    assert of("tiny").state is State.WAITING
    ledger.queue.finish(claim, State.COMPLETED, {})
    scheduler.step()
    assert of("tiny").state is State.QUEUED


def test_a_run_whose_other_failed_is_cancelled_with_the_reason(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, order: Callable[..., Any]
) -> None:
    ledger.queue.add(order(1, report="first"))
    ledger.queue.add(order(2, after=("first",)))
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    ledger.queue.finish(claim, State.KERNEL_DIED, {}, problem="It died.")
    scheduler.step()
    run = ledger.queue.get(order(2).id)
    assert run.state is State.CANCELLED
    assert run.problem == (
        f"It was not begun: first, which has to be complete before, is kernel_died ({claim.run.id})."
    )


# ------------------------------------------------------------------------------------------------ workers that are gone


def test_runs_of_a_dead_worker_are_taken_over_but_not_after_an_outage(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, order: Callable[..., Any]
) -> None:
    ledger.queue.add(order())
    assert ledger.queue.claim("dead", 30) is not None
    scheduler.step()
    clock.now += MINUTE
    scheduler._taken_over_at = 0.0
    # The database was away: nobody could keep a claim alive, so that its end says nothing yet.
    scheduler.was_out()
    scheduler.step()
    assert ledger.queue.get(order().id).state is State.RUNNING
    scheduler._distrust_until = 0.0
    scheduler.step()
    taken = ledger.queue.get(order().id)
    assert (taken.state, taken.attempt) == (State.QUEUED, 1)
    assert [one.state for one in ledger.queue.attempts(taken.id)] == [State.LOST]


def test_a_database_that_is_away_is_told_to_the_caller(
    ledger: RunLedger, clock: Clock, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.schedules.add(hourly())
    clock.now = NOON + HOUR

    def away(*_: object) -> None:
        raise EnvironmentProblem("It is away.")

    with monkeypatch.context() as patched:
        patched.setattr(ledger.queue, "add", away)
        with pytest.raises(EnvironmentProblem):
            scheduler.step()
    assert scheduler.step() == 1
    assert json.dumps(ledger.schedules.get("hourly").handled.isoformat())  # type: ignore[union-attr]
