"""Spreads, depth, volume and impact as powers of volatility. Pure.

The defaults of :class:`Liquidity` are what :func:`~quantdesk.scenarios.liquidity.calibrate` makes of the bundled data;
a test computes them again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["FX_SPREAD_POWER", "Conditions", "Liquidity"]

Floats = NDArray[np.float64]

FX_SPREAD_POWER = 2.03573
"""The power of EURUSD's quoted spread in its own volatility: about twice that of stocks, and from one episode alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """How liquid a market is; all of one shape.

    Attributes
    ----------
    half_spread_bps
        From the midpoint to the best quotes, basis points.
    depth, volume, impact
        Multiples of what is usual in calm times. `impact` is of the distance by which a given number of shares moves
        the price: it already holds that volatility is higher and that more is traded.
    """

    half_spread_bps: Floats
    depth: Floats
    volume: Floats
    impact: Floats


@dataclass(frozen=True, slots=True)
class Liquidity:
    """The parameters: each is a power of the stress, which is volatility over that of calm times.

    More stress never tightens a spread, deepens a book or softens an impact: powers of the wrong sign are refused.

    Attributes
    ----------
    half_spread_bps
        In calm times, of a large US stock: a cent or two on a price of 100 dollars. An assumption, not a measurement.
    spread_power, depth_power, volume_power, impact_power
        Exponents. That of the volume may have either sign: panics trade more, holidays and droughts trade less.

    Raises
    ------
    BadInput
        A number that is not finite, a half-spread that is not above 0, or a power of the wrong sign.
    """

    half_spread_bps: float = 1.0
    spread_power: float = 1.04942
    depth_power: float = -1.58953
    volume_power: float = 0.4289
    impact_power: float = 0.50933

    def __post_init__(self) -> None:
        said = {name: getattr(self, name) for name in self.__slots__}
        for name, value in said.items():
            if not math.isfinite(value):
                raise BadInput(f"The {name} of a liquidity is {value!r}.", "Give a finite number.")
        if self.half_spread_bps <= 0:
            raise BadInput(f"The half-spread is {self.half_spread_bps!r} bps.", "Give basis points above 0.")
        if self.spread_power < 0 or self.impact_power < 0 or self.depth_power > 0:
            raise BadInput(
                f"The powers are {said}.",
                "Those of spread and impact are at least 0, that of depth at most: stress does not help.",
            )

    @classmethod
    def of(cls, kind: str) -> Liquidity:
        """The defaults for a kind of asset: ``fx`` has a spread power of its own, all others are like stocks."""
        return cls(spread_power=FX_SPREAD_POWER) if kind == "fx" else cls()

    def scaled(self, *, spread: float = 1.0, depth: float = 1.0, volume: float = 1.0, impact: float = 1.0) -> Liquidity:
        """With powers that are so many times as large: one power does not fit every crisis, and a user may know better.

        Raises
        ------
        BadInput
            A factor below 0 turns a sign, which is refused.
        """
        return replace(
            self,
            spread_power=self.spread_power * spread,
            depth_power=self.depth_power * depth,
            volume_power=self.volume_power * volume,
            impact_power=self.impact_power * impact,
        )

    def at(self, stress: Floats) -> Conditions:
        """The conditions under a stress of any shape; 1 is calm. NaN stays NaN.

        What is calmer than calm is calm: the multiples were measured at stresses from 1.6 to 18, and say nothing of
        minutes in which nothing moves.

        Raises
        ------
        BadInput
            A stress below 0.
        """
        asked = np.asarray(stress, dtype=np.float64)
        if (asked < 0).any():
            raise BadInput(f"A stress is {float(np.nanmin(asked))!r}.", "It is a ratio of volatilities: at least 0.")
        given = np.maximum(asked, 1.0)
        return Conditions(
            self.half_spread_bps * given**self.spread_power,
            given**self.depth_power,
            given**self.volume_power,
            given**self.impact_power,
        )
