"""Whom the end of a run is told: once, also after a crash; alerts by what was wrong before."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import BadInput
from quantdesk.reports.deliver import DeliveryConfig
from quantdesk.reports.dispatch import Outcome
from quantdesk.reports.dispatch.tell import Teller
from quantdesk.reports.ledger import RunLedger, State
from quantdesk.reports.ledger.entry import DeliveryState

TOML = 'recipients = ["ana@example.org", "bo@example.org"]\n'


@pytest.fixture
def teller(ledger: RunLedger, state: Path, notebook: Any, tmp_path: Path) -> Teller:
    notebook("tiny", ["x = 1"])
    (tmp_path / "notebooks" / "tiny.toml").write_text(TOML)
    return Teller(ledger, DeliveryConfig(folder=tmp_path / "outbox"))


def end(ledger: RunLedger, teller: Teller, order: Any, number: int, outcome: Outcome, **more: Any) -> None:
    """A run of a schedule that ends."""
    due = ledger.schedules.now()
    values = {"trigger": "schedule", "schedule_id": "s", "due": due} | more
    ledger.queue.add(order(number, **values))
    claim = ledger.queue.claim("one", 60)
    assert claim is not None
    teller.ended(claim.run, outcome)
    teller.ended(claim.run, outcome)  # its worker died before the end was noted, and the next one tells it again
    ledger.queue.finish(claim, outcome.state, outcome.record, problem=outcome.problem, folder=outcome.folder)


def subjects(ledger: RunLedger) -> list[str]:
    told = [(one.created, one.message["subject"]) for one in ledger.deliveries.list() if "ana" in one.target]
    return [subject for _, subject in sorted(told)]


def test_recipients_get_the_page_and_alerts_once(ledger: RunLedger, teller: Teller, order: Any) -> None:
    failed = Outcome(State.FAILED, "A cell raised ValueError.")
    end(ledger, teller, order, 1, Outcome(State.COMPLETED))
    assert len(ledger.deliveries.list()) == 2
    end(ledger, teller, order, 2, failed)
    end(ledger, teller, order, 3, failed)  # as wrong as before: nobody is told again
    end(ledger, teller, order, 4, Outcome(State.COMPLETED))
    got = subjects(ledger)
    assert len(got) == 4
    assert got[0] == "● Tiny: completed" or "completed" in got[0]
    assert got[1].startswith("▲ Tiny: ")
    assert sorted(("over" in subject, "▲" in subject) for subject in got[2:]) == [(False, False), (True, False)]


@pytest.mark.parametrize("trigger", ["manual", "command"])
def test_who_asked_by_hand_sees_it_anyway(ledger: RunLedger, teller: Teller, order: Any, trigger: str) -> None:
    end(ledger, teller, order, 1, Outcome(State.COMPLETED), trigger=trigger)
    assert ledger.deliveries.list() == ()


def test_a_cancelled_run_and_a_report_that_is_gone_tell_nobody(ledger: RunLedger, teller: Teller, order: Any) -> None:
    end(ledger, teller, order, 1, Outcome(State.CANCELLED))
    end(ledger, teller, order, 2, Outcome(State.FAILED, "Unknown report."), report="gone")
    assert ledger.deliveries.list() == ()


def test_a_run_outside_of_a_schedule_is_told_too(ledger: RunLedger, teller: Teller, order: Any) -> None:
    end(ledger, teller, order, 1, Outcome(State.FAILED, "No."), trigger="api", schedule_id=None, due=None)
    assert len(subjects(ledger)) == 1


def test_a_record_that_cannot_be_read(
    ledger: RunLedger, teller: Teller, order: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        end(ledger, teller, order, 1, Outcome(State.COMPLETED, record={"status": "odd"}))
    assert "its record cannot be read" in caplog.text
    assert len(subjects(ledger)) == 1


def test_the_record_of_the_run_is_what_is_told(ledger: RunLedger, teller: Teller, order: Any, helpers: Any) -> None:
    from types import SimpleNamespace

    from quantdesk.reports.dispatch.work import outcome_of

    made = helpers.published(SimpleNamespace(run=SimpleNamespace(**vars(order(1)), attempt=1)))
    end(ledger, teller, order, 1, outcome_of(made))
    (message,) = [one.message for one in ledger.deliveries.list() if "ana" in one.target]
    assert message["page"] == str(made.page)


def test_messages_leave_and_stay_gone(ledger: RunLedger, teller: Teller, order: Any, tmp_path: Path) -> None:
    end(ledger, teller, order, 1, Outcome(State.COMPLETED))
    assert teller.send() == 2
    assert teller.send() == 0
    assert {one.state for one in ledger.deliveries.list()} == {DeliveryState.SENT}
    assert len(list((tmp_path / "outbox").iterdir())) == 2


def test_rounds_go_on_whatever_happens(
    ledger: RunLedger, teller: Teller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    answers = iter([BadInput("A setting is wrong."), RuntimeError("what nobody thought of"), 1, 0])

    def send() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        if not answer:
            stop.set()
        return answer

    monkeypatch.setattr(teller, "send", send)
    monkeypatch.setattr("quantdesk.reports.dispatch.tell.ROUND_S", 0.0)
    with caplog.at_level(logging.WARNING):
        teller.run(stop)
    assert [record.getMessage() for record in caplog.records] == [
        "no message can be sent: A setting is wrong.",
        "no message can be sent",
    ]
