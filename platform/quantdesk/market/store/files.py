"""The files of a store: the catalogue, and one series as one Parquet file."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from quantdesk.errors import DataError
from quantdesk.market.catalogue import Catalogue
from quantdesk.market.spans import Span

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CATALOGUE", "ROWS_PER_GROUP", "encode", "partition", "read", "read_catalogue", "wanted_groups"]

CATALOGUE = "catalogue.json"

ROWS_PER_GROUP = 240
"""A row group is closed at the first turn of the year after this many rows: about one year of daily bars each."""


def read_catalogue(root: Path) -> Catalogue:
    """The catalogue on the disk; an empty one when there is none yet."""
    path = root / CATALOGUE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Catalogue()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged ({error}).", "Delete it and run `quantdesk data load`.") from error
    return Catalogue.from_json(text, str(path))


def partition(series_id: str) -> str:
    """The folder of a series. It is one path component whatever the name is: a slash is escaped."""
    return f"series={quote(series_id, safe='@^=')}"


def encode(frame: pd.DataFrame) -> bytes:
    """A frame with ``timestamp``, ``session`` and the fields as Parquet; equal frames give equal bytes.

    Rows are ascending by session, so the statistics of each row group bound its dates, and a reader of one year
    decodes one group.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    years = frame["session"].dt.year.to_numpy()
    out = io.BytesIO()
    options: dict[str, Any] = {"compression": "zstd", "version": "2.6", "write_statistics": True}
    with pq.ParquetWriter(out, table.schema, **options) as writer:
        start = 0
        for row in range(1, len(years) + 1):
            if row == len(years) or (row - start >= ROWS_PER_GROUP and years[row] != years[row - 1]):
                writer.write_table(table.slice(start, row - start), row_group_size=row - start)
                start = row
    return out.getvalue()


def wanted_groups(metadata: Any, span: Span) -> list[int]:
    """The row groups that can hold rows of `span`, by their statistics."""
    names = metadata.schema.to_arrow_schema().names
    return [
        group
        for group in range(metadata.num_row_groups)
        if all(_overlaps(metadata.row_group(group), names, bound, first) for bound, first in _bounds(span))
    ]


def _bounds(span: Span) -> list[tuple[dt.date | dt.datetime, bool]]:
    return [(bound, first) for bound, first in ((span.start, True), (span.end, False)) if bound is not None]


def _overlaps(group: Any, names: list[str], bound: dt.date | dt.datetime, first: bool) -> bool:
    import pandas as pd

    column = "timestamp" if isinstance(bound, dt.datetime) else "session"
    statistics = group.column(names.index(column)).statistics
    edge = pd.Timestamp(bound)
    return bool(pd.Timestamp(statistics.max) >= edge if first else pd.Timestamp(statistics.min) <= edge)


def read(file: Any, span: Span, columns: list[str]) -> pd.DataFrame:
    """The rows of `span` and the named columns, from the row groups that can hold them.

    Parameters
    ----------
    file
        An open `pyarrow.parquet.ParquetFile`.
    span
        Dates bound sessions, aware datetimes bound timestamps.
    columns
        Fields; ``timestamp`` and ``session`` come in any case.
    """
    import pandas as pd

    groups = wanted_groups(file.metadata, span)
    table = file.read_row_groups(groups, columns=["timestamp", "session", *columns], use_threads=False)
    frame: pd.DataFrame = table.to_pandas()
    inside = pd.Series(True, index=frame.index)
    for bound, first in _bounds(span):
        values = frame["timestamp" if isinstance(bound, dt.datetime) else "session"]
        inside &= values >= pd.Timestamp(bound) if first else values <= pd.Timestamp(bound)
    return frame[inside].set_index("timestamp")
