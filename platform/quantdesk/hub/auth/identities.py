"""Whose name is whose: a table in the hub's database. An edge module.

A name in the hub is a system account, a home and what was done in it. So it belongs to one person of the directory or
the provider, by what stays the same there however the person is called: the provider's subject, the directory's own
number. The first who comes with a name has it, and keeps it when the name upstream changes; whoever else comes with it,
also somebody new under the name of somebody who left, is refused until an administrator has deleted the old user.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, MetaData, String, Table, UniqueConstraint, delete, insert, inspect, select
from sqlalchemy.exc import IntegrityError

__all__ = ["Identities"]

_META = MetaData()
_TABLE = Table(
    "quantdesk_identities",
    _META,
    Column("name", String(64), primary_key=True),
    Column("source", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    UniqueConstraint("source", "subject"),
)


class Identities:
    """The table.

    Parameters
    ----------
    db
        The session of the hub's database; only the hub's own thread may use it.
    """

    def __init__(self, db: Any) -> None:
        self._db = db
        if not inspect(db.bind).has_table(_TABLE.name):
            _META.create_all(db.bind)

    def name_of(self, source: str, subject: str) -> str | None:
        """The name that somebody has already; None for a newcomer."""
        wanted = (_TABLE.c.source == source) & (_TABLE.c.subject == subject)
        found = self._db.execute(select(_TABLE.c.name).where(wanted)).first()
        return None if found is None else str(found[0])

    def owner(self, name: str) -> tuple[str, str] | None:
        """Source and subject of whom a name belongs to; None when it is free."""
        found = self._db.execute(select(_TABLE.c.source, _TABLE.c.subject).where(_TABLE.c.name == name)).first()
        return None if found is None else (str(found[0]), str(found[1]))

    def bind(self, name: str, source: str, subject: str) -> bool:
        """Give a name to somebody; False when it is another's by now, or he has one. Nothing is taken from anybody."""
        if self.owner(name) == (source, subject):
            return True
        try:
            self._db.execute(insert(_TABLE).values(name=name, source=source, subject=subject))
            self._db.commit()
        except IntegrityError:
            self._db.rollback()
            return False
        return True

    def forget(self, name: str) -> None:
        """The name is free."""
        self._db.execute(delete(_TABLE).where(_TABLE.c.name == name))
        self._db.commit()
