"""A dump read back, statement by statement within one transaction. An edge module: a server.

So other sessions see the schemas as they were, or as they are in the dump, and nothing in between. What a dump cannot
do here is talk to a shell, as it could in psql.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, BinaryIO

import psycopg
from psycopg import sql

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.hub.backup.databases.postgres import opened
from quantdesk.records.address import Address

__all__ = ["load_dump", "take_back"]

_COPY = re.compile(rb"COPY .* FROM stdin;\r?\n")
_LONGEST_STATEMENT = 64_000_000
_CHUNK = 1 << 20


def load_dump(
    address: Address, schemas: Sequence[str], source: BinaryIO, aside: str, before: sql.Composed | None = None
) -> tuple[str, ...]:
    """Read a dump back, in one transaction.

    Parameters
    ----------
    address
        Of the database.
    schemas
        Those in the dump. What has their names is renamed.
    source
        The dump.
    aside
        What is put behind the names of schemas that were there.
    before
        A statement that is run at the end, before the commit.

    Returns
    -------
    tuple of str
        The new names of schemas that were there.

    Raises
    ------
    DataError
        The dump is damaged, or what is in it contradicts itself. Nothing has changed then.
    EnvironmentProblem
        The database cannot be reached or written.
    """
    problem: Exception | None = None
    moved = []
    with opened(address) as connection:
        try:
            with connection.transaction():
                for name in schemas:
                    if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,)).fetchone():
                        new = f"{name}{aside}"
                        rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
                        connection.execute(rename.format(sql.Identifier(name), sql.Identifier(new)))
                        moved.append(new)
                _replay(connection, source)
                connection.execute("SELECT pg_catalog.set_config('search_path', '', true)")
                if before is not None:
                    connection.execute(before)
        except psycopg.errors.InsufficientPrivilege as error:
            problem = EnvironmentProblem(
                f"{address.user} may not restore into {address} ({address.without(str(error)).strip()[:200]}).",
                "Restore as the owner of the database, or GRANT CREATE ON DATABASE … to this user.",
            )
        except psycopg.OperationalError as error:
            problem = EnvironmentProblem(
                f"{address} broke off ({address.without(str(error)).strip()[:200]}).", "Try again: nothing was changed."
            )
        except psycopg.Error as error:
            problem = DataError(
                f"The dump does not fit into {address} ({address.without(str(error)).strip()[:200]}).",
                "It is damaged, or comes from a newer PostgreSQL. Nothing was changed.",
            )
    if problem is not None:
        raise problem from None
    return tuple(moved)


def take_back(address: Address, schemas: Sequence[str], moved: Sequence[str], aside: str) -> None:
    """Undo :func:`load_dump`: drop what it made, and give what was there its names again."""
    with opened(address) as connection, connection.transaction():
        for name in schemas:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
        for new in moved:
            rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
            old = new.removesuffix(aside)
            connection.execute(rename.format(sql.Identifier(new), sql.Identifier(old)))


def _replay(connection: psycopg.Connection[tuple[Any, ...]], source: BinaryIO) -> None:
    """Execute a dump: what stands between two blocks of rows at once, and rows by COPY."""
    gathered: list[bytes] = []
    length = 0
    for line in source:
        if _COPY.fullmatch(line):
            _execute(connection, gathered)
            gathered, length = [], 0
            with connection.cursor().copy(line.rstrip(b"\r\n;")) as copying:
                _rows(source, copying)
            continue
        if line.startswith((b"\\restrict ", b"\\unrestrict ")):  # psql's own: newer versions of pg_dump write them
            continue
        gathered.append(line)
        length += len(line)
        if length > _LONGEST_STATEMENT:
            raise DataError("The dump holds a statement that is too long.", "It is damaged: use another backup.")
    _execute(connection, gathered)


def _rows(source: BinaryIO, copying: psycopg.Copy) -> None:
    waiting: list[bytes] = []
    size = 0
    for line in source:
        if line in (b"\\.\n", b"\\.\r\n"):
            copying.write(b"".join(waiting))
            return
        waiting.append(line)
        size += len(line)
        if size > _CHUNK:
            copying.write(b"".join(waiting))
            waiting, size = [], 0
    raise DataError("The dump ends in the middle of a table.", "It is damaged: use another backup.")


def _execute(connection: psycopg.Connection[tuple[Any, ...]], lines: list[bytes]) -> None:
    text = b"".join(lines)
    if text.strip():
        connection.execute(text)
