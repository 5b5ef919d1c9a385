"""Where Feast finds its registry: a file of this installation, or a team's database. An edge module.

A ``feature_store.yaml`` is a fixed file that everybody may read. Two SQLAlchemy dialects keep what belongs to the
installation out of it:

``sqlite+quantdesk:///registry.db``
    SQLite addresses in a fixed file are relative to wherever the process happens to run. Here the file lies in the
    feature store's folder of the state directory. Where the caller may not write, it is opened read-only.
``postgresql+quantdesk://``
    The database that ``QUANTDESK_FEATURES_URL`` names, or that the process was given. The address carries no password,
    so Feast, which prints its configuration, cannot show one. The tables are in the schema ``quantdesk_registry``.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL, make_url

from quantdesk.errors import BadInput
from quantdesk.features.config import FeatureConfig

if TYPE_CHECKING:
    from quantdesk.features.postgres.address import Address

__all__ = ["REGISTRY", "SCHEMA", "StateSqlite", "TeamPostgres", "address", "sqlite_uri", "team_address"]

REGISTRY = "registry.db"
SCHEMA = "quantdesk_registry"
_GIVEN: dict[str, Address] = {}
"""The addresses that this process was given, by what they look like without their passwords."""


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file: for reading alone where the caller may not write to it."""
    writable = os.access(path if path.exists() else path.parent, os.W_OK)
    return f"file:{quote(str(path))}?mode={'rwc' if writable else 'ro'}"


def address(path: Path) -> str:
    """A SQLAlchemy URL for a SQLite file at an absolute path."""
    return f"sqlite:///{sqlite_uri(path)}&uri=true"


def team_address(given: Address) -> str:
    """A SQLAlchemy URL for a team's registry, without the password, which this process remembers."""
    shown = str(given)
    _GIVEN[shown] = given
    return shown.replace("postgresql://", "postgresql+quantdesk://", 1)


class StateSqlite(SQLiteDialect_pysqlite):
    """SQLite in the state directory."""

    driver = "quantdesk"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """The standard library's SQLite."""
        return sqlite3

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """The file is named by the URL and lies in the store's folder."""
        root = FeatureConfig.from_env().root
        root.mkdir(parents=True, exist_ok=True)
        return [sqlite_uri(root / (url.database or REGISTRY))], {"uri": True, "check_same_thread": False}


class TeamPostgres(PGDialect_psycopg):
    """PostgreSQL, its password held elsewhere."""

    driver = "quantdesk"
    supports_statement_cache = True

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """What libpq needs; the tables are looked for in a schema of their own."""
        found = _given(url).parameters()
        return [], {**found, "options": f"-c search_path={SCHEMA}"}

    def connect(self, *cargs: Any, **cparams: Any) -> Any:
        """A connection; what goes wrong is said as for the rest of the store.

        Raises
        ------
        EnvironmentProblem
            The database cannot be reached; without the password.
        """
        from quantdesk.features.postgres.connection import unreachable

        problem = None
        try:
            return super().connect(*cargs, **cparams)
        except self.loaded_dbapi.Error as error:
            problem = unreachable(cparams, str(error))
        raise problem


def _given(url: URL) -> Address:
    from quantdesk.features.postgres.address import parse

    configured = FeatureConfig.from_env().url
    own = parse(configured) if configured is not None else None
    if not url.host:
        if own is None:
            raise BadInput(
                "The registry is to be in a team's database, and none is configured.",
                "Set QUANTDESK_FEATURES_URL to postgresql://user:password@host:5432/database.",
            )
        return own
    shown = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    known = {**_GIVEN, **({str(own): own} if own else {})}
    return known.get(shown) or parse(shown)


registry.register("sqlite.quantdesk", __name__, "StateSqlite")
registry.register("postgresql.quantdesk", __name__, "TeamPostgres")
