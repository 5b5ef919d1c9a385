"""What the flow of a session is made from: its bars, and the parameters of the model. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["SessionBars", "Shape"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """The parameters of the flow.

    Attributes
    ----------
    step_s
        Seconds between two changes of quotes.
    trades_per_step
        Market orders a step, over all venues.
    off_book
        Part of the volume that prints away from the displayed books (about 40 % in the US).
    at_best, switch
        Probabilities that a venue is at the national best, and that it draws again where it stands, a step.
    cancels_per_s
        Rate at which each order of the background is cancelled.
    spread_ratio
        Spread over the volatility per trade.
    size_spread
        Standard deviation of the logarithm of displayed sizes.
    levels
        How many levels each venue displays.
    y, recovery_s
        Of the impact of one's own orders.
    weights
        Each venue's part of the market, by name; all alike when left out.
    bars_are
        ``real``: the flow is labelled ``reconstructed``; ``simulated``: so is the flow.

    Raises
    ------
    BadInput
        A parameter outside of its range.
    """

    step_s: float = 5.0
    trades_per_step: int = 2
    off_book: float = 0.4
    at_best: float = 0.6
    switch: float = 0.1
    cancels_per_s: float = 0.02
    spread_ratio: float = 1.5
    size_spread: float = 0.5
    levels: int = 5
    y: float = 1.0
    recovery_s: float = 1800.0
    weights: Mapping[str, float] | None = None
    bars_are: Literal["real", "simulated"] = "real"

    def __post_init__(self) -> None:
        parts = {name: getattr(self, name) for name in ("off_book", "at_best", "switch")}
        rates = {name: getattr(self, name) for name in ("cancels_per_s", "size_spread", "spread_ratio")}
        above = {name: getattr(self, name) for name in ("step_s", "trades_per_step", "levels", "y", "recovery_s")}
        wrong = [name for name, value in parts.items() if not 0 <= value <= 1]
        wrong += [name for name, value in rates.items() if not 0 <= value < math.inf]
        wrong += [name for name, value in above.items() if not 0 < value < math.inf]
        if wrong:
            raise BadInput(f"The flow's {wrong[0]} is {getattr(self, wrong[0])!r}.", "Give a part of 1, or a rate.")


@dataclass(frozen=True, slots=True)
class SessionBars:
    """The bars of one symbol in one session.

    Attributes
    ----------
    symbol
        Whose.
    opens, closes
        Of the session: nanoseconds since 1970 (UTC).
    starts, ends
        Of each bar, shape ``(n,)``.
    corners
        Open, high, low, close of each bar in micro-dollars, shape ``(n, 4)``.
    volume
        Shares of each bar, shape ``(n,)``.
    tick, lot
        Step of quoted prices in micro-dollars, and shares of a round lot.
    """

    symbol: str
    opens: int
    closes: int
    starts: Ints
    ends: Ints
    corners: Ints
    volume: Ints
    tick: int
    lot: int
