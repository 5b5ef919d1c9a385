"""Halts that emerge from a path's own bars, and the path without what could not trade. Pure.

Nothing here is a list of days: the index reaches a level under the rules of its day or it does not, a stock stays at
its band or it does not. What a path does not show is not invented: from daily bars one sees the day and the level of a
market-wide halt and not its minute, so it is reported and stops nothing.

A bar is known when it ends. A halt that a bar sets off therefore begins with the end of that bar.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.amounts import nanoseconds
from quantdesk.orders.halts.breakers import MarketHalt
from quantdesk.orders.halts.hours import NEW_YORK, Hours, regular_hours
from quantdesk.orders.halts.known import KnownHalts
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.rulebook import Rulebook, bundled
from quantdesk.scenarios.intraday.lookback import Lookback
from quantdesk.scenarios.intraday.relatives import index_of
from quantdesk.scenarios.market_wide import IndexBars, reached
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.pauses import StockBars, pauses
from quantdesk.scenarios.scenario import ClosureEntry

__all__ = ["SOURCE", "HaltMet", "Stopped", "emergent"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SOURCE = "simulated tape"
"""What the statuses name as their source."""
_NEW_YORK = "XNYS"
_CLOSED, _REAL = GRADES.index(Grade.CLOSED), GRADES.index(Grade.REAL)
_DAILY = 3600 * 1_000_000_000
"""A bar that is longer is one of a day."""
_DAY = dt.timedelta(days=1)
_LONGEST = dt.timedelta(days=4)
"""No weekend with a holiday lasts longer from one session to the next."""


@dataclass(frozen=True, slots=True)
class HaltMet:
    """Something stopped.

    Attributes
    ----------
    symbol
        Which; ``*`` for the whole market, the name of an exchange where nothing that is traded was concerned.
    code
        ``MWC1`` to ``MWC3``, ``LUDP``, ``T5``, or ``CLOSED``.
    begins, ends
        Nanoseconds since 1970 (UTC). Where only the day is known, those of its bar.
    cause
        In words.
    numbers
        By name: value, threshold, previous close, bands.
    """

    symbol: str
    code: str
    begins: int
    ends: int
    cause: str
    numbers: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, eq=False)
class Stopped:
    """A path with its halts.

    Attributes
    ----------
    path
        Without what could not trade: closed and NaN.
    halts
        For desk and venues. Its phases are pre-open, continuous and closed; its auctions are not simulated. The instant
        of the close still belongs to the session, so that an order at the end of a bar meets the close.
    met
        What stopped, in the order of time.
    notes
        What could not be judged, and what stands in for what.
    """

    path: Path
    halts: KnownHalts
    met: tuple[HaltMet, ...]
    notes: tuple[str, ...] = ()


def emergent(
    path: Path,
    *,
    book: Rulebook | None = None,
    known: Sequence[ClosureEntry] = (),
    index: str | None = None,
    tiers: Mapping[str, int] | None = None,
) -> Stopped:
    """The halts that a path sets off.

    Parameters
    ----------
    path
        Of minutes or days.
    book
        The rules by day; those that ship when left out.
    known
        Closures that the calendars lack.
    index
        Which column the market-wide breakers follow; SPX, or the first index, when left out.
    tiers
        Limit up / limit down tier by symbol; 1 (the S&P 500, the Russell 1000 and the listed funds) for all others.

    Raises
    ------
    UnknownName
        The path has no such index.
    """
    book = book or bundled()
    work = _Work(path, book, dict(tiers or {}), index_of(path, index))
    work.phases()
    for closure in known:
        work.closure(closure)
    for rows in _days(path):
        windows = work.market(rows)
        if not work.daily:
            work.stocks(rows, windows)
        work.shut(rows, windows)
    met = tuple(sorted(work.met, key=lambda one: (one.begins, one.symbol, one.code)))
    return Stopped(work.result(), work.halts, met, tuple(dict.fromkeys(work.notes)))


def _days(path: Path) -> Iterator[range]:
    """The bars of each day."""
    days = path.sessions.to_numpy()
    marks = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), len(days)]
    for first, last in pairwise(marks):
        yield range(first, last)


def _midnight(day: dt.date) -> int:
    return nanoseconds(dt.datetime.combine(day, dt.time(), NEW_YORK))


class _Work:
    """What is found while the days go by."""

    def __init__(self, path: Path, book: Rulebook, tiers: Mapping[str, int], index: int | None) -> None:
        self.path, self.book, self.tiers, self.index = path, book, tiers, index
        self.daily = not path.is_intraday and bool((path.ends - path.begins).max() > _DAILY)
        self.halts = KnownHalts(phase=Phase.CLOSED, source=SOURCE)
        self.met: list[HaltMet] = []
        self.notes: list[str] = []
        self.lookback = Lookback.of(path)
        self.traded = np.array([asset.is_traded for asset in path.assets])
        self.here = self.traded & np.array([asset.calendar == _NEW_YORK for asset in path.assets])
        self.closed = np.zeros(path.close.shape, dtype=bool)
        if index is None:
            self.notes.append("There is no index, so the market-wide breakers were not judged.")

    def phases(self) -> None:
        """The regular sessions from the first day to the last; all else is closed."""
        day, last = (self.path.sessions[place].date() for place in (0, -1))
        before: tuple[dt.date, Hours] | None = None
        while day <= last:
            hours = regular_hours(day)
            if hours is not None:
                if before is not None and day - before[0] > _LONGEST:
                    cause = f"New York was shut between the sessions of {before[0]} and {day}, by its calendar"
                    shut = (nanoseconds(before[1].closes), nanoseconds(hours.opens))
                    self.met.append(HaltMet("*", "CLOSED", *shut, cause))
                before = (day, hours)
                opens, closes = nanoseconds(hours.opens), nanoseconds(hours.closes)
                self.halts.set_phase(Phase.PRE_OPEN, _midnight(day), opens)
                self.halts.set_phase(Phase.CONTINUOUS, opens, closes + 1)
            day += _DAY

    def closure(self, closure: ClosureEntry) -> None:
        """Whole days on which an exchange was shut."""
        since, until = _midnight(closure.first), _midnight(closure.last + _DAY)
        concerned = np.array([asset.calendar == closure.exchange.upper() for asset in self.path.assets])
        rows = (self.path.begins >= since) & (self.path.begins < until)
        if until <= self.path.begins[0] or since >= self.path.ends[-1]:
            return
        self.closed |= rows[:, None] & concerned
        cause = f"{closure.exchange} was shut: {closure.reason} ({closure.source})"
        if not concerned.any():  # it was a part of the crisis, whatever is looked at here
            cause += "; nothing of this scenario is traded there"
            self.met.append(HaltMet(closure.exchange, "CLOSED", since, until, cause))
            return
        if closure.exchange.upper() == _NEW_YORK:
            self.halts.halt_market(since, until, code="CLOSED", message=cause)
            self.met.append(HaltMet("*", "CLOSED", since, until, cause))
            return
        if not (concerned & self.traded).any():
            self.met.append(HaltMet(closure.exchange, "CLOSED", since, until, cause))
        for place in np.flatnonzero(concerned & self.traded).tolist():
            symbol = self.path.symbols[place]
            self.halts.halt(symbol, since, until, code="CLOSED", message=cause)
            self.met.append(HaltMet(symbol, "CLOSED", since, until, cause))

    def market(self, rows: range) -> list[tuple[int, int]]:
        """Market-wide halts of a day; returns when they held, which nobody knows on a daily path."""
        day = self.path.sessions[rows.start].date()
        hours = regular_hours(day)
        if self.index is None or hours is None:
            return []
        span = slice(rows.start, rows.stop)
        close = self.path.close[span, self.index]
        previous = self.lookback.previous(rows.start, self.index)
        if np.isnan(close).all():
            return []
        if np.isnan(previous):
            self.notes.append(f"The market-wide breakers of {day} were not judged: there is no close before.")
            return []
        low = np.full(len(rows), np.nan) if self.path.low is None else self.path.low[span, self.index]
        symbol = self.path.symbols[self.index]
        times = self.path.begins[span], self.path.ends[span]
        bars = IndexBars(symbol, day, previous, *times, low, close)
        found, note = reached(bars, self.book, daily=self.daily)
        if note:
            self.notes.append(note)
        return [window for halt in found for window in self._market_halt(halt, rows, hours, previous)]

    def _market_halt(self, halt: MarketHalt, rows: range, hours: Hours, previous: float) -> Iterator[tuple[int, int]]:
        numbers = {"level": float(halt.level), "value": halt.value, "threshold": halt.threshold}
        numbers |= {"previous_close": previous, "fall": halt.value / previous - 1}
        proxy = f", which stands in for the {halt.index}" if halt.proxy else ""
        assert self.index is not None  # noqa: S101 (there is no halt without an index)
        cause = (
            f"{self.path.symbols[self.index]}{proxy} at {halt.value:,.2f} reached the level {halt.level} of "
            f"{halt.threshold:,.2f}, {100 * (halt.value / previous - 1):+.1f} % from the close before"
        )
        code = f"MWC{halt.level}"
        if self.daily:
            grade = GRADES[self.path.grades[rows.start, self.index]]
            cause += f" ({grade} daily bar: the minute is not known, and nothing was stopped)"
            begins, ends = int(self.path.begins[rows.start]), int(self.path.ends[rows.start])
            self.met.append(HaltMet("*", code, begins, ends, cause, MappingProxyType(numbers)))
            return
        begins = nanoseconds(halt.at)
        ends = nanoseconds(halt.resumes or hours.closes)
        if not halt.stops:
            cause += "; so late in the day the rule stops nothing"
        self.met.append(HaltMet("*", code, begins, ends, cause, MappingProxyType(numbers)))
        if begins < ends:
            self.halts.halt_market(begins, ends + (halt.resumes is None), code=code, message=cause)
            span = slice(rows.start, rows.stop)
            within = (self.path.begins[span] >= begins) & (self.path.ends[span] <= ends)
            self.closed[span] |= within[:, None] & self.here
            yield begins, ends

    def stocks(self, rows: range, windows: list[tuple[int, int]]) -> None:
        """Pauses of single stocks on a day, between the halts of the market."""
        day = self.path.sessions[rows.start].date()
        hours = regular_hours(day)
        if hours is None or (self.book.luld(day) is None and self.book.single_stock_pause(day) is None):
            return
        begins, ends = self.path.begins[rows.start : rows.stop], self.path.ends[rows.start : rows.stop]
        stretch = np.zeros(len(rows), dtype=int)
        for _, until in windows:
            stretch += begins >= until
        for place, asset in enumerate(self.path.assets):
            if not self.here[place] or asset.kind == "index":
                continue
            previous = self.lookback.previous(rows.start, place)
            close = np.where(
                self.closed[rows.start : rows.stop, place], np.nan, self.path.close[rows.start : rows.stop, place]
            )
            if np.isnan(previous):
                if not np.isnan(close).all():
                    self.notes.append(f"{asset.symbol} has no close before {day}, so its bands were not judged.")
                continue
            opened = close if self.path.open is None else self.path.open[rows.start : rows.stop, place]
            opened = np.where(np.isnan(opened), close, opened)
            for number in range(len(windows) + 1):
                kept = (stretch == number) & ~np.isnan(close)
                bars = StockBars(
                    asset.symbol, day, previous, self.tiers.get(asset.symbol, 1),
                    begins[kept], ends[kept], opened[kept], close[kept], nanoseconds(hours.closes),
                )  # fmt: skip
                self._stock(bars, rows, place)

    def _stock(self, bars: StockBars, rows: range, place: int) -> None:
        found, bands = pauses(bars, self.book)
        for lower, upper, since, until in bands:
            self.halts.band(bars.symbol, lower, upper, since, until)
        for pause in found:
            last = pause.ends + (pause.ends == bars.closes)
            self.halts.halt(bars.symbol, pause.begins, last, code=pause.code, message=f"{bars.symbol}: {pause.cause}.")
            numbers = MappingProxyType(dict(pause.numbers))
            self.met.append(HaltMet(bars.symbol, pause.code, pause.begins, pause.ends, pause.cause, numbers))
            span = slice(rows.start, rows.stop)
            within = (self.path.begins[span] >= pause.begins) & (self.path.ends[span] <= pause.ends)
            self.closed[span, place] |= within

    def shut(self, rows: range, windows: list[tuple[int, int]]) -> None:
        """Bars that the path itself has as closed, in a regular session, without a halt of the market."""
        if regular_hours(self.path.sessions[rows.start].date()) is None:
            return
        span = slice(rows.start, rows.stop)
        shut = (self.path.grades[span] == _CLOSED) & self.here & ~self.closed[span]
        for since, until in windows:
            shut &= ((self.path.begins[span] < since) | (self.path.ends[span] > until))[:, None]
        if not shut.any():
            return
        everything = shut[:, self.here].all(axis=1)
        for begins, ends in self._runs(rows, everything):
            cause = "the path has the whole market closed in this part of a regular session"
            self.halts.halt_market(begins, ends, code="CLOSED", message=cause)
            self.met.append(HaltMet("*", "CLOSED", begins, ends, cause))
        for place in np.flatnonzero(self.here).tolist():
            symbol = self.path.symbols[place]
            for begins, ends in self._runs(rows, shut[:, place] & ~everything):
                cause = f"the path has {symbol} closed in this part of a regular session"
                self.halts.halt(symbol, begins, ends, code="CLOSED", message=cause)
                self.met.append(HaltMet(symbol, "CLOSED", begins, ends, cause))

    def _runs(self, rows: range, which: Bools) -> Iterator[tuple[int, int]]:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], which.astype(int), [0]])))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            yield int(self.path.begins[rows.start + first]), int(self.path.ends[rows.start + last - 1])

    def result(self) -> Path:
        """The path without what was closed."""
        if not self.closed.any():
            return self.path
        tables: dict[str, Any] = {}
        for name in ("open", "high", "low", "close", "volume"):
            table = getattr(self.path, name)
            if table is not None:
                tables[name] = np.where(self.closed, np.nan, table)
        grades = np.where(self.closed, _CLOSED, self.path.grades).astype(np.int8)
        return replace(self.path, grades=grades, **tables)
