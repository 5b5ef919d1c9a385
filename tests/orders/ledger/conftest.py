"""Ledgers in both kinds of database and in memory, and what is written into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from quantdesk.orders.executions import Execution, Kind
from quantdesk.orders.ledger import Ledger, MemoryLedger
from quantdesk.orders.order import Action, Child, Order


@pytest.fixture(scope="session")
def team_database(request: Any) -> str:
    """One database on a real server. Making one for each test would take longer than the tests."""
    return str(request.getfixturevalue("postgres")())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All kinds of ledger; that in memory has no address, and is left out where a test asks for it."""
    if "ledger_kind" in metafunc.fixturenames:
        kinds = ["sqlite", "postgresql", *([] if "url" in metafunc.fixturenames else ["memory"])]
        metafunc.parametrize("ledger_kind", kinds, indirect=True)


@pytest.fixture
def ledger_kind(request: Any) -> str:
    """Where a ledger is kept."""
    return str(request.param)


@pytest.fixture
def url(request: Any, ledger_kind: str, tmp_path: Path) -> str:
    """The address of an empty database: a file, and one of a real server."""
    if ledger_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    address = str(request.getfixturevalue("team_database"))
    with psycopg.connect(address, autocommit=True) as connection:
        names = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        for (name,) in connection.execute(names).fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
        connection.execute("CREATE SCHEMA public")
    return address


@pytest.fixture
def ledger(request: Any, ledger_kind: str) -> Iterator[Ledger | MemoryLedger]:
    """An empty ledger."""
    if ledger_kind == "memory":
        yield MemoryLedger()
        return
    with Ledger.open(str(request.getfixturevalue("url"))) as ledger:
        yield ledger


@pytest.fixture
def order() -> Callable[..., Order]:
    """An order of 100 AAPL, but for what is given."""
    return lambda **given: Order(**{"symbol": "AAPL", "action": "buy", "shares": 100, **given})


@pytest.fixture
def child() -> Callable[..., Child]:
    """A child of 100 AAPL for Nasdaq, but for what is given."""

    def make(client_id: str, **given: Any) -> Child:
        return Child(
            **{"client_id": client_id, "venue": "XNAS", "symbol": "AAPL", "action": Action.BUY, "shares": 100, **given}
        )

    return make


@pytest.fixture
def fill() -> Callable[..., Execution]:
    """A fill of 10 shares at 190 dollars, but for what is given."""

    def make(execution_id: str, client_id: str, **given: Any) -> Execution:
        told = {"kind": Kind.FILL, "at": 7, "venue": "XNAS", "shares": 10, "price": 190_000_000, "fee": 30_000, **given}
        return Execution(execution_id, client_id, **told)

    return make
