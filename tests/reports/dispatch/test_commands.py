"""``quantdesk worker`` and ``quantdesk schedule``, as people type them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantdesk.cli import main
from quantdesk.reports.ledger import RunLedger, State

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], notebook: Any) -> Call:
    """Run a command in this process: exit code and standard output; errors with ``--json`` are there too."""
    notebook("tiny", ["x: int = 1  # a number"], {0: "parameters"})
    notebook("first", ["x = 1"])

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["quantdesk", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    return run


def test_the_life_of_a_schedule(call: Call) -> None:
    code, said = call(
        *(
            "schedule",
            "add",
            "tiny",
            "30 minutes after the NYSE close",
            "--timezone",
            "Europe/Berlin",
            "--name",
            "close",
        ),
        *("-p", "x=5", "--missed", "all", "--after", "first"),
    )
    assert code == 0
    assert "close: tiny" in said
    assert "30 minutes after the close of XNYS" in said
    code, said = call("schedule", "list", "--json")
    (one,) = json.loads(said)
    assert (one["id"], one["report"], one["parameters"], one["after"]) == ("close", "tiny", {"x": 5}, ["first"])
    assert (one["catch_up"], one["timezone"], one["is_enabled"], one["problem"]) == ("all", "Europe/Berlin", True, "")
    assert one["next"].endswith("+00:00")
    assert call("schedule", "pause", "close")[0] == 0
    assert "paused" in call("schedule", "list")[1]
    assert call("schedule", "resume", "close")[0] == 0
    code, said = call("schedule", "next", "close", "--count", "2", "--json")
    assert len(json.loads(said)["next"]) == 2
    assert call("schedule", "remove", "close")[0] == 0
    assert json.loads(call("schedule", "list", "--json")[1]) == []
    with RunLedger.open() as ledger:
        assert [one.what for one in ledger.remarks.trail("close")] == ["removed", "resumed", "paused"]


def test_a_text_can_be_tried_out(call: Call) -> None:
    code, said = call("schedule", "next", "30 7 * * MON-FRI", "--timezone", "Europe/Berlin", "--count", "3")
    assert code == 0
    assert said.startswith("At 07:30 on Monday through Friday (Europe/Berlin)")
    assert said.count("07:30") == 4


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["next", "30 minutes aftr the close"], "cannot be read at word 3, 'aftr'"),
        (["add", "tiny", "* * * *"], "has 4 of the five fields of cron"),
        (["add", "nowhere", "* * * * *"], "Unknown report 'nowhere'"),
        (["add", "tiny", "* * * * *", "-p", "y=1"], "has no parameter 'y'"),
        (["add", "tiny", "* * * * *", "--missed", "some"], "'some' is no policy for missed times"),
        (["add", "tiny", "* * * * *", "--timezone", "Mars"], "Unknown time zone 'Mars'"),
        (["add", "tiny", "* * * * *", "--after", "nowhere"], "Unknown report 'nowhere'"),
        (["pause", "nothing"], "Unknown schedule 'nothing'"),
        (["remove", "nothing"], "Unknown schedule 'nothing'"),
    ],
)
def test_what_is_wrong_is_said(call: Call, arguments: list[str], problem: str) -> None:
    code, said = call("schedule", *arguments)
    assert code == 2
    assert problem in " ".join(said.split())


def test_a_schedule_without_a_next_time_says_why(call: Call) -> None:
    from quantdesk.reports.ledger import Schedule

    with RunLedger.open() as ledger:
        ledger.schedules.add(Schedule("bad", "tiny", "at the clse", "UTC", "ana"))
    assert "cannot be read at word 3" in call("schedule", "list")[1]
    (one,) = json.loads(call("schedule", "list", "--json")[1])
    assert (one["next"], "cannot be read" in one["problem"]) == (None, True)


def test_the_worker_runs_and_drains(state: Path, order: Any, helpers: Any) -> None:
    """What nobody can run fails at once: no kernel is needed to see that a run was taken, noted and told."""
    with RunLedger.open() as ledger:
        ledger.queue.add(order(report="nowhere"))
        command = [str(Path(sys.executable).with_name("quantdesk")), "worker", "--processes", "1"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
        try:
            helpers.until(lambda: helpers.settled(ledger, order(report="nowhere").id))
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=120)[1]
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0
        run = ledger.queue.get(order(report="nowhere").id)
    assert (run.state, run.problem.startswith("Unknown report 'nowhere'.")) == (State.FAILED, True)
    assert "1 at once" in said
    assert f"run {run.id}: failed" in said
