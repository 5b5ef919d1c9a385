"""Every revision of the ledger of runs goes down and up again with what is in it, in both kinds of database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from quantdesk.records import Database, Migrations
from quantdesk.reports.ledger import Delivery, Order, RunLedger, Schedule, State, Verdict
from quantdesk.reports.ledger.entry import DeliveryState
from quantdesk.reports.ledger.store import SCHEMA, VERSIONS

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _fill(ledger: RunLedger, order: Callable[..., Order]) -> None:
    record = {"started": NOON.isoformat(), "ended": NOON.isoformat(), "metrics": []}
    for number, name in enumerate("abc"):
        ledger.queue.note(order(name, parameters={"window": number}), record, State.COMPLETED, folder=f"/runs/{name}")
    ledger.queue.add(order("waits"))
    ledger.schedules.add(Schedule("s", "daily", "0 7 * * 1-5", "Europe/Berlin", "ada", parameters={"window": 20}))
    ledger.remarks.comment("a", "ana", "Hm.")
    ledger.remarks.sign("b", "ana", Verdict.APPROVED)
    message = Delivery("m", "c", "email", "a@example.com", {"x": 1}, DeliveryState.PENDING, 0, NOON, "", NOON)
    ledger.deliveries.add(message)


def _seen(url: str) -> dict[str, Any]:
    with RunLedger.open(url) as ledger:  # which brings it up
        return {
            "runs": ledger.search.runs().runs,
            "waiting": ledger.queue.waiting(),
            "schedules": ledger.schedules.list(),
            "remarks": [ledger.remarks.comments("a"), ledger.remarks.sign_offs("b")],
            "deliveries": ledger.deliveries.list(),
        }


def test_every_revision_goes_down_and_up_with_its_data(url: str, order: Callable[..., Order]) -> None:
    with RunLedger.open(url) as ledger:
        _fill(ledger, order)
    before = _seen(url)
    assert [run.id for run in before["runs"]]
    with Database(url, SCHEMA) as database:
        migrations = Migrations(database, VERSIONS)
        for revision in reversed(migrations.revisions[:-1]):
            assert migrations.down(revision) == revision
            with database.reading() as connection:
                assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 4
            assert _seen(url) == before, f"from {revision}"
            assert migrations.current() == migrations.head
