"""The sessions of a path, and the moments in them at which something is quoted. Pure."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import UnknownName
from quantdesk.orders.amounts import SECOND
from quantdesk.scenarios.path import Path

__all__ = ["Sessions"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_CLOSING = 60 * SECOND


class Sessions:
    """Sessions of the traded symbols.

    Parameters
    ----------
    path
        Of which.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns = [path.column(symbol) for symbol in path.traded]
        self._place = {symbol: place for place, symbol in enumerate(path.traded)}

    @cached_property
    def bounds(self) -> tuple[Ints, Ints]:
        """First and one past the last bar of each session."""
        new = np.flatnonzero(np.diff(self.path.days, prepend=-1))
        return new, np.append(new[1:], len(self.path.ends))

    @cached_property
    def opens(self) -> list[int]:
        """When each begins (nanoseconds)."""
        found: list[int] = self.path.begins[self.bounds[0]].tolist()
        return found

    @cached_property
    def before(self) -> Floats:
        """The last close known before each session, shape ``(sessions, traded)``; NaN where there is none."""
        history = self.path.history
        width = len(self._columns)
        last = np.full(width, np.nan)
        if history is not None:
            for row in history.close[:, [history.column(symbol) for symbol in self.path.traded]][-10:]:
                last = np.where(np.isfinite(row), row, last)
        found = np.empty((len(self.bounds[0]), width))
        for day, (first, end) in enumerate(zip(*self.bounds, strict=True)):
            found[day] = last
            for row in self.path.close[first:end, self._columns]:
                last = np.where(np.isfinite(row), row, last)
        return found

    @cached_property
    def _sessions_of(self) -> dict[str, tuple[list[int], list[int], list[int]]]:
        """By symbol: opens, closes and numbers of the sessions in which it has a bar."""
        first, end = self.bounds
        there = np.isfinite(self.path.close[:, self._columns])
        any_bar = np.logical_or.reduceat(there, first, axis=0)
        opens, closes = self.path.begins[first], self.path.ends[end - 1]
        found = {}
        for symbol, place in self._place.items():
            days = np.flatnonzero(any_bar[:, place])
            found[symbol] = (opens[days].tolist(), closes[days].tolist(), days.tolist())
        return found

    def spans(self, symbol: str) -> tuple[list[int], list[int], list[int]]:
        """Opens, closes and numbers of the sessions in which a symbol has a bar.

        Raises
        ------
        UnknownName
            It is not traded.
        """
        if symbol not in self._place:
            raise UnknownName("symbol", symbol, self._place)
        return self._sessions_of[symbol]

    def steps(self, column: int, first: int, end: int) -> tuple[Ints, Floats, Ints, Bools]:
        """Moments, midpoints in dollars, bars of the quotes of one session, and which of them are closes."""
        path = self.path
        begins, ends, close = path.begins[first:end], path.ends[first:end], path.close[first:end, column]
        bars = np.arange(first, end)
        opened = close if path.open is None else path.open[first:end, column]
        if end - first > 1:  # minutes
            opened = np.where(np.isfinite(opened), opened, close)
            at = np.stack([begins, (begins + ends) // 2], axis=1)
            mid = np.stack([opened, close], axis=1)
        else:
            third = (ends - begins) // 3
            at = np.stack([begins, begins + third, begins + 2 * third, ends - _CLOSING], axis=1)
            high, low = (
                np.full(1, np.nan) if table is None else table[first:end, column] for table in (path.high, path.low)
            )
            if path.open is None:
                opened = np.full(1, np.nan)
            high, low = (np.where(np.isnan(opened), np.nan, table) for table in (high, low))
            rises = (high - opened) < (opened - low)
            mid = np.stack([opened, np.where(rises, high, low), np.where(rises, low, high), close], axis=1)
        there = np.isfinite(mid).ravel() & np.repeat(np.isfinite(close), mid.shape[1])
        is_close = np.tile(np.arange(mid.shape[1]) == mid.shape[1] - 1, len(mid))
        return at.ravel()[there], mid.ravel()[there], np.repeat(bars, mid.shape[1])[there], is_close[there]
