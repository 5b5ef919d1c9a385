"""Ledgers of runs in both kinds of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from quantdesk.reports.ledger import Order, RunLedger

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def reports_database(request: Any) -> str:
    """One database on a real server; each test drops what another has left."""
    return str(request.getfixturevalue("postgres")())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: Any, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    address = str(request.getfixturevalue("reports_database"))
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier("quantdesk_reports")))
    return address


@pytest.fixture
def ledger(url: str) -> Iterator[RunLedger]:
    """An empty ledger."""
    with RunLedger.open(url) as opened:
        yield opened


@pytest.fixture
def order() -> Callable[..., Order]:
    """Orders of runs: `order("a")`, with anything else by name."""

    def make(name: str, **given: Any) -> Order:
        return Order(
            **{"id": name, "report": "daily", "title": "Daily", "parameters": {}, "requested_by": "ada", **given}
        )

    return make
