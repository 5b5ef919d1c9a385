"""What a function answered, laid out by time and column, and the comparison of two answers. Pure.

**Tolerance.** Two numbers are equal when they differ by at most ``RELATIVE`` (1e-9) of the larger one plus ``NOISE``
(1e-12) of the largest value of that column up to the cut. Sums that are taken in another order, BLAS and Fourier
transforms differ in their last bits (about 1e-16, times the length); a recursion carries that on. Where a future was
made a thousand times larger, its rounding errors may be, and so is the second term. A leak below that cannot be told
from rounding and is not found. A missing value against a number is always a difference, and so is one infinity
against another.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.features.audit.clock import Clock, Coordinates, time_level
from quantdesk.features.audit.material import Material

__all__ = ["NOISE", "RELATIVE", "Answer", "Difference", "Unreadable", "answer_of", "compare"]

RELATIVE = 1e-9
NOISE = 1e-12


class Unreadable(Exception):
    """An answer that cannot be matched with the rows of the data; the message says why."""


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes
    ----------
    times
        What each row is about; shape ``(n,)``.
    keys
        What tells rows of one time apart; shape ``(n,)`` (the symbol and a running number for equal labels), or None
        where times are unique.
    columns
        Values by name; float64, or objects for words.
    members
        True where the answer is a universe: a column per symbol, 1 for a member.
    flags
        True where the answer is a table of flags, one column per symbol or one row per time and symbol.
    """

    times: Coordinates
    keys: pd.Index | None
    columns: Mapping[str, NDArray[Any]]
    members: bool = False
    flags: bool = False

    def holds(self, column: str) -> int:
        """How many values a column has."""
        values = self.columns[column]
        return int(len(values) - pd.isna(values).sum())


@dataclass(frozen=True)
class Difference:
    """Where a column of two answers differs.

    Attributes
    ----------
    column
        Its name.
    first
        The time of the first differing row.
    times
        The times of all differing rows, ascending.
    magnitude
        The largest absolute difference of two numbers; NaN where a number always stands against none, or words differ.
    appears
        How many rows have a value in one answer and none in the other.
    vanished
        Whether the column is missing in one answer altogether.
    """

    column: str
    first: float
    times: Coordinates
    magnitude: float
    appears: int
    vanished: bool


def answer_of(output: Any, data: Material) -> Answer:
    """Lay an answer out.

    Raises
    ------
    Unreadable
        It has no rows that can be matched with the data's times.
    """
    main, clock = data.main, data.clock
    if isinstance(output, pd.Series | pd.DataFrame):
        return _of_pandas(output, clock)
    if hasattr(output, "toarray"):
        output = output.toarray()
    if isinstance(output, np.ndarray) and output.ndim in {1, 2} and not _words(output):
        if len(output) != len(main.times):
            raise Unreadable(f"{len(output)} rows came back for {len(main.times)} rows of data.")
        index = getattr(main.value, "index", None)
        keys = _keys(main.times, index)
        if output.ndim == 1:
            return Answer(main.times, keys, {"": _values(output)})
        return Answer(main.times, keys, {str(place): _values(column) for place, column in enumerate(output.T)})
    if isinstance(output, Mapping) and output:
        return _of_mapping(output, data)
    if isinstance(output, Set | pd.Index) or (isinstance(output, list | tuple | np.ndarray) and _words(output)):
        moments = data.moments
        ones = np.ones(len(moments))
        return Answer(moments, None, {str(name): ones for name in sorted(map(str, output))}, members=True)
    if isinstance(output, list | tuple) and len(output) == len(main.times):
        return answer_of(np.asarray(output), data)
    shown = "nothing" if output is None else f"one {type(output).__name__}"
    raise Unreadable(f"{shown} came back for {len(main.times)} rows of data.")


def _words(output: Any) -> bool:
    return all(isinstance(one, str) for one in output) if len(output) else not isinstance(output, np.ndarray)


def _of_pandas(output: pd.Series | pd.DataFrame, clock: Clock) -> Answer:
    try:
        times = clock.read(output.index)
    except BadInput as problem:
        raise Unreadable(f"The index of what came back does not fit the data. {problem.problem}") from None
    if isinstance(output, pd.Series):
        columns = {"": _values(output)}  # a Series mostly keeps the name of what it was made from, which says nothing
    else:
        names = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in output.columns]
        columns = {name: _values(output.iloc[:, place]) for place, name in enumerate(names)}
    types = [output.dtype] if isinstance(output, pd.Series) else list(output.dtypes)
    by_symbol = isinstance(output, pd.DataFrame) or isinstance(output.index, pd.MultiIndex)
    flags = by_symbol and all(pd.api.types.is_bool_dtype(one) for one in types)
    return Answer(times, _keys(times, output.index), columns, flags=flags)


def _of_mapping(output: Mapping[Any, Any], data: Material) -> Answer:
    values = list(output.values())
    if all(isinstance(one, Set | list | tuple | pd.Index | np.ndarray) and _words(one) for one in values):
        try:
            times = data.clock.read(pd.Index(list(output)))
        except BadInput as problem:
            raise Unreadable(f"The dates of the universe do not fit the data. {problem.problem}") from None
        every = sorted({str(name) for one in values for name in one})
        table = {name: np.array([float(name in set(map(str, one))) for one in values]) for name in every}
        return Answer(times, _keys(times, None), table, members=True)
    answers = {str(name): answer_of(value, data) for name, value in output.items()}
    frames = {
        f"{name} {column}".strip(): pd.Series(values, _labels(answer))
        for name, answer in answers.items()
        for column, values in answer.columns.items()
    }
    union = pd.DataFrame(frames)
    times = np.asarray(union.index.get_level_values(0))
    keys = union.index.get_level_values(1)
    return Answer(times, keys, {str(name): _values(union[name]) for name in union.columns})


def _values(column: Any) -> NDArray[Any]:
    """Numbers and flags as float64; times and words as objects that can be compared."""
    values = column.to_numpy() if isinstance(column, pd.Series) else np.asarray(column)
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    if values.dtype.kind in "Mm":
        return np.where(np.isnat(values), np.nan, values.astype("int64").astype(np.float64))
    try:
        return pd.Series(values, dtype=object).astype(np.float64).to_numpy()
    except (TypeError, ValueError):
        plain = pd.Series(values, dtype=object)
        return plain.where(plain.isna(), plain.map(str)).to_numpy(dtype=object)


def _keys(times: Coordinates, index: pd.Index | None) -> pd.Index | None:
    """What tells rows of one time apart, or None where there is one row per time."""
    level = None if index is None else time_level(index)
    if index is None or level is None:
        if len(np.unique(times)) == len(times):
            return None
        return pd.Index(pd.Series(times).groupby(times).cumcount().astype(str))
    names = pd.Series([str(key) for key in index.droplevel(level)])
    number = names.groupby([times, names]).cumcount()
    return pd.Index(names + np.where(number > 0, " " + number.astype(str), ""))


def _labels(answer: Answer) -> pd.MultiIndex:
    keys = np.full(len(answer.times), "") if answer.keys is None else answer.keys
    return pd.MultiIndex.from_arrays([answer.times, keys])


def compare(
    whole: Answer, other: Answer, until: float, *, after: float = -np.inf, louder: float = 1.0
) -> list[Difference]:
    """Where two answers differ in rows about times up to `until`.

    Parameters
    ----------
    whole, other
        The answers on the whole data and on data with another future.
    until
        The last time that is compared.
    after
        Only rows later than this are compared.
    louder
        By how much the other future was made larger; see the tolerance above.
    """
    mine = (whole.times <= until) & (whole.times > after)
    theirs = (other.times <= until) & (other.times > after)
    same_rows = np.array_equal(whole.times[mine], other.times[theirs]) and (
        (whole.keys is None and other.keys is None)
        or (whole.keys is not None and other.keys is not None and whole.keys[mine].equals(other.keys[theirs]))
    )
    if same_rows:
        times, left, right = whole.times[mine], np.flatnonzero(mine), np.flatnonzero(theirs)
    else:
        first, second = _labels(whole)[mine], _labels(other)[theirs]
        union = first.union(second)
        times = np.asarray(union.get_level_values(0))
        left = _places(np.flatnonzero(mine), first.get_indexer(union))
        right = _places(np.flatnonzero(theirs), second.get_indexer(union))
    absent = 0.0 if whole.members or other.members else np.nan
    found = []
    for column in {**whole.columns, **other.columns}:
        a = _picked(whole.columns.get(column), left, absent)
        b = _picked(other.columns.get(column), right, absent)
        differs, magnitude, appears = _differs(a, b, louder)
        if differs.any():
            vanished = column not in whole.columns or column not in other.columns
            at = np.sort(times[differs])
            found.append(Difference(column, at[0].item(), at, magnitude, appears, vanished))
    return found


def _places(rows: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.where(found >= 0, rows[found] if len(rows) else -1, -1))


def _picked(values: NDArray[Any] | None, rows: NDArray[Any], absent: float) -> NDArray[Any]:
    if values is None:
        return np.full(len(rows), absent)
    if len(rows) and rows.min() < 0:
        picked = values[rows] if len(values) else np.full(len(rows), absent)
        return np.asarray(np.where(rows < 0, absent, picked))
    return np.asarray(values[rows])


def _differs(a: NDArray[Any], b: NDArray[Any], louder: float) -> tuple[NDArray[np.bool_], float, int]:
    gone_a, gone_b = pd.isna(a), pd.isna(b)
    appears = gone_a != gone_b
    if a.dtype == object or b.dtype == object:
        unequal = np.array([str(x) != str(y) for x, y in zip(a, b, strict=True)], dtype=bool)
        return appears | (unequal & ~gone_a & ~gone_b), float("nan"), int(appears.sum())
    finite = np.isfinite(a) & np.isfinite(b)
    size = np.maximum(np.abs(a, where=finite, out=np.zeros_like(a)), np.abs(b, where=finite, out=np.zeros_like(b)))
    scale = float(size.max()) if size.size else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(a - b)
        beyond = finite & (apart > RELATIVE * size + NOISE * louder * scale)
        infinite = ~gone_a & ~gone_b & ~finite & (a != b)
    magnitude = float(apart[beyond].max()) if beyond.any() else float("nan")
    if infinite.any():
        magnitude = float("inf")
    return beyond | infinite | appears, magnitude, int(appears.sum())
