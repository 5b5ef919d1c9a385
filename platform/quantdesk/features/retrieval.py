"""Feature rows from Parquet, joined point in time. An edge module: it reads files. It knows nothing of Feast.

Both doors lead here: :class:`quantdesk.features.FeatureStore` and the Feast offline store of
:mod:`quantdesk.features.offline`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantdesk.errors import DataError
from quantdesk.features.asof import History, Integers, Match, as_of_join
from quantdesk.features.keys import codes

__all__ = ["Answer", "Source", "files_of", "join", "nanoseconds", "partition", "read"]


@dataclass(frozen=True)
class Source:
    """Where the rows of a view stand, and what its columns are called there.

    Attributes
    ----------
    path
        A Parquet file, or a directory of them. Directories named ``key=value`` hold one value of that key each, and
        only those that are asked for are opened.
    keys
        The key columns; empty for a view about everything at once.
    event, created
        The columns of the two times. Where there is no created column, a row is known from its event on.
    ttl
        How old an answer may be; None or zero for ever.
    """

    path: Path
    keys: tuple[str, ...]
    event: str
    created: str | None = None
    ttl: timedelta | None = None


@dataclass(frozen=True)
class Answer:
    """What a view answers to some rows.

    Attributes
    ----------
    table
        The feature rows that were read.
    history, row_key
        Their keys and times, and the keys of the asking rows, as the join saw them.
    match
        Which feature row answers which asking row.
    """

    table: pa.Table
    history: History
    row_key: Integers
    match: Match

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of the table, one value per asking row; null where there is no answer."""
        position = pa.array(self.match.position, mask=self.match.position < 0)
        return self.table.column(name).take(position)

    def floats(self, name: str) -> NDArray[np.float64]:
        """A numeric column as float64; NaN where it is null or there is no answer."""
        if not self.table.num_rows:
            return np.full(len(self.match.position), np.nan)
        values = self.table.column(name).to_numpy().astype(np.float64, copy=False)
        return np.where(self.match.position >= 0, values[self.match.position], np.nan)


def partition(key: str, value: str) -> str:
    """The name of the directory of one key. No value can leave the store: slashes are escaped."""
    return f"{key}={quote(value, safe='@^ ')}"


def files_of(source: Source, wanted: Mapping[str, Iterable[Any]] | None = None) -> list[Path]:
    """The Parquet files that can hold the wanted keys, sorted by path.

    Parameters
    ----------
    source
        Its path need not exist for a partition that was never written: there are just no files then.
    wanted
        Per key column the values that are asked for; None for all.
    """
    root = source.path
    if not root.exists():
        raise DataError(f"The feature data at {root} are not there.", "Build them: quantdesk features build.")
    if root.is_file():
        return [root]
    names = sorted(entry.name for entry in os.scandir(root) if not entry.name.startswith((".", "_")))
    for key in source.keys:
        parts = [name for name in names if name.startswith(f"{key}=")]
        if parts and wanted is not None and key in wanted:
            asked = {str(value) for value in wanted[key]}
            loose = [name for name in names if name not in set(parts)]
            names = [name for name in parts if unquote(name[len(key) + 1 :]) in asked] + loose
            break
    found: list[Path] = []
    for name in names:
        path = root / name
        found += sorted(path.rglob("*.parquet")) if path.is_dir() else [path] if name.endswith(".parquet") else []
    return found


def read(source: Source, columns: Sequence[str], wanted: Mapping[str, Iterable[Any]] | None = None) -> pa.Table:
    """Read some columns of the rows that can answer.

    Raises
    ------
    DataError
        A file is not there, is cut short, or lacks a column; the message names it.
    """
    tables = []
    for path in files_of(source, wanted):
        try:
            # One thread: the caller may be a process that forks, and a file of one symbol is small.
            with pq.ParquetFile(path) as file:
                tables.append(file.read(columns=list(columns), use_threads=False))
        except (pa.ArrowInvalid, pa.ArrowException, OSError, KeyError) as error:
            raise DataError(
                f"The feature file {path} cannot be read ({error}).", "Build the features again."
            ) from error
        missing = set(columns) - set(tables[-1].column_names)
        if missing:
            raise DataError(f"The feature file {path} has no column {min(missing)!r}.", "Build the features again.")
    if not tables:
        return pa.table({name: pa.nulls(0) for name in columns})
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()


def nanoseconds(column: pa.ChunkedArray) -> Integers:
    """A column of times as nanoseconds since 1970 in UTC; naive times are taken as UTC, null becomes NaT."""
    values: NDArray[np.datetime64] = column.to_numpy()
    return values.astype("datetime64[ns]").astype(np.int64)


def join(
    source: Source,
    columns: Sequence[str],
    row_keys: Sequence[Any],
    row_time: Integers,
    *,
    known_by: int | None = None,
) -> Answer:
    """Answer some rows from a view, each from what was known at its time.

    Parameters
    ----------
    source
        The view's data.
    columns
        The columns that the answer needs, besides keys and times.
    row_keys
        Per key of the source the values of the asking rows.
    row_time
        Nanoseconds since 1970 (UTC).
    known_by
        Nanoseconds since 1970 (UTC): feature rows created later do not exist.
    """
    times = [source.event, *([source.created] if source.created else [])]
    wanted = {key: set(np.asarray(values, dtype=object)) for key, values in zip(source.keys, row_keys, strict=True)}
    table = read(source, list(dict.fromkeys([*source.keys, *times, *columns])), wanted)
    if source.keys:
        key, row_key = codes([table.column(name).to_pandas() for name in source.keys], row_keys)
    else:
        key, row_key = np.zeros(table.num_rows, dtype=np.int64), np.zeros(len(row_time), dtype=np.int64)
    event = nanoseconds(table.column(source.event))
    history = History(key, event, nanoseconds(table.column(source.created)) if source.created else event)
    ttl = source.ttl // timedelta(microseconds=1) * 1000 if source.ttl else None
    match = as_of_join(history, row_key, row_time, known_by=known_by, ttl=ttl)
    return Answer(table, history, row_key, match)
