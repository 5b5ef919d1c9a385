"""Copies of databases that others may be writing: SQLite by its online backup, PostgreSQL by pg_dump. An edge module.

A copy of a SQLite file is one state of it, checked page by page. A dump of PostgreSQL is one snapshot of all schemas in
it, as SQL without owners and grants; it is read back here statement by statement within one transaction, so that other
sessions see the schemas as they were, or as they are in the dump, and nothing in between. What a dump cannot do here
is talk to a shell, as it could in psql.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
from psycopg import sql

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.records.address import Address
from quantdesk.records.refusals import unreachable

__all__ = [
    "Snapshot",
    "copy_sqlite",
    "dump_postgres",
    "is_sqlite",
    "load_dump",
    "others_of",
    "sessions",
    "snapshot",
    "tables_of",
    "take_back",
]

_MAGIC = b"SQLite format 3\x00"
_COPY = re.compile(rb"COPY .* FROM stdin;\r?\n")
_LONGEST_STATEMENT = 64_000_000
_CHUNK = 1 << 20
_PATIENCE = 20


def is_sqlite(name: str, folder: int) -> bool:
    """Whether a regular file, named in an open folder, is a SQLite database."""
    with contextlib.suppress(OSError):
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            return stat.S_ISREG(os.fstat(handle).st_mode) and os.read(handle, len(_MAGIC)) == _MAGIC
        finally:
            os.close(handle)
    return False


def others_of(path: str) -> tuple[str, ...]:
    """The names of what SQLite keeps beside a file while it is in use."""
    return (f"{path}-wal", f"{path}-shm", f"{path}-journal")


def copy_sqlite(source: Path, target: Path, *, folder: int | None = None) -> None:
    """Copy a SQLite database that others may be writing.

    Parameters
    ----------
    source
        The file; a link is not followed.
    target
        Does not exist yet; mode 0600.
    folder
        An open folder in which `source` is, so that a link in its path is not followed either.

    Raises
    ------
    DataError
        It is damaged.
    EnvironmentProblem
        It cannot be read, or is no regular file.
    """
    # A handle that only names the file: to close one that reads it would drop SQLite's locks in this process.
    try:
        known = os.open(source.name if folder is not None else source, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        raise EnvironmentProblem(f"{source} cannot be read ({error.strerror}).", "Look at its permissions.") from error
    try:
        facts = os.fstat(known)
        if not stat.S_ISREG(facts.st_mode):
            raise EnvironmentProblem(f"{source} is no regular file.", "Move it away.")
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as there:
            there.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not _has_open(facts, besides=known):
                raise EnvironmentProblem(f"{source} was exchanged while it was opened.", "Try again.")
            with closing(sqlite3.connect(target)) as here:
                there.backup(here, pages=-1)
                found = here.execute("PRAGMA quick_check(1)").fetchone()
        if found != ("ok",):
            raise DataError(f"{source} is damaged ({str(found[0])[:200]}).", "Restore an earlier backup.")
    except sqlite3.OperationalError as error:
        target.unlink(missing_ok=True)
        full = (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_FULL
        what = f"No disk space is left for a copy of {source}." if full else f"{source} cannot be copied ({error})."
        raise EnvironmentProblem(what, "Free some." if full else "Look at its permissions, and at its disk.") from error
    except sqlite3.DatabaseError as error:
        target.unlink(missing_ok=True)
        raise DataError(f"{source} is damaged ({error}).", "Restore an earlier backup.") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(known)


def _has_open(facts: os.stat_result, besides: int) -> bool:
    """Whether this process has a file open by another handle."""
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            seen = handle.stat()
            if int(handle.name) != besides and (seen.st_dev, seen.st_ino) == (facts.st_dev, facts.st_ino):
                return True
    return False


class Snapshot:
    """One state of a PostgreSQL database. Made by :func:`snapshot`."""

    def __init__(self, address: Address, connection: psycopg.Connection[tuple[Any, ...]], name: str) -> None:
        self._address, self._connection, self._name = address, connection, name

    def rows(self, query: sql.Composed | sql.SQL) -> list[tuple[Any, ...]]:
        """What a query finds in it."""
        return list(self._connection.execute(query))

    def schemas(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Those of the wanted schemas that there are."""
        found = self._connection.execute("SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)", (list(wanted),))
        return tuple(sorted(str(row[0]) for row in found))

    def dump(self, schemas: Sequence[str], target: Path) -> None:
        """Write schemas as SQL, mode 0600.

        Raises
        ------
        EnvironmentProblem
            There is no pg_dump, it is older than the server, or it failed.
        """
        _pg_dump(self._address, schemas, target, ("--snapshot", self._name))


@contextlib.contextmanager
def snapshot(address: Address) -> Iterator[Snapshot]:
    """One state of a database, to be asked and dumped.

    Raises
    ------
    EnvironmentProblem
        It cannot be reached.
    """
    with _open(address) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        yield Snapshot(address, connection, str(row[0] if row else ""))


def dump_postgres(address: Address, schemas: Sequence[str], target: Path) -> None:
    """Write schemas as SQL; see :meth:`Snapshot.dump`."""
    _pg_dump(address, schemas, target, ())


def _pg_dump(address: Address, schemas: Sequence[str], target: Path, more: Sequence[str]) -> None:
    tool = shutil.which("pg_dump")
    if tool is None:
        raise EnvironmentProblem(
            f"{address} is a PostgreSQL database, and this machine has no pg_dump.",
            "Install PostgreSQL's client programs (Debian: postgresql-client), of the server's version or a newer one.",
        )
    parameters = {name: str(value) for name, value in address.parameters().items()}
    secret = parameters.pop("password", None)
    conninfo = " ".join(f"{name}='{_quoted(value)}'" for name, value in parameters.items())
    line = [tool, "--no-owner", "--no-privileges", "--no-password", "--quote-all-identifiers", "--encoding=UTF8"]
    line += [*(f'--schema="{name}"' for name in schemas), *more, f"--dbname={conninfo}"]
    environment = {**os.environ, "LC_ALL": "C", **({"PGPASSWORD": secret} if secret is not None else {})}
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        done = subprocess.run(line, env=environment, stdout=stream, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        target.unlink(missing_ok=True)
        said = " ".join(address.without(done.stderr).split())[:300]
        remedy = "Install client programs that are as new as the server." if "version mismatch" in said else ""
        raise EnvironmentProblem(f"pg_dump could not copy {address} ({said}).", remedy or "Look at the server's log.")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def sessions(address: Address) -> int:
    """How many other sessions of the same user the database has.

    Raises
    ------
    EnvironmentProblem
        It cannot be reached.
    """
    asked = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
    )
    with _open(address) as connection:
        for _ in range(_PATIENCE):  # one that was closed a moment ago is still seen
            row = connection.execute(asked).fetchone()
            if row == (0,):
                return 0
            time.sleep(0.1)
        return int(row[0]) if row else 0


def tables_of(address: Address, schemas: Sequence[str]) -> tuple[str, ...]:
    """The schemas among `schemas` that hold tables."""
    asked = "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname = ANY(%s) ORDER BY 1"
    with _open(address) as connection:
        return tuple(str(row[0]) for row in connection.execute(asked, (list(schemas),)))


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
    with _open(address) as connection:
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
    with _open(address) as connection, connection.transaction():
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


@contextlib.contextmanager
def _open(address: Address) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    given = {**address.parameters(), "application_name": "quantdesk-backup"}
    problem = None
    try:
        connection = psycopg.connect(**given, autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]
    except (psycopg.Error, UnicodeError) as error:
        problem = unreachable(given, str(error))
    if problem is not None:  # raised out here, so that it does not carry libpq's error along
        raise problem
    with closing(connection):
        yield connection
