"""The parent's side, with workers that do not do what they should."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from quantdesk.errors import DataError, EnvironmentProblem, QuantdeskError
from quantdesk.reports import Limits, ReportFailed, Run, Status, run, supervise
from quantdesk.reports.runs import RunsConfig

# A worker reads its request, and then goes wrong in one way or another; `events` is its pipe to the parent.
BEGIN = "import json, os, signal, sys, time\nevents = int(sys.argv[1])\nrequest = json.loads(sys.stdin.readline())\n"


@pytest.fixture
def worker(state: Path, notebook, monkeypatch: pytest.MonkeyPatch):
    notebook("demo", ["#md # Demo", "x = 1  # a number", "print(x)"], {1: "parameters"})

    def use(code: str, patience: float = 30.0) -> None:
        monkeypatch.setattr(supervise, "WORKER", (sys.executable, "-c", BEGIN + code))
        monkeypatch.setattr(supervise, "PATIENCE_S", patience)

    return use


def lost(limits: Limits | None = None, cancel: threading.Event | None = None) -> Run:
    with pytest.raises(ReportFailed) as failed:
        run("demo", limits=limits, cancel=cancel)
    assert list(RunsConfig.from_env().scratch.iterdir()) == []
    assert failed.value.run.page.is_file()
    return failed.value.run


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed (SIGKILL). The usual cause is"),
        ("raise RuntimeError('no')", "exit code 1"),
    ],
)
def test_a_worker_that_ends_without_a_word_is_named(worker, code: str, words: str) -> None:
    worker(code)
    done = lost()
    assert done.status is Status.LOST
    assert done.problem is not None
    assert words in done.problem.message
    assert "RuntimeError" in (done.folder / "log.txt").read_text() or "raise" not in code


def test_a_worker_that_never_reads_is_no_deadlock(worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker("")
    monkeypatch.setattr(supervise, "WORKER", (sys.executable, "-c", "import sys; sys.exit(4)"))
    assert lost().status is Status.LOST


def test_a_worker_that_does_not_end_in_time_is_ended(worker) -> None:
    worker("time.sleep(600)", patience=0.5)
    begun = time.monotonic()
    done = lost(Limits(0.5, 10))
    assert time.monotonic() - begun < 30
    assert (done.status, done.problem.message) == (Status.TIMED_OUT, "Its worker did not end in time.")


def test_a_worker_that_does_not_let_itself_be_cancelled_is_killed(worker) -> None:
    worker(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'os.write(events, b\'{"event": "progress", "what": "deaf", "done": 0, "total": 0}\\n\')\n'
        "time.sleep(600)",
        patience=0.5,
    )
    cancel = threading.Event()
    with pytest.raises(ReportFailed) as failed:
        run("demo", cancel=cancel, progress=lambda what, done, total: cancel.set())
    done = failed.value.run
    assert done.status is Status.CANCELLED
    assert done.problem.message == "It was cancelled, and its worker had to be killed."


def test_a_cancellation_before_the_worker_listens_counts_too(worker) -> None:
    worker("time.sleep(600)")
    cancel = threading.Event()
    cancel.set()
    done = lost(cancel=cancel)
    assert (done.status, done.problem.message) == (Status.CANCELLED, "It was cancelled.")


@pytest.mark.parametrize("kind", [EnvironmentProblem, DataError, QuantdeskError])
def test_a_problem_of_the_worker_is_raised_here(worker, kind: type[QuantdeskError]) -> None:
    worker(
        f"line = {{'event': 'problem', 'kind': '{kind.__name__}', 'problem': 'No disk.', 'remedy': 'Free some.'}}\n"
        "os.write(events, json.dumps(line).encode() + b'\\n')\nsys.exit(4)"
    )
    with pytest.raises(kind) as raised:
        run("demo")
    assert (type(raised.value), raised.value.problem, raised.value.remedy) == (kind, "No disk.", "Free some.")
    assert list(RunsConfig.from_env().scratch.iterdir()) == []
    assert not RunsConfig.from_env().runs.exists()


def test_progress_in_pieces_is_put_together(worker) -> None:
    worker(
        "line = json.dumps({'event': 'progress', 'what': 'é' * 50, 'done': 1, 'total': 2}).encode() + b'\\n'\n"
        "for byte in line * 2:\n    os.write(events, bytes([byte]))\n"
    )
    told: list[tuple[str, int, int]] = []
    with pytest.raises(ReportFailed):
        run("demo", progress=lambda *step: told.append(step))
    assert told == [("é" * 50, 1, 2)] * 2


def test_a_progress_that_raises_ends_the_worker(worker) -> None:
    worker('os.write(events, b\'{"event": "progress", "what": "", "done": 0, "total": 0}\\n\')\ntime.sleep(600)')

    def told(what: str, done: int, total: int) -> None:
        raise ZeroDivisionError

    begun = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        run("demo", progress=told)
    assert time.monotonic() - begun < 30
    assert list(RunsConfig.from_env().scratch.iterdir()) == []


def test_the_largest_checkpoint_is_published(worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a template may have is no limit for what it computed."""
    from quantdesk.reports import notebooks

    worker(
        "book = json.load(open('input.ipynb'))\n"
        "text = 'x' * 60_000_000\n"
        "book['cells'][2]['outputs'] = [{'output_type': 'stream', 'name': 'stdout', 'text': text}]\n"
        "json.dump(book, open('notebook.ipynb', 'w'))\nsys.exit(3)"
    )
    done = lost()
    assert done.executed.stat().st_size > notebooks.LARGEST
    assert done.page.stat().st_size < 1_000_000
