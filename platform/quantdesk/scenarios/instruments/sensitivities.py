"""What a book gains when one thing moves a little and nothing else: bump and reprice. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

from quantdesk.scenarios.instruments.book import BoundBook
from quantdesk.scenarios.instruments.state import VOLATILITY, State, way_to_dollars

__all__ = ["Sensitivities", "sensitivities"]

_STEP = 0.01
_BASIS_POINT = 0.01  # yields are in percent


@dataclass(frozen=True)
class Sensitivities:
    """Dollars. The slope at the state, from a step up and one down; its size is given in brackets.

    Attributes
    ----------
    equity
        By symbol: for a rise of 100 % (1 %): what an equal bet on the symbol alone would be worth.
    fx
        By currency: for a rise of 100 % against the dollar, its rates to others with it (1 %).
    commodity
        By symbol: for a rise of 100 % (1 %).
    rates
        By yield, ``UST10Y``: for a rise of a basis point of this par yield alone (1 bp); below 0 for a bond held.
    vega
        For a rise of VIX by a point (1 point).
    theta
        For a day that passes while all prices, yields and VIX stay.
    """

    equity: Mapping[str, float]
    fx: Mapping[str, float]
    commodity: Mapping[str, float]
    rates: Mapping[str, float]
    vega: float
    theta: float

    @property
    def dv01(self) -> float:
        """For a rise of all yields by a basis point."""
        return sum(self.rates.values())


def sensitivities(bound: BoundBook, state: State) -> Sensitivities:
    """Of a book at a state.

    Raises
    ------
    UnknownName, BadInput
        The state lacks what a position needs.
    """

    def slope(changes: Mapping[str, tuple[float, float]]) -> float:
        """Half the difference between all symbols at their first value and at their second."""
        touched = set(changes) | ({"UST"} if any(name in state.yields for name in changes) else set())
        up = state.but({name: pair[0] for name, pair in changes.items()})
        down = state.but({name: pair[1] for name, pair in changes.items()})
        return sum(
            one.quantity * (one.instrument.value(up) - one.instrument.value(down)) / 2
            for one in bound.positions
            if touched.intersection(one.instrument.needs)
        )

    def relative(symbol: str) -> float:
        level = state.value(symbol)
        step = abs(level) * _STEP or _STEP
        return slope({symbol: (level + step, level - step)}) * level / step

    needs = dict.fromkeys(name for one in bound.positions for name in one.instrument.needs)
    pairs = [name for name, kind in state.kinds.items() if kind == "fx" and name in state.values]
    used = [name for name in needs if state.kinds.get(name) == "fx"]
    money = dict.fromkeys(part for pair in used for part in (pair[:3], pair[3:]) if part != "USD")

    def currency(name: str) -> float:
        way_to_dollars(name, pairs)
        moved = {}
        for pair in pairs:
            power = (pair[:3] == name) - (pair[3:] == name)
            if power:
                level = state.value(pair)
                moved[pair] = (level * (1 + _STEP) ** power, level * (1 - _STEP) ** power)
        return slope(moved) / _STEP

    def rate(name: str) -> float:
        level = state.value(name)
        return slope({name: (level + _BASIS_POINT, level - _BASIS_POINT)})

    def of_kinds(*kinds: str) -> list[str]:
        return [name for name in needs if state.kinds.get(name) in kinds]

    level = state.values.get(VOLATILITY, 0.0)
    tomorrow = replace(state, on=state.on + dt.timedelta(days=1))
    return Sensitivities(
        equity={name: relative(name) for name in of_kinds("equity", "etf", "index")},
        fx={name: currency(name) for name in money},
        commodity={name: relative(name) for name in of_kinds("commodity")},
        rates={name: rate(name) for name in state.yields} if "UST" in needs else {},
        vega=slope({VOLATILITY: (level + 1, level - 1)}) if VOLATILITY in needs else 0.0,
        theta=bound.value(tomorrow) - bound.value(state),
    )
