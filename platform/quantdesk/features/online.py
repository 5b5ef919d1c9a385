"""The online store: Feast's on SQLite, in the state directory, which never goes back in time. An edge module."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from feast.feature_view import FeatureView
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.repo_config import RepoConfig
from pydantic import Field

from quantdesk.features.config import FeatureConfig
from quantdesk.features.registry_url import sqlite_uri

__all__ = ["ONLINE", "QuantdeskOnlineStore", "QuantdeskOnlineStoreConfig"]

ONLINE = "online.db"

_Row = tuple[Any, dict[str, Any], datetime, datetime | None]


class QuantdeskOnlineStoreConfig(SqliteOnlineStoreConfig):
    """What ``feature_store.yaml`` says about the store; nothing has to be said.

    Attributes
    ----------
    path
        The SQLite file; ``online.db`` in the feature store's folder when left out.
    """

    # Feast's own class allows two names only, and picks the class of a store by this one.
    type: Literal["quantdesk.features.online.QuantdeskOnlineStore"] = "quantdesk.features.online.QuantdeskOnlineStore"  # type: ignore[assignment]
    path: str = Field(default_factory=lambda: str(FeatureConfig.from_env().root / ONLINE))


class QuantdeskOnlineStore(SqliteOnlineStore):
    """SQLite with two rules added: who may only read opens it read-only, and an older row never replaces a newer."""

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        return str(Path(config.repo_path or ".") / config.online_store.path)

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        if not self._conn:
            path = Path(self._get_db_path(config))
            self._conn = sqlite3.connect(
                sqlite_uri(path),
                uri=True,
                detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES,
                check_same_thread=False,
            )
        return self._conn

    def close_connection(self) -> None:
        """Let go of the file."""
        if self._conn:
            self._conn.close()
            self._conn = None

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[_Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write the rows that are not older than what is there for their key."""
        there = self.online_read(config, table, [row[0] for row in data])
        fresh = [
            row for row, (stored, _) in zip(data, there, strict=True) if stored is None or _aware(row[2]) >= stored
        ]
        super().online_write_batch(config, table, fresh, progress)


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
