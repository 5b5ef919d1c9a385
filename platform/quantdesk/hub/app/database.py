"""The service's own database: SQLite or PostgreSQL, its tables brought up when it is opened. An edge module: SQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text

from quantdesk.hub.app.config import ServiceConfig
from quantdesk.records import Database
from quantdesk.records.migrations import brought_up

__all__ = ["JOBS", "REPLAYS", "SECOND", "opened"]

SECOND = 1_000_000_000
"""Nanoseconds."""
_META = MetaData()
REPLAYS = Table(
    "replays",
    _META,
    Column("user_name", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("asked", Text),
    Column("first", BigInteger),
    Column("begun", BigInteger),
    Column("turn", Text),
    Column("status", Integer),
    Column("headers", Text),
    Column("body", Text),
)
JOBS = Table(
    "jobs",
    _META,
    Column("id", Text, primary_key=True),
    Column("user_name", Text),
    Column("asked", Text),
    Column("subject", Text),
    Column("state", Text),
    Column("created", BigInteger),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("holder", Text),
    Column("until", BigInteger),
    Column("tries", Integer),
    Column("is_cancelling", Boolean),
    Column("result", Text),
    Column("problem", Text),
)


def opened(config: ServiceConfig) -> Database:
    """The database of the settings, with today's tables.

    Raises
    ------
    EnvironmentProblem, DataError
        It cannot be reached or written, or a newer version has written it.
    """
    return brought_up(Database(config.database_url, schema="quantdesk_service"), "quantdesk.hub.app.versions")


def main() -> None:
    """``python -m quantdesk.hub.app.database``: bring the tables up, before processes of a new version start."""
    with opened(ServiceConfig.from_env()) as database:
        print(f"{database} has its tables.")  # noqa: T201  (for who reads the log of an upgrade)


if __name__ == "__main__":
    main()
