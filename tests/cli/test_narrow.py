"""Screens in a terminal of 80 columns: nothing is cut off, and what somebody copies is in one piece."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quantdesk.cli import app
from quantdesk.cli.terminal import out
from quantdesk.reports.ledger import RunLedger, Schedule
from quantdesk.reports.ledger.entry import Delivery, DeliveryState

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
WHY = "The server mail.desk.example refused the recipient of this message (550 5.1.1 no such user here)."
SUBJECT = "Alert: one-day value at risk is 312,044 USD, above 250,000 USD (critical)"


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    monkeypatch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    for name, value in (("_force_terminal", True), ("_width", 80), ("_color_system", None)):
        monkeypatch.setattr(out, name, value)
    (tmp_path / "reports").mkdir()


def screen(*arguments: str) -> list[str]:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = [line.rstrip() for line in done.output.splitlines()]
    assert max(map(len, lines)) <= 80
    return lines


def test_a_message_that_was_given_up_says_why_and_how_to_send_it_again(terminal: None) -> None:
    message = Delivery(
        "a" * 16, "", "email", "head-of-trading@desk.example", {"subject": SUBJECT}, DeliveryState.PENDING, 0,
        NOW - timedelta(minutes=1), "", NOW,
    )  # fmt: skip
    with RunLedger.open() as ledger:
        ledger.deliveries.add(message)
        ledger.deliveries.claim(NOW, 60.0)
        ledger.deliveries.failed(message.id, WHY, None)
    lines = screen("report", "deliveries")
    assert lines[0] == "1 message: 1 given up"
    said = " ".join(" ".join(lines).split())
    assert f"✗ given up {SUBJECT}" in said
    assert WHY in said
    assert f"             quantdesk report redeliver {'a' * 16}" in lines


def test_the_name_of_a_schedule_is_in_one_piece(terminal: None) -> None:
    when = "first session of the month at 08:00"
    with RunLedger.open() as ledger:
        made = ledger.schedules.add(Schedule("", "execution_quality", when, "Europe/London", "bo", catch_up="all"))
    lines = screen("schedule", "list")
    assert any(line.startswith(f"{made.id} ") for line in lines)
    assert lines[0].strip() == "1 schedule"
