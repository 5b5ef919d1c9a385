"""A currency bought for a later day. Pure."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.instruments.instrument import AssetClass, bar_by_bar
from quantdesk.scenarios.instruments.state import State
from quantdesk.scenarios.instruments.tape import Tape

__all__ = ["Forward"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forward:
    """One unit of a currency for another, exchanged on a later day at a rate that was fair at the start.

    The rate is that of covered interest parity: ``spot P_base / P_quote``, where ``P`` is the discount factor of each
    currency. The dollar's comes from the Treasury curve. The store knows no foreign rates: another currency's is
    `foreign`, held constant, or that of the dollar.

    Attributes
    ----------
    base, quote
        Of the pair.
    ends
        When it settles.
    agreed
        Units of `quote` for one of `base`.
    pairs
        The pairs of the scenario that lead from the two to the dollar.
    foreign
        Continuously compounded rate a year of the currency that is not the dollar; None for the dollar's own.
    """

    base: str
    quote: str
    ends: dt.date
    agreed: float
    pairs: tuple[str, ...]
    foreign: float | None = None

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.base}{self.quote} forward to {self.ends} at {self.agreed:.6g}"

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
        """The pairs and the curve."""
        return (*self.pairs, "UST")

    @property
    def assumes(self) -> tuple[str, ...]:
        """Where the foreign rate comes from."""
        return ("foreign_rate_as_dollar",) if self.foreign is None else ("foreign_rate_given_and_constant",)

    def value(self, state: State) -> float:
        """What is received less what is paid, both discounted, in dollars."""
        received = state.usd_per(self.base) * self._discount(self.base, state)
        return received - self.agreed * state.usd_per(self.quote) * self._discount(self.quote, state)

    def along(self, tape: Tape) -> Floats:
        """The value at each bar, shape ``(T,)``; after the end, what it settled for."""
        return bar_by_bar(self, tape)

    def _discount(self, currency: str, state: State) -> float:
        if currency == "USD" or self.foreign is None:
            return state.curve.discount(self.ends)
        return math.exp(-self.foreign * max((self.ends - state.on).days, 0) / 365)

    @classmethod
    def fair(
        cls, state: State, pair: tuple[str, str], ends: dt.date, needed: tuple[str, ...], foreign: float | None
    ) -> Forward:
        """The forward that costs nothing at a state."""
        base, quote = pair
        loose = cls(base, quote, ends, 0.0, needed, foreign)
        paid = state.usd_per(quote) * loose._discount(quote, state)
        return cls(base, quote, ends, loose.value(state) / paid, needed, foreign)
