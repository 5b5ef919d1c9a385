"""Feast's retrieval jobs on our answers: frames, Arrow tables, files, batches. An edge module; it imports Feast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from quantdesk.compute import Compute, chosen
from quantdesk.errors import BadInput
from quantdesk.features.question import Question, RetrievalEvidence
from quantdesk.features.streaming import PART_ROWS, Streamed
from quantdesk.records import atomic_write

__all__ = ["QuantdeskRetrievalJob", "TableJob"]


class TableJob(RetrievalJob):
    """A table that is made when it is asked for.

    Parameters
    ----------
    answer
        Makes it.
    """

    def __init__(self, answer: Callable[[], pa.Table]) -> None:
        self._answer = answer

    @property
    def full_feature_names(self) -> bool:
        """Whether features are named ``view__feature``."""
        return False

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The views that Feast computes from the answer."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked."""
        return None

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - part of the interface
        return self._answer()

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the answer as one Parquet file, whole or not at all."""
        with atomic_write(_target(storage, allow_overwrite)) as temporary:
            pq.write_table(self.to_arrow(timeout=timeout), temporary)


class QuantdeskRetrievalJob(TableJob):
    """A question that is answered when its table or its frame is asked for, with the proof of the last answer.

    Parameters
    ----------
    question
        What is asked.
    metadata
        The same in Feast's words.
    on_demand
        The views that Feast computes from the answer.
    full_feature_names
        Whether features are named ``view__feature``.
    """

    def __init__(
        self,
        question: Question,
        metadata: RetrievalMetadata | None = None,
        on_demand: tuple[OnDemandFeatureView, ...] = (),
        *,
        full_feature_names: bool = False,
    ) -> None:
        super().__init__(self._table)
        self.question = question
        self._metadata = metadata
        self._on_demand = list(on_demand)
        self._full_feature_names = full_feature_names
        self._evidence: RetrievalEvidence | None = None

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

    @property
    def evidence(self) -> RetrievalEvidence:
        """How far the last answer is proven; asks the question if nobody has yet.

        What Feast computes from the answer (on-demand views) is not covered: it adds columns to it.
        """
        if self._evidence is None:
            self._table()
        assert self._evidence is not None  # noqa: S101 - for the type checker: _table has set it
        return self._evidence

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """The answer as a frame; straight from the join, unless Feast has something to add to it or to count."""
        if validation_reference is not None or self._on_demand or _is_counting():
            return super().to_df(validation_reference, timeout)
        return self._to_df_internal(timeout)

    def stream(self, rows: int = PART_ROWS, compute: Compute | None = None) -> Iterator[pa.Table]:
        """The answer in parts, for what does not fit into memory: each holds all rows of some keys.

        Within a part rows stand in the order in which they asked. The evidence is there when all parts were taken.

        Parameters
        ----------
        rows
            Rows per part, about.
        compute
            Where the parts are answered; what the environment names when left out (``QUANTDESK_COMPUTE_SCHEDULER``).

        Raises
        ------
        BadInput
            The question has on-demand views: Feast computes these on a whole answer.
        """
        if self._on_demand:
            raise BadInput(
                f"The views {[view.name for view in self._on_demand]} are computed on demand, by Feast.",
                "Leave them out, or use to_arrow().",
            )
        answer = Streamed(self.question, compute or chosen(), rows)
        yield from answer
        self._evidence = answer.evidence

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the answer as one Parquet file, whole or not at all.

        More rows than fit into a part (:data:`~quantdesk.features.streaming.PART_ROWS`) are written part by part, rows
        of the same keys together; fewer stand in the order in which they asked.
        """
        target = _target(storage, allow_overwrite)
        if self._on_demand or len(self.question.time) <= PART_ROWS:
            with atomic_write(target) as temporary:
                pq.write_table(self.to_arrow(timeout=timeout), temporary)
            return
        with atomic_write(target) as temporary:
            writer = None
            try:
                for table in self.stream():
                    writer = writer or pq.ParquetWriter(temporary, table.schema)
                    writer.write_table(table if table.schema.equals(writer.schema) else table.cast(writer.schema))
            finally:
                if writer is not None:
                    writer.close()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:  # noqa: ARG002 - part of the interface
        frame, self._evidence = self.question.frame()
        return frame

    def _table(self) -> pa.Table:
        table, self._evidence = self.question.table()
        return table


def _target(storage: SavedDatasetStorage, allow_overwrite: bool) -> Path:
    if not isinstance(storage, SavedDatasetFileStorage):
        raise BadInput(f"A {type(storage).__name__} cannot be written to.", "Give a SavedDatasetFileStorage.")
    target = Path(storage.file_options.uri)
    if target.exists() and not allow_overwrite:
        raise SavedDatasetLocationAlreadyExists(location=str(target))
    return target


def _is_counting() -> bool:
    """Whether Feast's own metrics or audit log want to see this retrieval."""
    from feast import metrics

    switches = getattr(metrics, "_config", None)
    return bool(getattr(switches, "offline_features", False) or getattr(switches, "audit_logging", False))
