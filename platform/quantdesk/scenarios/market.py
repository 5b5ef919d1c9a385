"""The market of a path: what venues quote while a crisis goes by, as simulated exchanges that a desk trades with. Pure.

Midpoints are the values of the path. Around them stand the quotes that :mod:`quantdesk.scenarios.liquidity` says: wider
and thinner as volatility rises. What lies behind them, and what one's own orders do to the price, is the square-root
law of :mod:`quantdesk.orders.venues.impact`. No quote is a record of what was displayed: the flow is labelled
``reconstructed`` on real bars and ``simulated`` on others.

Times of quotes. A bar of minutes shows its open when it begins and its close from its middle on. A daily bar shows its
open, its extremes (first the one that is nearer to the open) a third and two thirds through the session, and its close
a minute before the end, each only where the series has it. Without an open there are no extremes: nobody knows which
came first, and who waits for the first quote of a day would always trade at one. Where a market is closed or a bar is
missing, nobody quotes. Quotes before the close of a bar are as wide and as deep as the volatility of earlier bars makes
them: nobody knows then how wild the bar will have been. What lies behind a quote is as thin as the quote itself says:
the law is that of the session's first quote, and the strain of each later one is how much further the same shares move
the price by then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.orders.desk.facts import Facts
from quantdesk.orders.halts import Halts
from quantdesk.orders.routing.terms import Terms, directory
from quantdesk.orders.venues import SimulatedMarket
from quantdesk.orders.venues.flow import Flow
from quantdesk.orders.venues.impact import Impact
from quantdesk.orders.venues.prints import Trades
from quantdesk.orders.venues.shape import Shape
from quantdesk.scenarios.liquidity import Conditions, Liquidation, Liquidity, liquidate, stress_of
from quantdesk.scenarios.path import GRADES, Grade, Path

__all__ = ["CALM", "Effects", "MarketConfig", "PathMarket"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_LOT = 100
_CLOSING = 60 * SECOND
_LEAST_PRICE, _MOST_PRICE = 1e-4, 1e9
_FIRST_CHOICE = ("NYSE", "Nasdaq", "NYSE Arca", "Cboe BZX", "IEX", "Cboe EDGX", "MEMX")
_EMPTY = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class MarketConfig:
    """What a path does not say of its market.

    Attributes
    ----------
    liquidity
        Spreads, depth and impact under stress.
    venues
        How many; those of the day's rulebook, the largest first.
    dollar_volume
        Dollars that trade a day of a symbol whose volume is not known: an assumption, and labelled so.
    displayed
        Part of a day's volume that is displayed at the best quotes of a side in calm times, over all venues.
    daily_volatility
        Of a symbol with too short a history.
    y
        Factor of the square-root law in calm times.
    """

    liquidity: Liquidity = field(default_factory=Liquidity)
    venues: int = 4
    dollar_volume: float = 500e6
    displayed: float = 2e-4
    daily_volatility: float = 0.02
    y: float = 1.0

    def __post_init__(self) -> None:
        for name in ("venues", "dollar_volume", "displayed", "daily_volatility", "y"):
            if not 0 < getattr(self, name) < float("inf"):
                raise BadInput(f"The market's {name} is {getattr(self, name)!r}.", "Give a finite number above 0.")


@dataclass(frozen=True, eq=False)
class Effects:
    """What happens to a market beside its prices.

    Attributes
    ----------
    depth, spread
        Multiples per bar, shape ``(T,)`` or ``(T, N)``, on top of what volatility makes of them; None for 1.
    dark
        Windows in which feeds show nothing new of some symbols: symbols, since, until (nanoseconds, half open). What
        was shown before stands there still, and is stale.
    """

    depth: Floats | None = None
    spread: Floats | None = None
    dark: Sequence[tuple[Sequence[str], int, int]] = ()


CALM = Effects()
"""Nothing but the prices."""


class PathMarket:
    """Quotes of every traded asset of a path: the :class:`~quantdesk.orders.venues.sources.Source` of its market.

    Parameters
    ----------
    path
        Its traded assets get quotes.
    config
        What it does not say.
    effects
        What else happens to it.
    """

    def __init__(self, path: Path, config: MarketConfig | None = None, effects: Effects = CALM) -> None:
        self.path = path
        self.config = config or MarketConfig()
        self._columns = [path.column(symbol) for symbol in path.traded]
        self._dark = effects.dark
        self._place = {symbol: place for place, symbol in enumerate(path.traded)}
        self._flows: dict[tuple[str, int], Flow] = {}
        self._seen: dict[tuple[str, int], tuple[list[int], list[int], list[int]]] = {}
        self._must_be_prices()
        self.shape = Shape(bars_are="real" if self._has(Grade.REAL) else "simulated")
        extra = [self._multiple(given) for given in (effects.depth, effects.spread)]
        stress = stress_of(path)
        early = np.vstack([_stress_before(path), stress[:-1]])
        self.conditions, self._early = (
            _times(self.config.liquidity.at(table[:, self._columns]), extra[0], extra[1]) for table in (stress, early)
        )

    # ------------------------------------------------------------------------------------------------ as a source

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded."""
        return self.path.traded

    @cached_property
    def terms(self) -> tuple[Terms, ...]:
        """Of the venues, on the first day of the path, or on the oldest day that the rulebook knows."""
        known = {one.venue: one for one in directory(self.path.sessions[0].date(), earliest=True)}
        chosen = [name for name in _FIRST_CHOICE if name in known] + [n for n in known if n not in _FIRST_CHOICE]
        return tuple(known[name] for name in chosen[: self.config.venues])

    @cached_property
    def venues(self) -> tuple[str, ...]:
        """Where."""
        return tuple(one.venue for one in self.terms)

    def flow(self, symbol: str, at: int) -> Flow | None:
        """The first session of a symbol that closes after a moment; None where there is none."""
        closes = self._spans(symbol)[1]
        return self._flow(symbol, bisect_right(closes, at))

    def begun(self, symbol: str, at: int) -> Flow | None:
        """The last session of a symbol that had opened by a moment; None where there is none."""
        opens = self._spans(symbol)[0]
        return self._flow(symbol, bisect_right(opens, at) - 1)

    # ------------------------------------------------------------------------------------------------- what it makes

    def market(self, seed: int, halts: Halts | None = None) -> SimulatedMarket:
        """The exchanges, their clock at the beginning of the first bar."""
        return SimulatedMarket(self, self.terms, int(self.path.begins[0]), seed=seed, halts=halts)

    def facts(self, symbol: str, at: int, label: str = "") -> Facts:
        """What is known of a symbol before the session of a moment."""
        place = self._place[symbol]
        day = max(bisect_right(self._days_open, at) - 1, 0)
        last = float(self._before[day, place])
        return Facts(
            previous_close=0 if np.isnan(last) else round(last * MICRO),
            average_daily_volume=int(self._volume[place]),
            daily_volatility=float(self._sigma[place]),
            label=label,
        )

    def shown(self, symbol: str, at: int) -> tuple[int, int, int] | None:
        """Best bid and offer in micro-dollars and since when, as displayed at a moment.

        None where the path does not say: before the first value of a session, and outside of it.
        """
        opens, closes, _ = self._spans(symbol)
        number = bisect_right(opens, at) - 1
        if number < 0 or at >= closes[number]:
            return None
        moments, bid, ask = self._displayed(symbol, number)
        step = bisect_right(moments, at) - 1
        if step < 0:
            return None
        # Of a daily bar four moments are known: that nothing is shown between them does not make a quote old.
        dark = self.dark_since(symbol, at)
        since = moments[step] if self.path.is_intraday or dark is not None else at
        return bid[step], ask[step], since if dark is None else min(since, dark)

    def dark_since(self, symbol: str, at: int) -> int | None:
        """When the feed of a symbol that is silent at a moment fell silent; None where it is not."""
        return min(
            (since for names, since, until in self._dark if symbol in names and since <= at < until), default=None
        )

    def _displayed(self, symbol: str, number: int) -> tuple[list[int], list[int], list[int]]:
        """Moments, best bids and best offers of a session; lists, for they are looked up again and again."""
        key = (symbol, number)
        if key not in self._seen:
            flow = self._flow(symbol, number)
            assert flow is not None  # noqa: S101 (its number is that of a session)
            bid, ask = flow.best
            self._seen[key] = flow.at.tolist(), bid.tolist(), ask.tolist()
        return self._seen[key]

    def liquidation(self, positions: Mapping[str, int], prices: Mapping[str, float], bar: int) -> Liquidation:
        """What it takes to sell a book in the conditions of a bar: :func:`~quantdesk.scenarios.liquidity.liquidate`."""
        places = [self._place[symbol] for symbol in positions]
        here = (table[bar, places] for table in _tables(self.conditions))
        return liquidate(
            positions,
            {symbol: prices[symbol] for symbol in positions},
            {symbol: float(self._volume[place]) for symbol, place in zip(positions, places, strict=True)},
            Conditions(*here),
            {symbol: float(self._sigma[place]) for symbol, place in zip(positions, places, strict=True)},
        )

    def labels(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """What must be said of trades in some symbols: ``volumes_assumed``, ``indices_traded_as_funds``."""
        places = [self._place[symbol] for symbol in symbols]
        indices = any(self.path.asset(self.symbols[place]).kind == "index" for place in places)
        said = {"volumes_assumed": bool(self._is_assumed[places].any()), "indices_traded_as_funds": indices}
        return tuple(label for label, holds in said.items() if holds)

    @cached_property
    def normal_spreads(self) -> dict[str, float]:
        """Basis points between the best quotes in calm times, by symbol: never less than a step of prices."""
        found = {}
        for symbol, place in self._place.items():
            price = self._first_price(self._columns[place])
            found[symbol] = max(2 * self.config.liquidity.half_spread_bps, tick_of(price) / MICRO / price * 1e4)
        return found

    @cached_property
    def quoted(self) -> tuple[Floats, Floats]:
        """Half-spreads in basis points, and shares displayed a side at the best quotes: shape ``(T, traded)``."""
        return self.conditions.half_spread_bps, self.config.displayed * self._volume * self.conditions.depth

    # --------------------------------------------------------------------------------------------------- inside

    def _must_be_prices(self) -> None:
        for name in ("open", "high", "low", "close"):
            table = getattr(self.path, name)
            if table is None:
                continue
            values = table[:, self._columns]
            wrong = np.argwhere((values < _LEAST_PRICE) | (values > _MOST_PRICE))
            if len(wrong):
                bar, place = wrong[0].tolist()
                raise BadInput(
                    f"The {name} of {self.symbols[place]} on {self.path.sessions[bar].date()} is "
                    f"{values[bar, place]:g}.",
                    f"Prices of what is traded lie between {_LEAST_PRICE:g} and {_MOST_PRICE:g} dollars.",
                )

    def _has(self, grade: Grade) -> bool:
        return bool((self.path.grades[:, self._columns] == GRADES.index(grade)).any())

    def _multiple(self, given: Floats | None) -> Floats:
        if given is None:
            return np.ones((1, 1))
        table = np.asarray(given, dtype=np.float64)
        table = table[:, None] if table.ndim == 1 else table[:, self._columns]
        if len(table) != len(self.path.ends) or not (np.isfinite(table) & (table > 0)).all():
            raise BadInput(f"Multiples of the shape {table.shape}.", "Give one above 0 for each bar of the path.")
        return table

    @cached_property
    def _sigma(self) -> Floats:
        """Daily volatility of the history, shape ``(traded,)``."""
        history = self.path.history
        found = np.full(len(self._columns), np.nan)
        if history is not None and len(history.ends) > 20:
            closes = history.close[-61:, [history.column(symbol) for symbol in self.symbols]]
            with np.errstate(invalid="ignore"):
                moves = np.diff(np.log(closes), axis=0)
            enough = np.isfinite(moves).sum(axis=0) >= 20
            found[enough] = np.nanstd(moves[:, enough], axis=0, ddof=1)
        return np.where((found > 0) & np.isfinite(found), found, self.config.daily_volatility)

    @cached_property
    def _volume(self) -> Floats:
        """Shares a day before the window, shape ``(traded,)``; from the assumed dollar volume where unknown."""
        first = np.array([self._first_price(column) for column in self._columns])
        return np.where(self._is_assumed, self.config.dollar_volume / first, self._known_volume)

    @cached_property
    def _is_assumed(self) -> Bools:
        """Of which symbols the volume is not known; that of an index is of its members, and not of a fund."""
        kinds = np.array([asset.kind == "index" for asset in self.path.assets])[self._columns]
        return np.asarray(~(self._known_volume > 0) | kinds, dtype=np.bool_)

    @cached_property
    def _known_volume(self) -> Floats:
        """Mean of the last days before the window, shape ``(traded,)``; NaN where there is none."""
        found = np.full(len(self._columns), np.nan)
        history = self.path.history
        if history is not None and history.volume is not None:
            volumes = history.volume[-21:, [history.column(symbol) for symbol in self.symbols]]
            known = np.isfinite(volumes).any(axis=0)
            found[known] = np.nanmean(volumes[:, known], axis=0)
        return found

    def _first_price(self, column: int) -> float:
        values = self.path.close[:, column]
        known = values[np.isfinite(values)]
        return float(known[0]) if known.size else 1.0

    @cached_property
    def _days(self) -> tuple[Ints, Ints]:
        """First and one past the last bar of each session."""
        new = np.flatnonzero(np.diff(self.path.days, prepend=-1))
        return new, np.append(new[1:], len(self.path.ends))

    @cached_property
    def _days_open(self) -> list[int]:
        found: list[int] = self.path.begins[self._days[0]].tolist()
        return found

    @cached_property
    def _before(self) -> Floats:
        """The last close known before each session, shape ``(sessions, traded)``; NaN where there is none."""
        history = self.path.history
        width = len(self._columns)
        last = np.full(width, np.nan)
        if history is not None:
            for row in history.close[:, [history.column(symbol) for symbol in self.symbols]][-10:]:
                last = np.where(np.isfinite(row), row, last)
        found = np.empty((len(self._days[0]), width))
        for day, (first, end) in enumerate(zip(*self._days, strict=True)):
            found[day] = last
            for row in self.path.close[first:end, self._columns]:
                last = np.where(np.isfinite(row), row, last)
        return found

    @cached_property
    def _sessions_of(self) -> dict[str, tuple[list[int], list[int], list[int]]]:
        """By symbol: opens, closes and numbers of the sessions in which it has a bar."""
        first, end = self._days
        there = np.isfinite(self.path.close[:, self._columns])
        any_bar = np.logical_or.reduceat(there, first, axis=0)
        opens, closes = self.path.begins[first], self.path.ends[end - 1]
        found = {}
        for symbol, place in self._place.items():
            days = np.flatnonzero(any_bar[:, place])
            found[symbol] = (opens[days].tolist(), closes[days].tolist(), days.tolist())
        return found

    def _spans(self, symbol: str) -> tuple[list[int], list[int], list[int]]:
        if symbol not in self._place:
            raise UnknownName("symbol", symbol, self._place)
        return self._sessions_of[symbol]

    def _flow(self, symbol: str, number: int) -> Flow | None:
        opens, closes, days = self._spans(symbol)
        if not 0 <= number < len(days):
            return None
        key = (symbol, number)
        if key not in self._flows:
            first, end = (int(bound[days[number]]) for bound in self._days)
            self._flows[key] = self._made(symbol, first, end, opens[number], closes[number])
        return self._flows[key]

    def _made(self, symbol: str, first: int, end: int, opens: int, closes: int) -> Flow:
        place = self._place[symbol]
        at, mid, bar, is_close = self._shown(symbol, *self._steps(self._columns[place], first, end))
        tick = tick_of(float(mid[0]))
        now, early = self.conditions, self._early
        half = mid * np.where(is_close, now.half_spread_bps[bar, place], early.half_spread_bps[bar, place])
        half *= 1e-4 * MICRO
        middle = mid * MICRO
        bid = np.maximum(np.floor((middle - half) / tick), 1).astype(np.int64) * tick
        ask = np.maximum(np.ceil((middle + half) / tick).astype(np.int64) * tick, bid + tick)
        part = np.array([1 / (rank + 1) for rank in range(len(self.venues))])
        part /= part.sum()
        depth = np.where(is_close, now.depth[bar, place], early.depth[bar, place])
        shares = (self.config.displayed * self._volume[place] * depth)[:, None] * part
        size = np.maximum(np.rint(shares / _LOT), 1).astype(np.int64) * _LOT
        behind = (np.arange(len(self.venues)) // 2) * tick
        bids = np.maximum(bid[:, None] - behind, tick)
        further = np.where(is_close, now.impact[bar, place], early.impact[bar, place]) / early.impact[first, place]
        impact = Impact(
            float(self._sigma[place]),
            float(self._volume[place]),
            max(round(float(middle[0])), 1),
            tick,
            self.config.y * float(early.impact[first, place]),
        )
        return Flow(
            symbol, self.venues, opens, closes, at, np.rint(middle).astype(np.int64),
            bids, size, ask[:, None] + behind, size.copy(), Trades(*[_EMPTY] * 5),
            tick, tuple(part.tolist()), impact, 1.0, self.shape,
            "reconstructed" if self.shape.bars_are == "real" else "simulated",
            None if (further == 1).all() else further,
        )  # fmt: skip

    def _shown(
        self, symbol: str, at: Ints, mid: Floats, bar: Ints, is_close: Bools
    ) -> tuple[Ints, Floats, Ints, Bools]:
        """The quotes that reach anybody; the first of a session always does, for a flow begins with one."""
        seen = np.ones(len(at), dtype=bool)
        for symbols, since, until in self._dark:
            if symbol in symbols:
                seen &= (at < since) | (at >= until)
        seen[0] = True
        return at[seen], mid[seen], bar[seen], is_close[seen]

    def _steps(self, column: int, first: int, end: int) -> tuple[Ints, Floats, Ints, Bools]:
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


def _stress_before(path: Path) -> Floats:
    """The stress that is known before the first bar, shape ``(1, N)``."""
    shut = np.full((1, len(path.assets)), np.nan)
    codes = np.full(shut.shape, GRADES.index(Grade.CLOSED), dtype=np.int8)
    return stress_of(replace(path.cut(0, 1), close=shut, grades=codes))


def _times(found: Conditions, depth: Floats, spread: Floats) -> Conditions:
    """Conditions in a market whose depth and spreads are multiples of them."""
    return Conditions(found.half_spread_bps * spread, found.depth * depth, found.volume, found.impact / np.sqrt(depth))


def _tables(conditions: Conditions) -> tuple[Floats, Floats, Floats, Floats]:
    return conditions.half_spread_bps, conditions.depth, conditions.volume, conditions.impact


def tick_of(price: float) -> int:
    """The step of quoted prices in micro-dollars: a cent from $20 on; below, about as large a part of the price.

    Levels of adjusted prices are not those of their day, and a cent would be a wide spread on a price that splits have
    made small.
    """
    if price >= 20:
        return MICRO // 100
    step = 10 ** np.floor(np.log10(max(price, 1e-3) * 5e-4 * MICRO))
    return max(int(step), 1)
