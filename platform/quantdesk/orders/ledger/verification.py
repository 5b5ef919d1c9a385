"""Whether a ledger is as it was written. An edge module: SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from quantdesk.errors import DataError
from quantdesk.orders.ledger.entries import GENESIS, Stored, link
from quantdesk.orders.ledger.tables import ENTRIES, FOLLOWING, following, stored_of
from quantdesk.records.append_only import is_protected

__all__ = ["verify"]

_PAGE = 1000
_TAMPERED = "Somebody has changed the database past the ledger: put back a copy, and find out who."


def verify(connection: Connection, place: str) -> tuple[int, str]:
    """See :meth:`.Ledger.verify`.

    Parameters
    ----------
    connection
        One state of the database.
    place
        How it is called in messages.
    """
    seq, digest = 0, GENESIS
    counts = dict.fromkeys(FOLLOWING, 0)
    pages = select(ENTRIES).order_by(ENTRIES.c.seq).limit(_PAGE)
    while rows := connection.execute(pages.where(ENTRIES.c.seq > seq)).all():
        beside = {kind: _between(connection, table, rows[0].seq, rows[-1].seq) for kind, table in FOLLOWING.items()}
        for row in rows:
            if row.seq != seq + 1:
                raise _broken(place, seq + 1, f"it is missing, the next one there is {row.seq}")
            stored, told = _read(place, row)
            if link(digest, stored, row.seq, row.payload) != row.hash:
                raise _broken(place, row.seq, "its hash does not follow from what it says and from the entry before")
            if told:
                counts[stored.kind] += 1
                if beside[stored.kind].get(row.seq) != told:
                    raise _broken(place, row.seq, f"the table {FOLLOWING[stored.kind].name} says something else")
            seq, digest = row.seq, row.hash
    for kind, table in FOLLOWING.items():
        if connection.scalar(select(func.count()).select_from(table)) != counts[kind]:
            raise DataError(f"The table {table.name} of {place} has rows without an entry.", _TAMPERED)
    for table in (ENTRIES, *FOLLOWING.values()):
        if not is_protected(connection, table.name):
            raise DataError(f"The table {table.name} of {place} is protected no longer.", _TAMPERED)
    return seq, digest


def _read(place: str, row: Row[Any]) -> tuple[Stored, dict[str, Any]]:
    try:
        stored = stored_of(row)
        return stored, following(stored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(place, row.seq, f"it cannot be read ({error})") from error


def _broken(place: str, seq: int, why: str) -> DataError:
    return DataError(f"The ledger {place} is broken at entry {seq}: {why}.", _TAMPERED)


def _between(connection: Connection, table: Table, first: int, last: int) -> dict[int, dict[str, Any]]:
    """The rows of a table that belong to entries, by their number."""
    found = connection.execute(select(table).where(table.c.seq.between(first, last)))
    return {row.seq: dict(row._mapping) for row in found}
