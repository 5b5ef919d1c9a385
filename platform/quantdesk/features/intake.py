"""Rows that a user appends to a view of their own. An edge module: it reads and writes Parquet files.

Each append is one new file in the view's folder; what is there is never touched. A row that says something else than
the latest version of its event becomes a further version. The file's name holds its hash, and it appears in one rename:
a reader, the evidence and a writer that comes back after a crash see the whole append or nothing of it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.features.asof import NOT_A_TIME
from quantdesk.features.batch import Batch, checked, keys_and_times
from quantdesk.features.declared import DeclaredView, data_files
from quantdesk.features.knowledge import PublishedAt, known_times
from quantdesk.features.overlay import LOADED_AT, PART, part_name, source_of
from quantdesk.features.retrieval import nanoseconds, read
from quantdesk.records import atomic_write, exclusive

__all__ = ["Appended", "append", "read_rows"]

_STAMP = pa.timestamp("ns", tz="UTC")


@dataclass(frozen=True)
class Appended:
    """What an append did.

    Attributes
    ----------
    view
        The view.
    added
        Rows about events that were not there.
    restated
        Rows that are a further version of an event.
    unchanged
        Rows that say what is there already; they were not written again.
    repeated
        The very same batch was appended before, and nothing was done.
    load
        The number of the append that holds the rows, from 0; -1 where there was nothing to write.
    file
        The file that holds them, or None.
    """

    view: str
    added: int
    restated: int
    unchanged: int
    repeated: bool
    load: int
    file: Path | None


def append(
    view: DeclaredView,
    rows: Any,
    now: dt.datetime,
    find: Callable[[str], str] | None = None,
    *,
    again: bool = False,
) -> Appended:
    """Append rows to a declared view.

    Parameters
    ----------
    view
        The view.
    rows
        A DataFrame or a pyarrow Table; see :func:`quantdesk.features.batch.checked`.
    now
        When it is: the time of loading. Aware.
    find
        Gives the store's name of a symbol, and raises for one that it does not hold; None where any symbol will do.
    again
        Append even a batch that was appended before: to take back what came in between.

    Raises
    ------
    BadInput, BadDates, UnknownName
        A mistake in the rows, named; nothing was written.
    DataError
        A file of the view is damaged.
    EnvironmentProblem
        The disk is full or read-only, or another process holds the lock.
    """
    batch = checked(view, rows, now, find)
    with exclusive(view.path / ".lock"):
        parts = [found for path in data_files(view.path) if (found := PART.fullmatch(path.name))]
        before = [part for part in parts if part["batch"] == batch.digest[:16]]
        if before and not again:
            file = view.path / before[-1].string
            return Appended(view.name, 0, 0, batch.table.num_rows, True, int(before[-1]["load"]), file)
        load = max((int(part["load"]) for part in parts), default=-1) + 1
        at = _after(view, parts, now)
        fresh = _compared(view, batch, at)
        kept = batch.table.filter(pa.array(fresh.added | fresh.restated))
        added, restated = (int(np.count_nonzero(kind)) for kind in (fresh.added, fresh.restated))
        unchanged = batch.table.num_rows - added - restated
        if not kept.num_rows:
            return Appended(view.name, 0, 0, unchanged, False, -1, None)
        file = _write(view, kept, at, load, batch.digest)
        return Appended(view.name, added, restated, unchanged, False, load, file)


@dataclass(frozen=True)
class _Compared:
    """Per row of a batch whether its event is new, or it is a further version of one. Neither: it is there already."""

    added: NDArray[np.bool_]
    restated: NDArray[np.bool_]


def _after(view: DeclaredView, parts: Sequence[Any], now: dt.datetime) -> int:
    """The time of loading: now, but later than every append before, even if the clock went back."""
    at = pd.Timestamp(now).tz_convert("UTC").as_unit("ns").value
    for part in parts:
        said = (pq.read_schema(view.path / part.string).metadata or {}).get(LOADED_AT)
        if said is not None:
            at = max(at, pd.Timestamp(said.decode()).as_unit("ns").value + 1000)
    return int(at)


def _compared(view: DeclaredView, batch: Batch, at: int) -> _Compared:
    """Compare each row with what the files hold of its event."""
    published = isinstance(view.policy, PublishedAt)
    there = _there(view)
    versions: dict[tuple[Any, ...], tuple[int, int]] = {}  # per key and event the latest version: (known, place)
    exact: dict[tuple[Any, ...], int] = {}
    values: list[tuple[Any, ...]] = []
    if there is not None:
        whose = keys_and_times(view, there)
        width = len(view.keys) + 1
        codes = pd.MultiIndex.from_tuples([one[:width] for one in whose]).factorize()[0].astype(np.int64)
        event = nanoseconds(there.column(view.event))
        created = nanoseconds(there.column(str(view.created)))
        known = known_times(view.policy, codes, event, np.where(created == NOT_A_TIME, event, created))
        values = _features(view, there)
        for place, one in enumerate(whose):
            exact[one] = place
            versions[one[:width]] = max(versions.get(one[:width], (NOT_A_TIME, -1)), (int(known[place]), place))
    added, restated = np.zeros(batch.table.num_rows, dtype=bool), np.zeros(batch.table.num_rows, dtype=bool)
    asked = keys_and_times(view, batch.table)
    for row, (one, mine) in enumerate(zip(asked, _features(view, batch.table), strict=True)):
        event_of = one[: len(view.keys) + 1]
        latest = versions.get(event_of)
        if latest is None:
            added[row] = True
            versions[event_of] = (at, -1)
        elif published and one in exact:
            if values[exact[one]] != mine:
                raise _contradiction(view, row, one, values[exact[one]], mine)
        elif published or latest[1] < 0 or values[latest[1]] != mine:
            restated[row] = True
    return _Compared(added, restated)


def _there(view: DeclaredView) -> pa.Table | None:
    if not data_files(view.path):
        return None
    columns = [view.event, str(view.created), *(field.column for field in view.fields)]
    return read(source_of(view), list(dict.fromkeys([*(key.column for key in view.keys), *columns])))


def _features(view: DeclaredView, table: pa.Table) -> list[tuple[Any, ...]]:
    """The values of each row; NaN and null are the same."""
    columns = [table.column(field.column).to_pylist() for field in view.fields]
    plain = [[None if value != value else value for value in column] for column in columns]
    return list(zip(*plain, strict=True)) if plain else [()] * table.num_rows


def _contradiction(view: DeclaredView, row: int, one: tuple[Any, ...], old: Any, new: Any) -> BadInput:
    field = next(field for field, before, after in zip(view.fields, old, new, strict=True) if before != after)
    place = [before != after for before, after in zip(old, new, strict=True)].index(True)
    whose = ", ".join([*map(str, one[: len(view.keys)]), pd.Timestamp(one[len(view.keys)], tz="UTC").isoformat()])
    return BadInput(
        f"Row {row} ({whose}) of the batch for {view.name} gives {field.column!r} as {new[place]!r}; "
        f"what was published at that very time says {old[place]!r}.",
        "A restatement is published later: give it its own time.",
    )


def _write(view: DeclaredView, table: pa.Table, at: int, load: int, batch: str) -> Path:
    """One new file. Equal tables give equal bytes."""
    if not isinstance(view.policy, PublishedAt):
        stamps = pa.array(np.full(table.num_rows, at)).cast(_STAMP)
        table = table.add_column(table.schema.get_field_index(view.event) + 1, str(view.created), stamps)
    when = pd.Timestamp(at, tz="UTC").isoformat()
    table = table.replace_schema_metadata({LOADED_AT: when.encode()})
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    content = out.getvalue()
    target = view.path / part_name(load, batch, hashlib.sha256(content).hexdigest())
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)
    return target


def read_rows(path: Path, view: DeclaredView) -> pd.DataFrame:
    """Rows for a view from a file: Parquet, or CSV with times in ISO form (``2026-03-02T16:15:00-05:00``).

    Raises
    ------
    DataError
        The file is not there or cannot be read.
    BadInput
        It is of another kind, or a time in it is none.
    """
    if path.suffix not in {".csv", ".parquet"}:
        raise BadInput(f"{path.name} is neither .csv nor .parquet.", "Give a CSV or a Parquet file.")
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                whole: pd.DataFrame = file.read().to_pandas()
                return whole
        text: Any = {key.column: str for key in view.keys if key.dtype == "String"}
        text |= {key.name: str for key in view.keys if key.dtype == "String"}
        frame: pd.DataFrame = pd.read_csv(
            path, dtype=text, keep_default_na=False, na_values=[""], float_precision="round_trip"
        )
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read ({error}).", "Give a whole CSV or Parquet file.") from error
    for name in (view.event, view.created):
        if name in frame.columns:
            frame[name] = pd.Series([_instant(path, row, value) for row, value in enumerate(frame[name])], dtype=object)
    return frame


def _instant(path: Path, row: int, value: Any) -> Any:
    if not isinstance(value, str):
        return None if value != value else value
    try:
        return dt.datetime.fromisoformat(value)
    except ValueError:
        raise BadInput(
            f"Row {row} of {path.name} holds the time {value[:40]!r}.", "Write times as 2026-03-02T16:15:00-05:00."
        ) from None


def known_symbol(find: Callable[[str], Any], view: DeclaredView) -> Callable[[str], str] | None:
    """What checks the symbols of a batch: none where the view is about any symbol."""

    def key(name: str) -> str:
        try:
            return str(find(name).key)
        except UnknownName as error:
            raise BadInput(
                f"The batch for {view.name} is about the symbol {name[:80]!r}, which the store does not hold.",
                f'{error.remedy} If it may be, declare the view with the tag "symbols": "any".',
            ) from None

    return None if view.any_symbol else key
