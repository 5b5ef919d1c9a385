"""One CSV or Parquet file of a user as a frame of dates and numbers, with the place of whatever cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantdesk.errors import DataError
from quantdesk.market.series import FIELDS
from quantdesk.market.sources.mapping import FolderMapping, Writing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "dates", "numbers", "parquet_table", "parse", "text_table", "written_times"]

_KNOWN = {
    "date": ("date", "session", "day", "timestamp", "datetime", "time"),
    "symbol": ("symbol", "ticker"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "adj_close": ("adj_close", "adj close", "adjclose", "adjusted", "adjusted close", "adjusted_close"),
    "volume": ("volume",),
}
_OFFSET = r"\s*(?:Z|[+-]\d{2}:?\d{2})$"
_ZONED = r"[T ]\d{2}:.*(?:Z|[+-]\d{2}:?\d{2})$"


@dataclass(frozen=True)
class Table:
    """A file's content before its dates and numbers are understood.

    Attributes
    ----------
    where
        The file's path, for messages.
    unit
        ``"line"`` for text, ``"row"`` for Parquet.
    frame
        Strings for text; the types of the file for Parquet. The index is the line or row number, from 1.
    """

    where: str
    unit: str
    frame: pd.DataFrame

    def wrong(self, row: Hashable, column: str, value: object, said: str, remedy: str) -> DataError:
        """An error at one place."""
        return DataError(f"{self.where}, {self.unit} {row}, column {column}: {str(value)[:60]!r} {said}.", remedy)


def parse(where: str, content: bytes, mapping: FolderMapping, zone: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Read one file.

    Parameters
    ----------
    where
        Its path, for messages.
    content
        Its bytes; a path that ends in .parquet is Parquet, one that ends in .gz is compressed CSV, any other CSV.
    mapping
        Which columns are what, and how they are written.
    zone
        The time zone in which the calendar's dates are meant: what an instant's date is. None when the folder has
        calendars of several zones; then only dates can be read.

    Returns
    -------
    tuple
        A frame with ``session``, the fields as float64, ``symbol`` when there is such a column, indexed by line or row
        number; and the fields, in order.

    Raises
    ------
    DataError
        Names the file, the line or row, the column and the value.
    """
    import pandas as pd

    table = parquet_table(where, content) if where.endswith(".parquet") else text_table(where, content, mapping)
    columns = _columns(table, mapping)
    fields = [field for field in FIELDS if field in columns]
    frame = pd.DataFrame(index=table.frame.index)
    frame["session"] = dates(table, columns["date"], mapping, zone)
    for field in fields:
        frame[field] = numbers(table, columns[field], mapping)
    if "symbol" in columns:
        frame["symbol"] = table.frame[columns["symbol"]].astype(str).str.strip()
    return frame, fields


def text_table(where: str, content: bytes, mapping: Writing) -> Table:
    """CSV by the standard library's reader: it knows the line of each row, and forgives nothing."""
    import pandas as pd

    try:
        plain = gzip.decompress(content) if where.endswith(".gz") else content
        reader = csv.reader(
            io.StringIO(plain.decode("utf-8-sig"), newline=""), delimiter=mapping.delimiter, strict=True
        )
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text (byte {error.start}).", "Save it as UTF-8.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} is no whole gzip file ({error}).", "Replace it by a whole one.") from error
    except csv.Error as error:
        remedy = f"Fields are split at {mapping.delimiter!r}, and quoted with a double quote."
        raise DataError(f"{where}, line {reader.line_num} cannot be read as CSV ({error}).", remedy) from error
    if not lines:
        raise DataError(f"{where} is empty.", "Remove it, or give it a header and rows.")
    header = [name.strip() for name in lines[0][1]]
    for line, row in lines[1:]:
        if len(row) != len(header):
            raise DataError(
                f"{where}, line {line} has {len(row)} fields, and the header {len(header)}.",
                f"Fields are split at {mapping.delimiter!r}.",
            )
    places, rows = [line for line, _ in lines[1:]], [row for _, row in lines[1:]]
    return Table(where, "line", pd.DataFrame(rows, index=places, columns=header, dtype=str))


def parquet_table(where: str, content: bytes) -> Table:
    """Parquet, with the types that it has."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame: pd.DataFrame = pq.read_table(pa.BufferReader(content)).to_pandas(date_as_object=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{where} cannot be read as Parquet ({error}).", "Replace it by a whole file.") from error
    if frame.index.name is not None:
        frame = frame.reset_index()  # pandas keeps a named index beside the columns
    frame.columns = frame.columns.astype(str)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return Table(where, "row", frame)


def _columns(table: Table, mapping: FolderMapping) -> dict[str, str]:
    """From our names to the file's."""
    there = [str(name) for name in table.frame.columns]
    twice = sorted({name for name in there if name and there.count(name) > 1})
    if twice:
        raise DataError(f"{table.where} has two columns called {twice[0]!r}.", "Rename one of them.")
    if mapping.columns:
        for ours, theirs in mapping.columns.items():
            if theirs not in there:
                raise DataError(
                    f"{table.where} has no column {theirs!r}, which the mapping names for {ours}.",
                    f"It has: {', '.join(there)[:200]}.",
                )
        return mapping.columns
    lower = {name.lower(): name for name in reversed(there)}
    found = {}
    for ours, names in _KNOWN.items():
        match = next((lower[name] for name in names if name in lower), None)
        if match is not None:
            found[ours] = match
    if "date" not in found or not {"close", "adj_close"} & set(found):
        lacking = "a date" if "date" not in found else "a close"
        raise DataError(
            f"{table.where} has no column that looks like {lacking}.",
            f"It has: {', '.join(there)[:200]}. Name its columns in the mapping.",
        )
    return found


def numbers(table: Table, column: str, mapping: Writing) -> pd.Series:
    """A column as float64, exact to the last bit; NaN where it holds nothing."""
    import pandas as pd

    values = table.frame[column]
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        raise DataError(f"{table.where}, column {column} holds {values.dtype}, no numbers.", "Map another column.")
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    text = values.astype("string").str.strip()
    absent = text.isna() | text.isin(mapping.missing)
    plain = text.str.replace(mapping.thousands, "", regex=False) if mapping.thousands else text
    if mapping.decimal != ".":
        plain = plain.str.replace(".", "?", regex=False).str.replace(mapping.decimal, ".", regex=False)
    found = pd.to_numeric(plain.mask(absent), errors="coerce")
    bad = found.isna() & ~absent
    if bad.any():
        row = bad.idxmax()
        remedy = f"{_more(bad)} Correct it, or say how numbers are written: decimal, thousands, missing.".strip()
        raise table.wrong(row, column, values[row], "is no number", remedy)
    # Python's own conversion is exact to the last bit; pandas' is fast, and good enough to find what is no number.
    exact = [float("nan") if skip else float(value) for value, skip in zip(plain, absent, strict=True)]
    return pd.Series(exact, index=values.index, dtype="float64")


def dates(table: Table, column: str, mapping: Writing, zone: str | None) -> pd.Series:
    """Local dates as midnights without a zone.

    When every time is midnight as the file writes it, the file holds dates. Otherwise it holds instants, and the date
    of an instant is the one in the calendar's zone.
    """
    written, instants = written_times(table, column, mapping)
    bad = written.isna()
    if bad.any():
        row = bad.idxmax()
        wanted = f"Dates are read as {mapping.date_format!r}." if mapping.date_format else "Dates are in ISO form."
        raise table.wrong(row, column, table.frame[column][row], "is no date", f"{wanted} {_more(bad)}".strip())
    timed = written != written.dt.normalize()
    if not timed.any():
        return written
    if zone is None:
        row = timed.idxmax()
        remedy = "Write dates, or put series of different time zones into folders of their own."
        raise table.wrong(row, column, table.frame[column][row], "has a time of day", remedy)
    if instants is None:
        if mapping.time_zone is None:
            row = timed.idxmax()
            remedy = 'Say which zone the times are in: time_zone = "America/New_York", for example.'
            raise table.wrong(row, column, table.frame[column][row], "has a time of day but no time zone", remedy)
        instants = written.dt.tz_localize(mapping.time_zone, ambiguous="NaT", nonexistent="NaT")
        if instants.isna().any():
            row = instants.isna().idxmax()
            said = f"is skipped or repeated by a clock change in {mapping.time_zone}"
            raise table.wrong(row, column, table.frame[column][row], said, "Write such times with their offset.")
    sessions: pd.Series = instants.dt.tz_convert(zone).dt.normalize().dt.tz_localize(None)
    return sessions


def written_times(table: Table, column: str, mapping: Writing) -> tuple[pd.Series, pd.Series | None]:
    """The times as the file writes them, without their zone, and as instants when it writes a zone. NaT is no time."""
    import pandas as pd

    values = table.frame[column]
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_localize(None).dt.as_unit("ns"), values.dt.as_unit("ns")
    if pd.api.types.is_datetime64_any_dtype(values):
        try:
            return values.dt.as_unit("ns"), None
        except ValueError as error:
            raise DataError(f"{table.where}, column {column}: {error}.", "Dates lie between 1886 and 2200.") from error
    if pd.api.types.is_float_dtype(values) or (pd.api.types.is_numeric_dtype(values) and not mapping.date_format):
        raise DataError(f"{table.where}, column {column} holds {values.dtype}, no dates.", "Map another column.")
    text = values.astype("string").str.strip().fillna("")
    if mapping.date_format:
        return pd.to_datetime(text, format=mapping.date_format, errors="coerce").astype("datetime64[ns]"), None
    zoned = text.str.contains(_ZONED)
    if zoned.any() and not zoned.all():
        row = (zoned != zoned.iloc[0]).idxmax()
        said = "has no time zone, unlike the first" if zoned.iloc[0] else "has a time zone, unlike the first"
        raise table.wrong(row, column, text[row], said, "Write all times alike.")
    plain = text.str.replace(_OFFSET, "", regex=True) if zoned.any() else text
    written = pd.to_datetime(plain, format="ISO8601", errors="coerce").astype("datetime64[ns]")
    return written, (pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True) if zoned.any() else None)


def _more(bad: pd.Series) -> str:
    others = int(bad.sum()) - 1
    return f"{others} more like it." if others else ""
