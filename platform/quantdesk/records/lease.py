"""Who may do something now: leases in a database. An edge module: it asks the database and reads a clock.

A lease has one holder until its time is over. Times are by the clock of the database (:meth:`.Database.now`), so that
the clocks of its users need not agree. A holder goes by its own steady clock, counted from before it asked: it gives up
before anyone else can take over.

A process can sleep through the end of its lease and wake up believing. So each taking of a lease has a **fencing
number**, larger than the one before, and a holder writes only in a transaction that began with :meth:`Leases.guard`: it
refuses whoever was succeeded, whatever any clock says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, insert, select, update

from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.records.database import Database

__all__ = ["Lease", "LeaseLost", "Leases", "create"]

_SECOND = 1_000_000_000
LEASES = Table(
    "leases",
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
)


class LeaseLost(EnvironmentProblem):
    """Somebody else holds the lease now, or it was given back."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A right that was given.

    Attributes
    ----------
    name
        To what.
    holder
        Whose.
    fence
        The fencing number: larger than that of every earlier holder.
    until
        When it ends by the clock of the database, in nanoseconds since 1970 (UTC).
    deadline
        When it ends by the holder's own steady clock (:func:`time.monotonic`, seconds), and never later.
    """

    name: str
    holder: str
    fence: int
    until: int
    deadline: float

    @property
    def is_over(self) -> bool:
        """Whether its time is over, by the holder's own clock."""
        return time.monotonic() >= self.deadline


def create(connection: Connection) -> None:
    """Make the table of leases. A migration calls it."""
    LEASES.create(connection, checkfirst=False)


class Leases:
    """The leases of a database.

    Parameters
    ----------
    database
        With the table of :func:`create`.
    now
        A clock instead of the database's, in nanoseconds: for tests.
    """

    def __init__(self, database: Database, now: Callable[[Connection], int] | None = None) -> None:
        self.database = database
        self._now = now or database.now

    def take(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take a lease; None where somebody else holds it.

        The same holder may take it again, with a new fencing number: it shuts itself out where it runs twice.

        Parameters
        ----------
        name
            Of what.
        holder
            Who: unique, for example host, process and start.
        seconds
            For how long.

        Raises
        ------
        BadInput
            The time is not above 0, or a name is empty.
        """
        if not (name and holder and 0 < seconds < 1e9):
            raise BadInput(
                f"A lease of {name!r} for {holder!r} over {seconds!r} s.", "Give two names, and a time above 0."
            )
        begun = time.monotonic()
        with self.database.writing() as connection:
            now = self._now(connection)
            found = connection.execute(select(LEASES).where(LEASES.c.name == name).with_for_update()).one_or_none()
            if found is not None and found.holder not in (holder, "") and found.until > now:
                return None
            fence, until = (found.fence if found is not None else 0) + 1, now + round(seconds * _SECOND)
            row = {"holder": holder, "until": until, "fence": fence}
            if found is None:
                connection.execute(insert(LEASES).values(name=name, **row))
            else:
                connection.execute(update(LEASES).where(LEASES.c.name == name).values(**row))
        return Lease(name, holder, fence, until, begun + seconds)

    def guard(self, connection: Connection, lease: Lease, seconds: float | None = None) -> Lease:
        """Begin a transaction of a holder: nobody can take over before its end.

        Parameters
        ----------
        connection
            Of the transaction.
        lease
            What the holder has.
        seconds
            Renew it for as long; it stays as it is when None.

        Raises
        ------
        LeaseLost
            Somebody else has taken it, or it was given back. One that is merely over, and that nobody wanted, is not
            lost.
        """
        begun = time.monotonic()
        same = (LEASES.c.name == lease.name) & (LEASES.c.fence == lease.fence) & (LEASES.c.holder == lease.holder)
        until = lease.until if seconds is None else self._now(connection) + round(seconds * _SECOND)
        # An update even where nothing changes: it keeps the row locked until the transaction ends.
        change = {"holder": lease.holder} if seconds is None else {"until": until}
        if connection.execute(update(LEASES).where(same).values(**change)).rowcount != 1:
            raise LeaseLost(
                f"{lease.holder} holds the lease {lease.name!r} no longer.", "Another process goes on; end this one."
            )
        deadline = lease.deadline if seconds is None else begun + seconds
        return Lease(lease.name, lease.holder, lease.fence, until, deadline)

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """The same lease for longer.

        Raises
        ------
        LeaseLost
            See :meth:`guard`.
        """
        with self.database.writing() as connection:
            return self.guard(connection, lease, seconds)

    def give_back(self, lease: Lease) -> None:
        """Let others have it at once. Nothing happens where it is lost already."""
        with self.database.writing() as connection:
            same = (LEASES.c.name == lease.name) & (LEASES.c.fence == lease.fence)
            # The row stays: the next fencing number must be larger.
            connection.execute(update(LEASES).where(same).values(holder="", until=0))
