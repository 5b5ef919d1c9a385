"""Connections to the server, and one clear error for whatever goes wrong there. An edge module: the network.

Connections are kept open and used again, by one question at a time. They belong to the process that opened them: a
process that forks leaves them to its parent. No error carries a password, nor the libpq error that might.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import errors as pg

from quantdesk.errors import DataError, EnvironmentProblem, QuantdeskError
from quantdesk.features.postgres.address import Address
from quantdesk.features.postgres.binary import DUMPERS

__all__ = ["Connections", "connect", "explain", "unreachable"]

Connection = psycopg.Connection[tuple[Any, ...]]

_KEPT = 4
_SETTINGS = "SET LOCAL jit = off; SET LOCAL enable_memoize = off; SET LOCAL max_parallel_workers_per_gather = 0"
"""A join answers each row by one look into an index: there is nothing to compile, to remember or to share out."""

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


class Connections:
    """The connections of one process to one database.

    Parameters
    ----------
    address
        Which database.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._free: list[Connection] = []
        self._process = os.getpid()
        # Whoever lets go of a store need not close it.
        weakref.finalize(self, _finish, self._free, self._process)

    def __repr__(self) -> str:
        return f"Connections({str(self.address)!r})"

    def __reduce__(self) -> tuple[type[Connections], tuple[Address]]:
        return Connections, (self.address,)

    @contextlib.contextmanager
    def reading(self) -> Iterator[psycopg.RawCursor[tuple[Any, ...]]]:
        """A cursor on one state of the database: all that is read in the block belongs together.

        Raises
        ------
        EnvironmentProblem, DataError
            What went wrong at the server, without a password.
        """
        with explain(self.address), self._borrowed() as connection:
            connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_SETTINGS}")
            yield psycopg.RawCursor(connection)
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close what is not in use. A later question opens a new connection."""
        with self._lock:
            _finish(self._free, self._process)

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        connection = self._take() or connect(self.address)
        try:
            yield connection
        except BaseException:
            # Whatever state it is in: the next question gets a new one.
            connection.close()
            raise
        with self._lock:
            if len(self._free) < _KEPT and not connection.closed:
                self._free.append(connection)
                return
        connection.close()

    def _take(self) -> Connection | None:
        """A free connection that still works."""
        with self._lock:
            if self._process != os.getpid():
                # The parent's: closing them here would end them there.
                _LEFT.extend(self._free)
                self._free, self._process = [], os.getpid()
                weakref.finalize(self, _finish, self._free, self._process)
            found = self._free.pop() if self._free else None
        if found is None:
            return None
        try:
            found.execute("")
        except psycopg.Error:
            found.close()
            return None
        return found


def _finish(free: list[Connection], process: int) -> None:
    """Close connections, in the process that opened them."""
    while process == os.getpid() and free:
        free.pop().close()


_LEFT: list[Connection] = []
"""Connections of a parent process: kept, so that nothing closes them."""


def connect(address: Address) -> Connection:
    """Open a connection, without a transaction.

    Raises
    ------
    EnvironmentProblem
        Host, port, user, password or database are wrong, or the server is down.
    """
    problem = None
    try:
        connection = psycopg.connect(**address.parameters(), autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]
    except (psycopg.Error, UnicodeError) as error:
        problem = unreachable(address.parameters(), str(error))
    if problem is not None:  # raised out here, so that it does not carry libpq's error along
        raise problem
    for kind, dumper in DUMPERS:
        connection.adapters.register_dumper(kind, dumper)
    return connection


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


@contextlib.contextmanager
def explain(address: Address) -> Iterator[None]:
    """Turn the server's errors into ours."""
    problem: QuantdeskError | None = None
    try:
        yield
    except psycopg.Error as error:
        problem = _explained(address, error)
    if problem is not None:
        raise problem


def _explained(address: Address, error: psycopg.Error) -> QuantdeskError:
    place = f"{address.database} on {address.host}:{address.port}"
    said = address.without((error.diag.message_primary or str(error).strip().partition("\n")[0])[:300])
    if isinstance(error, pg.QueryCanceled):
        return EnvironmentProblem(
            f"The database {place} gave up on a question ({said}).",
            f"Ask for less, or raise statement_timeout for {address.user}.",
        )
    if isinstance(error, pg.InsufficientPrivilege):
        return EnvironmentProblem(
            f"{address.user} may not do this in the database {place} ({said}).",
            "Have the rights granted: see the guide on sharing a store on PostgreSQL.",
        )
    if isinstance(error, pg.UndefinedTable | pg.InvalidSchemaName | pg.UndefinedColumn):
        return DataError(
            f"There are no features in the database {place} ({said}).", "Run `quantdesk features build` with its url."
        )
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return EnvironmentProblem(f"The database {place} is read-only ({said}).", "Write to the primary server.")
    if isinstance(error, pg.LockNotAvailable):
        return EnvironmentProblem(f"The database {place} is being changed by somebody else.", "Try again later.")
    if isinstance(error, pg.DiskFull):
        return EnvironmentProblem(f"The disk of the database {place} is full ({said}).", "Make room on its server.")
    if error.sqlstate is None or isinstance(error, psycopg.OperationalError):
        return EnvironmentProblem(f"The connection to {place} was lost ({said}).", "Check the server, and ask again.")
    return EnvironmentProblem(f"The database {place} refused ({error.sqlstate}: {said}).", "Check the server's log.")
