"""What an order does to the price. Pure.

The price moves by ``I(Q) = Y sigma P sqrt(Q / V)`` when Q shares are taken of a stock with a daily volatility sigma and
a daily volume V, with Y about 1: the square-root law (Almgren et al. 2005; Tóth et al. 2011; over all stocks of Tokyo
the exponent is .489 +/- .0015, arXiv 2411.13965). A book brings it about if its depth grows in proportion to the
distance from the touch (the latent order book of Tóth et al. 2011 and Donier et al. 2015): up to j ticks beyond the
touch there are ``V (j tick / (Y sigma P))**2`` shares. So the mean price that a sweep pays lies two thirds of the way
that the price moves.

What was taken is forgotten exponentially (Obizhaeva and Wang 2013). That is a simplification: measured impact decays
by a power of time, and a part of it stays.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["Impact", "Pressure"]


@dataclass(frozen=True, slots=True)
class Impact:
    """The square-root law for one stock on one day.

    Attributes
    ----------
    sigma
        Daily volatility, a fraction.
    volume
        Shares a day.
    price, tick
        Micro-dollars.
    y
        The factor Y.

    Raises
    ------
    BadInput
        A value that is not above 0.
    """

    sigma: float
    volume: float
    price: int
    tick: int
    y: float = 1.0

    def __post_init__(self) -> None:
        for name in ("sigma", "volume", "price", "tick", "y"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise BadInput(f"The {name} {value!r} of an impact.", "Give a finite number above 0.")

    @property
    def per_tick(self) -> float:
        """Shares that move the price by one tick."""
        return self.volume * (self.tick / (self.y * self.sigma * self.price)) ** 2

    def moves(self, shares: float) -> float:
        """By how many micro-dollars the price moves when so many shares are taken."""
        return self.y * self.sigma * self.price * math.sqrt(shares / self.volume)

    def depth(self, ticks: int, weight: float = 1.0) -> int:
        """Shares between the touch and so many ticks beyond it, at a venue with this part of the market."""
        return math.floor(weight * self.per_tick * ticks * ticks)

    def levels(self, first: int, last: int, weight: float = 1.0) -> list[int]:
        """Shares at each tick from `first` to `last` beyond the touch."""
        sums = [self.depth(ticks, weight) for ticks in range(first - 1, last + 1)]
        return [after - before for before, after in pairwise(sums)]


class Pressure:
    """What one's own orders have taken of a stock, as far as the market has not forgotten it.

    Parameters
    ----------
    recovery_ns
        Nanoseconds after which the part 1/e of it is left.
    """

    def __init__(self, recovery_ns: int) -> None:
        self.recovery_ns = recovery_ns
        self._at: list[int] = []
        self._shares: list[float] = []

    def add(self, at: int, shares: float) -> None:
        """Shares were taken: above 0 bought, below 0 sold. What comes late counts from the latest moment known.

        Under strain they count for more (:meth:`.Flow.weight`), and go on to do so: the price went as far as the book
        of that moment let it, and does not move again because books become thinner or deeper afterwards.
        """
        if self._at and at <= self._at[-1]:
            self._shares[-1] += shares
            return
        self._shares.append(self.shares(at) + shares)
        self._at.append(at)

    def shares(self, at: int) -> float:
        """Signed shares that are not forgotten yet."""
        place = bisect_right(self._at, at) - 1
        if place < 0:
            return 0.0
        return self._shares[place] * math.exp((self._at[place] - at) / self.recovery_ns)

    def offset(self, at: int, impact: Impact | None) -> int:
        """By how many micro-dollars quotes stand away from where they would be: a whole number of ticks.

        0 where there is no law of impact.
        """
        if impact is None or not self._at:
            return 0
        shares = self.shares(at)
        ticks = round(impact.moves(abs(shares)) / impact.tick)
        return int(math.copysign(ticks * impact.tick, shares))

    def offsets(self, at: NDArray[np.int64], impact: Impact | None) -> NDArray[np.int64]:
        """The same as :meth:`offset` for many ascending moments."""
        if impact is None or not self._at or not len(at):
            return np.zeros(len(at), dtype=np.int64)
        first, last = int(at[0]), int(at[-1])
        if self._at[-1] <= first:  # it only decays from here on
            begin, end = self.offset(first, impact), self.offset(last, impact)
            if begin == end:
                return np.full(len(at), begin, dtype=np.int64)
        return np.array([self.offset(when, impact) for when in at.tolist()], dtype=np.int64)
