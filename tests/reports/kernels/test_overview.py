"""What people and hubs see of warm kernels."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from quantdesk.cli import kernels as command
from quantdesk.hub import sweep
from quantdesk.reports.kernels import Status, overview, status

from .conftest import Start, wait_until

pytestmark = pytest.mark.xdist_group("warm-kernels")


def test_the_command_tells_what_runs_and_what_it_costs(fork: Start, zygote: Status) -> None:
    kernel = fork()
    told = CliRunner().invoke(command.app, ["status", "--json"])
    assert told.exit_code == 0
    (one,) = [each for each in json.loads(told.stdout) if each["pid"] == zygote.pid]
    assert (one["state"], one["current"], one["reason"]) == ("ready", True, "")
    assert kernel.pid in [each["pid"] for each in one["forks"] if not each["waiting"]]
    assert one["pss_bytes"] > 10e6
    shown = CliRunner().invoke(command.app, ["status"])
    assert str(zygote.pid) in shown.stdout
    assert "at work" in shown.stdout


def test_a_cold_start_is_told_with_its_reason(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len([one for each in status() for one in each.cold])
    start(start_new_session=True)
    reasons = [one.reason for each in status() for one in each.cold]
    assert len(reasons) == before + start.warm
    assert not start.warm or reasons[-1] == "a fork does not know start_new_session"


def test_the_command_starts_both(settings: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(overview, "restart", lambda kind: asked.append(kind))
    monkeypatch.setattr(command, "_show", lambda one: None)
    assert CliRunner().invoke(command.app, ["restart"]).exit_code == 0
    assert asked == ["kernel", "worker"]


def test_a_hub_finds_what_was_forked_by_its_mark(fork: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sweep.MARK, "0123:ana")
    kernel = fork()
    kernel.run("import subprocess; child = subprocess.Popen(['sleep', '600'], start_new_session=True)")
    found = sweep.of_mark("0123")
    assert kernel.pid in [one.pid for one in found]
    assert len(found) == 2
    assert sweep.clear(lambda: sweep.of_mark("0123:ana")) == 2
    wait_until(lambda: not kernel.manager.is_alive())
