"""The commands that show messages and let those that were given up be tried again."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from quantdesk.cli.report_deliver import register
from quantdesk.errors import BadInput, UnknownName
from quantdesk.reports.deliver import BackOff, Permanent, enqueue, of_run, pump
from quantdesk.reports.deliver.message import Message
from quantdesk.reports.deliver.recipients import EMAIL, Recipient
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.ledger.entry import DeliveryState

from .conftest import NOW, run_of

app = typer.Typer()
register(app)


class Refusing:
    def send(self, message: Message) -> None:
        if message.run_id != "good":
            raise Permanent("The mail server x answers 550 (no such\x1b user).")


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One message that was sent, and two that were given up."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    monkeypatch.setenv("QUANTDESK_REPORTS_LEDGER_URL", url)
    with RunLedger.open() as opened:
        told = [of_run(run_of(id=name), Recipient(EMAIL, "ana@example.org")) for name in ("good", "bad", "worse")]
        enqueue(opened.deliveries, told, NOW)
        done = pump(opened.deliveries, {EMAIL: Refusing()}, NOW + timedelta(seconds=1), back_off=BackOff())
        assert (done.sent, done.dead) == (1, 2)
    return url


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_messages_are_listed_without_their_text() -> None:
    found = json.loads(invoke("deliveries", "--json"))
    assert {one["state"] for one in found} == {"sent", "dead"}
    assert {one["subject"] for one in found} == {"✓ Daily risk: completed"}
    assert all("text" not in one and "message" not in one for one in found)
    assert len(json.loads(invoke("deliveries", "--dead", "--json"))) == 2


def test_the_table_obeys_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    shown = invoke("deliveries", "--dead")
    assert "answers 550 (no such user)" in shown
    assert "\x1b" not in shown


def test_what_was_given_up_is_due_again(ledger: str) -> None:
    dead = json.loads(invoke("deliveries", "--dead", "--json"))
    assert json.loads(invoke("redeliver", dead[0]["id"], "--json")) == {"revived": [dead[0]["id"]]}
    assert "1 message is due again" in invoke("redeliver", "--all")
    with RunLedger.open() as opened:
        assert len(opened.deliveries.list(DeliveryState.PENDING)) == 2
        assert all(one.attempts == 0 for one in opened.deliveries.list(DeliveryState.PENDING))


def test_what_is_not_clear_or_not_there() -> None:
    with pytest.raises(BadInput, match="not clear"):
        invoke("redeliver")
    with pytest.raises(BadInput, match="not clear"):
        invoke("redeliver", "x", "--all")
    with pytest.raises(UnknownName):
        invoke("redeliver", "x")
