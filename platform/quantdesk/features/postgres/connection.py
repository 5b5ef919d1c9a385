"""Connections to the server, and one clear error for whatever goes wrong there. An edge module: the network.

Connections are kept open and used again, by one question at a time. They belong to the process that opened them: a
process that forks leaves them to its parent. No error carries a password, nor the libpq error that might.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import errors as pg

from quantdesk.errors import DataError, EnvironmentProblem, QuantdeskError
from quantdesk.features.postgres.address import Address
from quantdesk.features.postgres.binary import DUMPERS
from quantdesk.records.refusals import refused, told, unreachable

__all__ = ["Connections", "connect", "explain", "unreachable"]

Connection = psycopg.Connection[tuple[Any, ...]]

_KEPT = 4
_SETTINGS = "SET LOCAL jit = off; SET LOCAL enable_memoize = off; SET LOCAL max_parallel_workers_per_gather = 0"
"""A join answers each row by one look into an index: there is nothing to compile, to remember or to share out."""


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
    """What only a feature store can say of an error; the rest is that of any database."""
    place, said = told(address, error)
    if isinstance(error, pg.InsufficientPrivilege):
        return EnvironmentProblem(
            f"{address.user} may not do this in the database {place} ({said}).",
            "Have the rights granted: see the guide on sharing a store on PostgreSQL.",
        )
    if isinstance(error, pg.UndefinedTable | pg.InvalidSchemaName | pg.UndefinedColumn):
        return DataError(
            f"There are no features in the database {place} ({said}).", "Run `quantdesk features build` with its url."
        )
    return refused(address, error)
