"""The features as Feast objects, made from the definitions. It imports Feast: import it only where Feast is used.

``feature_repo/definitions.py`` and :class:`quantdesk.features.FeatureStore` both take them from here, so the stock
``feast`` command and the platform see the same repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.repo_config import RepoConfig
from feast.types import Float64, String

from quantdesk.features.build import CURRENT
from quantdesk.features.definitions import VIEWS, View
from quantdesk.features.online.reader import SESSION_CLOCK
from quantdesk.features.registry_url import address

__all__ = ["PROJECT", "objects", "repo_config"]

PROJECT = "quantdesk"


def objects(root: Path) -> list[Any]:
    """The entity, the feature views and one service with all of them.

    Parameters
    ----------
    root
        The feature store's folder: the sources point to the current build in it.
    """
    symbol = Entity(
        name="symbol",
        join_keys=["symbol"],
        value_type=ValueType.STRING,
        description="A series of the market store: the plain symbol, or SYMBOL@source for one that is not preferred.",
    )
    views = [_view(view, symbol, root) for view in VIEWS.values()]
    service = FeatureService(name="all_features", features=[*views], description="Every feature of the platform.")
    return [symbol, *views, service]


def _view(view: View, symbol: Entity, root: Path) -> FeatureView:
    fields = [
        Field(
            name=feature.name,
            dtype=Float64,
            description=feature.description,
            tags={
                "unit": feature.unit,
                "formula": feature.formula,
                "source": feature.source,
                "look_back": f"{feature.look_back} sessions",
                "inputs": ", ".join(feature.inputs),
            },
        )
        for feature in view.features
    ]
    key = [Field(name="symbol", dtype=String)] if view.entity else []
    return FeatureView(
        name=view.name,
        entities=[symbol] if view.entity else [],
        ttl=view.ttl,
        schema=[*key, *fields],
        source=FileSource(
            name=f"{view.name}_rows",
            path=str(root / CURRENT / view.name),
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
            description=f"Known at: {view.knowledge}.",
        ),
        description=view.description,
        tags={"knowledge": view.knowledge, SESSION_CLOCK[0]: SESSION_CLOCK[1]},
        online=True,
    )


def repo_config(registry: Path, online: Path, url: str | None = None) -> RepoConfig:
    """The configuration of the embedded store.

    Parameters
    ----------
    registry, online
        The two SQLite files, as absolute paths.
    url
        Where the online store is when it is not that file.
    """
    place = {"path": str(online)} if url is None else {"url": url}
    return RepoConfig(
        project=PROJECT,
        provider="local",
        # A dict on purpose: Feast does not build an SQL registry from a RegistryConfig object.
        registry={
            "registry_type": "sql",
            "path": address(registry),
            "cache_ttl_seconds": 60,
            "serve_features_while_materializing": True,
        },
        offline_store={"type": "quantdesk.features.offline.QuantdeskOfflineStore"},
        online_store={"type": "quantdesk.features.online.QuantdeskOnlineStore", **place},
        batch_engine={"type": "quantdesk.features.online.engine.QuantdeskEngine"},
        entity_key_serialization_version=3,
        materialization={"pull_latest_features": True},
    )
