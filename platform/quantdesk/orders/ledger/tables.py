"""The tables of the ledger, as the newest revision has them. An edge module: SQL.

``entries`` holds everything. The others hold what must be unique in it, one row for each entry concerned; they
follow from the entries, and :meth:`.Ledger.verify` compares them.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, MetaData, Row, Table, Text

from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger.entries import EntryKind, Stored
from quantdesk.orders.result import OrderStatus

__all__ = ["CHILDREN", "ENTRIES", "EXECUTIONS", "FOLLOWING", "ORDERS", "RESULTS", "following", "stored_of"]

_META = MetaData()
ENTRIES = Table(
    "entries",
    _META,
    Column("seq", BigInteger, primary_key=True),
    Column("at", BigInteger),
    Column("kind", Text),
    Column("mode", Text),
    Column("order_id", Text),
    Column("client_id", Text),
    Column("user_id", Text),
    Column("payload", Text),
    Column("hash", Text),
)
ORDERS = Table(
    "orders",
    _META,
    Column("order_id", Text, primary_key=True),
    Column("seq", BigInteger),
    Column("mode", Text),
    Column("user_id", Text),
    Column("idempotency_key", Text),
)
CHILDREN = Table(
    "children",
    _META,
    Column("client_id", Text, primary_key=True),
    Column("seq", BigInteger),
    Column("order_id", Text),
    Column("symbol", Text),
    Column("action", Text),
)
EXECUTIONS = Table(
    "executions",
    _META,
    Column("mode", Text, primary_key=True),
    Column("execution_id", Text, primary_key=True),
    Column("seq", BigInteger),
    Column("client_id", Text),
)
RESULTS = Table(
    "results",
    _META,
    Column("seq", BigInteger, primary_key=True),
    Column("order_id", Text),
    Column("is_final", Boolean),
)
FOLLOWING = {
    EntryKind.ORDER: ORDERS,
    EntryKind.SENT: CHILDREN,
    EntryKind.EXECUTION: EXECUTIONS,
    EntryKind.RESULT: RESULTS,
}
"""By kind of entry the table that holds what must be unique of it."""


def following(stored: Stored) -> dict[str, Any]:
    """The row that an entry has in the table of its kind; empty where its kind has none."""
    told, payload = {"seq": stored.seq}, stored.payload
    match stored.kind:
        case EntryKind.ORDER:
            # All who give no name are one user, as far as their keys go.
            who = {"user_id": stored.user_id or "", "idempotency_key": payload["idempotency_key"]}
            return told | {"order_id": stored.order_id, "mode": _text(stored.mode)} | who
        case EntryKind.SENT:
            what = {"symbol": payload["symbol"], "action": payload["action"]}
            return told | {"client_id": stored.client_id, "order_id": stored.order_id} | what
        case EntryKind.EXECUTION:
            which = {"mode": _text(stored.mode), "execution_id": payload["execution_id"]}
            return told | which | {"client_id": stored.client_id}
        case EntryKind.RESULT:
            return told | {"order_id": stored.order_id, "is_final": OrderStatus(payload["status"]).is_final}
        case _:
            return {}


def stored_of(row: Row[Any]) -> Stored:
    """The entry of a row of ``entries``."""
    return Stored(
        seq=row.seq,
        kind=EntryKind(row.kind),
        at=row.at,
        order_id=row.order_id,
        client_id=row.client_id,
        user_id=row.user_id,
        payload=json.loads(row.payload),
        mode=None if row.mode is None else ExecutionMode(row.mode),
        hash=row.hash,
    )


def _text(mode: ExecutionMode | None) -> str | None:
    return None if mode is None else str(mode)
