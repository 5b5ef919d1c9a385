"""Instruments whose value is a price times a number: shares, currencies, commodity futures. Pure."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.instruments.instrument import AssetClass
from quantdesk.scenarios.instruments.state import State, way_to_dollars
from quantdesk.scenarios.instruments.tape import Tape

__all__ = ["BARRELS", "Currency", "Future", "Share"]

Floats = NDArray[np.float64]

BARRELS = 1_000
"""Of a contract of crude oil (NYMEX CL)."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a stock or fund, or a unit of an index, which stands for a fund that tracks it."""

    symbol: str
    kind: str = "equity"
    sector: str = ""

    @property
    def label(self) -> str:
        """For people."""
        return self.symbol

    @property
    def unit(self) -> str:
        """What a quantity of 1 is."""
        return "index unit" if self.kind == "index" else "share"

    @property
    def asset_class(self) -> AssetClass:
        """For attribution."""
        return "equity"

    @property
    def needs(self) -> tuple[str, ...]:
        """The symbol."""
        return (self.symbol,)

    @property
    def assumes(self) -> tuple[str, ...]:
        """An index cannot be bought, and its level holds no dividends: who is short of its fund pays them."""
        return ("index_stands_for_its_fund", "index_without_dividends") if self.kind == "index" else ()

    @property
    def ends(self) -> dt.date | None:
        """Never."""
        return None

    def value(self, state: State) -> float:
        """Its price."""
        return state.value(self.symbol)

    def along(self, tape: Tape) -> Floats:
        """Its prices."""
        return tape.along(self.symbol)


@dataclass(frozen=True, slots=True)
class Currency:
    """One unit of a currency held; where the other of the pair is not the dollar, it was borrowed at the start's spot.

    Attributes
    ----------
    base, quote
        Of the pair.
    rate
        Units of `quote` for one of `base` at the start.
    pairs
        The pairs of the scenario that lead from the two to the dollar.
    """

    base: str
    quote: str
    rate: float
    pairs: tuple[str, ...]

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.base}{self.quote} spot"

    @property
    def unit(self) -> str:
        """What a quantity of 1 is."""
        return f"1 {self.base}"

    @property
    def asset_class(self) -> AssetClass:
        """For attribution."""
        return "fx"

    @property
    def sector(self) -> str:
        """The pair."""
        return self.base + self.quote

    @property
    def needs(self) -> tuple[str, ...]:
        """The pairs."""
        return self.pairs

    @property
    def assumes(self) -> tuple[str, ...]:
        """Money in a currency earns nothing here."""
        return ("currency_without_interest",)

    @property
    def ends(self) -> dt.date | None:
        """Never."""
        return None

    def value(self, state: State) -> float:
        """Dollars for the unit held, less what is owed."""
        held = state.usd_per(self.base)
        return held if self.quote == "USD" else held - self.rate * state.usd_per(self.quote)

    def along(self, tape: Tape) -> Floats:
        """The same at each bar."""
        held = tape.usd_per(self.base)
        return held if self.quote == "USD" else held - self.rate * tape.usd_per(self.quote)

    @staticmethod
    def pairs_of(state: State, base: str, quote: str) -> tuple[str, ...]:
        """The pairs of a scenario that two currencies need."""
        known = [symbol for symbol, kind in state.kinds.items() if kind == "fx"]
        ways = (*way_to_dollars(base, known), *way_to_dollars(quote, known))
        return tuple(dict.fromkeys(pair for pair, _ in ways))


@dataclass(frozen=True, slots=True)
class Future:
    """A contract on a commodity, bought at the start for nothing; its value is what it gained since, in cash.

    The store holds spot prices and no curve. Without a carry the future is taken to move as the spot does and never to
    be rolled. With one, its price is ``spot exp(carry (ends - now))``, so that it earns or loses the roll.

    Attributes
    ----------
    symbol
        Of the spot price.
    agreed
        The future's price at the start.
    carry
        Continuously compounded rate a year by which the future lies above the spot (contango above 0).
    ends
        Last day; None for a contract without a carry.
    size
        Units of the commodity in a contract.
    """

    symbol: str
    agreed: float
    carry: float = 0.0
    ends: dt.date | None = None
    size: int = BARRELS

    @property
    def label(self) -> str:
        """For people."""
        until = f" to {self.ends}" if self.ends else ""
        return f"{self.symbol} future{until}"

    @property
    def unit(self) -> str:
        """What a quantity of 1 is."""
        return f"contract of {self.size:,}"

    @property
    def asset_class(self) -> AssetClass:
        """For attribution."""
        return "commodity"

    @property
    def sector(self) -> str:
        """The commodity."""
        return self.symbol

    @property
    def needs(self) -> tuple[str, ...]:
        """The spot price."""
        return (self.symbol,)

    @property
    def assumes(self) -> tuple[str, ...]:
        """There is no curve of futures in the data."""
        return ("future_with_a_given_carry",) if self.carry else ("future_moves_as_spot",)

    def value(self, state: State) -> float:
        """What the contract gained since the start."""
        return self.size * (self.price(state.value(self.symbol), state.on) - self.agreed)

    def along(self, tape: Tape) -> Floats:
        """The same at each bar; after the last day, what it settled for."""
        spot = tape.along(self.symbol)
        found: Floats = self.size * (spot * np.array([self._above(day) for day in tape.days]) - self.agreed)
        if self.ends is None:
            return found
        last = max(bisect_right(tape.days, self.ends) - 1, 0)
        found[last + 1 :] = self.size * (spot[last] - self.agreed)
        return found

    def price(self, spot: float, day: dt.date) -> float:
        """Of the future on a day, for one unit of the commodity."""
        return spot * self._above(day)

    def _above(self, day: dt.date) -> float:
        years = max((self.ends - day).days, 0) / 365 if self.ends else 0.0
        return float(np.exp(self.carry * years))
