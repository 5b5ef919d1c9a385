"""European options on the index or a stock: Black-Scholes with a skew. Pure.

The formula is QuantLib's ``blackFormula`` (Black 1976) at the forward ``spot / discount factor``, dividends 0, and at
the volatility of :class:`~quantdesk.scenarios.instruments.smile.Smile` for the strike and the time that is left.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.instruments.instrument import AssetClass, bar_by_bar
from quantdesk.scenarios.instruments.quantlib import quantlib
from quantdesk.scenarios.instruments.state import VOLATILITY, State
from quantdesk.scenarios.instruments.tape import Tape

__all__ = ["SHARES", "Option", "black_scholes"]

Floats = NDArray[np.float64]

SHARES = 100
"""Of an option contract: the multiplier of US index and stock options."""

Right = Literal["call", "put"]


def black_scholes(right: Right, strike: float, forward: float, deviation: float, discount: float) -> float:
    """The value of a European option.

    Parameters
    ----------
    right
        ``call`` or ``put``.
    strike, forward
        In the unit of the underlying; the forward of the same day as the option.
    deviation
        Volatility times the root of the time, no unit; at 0 the value is intrinsic.
    discount
        What a dollar paid at expiry is worth.
    """
    ql = quantlib()
    kind = ql.Option.Call if right == "call" else ql.Option.Put
    return float(ql.blackFormula(kind, strike, forward, deviation, discount))


@dataclass(frozen=True)
class Option:
    """A contract of 100.

    Attributes
    ----------
    symbol
        Of the underlying.
    right
        ``call`` or ``put``.
    strike
        In the unit of the underlying.
    ends
        Day of expiry; it is worth its intrinsic value then, and that in cash afterwards.
    sector
        Of the underlying.
    """

    symbol: str
    right: Right
    strike: float
    ends: dt.date
    sector: str = ""

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.symbol} {self.strike:g} {self.right} to {self.ends}"

    @property
    def unit(self) -> str:
        """What a quantity of 1 is."""
        return f"contract of {SHARES}"

    @property
    def asset_class(self) -> AssetClass:
        """For attribution."""
        return "volatility"

    @property
    def needs(self) -> tuple[str, ...]:
        """The underlying, VIX and the curve."""
        return (self.symbol, VOLATILITY, "UST")

    @property
    def assumes(self) -> tuple[str, ...]:
        """What no series of the store says."""
        common = ("dividends_left_out", "skew_and_term_structure_assumed", "european_exercise")
        return common if self.symbol == "SPX" else (*common, "implied_volatility_from_realised")

    def value(self, state: State) -> float:
        """Dollars for a contract; its intrinsic value from the day of expiry on."""
        spot = state.value(self.symbol)
        years = (self.ends - state.on).days / 365
        if years <= 0:
            return SHARES * max(spot - self.strike if self.right == "call" else self.strike - spot, 0.0)
        discount = state.curve.discount(self.ends)
        deviation = state.implied(self.symbol, self.strike, self.ends) * math.sqrt(years)
        return SHARES * black_scholes(self.right, self.strike, spot / discount, deviation, discount)

    def along(self, tape: Tape) -> Floats:
        """The value at each bar, shape ``(T,)``; after expiry, what it settled for."""
        return bar_by_bar(self, tape)
