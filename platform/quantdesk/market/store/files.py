"""The files of a store: the catalogue, and one series as one Parquet file."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.market.catalogue import Catalogue
from quantdesk.market.spans import Span

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CATALOGUE",
    "ROWS_PER_GROUP",
    "encode",
    "partition",
    "read",
    "read_catalogue",
    "unreadable",
    "wanted_groups",
]

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
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged ({error}).", "Delete it and run `quantdesk data load`.") from error
    return Catalogue.from_json(text, str(path))


def unreadable(path: Path, error: OSError) -> EnvironmentProblem:
    """What to raise when the system does not let us read a file that is there."""
    return EnvironmentProblem(f"{path} cannot be read ({error.strerror}).", "Make it readable for this user.")


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
    # Measured on 33 years of daily bars: LZ4 with delta-coded times reads five times as fast as Zstandard with the
    # defaults and takes less than half the space, since times that are all different make no dictionary.
    deltas = dict.fromkeys(("timestamp", "session"), "DELTA_BINARY_PACKED")
    options: dict[str, Any] = {"compression": "lz4", "version": "2.6", "write_statistics": True}
    options |= {"use_dictionary": False, "column_encoding": deltas}
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
    edges = _edges(span)

    def overlaps(group: Any) -> bool:
        for column, edge, first in edges:
            statistics = group.column(names.index(column)).statistics
            if statistics.max_raw < edge if first else statistics.min_raw > edge:
                return False
        return True

    return [number for number in range(metadata.num_row_groups) if overlaps(metadata.row_group(number))]


def _edges(span: Span) -> list[tuple[str, int, bool]]:
    """Each bound as (column, nanoseconds since 1970, whether it is the first)."""
    edges = []
    for bound, first in ((span.start, True), (span.end, False)):
        if isinstance(bound, dt.datetime):
            edges.append(("timestamp", _nanoseconds(bound.astimezone(dt.UTC)), first))
        elif bound is not None:
            edges.append(("session", _nanoseconds(dt.datetime.combine(bound, dt.time(0), dt.UTC)), first))
    return edges


def _nanoseconds(instant: dt.datetime) -> int:
    """Exact, and held within what 64 bits can say (1677 to 2262)."""
    microseconds = (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    return max(min(microseconds * 1000, 2**63 - 1), 1 - 2**63)


def read(file: Any, span: Span, columns: list[str], *, session: bool = True) -> pd.DataFrame:
    """The rows of `span` and the named columns, from the row groups that can hold them and no others.

    Parameters
    ----------
    file
        An open `pyarrow.parquet.ParquetFile`.
    span
        Dates bound sessions, aware datetimes bound timestamps.
    columns
        Fields.
    session
        Whether the column ``session`` comes first.

    Returns
    -------
    pandas.DataFrame
        Index ``timestamp`` in UTC.
    """
    import numpy as np
    import pandas as pd

    edges = _edges(span)
    bounding = [column for column in ("session",) if session or any(edge[0] == column for edge in edges)]
    asked = ["timestamp", *bounding, *columns]
    table = file.read_row_groups(wanted_groups(file.metadata, span), columns=asked, use_threads=False)
    arrays = {name: table.column(name).to_numpy() for name in asked}
    start, end = 0, table.num_rows
    for column, edge, first in edges:  # the rows ascend in both columns
        place = int(np.searchsorted(arrays[column].view("int64"), edge, side="left" if first else "right"))
        start, end = (max(start, place), end) if first else (start, min(end, place))
    shown = [*(["session"] if session else []), *columns]
    index = pd.DatetimeIndex(arrays["timestamp"][start:end], tz="UTC", name="timestamp")
    return pd.DataFrame({name: arrays[name][start:end] for name in shown}, index=index)
