"""A path as instruments read it: the last known value of every asset, and where that is not of the bar. Pure.

A path never carries a value over a closure; who holds a position has to value it all the same. So the last known
value is taken, of the path or of its history, and counted as stale: see :attr:`Valuation.stale`.
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.market.series import Kind
from quantdesk.scenarios.instruments.smile import Smile
from quantdesk.scenarios.instruments.state import State, tenor_of, way_to_dollars
from quantdesk.scenarios.path import Path

__all__ = ["Tape", "state_of"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MONTH = np.int64(31 * 86_400 * 1_000_000_000)
_YEAR, _LEAST = 252, 60


class Tape:
    """Of one path.

    Parameters
    ----------
    path
        The scenario.
    smile
        The skew of options.

    Attributes
    ----------
    values
        Shape ``(T, N)``: the last known value; NaN before the first one.
    stale
        Shape ``(T, N)``: the value is not of the bar.
    """

    def __init__(self, path: Path, smile: Smile | None = None) -> None:
        self.path = path
        self.smile = Smile() if smile is None else smile
        bars = np.arange(len(path.ends))[:, None]
        self.stale: Flags = np.isnan(path.close)
        seen = np.maximum.accumulate(np.where(self.stale, -1, bars), axis=0)
        before, known_at = self._before
        held = np.take_along_axis(path.close, np.maximum(seen, 0), axis=0)
        self.values: Floats = np.where(seen >= 0, held, before)
        self._known_at = np.where(seen >= 0, path.ends[np.maximum(seen, 0)], known_at)

    def __len__(self) -> int:
        return len(self.path.ends)

    @cached_property
    def days(self) -> tuple[dt.date, ...]:
        """The day in New York of each bar."""
        return tuple(day.date() for day in self.path.sessions)

    @cached_property
    def _before(self) -> tuple[Floats, NDArray[np.int64]]:
        """The last value in the history, and when it was known, of each column."""
        width = len(self.path.assets)
        values, moments = np.full(width, np.nan), np.zeros(width, dtype=np.int64)
        history = self.path.history
        if history is not None:
            for place, symbol in enumerate(self.path.symbols):
                if symbol in history.symbols:
                    column = history.close[:, history.column(symbol)]
                    known = np.flatnonzero(~np.isnan(column))
                    if known.size:
                        values[place], moments[place] = column[known[-1]], history.ends[known[-1]]
        return values, moments

    @cached_property
    def _realised(self) -> dict[str, float]:
        found: dict[str, float] = {}
        history = self.path.history
        if history is not None:
            for asset in history.assets:
                column = history.close[:, history.column(asset.symbol)]
                known = column[~np.isnan(column)][-_YEAR - 1 :]
                if asset.is_traded and len(known) > _LEAST and (known > 0).all():
                    deviation = float(np.diff(np.log(known)).std(ddof=1)) * _YEAR**0.5
                    if deviation > 0:
                        found[asset.symbol] = deviation
        return found

    @cached_property
    def _yields(self) -> tuple[tuple[int, str], ...]:
        return tuple(
            (place, asset.symbol)
            for place, asset in enumerate(self.path.assets)
            if asset.kind == "rate" and tenor_of(asset.symbol) is not None
        )

    @cached_property
    def _fresh_yields(self) -> Flags:
        """Shape ``(T, yields)``: known in the month before."""
        places = [place for place, _ in self._yields]
        ages = self.path.ends[:, None] - self._known_at[:, places]
        return ~np.isnan(self.values[:, places]) & (ages <= _MONTH)

    def along(self, symbol: str) -> Floats:
        """The last known value at each bar, shape ``(T,)``.

        Raises
        ------
        UnknownName, BadInput
            There is no such symbol, or no value at the first bars.
        """
        column = self.values[:, self.path.column(symbol)]
        if np.isnan(column[0]):
            bar = int(np.isnan(column).sum()) - 1
            raise BadInput(
                f"{symbol} has no value at or before bar {bar} ({self.days[bar]}).",
                "Start later, or leave it out of the book.",
            )
        return column

    def usd_per(self, currency: str) -> Floats:
        """Dollars for one unit of a currency at each bar, shape ``(T,)``."""
        pairs = [asset.symbol for asset in self.path.assets if asset.kind == "fx"]
        product = np.ones(len(self))
        for pair, power in way_to_dollars(currency, pairs):
            product = product * self.along(pair) ** power
        return product

    def is_stale(self, symbols: tuple[str, ...]) -> Flags:
        """Where any of the symbols has no value of the bar, shape ``(T,)``; ``UST`` stands for the whole curve."""
        found = np.zeros(len(self), dtype=bool)
        for symbol in symbols:
            if symbol == "UST":
                places = [place for place, _ in self._yields]
                found |= (self.stale[:, places] & self._fresh_yields).any(axis=1)
            else:
                found |= self.stale[:, self.path.column(symbol)]
        return found

    @cached_property
    def states(self) -> tuple[State, ...]:
        """Of all bars; those of equal bars are equal."""
        return tuple(self.state(bar) for bar in range(len(self)))

    def state(self, bar: int) -> State:
        """What prices instruments at a bar.

        Raises
        ------
        BadInput
            There is no such bar.
        """
        if not 0 <= bar < len(self):
            raise BadInput(f"Bar {bar!r} of {len(self)}.", f"Give one from 0 to {len(self) - 1}.")
        row, late = self.values[bar].tolist(), self.stale[bar].tolist()
        symbols = self.path.symbols
        fresh = self._fresh_yields[bar].tolist()
        return State(
            on=self.days[bar],
            values={name: value for name, value in zip(symbols, row, strict=True) if value == value},
            kinds=self._kinds,
            stale=frozenset(name for name, is_late in zip(symbols, late, strict=True) if is_late),
            yields=tuple(name for (_, name), known in zip(self._yields, fresh, strict=True) if known),
            realised=self._realised,
            sectors=self._sectors,
            smile=self.smile,
            bar=bar,
        )

    @cached_property
    def _kinds(self) -> dict[str, Kind]:
        return {asset.symbol: asset.kind for asset in self.path.assets}

    @cached_property
    def _sectors(self) -> dict[str, str]:
        return {asset.symbol: asset.sector for asset in self.path.assets}


def state_of(path: Path, t: int, smile: Smile | None = None) -> State:
    """What prices instruments at bar `t` of a path: values up to its end, and nothing later."""
    return Tape(path, smile).state(t)
