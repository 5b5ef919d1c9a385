"""Where Feast finds the registry of this installation: ``sqlite+quantdesk:///registry.db``. An edge module.

A ``feature_store.yaml`` is a fixed file, and SQLite addresses in it are relative to wherever the process happens to
run. This SQLAlchemy dialect is SQLite with one rule added: the file lies in the feature store's folder of the state
directory. Where the caller may not write, the file is opened read-only.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL

from quantdesk.features.config import FeatureConfig

__all__ = ["REGISTRY", "StateSqlite", "address", "sqlite_uri"]

REGISTRY = "registry.db"


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file: for reading alone where the caller may not write to it."""
    writable = os.access(path if path.exists() else path.parent, os.W_OK)
    return f"file:{quote(str(path))}?mode={'rwc' if writable else 'ro'}"


def address(path: Path) -> str:
    """A SQLAlchemy URL for a SQLite file at an absolute path."""
    return f"sqlite:///{sqlite_uri(path)}&uri=true"


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


registry.register("sqlite.quantdesk", __name__, "StateSqlite")
