"""Databases of both kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql


@pytest.fixture(scope="session")
def team_database(request: Any) -> str:
    """One database on a real server. Making one for each test would take longer than the tests."""
    return str(request.getfixturevalue("postgres")())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: Any, tmp_path: Path) -> str:
    """The address of an empty database: a file, and one of a real server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.sqlite'}"
    address = str(request.getfixturevalue("team_database"))
    with psycopg.connect(address, autocommit=True) as connection:
        names = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        for (name,) in connection.execute(names).fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
        connection.execute("CREATE SCHEMA public")
    return address
