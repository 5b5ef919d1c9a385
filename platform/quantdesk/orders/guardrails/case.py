"""What the checks of one order share: the order, its situation, and what follows from both. Pure.

**Risk-reducing** is an order that can only bring the position nearer to nothing, whatever else is open and in whichever
order it fills: a purchase while the position is short, or a sale (not marked short) while it is long, of no more shares
than the position holds after every open order of the same side. It never opens and never flips.

**Marked at the quote of the decision**: the position in the order's symbol is valued at the midpoint of the national
best bid and offer, all other positions at their last marks in the account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quantdesk.orders.guardrails.decision import GuardrailViolation, Severity
from quantdesk.orders.guardrails.situation import Situation
from quantdesk.orders.order import Action, Order

__all__ = ["Case", "Check", "Found", "Rule"]

Found = list[GuardrailViolation]


class Case:
    """One order in its situation.

    Attributes
    ----------
    order, situation
        As given.
    symbol, side, shares
        Of the order; `side` is 1 for a purchase, -1 for a sale.
    stop
        The stop price in micro-dollars; 0 without one, and once it was reached.
    held
        The position in its symbol.
    after
        Signed shares, if the open orders of its side and the order itself filled.
    reduces
        Whether it is risk-reducing.
    protects
        Whether it is a stop that went off and is risk-reducing: its size was let through with what it protects, so that
        limits of size only warn. A position is not left without its stop because the price has risen.
    bid, ask, midpoint
        Micro-dollars, 0 where there is none; the midpoint only of a two-sided quote.
    net, equity, day_pnl
        Of the account in micro-dollars, marked at the quote of the decision.
    unpriced
        Symbols besides this one in which the account has shares or open orders without a price.
    """

    __slots__ = (
        "after",
        "ask",
        "bid",
        "day_pnl",
        "equity",
        "held",
        "midpoint",
        "net",
        "order",
        "protects",
        "reduces",
        "shares",
        "side",
        "situation",
        "stop",
        "symbol",
        "unpriced",
    )

    def __init__(self, order: Order, situation: Situation) -> None:
        self.order = order
        self.situation = situation
        self.symbol = order.symbol
        self.shares = shares = order.shares
        self.stop = 0 if situation.triggered else order.stop
        account = situation.portfolio
        self.held = held = account.position(order.symbol)
        position = held.shares
        action = order.action
        if action is Action.BUY:
            self.side = 1
            self.after = position + held.buying + shares
            self.reduces = position < 0 and self.after <= 0
        else:
            self.side = -1
            self.after = position - held.selling - shares
            self.reduces = position > 0 and self.after >= 0 and action is Action.SELL
        self.protects = situation.triggered and self.reduces
        quotes = situation.quotes
        if quotes is None:
            self.bid = self.ask = self.midpoint = 0
        else:
            best = quotes.nbbo
            self.bid, self.ask, self.midpoint = best.bid, best.ask, best.midpoint
        mark = held.mark
        # Without a quote the old mark stays; whoever needs the new one asks for the midpoint first.
        moved = position * (self.midpoint - mark) if self.midpoint else 0
        self.net = account.net + moved
        self.equity = account.cash + self.net
        self.day_pnl = self.equity - account.equity_at_start
        self.unpriced = account.unpriced - (1 if not mark and held.worst else 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """A check as the policy has it for one use, user and symbol.

    Attributes
    ----------
    code, clause
        See :class:`~quantdesk.orders.guardrails.catalogue.Spec`.
    severity
        Of a violation.
    unknown
        Severity where an input is missing: the fail mode of the use.
    limit
        The limits by name, as whole numbers or names.
    check
        What is called.
    """

    code: str
    clause: str
    severity: Severity
    unknown: Severity
    limit: Mapping[str, Any]
    check: Check

    def broken(
        self, message: str, limit: str = "", value: str = "", severity: Severity | None = None
    ) -> GuardrailViolation:
        """The limit was passed."""
        return GuardrailViolation(self.code, message, severity or self.severity, limit, value, self.clause)

    def missing(self, what: str, limit: str = "") -> GuardrailViolation:
        """The check could not be made, because `what` is not known."""
        return GuardrailViolation(self.code, f"Not checked: {what}.", self.unknown, limit, "unknown", self.clause)


Check = Callable[[Case, Rule, Found], None]
