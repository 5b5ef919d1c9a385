"""How a scenario is run: chance, limits, stops, hedges, what the market costs. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from quantdesk.errors import BadInput
from quantdesk.orders.alerts import AlertRules
from quantdesk.orders.guardrails import Policy, bundled
from quantdesk.scenarios.market import MarketConfig

__all__ = ["LEVELS", "RunConfig"]

LEVELS = "levels_reconstructed"
"""The label of prices whose levels are not those of their day."""

_PARTS = ("cash_buffer", "stop_distance", "position_limit", "sector_limit")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The settings of a run. Those that recommendations change stand first.

    Attributes
    ----------
    cash_buffer
        Part of the account's value that stays in cash whatever a strategy wishes.
    stop_distance
        Part of the price below (above, for a short) which a protective stop stands for each new position; None for no
        stops.
    position_limit, sector_limit
        Largest part of the account's value in one symbol, in one sector; wishes are cut to it, and the rest stays cash.
        Between two wishes prices may carry a position beyond it, and what no strategy wishes for is not cut.
        None for no limit beyond those of the guardrails.
    hedges
        Instruments that are bought at the beginning, as in a portfolio: quantity by instrument.
    over_closure
        What becomes of a wish when the market shuts before it is filled: it waits and meets the gap of the reopening,
        or it is cancelled.
    liquidate
        Whether the cost of selling what is held at the end, at a tenth of the ordinary volume a day, is taken off the
        last value. Every result tells that cost; this puts it inside the P&L.
    seed
        Of everything that is left to chance.
    market
        Spreads, depth, venues.
    policy
        Of the guardrails; when None the bundled one, as :meth:`policy_for` has it.
    alerts
        The rules that watch the desk; the bundled ones when None.
    watch_every_s
        Seconds between two looks of that watch.
    time_limit_s
        Seconds that a strategy may take in all.

    Raises
    ------
    BadInput
        A part that is none, a seed or a time that is none.
    """

    cash_buffer: float = 0.02
    stop_distance: float | None = None
    position_limit: float | None = None
    sector_limit: float | None = None
    hedges: Mapping[str, float] = field(default_factory=dict)
    over_closure: Literal["queue", "cancel"] = "queue"
    liquidate: bool = False
    seed: int = 0
    market: MarketConfig = field(default_factory=MarketConfig)
    policy: Policy | None = None
    alerts: AlertRules | None = None
    watch_every_s: float = 60.0
    time_limit_s: float = 60.0

    def __post_init__(self) -> None:
        for name in _PARTS:
            value = getattr(self, name)
            least = 0.0 if name == "cash_buffer" else 1e-4
            if value is not None and not (isinstance(value, (int, float)) and least <= value <= 1):
                raise BadInput(f"{name} is {value!r}.", f"Give a part of 1, at least {least:g}, or None for none.")
        if self.cash_buffer is None:
            raise BadInput("cash_buffer is None.", "Give a part of 1; 0 for none.")
        if self.over_closure not in ("queue", "cancel"):
            raise BadInput(f"over_closure is {self.over_closure!r}.", "Give queue or cancel.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise BadInput(f"The seed is {self.seed!r}.", "Give a whole number of at least 0.")
        for name in ("time_limit_s", "watch_every_s"):
            if not 1e-3 <= getattr(self, name) < math.inf:
                raise BadInput(f"{name} is {getattr(self, name)!r}.", "Give seconds, at least a thousandth of one.")

    def policy_for(self, labels: Collection[str]) -> Policy:
        """The policy of the guardrails for data with some labels.

        Where levels of prices are not those of their day, a number of shares means nothing, and the bundled policy's
        limit on it is left out; a policy of one's own stays as it is.
        """
        if self.policy is not None or LEVELS not in labels:
            return self.policy or bundled()
        policy = bundled()
        checks = {**policy.checks, "MAX_SHARES": {**policy.checks["MAX_SHARES"], "enabled": False}}
        return dataclasses.replace(policy, name=f"{policy.name}, without numbers of shares", checks=checks)

    def to_dict(self) -> dict[str, Any]:
        """What a result says of it: the levers, and the policy's name."""
        return {
            **{name: getattr(self, name) for name in _PARTS},
            "hedges": dict(sorted(self.hedges.items())),
            "over_closure": self.over_closure,
            "liquidate": self.liquidate,
            "policy": "" if self.policy is None else f"{self.policy.name} {self.policy.sha256[:12]}",
            "alerts": "" if self.alerts is None else self.alerts.title,
            "watch_every_s": self.watch_every_s,
            "time_limit_s": self.time_limit_s,
        }
