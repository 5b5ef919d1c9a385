"""Which runs keep their files, in both kinds of database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from quantdesk.errors import DataError
from quantdesk.records import Database, Migrations
from quantdesk.reports.ledger import Delivery, Order, RunLedger, State, Verdict
from quantdesk.reports.ledger.entry import DeliveryState
from quantdesk.reports.ledger.store import SCHEMA, VERSIONS

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
Make = Callable[..., Order]


def test_a_run_goes_unless_something_leans_on_it(ledger: RunLedger, order: Make, url: str) -> None:
    for day, name in enumerate("abcdefg"):
        record = {
            "started": (NOON + timedelta(days=day)).isoformat(),
            "ended": (NOON + timedelta(days=day)).isoformat(),
        }
        state = State.FAILED if name == "g" else State.COMPLETED
        more = {"cached_from": "c"} if name == "e" else {}
        assert ledger.queue.note(order(name), record, state, folder=f"/runs/{name}", **more)[1]
    ledger.queue.add(order("waits"))
    ledger.remarks.comment("a", "ana", "Hm.")
    ledger.remarks.sign("b", "ana", Verdict.APPROVED)
    message = Delivery("m", "d", "email", "a@example.com", {}, DeliveryState.PENDING, 0, NOON, "", NOON)
    ledger.deliveries.add(message)

    left = ledger.keeping.left("daily")
    assert [one.id for one in left] == list("gfedcba")
    assert [one.id for one in left if one.is_held] == ["d", "b", "a"]
    assert [name for name in (*"abcdefg", "waits", "nothing") if ledger.keeping.remove(name)] == ["e", "g"]
    assert [name for name in "abcdefg" if ledger.keeping.remove(name)] == ["c"]  # nobody shares its files any more
    ledger.deliveries.sent("m")
    assert ledger.keeping.remove("d")
    assert [one.id for one in ledger.keeping.left("daily")] == list("fba")

    assert {one.id for one in ledger.keeping.unfinished()} == set("cdeg")
    ledger.keeping.emptied("c")
    ledger.keeping.emptied("a")  # it is kept: its folder is not forgotten
    assert {one.id for one in ledger.keeping.unfinished()} == set("deg")
    assert ledger.queue.get("a").folder == "/runs/a"
    assert ledger.queue.known(["a", "c", "x"]) == {"a", "c"}
    migrations = Migrations(Database(url, SCHEMA), VERSIONS)
    with pytest.raises(DataError, match="4 runs were removed"):
        migrations.down("0001")
