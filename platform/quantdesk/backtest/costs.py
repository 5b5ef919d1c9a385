"""What a trade costs: commission, half the spread, and an optional fee per share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from quantdesk.errors import BadParameter

__all__ = ["FREE", "Costs"]


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one side of a trade. Not a forecast of market impact: large orders cost more than this.

    Parameters
    ----------
    commission_bps
        Commission in basis points (1/10,000) of the traded value.
    half_spread_bps
        Distance from the reference price to the price that is paid, in basis points: buys pay more, sells get less.
    per_share
        Fee per share in the account's currency. On prices that were adjusted with hindsight the number of shares is not
        the one that was traded then, so such a result is labelled ``reconstructed``.

    Raises
    ------
    BadParameter
        A cost that is negative, infinite or NaN, or a half-spread of 10,000 bps or more (a sale would pay to sell).
    """

    commission_bps: float = 1.0
    half_spread_bps: float = 2.0
    per_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("commission_bps", "half_spread_bps", "per_share"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise BadParameter(f"{name} is {value!r}.", "Give a finite number of at least 0.")
        if self.half_spread_bps >= 10_000 or self.commission_bps >= 10_000:
            raise BadParameter(
                f"The costs are {self.commission_bps:g} and {self.half_spread_bps:g} basis points.",
                "Give less than 10,000, which is the whole price.",
            )

    @property
    def commission(self) -> float:
        """Commission as a fraction of the traded value."""
        return self.commission_bps / 10_000

    @property
    def half_spread(self) -> float:
        """Half-spread as a fraction of the reference price."""
        return self.half_spread_bps / 10_000

    def price(self, reference: float, shares: float) -> float:
        """The price paid (`shares` > 0) or received (`shares` < 0) when the market stands at `reference`."""
        return reference * (1 + math.copysign(self.half_spread, shares))

    def fee(self, shares: float, price: float) -> float:
        """Commission and fees, in the account's currency, for `shares` (signed) at `price`."""
        return abs(shares) * (price * self.commission + self.per_share)

    def affordable(self, cash: float, price: float) -> float:
        """How many shares `cash` buys at `price`, fees included; never negative."""
        return max(cash, 0.0) / (price * (1 + self.commission) + self.per_share)

    def labels(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The labels of a result that pays these costs on data with `labels`."""
        given = tuple(dict.fromkeys(labels))
        if self.per_share and "adjusted_with_hindsight" in given and "reconstructed" not in given:
            return (*given, "reconstructed")
        return given

    def __str__(self) -> str:
        text = f"{self.commission_bps:g} bps commission and {self.half_spread_bps:g} bps half-spread per trade"
        return f"{text}, {self.per_share:g} per share" if self.per_share else text


FREE = Costs(0.0, 0.0, 0.0)
"""A world without costs: for tests and for seeing what costs do."""
