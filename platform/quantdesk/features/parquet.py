"""Feature rows in Parquet: which files and row groups can answer, and their columns. An edge module: it reads files.

No thread outlives a call, and Arrow's own pool of threads is not used: the caller may be a process that forks.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from quantdesk.errors import DataError
from quantdesk.features.asof import NOT_A_TIME, Integers
from quantdesk.features.knowledge import Knowledge

__all__ = [
    "Part", "Source", "each_column", "fetch", "files_of", "nanoseconds", "only_where", "partition", "parts_of", "read",
    "types",
]  # fmt: skip

_AGAIN = "Build the features again."
_FACTORS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "D": 86_400 * 10**9}


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
    policy
        How it is found out when a row was known; None where the created column simply says so.
    """

    path: Path
    keys: tuple[str, ...]
    event: str
    created: str | None = None
    ttl: timedelta | None = None
    policy: Knowledge | None = None

    @property
    def knowledge(self) -> str | None:
        """How it is known when a row was known, in words; None where nothing says so."""
        if self.policy is not None:
            return self.policy.sentence
        return None if self.created is None else f"known when its column {self.created!r} says"


@dataclass(frozen=True)
class Part:
    """Some row groups of one file, as it was when it was first opened.

    Attributes
    ----------
    path
        The file.
    groups, rows
        The row groups, and how many rows each of them has.
    fixed
        The columns that the file's directories name, as ``key=value``, and the file itself does not hold.
    """

    path: Path
    groups: tuple[int, ...]
    rows: tuple[int, ...]
    fixed: Mapping[str, str | int]
    metadata: pq.FileMetaData = field(repr=False, compare=False)
    stamp: tuple[int, int, int] = (0, 0, 0)

    def is_there(self) -> bool:
        """Whether the file is still the one that was opened."""
        try:
            return self.stamp == _stamp(self.path.stat())
        except OSError:
            return False

    def check(self, columns: Sequence[str]) -> None:
        """Raise DataError unless the file has all of these columns."""
        there = set(self.metadata.schema.to_arrow_schema().names) | set(self.fixed)
        lacking = sorted(set(columns) - there)
        if lacking:
            raise DataError(f"The feature file {self.path} has no column {lacking[0]!r}.", _AGAIN)


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


def parts_of(source: Source, wanted: Mapping[str, Iterable[Any]] | None = None) -> tuple[Part, ...]:
    """The row groups that can hold the wanted keys, by the statistics in the files' footers.

    Raises
    ------
    DataError
        A file is not there or is cut short; the message names it.
    """
    asked = {key: _sorted(values) for key, values in (wanted or {}).items()}
    whole = {key for key, values in asked.items() if values and isinstance(values[0], int)}
    found = []
    for path in files_of(source, wanted):
        with _reading(path), pa.OSFile(str(path)) as file:
            stamp = _stamp(os.fstat(file.fileno()))
            metadata = pq.ParquetFile(file).metadata
        groups = [group for group in range(metadata.num_row_groups) if _may_hold(metadata, group, asked)]
        rows = [metadata.row_group(group).num_rows for group in groups]
        kept = [(group, count) for group, count in zip(groups, rows, strict=True) if count]
        if kept:
            fixed = _fixed(path.relative_to(source.path), metadata, whole) if path != source.path else {}
            numbers, counts = zip(*kept, strict=True)
            found.append(Part(path, numbers, counts, fixed, metadata, stamp))
    return tuple(found)


def fetch(
    parts: Sequence[Part], columns: Sequence[str] | None, words: Sequence[str] = (), threads: int = 1
) -> pa.Table:
    """Some columns of all rows of some parts, in their order.

    Parameters
    ----------
    parts
        What to read.
    columns
        Their names; None for all.
    words
        Columns of text that are wanted as numbers into a dictionary.
    threads
        How many columns, or files, may be read at a time.

    Raises
    ------
    DataError
        A file has gone, was replaced, is cut short, or lacks a column; the message names it.
    """
    if not parts:
        return pa.table({name: pa.nulls(0) for name in columns or ()})
    names = None if columns is None else list(dict.fromkeys(columns))
    if len(parts) == 1 and names and threads > 1 and sum(parts[0].rows) > 100_000:
        with ThreadPoolExecutor(min(threads, len(names))) as pool:
            pieces = list(pool.map(lambda name: _read(parts[0], [name], words), names))
        return pa.table({name: piece.column(name) for name, piece in zip(names, pieces, strict=True)})
    if threads > 1 and len(parts) > 8:
        with ThreadPoolExecutor(threads) as pool:
            tables = list(pool.map(lambda part: _read(part, names, words), parts))
    else:
        tables = [_read(part, names, words) for part in parts]
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()


def each_column(
    parts: Sequence[Part], names: Sequence[str], do: Callable[[str, pa.ChunkedArray], None], threads: int = 1
) -> None:
    """Call ``do(name, column)`` for each column as soon as it is read: from one file, one column per thread.

    Raises
    ------
    DataError
        As :func:`fetch`.
    """
    if len(parts) == 1:

        def one(name: str) -> None:
            do(name, _read(parts[0], [name], ()).column(name))
    else:
        table = fetch(parts, names, threads=threads)

        def one(name: str) -> None:
            do(name, table.column(name))

    if threads > 1 and len(names) > 1 and sum(map(sum, (part.rows for part in parts))) > 20_000:
        with ThreadPoolExecutor(min(threads, len(names))) as pool:
            for _ in pool.map(one, names):
                pass
    else:
        for name in names:
            one(name)


def only_where(parts: Sequence[Part], position: Integers) -> tuple[tuple[Part, ...], Integers]:
    """The row groups in which a position lies, and the positions counted in these alone. -1 stays."""
    counts = np.array([count for part in parts for count in part.rows], dtype=np.int64)
    if not counts.size:
        return (), position
    start = np.cumsum(counts) - counts
    hit = np.zeros(int(counts.sum()) + 1, dtype=bool)
    hit[position] = True  # -1 marks the last place, which is nobody's
    needed = np.logical_or.reduceat(hit[:-1], start)
    if needed.all():
        return tuple(parts), position
    kept, seen = [], 0
    for part in parts:
        mine = needed[seen : seen + len(part.groups)]
        seen += len(part.groups)
        chosen = [(g, n) for g, n, wanted in zip(part.groups, part.rows, mine, strict=True) if wanted]
        if chosen:
            groups, rows = zip(*chosen, strict=True)
            kept.append(Part(part.path, groups, rows, part.fixed, part.metadata, part.stamp))
    skipped = np.cumsum(np.where(needed, 0, counts))
    group = np.searchsorted(start, position, side="right") - 1
    return tuple(kept), np.where(position >= 0, position - skipped[group], -1)


def types(source: Source, parts: Sequence[Part] = ()) -> Mapping[str, pa.DataType]:
    """The types of the columns, by the first part, else by the first file; empty where there is none."""
    if parts:
        schema = parts[0].metadata.schema.to_arrow_schema()
    else:
        files = files_of(source)
        if not files:
            return {}
        with _reading(files[0]):
            schema = pq.ParquetFile(files[0]).metadata.schema.to_arrow_schema()
    return {field.name: field.type for field in schema}


def read(source: Source, columns: Sequence[str], wanted: Mapping[str, Iterable[Any]] | None = None) -> pa.Table:
    """Some columns of the rows that can answer.

    Raises
    ------
    DataError
        A file is not there, is cut short, or lacks a column; the message names it.
    """
    return fetch(parts_of(source, wanted), columns)


def nanoseconds(column: pa.ChunkedArray, name: str = "time") -> Integers:
    """A column of times as nanoseconds since 1970 in UTC; naive times are taken as UTC, null becomes NaT.

    Raises
    ------
    DataError
        The column holds no times, or one beyond the years 1677 to 2262, which nanoseconds cannot count.
    """
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        if column.null_count == len(column):
            return np.full(len(column), NOT_A_TIME)
        raise DataError(f"The column {name!r} holds {column.type}, not times.", "Store timestamps.")
    values = column.to_numpy()
    factor = _FACTORS[np.datetime_data(values.dtype)[0]]
    numbers: Integers = np.ascontiguousarray(values).view(np.int64)
    if factor == 1:
        return numbers
    nothing = numbers == NOT_A_TIME if numbers.min(initial=0) == NOT_A_TIME else None
    inside = numbers if nothing is None else numbers[~nothing]
    limit = np.iinfo(np.int64).max // factor
    if inside.size and (inside.max() > limit or inside.min() < -limit):
        worst = inside.max() if inside.max() > limit else inside.min()
        shown = np.array([worst]).view(values.dtype)[0]
        raise DataError(f"The column {name!r} holds the time {shown}.", "Times from 1677 to 2262 can be joined.")
    found: Integers = numbers * np.int64(factor)
    if nothing is not None:
        found[nothing] = NOT_A_TIME
    return found


def _read(part: Part, names: Sequence[str] | None, words: Sequence[str]) -> pa.Table:
    with _reading(part.path), pa.OSFile(str(part.path)) as file:
        if part.stamp != _stamp(os.fstat(file.fileno())):
            raise DataError(f"The feature file {part.path} was replaced while it was read.", "Ask again.")
        schema = part.metadata.schema.to_arrow_schema()
        part.check(names or ())
        stored = schema.names if names is None else [name for name in names if name not in part.fixed]
        texts = [name for name in words if name in schema.names and _is_text(schema.field(name).type)]
        reader = pq.ParquetFile(file, metadata=part.metadata, read_dictionary=texts)
        table = reader.read_row_groups(list(part.groups), columns=list(stored), use_threads=False)
    for name in part.fixed if names is None else [name for name in names if name in part.fixed]:
        size = sum(part.rows)
        same = pa.DictionaryArray.from_arrays(np.zeros(size, dtype=np.int32), pa.array([part.fixed[name]]))
        table = table.append_column(name, same)
    return table


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"The feature file {path} cannot be read ({error}).", _AGAIN) from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _sorted(values: Iterable[Any]) -> list[Any]:
    """The values in order, for a search; empty when they have none, so that nothing is left out because of them."""
    plain = list(values.tolist() if hasattr(values, "tolist") else values)
    try:
        return sorted(plain)
    except TypeError:
        return []


def _may_hold(metadata: pq.FileMetaData, group: int, asked: Mapping[str, Sequence[Any]]) -> bool:
    if metadata.num_row_groups == 1 or not asked:
        return True
    found = metadata.row_group(group)
    for number in range(found.num_columns):
        chunk = found.column(number)
        values = asked.get(chunk.path_in_schema)
        if not values or not chunk.is_stats_set or not chunk.statistics.has_min_max:
            continue
        lowest, highest = chunk.statistics.min, chunk.statistics.max
        if not (isinstance(lowest, type(values[0])) and isinstance(lowest, str | int)):
            continue
        place = bisect_left(values, lowest)
        if place == len(values) or values[place] > highest:
            return False
    return True


def _fixed(path: Path, metadata: pq.FileMetaData, whole: Set[str]) -> dict[str, str | int]:
    names = set(metadata.schema.to_arrow_schema().names)
    found: dict[str, str | int] = {}
    for part in path.parts[:-1]:
        key, equals, value = part.partition("=")
        if equals and key not in names:
            text = unquote(value)
            found[key] = int(text) if key in whole and text.lstrip("-").isdigit() else text
    return found
