"""A value reduced to marks of its past, so that two runs can be compared without keeping their values. Pure.

A mark is a hash of the numbers up to the cut, rounded to about eight digits of the column's largest, so that rounding
errors leave it alone. A value with one row per time is *aligned*: only its rows up to the cut count. Anything else (a
mean, a fitted scaler, a window) counts as a whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.features.audit.material import Material

__all__ = ["Mark", "Past", "differing", "mark"]

_DIGITS = 2.0**27
_MOST = 2_000_000
_DEEPEST = 3


@dataclass(frozen=True)
class Mark:
    """Hashes by column; ``""`` where there are no columns."""

    aligned: bool
    columns: Mapping[str, str]


def differing(one: Mark | None, other: Mark | None, column: str | None = None) -> bool:
    """Whether two marks differ; of tables with named columns, in one column: where neither has it, they do not."""
    if one is None or other is None:
        return False
    if column is not None and set(one.columns) != {""}:
        return one.columns.get(column) != other.columns.get(column)
    return dict(one.columns) != dict(other.columns)


class Past:
    """Which rows count, of objects that have a row per time.

    Parameters
    ----------
    data
        The data of the run: its tables say how long an array with a row per time is.
    cut
        The last time that counts.
    """

    def __init__(self, data: Material, cut: float) -> None:
        self.clock = data.clock
        self.cut = cut
        self._masks = {len(part.known): part.times <= cut for part in reversed(data.parts)}
        self._ordered = bool((np.diff(data.main.times) >= 0).all())
        self._rows = len(data.main.known)
        self._kept = int((data.main.times <= cut).sum())

    def of_index(self, index: pd.Index) -> NDArray[np.bool_] | None:
        """The rows of a pandas object that count; None where it has no times."""
        if self.clock.kind in {"aware", "naive"}:
            try:
                return np.asarray(self.clock.read(index) <= self.cut)
            except BadInput:
                return None
        return self.of_length(len(index)) if isinstance(index, pd.RangeIndex) else None

    def of_length(self, rows: int) -> NDArray[np.bool_] | None:
        """The rows of an array that count; a few rows too few are taken to be missing at the front."""
        if rows in self._masks:
            return self._masks[rows]
        short = self._rows - rows  # of a difference or a full window
        if self._ordered and 0 < short < min(self._kept, self._rows // 2):
            return np.arange(rows) < self._kept - short
        return None

    def of_table(self, table: pd.DataFrame) -> NDArray[np.bool_] | None:
        """The rows of a table that count: by its index, else by its first column of dates, else by its length."""
        rows = self.of_index(table.index)
        if rows is None:
            dates = (table[name] for name in table.columns if table[name].dtype.kind == "M")
            found = (self.of_index(pd.Index(one)) for one in dates)
            rows = next((one for one in found if one is not None), None)
        return self.of_length(len(table)) if rows is None else rows

    def of_unknown(self, rows: int) -> NDArray[np.bool_]:
        """Of something long without times, such as every fifth row, the part that is surely old if it is in order."""
        whole = rows < max(8, self._rows // 10)
        return np.arange(rows) < (rows if whole else rows * self._kept // self._rows // 2)


def mark(value: Any, past: Past) -> Mark | None:
    """The mark of a value; None where it has none, as for functions and pandas' own helpers."""
    try:
        return _mark(value, past, 0)
    except Exception:  # noqa: BLE001  objects of any library pass by here; one that cannot be read has no mark
        return None


def _mark(value: Any, past: Past, depth: int) -> Mark | None:
    if isinstance(value, pd.DataFrame):
        rows = past.of_table(value)
        kept = value[past.of_unknown(len(value)) if rows is None else rows]
        hashes = {str(name): _hash(kept.iloc[:, place].to_numpy()) for place, name in enumerate(value.columns)}
        return Mark(rows is not None, hashes)
    if isinstance(value, pd.Series | pd.Index):
        index = value.index if isinstance(value, pd.Series) else value
        rows = past.of_index(index)
        rows = past.of_length(len(value)) if rows is None else rows
        numbers = value.to_numpy()[past.of_unknown(len(value)) if rows is None else rows]
        return Mark(rows is not None, {"": _hash(numbers)})
    if isinstance(value, np.ndarray) and value.ndim:
        rows = past.of_length(len(value))
        return Mark(rows is not None, {"": _hash(value[past.of_unknown(len(value)) if rows is None else rows])})
    if isinstance(value, bool | int | float | complex | str | bytes | np.generic | np.ndarray):
        return Mark(False, {"": _hash(np.asarray(value))})
    if depth >= _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return _by_name({str(name): _mark(one, past, depth + 1) for name, one in list(value.items())[:1000]})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: getattr(value, one.name, None) for one in dataclasses.fields(value)}
        return _by_name({name: _mark(one, past, depth + 1) for name, one in fields.items()})
    if isinstance(value, tuple | list | set | frozenset):
        if value and len(value) == past._rows and all(isinstance(one, int | float) for one in value):
            return _mark(np.asarray(value), past, depth)
        ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return _together({str(place): _mark(one, past, depth + 1) for place, one in enumerate(list(ordered)[:1000])})
    return _fitted(value, past, depth)


def _fitted(value: Any, past: Past, depth: int) -> Mark | None:
    """What an estimator has learned: its attributes that end in an underscore, and those of its parts."""
    if not hasattr(value, "fit") or isinstance(value, type):
        return None
    learned = {
        name: _mark(one, past, depth + 1)
        for name, one in vars(value).items()
        if (name.endswith("_") and not name.startswith("_")) or name == "steps" or hasattr(one, "fit")
    }
    return _together(learned) or Mark(False, {"": "unfitted"})


def _by_name(marks: Mapping[str, Mark | None]) -> Mark | None:
    """The marks of named entries, so that each can be compared by its name."""
    known = {name: one for name, one in marks.items() if one is not None}
    columns: dict[str, str] = {}
    for name, one in known.items():
        for column, text in one.columns.items():
            plain = column or name
            columns[plain if plain not in columns else f"{name} {column}"] = text
    return Mark(all(one.aligned for one in known.values()), columns) if known else None


def _together(marks: Mapping[str, Mark | None]) -> Mark | None:
    known = {name: one for name, one in marks.items() if one is not None}
    if not known:
        return None
    parts = (f"{name}/{column}={text}" for name, one in known.items() for column, text in one.columns.items())
    return Mark(all(one.aligned for one in known.values()), {"": hashlib.sha256("|".join(parts).encode()).hexdigest()})


def _hash(values: Any) -> str:
    if not isinstance(values, np.ndarray):
        values = np.asarray(values, dtype=object)
    if values.dtype.kind in "fc" and values.dtype.kind != "c":
        finite = np.isfinite(values)
        largest = float(np.abs(values[finite]).max()) if finite.any() else 0.0
        if largest > 0:
            # Off the powers of two, where prices and counts love to lie: both runs must round alike.
            unit = 2.0 ** math.ceil(math.log2(largest * 1.37)) / _DIGITS
            values = np.where(finite, np.round(np.where(finite, values, 0.0) / unit), values)
        values = values.astype(np.float64) + 0.0  # no negative zero
        values = np.where(np.isnan(values), np.nan, values)  # one kind of NaN
    if values.dtype == object:
        text = "|".join(map(str, values.ravel()[:_MOST]))
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(values.ravel()[:_MOST]).tobytes()).hexdigest()
