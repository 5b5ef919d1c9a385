"""The market of a path, as a desk trades with it and as those who watch it see it. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.desk.facts import Facts
from quantdesk.orders.halts import Halts
from quantdesk.orders.routing.terms import Terms, directory
from quantdesk.orders.venues import SimulatedMarket
from quantdesk.orders.venues.flow import Flow
from quantdesk.orders.venues.shape import Shape
from quantdesk.scenarios.liquidity import Conditions, Liquidation, liquidate
from quantdesk.scenarios.market.config import CALM, Effects, MarketConfig
from quantdesk.scenarios.market.known import Known
from quantdesk.scenarios.market.quotes import Quotes, tick_of
from quantdesk.scenarios.market.sessions import Sessions
from quantdesk.scenarios.path import GRADES, Grade, Path

__all__ = ["PathMarket"]

Floats = NDArray[np.float64]
_LEAST_PRICE, _MOST_PRICE = 1e-4, 1e9
_FIRST_CHOICE = ("NYSE", "Nasdaq", "NYSE Arca", "Cboe BZX", "IEX", "Cboe EDGX", "MEMX")


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
        self.known = Known(path, self.config)
        self.sessions = Sessions(path)
        self._place = {symbol: place for place, symbol in enumerate(path.traded)}
        self._must_be_prices()
        shape = Shape(bars_are="real" if self._has(Grade.REAL) else "simulated")
        self.quotes = Quotes(self.known, self.sessions, effects, self.venues, shape)

    # ------------------------------------------------------------------------------------------------ as a source

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded."""
        return self.path.traded

    @property
    def conditions(self) -> Conditions:
        """Of each bar by its close, shape ``(T, traded)``."""
        return self.quotes.conditions

    @property
    def shape(self) -> Shape:
        """Of the flow; it says of which bars it was made."""
        return self.quotes.shape

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
        closes = self.sessions.spans(symbol)[1]
        return self.quotes.flow(symbol, bisect_right(closes, at))

    def begun(self, symbol: str, at: int) -> Flow | None:
        """The last session of a symbol that had opened by a moment; None where there is none."""
        opens = self.sessions.spans(symbol)[0]
        return self.quotes.flow(symbol, bisect_right(opens, at) - 1)

    # ------------------------------------------------------------------------------------------------- what it makes

    def market(self, seed: int, halts: Halts | None = None) -> SimulatedMarket:
        """The exchanges, their clock at the beginning of the first bar."""
        return SimulatedMarket(self, self.terms, int(self.path.begins[0]), seed=seed, halts=halts)

    def facts(self, symbol: str, at: int, label: str = "") -> Facts:
        """What is known of a symbol before the session of a moment."""
        place = self._place[symbol]
        day = max(bisect_right(self.sessions.opens, at) - 1, 0)
        last = float(self.sessions.before[day, place])
        return Facts(
            previous_close=0 if np.isnan(last) else round(last * MICRO),
            average_daily_volume=int(self.known.volume[place]),
            daily_volatility=float(self.known.sigma[place]),
            label=label,
        )

    def shown(self, symbol: str, at: int) -> tuple[int, int, int] | None:
        """Best bid and offer in micro-dollars and since when, as displayed at a moment.

        None where the path does not say: before the first value of a session, and outside of it.
        """
        opens, closes, _ = self.sessions.spans(symbol)
        number = bisect_right(opens, at) - 1
        if number < 0 or at >= closes[number]:
            return None
        moments, bid, ask = self.quotes.displayed(symbol, number)
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
            (since for names, since, until in self.quotes.effects.dark if symbol in names and since <= at < until),
            default=None,
        )

    def liquidation(self, positions: Mapping[str, int], prices: Mapping[str, float], bar: int) -> Liquidation:
        """What it takes to sell a book in the conditions of a bar: :func:`~quantdesk.scenarios.liquidity.liquidate`."""
        places = [self._place[symbol] for symbol in positions]
        here = (table[bar, places] for table in _tables(self.conditions))
        return liquidate(
            positions,
            {symbol: prices[symbol] for symbol in positions},
            {symbol: float(self.known.volume[place]) for symbol, place in zip(positions, places, strict=True)},
            Conditions(*here),
            {symbol: float(self.known.sigma[place]) for symbol, place in zip(positions, places, strict=True)},
        )

    def labels(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """What must be said of trades in some symbols: ``volumes_assumed``, ``indices_traded_as_funds``."""
        places = [self._place[symbol] for symbol in symbols]
        indices = any(self.path.asset(self.symbols[place]).kind == "index" for place in places)
        said = {"volumes_assumed": bool(self.known.is_assumed[places].any()), "indices_traded_as_funds": indices}
        return tuple(label for label, holds in said.items() if holds)

    @cached_property
    def normal_spreads(self) -> dict[str, float]:
        """Basis points between the best quotes in calm times, by symbol: never less than a step of prices."""
        found = {}
        for symbol, place in self._place.items():
            price = self.known.first_price(self.known.columns[place])
            found[symbol] = max(2 * self.config.liquidity.half_spread_bps, tick_of(price) / MICRO / price * 1e4)
        return found

    @cached_property
    def quoted(self) -> tuple[Floats, Floats]:
        """Half-spreads in basis points, and shares displayed a side at the best quotes: shape ``(T, traded)``."""
        return self.conditions.half_spread_bps, self.config.displayed * self.known.volume * self.conditions.depth

    # --------------------------------------------------------------------------------------------------- inside

    def _must_be_prices(self) -> None:
        for name in ("open", "high", "low", "close"):
            table = getattr(self.path, name)
            if table is None:
                continue
            values = table[:, self.known.columns]
            wrong = np.argwhere((values < _LEAST_PRICE) | (values > _MOST_PRICE))
            if len(wrong):
                bar, place = wrong[0].tolist()
                raise BadInput(
                    f"The {name} of {self.symbols[place]} on {self.path.sessions[bar].date()} is "
                    f"{values[bar, place]:g}.",
                    f"Prices of what is traded lie between {_LEAST_PRICE:g} and {_MOST_PRICE:g} dollars.",
                )

    def _has(self, grade: Grade) -> bool:
        return bool((self.path.grades[:, self.known.columns] == GRADES.index(grade)).any())


def _tables(conditions: Conditions) -> tuple[Floats, Floats, Floats, Floats]:
    return conditions.half_spread_bps, conditions.depth, conditions.volume, conditions.impact
