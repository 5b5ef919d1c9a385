"""Feast's own materialisation, without a message per value. An edge module; it imports Feast.

``feast materialize`` reads a view's latest rows as an Arrow table and then makes one message of each value, which takes
most of its time, for the store to take apart again. This is Feast's local engine with that one step replaced: the table
is packed as it is. Whatever it cannot pack (lists, vectors, bytes), and every other store, goes Feast's way.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.dag.context import ExecutionContext
from feast.infra.compute_engines.local.arrow_table_value import ArrowTableValue
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.feature_builder import LocalFeatureBuilder
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.compute_engines.local.nodes import LocalOutputNode
from feast.infra.registry.base_registry import BaseRegistry
from pydantic import StrictStr

from quantdesk.features.asof import NOT_A_TIME
from quantdesk.features.online.feast_store import QuantdeskOnlineStore, schema_of
from quantdesk.features.online.fill import packed_rows
from quantdesk.features.online.rows import Rows, Schema, entity_keys
from quantdesk.features.retrieval import nanoseconds

__all__ = ["QuantdeskEngine", "QuantdeskEngineConfig"]

_FITS = {
    "double_val": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind),
    "float_val": pa.types.is_floating,
    "int64_val": pa.types.is_integer,
    "int32_val": pa.types.is_integer,
    "bool_val": pa.types.is_boolean,
    "string_val": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
}
_KEYS = {"STRING": "string", "INT64": "int64", "INT32": "int32"}


class QuantdeskEngineConfig(LocalComputeEngineConfig):
    """What ``feature_store.yaml`` says about the engine; only its name has to be said."""

    type: StrictStr = "quantdesk.features.online.engine.QuantdeskEngine"  # type: ignore[assignment]


class QuantdeskEngine(LocalComputeEngine):
    """Feast's local engine, whose last step packs tables."""

    def __init__(self, type: str | None = None, **given: Any) -> None:  # noqa: A002, ARG002 - Feast passes its config
        super().__init__(**given)

    def _materialize_one(
        self,
        registry: BaseRegistry,
        task: MaterializationTask,
        **options: Any,  # noqa: ARG002 - part of the interface
    ) -> LocalMaterializationJob:
        name = f"{task.feature_view.name}-{task.start_time}-{task.end_time}"
        context = self.get_execution_context(registry, task)
        try:
            _Builder(registry, task, backend=self._get_backend(context)).build().execute(context)
        except Exception as error:  # noqa: BLE001 - Feast raises it again where the job is looked at
            return LocalMaterializationJob(job_id=name, status=MaterializationJobStatus.ERROR, error=error)
        return LocalMaterializationJob(job_id=name, status=MaterializationJobStatus.SUCCEEDED)


class _Builder(LocalFeatureBuilder):
    def build_output_nodes(self, view: Any, input_node: Any) -> Any:  # noqa: ARG002 - part of the interface
        node = _Output("output", self.dag_root.view, inputs=[input_node])  # type: ignore[arg-type]
        self.nodes.append(node)
        return node


class _Output(LocalOutputNode):
    """Writes a table as it is, where that can be."""

    def execute(self, context: ExecutionContext) -> ArrowTableValue:
        table, view, store = self.get_single_table(context).data, self.feature_view, context.online_store
        if not isinstance(store, QuantdeskOnlineStore) or not view.online or view.offline:
            return super().execute(context)
        rows = _rows(table, schema_of(view), view)
        if rows is None:
            return super().execute(context)
        if len(rows):
            store.write_rows(context.repo_config, view, rows, as_of=time.time_ns())
        output = ArrowTableValue(data=table)
        context.node_outputs[self.name] = output
        return output


def _rows(table: pa.Table, schema: Schema, view: Any) -> Rows | None:
    """The rows of a table, or None where they have values that only Feast can convert."""
    keys = [(field.name, field.dtype.to_value_type().name) for field in view.entity_columns]
    known = all(kind in _FITS and _FITS[kind](table.schema.field(name).type) for name, kind in schema.columns)
    if not known or any(
        kind not in _KEYS or not _FITS[f"{_KEYS[kind]}_val"](table.schema.field(name).type) for name, kind in keys
    ):
        return None
    source = view.batch_source
    event = nanoseconds(table.column(source.timestamp_field))
    made = source.created_timestamp_column
    created = nanoseconds(table.column(made)) if made else event
    columns = [table.column(name).to_pylist() for name, _ in keys]
    if any(value is None for column in columns for value in column):
        return None
    return Rows(
        entity_keys([name for name, _ in keys], columns, [_KEYS[kind] for _, kind in keys]),
        event,
        np.where(created == NOT_A_TIME, event, created),
        packed_rows(schema, table),
    )
