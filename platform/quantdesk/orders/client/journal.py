"""Which orders went out, and what is known to have come of them. An edge module: it writes a SQLite file.

Every transaction is on the disk before a method returns, so that a process that is killed at any moment leaves behind
what it had begun. Several processes and threads may share the file: each method opens it, and one transaction is all it
does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.orders.client.core import Entry
from quantdesk.orders.client.wire import read_result
from quantdesk.orders.order import Order
from quantdesk.orders.result import OrderResult

__all__ = ["SqliteJournal"]

_TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    user TEXT NOT NULL,      -- JSON: a name, or null
    key TEXT NOT NULL,
    given TEXT NOT NULL,     -- the order
    at INTEGER NOT NULL,
    result TEXT,             -- null while nobody knows
    here INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user, key)
) WITHOUT ROWID
"""
_COLUMNS = "given, at, result, here"
_Row = tuple[str, int, str | None, int]


class SqliteJournal:
    """A :class:`~quantdesk.orders.client.core.Journal` in a file.

    Parameters
    ----------
    path
        The file; it and its folder are made when they are missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, order: Order, now: int) -> Entry:
        """Note that an order is about to be sent; what was known of its key before.

        Raises
        ------
        BadInput
            The key belongs to an order that was not the same.
        EnvironmentProblem, DataError
            The file cannot be written, or is no journal.
        """
        given = json.dumps(order.to_dict())
        with self._transaction() as connection:
            row = self._row(connection, order)
            if row is None:
                connection.execute(
                    "INSERT INTO orders (user, key, given, at) VALUES (?, ?, ?, ?)", (*_key(order), given, now)
                )
                return Entry(order, now, is_new=True)
        entry = self._entry(row)
        if entry.order != order:
            raise BadInput(
                f"The idempotency key {order.idempotency_key!r} belongs to another order.",
                "Send each order under a key of its own.",
            )
        return entry

    def finish(self, order: Order, result: OrderResult, *, here: bool) -> OrderResult:
        """Note what came of an order; what now stands.

        A result that was made here and one of the remote's exclude each other: the first one stands.
        """
        with self._transaction() as connection:
            row = self._row(connection, order)
            if row is not None:
                before = self._entry(row)
                if before.result is not None and (before.here or here):
                    return before.result
            # The entry is gone where another caller of the key took it back meanwhile.
            connection.execute(
                "INSERT INTO orders (user, key, given, at, result, here) VALUES (?, ?, ?, 0, ?, ?) "
                "ON CONFLICT (user, key) DO UPDATE SET result = excluded.result, here = excluded.here",
                (*_key(order), json.dumps(order.to_dict()), json.dumps(result.to_dict()), here),
            )
        return result

    def forget(self, order: Order) -> None:
        """Take back :meth:`begin` of an order of which nothing is known."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM orders WHERE user = ? AND key = ? AND result IS NULL", _key(order))

    def unknown(self, before: int) -> Sequence[Entry]:
        """Orders from before a moment of which nobody knows what came of them, the oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM orders WHERE result IS NULL AND at <= ? ORDER BY at, key",  # noqa: S608
                (before,),
            ).fetchall()
        return [self._entry(row) for row in rows]

    def _row(self, connection: sqlite3.Connection, order: Order) -> _Row | None:
        found: _Row | None = connection.execute(
            f"SELECT {_COLUMNS} FROM orders WHERE user = ? AND key = ?",  # noqa: S608 (no names from outside)
            _key(order),
        ).fetchone()
        return found

    def _entry(self, row: _Row) -> Entry:
        given, at, result, here = row
        try:
            order = Order.from_dict(json.loads(given))
            return Entry(order, at, None if result is None else read_result(result), bool(here))
        except ValueError as error:
            raise DataError(f"The journal {self.path} holds an entry that cannot be read.", "Restore it.") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # what was not committed is rolled back
        except (sqlite3.OperationalError, OSError) as error:
            raise EnvironmentProblem(
                f"The journal of orders {self.path} cannot be used ({error}).",
                "Make its folder writable, free some disk, or name another in QUANTDESK_SOR_JOURNAL.",
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(f"{self.path} is no journal of orders ({error}).", "Restore it, or remove it.") from error


def _key(order: Order) -> tuple[str, str]:
    return json.dumps(order.user_id), order.idempotency_key or ""
