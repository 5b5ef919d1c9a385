"""Implementation shortfall: what a decision lost on its way into the account, and where. Pure.

Perold, A. (1988), "The Implementation Shortfall: Paper versus Reality", Journal of Portfolio Management 14(3): the
return of a paper portfolio that trades everything at once at the middle of the decision, minus that of the real one.
With ``s`` the side, ``X`` the shares ordered, ``x_i`` at ``p_i`` the fills, and middles ``m_d`` at the decision,
``m_a`` at the arrival and ``m_e`` at the end of the order::

    delay        s * sum(x_i) * (m_a - m_d)            the market moved before the order arrived
    execution    s * sum(x_i * (p_i - m_a))            spread, impact and timing of what was traded
    opportunity  s * (X - sum(x_i)) * (m_e - m_d)      what was not traded, and by how much that hurts
    fees         paid to venues and brokers, rebates taken off
    total        their sum

All are dollars, above 0 is a cost. They are computed in whole halves of a micro-dollar, because a middle may end on
one, so that the sum is exact, to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from quantdesk.orders.tca.facts import Fill, OrderFacts

__all__ = ["Shortfall", "shortfall"]


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The implementation shortfall of one order, in dollars; above 0 is a cost.

    Attributes
    ----------
    delay, execution, opportunity, fees
        The components. One that cannot be known is None: without a quote at the decision or arrival nothing but the
        fees is known; without one at the end, no opportunity cost of shares that were not traded. It is 0 where
        everything was.
    paper
        What the shares ordered were worth at the middle of the decision: the base of basis points; None without it.
    why
        What is missing, in words; empty where nothing is.
    """

    delay: Decimal | None
    execution: Decimal | None
    opportunity: Decimal | None
    fees: Decimal
    paper: Decimal | None
    why: str = ""

    @property
    def total(self) -> Decimal | None:
        """The sum of the components; None where one is not known."""
        if self.delay is None or self.execution is None or self.opportunity is None:
            return None
        return self.delay + self.execution + self.opportunity + self.fees

    @property
    def bps(self) -> float | None:
        """The total in basis points of `paper`; None where either is not known."""
        if self.total is None or not self.paper:
            return None
        return float(self.total / self.paper) * 10_000

    def to_dict(self) -> dict[str, Any]:
        """Money as text, and basis points."""
        money = {name: getattr(self, name) for name in ("delay", "execution", "opportunity", "fees", "total", "paper")}
        return {name: None if value is None else str(value) for name, value in money.items()} | {
            "bps": self.bps,
            "why": self.why,
        }


def shortfall(order: OrderFacts, fills: Iterable[Fill]) -> Shortfall:
    """The implementation shortfall of an order from its fills.

    The opportunity cost of an order that is still open is not known: it has not ended.
    """
    fills = tuple(fills)
    fees = Decimal(sum(fill.fee for fill in fills)).scaleb(-6)
    missing = [
        f"no quote at the {name}"
        for name, quote in (("decision", order.decision), ("arrival", order.arrival))
        if not quote.usable
    ]
    paper = _dollars(order.shares * order.decision.twice_mid) if order.decision.usable else None
    if missing:
        return Shortfall(None, None, None, fees, paper, ", ".join(missing))
    filled = sum(fill.shares for fill in fills)
    delay = order.side * filled * (order.arrival.twice_mid - order.decision.twice_mid)
    execution = order.side * sum(fill.shares * (2 * fill.price - order.arrival.twice_mid) for fill in fills)
    opportunity, why = _opportunity(order, order.shares - filled)
    return Shortfall(
        delay=_dollars(delay),
        execution=_dollars(execution),
        opportunity=None if opportunity is None else _dollars(opportunity),
        fees=fees,
        paper=paper,
        why=why,
    )


def _opportunity(order: OrderFacts, left: int) -> tuple[int | None, str]:
    if left == 0:
        return 0, ""
    if order.end is None:
        return None, "the order is open"
    if not order.end.usable:
        return None, "no quote at the end"
    return order.side * left * (order.end.twice_mid - order.decision.twice_mid), ""


def _dollars(halves: int) -> Decimal:
    """Halves of a micro-dollar as dollars, exactly."""
    return Decimal(halves * 5).scaleb(-7)
