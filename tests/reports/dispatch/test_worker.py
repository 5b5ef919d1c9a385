"""The worker: room, retries, cancellation, progress, draining, a database that is away."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.dispatch import Outcome, Work, Worker
from quantdesk.reports.dispatch import active as active_module
from quantdesk.reports.dispatch.active import Carriers
from quantdesk.reports.dispatch.wake import Wake
from quantdesk.reports.ledger import RunLedger, State
from quantdesk.reports.ledger.queue import ClaimLost
from quantdesk.reports.progress import Step


def done(work: Work) -> Outcome:
    return Outcome(State.COMPLETED, record={"a": 1}, folder="/f", metrics={"m": (1.5, "USD")}, more={"cache_key": "k"})


def until_cancelled(work: Work) -> Outcome:
    assert work.cancel.wait(120)
    return Outcome(State.CANCELLED, "It was cancelled.")


def test_a_run_is_carried_out_and_noted(ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any) -> None:
    ledger.queue.add(order())
    with working(Worker(ledger, execute=done, config=helpers.QUICK)):
        helpers.until(lambda: helpers.settled(ledger, order().id))
    run = ledger.queue.get(order().id)
    assert (run.state, run.attempt, run.record, run.folder) == (State.COMPLETED, 1, {"a": 1}, "/f")
    assert (run.metrics, run.cache_key) == ({"m": (1.5, "USD")}, "k")


def test_a_file_says_that_the_worker_looks_at_its_queue_also_when_its_folder_goes(
    ledger: RunLedger, tmp_path: Path, order: Any, working: Any, helpers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    alive = tmp_path / "told" / "alive"
    alive.parent.mkdir()
    with working(Worker(ledger, execute=done, config=helpers.QUICK.model_copy(update={"alive": alive}))):
        helpers.until(alive.exists)
        os.utime(alive, (1, 1))
        helpers.until(lambda: alive.stat().st_mtime > 1)
        alive.unlink()
        alive.parent.rmdir()
        helpers.until(lambda: "cannot be touched" in caplog.text)
        ledger.queue.add(order())
        helpers.until(lambda: helpers.settled(ledger, order().id))


def test_no_more_at_once_than_there_is_room_for(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any
) -> None:
    lock, now, most = threading.Lock(), SimpleNamespace(all=0, alone=0), SimpleNamespace(all=0, alone=0)
    full = threading.Event()

    def watched(work: Work) -> Outcome:
        alone = work.run.report == "alone"
        with lock:
            now.all, now.alone = now.all + 1, now.alone + alone
            most.all, most.alone = max(most.all, now.all), max(most.alone, now.alone)
            if now.all == 3:
                full.set()
        assert full.wait(120)
        with lock:
            now.all, now.alone = now.all - 1, now.alone - alone
        return Outcome(State.COMPLETED)

    orders = [order(number, report="alone", concurrency=1) for number in range(5)]
    orders += [order(number, report="many") for number in range(10)]
    for one in orders:
        ledger.queue.add(one)
    config = helpers.QUICK.model_copy(update={"processes": 3})
    with working(Worker(ledger, execute=watched, config=config)):
        helpers.until(lambda: helpers.settled(ledger, *(one.id for one in orders)))
    assert (most.all, most.alone) == (3, 1)


def test_a_limit_over_all_workers(ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any) -> None:
    for number in range(3):
        ledger.queue.add(order(number))
    config = helpers.QUICK.model_copy(update={"at_most": 1})
    with working(Worker(ledger, execute=until_cancelled, config=config)):
        helpers.until(lambda: ledger.queue.get(order(0).id).state is State.RUNNING)
        time.sleep(0.1)
        assert ledger.queue.get(order(1).id).state is State.QUEUED


def test_a_failed_attempt_is_kept_and_tried_again(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any
) -> None:
    seen: list[tuple[int, list[State]]] = []

    def third_time_lucky(work: Work) -> Outcome:
        seen.append((work.run.attempt, [one.state for one in work.previous]))
        if work.run.attempt == 1:
            return Outcome(State.TIMED_OUT, "It took too long.", retry_after_s=0.01)
        if work.run.attempt == 2:
            raise RuntimeError("what nobody thought of")
        return done(work)

    ledger.queue.add(order(attempts=3))
    real = active_module.wait_before_retry
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(active_module, "wait_before_retry", lambda *given: None if real(*given) is None else 0.01)
        with working(Worker(ledger, execute=third_time_lucky, config=helpers.QUICK)):
            helpers.until(lambda: helpers.settled(ledger, order().id))
    assert ledger.queue.get(order().id).state is State.COMPLETED
    assert seen == [(1, []), (2, [State.TIMED_OUT]), (3, [State.TIMED_OUT, State.FAILED])]
    attempts = ledger.queue.attempts(order().id)
    assert [one.state for one in attempts] == [State.TIMED_OUT, State.FAILED, State.COMPLETED]
    assert attempts[0].problem == "It took too long."
    assert attempts[1].problem == "The platform failed at it (RuntimeError: what nobody thought of)."


def test_the_last_attempt_decides(ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any) -> None:
    ledger.queue.add(order())
    failing = Outcome(State.OUT_OF_MEMORY, "Too large.", retry_after_s=0.0)
    with working(Worker(ledger, execute=lambda _: failing, config=helpers.QUICK)):
        helpers.until(lambda: helpers.settled(ledger, order().id))
    run = ledger.queue.get(order().id)
    assert (run.state, run.problem) == (State.OUT_OF_MEMORY, "Too large.")


def test_a_wait_before_the_next_attempt(ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any) -> None:
    ledger.queue.add(order(attempts=2))
    failing = Outcome(State.FAILED, "No.", retry_after_s=3600.0)
    with working(Worker(ledger, execute=lambda _: failing, config=helpers.QUICK)):
        helpers.until(lambda: ledger.queue.attempts(order().id))
    assert ledger.queue.get(order().id).state is State.QUEUED
    assert ledger.queue.claim("later", 1) is None


def test_cancellation_and_progress_travel(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any
) -> None:
    def tells(work: Work) -> Outcome:
        work.tell(Step("Risk", 3, 9, 1.25, 2.0))
        return until_cancelled(work)

    ledger.queue.add(order(attempts=3))
    with working(Worker(ledger, execute=tells, config=helpers.QUICK)):
        helpers.until(lambda: ledger.queue.get(order().id).progress)
        progress = {"what": "Risk", "done": 3, "total": 9, "elapsed_s": 1.2, "estimate_s": 2.0}
        assert ledger.queue.get(order().id).progress == progress
        ledger.queue.cancel(order().id)
        helpers.until(lambda: helpers.settled(ledger, order().id))
    assert ledger.queue.get(order().id).state is State.CANCELLED


def test_a_claim_outlives_its_time_while_the_run_goes_on(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any
) -> None:
    go_on = threading.Event()

    def slow(work: Work) -> Outcome:
        assert go_on.wait(120)
        return Outcome(State.COMPLETED)

    ledger.queue.add(order())
    config = helpers.QUICK.model_copy(update={"claim_s": 0.5})
    with working(Worker(ledger, execute=slow, config=config)):
        helpers.until(lambda: ledger.queue.get(order().id).state is State.RUNNING)
        ends = time.monotonic() + 1.5
        helpers.until(lambda: time.monotonic() > ends)
        go_on.set()
        helpers.until(lambda: helpers.settled(ledger, order().id))
    run = ledger.queue.get(order().id)
    assert run.state is State.COMPLETED
    assert [one.state for one in ledger.queue.attempts(run.id)][-1] is State.COMPLETED


def test_who_was_succeeded_stops_and_changes_nothing(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def tells(work: Work) -> Outcome:
        work.cancel.wait(120)
        stopped.set()
        return Outcome(State.FAILED, "Of the first worker.")

    ledger.queue.add(order(1))

    def lost(*_: object) -> None:
        raise ClaimLost("Somebody else has it.")

    config = helpers.QUICK.model_copy(update={"claim_s": 10.0})
    with working(Worker(ledger, execute=tells, config=config)):
        helpers.until(lambda: ledger.queue.get(order(1).id).state is State.RUNNING)
        monkeypatch.setattr(ledger.queue, "renew", lost)
        assert stopped.wait(120)
    assert ledger.queue.get(order(1).id).state is State.RUNNING  # the other one's now


@pytest.mark.parametrize("breaks", ["renew", "finish", "claim"])
def test_a_database_that_is_away_for_a_while(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    """The run goes on, once, and its end is noted later."""
    refused, begun, go_on = [], [], threading.Event()
    real = getattr(ledger.queue, breaks)

    def away(*given: Any, **more: Any) -> Any:
        if len(refused) < 2:
            refused.append(1)
            raise EnvironmentProblem("The database is away.")
        return real(*given, **more)

    monkeypatch.setattr(ledger.queue, breaks, away)

    def once(work: Work) -> Outcome:
        begun.append(work.run.id)
        if breaks == "renew":
            helpers.until(lambda: len(refused) >= 2)
            assert not work.cancel.is_set()
        return Outcome(State.COMPLETED)

    ledger.queue.add(order())
    config = helpers.QUICK.model_copy(update={"claim_s": 2.0})
    with working(Worker(ledger, execute=once, config=config)):
        helpers.until(lambda: helpers.settled(ledger, order().id))
    go_on.set()
    assert ledger.queue.get(order().id).state is State.COMPLETED
    assert begun == [order().id]
    assert len(refused) == 2


def test_draining_lets_runs_end(ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any) -> None:
    go_on = threading.Event()

    def slow(work: Work) -> Outcome:
        assert go_on.wait(120)
        return Outcome(State.COMPLETED)

    for number in range(4):
        ledger.queue.add(order(number))
    worker = Worker(ledger, execute=slow, config=helpers.QUICK)
    with working(worker) as thread:
        helpers.until(lambda: ledger.queue.get(order(1).id).state is State.RUNNING)
        worker.stop()
        go_on.set()
        thread.join(120)
    states = [ledger.queue.get(order(number).id).state for number in range(4)]
    assert states == [State.COMPLETED, State.COMPLETED, State.QUEUED, State.QUEUED]


def test_what_does_not_end_is_put_back_and_is_no_attempt(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any
) -> None:
    ledger.queue.add(order(attempts=2))
    config = helpers.QUICK.model_copy(update={"drain_s": 0.05})
    worker = Worker(ledger, execute=until_cancelled, config=config)
    with working(worker) as thread:
        helpers.until(lambda: ledger.queue.get(order().id).state is State.RUNNING)
        worker.stop()
        thread.join(120)
    run = ledger.queue.get(order().id)
    assert (run.state, run.attempt) == (State.QUEUED, 0)
    assert ledger.queue.attempts(run.id) == ()


def test_what_hangs_is_given_back_too(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantdesk.reports.dispatch import worker as worker_module

    monkeypatch.setattr(worker_module, "BREAK_OFF_S", 0.1)
    go_on = threading.Event()

    def hangs(work: Work) -> Outcome:
        go_on.wait(120)
        return Outcome(State.COMPLETED)

    ledger.queue.add(order())
    config = helpers.QUICK.model_copy(update={"drain_s": 0.05})
    with working(Worker(ledger, execute=hangs, config=config)):
        helpers.until(lambda: ledger.queue.get(order().id).state is State.RUNNING)
    assert ledger.queue.get(order().id).state is State.QUEUED
    go_on.set()


def test_the_end_is_told_before_it_is_noted(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any
) -> None:
    told: list[tuple[str, State, State]] = []

    def ended(run: Any, outcome: Outcome) -> None:
        told.append((run.id, ledger.queue.get(run.id).state, outcome.state))
        if run.id == order(2).id:
            raise ValueError("a message that cannot be made")

    for number in (1, 2):
        ledger.queue.add(order(number))
    with working(Worker(ledger, execute=done, config=helpers.QUICK, ended=ended)):
        helpers.until(lambda: helpers.settled(ledger, order(1).id, order(2).id))
    assert sorted(told) == [(order(n).id, State.RUNNING, State.COMPLETED) for n in (1, 2)]


SCRIPT = """
import logging, sys, time
from quantdesk.reports.dispatch import Outcome, Worker, WorkerConfig
from quantdesk.reports.ledger import RunLedger, State
def execute(work):
    print("begun", flush=True)
    work.cancel.wait(0.3 if sys.argv[2] == "short" else 60)
    return Outcome(State.CANCELLED if work.cancel.is_set() else State.COMPLETED)
with RunLedger.open(sys.argv[1]) as ledger:
    worker = Worker(ledger, execute=execute, config=WorkerConfig(poll_s=0.02, drain_s=30))
    with worker.on_signals():
        worker.run()
"""


@pytest.mark.parametrize(("kind", "signals", "expected"), [("short", 1, State.COMPLETED), ("long", 2, State.QUEUED)])
def test_sigterm_drains_and_a_second_one_hurries(
    address: str, ledger: RunLedger, state: Path, order: Any, kind: str, signals: int, expected: State
) -> None:
    ledger.queue.add(order())
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, address, kind], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    with process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.05)
            assert process.wait(120) == 0
        finally:
            process.kill()
    assert ledger.queue.get(order().id).state is expected


def test_a_bell() -> None:
    wake = Wake()
    assert not wake.wait(0)
    for _ in range(100_000):  # more than a pipe holds
        wake.ring()
    assert wake.wait(0)
    while wake.wait(0):
        pass
    rung: Callable[[], None] = wake.ring
    thread = threading.Thread(target=rung)
    thread.start()
    assert wake.wait(120)
    thread.join()
    wake.close()


def test_a_heartbeat_beside_the_end_of_a_run_warns_of_nothing(
    ledger: RunLedger, order: Any, helpers: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that ends at once is noted before its first heartbeat, which then finds no claim: that is no loss."""
    ledger.queue.add(order())
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    carriers = Carriers(ledger, lambda work: Outcome(State.COMPLETED), helpers.QUICK, lambda: None, None)
    finish = ledger.queue.finish

    def noted(*given: Any, **more: Any) -> Any:
        result = finish(*given, **more)
        (active,) = carriers._all()
        active.renewed = 0.0  # a heartbeat is due, just between the end and the thread's own
        carriers.beat()
        return result

    monkeypatch.setattr(ledger.queue, "finish", noted)
    with caplog.at_level(logging.WARNING):
        carriers.begin(claim)
        helpers.until(lambda: not len(carriers), 60)
    assert ledger.queue.get(order().id).state is State.COMPLETED
    assert caplog.records == []
