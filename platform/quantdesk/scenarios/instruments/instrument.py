"""What every instrument can say of itself. Pure.

Values are dollars for one unit, and hold what was paid since it was bought: coupons and what it settled for lie beside
it as cash without interest, so that a change of value is a profit or a loss.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.instruments.state import State
from quantdesk.scenarios.instruments.tape import Tape

__all__ = ["ASSET_CLASSES", "AssetClass", "Instrument", "bar_by_bar"]

Floats = NDArray[np.float64]

AssetClass = Literal["equity", "fx", "rates", "commodity", "volatility"]
ASSET_CLASSES: tuple[AssetClass, ...] = ("equity", "fx", "rates", "commodity", "volatility")


class Instrument(Protocol):
    """A thing that can be held, with strike, maturity and coupon fixed."""

    @property
    def label(self) -> str:
        """For people."""

    @property
    def unit(self) -> str:
        """What a quantity of 1 is."""

    @property
    def asset_class(self) -> AssetClass:
        """For attribution."""

    @property
    def sector(self) -> str:
        """Of a stock or an option on one; else a name of the market."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Symbols that its value comes from; ``UST`` for the Treasury curve."""

    @property
    def assumes(self) -> tuple[str, ...]:
        """Labels of what is taken for granted in its value."""

    @property
    def ends(self) -> dt.date | None:
        """The day after which its value stands still; None for one that never ends."""

    def value(self, state: State) -> float:
        """Dollars for one unit."""

    def along(self, tape: Tape) -> Floats:
        """:meth:`value` at each bar, shape ``(T,)``; after the end, what it settled for."""


def bar_by_bar(instrument: Instrument, tape: Tape) -> Floats:
    """The value at each bar, shape ``(T,)``; after the end, what it settled for.

    It settles on the day of its end; where that has no bar, at the prices of the last bar before.
    """
    found = np.empty(len(tape))
    settled: float | None = None
    for bar, state in enumerate(tape.states):
        if instrument.ends is None or state.on <= instrument.ends:
            found[bar] = instrument.value(state)
            continue
        if settled is None:
            last = tape.states[bar - 1] if bar else state
            settled = instrument.value(replace(last, on=instrument.ends))
        found[bar] = settled
    return found
