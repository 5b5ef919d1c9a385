"""What a path does not say of its market, and what happens to it beside its prices. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.scenarios.liquidity import Liquidity

__all__ = ["CALM", "Effects", "MarketConfig"]

Floats = NDArray[np.float64]


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
