"""Comments, sign-offs, and the trail of who did what. They are only ever added to. An edge module: SQL."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from quantdesk.errors import BadInput, BadParameter
from quantdesk.records.database import Database
from quantdesk.reports.ledger.entry import Comment, SignOff, Verdict
from quantdesk.reports.ledger.tables import (
    COMMENTS,
    RUNS,
    SIGN_OFFS,
    TRAIL,
    as_json,
    comment_of,
    moment,
    sign_off_of,
)

__all__ = ["Deed", "Remarks"]

LARGEST = 10_000
"""Characters of a comment or a note."""


@dataclass(frozen=True)
class Deed:
    """What somebody did: edited a schedule, ran a report, sent an order.

    Attributes
    ----------
    number, at
        Grows with each; when (UTC).
    who, what, subject
        The user, the verb, and what it was done to.
    details
        As JSON.
    """

    number: int
    at: datetime
    who: str
    what: str
    subject: str
    details: Mapping[str, Any]


class Remarks:
    """What people said and did.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def comment(self, run_id: str, author: str, text: str, *, cell_id: str = "") -> Comment:
        """Say something of a run, or of one of its cells.

        Raises
        ------
        BadParameter
            Nothing is said, or far too much.
        BadInput
            Its files were removed: there is nothing to speak of any more.
        DataError
            There is no such run.
        """
        said = _said(text, "comment")
        if not said:
            raise BadParameter("A comment without a word is none.", "Write what is to be said.")
        with self.database.writing() as connection:
            _check_kept(connection, run_id)
            number, at = self._next(connection, COMMENTS), self.database.now(connection)
            row = {"number": number, "run_id": run_id, "cell_id": cell_id[:200], "author": author, "at": at}
            connection.execute(insert(COMMENTS).values(**row, text=said))
            return Comment(number, run_id, cell_id[:200], author, moment(at), said)

    def comments(self, run_id: str) -> tuple[Comment, ...]:
        """What was said of a run, the first one first."""
        with self.database.reading() as connection:
            found = select(COMMENTS).where(COMMENTS.c.run_id == run_id).order_by(COMMENTS.c.number)
            return tuple(comment_of(row) for row in connection.execute(found))

    def sign(self, run_id: str, author: str, verdict: Verdict, note: str = "") -> SignOff:
        """Approve or reject a run, or withdraw what one said before.

        Raises
        ------
        BadParameter
            There is nothing to withdraw, or the note is far too long.
        BadInput
            Its files were removed: nobody can answer for what nobody can see.
        DataError
            There is no such run.
        """
        said = _said(note, "note")
        with self.database.writing() as connection:
            _check_kept(connection, run_id)
            if verdict is Verdict.WITHDRAWN:
                before = connection.execute(
                    select(SIGN_OFFS)
                    .where(SIGN_OFFS.c.run_id == run_id, SIGN_OFFS.c.author == author)
                    .order_by(SIGN_OFFS.c.number.desc())
                    .limit(1)
                ).first()
                if before is None or before.verdict == Verdict.WITHDRAWN:
                    raise BadParameter(
                        f"{author} has nothing to withdraw from the run {run_id}.", "Approve or reject it first."
                    )
            number, at = self._next(connection, SIGN_OFFS), self.database.now(connection)
            row = {"number": number, "run_id": run_id, "author": author, "at": at, "verdict": verdict, "note": said}
            connection.execute(insert(SIGN_OFFS).values(**row))
            return SignOff(number, run_id, author, moment(at), verdict, said)

    def sign_offs(self, run_id: str) -> tuple[SignOff, ...]:
        """All sign-offs of a run, the first one first."""
        with self.database.reading() as connection:
            found = select(SIGN_OFFS).where(SIGN_OFFS.c.run_id == run_id).order_by(SIGN_OFFS.c.number)
            return tuple(sign_off_of(row) for row in connection.execute(found))

    def standing(self, run_id: str) -> dict[str, SignOff]:
        """What counts: the last sign-off of each person that was not withdrawn."""
        last = {one.author: one for one in self.sign_offs(run_id)}
        return {author: one for author, one in last.items() if one.verdict is not Verdict.WITHDRAWN}

    def trace(self, who: str, what: str, subject: str, details: Mapping[str, Any] | None = None) -> None:
        """Add to the trail."""
        with self.database.writing() as connection:
            row = {"who": who, "what": what, "subject": subject, "details": as_json(dict(details or {}))}
            number = self._next(connection, TRAIL)
            connection.execute(insert(TRAIL).values(number=number, at=self.database.now(connection), **row))

    def trail(self, subject: str | None = None, *, limit: int = 200) -> tuple[Deed, ...]:
        """What was done, of one thing or of all, the last one first."""
        found = select(TRAIL).order_by(TRAIL.c.number.desc()).limit(limit)
        if subject is not None:
            found = found.where(TRAIL.c.subject == subject)
        with self.database.reading() as connection:
            return tuple(
                Deed(row.number, moment(row.at), row.who, row.what, row.subject, json.loads(row.details))
                for row in connection.execute(found)
            )

    @staticmethod
    def _next(connection: Connection, table: Table) -> int:
        return int(connection.scalar(select(func.coalesce(func.max(table.c.number), 0))) or 0) + 1


def _check_kept(connection: Connection, run_id: str) -> None:
    """In the same transaction as what is added: a run that is spoken of is not removed, and the other way round."""
    removed = connection.scalar(select(RUNS.c.removed).where(RUNS.c.id == run_id))
    if removed is not None:
        at = moment(removed)
        raise BadInput(f"The files of the run {run_id} were removed on {at:%Y-%m-%d}.", "Run its report again.")


def _said(text: str, what: str) -> str:
    """The text without what no reader sees: control characters, halves of characters, and directions of writing."""
    said = "".join(
        sign
        for sign in text.replace("\r\n", "\n")
        if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs")
    ).strip()
    if len(said) > LARGEST:
        raise BadParameter(f"A {what} of {len(said):,} characters is too long.", f"Write at most {LARGEST:,}.")
    return said
