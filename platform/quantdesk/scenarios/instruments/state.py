"""What prices instruments at one bar: the last known value of everything, and what follows from it. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market.series import Kind
from quantdesk.scenarios.instruments.curve import Curve, curve_of
from quantdesk.scenarios.instruments.smile import Smile

__all__ = ["VOLATILITY", "State", "tenor_of", "way_to_dollars"]

VOLATILITY = "VIX"
"""The index of implied volatility, in percent; of SPX over 30 days."""
_UNDERLYING = "SPX"
_TENOR = re.compile(r"UST([1-9][0-9]?)([MY])")
_PAIR = re.compile(r"[A-Z]{6}")


def tenor_of(symbol: str) -> float | None:
    """The maturity in years of a series of Treasury yields (``UST10Y``: 10); None of anything else."""
    found = _TENOR.fullmatch(symbol)
    return int(found[1]) / (12 if found[2] == "M" else 1) if found else None


def way_to_dollars(currency: str, pairs: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """The pairs whose product is dollars per unit of a currency, each with its power, 1 or -1; the shortest way.

    ``EURUSD`` is dollars per euro: the way of ``JPY`` over ``EURUSD`` and ``EURJPY`` is ``EURUSD / EURJPY``.

    Raises
    ------
    UnknownName
        No pairs lead there.
    """
    known = sorted(pair for pair in pairs if _PAIR.fullmatch(pair))
    ways: dict[str, tuple[tuple[str, int], ...]] = {"USD": ()}
    reached = ["USD"]
    for here in reached:
        for pair in known:
            base, quote = pair[:3], pair[3:]
            for there, near, power in ((base, quote, 1), (quote, base, -1)):
                if near == here and there not in ways:
                    ways[there] = (*ways[here], (pair, power))
                    reached.append(there)
    if currency not in ways:
        raise UnknownName("currency of this scenario", currency, ways)
    return ways[currency]


@dataclass(frozen=True)
class State:
    """Values at the end of one bar.

    Attributes
    ----------
    on
        The day in New York.
    values
        By symbol, in the unit of the path: dollars, index points, percent (yields: par, bond-equivalent; VIX), units of
        the second currency of a pair for one of the first. What has no value yet is left out.
    kinds
        Of all symbols of the path, those without a value too.
    stale
        Symbols whose value is not of this bar: it is missing there, or its market was closed.
    yields
        The symbols of yields that make the curve: those known at some time in the month before.
    realised
        Volatility of the daily log returns of the year before the first bar, a fraction a year, by symbol.
    sectors
        Of stocks.
    smile
        The skew of options.
    bar
        Place in the path.
    """

    on: dt.date
    values: Mapping[str, float]
    kinds: Mapping[str, Kind]
    stale: frozenset[str] = frozenset()
    yields: tuple[str, ...] = ()
    realised: Mapping[str, float] = field(default_factory=dict)
    sectors: Mapping[str, str] = field(default_factory=dict)
    smile: Smile = field(default_factory=Smile)
    bar: int = 0

    def value(self, symbol: str) -> float:
        """The last known value.

        Raises
        ------
        UnknownName
            The path has no such symbol.
        BadInput
            It has no value up to this bar.
        """
        if symbol in self.values:
            return self.values[symbol]
        if symbol not in self.kinds:
            raise UnknownName("symbol of this scenario", symbol, self.kinds)
        raise BadInput(
            f"{symbol} has no value at or before bar {self.bar} ({self.on}).",
            "Start later, or leave it out of the book.",
        )

    @cached_property
    def curve(self) -> Curve:
        """Of the Treasury's yields.

        Raises
        ------
        BadInput
            No yield is known in the month before the bar.
        """
        if not self.yields:
            raise BadInput(
                f"No yield is known at bar {self.bar} ({self.on}) or in the month before.",
                "What is priced off the Treasury curve needs UST series in the scenario.",
            )
        known = sorted((tenor, self.values[name]) for name in self.yields if (tenor := tenor_of(name)) is not None)
        return curve_of(self.on, tuple(known))

    def usd_per(self, currency: str) -> float:
        """Dollars for one unit of a currency."""
        product = 1.0
        for pair, power in way_to_dollars(currency, self._pairs):
            product *= self.value(pair) ** power
        return product

    @property
    def _pairs(self) -> list[str]:
        return [symbol for symbol, kind in self.kinds.items() if kind == "fx"]

    def level(self, symbol: str) -> float:
        """VIX as a fraction for SPX; for another, VIX times its realised volatility over that of SPX.

        Raises
        ------
        BadInput
            No VIX, or too little history to say how volatile the symbol is against SPX.
        """
        vix = self.value(VOLATILITY) / 100
        if not vix > 0:
            raise BadInput(f"VIX is {self.value(VOLATILITY)!r} on {self.on}.", "Give percent above 0.")
        if symbol == _UNDERLYING:
            return vix
        for name in (symbol, _UNDERLYING):
            if name not in self.realised:
                raise BadInput(
                    f"{name} has too little history before the scenario for the volatility of options on {symbol}.",
                    "Give the path a history of at least 60 sessions of it, or take options on SPX.",
                )
        return vix * self.realised[symbol] / self.realised[_UNDERLYING]

    def implied(self, symbol: str, strike: float, expiry: dt.date) -> float:
        """Implied volatility, a fraction a year of 365 days. Dividends are taken to be 0."""
        years, spot = (expiry - self.on).days / 365, self.value(symbol)
        if not spot > 0:
            raise BadInput(f"{symbol} stands at {spot!r} on {self.on}.", "An option needs an underlying above 0.")
        forward = spot / self.curve.discount(expiry)
        return self.smile.volatility(self.level(symbol), years, math.log(strike / forward))

    def but(self, changes: Mapping[str, float]) -> State:
        """The same, with other values of some symbols."""
        for symbol in changes:
            self.value(symbol)
        return replace(self, values={**self.values, **changes})
