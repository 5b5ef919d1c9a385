"""The past, day by day: a scenario's window out of the store. An edge module: it reads a store.

Which bars there are
    A row is a weekday on which any of the assets has a value. An asset whose market had no session that day, by its
    calendar or by a closure, is ``closed`` there; one that should have a value and has none is ``missing``. Nothing is
    carried from one row to the next.

What belongs to a row
    The value of an asset's own session of that day: the close in New York, the fixing in Frankfurt at 14:15 CET, the
    Treasury's curve of 15:30 in New York, spot oil of that day. That is right for *valuation*, and only for that: the
    curve is published after the close and spot oil a week later (:mod:`quantdesk.market.publication`). A strategy may
    see closes of equities, funds, indices and fixings of rows that have ended, and no others; the features of this
    package are built from traded assets alone.

Levels
    See :mod:`quantdesk.scenarios.replay.levels`. The history is on the window's scale: there is no jump between them.

What is not in the store
    is bridged between the scenario's waypoints (:mod:`quantdesk.scenarios.replay.reconstruction`) and graded
    ``reconstructed``, with the method in :attr:`Path.methods`; where there are no waypoints it is ``missing``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path as FilePath
from types import MappingProxyType

import numpy as np
import pandas as pd

from quantdesk.errors import BadDates, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.replay.columns import Column, ranges, read, sha256_of
from quantdesk.scenarios.replay.reconstruction import NOTHING, Bridged, bridge
from quantdesk.scenarios.replay.rows import hours_of, sessions_of
from quantdesk.scenarios.scenario import AssetEntry, Scenario

__all__ = ["replay"]

_CODE = {grade: GRADES.index(grade) for grade in Grade}
_DRIVER = "SPX"


def replay(scenario: Scenario, store: MarketStore, *, symbols: Sequence[str] | None = None) -> Path:
    """What happened to the assets of a scenario, one bar a day.

    Parameters
    ----------
    scenario
        From the catalogue, or a user's own.
    store
        Where real values come from.
    symbols
        Only these, in this order; a symbol of the store that the scenario does not list is taken up as well. All assets
        of the scenario when left out.

    Returns
    -------
    Path
        The window, with the days before it as its history. Its arrays are read-only: replays of the same data are the
        same object.

    Raises
    ------
    UnknownName
        A symbol that neither the scenario nor the store has.
    BadDates
        A symbol that was asked for has no value in the window, or no asset has; the message gives the ranges.
    BadInput
        A waypoint on a day without a session, or an asset of an unknown kind.
    """
    return _replayed(scenario, store.root, store.version, None if symbols is None else tuple(symbols))


@lru_cache(maxsize=32)
def _replayed(  # the version is a part of the key, and of nothing else
    scenario: Scenario,
    root: FilePath,
    version: str,  # noqa: ARG001
    symbols: tuple[str, ...] | None,
) -> Path:
    """One replay, kept: the version of the store is a hash of all that it holds."""
    store = MarketStore(root)
    since = scenario.start - dt.timedelta(days=scenario.history_days)
    window = (scenario.start, scenario.end)
    columns = [read(entry, store, window, since) for entry in _entries(scenario, store, symbols)]
    driver = _driver(columns, scenario, store, since)
    bridges = [_bridged(column, scenario, since, driver) for column in columns]
    made = {column.asset.symbol: one for column, one in zip(columns, bridges, strict=True)}
    if symbols is not None:
        _must_have_values(columns, made, scenario, store)
    read_too = driver.hashes if driver is not None else {}
    return _Table(scenario, columns, made, read_too).path(since)


def _entries(scenario: Scenario, store: MarketStore, symbols: Sequence[str] | None) -> list[AssetEntry]:
    if symbols is None:
        return list(scenario.assets)
    mine = {entry.symbol: entry for entry in scenario.assets}
    stored = {one.symbol for one in store.series()}
    for symbol in symbols:
        if symbol not in mine and symbol not in stored:
            raise UnknownName(f"symbol of {scenario.name}", str(symbol)[:80], [*mine, *stored])
    return [mine.get(symbol) or AssetEntry(symbol=symbol) for symbol in symbols]


def _driver(columns: Sequence[Column], scenario: Scenario, store: MarketStore, since: dt.date) -> Column | None:
    """The index that volatility follows, until the last waypoint; None where no volatility is bridged."""
    moved = {column.asset.symbol for column in columns if column.asset.kind == "volatility"}
    days = [point.on for point in scenario.waypoints if point.symbol in moved]
    if not days or not any(one.symbol == _DRIVER for one in store.series()):
        return None
    return read(AssetEntry(symbol=_DRIVER), store, (scenario.start, max(scenario.end, *days)), min(since, *days))


def _bridged(column: Column, scenario: Scenario, since: dt.date, driver: Column | None) -> Bridged:
    symbol = column.asset.symbol
    points = {point.on: point.value for point in scenario.waypoints if point.symbol == symbol}
    if not points:
        return NOTHING
    last = max(scenario.end, *points)
    closes = None if driver is None else driver.frame["close"]
    sessions = sessions_of(column.asset.calendar, min(since, *points), last, scenario.closures)
    return bridge(column.asset.kind, sessions, column.frame["close"], points, closes)


def _must_have_values(
    columns: Sequence[Column], made: dict[str, Bridged], scenario: Scenario, store: MarketStore
) -> None:
    first, last = pd.Timestamp(scenario.start), pd.Timestamp(scenario.end)
    for column in columns:
        symbol = column.asset.symbol
        days = column.frame.index.union(made[symbol].values.index)
        if not ((days >= first) & (days <= last)).any():
            raise BadDates(
                f"{symbol} has no value from {scenario.start} to {scenario.end}, the window of {scenario.name}.",
                f"{ranges(symbol, store.series())}; leave it out, or choose another scenario.",
            )


class _Table:
    """Columns on their way to a path."""

    def __init__(
        self, scenario: Scenario, columns: Sequence[Column], made: dict[str, Bridged], read_too: Mapping[str, str]
    ) -> None:
        self.scenario = scenario
        self.columns = columns
        self.made = made
        self.read_too = read_too

    def path(self, since: dt.date) -> Path:
        days = self._days(since)
        early = days < pd.Timestamp(self.scenario.start)
        history = self._part(days[early], None) if early.any() else None
        return self._part(days[~early], history)

    def _days(self, since: dt.date) -> pd.DatetimeIndex:
        first, last = self.scenario.start, self.scenario.end
        days = pd.DatetimeIndex([])
        for column in self.columns:
            for known in (column.frame.index, self.made[column.asset.symbol].values.index):
                days = days.union(pd.DatetimeIndex(known))
        days = days[(days.dayofweek < 5) & (days >= pd.Timestamp(since)) & (days <= pd.Timestamp(last))]
        if not (days >= pd.Timestamp(first)).any():
            raise BadDates(
                f"No asset of {self.scenario.name} has a value from {first} to {last}.",
                "Load the series first (`quantdesk data load`), or choose another window.",
            )
        return pd.DatetimeIndex(days)

    def _part(self, days: pd.DatetimeIndex, history: Path | None) -> Path:
        shape = (len(days), len(self.columns))
        tables = {name: np.full(shape, np.nan) for name in ("open", "high", "low", "close", "volume")}
        grades = np.full(shape, _CODE[Grade.MISSING], dtype=np.int8)
        open_days = {
            calendar: days.isin(sessions_of(calendar, days[0].date(), days[-1].date(), self.scenario.closures))
            for calendar in {column.asset.calendar for column in self.columns}
        }
        for place, column in enumerate(self.columns):
            rows = column.frame.index.get_indexer(days)
            values = self.made[column.asset.symbol].values.reindex(days).to_numpy()
            for name, table in tables.items():
                table[rows >= 0, place] = column.frame[name].to_numpy(dtype=np.float64)[rows[rows >= 0]]
            known = ~np.isnan(tables["close"][:, place])
            bridged = ~known & ~np.isnan(values)
            tables["close"][bridged, place] = values[bridged]
            grades[~open_days[column.asset.calendar], place] = _CODE[Grade.CLOSED]
            grades[known, place] = _CODE[Grade.REAL if column.observed else Grade.SIMULATED]
            grades[bridged, place] = _CODE[Grade.RECONSTRUCTED]
        begins, ends = hours_of(days)
        for table in (*tables.values(), grades, begins, ends):
            table.setflags(write=False)
        bars = {name: None if np.isnan(table).all() else table for name, table in tables.items() if name != "close"}
        return Path(
            name=self.scenario.name,
            assets=tuple(column.asset for column in self.columns),
            begins=begins,
            ends=ends,
            close=tables["close"],
            grades=grades,
            open=bars["open"],
            high=bars["high"],
            low=bars["low"],
            volume=bars["volume"],
            history=history,
            methods=self._methods(),
            hashes=self._hashes(),
            labels=self._labels(),
        )

    def _methods(self) -> MappingProxyType[str, str]:
        said = {}
        for column in self.columns:
            words = [word for word in (column.method, self.made[column.asset.symbol].method) if word]
            if words:
                said[column.asset.symbol] = "; ".join(words)
        return MappingProxyType(said)

    def _hashes(self) -> MappingProxyType[str, str]:
        series = {name: value for column in self.columns for name, value in column.hashes.items()}
        own = {f"scenario {self.scenario.name}": sha256_of(self.scenario.model_dump_json())}
        return MappingProxyType(own | dict(sorted({**series, **self.read_too}.items())))

    def _labels(self) -> tuple[str, ...]:
        said = {label for column in self.columns for label in column.labels}
        if any(not one.values.empty for one in self.made.values()):
            said.add("partly_reconstructed")
        if any(column.asset.sector for column in self.columns):
            said.add("sectors_of_today")
        return tuple(sorted(said))
