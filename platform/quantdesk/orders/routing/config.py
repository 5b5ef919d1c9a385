"""What a desk can set about routing, and what it knows of the stock. Pure.

Every default that was not measured says so. They are starting points: a desk measures its own fills and sets them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.orders.order import Urgency

__all__ = ["Conditions", "RoutingConfig", "Weights"]


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts in the score of a venue; they sum to 1.

    Raises
    ------
    BadInput
        A negative weight, or another sum.
    """

    spread: float
    latency: float
    fee: float
    fill: float

    def __post_init__(self) -> None:
        given = (self.spread, self.latency, self.fee, self.fill)
        if not all(math.isfinite(one) and one >= 0 for one in given) or abs(sum(given) - 1) > 1e-9:
            raise BadInput(f"The weights {given} of a score.", "Give four numbers of at least 0 that sum to 1.")


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """Everything that can be set. Tuples of three are for low, normal and high urgency.

    Attributes
    ----------
    weights
        Of the score that explains a venue. The split itself minimises cost; scores do not enter it.
    penalty_spreads
        What a share that does not fill costs on top of the price at which it could be had now, in spreads.
    horizon_s
        Seconds for which a limit order that could trade at once may rest instead, in the hope of the near side; 0 for
        never.
    rest_s
        Seconds over which the chance of a resting order is judged.
    quote_half_life_ms
        Half of the fresh quotes are gone after this time. From memory: liquid US stocks change some ten times a second.
    hidden_certainty
        Chance that the estimated undisplayed size is there at all. A guess.
    adverse_spreads
        What the price moves against a resting order that fills, in spreads. A guess between 0 and 1.
    impact_y
        Prefactor of the square-root law.
    trade_shares
        Shares of a typical trade: the unit in which queues fill.
    collar
        How far beyond the far side a child's limit may lie, as a fraction of the price.
    latency_scale_us
        One-way latency that scores a half.
    assumed_volume, assumed_volatility
        Shares a day, and the volatility of a day's return, for a stock of which neither is given. The receipt says so.
    earliest_terms
        Whether a day before the oldest fees takes the oldest ones, which the receipt says.

    Raises
    ------
    BadInput
        A value that is out of its range.
    """

    weights: tuple[Weights, Weights, Weights] = (
        Weights(0.30, 0.10, 0.35, 0.25),
        Weights(0.40, 0.15, 0.20, 0.25),
        Weights(0.30, 0.30, 0.05, 0.35),
    )
    penalty_spreads: tuple[float, float, float] = (0.25, 0.5, 2.0)
    horizon_s: tuple[float, float, float] = (60.0, 0.0, 0.0)
    rest_s: float = 300.0
    quote_half_life_ms: float = 50.0
    hidden_certainty: float = 0.5
    adverse_spreads: float = 0.5
    impact_y: float = 1.0
    trade_shares: int = 100
    collar: float = 0.05
    latency_scale_us: float = 200.0
    assumed_volume: int = 1_000_000
    assumed_volatility: float = 0.02
    earliest_terms: bool = False

    def __post_init__(self) -> None:
        number_of = len(Urgency)
        for name in ("weights", "penalty_spreads", "horizon_s"):
            if len(getattr(self, name)) != number_of:
                raise BadInput(f"{name} is {getattr(self, name)!r}.", "Give one for low, normal and high urgency.")
        positive = ("rest_s", "quote_half_life_ms", "trade_shares", "collar", "latency_scale_us", "assumed_volume")
        checks = [(name, getattr(self, name), name in positive) for name in _NUMBERS]
        checks += [(name, one, False) for name in ("penalty_spreads", "horizon_s") for one in getattr(self, name)]
        for name, value, above in checks:
            if not math.isfinite(value) or value < 0 or (above and value == 0):
                raise BadInput(f"{name} holds {value!r}.", f"Give a number {'above' if above else 'of at least'} 0.")
        for name in ("hidden_certainty", "collar"):
            if getattr(self, name) > 1:
                raise BadInput(f"{name} is {getattr(self, name)!r}.", "Give a fraction up to 1.")

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists; :meth:`from_dict` takes it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> RoutingConfig:
        """From what :meth:`to_dict` gave, or from what was made of it by JSON.

        Raises
        ------
        BadInput
            A name that is not there, or a wrong value.
        """
        unknown = set(given) - {field.name for field in fields(cls)}
        if unknown:
            raise BadInput(f"Routing has no {', '.join(sorted(unknown))}.", f"See {cls.__name__}.")
        taken: dict[str, Any] = {
            key: tuple(one) if isinstance(one, list | tuple) else one for key, one in given.items()
        }
        if "weights" in taken:
            taken["weights"] = tuple(Weights(**one) if isinstance(one, Mapping) else one for one in taken["weights"])
        return cls(**taken)


_NUMBERS = (
    "rest_s", "quote_half_life_ms", "hidden_certainty", "adverse_spreads", "impact_y", "trade_shares", "collar",
    "latency_scale_us", "assumed_volume", "assumed_volatility",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is known of the stock.

    Attributes
    ----------
    daily_volume
        Shares a day; 0 where it is not known: :attr:`RoutingConfig.assumed_volume` then.
    daily_volatility
        Of a day's return, as a fraction; None where it is not known.
    listing
        The venue of its auctions; empty where it is not known: orders for an auction then go nowhere.

    Raises
    ------
    BadInput
        A negative value, or no number.
    """

    daily_volume: int = 0
    daily_volatility: float | None = None
    listing: str = ""

    def __post_init__(self) -> None:
        if self.daily_volume < 0:
            raise BadInput(f"The daily volume is {self.daily_volume}.", "Give shares, or 0 where it is not known.")
        if self.daily_volatility is not None and not (
            math.isfinite(self.daily_volatility) and self.daily_volatility >= 0
        ):
            raise BadInput(f"The daily volatility is {self.daily_volatility!r}.", "Give a fraction of at least 0.")
