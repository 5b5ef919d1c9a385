"""Answers to requests that may be repeated: one key of one user, one answer. An edge module: SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, insert, select, update

from quantdesk.records.database import Database
from quantdesk.reports.ledger.tables import KEYS, nanoseconds

__all__ = ["Answered", "Keys"]


@dataclass(frozen=True)
class Answered:
    """What a key stands for.

    Attributes
    ----------
    is_mine
        Whether the key is new: the caller carries the request out and then calls :meth:`Keys.answer`.
    digest
        Hash of the first request.
    status, answer
        Of the first request; None as long as it is under way.
    """

    is_mine: bool
    digest: str
    status: int | None
    answer: str | None


class Keys:
    """The keys of a ledger.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def begin(self, user: str, key: str, digest: str) -> Answered:
        """Take a key; where it is taken, say by what and how that was answered."""
        with self.database.writing() as connection:
            row = connection.execute(select(KEYS).where(KEYS.c.user == user, KEYS.c.key == key)).one_or_none()
            if row is not None:
                return Answered(False, row.digest, row.status, row.answer)
            fresh = {"user": user, "key": key, "digest": digest, "at": self.database.now(connection)}
            connection.execute(insert(KEYS).values(**fresh))
            return Answered(True, digest, None, None)

    def answer(self, user: str, key: str, status: int, answer: str) -> None:
        """Keep the answer, for whoever repeats the request."""
        mine = and_(KEYS.c.user == user, KEYS.c.key == key)
        with self.database.writing() as connection:
            connection.execute(update(KEYS).where(mine).values(status=status, answer=answer))

    def release(self, user: str, key: str) -> None:
        """Let go of a key whose request changed nothing, so that it can be repeated."""
        mine = and_(KEYS.c.user == user, KEYS.c.key == key, KEYS.c.status.is_(None))
        with self.database.writing() as connection:
            connection.execute(delete(KEYS).where(mine))

    def forget(self, before: datetime) -> int:
        """Drop the keys of requests before a moment (UTC); how many."""
        with self.database.writing() as connection:
            return connection.execute(delete(KEYS).where(KEYS.c.at < nanoseconds(before))).rowcount
