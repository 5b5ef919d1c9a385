"""Rows for a declared view, checked before anything is written. Pure: the time and the list of symbols come in.

Each mistake is one :class:`~quantdesk.errors.BadInput` that names the row, the column and the value. What passes is a
table with the columns of the view's files, in one order, with exact types; nothing was sorted, filled or guessed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.features.declared import DeclaredView, Field
from quantdesk.features.knowledge import PublishedAt

__all__ = ["Batch", "checked", "keys_and_times"]

Integers = NDArray[np.int64]

_STAMP = pa.timestamp("ns", tz="UTC")
_TYPES = {
    "Float64": pa.float64(),
    "Float32": pa.float32(),
    "Int64": pa.int64(),
    "Int32": pa.int32(),
    "Bool": pa.bool_(),
    "String": pa.string(),
}
_EARLIEST, _LATEST = dt.datetime(1678, 1, 1, tzinfo=dt.UTC), dt.datetime(2262, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Batch:
    """Rows that were checked.

    Attributes
    ----------
    table
        Keys, event time, published time (only where the view declares one), features; named as in the files.
    digest
        A hash of all of it: equal batches have equal digests.
    """

    table: pa.Table
    digest: str


def checked(view: DeclaredView, rows: Any, now: dt.datetime, find: Callable[[str], str] | None = None) -> Batch:
    """Check rows for a view.

    Parameters
    ----------
    view
        The view. It declares a knowledge policy and a ``created_timestamp_column``.
    rows
        A DataFrame, or a pyarrow Table. Columns are named as in the files or as in questions. Within each key rows are
        in order of time. A feature may be null (None, NaN); keys and times may not.
    now
        Nothing may have happened, or have been published, later.
    find
        Gives the store's name of a symbol, and raises for one that it does not hold. None where any symbol will do.

    Raises
    ------
    BadInput, BadDates, UnknownName
        See the module. Also where the view cannot take rows at all.
    """
    _takes_rows(view)
    frame = rows.to_pandas() if isinstance(rows, pa.Table) else rows
    if not isinstance(frame, pd.DataFrame):
        raise BadInput(f"The rows for {view.name} are a {type(rows).__name__}.", "Give a DataFrame or a pyarrow Table.")
    published = view.created if isinstance(view.policy, PublishedAt) else None
    times = [view.event, *([published] if published else [])]
    frame = _columns(view, frame, times)
    if not len(frame):
        raise BadInput(f"The batch for {view.name} has no rows.", "Give at least one row.")
    stamps = {name: _times(view, name, frame[name]) for name in times}
    keys = {key.column: _key(view, key, frame[key.column], find) for key in view.keys}
    say = _Saying(view, keys, stamps[view.event])
    _moments(say, stamps, view.event, published, now)
    values = {field.column: _values(say, field, frame[field.column]) for field in view.fields}
    _order(say, keys, [stamps[name] for name in times])
    columns = {**keys, **{name: pa.array(stamps[name]).cast(_STAMP) for name in times}, **values}
    table = pa.table(columns)
    return Batch(table, _digest(table))


def _takes_rows(view: DeclaredView) -> None:
    if view.policy is None:
        raise BadInput(
            f"The view {view.name} does not declare when its rows are known.",
            'Give it a policy, for example tags=PublishedAt("published").tags, and apply the repository.',
        )
    if view.created is None:
        raise BadInput(
            f"The source of the view {view.name} has no created_timestamp_column, so nothing can be restated in it.",
            "Name one; appending fills it.",
        )
    if view.path.suffix == ".parquet" or view.path.is_file():
        raise BadInput(
            f"The view {view.name} keeps its rows in one file, {view.path}.", "Declare a folder as the source's path."
        )


def _columns(view: DeclaredView, frame: pd.DataFrame, times: Sequence[str]) -> pd.DataFrame:
    """The columns under their names in the files; none missing, none too many."""
    named = {field.name: field.column for field in (*view.keys, *view.fields)}
    frame = frame.rename(columns={name: column for name, column in named.items() if column not in frame.columns})
    wanted = [*(key.column for key in view.keys), *times, *(field.column for field in view.fields)]
    twice = [str(name) for name in frame.columns[frame.columns.duplicated()]]
    if twice:
        raise BadInput(f"The batch for {view.name} has the column {twice[0]!r} twice.", f"Its columns: {wanted}.")
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        there = [str(name) for name in frame.columns][:8]
        raise BadInput(
            f"The batch for {view.name} has no column {absent[0]!r}; it has {there}.",
            f"Its columns: {', '.join(wanted)}.",
        )
    if view.created in frame.columns and view.created not in times:
        raise BadInput(
            f"The batch for {view.name} has the column {view.created!r}, but that is the time of loading.",
            "Leave it out: appending writes it.",
        )
    odd = [str(name) for name in frame.columns if name not in wanted]
    if odd:
        raise BadInput(f"The view {view.name} has no column {odd[0]!r}.", f"Its columns: {', '.join(wanted)}.")
    return frame[wanted].reset_index(drop=True)


def _times(view: DeclaredView, name: str, column: pd.Series) -> Integers:
    """Nanoseconds since 1970 (UTC)."""
    remedy = "Give times with a zone: one zone for the whole column."
    where = f"column {name!r} of the batch for {view.name}"
    if not isinstance(column.dtype, pd.DatetimeTZDtype):
        if pd.api.types.is_datetime64_dtype(column.dtype):
            raise BadDates(f"Row 0 has no time zone in {where}: {column.iloc[0]}.", remedy)
        zones: dict[str, int] = {}
        for row, value in enumerate(column.tolist()):
            if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
                raise BadDates(f"Row {row} has no time in {where}.", remedy)
            if not isinstance(value, dt.datetime):
                raise BadInput(f"Row {row} holds {value!r} (a {type(value).__name__}) in {where}.", remedy)
            if value.tzinfo is None:
                raise BadDates(f"Row {row} has no time zone in {where}: {value}.", remedy)
            zones.setdefault(str(value.tzinfo), row)
            if not _EARLIEST <= value < _LATEST:
                raise BadDates(f"Row {row} is out of range in {where}: {value}.", "Give times from 1678 to 2261.")
        if len(zones) > 1:
            (one, _), (other, row) = list(zones.items())[:2]
            raise BadDates(f"Row {row} is in the zone {other}, row 0 in {one}, in {where}.", remedy)
        column = pd.to_datetime(column, utc=True)
    missing = np.flatnonzero(column.isna().to_numpy())
    if missing.size:
        raise BadDates(f"Row {missing[0]} has no time in {where}.", remedy)
    out = np.flatnonzero(((column < _EARLIEST) | (column >= _LATEST)).to_numpy())
    if out.size:
        raise BadDates(
            f"Row {out[0]} is out of range in {where}: {column.iloc[out[0]]}.", "Give times from 1678 to 2261."
        )
    return np.asarray(column.dt.tz_convert("UTC").dt.as_unit("ns").astype(np.int64).to_numpy())


def _key(view: DeclaredView, key: Field, column: pd.Series, find: Callable[[str], str] | None) -> pa.Array:
    want: type = str if key.dtype == "String" else int
    kinds = (str,) if want is str else (int, np.integer)
    names: dict[Any, Any] = {}
    for row, value in enumerate(column.tolist()):
        if not isinstance(value, kinds) or isinstance(value, bool):
            nothing = value is None or value is pd.NA or value != value
            said = "has no value" if nothing else f"holds {value!r} (a {type(value).__name__})"
            what = "text" if want is str else "a whole number"
            raise BadInput(f"Row {row} {said} in the key {key.column!r} of {view.name}.", f"Give {what}.")
        if value not in names:
            if want is str and not str(value).strip():
                raise BadInput(f"Row {row} holds {value!r} in the key {key.column!r} of {view.name}.", "Give a name.")
            names[value] = find(str(value)) if find is not None and key.name == "symbol" else value
    return pa.array([names[value] for value in column.tolist()], _TYPES[key.dtype])


@dataclass(frozen=True)
class _Saying:
    """Names a row in an error."""

    view: DeclaredView
    keys: dict[str, pa.Array]
    event: Integers

    def __call__(self, row: int) -> str:
        whose = [str(column[row].as_py()) for column in self.keys.values()]
        return f"row {row} ({', '.join([*whose, _moment(self.event[row])])}) of the batch for {self.view.name}"


def _moment(nanos: int | np.int64) -> str:
    return pd.Timestamp(int(nanos), tz="UTC").isoformat()


def _moments(say: _Saying, stamps: dict[str, Integers], event: str, published: str | None, now: dt.datetime) -> None:
    """Nothing happened after now, and nothing was published before it happened."""
    limit = pd.Timestamp(now).tz_convert("UTC").as_unit("ns").value
    for name, times in stamps.items():
        late = np.flatnonzero(times > limit)
        if late.size:
            raise BadDates(
                f"In {say(int(late[0]))}, {name!r} lies in the future: {_moment(times[late[0]])}.",
                f"It is {_moment(limit)} now: the future is not known.",
            )
    if published is None:
        return
    early = np.flatnonzero(stamps[published] < stamps[event])
    if early.size:
        at = _moment(stamps[published][early[0]])
        raise BadDates(
            f"In {say(int(early[0]))}, {published!r} lies before the event: {at}.",
            "A row is known when it has happened, or later.",
        )


def _values(say: _Saying, field: Field, column: pd.Series) -> pa.Array:
    kind = _TYPES.get(field.dtype)
    if column.dtype.kind == "f" or (column.dtype == object and kind is not None and pa.types.is_floating(kind)):
        for row, value in enumerate(column.tolist()):
            if isinstance(value, float | np.floating) and np.isinf(value):
                raise BadInput(f"In {say(row)}, {field.column!r} is {value}.", "Give a number, or null for no value.")
    try:
        if kind is None:
            return pa.array(column, from_pandas=True)
        if kind == pa.bool_() and column.dtype != bool:
            return pa.array([_boolean(value) for value in column.tolist()], kind)
        other = pa.types.is_string(kind) != _is_text(column) or (column.dtype == bool and kind != pa.bool_())
        if other and column.notna().any():
            raise pa.ArrowInvalid("another type")
        return pa.array(column, from_pandas=True).cast(kind)
    except (pa.ArrowException, ValueError, TypeError):
        row = _first_bad(column, kind)
        value = column.iloc[row]
        value = value.item() if isinstance(value, np.generic) else value
        raise BadInput(
            f"In {say(row)}, {field.column!r} is {value!r} (a {type(value).__name__}).", f"Give {field.dtype} or null."
        ) from None


def _boolean(value: Any) -> bool | None:
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    if not isinstance(value, bool | np.bool_):
        raise TypeError(value)
    return bool(value)


def _is_text(column: pd.Series) -> bool:
    """Whether every value that is there is text."""
    return all(isinstance(value, str) for value in column.dropna().tolist())


def _first_bad(column: pd.Series, kind: pa.DataType | None) -> int:
    """The first value that does not fit the type."""
    for row, value in enumerate(column.tolist()):
        if value is None or value is pd.NA or value != value:
            continue
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        fits = (
            isinstance(value, str) if kind == pa.string() else isinstance(value, bool) if kind == pa.bool_() else number
        )
        if not fits:
            return row
        try:
            pa.array([value]).cast(kind)
        except (pa.ArrowException, OverflowError):
            return row
    return 0


def _order(say: _Saying, keys: dict[str, pa.Array], times: Sequence[Integers]) -> None:
    """Within a key rows rise in time, and no two are the same."""
    size = len(times[0])
    whose = np.zeros(size, dtype=np.int64)
    for column in keys.values():
        code, _ = pd.factorize(column.to_pandas())
        whose = pd.factorize(whose * np.int64(size + 1) + code)[0].astype(np.int64)
    order = np.lexsort((np.arange(size), whose))
    same = whose[order][1:] == whose[order][:-1]
    step = np.zeros(size - 1, dtype=np.int64)
    for part in times:
        change = np.sign(part[order][1:] - part[order][:-1])
        step = np.where(step == 0, change, step)
    for wrong, said, remedy in (
        (-1, "lies before the row of the same key above it", "Sort the rows by time."),
        (0, "is there twice: the same key and the same times", "Give each row once."),
    ):
        found = np.flatnonzero(same & (step == wrong))
        if found.size:
            later, earlier = int(order[found[0] + 1]), int(order[found[0]])
            raise BadInput(f"The {say(later)} {said} (row {earlier}).", remedy)


def _digest(table: pa.Table) -> str:
    digest = hashlib.sha256()
    for field in table.schema:
        column = table.column(field.name).combine_chunks()
        digest.update(f"{field.name}\x1f{field.type}\x1f{len(column)}\x1e".encode())
        if pa.types.is_string(field.type) or pa.types.is_nested(field.type):
            digest.update("\x1f".join(map(repr, column.to_pylist())).encode())
        else:
            digest.update(np.asarray(column.is_null()).tobytes())
            plain = column.cast(pa.int64()) if pa.types.is_timestamp(field.type) else column
            digest.update(plain.to_pandas().fillna(0).to_numpy().tobytes())
    return digest.hexdigest()


def keys_and_times(view: DeclaredView, table: pa.Table) -> list[tuple[Any, ...]]:
    """What a row is about, per row: its keys, its event and, where the view declares one, when it was published."""
    times = [view.event, *([view.created] if isinstance(view.policy, PublishedAt) and view.created else [])]
    columns = [table.column(key.column).to_pylist() for key in view.keys]
    columns += [table.column(name).cast(_STAMP).cast(pa.int64()).to_pylist() for name in times]
    return list(zip(*columns, strict=True))
