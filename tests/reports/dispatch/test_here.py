"""What an earlier attempt left decides whether anything runs; and a real notebook whose worker is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports import runner
from quantdesk.reports.dispatch import Outcome, Work, Worker, here
from quantdesk.reports.dispatch.here import carry_out
from quantdesk.reports.ledger import Attempt, RunLedger, State
from quantdesk.reports.result import Status
from quantdesk.reports.runs import RunsConfig, read_run

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def work(ledger: RunLedger, state: Path, order: Any) -> Callable[..., Work]:
    """A claimed run: ``work(previous ends, **order)``."""

    def make(*previous: State, **more: Any) -> Work:
        ledger.queue.add(order(**more))
        claim = ledger.queue.claim("one", 60)
        assert claim is not None
        ended = [Attempt(claim.run.id, number, "x", NOW, NOW, one, "") for number, one in enumerate(previous, 1)]
        return Work(claim.run, tuple(ended), lambda _: None, threading.Event())

    return make


@pytest.mark.parametrize(
    ("left", "previous", "runs"),
    [
        (Status.COMPLETED, [State.LOST], False),  # its worker died before it could say so
        (Status.COMPLETED, [], False),
        (Status.FAILED, [State.LOST], False),  # the same, of a failure
        (Status.TIMED_OUT, [], False),
        (Status.FAILED, [State.FAILED], True),  # it was noted: this is the next attempt
        (Status.OUT_OF_MEMORY, [State.LOST, State.OUT_OF_MEMORY], True),
        (Status.CANCELLED, [State.LOST], True),  # broken off, because its worker died
        (Status.CANCELLED, [], True),  # or was told to stop
        (Status.LOST, [State.LOST], True),
    ],
)
def test_what_an_earlier_attempt_left(
    work: Any, helpers: Any, monkeypatch: pytest.MonkeyPatch, left: Status, previous: list[State], runs: bool
) -> None:
    one = work(*previous)
    folder = helpers.published(one, left).folder
    (folder / "mark").touch()

    def run_again(work: Work) -> Outcome:
        assert not folder.exists()
        return here.outcome_of(helpers.published(work))

    monkeypatch.setattr(here, "_run", run_again)
    outcome = carry_out(one)
    assert outcome.state == (State.COMPLETED if runs else State(left.value))
    assert outcome.folder == str(folder)
    aside = RunsConfig.from_env().reports_root / "attempts" / one.run.id / "1"
    assert (aside / "mark").exists() is runs
    assert (folder / "mark").exists() is not runs
    assert (outcome.retry_after_s is not None) == (outcome.state is not State.COMPLETED)


def test_a_damaged_folder_is_set_aside_and_so_is_the_next(
    work: Any, helpers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = work()
    config = RunsConfig.from_env()
    monkeypatch.setattr(here, "_run", lambda work: here.outcome_of(helpers.published(work)))
    for number in (1, 2):
        shutil.rmtree(config.runs / one.run.id, ignore_errors=True)
        (config.runs / one.run.id).mkdir(parents=True)
        (config.runs / one.run.id / "run.json").write_text("{")
        assert carry_out(one).state is State.COMPLETED
        assert sorted(path.name for path in (config.reports_root / "attempts" / one.run.id).iterdir()) == [
            str(known) for known in range(1, number + 1)
        ]


def test_a_folder_that_cannot_be_moved(work: Any, helpers: Any) -> None:
    one = work(State.FAILED)
    helpers.published(one, Status.FAILED)
    attempts = RunsConfig.from_env().reports_root / "attempts"
    attempts.write_text("in the way")
    outcome = carry_out(one)
    assert outcome.state is State.FAILED
    assert "cannot be moved" in outcome.problem
    assert outcome.retry_after_s == 60.0


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"report": "nowhere"}, "Unknown report 'nowhere'."),
        ({"parameters": {"y": 1}}, "The report tiny has no parameter 'y'."),
        ({"parameters": {"x": "text"}}, "'text' is no value for the parameter x"),
        ({"details": {"notebook": "/nowhere.ipynb"}}, "/nowhere.ipynb"),
    ],
)
def test_what_cannot_begin_is_not_tried_again(work: Any, notebook: Any, more: dict[str, Any], problem: str) -> None:
    notebook("tiny", ["x = 1"], {0: "parameters"})
    outcome = carry_out(work(**more))
    assert outcome.state is State.FAILED
    assert problem in outcome.problem
    assert outcome.retry_after_s is None


def test_a_full_disk_is_tried_again(work: Any, notebook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise EnvironmentProblem("The disk is full.", "Free some space.")

    notebook("tiny", ["x = 1"])
    monkeypatch.setattr(runner, "run", full)
    outcome = carry_out(work())
    assert (outcome.state, outcome.problem) == (State.FAILED, "The disk is full. Free some space.")
    assert outcome.retry_after_s == 60.0


def test_the_processes_of_a_dead_worker_are_waited_for(
    work: Any, helpers: Any, notebook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They keep the scratch folder, and are ended when they do not go; a cancellation does not wait."""
    notebook("tiny", ["x = 1"])
    one = work()
    scratch = RunsConfig.from_env().scratch / one.run.id
    scratch.mkdir(parents=True)
    script = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "QUANTDESK_RUN": one.run.id}
    orphan = subprocess.Popen(
        [sys.executable, "-c", script, str(scratch / "lock")], stdout=subprocess.PIPE, env=environment
    )
    assert orphan.stdout is not None
    orphan.stdout.readline()
    orphan.stdout.close()
    threading.Timer(0.3, one.cancel.set).start()
    assert carry_out(one).state is State.CANCELLED
    assert orphan.poll() is None
    one.cancel.clear()
    monkeypatch.setattr(here, "ORPHAN_S", 0.2)
    monkeypatch.setattr(here, "_run", lambda work: here.outcome_of(helpers.published(work)))
    assert carry_out(one).state is State.COMPLETED
    orphan.wait(120)  # whoever ended it may have taken its exit code, too
    assert not scratch.exists()


TOML = "retries = 1\nretry_wait_s = 0\n"
SCRIPT = """
import sys
from quantdesk.reports.dispatch import Worker, WorkerConfig
from quantdesk.reports.ledger import RunLedger
with RunLedger.open(sys.argv[1]) as ledger:
    Worker(ledger, config=WorkerConfig(poll_s=0.02, claim_s=1)).run()
"""


def test_a_real_report_whose_worker_is_killed_and_that_fails_once(
    address: str, ledger: RunLedger, state: Path, notebook: Any, order: Any, tmp_path: Path, working: Any, helpers: Any
) -> None:
    """Killed in its first attempt, an exception in its second, complete in its third: one run, one finished folder."""
    steps = [
        "folder = ''",
        "import pathlib, time\n"
        "marks = pathlib.Path(folder)\n"
        "number = len(list(marks.iterdir()))\n"
        "(marks / str(number)).touch()\n"
        "if number == 0: time.sleep(60)\n"
        "if number == 1: raise ValueError('once')\n",
    ]
    notebook("tiny", steps, {0: "parameters"})
    (tmp_path / "notebooks" / "tiny.toml").write_text(TOML)
    marks = tmp_path / "marks"
    marks.mkdir()
    ledger.queue.add(order(attempts=3, parameters={"folder": str(marks)}))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, address], stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        helpers.until((marks / "0").exists)
        helpers.until(lambda: ledger.queue.get(order().id).progress)
    finally:
        process.kill()
        process.wait()
    with working(Worker(ledger, config=helpers.QUICK)):
        helpers.until(lambda: helpers.settled(ledger, order().id))
    run = ledger.queue.get(order().id)
    assert (run.state, run.attempt, run.problem) == (State.COMPLETED, 3, "")
    assert [one.state for one in ledger.queue.attempts(run.id)] == [State.LOST, State.FAILED, State.COMPLETED]
    config = RunsConfig.from_env()
    assert [path.name for path in config.runs.iterdir()] == [run.id]
    aside = config.reports_root / "attempts" / run.id
    ends = {path.name: read_run(path).status for path in aside.iterdir()}
    assert ends == {"1": Status.CANCELLED, "2": Status.FAILED}
    assert run.record["status"] == "completed"
    assert run.record["attempt"] == 3
    assert sorted(path.name for path in marks.iterdir()) == ["0", "1", "2"]
