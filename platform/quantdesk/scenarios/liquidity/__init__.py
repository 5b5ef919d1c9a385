"""What trading costs when everybody wants out.

What is where::

    conditions      spreads, depth, volume and impact as powers of volatility              (pure)
    stress          volatility against that of calm times, as far as it is known           (pure)
    calibration     the powers, from measured multiples and the bundled data               (pure)
    liquidation     how long it takes to sell a book, and what that costs                  (pure)
"""

from __future__ import annotations

from quantdesk.scenarios.liquidity.calibration import MEASURED, Calibration, Multiple, calibrate
from quantdesk.scenarios.liquidity.conditions import Conditions, Liquidity
from quantdesk.scenarios.liquidity.liquidation import Liquidation, Selling, liquidate
from quantdesk.scenarios.liquidity.stress import stress_of

__all__ = [
    "MEASURED",
    "Calibration",
    "Conditions",
    "Liquidation",
    "Liquidity",
    "Multiple",
    "Selling",
    "calibrate",
    "liquidate",
    "stress_of",
]
