"""Connections to SQLite and PostgreSQL, with the settings that a database's promises rest on. An edge module."""

from __future__ import annotations

import errno
import hashlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import psycopg
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import Connection, Engine, create_engine, event, pool

from quantdesk.errors import EnvironmentProblem, QuantdeskError
from quantdesk.records.address import Address
from quantdesk.records.refusals import refused_file, unreachable

__all__ = ["MEMORY", "WRITES", "DatabaseConfig", "engine_of"]

MEMORY = ":memory:"
"""In the place of a path: a database that is gone when it is closed."""
WRITES = "quantdesk_writes"
"""The option of a connection whose transaction will write."""
_KEPT = 4
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""


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


def engine_of(place: Address | Path | str, schema: str, config: DatabaseConfig) -> Engine:
    """An engine for a database; nothing is opened yet.

    Parameters
    ----------
    place
        The address of a PostgreSQL database, the path of a SQLite file, or :data:`MEMORY`.
    schema
        Where the tables are in PostgreSQL.
    config
        How long to wait.
    """
    if isinstance(place, Address):
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: _postgresql(place, schema, config),
            pool_size=_KEPT,
            max_overflow=_KEPT,
            pool_timeout=config.timeout,
            pool_pre_ping=True,
        )
        lock = int.from_bytes(hashlib.sha256(f"quantdesk:{schema}".encode()).digest()[:8], "big", signed=True)
    else:
        alone = place == MEMORY  # a database in memory is its one connection
        engine = create_engine(
            "sqlite://",
            creator=lambda: _sqlite(place, config),
            poolclass=pool.QueuePool,
            pool_size=1 if alone else _KEPT,
            max_overflow=0 if alone else _KEPT,
            pool_timeout=config.timeout,
        )
        lock = 0

    def begin(connection: Connection) -> None:
        """What a transaction begins with: the lock of the one writer, or nothing."""
        writes = connection.get_execution_options().get(WRITES, False)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        elif writes:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (lock,))

    event.listen(engine, "begin", begin)
    return engine


def _postgresql(address: Address, schema: str, config: DatabaseConfig) -> Any:
    waits = f"-c lock_timeout={round(config.timeout * 1000)}"
    idle = f"-c idle_in_transaction_session_timeout={round(config.idle * 1000)}"
    given = {**address.parameters(), "options": f"-c search_path={schema} {waits} {idle}"}
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


def _sqlite(path: Path | str, config: DatabaseConfig) -> sqlite3.Connection:
    problem: QuantdeskError | None = None
    try:
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=config.timeout, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        problem = refused_file(path, error)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = f"No disk space is left for {path}." if full else f"{path} cannot be written ({error.strerror})."
        problem = EnvironmentProblem(what, "Set QUANTDESK_STATE, or the address, to a place with room that is yours.")
    if problem is not None:
        raise problem
    try:
        _settle(connection, path, config)
    except sqlite3.Error as error:
        connection.close()
        problem = refused_file(path, error)
    if problem is not None:
        raise problem
    return connection


def _settle(connection: sqlite3.Connection, path: Path | str, config: DatabaseConfig) -> None:
    """The settings that the promises rest on."""
    for setting in ("foreign_keys = ON", "synchronous = FULL", "recursive_triggers = ON"):
        connection.execute(f"PRAGMA {setting}")
    deadline = time.monotonic() + config.timeout
    while path != MEMORY:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # The change itself does not wait for whoever else makes it.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)
