"""One clear error for whatever a database refuses, without a password. An edge module: it reads drivers' errors.

A driver's own error may quote the address, so that it is never chained to ours: raise what these functions return
outside the ``except`` block.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors as pg

from quantdesk.errors import DataError, EnvironmentProblem, QuantdeskError
from quantdesk.records.address import Address

__all__ = ["refused", "refused_file", "told", "unreachable"]

_CAUSES = (
    ("password authentication failed", "refuses the password of {user}", "Check user and password."),
    ("no password supplied", "wants a password for {user}", "Put it into the address, or into ~/.pgpass."),
    ("no pg_hba.conf entry", "does not let {user} in from here", "Ask its operator for an entry in pg_hba.conf."),
    ('role "', "knows no user {user}", "Check the user in the address."),
    ('database "', "has no database {database}", "Check the name, or have it created: CREATE DATABASE."),
    ("could not translate host name", "cannot be found", "Check the host in the address."),
    ("failed to resolve host", "cannot be found", "Check the host in the address."),
    ("Name or service not known", "cannot be found", "Check the host in the address."),
    ("Connection refused", "is not listening", "Check host and port, and that the server runs."),
    ("timeout expired", "does not answer", "Check host and port, and the network between."),
    ("too many clients", "has no connection left", "Try again later, or raise max_connections."),
    ("remaining connection slots", "has no connection left", "Try again later, or raise max_connections."),
    ("starting up", "is starting up", "Try again in a moment."),
    ("SSL", "does not agree on encryption", "Check sslmode in the address."),
    ("received invalid response", "does not speak PostgreSQL's language", "Check the port: another server answers."),
)


def unreachable(given: Mapping[str, Any], said: str) -> EnvironmentProblem:
    """Why there is no connection.

    Parameters
    ----------
    given
        The parameters that were tried; see :meth:`.Address.parameters`.
    said
        What libpq said.
    """
    user, database, secret = repr(given["user"]), repr(given["dbname"]), str(given.get("password", ""))
    place = f"The PostgreSQL server at {given['host']}:{given['port']}"
    for sign, what, remedy in _CAUSES:
        if sign in said:
            return EnvironmentProblem(f"{place} {what.format(user=user, database=database)}.", remedy)
    last = said.strip().splitlines()[-1] if said.strip() else "no reason given"
    last = last.replace(secret, "***") if secret else last
    return EnvironmentProblem(f"{place} cannot be used ({last[:200]}).", "Check the address.")


def told(address: Address, error: psycopg.Error) -> tuple[str, str]:
    """The place as it is named in messages, and what the server said, without the password."""
    said = address.without((error.diag.message_primary or str(error).strip().partition("\n")[0])[:300])
    return f"{address.database} on {address.host}:{address.port}", said


def refused(address: Address, error: psycopg.Error) -> QuantdeskError:
    """What a PostgreSQL server refused, as one of our errors."""
    place, said = told(address, error)
    if isinstance(error, pg.QueryCanceled):
        return EnvironmentProblem(
            f"The database {place} gave up on a question ({said}).",
            f"Ask for less, or raise statement_timeout for {address.user}.",
        )
    if isinstance(error, pg.InsufficientPrivilege):
        return EnvironmentProblem(
            f"{address.user} may not do this in the database {place} ({said}).", "Have the rights granted."
        )
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return EnvironmentProblem(f"The database {place} is read-only ({said}).", "Write to the primary server.")
    if isinstance(error, pg.LockNotAvailable):
        return EnvironmentProblem(f"The database {place} is being changed by somebody else.", "Try again later.")
    if isinstance(error, pg.DiskFull):
        return EnvironmentProblem(f"The disk of the database {place} is full ({said}).", "Make room on its server.")
    if isinstance(error, pg.IdleInTransactionSessionTimeout):
        return EnvironmentProblem(
            f"The database {place} ended a transaction in which nothing happened any more.", "Do it again."
        )
    if isinstance(error, pg.IntegrityError):
        return DataError(f"The database {place} refused a row ({said}).", "It contradicts what is recorded there.")
    if error.sqlstate is None or isinstance(error, psycopg.OperationalError):
        return EnvironmentProblem(f"The connection to {place} was lost ({said}).", "Check the server, and ask again.")
    return EnvironmentProblem(f"The database {place} refused ({error.sqlstate}: {said}).", "Check the server's log.")


_FULL = "Free some, or set QUANTDESK_STATE to a larger disk."
_WRITABLE = "Make it and its folder writable, or set QUANTDESK_STATE to a folder that is."


def refused_file(path: Path | str, error: sqlite3.Error) -> QuantdeskError:
    """What SQLite refused, as one of our errors."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says where in SQLite
    said = str(error)
    match code:
        case sqlite3.SQLITE_FULL:
            return EnvironmentProblem(f"No disk space is left for {path}.", _FULL)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return EnvironmentProblem(f"{path} cannot be written ({said}).", _WRITABLE)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return EnvironmentProblem(f"Another process has kept {path} locked ({said}).", "End it, and try again.")
        case sqlite3.SQLITE_IOERR:
            return EnvironmentProblem(f"The disk failed on {path} ({said}).", "Check the disk and its free space.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return DataError(f"{path} is damaged, or no database of SQLite ({said}).", "Put back a copy of it.")
        case sqlite3.SQLITE_CONSTRAINT:
            return DataError(f"{path} refused a row ({said}).", "It contradicts what is recorded there.")
        case _:
            return EnvironmentProblem(f"{path} cannot be used ({said}).", "Check the file.")
