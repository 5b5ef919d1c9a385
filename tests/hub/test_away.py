"""A database that does not answer is told as such. See test_database_away.py and test_full_volume.py for real ones."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError

from quantdesk.hub import away


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OperationalError("SELECT 1", {}, Exception("connection refused")), away.AWAY),
        (InterfaceError("SELECT 1", {}, Exception("connection already closed")), away.AWAY),
        (OperationalError("INSERT", {}, Exception("database or disk is full")), away.FULL),
        (OperationalError("INSERT", {}, Exception("could not extend file: No space left on device")), away.FULL),
        (IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: disk is full")), ""),
        (ValueError("disk is full"), ""),
    ],
)
def test_only_what_is_about_the_database_itself_is_told_so(error: Exception, said: str) -> None:
    assert away.sentence(error) == said


@pytest.mark.xdist_group("hub")
def test_while_the_database_is_locked_who_is_in_stays_in(desk: Any) -> None:
    """Somebody holds the file. Who was looked up in vain is not nobody, and is not sent to the login."""
    with closing(sqlite3.connect(desk.hub.files.database, isolation_level=None, timeout=30)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        answer = desk.ana.get("home", allow_redirects=False)
        holder.execute("ROLLBACK")
    assert answer.status_code == 503
    assert "The hub cannot answer at the moment" in answer.text
    assert away.AWAY in answer.text
    assert "OperationalError" not in answer.text
    assert desk.ana.get("home", allow_redirects=False).status_code == 200
