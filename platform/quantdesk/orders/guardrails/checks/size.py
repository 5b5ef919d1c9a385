"""Whether an order is too large, or of an odd size. Pure."""

from __future__ import annotations

from quantdesk.orders.guardrails.case import Case, Found, Rule
from quantdesk.orders.guardrails.decision import Severity
from quantdesk.orders.guardrails.limits import MILLION, money, number, percent, percent_of

__all__ = ["max_notional", "max_shares", "participation", "round_lot"]


def max_shares(case: Case, rule: Rule, found: Found) -> None:
    """More shares than one order may have."""
    most = rule.limit["shares"]
    if case.shares > most:
        message = f"An order of {number(case.shares)}; {number(most)} are allowed."
        found.append(rule.broken(message, number(most), number(case.shares), _severity(case)))


def max_notional(case: Case, rule: Rule, found: Found) -> None:
    """More dollars than one order may move: its shares at the highest of the midpoint, its limit and its stop.

    A low limit makes no order small, because a sale with a low limit trades at the market.
    """
    most = rule.limit["dollars"]
    middle = case.midpoint
    if not middle:
        found.append(rule.missing(f"{case.symbol} has no two-sided quote to value the order at", money(most)))
        return
    amount = case.shares * max(middle, case.order.limit, case.stop)
    if amount > most:
        message = f"An order of {money(amount)} ({number(case.shares)}); {money(most)} are allowed."
        found.append(rule.broken(message, money(most), money(amount), _severity(case)))


def participation(case: Case, rule: Rule, found: Found) -> None:
    """Too large a part of what is traded in a day."""
    most = rule.limit["of_volume"]
    volume = case.situation.average_daily_volume
    if not volume:
        found.append(rule.missing(f"the average daily volume of {case.symbol} is not known", percent(most)))
    elif case.shares * MILLION > most * volume:
        part = percent_of(case.shares, volume)
        message = f"{number(case.shares)} are {part} of an average day's {volume:,}; {percent(most)} are allowed."
        found.append(rule.broken(message, percent(most), part, _severity(case)))


def _severity(case: Case) -> Severity | None:
    """That of the policy, but for a stop that protects: what it may trade was decided with what it stands for."""
    return "warning" if case.protects else None


def round_lot(case: Case, rule: Rule, found: Found) -> None:
    """No multiple of the round lot of that day at that price: the rest is an odd lot, which no quote protects."""
    situation = case.situation
    day = situation.rules
    price = situation.previous_close or case.midpoint or case.order.limit
    lot = 0 if day is None or not price else day.round_lot(price)
    if not lot:
        found.append(rule.missing(f"the round lot of {case.symbol} on that day is not known"))
    elif case.shares % lot:
        message = f"{number(case.shares)} are no multiple of a round lot of {lot}: {case.shares % lot} are an odd lot."
        found.append(rule.broken(message, f"multiples of {number(lot)}", number(case.shares)))
