"""How long it takes to sell a book, and what that costs. Pure.

A position goes a part of the ordinary volume a day. What a panic trades beyond that is not counted: the sellers are
already many, and most of that volume goes round among those who pass it on (CFTC and SEC 2010: 27,000 contracts
traded for a net 200). Each day's part pays half the spread, and moves the price by the square-root law of
:mod:`quantdesk.orders.venues.impact`, of which it pays two thirds on the mean; the market has forgotten it by the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.venues.impact import Impact
from quantdesk.scenarios.liquidity.conditions import Conditions

__all__ = ["Liquidation", "Selling", "liquidate"]

_PAID = 2 / 3
"""The part of the way that the price moves, which the mean share of a sweep pays."""


@dataclass(frozen=True, slots=True)
class Selling:
    """How a book is sold.

    Attributes
    ----------
    participation
        The part of the ordinary volume of a day, above 0, at most 1.
    keeps
        ``participation``: the pace stays as it is in calm times, and costs what it costs. ``impact``: no day moves the
        price further than that pace would in calm times, so that stress makes it slower.
    y
        The factor of the square-root law.

    Raises
    ------
    BadInput
        A participation out of range, another word, or a factor that is not above 0.
    """

    participation: float = 0.1
    keeps: Literal["participation", "impact"] = "participation"
    y: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.participation <= 1:
            raise BadInput(f"The participation is {self.participation!r}.", "Give a part above 0 and at most 1.")
        if self.keeps not in ("participation", "impact"):
            raise BadInput(f"A sale keeps {self.keeps!r}.", "Say participation or impact.")
        if not (math.isfinite(self.y) and self.y > 0):
            raise BadInput(f"The factor of the impact is {self.y!r}.", "Give a finite number above 0.")


@dataclass(frozen=True, slots=True)
class Liquidation:
    """What selling a book takes.

    Attributes
    ----------
    days
        By symbol, in sessions; a part of one for what is sold before its end.
    spread, impact
        By symbol, the cost in currency, at least 0: loss against the prices given.
    """

    days: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    spread: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    impact: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def days_of_book(self) -> float:
        """Until the last position is gone: all are sold side by side. 0 for an empty book."""
        return max(self.days.values(), default=0.0)

    @property
    def by_cause(self) -> dict[str, float]:
        """Cost in currency: ``spread``, ``impact``."""
        return {"spread": math.fsum(self.spread.values()), "impact": math.fsum(self.impact.values())}

    @property
    def cost(self) -> float:
        """In currency, of the whole book."""
        return math.fsum(self.by_cause.values())


def liquidate(
    positions: Mapping[str, float],
    prices: Mapping[str, float],
    volumes: Mapping[str, float],
    conditions: Conditions,
    volatilities: Mapping[str, float],
    selling: Selling | None = None,
) -> Liquidation:
    """Sell a book, and buy back what is short.

    Parameters
    ----------
    positions
        Shares by symbol; below 0 for short ones.
    prices, volumes, volatilities
        By symbol: a share's price, shares traded on an ordinary day, and the daily volatility of calm times as a
        fraction. Stress is in the conditions, and must not be in these as well.
    conditions
        Of shape ``(number of positions,)``, in their order, or of shape ``()`` for all alike.
    selling
        How; 10 % of the ordinary volume when left out.

    Returns
    -------
    Liquidation
        More stress makes it neither shorter nor cheaper.

    Raises
    ------
    BadInput
        A symbol without price, volume or volatility, a number that is not finite or not above 0, or conditions of
        another shape.
    """
    how = Selling() if selling is None else selling
    shape = (len(positions),)
    try:
        half, volume, impact = (
            np.broadcast_to(np.asarray(one, dtype=np.float64), shape)
            for one in (conditions.half_spread_bps, conditions.volume, conditions.impact)
        )
    except ValueError as error:
        raise BadInput(
            f"The conditions do not fit {shape[0]} positions ({error}).", "Give one each, or one."
        ) from error
    days: dict[str, float] = {}
    spreads: dict[str, float] = {}
    impacts: dict[str, float] = {}
    for place, (symbol, held) in enumerate(positions.items()):
        if not math.isfinite(held):
            raise BadInput(f"The position in {symbol} is {held!r} shares.", "Give a finite number.")
        given = {
            name: table.get(symbol, math.nan)
            for name, table in (("price", prices), ("volume", volumes), ("volatility", volatilities))
        }
        given |= {"half-spread": float(half[place]), "volume now": float(volume[place]), "impact": float(impact[place])}
        for name, value in given.items():
            if not (math.isfinite(value) and value > 0):
                raise BadInput(f"The {name} of {symbol} is {value!r}.", "Give a finite number above 0.")
        shares = abs(held)
        traded = given["volume"] * min(given["volume now"], 1.0)
        a_day = how.participation * traded
        if how.keeps == "impact":
            a_day /= max(given["impact"], 1.0) ** 2
        law = Impact(given["volatility"], traded, MICRO, MICRO // 100, how.y)
        whole = math.floor(shares / a_day)
        rest = max(shares - whole * a_day, 0.0)
        # The last part takes the pace of the others, over less than a day: it moves the price no less than they do.
        moved = law.moves(a_day if whole else rest) / MICRO * given["impact"]
        days[symbol] = shares / a_day
        spreads[symbol] = shares * given["price"] * given["half-spread"] / 10_000
        impacts[symbol] = shares * given["price"] * _PAID * moved
    return Liquidation(MappingProxyType(days), MappingProxyType(spreads), MappingProxyType(impacts))
