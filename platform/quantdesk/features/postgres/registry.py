"""The team's registry: Feast's SQL registry in the same database. An edge module; Feast is imported on first use.

Many may read while one applies: Feast's SQL registry keeps each object in a row of its own. A stamp in the database
says which definitions it holds; while they are unchanged, there is nothing to do.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from psycopg import sql

from quantdesk.errors import EnvironmentProblem
from quantdesk.features import publish
from quantdesk.features.online.address import OnlineConfig
from quantdesk.features.postgres.address import Address
from quantdesk.features.postgres.connection import connect, explain

__all__ = ["apply", "open_feast"]

_LOCK = 7_185_934_013


def open_feast(address: Address, root: Path) -> Any:
    """Feast's own store: the registry in the database, the online store as it is configured.

    Parameters
    ----------
    address
        The database.
    root
        The feature store's folder on this machine.
    """
    from feast import FeatureStore

    from quantdesk.features.registry_url import team_address
    from quantdesk.features.repository import repo_config

    url = OnlineConfig.from_env().url
    config = repo_config(root / publish.REGISTRY, root / publish.ONLINE, url.get_secret_value() if url else None)
    registry = {
        "registry_type": "sql",
        "path": team_address(address),
        "cache_ttl_seconds": 60,
        "serve_features_while_materializing": True,
    }
    return FeatureStore(config=config.model_copy(update={"registry_config": registry}))


def apply(address: Address, root: Path, repo: Path | None = None) -> bool:
    """Write the definitions into the team's registry; False where they are there already.

    Parameters
    ----------
    address
        The database; its user must own the schema ``quantdesk_registry`` or be allowed to create it.
    root
        The feature store's folder.
    repo
        A folder with Feast definitions of one's own, or None.

    Raises
    ------
    EnvironmentProblem
        The database cannot be reached or written to, or another process applies now.
    """
    from quantdesk.features.registry_url import SCHEMA

    stamp = publish.definitions(root, repo)
    connection = connect(address)
    try:
        with explain(address):
            if connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
                raise EnvironmentProblem(f"Another process applies to {address}.", "Wait until it has ended.")
            schema = sql.Identifier(SCHEMA)
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
            connection.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {}.quantdesk_stamp (definitions text NOT NULL)").format(schema)
            )
            held = connection.execute(sql.SQL("SELECT definitions FROM {}.quantdesk_stamp").format(schema)).fetchall()
            if held == [(stamp,)]:
                return False
            builtin, own, _ = publish.objects_of(root, repo)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                store = open_feast(address, root)
                try:
                    store.apply([*builtin, *own])
                finally:
                    publish.release(store)
            with connection.transaction():
                connection.execute(sql.SQL("DELETE FROM {}.quantdesk_stamp").format(schema))
                connection.execute(sql.SQL("INSERT INTO {}.quantdesk_stamp VALUES (%s)").format(schema), (stamp,))
        return True
    finally:
        connection.close()
