"""The offline store behind Feast's own interface, with the exact point-in-time join. An edge module; it imports Feast.

``offline_store: {type: quantdesk.features.offline.QuantdeskOfflineStore}`` in a ``feature_store.yaml`` selects it for
any Feast repository whose sources are Parquet files. It differs from the stores that ship with Feast in what it gives:

- a row sees only what was known at its time (``created <= time``), always; ``filter_by_created_timestamp`` is implied;
- a superseded revision never answers;
- every entity row comes back, in order, duplicates included;
- ``start_date`` and ``end_date`` without entity rows give one row per key and session, at the time it was first known;
- ``as_of`` in the configuration cuts off knowledge at a date, whatever the rows' times;
- the knowledge policy of a view or source (its tag ``knowledge_time``) says when its rows were known;
- a job carries ``.evidence``: how far its answer is proven.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import NonNegativeFloat, PositiveInt, StrictStr

from quantdesk.errors import BadInput
from quantdesk.features import registry_url  # noqa: F401 - its import teaches SQLAlchemy where the registry is
from quantdesk.features.asof import History, Integers, as_of_join
from quantdesk.features.jobs import QuantdeskRetrievalJob, TableJob
from quantdesk.features.keys import codes
from quantdesk.features.knowledge import known_times, parse
from quantdesk.features.parquet import Source, nanoseconds, read
from quantdesk.features.question import Asked, Question
from quantdesk.features.ranges import STAMP, Bounds, moment, rows_of_range
from quantdesk.features.request import as_of_moment
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
    calendar
        An exchange, such as ``XNYS``: a question by dates then has a row per key and session of it. None for the
        events of the data themselves.
    calendar_lag_minutes
        How long after a session's close such a row asks.
    threads
        Over how many threads reading and joining are split; None for the cores that this process may use.
    """

    type: StrictStr = "quantdesk.features.offline.QuantdeskOfflineStore"
    as_of: StrictStr | None = None
    calendar: StrictStr | None = None
    calendar_lag_minutes: NonNegativeFloat = 15.0
    threads: PositiveInt | None = None


class QuantdeskOfflineStore(OfflineStore):
    """Parquet files, read with pruning and joined in compiled sweeps."""

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
        threads = _threads(config)
        views = tuple(_view(config, view, feature_refs, full_feature_names) for view in feature_views)
        if entity_df is None:
            lag = timedelta(minutes=config.offline_store.calendar_lag_minutes)
            asked = Bounds(bounds.get("start_date"), bounds.get("end_date"), config.offline_store.calendar, lag)
            rows, stamp = rows_of_range(views, asked, threads), STAMP
        else:
            rows = entity_df
            stamp = infer_event_timestamp_from_entity_df(dict(zip(rows.columns, rows.dtypes, strict=True)))
        time = _utc(rows[stamp], stamp)
        known_by = as_of_moment(config.offline_store.as_of, datetime.now(UTC))
        question = Question(
            rows=rows,
            stamp=stamp,
            time=time,
            views=views,
            known_by=None if known_by is None else known_by.as_unit("ns").value,
            registry_version=_version(feature_views),
            threads=threads,
        )
        metadata = RetrievalMetadata(
            features=feature_refs,
            keys=[name for name in rows.columns if name != stamp],
            min_event_timestamp=_instant(time.min()) if len(time) else None,
            max_event_timestamp=_instant(time.max()) if len(time) else None,
        )
        on_demand = tuple(OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry))
        return QuantdeskRetrievalJob(question, metadata, on_demand, full_feature_names=full_feature_names)

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
        source = _bare(config, data_source, join_key_columns, timestamp_field, created_timestamp_column)

        def answer() -> pa.Table:
            table = _columns(source, feature_name_columns)
            key = _own_codes(table, source.keys)
            event = nanoseconds(table.column(source.event), source.event)
            written = nanoseconds(table.column(source.created), source.created) if source.created else None
            created = known_times(source.policy, key, event, written)
            everyone = np.unique(key)
            last = np.full(len(everyone), moment(end_date))
            position = as_of_join(History(key, event, created), everyone, last).position
            position = position[(position >= 0) & (event[position] >= moment(start_date))]
            return _with_dummy(table.take(pa.array(position)), source.keys)

        return TableJob(answer)

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
        source = _bare(config, data_source, join_key_columns, timestamp_field, created_timestamp_column)

        def answer() -> pa.Table:
            table = _columns(source, feature_name_columns)
            inside = Bounds(start_date, end_date).holds(nanoseconds(table.column(source.event), source.event))
            return _with_dummy(table.filter(pa.array(inside)), source.keys)

        return TableJob(answer)

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


def _view(config: RepoConfig, view: FeatureView, refs: list[str], full_feature_names: bool) -> Asked:
    rows = _file_source(view.batch_source)
    stored_as = {shown: stored for stored, shown in rows.field_mapping.items()}
    renamed = view.projection.join_key_map
    own = [field.name for field in view.entity_columns if field.name != DUMMY_ENTITY_ID]
    keys = {stored_as.get(name, name): renamed.get(name, name) for name in own}
    prefix = f"{view.projection.name_to_use()}:"  # type: ignore[no-untyped-call]
    base = view.projection.name_alias or view.name
    wanted = [ref.removeprefix(prefix) for ref in refs if ref.startswith(prefix)]
    columns = {f"{base}__{name}" if full_feature_names else name: stored_as.get(name, name) for name in wanted}
    policy = parse({**rows.tags, **view.tags}, f"view {view.name}")
    source = Source(
        _path(config, rows),
        tuple(keys),
        rows.timestamp_field,
        rows.created_timestamp_column or None,
        view.ttl or None,
        policy,
    )
    return Asked(base, source, keys, columns)


def _bare(config: RepoConfig, source: DataSource, keys: list[str], event: str, created: str | None) -> Source:
    rows = _file_source(source)
    return Source(_path(config, rows), tuple(keys), event, created or None, policy=parse(rows.tags, rows.name))


def _threads(config: RepoConfig) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return config.offline_store.threads or min(cores, 8)


def _version(views: list[FeatureView]) -> str:
    """When the views were last applied, as far as the registry says."""
    changed = [view.last_updated_timestamp for view in views if view.last_updated_timestamp]
    return max(changed).isoformat() if changed else ""


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
    columns = [table.column(name) for name in keys]
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


def _instant(nanos: Any) -> datetime:
    return pd.Timestamp(int(nanos), tz="UTC").to_pydatetime(warn=False)


def _utc(column: pd.Series, name: str) -> Integers:
    """Times in nanoseconds. Feast's rule: a time without a zone is in UTC."""
    try:
        # What holds times already is not sent through pandas' parser, which looks at thousands of rows one by one.
        times = column if column.dtype.kind == "M" else pd.to_datetime(column, utc=True)
    except (ValueError, TypeError) as error:
        raise BadInput(f"The column {name!r} of entity_df does not hold times ({error}).", "Give datetimes.") from error
    if times.isna().any():
        raise BadInput(f"The column {name!r} of entity_df has an empty row.", "Give every row a time.")
    index = pd.DatetimeIndex(times)
    index = index.tz_localize("UTC") if index.tz is None else index
    found: Integers = index.as_unit("ns").to_numpy(dtype="datetime64[ns]").view(np.int64)
    return found
