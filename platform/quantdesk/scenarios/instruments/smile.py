"""Implied volatility by strike and expiry: a level that moves with VIX, a skew, a term structure. Pure.

The skew is the surface SVI of Gatheral and Jacquier (2014, "Arbitrage-free SVI volatility surfaces", section 4) with
``phi(theta) = eta / sqrt(theta (1 + theta))``: total variance at the log-moneyness ``k = ln(strike / forward)`` is

``w(k) = theta / 2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2))``

Their theorem 4.2 and remark 4.4 say that it holds no butterfly arbitrage where ``eta (1 + |rho|) <= 2``, and no
calendar arbitrage where theta rises with time. At the money it is steep as ``rho eta / (2 sqrt(T))``, whatever the
level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from quantdesk.errors import BadInput

__all__ = ["MONTH", "Smile"]

MONTH = 30 / 365
"""What VIX looks ahead, years."""


@dataclass(frozen=True, slots=True)
class Smile:
    """The parameters. They are assumptions of the size that S&P 500 options have, not fitted to quotes.

    Attributes
    ----------
    rho, eta
        Of the skew. The defaults make the implied volatility of a strike 10 % below the forward about 6 points higher
        than at the money over three months, and 9 over one.
    vix_over_atm
        VIX is the rate of a variance swap, which lies above the volatility at the money by the skew: with the
        defaults by 12 to 15 % for any VIX from 10 to 90.
    reversion, long_run
        The variance expected at a time ahead goes back to ``long_run`` squared at the speed `reversion` (1/years), as
        in Heston (1993): a VIX of 80 means less for a year than for a month.
    """

    rho: float = -0.7
    eta: float = 0.8
    vix_over_atm: float = 1.13
    reversion: float = 3.0
    long_run: float = 0.18

    def __post_init__(self) -> None:
        if not (-1 < self.rho < 1 and self.eta > 0 and self.eta * (1 + abs(self.rho)) <= 2):
            raise BadInput(
                f"The skew rho {self.rho!r}, eta {self.eta!r} allows arbitrage.",
                "Give -1 < rho < 1 and 0 < eta <= 2 / (1 + |rho|).",
            )
        if not (self.vix_over_atm > 0 and self.reversion > 0 and self.long_run > 0):
            raise BadInput("vix_over_atm, reversion or long_run is not above 0.", "Give positive numbers.")

    def at_the_money(self, level: float, years: float) -> float:
        """Volatility at the money over `years`, when VIX is ``100 level``: fractions a year."""
        now, far = (level / self.vix_over_atm) ** 2, self.long_run**2
        # Below a VIX of about 7 the way back to the long run would begin with a variance below 0.
        spot = max(far + (now - far) / self._fading(MONTH), now / 4)
        return math.sqrt(far + (spot - far) * self._fading(years))

    def volatility(self, level: float, years: float, moneyness: float) -> float:
        """Volatility at ``moneyness = ln(strike / forward)``, a fraction a year."""
        theta = self.at_the_money(level, years) ** 2 * years
        phi = self.eta / math.sqrt(theta * (1 + theta))
        slope = phi * moneyness
        total = theta / 2 * (1 + self.rho * slope + math.sqrt((slope + self.rho) ** 2 + 1 - self.rho**2))
        return math.sqrt(total / years)

    def _fading(self, years: float) -> float:
        return -math.expm1(-self.reversion * years) / (self.reversion * years)
