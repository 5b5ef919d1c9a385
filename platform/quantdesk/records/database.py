"""One database, SQLite or PostgreSQL, asked in the same way. An edge module: a file, or the network.

Both dialects give the same promises:

- **One writer at a time.** A block of :meth:`Database.writing` is one transaction; others wait for it. SQLite has one
  writer per file (``BEGIN IMMEDIATE``); PostgreSQL gets there by an advisory lock of the schema, held until the commit.
- **All or nothing, for good.** A block that ends well is on the disk when it ends: SQLite with its log flushed at each
  commit (``synchronous=FULL``), PostgreSQL with ``synchronous_commit`` on. A block that fails leaves nothing.
- **One state.** What :meth:`Database.reading` sees belongs together, and no reader waits for a writer.
- **One clear error**, without the password, for whatever is refused.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import Connection, Engine, create_engine, event, exc, pool, text

from quantdesk.errors import BadInput, EnvironmentProblem, QuantdeskError
from quantdesk.records.address import Address, parse
from quantdesk.records.refusals import refused, refused_file, unreachable

__all__ = ["Database", "DatabaseConfig"]

_FORMS = "Give sqlite:///path/to/file, sqlite:///:memory:, or postgresql://user:password@host:5432/database."
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
_MEMORY = ":memory:"
_KEPT = 4


class DatabaseConfig(BaseSettings):
    """How a database is waited for.

    Attributes
    ----------
    timeout
        ``QUANTDESK_DATABASE_TIMEOUT``: seconds to wait for whoever is writing, 30 when left out.
    idle
        ``QUANTDESK_DATABASE_IDLE``: seconds after which PostgreSQL ends the transaction of a process that has gone
        silent in the middle of one, 60 when left out.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_DATABASE_", frozen=True)

    timeout: float = Field(default=30.0, gt=0, le=3600)
    idle: float = Field(default=60.0, gt=0, le=86_400)

    @classmethod
    def from_env(cls) -> DatabaseConfig:
        """Read the environment."""
        return cls()


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
        self._engine = self._made()

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
        with self._explained(), self._connected(quantdesk_writes=True) as connection, connection.begin():
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
        self._engine.dispose()

    @contextlib.contextmanager
    def _connected(self, **options: Any) -> Iterator[Connection]:
        if self._process != os.getpid():  # connections are the parent's: neither used nor closed here
            self._engine.dispose(close=False)
            self._process = os.getpid()
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

    def _made(self) -> Engine:
        place = self.place
        if isinstance(place, Address):
            engine = create_engine(
                "postgresql+psycopg://",
                creator=lambda: self._postgresql(place),
                pool_size=_KEPT,
                max_overflow=_KEPT,
                pool_timeout=self.config.timeout,
                pool_pre_ping=True,
            )
        else:
            # A database in memory is its one connection; those of a file are cheap.
            one = place == _MEMORY
            engine = create_engine(
                "sqlite://",
                creator=lambda: self._sqlite(place),
                poolclass=pool.QueuePool,
                pool_size=1 if one else _KEPT,
                max_overflow=0 if one else _KEPT,
                pool_timeout=self.config.timeout,
            )
        event.listen(engine, "begin", self._begin)
        return engine

    def _begin(self, connection: Connection) -> None:
        """What a transaction begins with: the lock of the one writer, or nothing."""
        writes = connection.get_execution_options().get("quantdesk_writes", False)
        if self.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        elif writes:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_lock(self.schema),))

    def _postgresql(self, address: Address) -> Any:
        waits = f"-c lock_timeout={round(self.config.timeout * 1000)}"
        idle = f"-c idle_in_transaction_session_timeout={round(self.config.idle * 1000)}"
        given = {**address.parameters(), "options": f"-c search_path={self.schema} {waits} {idle}"}
        problem = None
        try:
            connection = psycopg.connect(**given, autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]
            # A server may be set to forget the last commits in a crash; what is recorded here is not to be forgotten.
            connection.execute(_DURABLE)
            connection.autocommit = False
        except (psycopg.Error, UnicodeError) as error:
            problem = unreachable(given, str(error))
        if problem is not None:  # raised out here, so that it does not carry libpq's error along
            raise problem
        return connection

    def _sqlite(self, path: Path | str) -> sqlite3.Connection:
        problem: QuantdeskError | None = None
        try:
            if isinstance(path, Path):
                path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                path, timeout=self.config.timeout, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            problem = refused_file(path, error)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = f"No disk space is left for {path}." if full else f"{path} cannot be written ({error.strerror})."
            problem = EnvironmentProblem(
                what, "Set QUANTDESK_STATE, or the address, to a place with room that is yours."
            )
        if problem is not None:
            raise problem
        try:
            self._settle(connection)
        except sqlite3.Error as error:
            connection.close()
            problem = refused_file(path, error)
        if problem is not None:
            raise problem
        return connection

    def _settle(self, connection: sqlite3.Connection) -> None:
        """The settings that the promises rest on."""
        for setting in ("foreign_keys = ON", "synchronous = FULL", "recursive_triggers = ON"):
            connection.execute(f"PRAGMA {setting}")
        deadline = time.monotonic() + self.config.timeout
        while self.place != _MEMORY:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # The change itself does not wait for whoever else makes it.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.02)


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
            f"The address {given[:80]!r} names no file.", "Give sqlite:/// and a path: three slashes, or four."
        )
    return path if path == _MEMORY else Path(path).expanduser().absolute()


def _lock(schema: str) -> int:
    """The number of the lock that the writers of a schema share."""
    return int.from_bytes(hashlib.sha256(f"quantdesk:{schema}".encode()).digest()[:8], "big", signed=True)
