"""One database, SQLite or PostgreSQL, asked in the same way. An edge module: a file, or the network.

Both dialects give the same promises:

- **One writer at a time.** A block of :meth:`Database.writing` is one transaction; others wait for it. SQLite has one
  writer per file (``BEGIN IMMEDIATE``); PostgreSQL gets there by an advisory lock of the schema, held until the commit.
- **All or nothing, for good.** A block that ends well is on the disk when it ends: SQLite with its log flushed at each
  commit (``synchronous=FULL``), PostgreSQL with ``synchronous_commit`` on. A block that fails leaves nothing.
- **One state.** What :meth:`Database.reading` sees belongs together, and no reader waits for a writer.
- **One clear error**, without the password, for whatever is refused.

After a fork a child gets connections of its own to PostgreSQL. To a SQLite file that its parent had open at the fork it
gets none, and is told so: the library remembers locks for the process, and a child would believe to hold its parent's.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, Pool, exc, text

from quantdesk.errors import BadInput, EnvironmentProblem, QuantdeskError
from quantdesk.records.address import Address, parse
from quantdesk.records.engines import MEMORY, WRITES, DatabaseConfig, engine_of
from quantdesk.records.refusals import refused, refused_file

__all__ = ["Database", "DatabaseConfig"]

_FORMS = "Give sqlite:///path/to/file, sqlite:///:memory:, or postgresql://user:password@host:5432/database."


class Database:
    """A database, by its address. Nothing is opened before it is asked.

    Parameters
    ----------
    url
        ``sqlite:///`` and a path (what follows is taken as it stands; a relative one starts at the current folder),
        ``sqlite:///:memory:`` for one that is gone when it is closed, or
        ``postgresql://user:password@host:5432/database``.
    schema
        Where the tables are in PostgreSQL.
    config
        That of the environment when None.

    Raises
    ------
    BadInput
        The address is neither; the message does not hold what could be a password.
    """

    def __init__(self, url: str | SecretStr, schema: str = "quantdesk", config: DatabaseConfig | None = None) -> None:
        self.config = config or DatabaseConfig.from_env()
        self.schema = schema
        self.place = _place(url)
        self._process = os.getpid()
        self._opened_by: int | None = None
        self._engine = engine_of(self.place, schema, self.config)
        # Whoever lets go of a database need not close it.
        weakref.finalize(self, _finish, self._engine, self._process)
        _ALL.add(self)

    def __str__(self) -> str:
        """The address without the password."""
        return str(self.place) if isinstance(self.place, Address) else f"sqlite:///{self.place}"

    def __repr__(self) -> str:
        return f"Database({str(self)!r})"

    def __enter__(self) -> Database:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite; else it is PostgreSQL."""
        return not isinstance(self.place, Address)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that nobody else writes beside; committed when the block ends well.

        Raises
        ------
        EnvironmentProblem
            It cannot be reached or written, the disk is full, or another writer did not end in time. Where a connection
            broke during the commit, nobody knows whether it counted: look before you write again.
        DataError
            It is damaged, or what was written contradicts what is recorded there.
        """
        with self._explained(), self._connected(**{WRITES: True}) as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One state of the database, to be read.

        Raises
        ------
        EnvironmentProblem, DataError
            As for :meth:`writing`.
        """
        alone = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._explained(), self._connected(**alone) as connection, connection.begin():
            yield connection

    def now(self, connection: Connection) -> int:
        """The clock that all users of the database share: nanoseconds since 1970 (UTC).

        PostgreSQL is asked for the server's. The users of a SQLite file are on one machine, and have its clock.
        """
        if self.is_sqlite:
            return time.time_ns()
        return int(
            connection.scalar(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000")) or 0
        )

    def close(self) -> None:
        """Close the connections. A later question opens new ones."""
        if self._is_a_parents():
            return  # they are not this process's to close
        self._engine.dispose()
        self._opened_by = None

    def _is_the_same(self, other: Database) -> bool:
        """Whether both are one file. Those in memory are each their own."""
        return other is self or (self.place != MEMORY and other.place == self.place)

    def _is_a_parents(self) -> bool:
        """Whether it is SQLite, and was opened in a process of which this one is a fork, and not closed before that."""
        return self.is_sqlite and self._opened_by not in (None, os.getpid())

    @contextlib.contextmanager
    def _connected(self, **options: Any) -> Iterator[Connection]:
        if self.is_sqlite and any(self._is_the_same(one) and one._is_a_parents() for one in list(_ALL)):
            raise EnvironmentProblem(
                f"{self} was open when this process was forked off another, and cannot be used in both.",
                "Start the process anew (spawn), or close the database before the fork.",
            )
        if self._process != os.getpid():  # connections are the parent's: neither used nor closed here
            _LEFT.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._process = os.getpid()
            weakref.finalize(self, _finish, self._engine, self._process)
        self._opened_by = os.getpid()
        with self._engine.connect() as connection:
            yield connection.execution_options(**options)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        problem: QuantdeskError | None = None
        try:
            yield
        except exc.DBAPIError as error:
            problem = self._problem(error.orig)
        except (sqlite3.Error, psycopg.Error) as error:
            problem = self._problem(error)
        except exc.TimeoutError:
            problem = EnvironmentProblem(
                f"All connections to {self} are in use.", "End what reads or writes there in another thread."
            )
        if problem is not None:
            raise problem from None  # the driver's error may quote the address

    def _problem(self, error: BaseException | None) -> QuantdeskError:
        if isinstance(self.place, Address):
            if isinstance(error, psycopg.Error):
                return refused(self.place, error)
            return EnvironmentProblem(f"{self} cannot be used.", "Check the server's log.")
        if isinstance(error, sqlite3.Error):
            return refused_file(self.place, error)
        return EnvironmentProblem(f"{self} cannot be used.", "Check the file.")


def _place(url: str | SecretStr) -> Address | Path | str:
    given = url.get_secret_value() if isinstance(url, SecretStr) else url
    if not isinstance(given, str):
        raise BadInput(f"The address of the database is a {type(given).__name__}.", _FORMS)
    scheme, divider, rest = given.partition("://")
    if not divider:
        raise BadInput("The address of the database has no scheme.", _FORMS)
    if scheme.lower() in ("postgresql", "postgres"):
        return parse(given)
    if scheme.lower() != "sqlite":
        raise BadInput(f"A database behind a {scheme[:30]!r} address is not supported.", _FORMS)
    path = rest.removeprefix("/")
    if path == rest or not path or "\0" in path:
        raise BadInput(
            "The address of the database names no file.", "Give sqlite:/// and a path: three slashes, or four."
        )
    return path if path == MEMORY else Path(path).expanduser().absolute()


_ALL: weakref.WeakSet[Database] = weakref.WeakSet()
"""Every database of this process, those that a fork got from its parent among them."""
_LEFT: list[Pool] = []
"""Connections of a parent process: kept, so that nothing closes them."""


def _finish(engine: Engine, process: int) -> None:
    """Close connections, in the process that opened them."""
    if process == os.getpid():
        engine.dispose()
