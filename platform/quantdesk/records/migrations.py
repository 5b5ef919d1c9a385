"""The tables of a version: up, down, and no further than what is known. An edge module: SQL, by Alembic.

The revisions are modules in a package, so that they are there in a wheel as in a checkout. A change, of however many
steps, is one transaction in which nobody else writes: two processes that start at once migrate once, and one that dies
in the middle leaves the database as it was.

A release can be rolled back, and two versions can run side by side, where the newer one only *adds* to the tables.
Its revision says so in its name: ``0004~0003`` is the fourth, and code that knows no more than ``0003`` still works
with its tables, and leaves them as they are. A revision that takes away what older code reads or writes has no such
part, and comes a release later than the code that no longer needs it; older code refuses its tables. The name is all
that a database keeps, so the older code needs nothing else to know it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.records.database import Database

__all__ = ["BASE", "Migrations", "brought_up"]

BASE = "base"
"""Before the first revision: no tables."""
SERVES = "~"
"""Between a revision and the oldest one whose code still works with its tables."""


def brought_up(database: Database, package: str) -> Database:
    """A database, once it has the tables of the newest revision; it is closed where it cannot have them.

    Parameters
    ----------
    database, package
        See :class:`Migrations`.

    Raises
    ------
    EnvironmentProblem
        It cannot be reached or written.
    DataError
        It is damaged, or a newer version of quantdesk wrote it.
    """
    try:
        Migrations(database, package).up()
    except BaseException:
        database.close()
        raise
    return database


class Migrations:
    """The revisions of a database's tables.

    Parameters
    ----------
    database
        Whose.
    package
        The package that holds the revisions, one module each, as Alembic knows them.
    """

    def __init__(self, database: Database, package: str) -> None:
        self.database = database
        self.package = package
        # Alembic wants a folder for what it runs by itself; here only its revisions count.
        folder = Path(str(importlib.import_module(package).__file__)).parent
        self._script = ScriptDirectory(folder, version_locations=[folder])

    @property
    def head(self) -> str:
        """The newest revision that this version of quantdesk knows."""
        return str(self._script.get_current_head())

    @property
    def revisions(self) -> tuple[str, ...]:
        """All of them, the oldest first."""
        return tuple(one.revision for one in reversed(list(self._script.walk_revisions())))

    def current(self) -> str:
        """The revision that the database has; :data:`BASE` where it has none.

        Raises
        ------
        DataError
            This version of quantdesk does not know it, and it does not say that this one may use its tables.
        """
        with self.database.reading() as connection:
            return self._current(connection)

    def up(self, to: str = "head") -> str:
        """Bring the tables up to a revision; nothing happens where they are there or beyond. Gives the one they have.

        Raises
        ------
        UnknownName
            There is no such revision.
        DataError
            The database has a revision that this version of quantdesk does not know: a newer one wrote it.
        """
        goal = self._known(to)
        if self._at_least(self.current(), goal):  # most often: then nobody waits for a writer
            return self.current()
        with self.database.writing() as connection:
            found = self._current(connection)  # another process may have been first
            if not self._at_least(found, goal):
                self._make_schema(connection)
                self._run(connection, lambda revision, _: self._script._upgrade_revs(goal, revision))
        return self.current()

    def down(self, to: str) -> str:
        """Take the tables back to a revision, or to :data:`BASE`; their data too, as far as its tables have room.

        Raises
        ------
        UnknownName, DataError
            See :meth:`up`. DataError also where a revision refuses, because data would be lost that nothing can bring
            back.
        BadInput
            The database has an older revision.
        """
        goal = self._known(to)
        with self.database.writing() as connection:
            found = self._current(connection)
            if found not in (BASE, *self.revisions):
                raise self._unknown(found)  # only who has made it can take it back
            if not self._at_least(found, goal):
                raise BadInput(f"{self.database} has revision {found}, and cannot go down to {goal}.", "Go up instead.")
            if found != goal:
                self._run(connection, lambda revision, _: self._script._downgrade_revs(goal, revision))
        return self.current()

    def _known(self, revision: str) -> str:
        if revision == "head":
            return self.head
        if revision != BASE and revision not in self.revisions:
            raise UnknownName("revision", revision, [*self.revisions, BASE])
        return revision

    def _at_least(self, found: str, goal: str) -> bool:
        order = (BASE, *self.revisions)
        return found not in order or order.index(found) >= order.index(goal)  # unknown: a newer one that serves ours

    def _current(self, connection: Connection) -> str:
        found = MigrationContext.configure(connection, opts=self._options()).get_current_heads()
        if not found:
            return BASE
        revision = ", ".join(found)
        serves = revision.partition(SERVES)[2]
        if len(found) > 1 or (revision not in self.revisions and serves not in self._numbers):
            raise self._unknown(revision)
        return revision

    @property
    def _numbers(self) -> set[str]:
        return {one.partition(SERVES)[0] for one in self.revisions}

    def _unknown(self, revision: str) -> DataError:
        return DataError(
            f"{self.database} has revision {revision}, which this version of quantdesk does not know.",
            f"It knows up to {self.head}. A newer version has written it: use that one.",
        )

    def _options(self) -> dict[str, Any]:
        return {} if self.database.is_sqlite else {"version_table_schema": self.database.schema}

    def _run(self, connection: Connection, steps: Callable[[Any, Any], Any]) -> None:
        with EnvironmentContext(Config(), self._script, fn=steps) as environment:
            # The transaction is ours, and Alembic leaves it so.
            environment.configure(connection=connection, **self._options())
            environment.run_migrations()

    def _make_schema(self, connection: Connection) -> None:
        if self.database.is_sqlite:
            return
        there = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
        # Asked before, because IF NOT EXISTS wants the right to create one even where it exists.
        if connection.scalar(there, {"name": self.database.schema}) is None:
            connection.exec_driver_sql(f'CREATE SCHEMA "{self.database.schema}"')
