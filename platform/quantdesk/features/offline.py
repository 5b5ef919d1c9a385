"""The offline store behind Feast's own interface, with the exact point-in-time join. An edge module; it imports Feast.

``offline_store: {type: quantdesk.features.offline.QuantdeskOfflineStore}`` in a ``feature_store.yaml`` selects it for
any Feast repository whose sources are Parquet files. It differs from the stores that ship with Feast in what it gives:

- a row sees only what was known at its time (``created <= time``), always; ``filter_by_created_timestamp`` is implied;
- a superseded revision never answers;
- every entity row comes back, in order, duplicates included;
- ``start_date`` and ``end_date`` without entity rows give one row per key and event, at the time it was first known;
- ``as_of`` in the configuration cuts off knowledge at a date, whatever the rows' times.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from pydantic import StrictStr

from quantdesk.errors import BadInput
from quantdesk.features import registry_url  # noqa: F401 - its import teaches SQLAlchemy where the registry is
from quantdesk.features.asof import History, Integers, as_of_join
from quantdesk.features.keys import codes
from quantdesk.features.request import as_of_moment
from quantdesk.features.retrieval import Source, join, nanoseconds, read
from quantdesk.records import atomic_write

__all__ = ["QuantdeskOfflineStore", "QuantdeskOfflineStoreConfig", "QuantdeskRetrievalJob"]


class QuantdeskOfflineStoreConfig(FeastConfigBaseModel):
    """What ``feature_store.yaml`` says about the store.

    Attributes
    ----------
    type
        The class of the store.
    as_of
        An ISO date, or a datetime with a zone: feature rows created later do not exist. None for no cut-off.
    """

    type: StrictStr = "quantdesk.features.offline.QuantdeskOfflineStore"
    as_of: StrictStr | None = None


class QuantdeskRetrievalJob(RetrievalJob):
    """A question that is answered when its table is asked for."""

    def __init__(
        self,
        answer: Callable[[], pa.Table],
        metadata: RetrievalMetadata | None = None,
        on_demand: tuple[OnDemandFeatureView, ...] = (),
        *,
        full_feature_names: bool = False,
    ) -> None:
        self._answer = answer
        self._metadata = metadata
        self._on_demand = list(on_demand)
        self._full_feature_names = full_feature_names

    @property
    def full_feature_names(self) -> bool:
        """Whether features are named ``view__feature``."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The views that Feast computes from the answer."""
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked."""
        return self._metadata

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - part of the interface
        return self._answer()

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Write the answer as one Parquet file, whole or not at all."""
        if not isinstance(storage, SavedDatasetFileStorage):
            raise BadInput(f"A {type(storage).__name__} cannot be written to.", "Give a SavedDatasetFileStorage.")
        target = Path(storage.file_options.uri)
        if target.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(target))
        with atomic_write(target) as temporary:
            pq.write_table(self.to_arrow(timeout=timeout), temporary)


class QuantdeskOfflineStore(OfflineStore):
    """Parquet files, read with pruning and joined in numpy."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,  # noqa: ARG004 - always on
        **bounds: datetime | None,
    ) -> RetrievalJob:
        """See :meth:`feast.infra.offline_stores.offline_store.OfflineStore.get_historical_features`."""
        if isinstance(entity_df, str):
            raise BadInput("entity_df is a query.", "This store reads files: give a DataFrame, or start and end dates.")
        views = [_view(config, view, feature_refs, full_feature_names) for view in feature_views]
        if entity_df is None:
            rows, stamp = _rows_of_range(views, bounds.get("start_date"), bounds.get("end_date")), "event_timestamp"
        else:
            rows = entity_df
            stamp = infer_event_timestamp_from_entity_df(dict(zip(rows.columns, rows.dtypes, strict=True)))
        time = _utc(rows[stamp], stamp)
        known_by = as_of_moment(config.offline_store.as_of, datetime.now(UTC))

        def answer() -> pa.Table:
            table = pa.Table.from_pandas(
                rows.assign(**{stamp: pd.DatetimeIndex(time.view("datetime64[ns]")).tz_localize("UTC")}),
                preserve_index=False,
            )
            limit = None if known_by is None else known_by.as_unit("ns").value
            for source, keys, columns in views:
                asked = [_key(rows, name) for name in keys.values()]
                given = join(source, list(columns.values()), asked, time, known_by=limit)
                for shown, stored in columns.items():
                    table = table.append_column(shown, given.column(stored))
            return table

        metadata = RetrievalMetadata(
            features=feature_refs,
            keys=[name for name in rows.columns if name != stamp],
            min_event_timestamp=rows[stamp].min() if len(rows) else None,
            max_event_timestamp=rows[stamp].max() if len(rows) else None,
        )
        on_demand = tuple(OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry))
        return QuantdeskRetrievalJob(answer, metadata, on_demand, full_feature_names=full_feature_names)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The latest row of each key that had happened and was known at `end_date`, from `start_date` on."""
        source = Source(
            _path(config, data_source), tuple(join_key_columns), timestamp_field, created_timestamp_column or None
        )

        def answer() -> pa.Table:
            table = _columns(source, feature_name_columns)
            event = nanoseconds(table.column(source.event))
            created = nanoseconds(table.column(source.created)) if source.created else event
            key = _own_codes(table, source.keys)
            everyone = np.unique(key)
            last = np.full(len(everyone), _moment(end_date))
            position = as_of_join(History(key, event, created), everyone, last).position
            position = position[(position >= 0) & (event[position] >= _moment(start_date))]
            return _with_dummy(table.take(pa.array(position)), source.keys)

        return QuantdeskRetrievalJob(answer)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Every row, revisions included, whose event lies in the range (both ends included)."""
        source = Source(
            _path(config, data_source), tuple(join_key_columns), timestamp_field, created_timestamp_column or None
        )

        def answer() -> pa.Table:
            table = _columns(source, feature_name_columns)
            event = nanoseconds(table.column(source.event))
            inside = np.ones(len(event), dtype=bool)
            if start_date is not None:
                inside &= event >= _moment(start_date)
            if end_date is not None:
                inside &= event <= _moment(end_date)
            return _with_dummy(table.filter(pa.array(inside)), source.keys)

        return QuantdeskRetrievalJob(answer)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Append rows; nothing that is there is changed, so a restatement becomes a second revision."""
        target = _path(config, feature_view.batch_source)
        if target.is_file():
            there = pq.read_schema(target)
            if there.names != table.schema.names:
                raise BadInput(f"The rows have the columns {table.schema.names}.", f"The file has {there.names}.")
            rows = pa.concat_tables([pq.read_table(target), table.cast(there)])
        elif target.suffix == ".parquet":
            rows = table
        else:
            target, rows = target / f"part-{uuid.uuid4().hex}.parquet", table
        with atomic_write(target) as temporary:
            pq.write_table(rows, temporary)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,  # noqa: ARG004 - part of the interface
        data: pa.Table | Path,
        source: LoggingSource,  # noqa: ARG004
        logging_config: LoggingConfig,
        registry: BaseRegistry,  # noqa: ARG004
    ) -> None:
        """Append logged features to a directory of Parquet files."""
        destination = logging_config.destination
        if not isinstance(destination, FileLoggingDestination):
            raise BadInput(f"A {type(destination).__name__} cannot be written to.", "Give a FileLoggingDestination.")
        table = data if isinstance(data, pa.Table) else pq.read_table(data)
        pq.write_to_dataset(table, destination.path, partition_cols=destination.partition_by)


_View = tuple[Source, Mapping[str, str], Mapping[str, str]]
"""A source, its key columns by the rows' column that holds them, and its feature columns by the name they get."""


def _view(config: RepoConfig, view: FeatureView, refs: list[str], full_feature_names: bool) -> _View:
    rows = _file_source(view.batch_source)
    stored_as = {shown: stored for stored, shown in rows.field_mapping.items()}
    renamed = view.projection.join_key_map
    own = [field.name for field in view.entity_columns if field.name != DUMMY_ENTITY_ID]
    keys = {stored_as.get(name, name): renamed.get(name, name) for name in own}
    prefix = f"{view.projection.name_to_use()}:"  # type: ignore[no-untyped-call]
    base = view.projection.name_alias or view.name
    wanted = [ref.removeprefix(prefix) for ref in refs if ref.startswith(prefix)]
    columns = {f"{base}__{name}" if full_feature_names else name: stored_as.get(name, name) for name in wanted}
    source = Source(
        _path(config, rows),
        tuple(keys),
        rows.timestamp_field,
        rows.created_timestamp_column or None,
        view.ttl or None,
    )
    return source, keys, columns


def _rows_of_range(views: list[_View], start: datetime | None, end: datetime | None) -> pd.DataFrame:
    """One row per key and event of any view with keys, at the time at which the event was first known."""
    keyed = [view for view in views if view[0].keys] or views[:1]
    names = {tuple(keys.values()) for _, keys, _ in keyed}
    if len(names) > 1:
        raise BadInput(f"The views have different keys: {sorted(names)}.", "Ask with entity rows, or view by view.")
    pieces = []
    for source, keys, _ in keyed:
        table = _columns(source, [])
        event = nanoseconds(table.column(source.event))
        created = nanoseconds(table.column(source.created)) if source.created else event
        piece = pd.DataFrame({asked: table.column(own).to_pandas().astype(object) for own, asked in keys.items()})
        piece["event"], piece["event_timestamp"] = event, np.maximum(event, created)
        inside = np.ones(len(event), dtype=bool)
        if start is not None:
            inside &= event >= _moment(start)
        if end is not None:
            inside &= event <= _moment(end)
        pieces.append(piece[inside])
    by = [*keyed[0][1].values(), "event"]
    first: pd.DataFrame = pd.concat(pieces).groupby(by, sort=False)[["event_timestamp"]].min().reset_index()
    first["event_timestamp"] = pd.to_datetime(first["event_timestamp"], utc=True)
    return first.drop(columns="event").sort_values("event_timestamp", kind="stable", ignore_index=True)


def _file_source(data_source: DataSource | None) -> FileSource:
    if not isinstance(data_source, FileSource):
        raise BadInput(f"The source is a {type(data_source).__name__}.", "This store reads a FileSource.")
    return data_source


def _path(config: RepoConfig, data_source: DataSource | None) -> Path:
    data_source = _file_source(data_source)
    path = Path(FileSource.get_uri_for_file_path(config.repo_path, data_source.path))
    # Resolved once, so that one answer never mixes two builds.
    return path.resolve()


def _columns(source: Source, features: list[str]) -> pa.Table:
    times = [source.event, *([source.created] if source.created else [])]
    return read(source, list(dict.fromkeys([*source.keys, *features, *times])))


def _own_codes(table: pa.Table, keys: tuple[str, ...]) -> Integers:
    if not keys:
        return np.zeros(table.num_rows, dtype=np.int64)
    columns = [table.column(name).to_pandas() for name in keys]
    return codes(columns, columns)[0]


def _with_dummy(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    """Feast stores a view without keys under a key of its own. One chunk: Feast materialises the first one only."""
    if not keys:
        table = table.append_column(DUMMY_ENTITY_ID, pa.array([DUMMY_ENTITY_VAL] * table.num_rows, pa.string()))
    plain = pa.schema(
        [
            pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
            for field in table.schema
        ]
    )
    return table.cast(plain).combine_chunks()


def _key(rows: pd.DataFrame, name: str) -> Any:
    if name not in rows.columns:
        raise BadInput(f"entity_df has no column {name!r}; it has {list(rows.columns)[:8]}.", "Add it to every row.")
    return rows[name].to_numpy()


def _utc(column: pd.Series, name: str) -> Integers:
    """Times in nanoseconds. Feast's rule: a time without a zone is in UTC."""
    try:
        times = pd.to_datetime(column, utc=True)
    except (ValueError, TypeError) as error:
        raise BadInput(f"The column {name!r} of entity_df does not hold times ({error}).", "Give datetimes.") from error
    if times.isna().any():
        raise BadInput(f"The column {name!r} of entity_df has an empty row.", "Give every row a time.")
    return np.asarray(times.dt.as_unit("ns").astype(np.int64).to_numpy())


def _moment(when: datetime) -> int:
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return int(pd.Timestamp(aware).as_unit("ns").value)
