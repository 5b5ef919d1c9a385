"""The online store as Feast sees it. An edge module; it imports Feast.

Feast hands over rows as messages with one value per feature. They are packed into one row per key, which is replaced
as a whole: a feature that a later row lacks is null, as it is in a historical answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from feast import Entity
from feast.feature_view import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import SecretStr, StrictStr

from quantdesk.errors import BadInput
from quantdesk.features.config import FeatureConfig
from quantdesk.features.online.address import ONLINE, OnlineConfig, connect
from quantdesk.features.online.backend import Backend
from quantdesk.features.online.reader import SESSION_CLOCK
from quantdesk.features.online.rows import TAG, Found, Rows, Schema, pack, unpack
from quantdesk.features.own_repository import noticed

__all__ = ["QuantdeskOnlineStore", "QuantdeskOnlineStoreConfig", "schema_of"]

_Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
_Given = tuple[datetime | None, dict[str, Value] | None]
_PLAIN = (
    "double_val",
    "float_val",
    "int64_val",
    "int32_val",
    "bool_val",
    "unix_timestamp_val",
    "string_val",
    "bytes_val",
)


class QuantdeskOnlineStoreConfig(FeastConfigBaseModel):
    """What ``feature_store.yaml`` says about the store; nothing has to be said.

    Attributes
    ----------
    type
        The class of the store.
    url
        ``redis://``, ``rediss://`` or ``postgresql://``. ``QUANTDESK_ONLINE_URL`` when both this and `path` are left
        out.
    path
        The SQLite file where there is no URL; ``online.db`` in the feature store's folder when left out.
    """

    type: StrictStr = "quantdesk.features.online.QuantdeskOnlineStore"
    url: SecretStr | None = None
    path: StrictStr | None = None

    def backend(self, repository: Path | None) -> Backend:
        """The store that is meant; a relative path counts from the repository."""
        default = FeatureConfig.from_env().root / ONLINE
        if self.url is not None:
            return connect(self.url.get_secret_value(), default)
        if self.path is not None:
            return connect(None, Path(repository or ".") / self.path)
        named = OnlineConfig.from_env().url
        return connect(named.get_secret_value() if named is not None else None, default)


class QuantdeskOnlineStore(OnlineStore):
    """One row per key and view, which never goes back in time, in SQLite, Redis or PostgreSQL.

    A row that is older than the view's time to live answers nothing. The views of the platform, whose bundled history
    ended years ago, are exempt while ``QUANTDESK_ONLINE_CLOCK`` is ``session``: they carry a tag that says so.
    """

    def __init__(self) -> None:
        self._versioned_read_supported = True
        self._backend: Backend | None = None

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        """Reads and writes, in a thread."""
        return SupportedAsyncMethods(read=True, write=True)

    def close_connection(self) -> None:
        """Let go of the file or the server."""
        if self._backend is not None:
            self._backend.close()

    async def close(self) -> None:
        """As :meth:`close_connection`."""
        self.close_connection()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[_Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write the rows that are not older than what is there for their key."""
        schema = schema_of(table)
        rows = Rows(
            [_key(config, row[0]) for row in data],
            np.array([_nanoseconds(row[2]) for row in data], dtype=np.int64),
            np.array([_nanoseconds(row[3] or row[2]) for row in data], dtype=np.int64),
            [_pack(schema, row[1], table.name) for row in data],
        )
        self.write_rows(config, table, rows, as_of=time.time_ns())
        if progress:
            progress(len(data))

    def write_rows(self, config: RepoConfig, table: FeatureView, rows: Rows, *, as_of: int) -> None:
        """As :meth:`online_write_batch`, for rows that are packed already."""
        with self._store(config).session() as writer:
            writer.put(_name(config, table), schema_of(table), rows, as_of=as_of)

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[_Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """As :meth:`online_write_batch`, in a thread."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[_Given]:
        """Per key the time of its row's event and its values; None twice where there is none, or too old a one."""
        name = _name(config, table)
        keys = [_key(config, key) for key in entity_keys]
        answer = self._store(config).read([(name, keys)])
        ttl = _ttl(table)
        oldest = None if ttl is None else time.time_ns() - ttl
        wanted = None if requested_features is None else set(requested_features)
        return [
            (None, None)
            if row is None or (oldest is not None and row[0] < oldest)
            else (_moment(row), _values(answer.schemas[row[2][:TAG]], row[2], wanted))
            for row in answer.rows[0]
        ]

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[_Given]:
        """As :meth:`online_read`, in a thread."""
        return await asyncio.to_thread(self.online_read, config, table, entity_keys, requested_features)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],  # noqa: ARG002 - part of the interface; a view needs no table
        entities_to_delete: Sequence[Entity],  # noqa: ARG002
        entities_to_keep: Sequence[Entity],  # noqa: ARG002
        partial: bool,  # noqa: ARG002
    ) -> None:
        """Remove the rows of views that were deleted, and remember what the user's own views declare."""
        self._drop(config, tables_to_delete)
        noticed(config)

    def teardown(
        self,
        config: RepoConfig,
        tables: Sequence[FeatureView],
        entities: Sequence[Entity],  # noqa: ARG002 - part of the interface
    ) -> None:
        """Remove the rows of these views; a store that others use, too, stays."""
        self._drop(config, tables)

    def _drop(self, config: RepoConfig, tables: Sequence[FeatureView]) -> None:
        if tables:
            with self._store(config).session() as writer:
                for table in tables:
                    writer.drop(_name(config, table))

    def _store(self, config: RepoConfig) -> Backend:
        if self._backend is None:
            self._backend = config.online_store.backend(config.repo_path)
        return self._backend


def _name(config: RepoConfig, table: FeatureView) -> str:
    return str(compute_table_id(config.project, table, config.registry.enable_online_feature_view_versioning))


def _key(config: RepoConfig, key: EntityKey) -> bytes:
    return serialize_entity_key(key, entity_key_serialization_version=config.entity_key_serialization_version)


def _ttl(table: FeatureView) -> int | None:
    ttl: timedelta | None = getattr(table, "ttl", None)
    by_session = (getattr(table, "tags", None) or {}).get(SESSION_CLOCK[0]) == SESSION_CLOCK[1]
    if not ttl or (by_session and OnlineConfig.from_env().clock == "session"):
        return None
    return ttl // timedelta(microseconds=1) * 1000


def schema_of(table: FeatureView) -> Schema:
    """The columns of a view. Each type has a field of its own name in Feast's ``Value`` message."""
    return Schema(tuple((field.name, f"{field.dtype.to_value_type().name.lower()}_val") for field in table.features))


def _pack(schema: Schema, values: Mapping[str, Value], view: str) -> bytes:
    given: list[Any] = []
    for name, kind in schema.columns:
        value = values.get(name)
        held = None if value is None else value.WhichOneof("val")
        if value is None or held is None:
            given.append(None)
        elif kind not in _PLAIN:
            given.append(value.SerializeToString())
        elif held != kind:
            raise BadInput(
                f"The feature {view}:{name} is declared as {kind.removesuffix('_val')} and is given a "
                f"{held.removesuffix('_val')}.",
                "Give values of the declared type.",
            )
        else:
            given.append(getattr(value, kind))
    return pack(schema, given)


def _values(schema: Schema, row: bytes, wanted: set[str] | None) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for (name, kind), value in zip(schema.columns, unpack(schema, row), strict=True):
        if wanted is None or name in wanted:
            if value is None:
                found[name] = Value()
            elif kind in _PLAIN:
                found[name] = Value(**{kind: value})
            else:
                found[name] = Value.FromString(value)
    return found


def _nanoseconds(when: datetime) -> int:
    """Feast's rule: a time without a zone is in UTC."""
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    whole = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    return whole + int(getattr(when, "nanosecond", 0))


def _moment(row: Found) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row[0] // 1000)
