"""The data that a function is tried on: whole, cut off at a time, and with another future. Pure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.features.audit.clock import Clock, Coordinates, time_level

__all__ = ["Material", "Part", "material"]

Mask = NDArray[np.bool_]
FEWEST = 8
"""An audit of fewer rows says nothing."""


@dataclass(frozen=True)
class Part:
    """One table or array of the data.

    Attributes
    ----------
    name
        Its name in the mapping; empty where the data are one object.
    value
        A Series, a DataFrame or an array with one row per time, in order.
    times
        What each row is about; shape ``(n,)``.
    known
        When each row could first be known; shape ``(n,)``.
    """

    name: str
    value: Any
    times: Coordinates
    known: Coordinates

    def taken(self, mask: Mask) -> Part:
        """The rows of `mask`, as a copy."""
        return Part(self.name, _rows(self.value, mask), self.times[mask], self.known[mask])

    @property
    def symbols(self) -> NDArray[Any] | None:
        """What tells rows of one time apart: the other levels of a panel; None where there are none."""
        index = getattr(self.value, "index", None)
        if not isinstance(index, pd.MultiIndex):
            return None
        level = time_level(index)
        return index.droplevel(level).to_numpy()


@dataclass(frozen=True)
class Material:
    """All data of an audit.

    Attributes
    ----------
    parts
        The tables; the first one's rows are what the answer is matched with.
    single
        Whether the function takes the first part itself, not a mapping.
    clock
        How times are read.
    rest
        Entries of the mapping that are no tables; handed on as they are.
    """

    parts: tuple[Part, ...]
    single: bool
    clock: Clock
    rest: Mapping[str, Any]

    @property
    def main(self) -> Part:
        """The table whose rows the answer is matched with."""
        return self.parts[0]

    @property
    def moments(self) -> Coordinates:
        """The different times of the main table, ascending."""
        return np.unique(self.main.times)

    def given(self) -> Any:
        """A copy, in the form that the function takes."""
        if self.single:
            return copy.deepcopy(self.main.value)
        copies = {part.name: copy.deepcopy(part.value) for part in self.parts}
        return {**copies, **copy.deepcopy(dict(self.rest))}

    def until(self, cut: float) -> Material:
        """What was known at `cut`."""
        return replace(self, parts=tuple(part.taken(part.known <= cut) for part in self.parts))

    def changed(self, change: Callable[[Part, Mask], Any], after: float, until: float | None = None) -> Material:
        """The same with other values in the rows that became known after one time (and until another)."""

        def other(part: Part) -> Part:
            mask = part.known > after
            if until is not None:
                mask &= part.known <= until
            return replace(part, value=change(part, mask)) if mask.any() else part

        return replace(self, parts=tuple(other(part) for part in self.parts))

    def only(self, name: str, other: Material) -> Material:
        """These data with one part of the others."""
        parts = tuple(
            theirs if mine.name == name else mine for mine, theirs in zip(self.parts, other.parts, strict=True)
        )
        return replace(self, parts=parts)


def material(data: Any, known: Any = None, index: Any = None) -> Material:
    """Read what the caller gave.

    Parameters
    ----------
    data
        A Series, a DataFrame, an array, or a mapping of names to these. The first entry of a mapping is the one whose
        rows the answer is matched with.
    known
        When rows could first be known, where that is not the time in their index: the name of a column, a lag, or one
        time per row; for a mapping, by name.
    index
        The times of arrays, in their order.

    Raises
    ------
    BadInput
        Nothing that an audit can cut: another type, no times, too few rows, unsorted rows.
    """
    single = not isinstance(data, Mapping)
    entries: dict[str, Any] = {"": data} if single else dict(data)
    lags = {"": known} if single else dict(known or {})
    unknown = sorted(set(lags) - set(entries))
    if unknown:
        raise BadInput(f"known names {unknown[0]!r}, which is not in the data.", f"The data are {sorted(entries)}.")
    tables = {name: value for name, value in entries.items() if _is_table(value)}
    if not tables:
        shown = type(data).__name__ if single else ", ".join(type(value).__name__ for value in entries.values())
        raise BadInput(
            f"The data are of type {shown or 'dict without entries'}.",
            "Give a pandas Series or DataFrame, an array in order of time, or a mapping of names to these.",
        )
    clock = _clock(tables, index)
    parts = tuple(_part(name, value, lags.get(name), clock, index) for name, value in tables.items())
    if len(np.unique(parts[0].times)) < FEWEST:
        raise BadInput(
            f"The data have {len(np.unique(parts[0].times))} different times.", f"An audit needs at least {FEWEST}."
        )
    return Material(parts, single, clock, {name: value for name, value in entries.items() if name not in tables})


def _is_table(value: Any) -> bool:
    return isinstance(value, pd.Series | pd.DataFrame) or (isinstance(value, np.ndarray) and value.ndim in {1, 2})


def _clock(tables: Mapping[str, Any], index: Any) -> Clock:
    if index is not None:
        return Clock.of(pd.Index(index))
    first = next(iter(tables.values()))
    return Clock("position") if isinstance(first, np.ndarray) else Clock.of(first.index)


def _part(name: str, value: Any, known: Any, clock: Clock, index: Any) -> Part:
    called = repr(name) if name else "the data"
    if isinstance(value, np.ndarray):
        if index is not None and len(pd.Index(index)) != len(value):
            raise BadInput(f"{called}: {len(value)} rows, and {len(pd.Index(index))} times.", "Give one time per row.")
        if clock.kind != "position" and index is None:
            raise BadInput(f"{called} is an array among tables with times.", "Give its times as a Series' index.")
        times = np.arange(len(value), dtype=np.float64) if index is None else clock.read(pd.Index(index))
    elif isinstance(known, str) and not _has_times(value.index, clock):
        times = _about(called, value, known, clock)
    else:
        times = clock.read(value.index)
    indexed = not isinstance(known, str) or _has_times(value.index, clock)
    if indexed and getattr(getattr(value, "index", None), "nlevels", 1) == 1 and (np.diff(times) < 0).any():
        at = int(np.flatnonzero(np.diff(times) < 0)[0]) + 1
        raise BadInput(f"{called}: the row {clock.label(times[at])} comes after a later one.", "Sort by time.")
    return Part(name, value, times, _known(called, value, known, clock, times))


def _about(called: str, value: Any, known: str, clock: Clock) -> Coordinates:
    """What rows without a time in their index are about: their first column of dates that does not say when known."""
    stamps = _column(called, value, known)
    dates = [name for name in value.columns if name != known and value[name].dtype.kind == "M"]
    return clock.read(pd.Index(value[dates[0]] if dates else stamps))


def _has_times(index: pd.Index, clock: Clock) -> bool:
    try:
        return Clock.of(index).kind == clock.kind
    except BadInput:
        return False


def _column(called: str, value: Any, name: str) -> Any:
    if not isinstance(value, pd.DataFrame) or name not in value.columns:
        raise BadInput(f"{called} has no column {name!r} that says when rows were known.", "Name one that is there.")
    return value[name]


def _known(called: str, value: Any, known: Any, clock: Clock, times: Coordinates) -> Coordinates:
    if known is None:
        return times
    if isinstance(known, str) and isinstance(value, pd.DataFrame) and known in value.columns:
        return clock.read(pd.Index(value[known]))
    if isinstance(known, pd.Series | pd.Index | np.ndarray | list | tuple):
        stamps = clock.read(pd.Index(known))
        if len(stamps) != len(times):
            raise BadInput(f"{called}: {len(times)} rows, and {len(stamps)} times of knowledge.", "Give one per row.")
        return stamps
    if isinstance(known, str) and not known[:1].isdigit():
        _column(called, value, known)
    lag = clock.span(known)
    if lag < 0:
        raise BadInput(f"{called}: a lag of {known!r} is negative.", "Rows cannot be known before they happen.")
    return times + lag


def _rows(value: Any, mask: Mask) -> Any:
    count = int(mask.sum())
    prefix = bool(mask[:count].all())
    if isinstance(value, np.ndarray):
        return value[:count].copy() if prefix else value[mask]
    # A slice keeps the frequency of a DatetimeIndex, which a mask loses.
    taken = (value.iloc[:count] if prefix else value.iloc[np.flatnonzero(mask)]).copy()
    if isinstance(taken.index, pd.MultiIndex):
        taken.index = taken.index.remove_unused_levels()
    return taken
