"""A PostgreSQL database as it is at one moment: asked, and dumped by pg_dump. An edge module: a server, a process."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from quantdesk.errors import EnvironmentProblem
from quantdesk.records.address import Address
from quantdesk.records.refusals import unreachable

__all__ = ["Snapshot", "dump_postgres", "opened", "sessions", "snapshot", "tables_of"]

_PATIENCE = 20


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
    with opened(address) as connection:
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
    with opened(address) as connection:
        for _ in range(_PATIENCE):  # one that was closed a moment ago is still seen
            row = connection.execute(asked).fetchone()
            if row == (0,):
                return 0
            time.sleep(0.1)
        return int(row[0]) if row else 0


def tables_of(address: Address, schemas: Sequence[str]) -> tuple[str, ...]:
    """The schemas among `schemas` that hold tables."""
    asked = "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname = ANY(%s) ORDER BY 1"
    with opened(address) as connection:
        return tuple(str(row[0]) for row in connection.execute(asked, (list(schemas),)))


@contextlib.contextmanager
def opened(address: Address) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection, each statement of which is a transaction.

    Raises
    ------
    EnvironmentProblem
        The database cannot be reached.
    """
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
