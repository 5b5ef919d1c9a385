"""What a good change is: the score, the tolerance, and how much may be tried. Pure.

The score of a change, in percentage points of the starting value a crisis:

    ``score = mean over crises of (w * drawdown points + (1 - w) * P&L points) - years_between * max(calm cost, 0)``

where the calm cost is in points a year. What is saved in a crisis must exceed what is paid in the calm years until
the next one. A change that earned money in calm times is not credited for it: that is luck, or a bet of its own. A
crisis in which a change could not be priced counts as one in which it gained nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.scenarios.recommend.figures import Effect

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """Parameters of search and judgement. Points are percentage points of the starting value.

    Attributes
    ----------
    worse_pnl, worse_drawdown
        The tolerance: a change that makes the P&L or the deepest drawdown of any scenario worse by more points than
        this is rejected. By default a bad day: the S&P 500 lost more than 2 % on one day in 27 (1990 to 2022).
    most_calm_cost
        Points a year that a change may cost in calm times.
    least_gain
        Points that it must gain in the scenario in question, and that a pair must add to the better of its parts.
    drawdown_weight
        `w` above.
    years_between
        Calm years to a crisis: the catalogue has 11 from 1994 to 2022.
    pairs_of
        The best changes of so many different levers are also tried two by two.
    top
        So many are recommended at most, each of other levers.
    max_runs
        No more runs than this, those without a change included.

    Raises
    ------
    BadInput
        A parameter out of its range.
    """

    worse_pnl: float = 2.0
    worse_drawdown: float = 2.0
    most_calm_cost: float = 2.0
    least_gain: float = 0.1
    drawdown_weight: float = 0.5
    years_between: float = 2.5
    pairs_of: int = 3
    top: int = 3
    max_runs: int = 400

    def __post_init__(self) -> None:
        for name in ("worse_pnl", "worse_drawdown", "most_calm_cost", "least_gain", "years_between"):
            if not 0 <= getattr(self, name) < math.inf:
                raise BadInput(f"{name} is {getattr(self, name)!r}.", "Give a finite number of at least 0.")
        if not 0 <= self.drawdown_weight <= 1:
            raise BadInput(f"drawdown_weight is {self.drawdown_weight!r}.", "Give a part of 1.")
        for name, least in (("pairs_of", 0), ("top", 1), ("max_runs", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise BadInput(f"{name} is {value!r}.", f"Give a whole number of at least {least}.")

    def benefit(self, effect: Effect) -> float:
        """Points gained in one crisis."""
        weight = self.drawdown_weight
        return weight * effect.drawdown_points + (1 - weight) * effect.pnl_points

    def is_worse(self, effect: Effect) -> bool:
        """Whether a scenario became worse by more than the tolerance."""
        return effect.pnl_points < -self.worse_pnl or effect.drawdown_points < -self.worse_drawdown

    def score(self, benefit: float, calm_cost: float) -> float:
        """See above; `benefit` is the mean over crises, `calm_cost` in points a year."""
        return benefit - self.years_between * max(calm_cost, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """All of them."""
        return asdict(self)
