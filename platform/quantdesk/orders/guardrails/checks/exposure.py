"""Whether the account can bear an order: position, concentration, exposure, the loss of the day. Pure.

All of them take the account as it runs, open orders included, marked at the quote of the decision, and all of them let
a risk-reducing order pass, even where something is not known: the way out stays open.
"""

from __future__ import annotations

from quantdesk.orders.guardrails.case import Case, Found, Rule
from quantdesk.orders.guardrails.decision import GuardrailViolation
from quantdesk.orders.guardrails.limits import MILLION, money, number, percent, percent_of

__all__ = ["concentration", "daily_loss", "gross_exposure", "net_exposure", "position_limit"]


def position_limit(case: Case, rule: Rule, found: Found) -> None:
    """More of one symbol than the desk may hold, in shares or in dollars, if its open orders of this side filled."""
    if case.reduces:
        return
    held = abs(case.after)
    most = rule.limit["shares"]
    if held > most:
        message = (
            f"{case.symbol} would stand at {number(case.after)}, open orders included; {number(most)} are allowed."
        )
        found.append(rule.broken(message, number(most), number(held)))
    dollars = rule.limit["dollars"]
    if not case.midpoint:
        found.append(rule.missing(f"{case.symbol} has no two-sided quote to value the position at", money(dollars)))
        return
    value = held * case.midpoint
    if value > dollars:
        message = f"{case.symbol} would stand at {money(value)}, open orders included; {money(dollars)} are allowed."
        found.append(rule.broken(message, money(dollars), money(value)))


def concentration(case: Case, rule: Rule, found: Found) -> None:
    """Too large a part of the equity in one symbol."""
    if case.reduces:
        return
    most = rule.limit["of_equity"]
    missing = _unvalued(case)
    if missing:
        found.append(rule.missing(missing, percent(most)))
        return
    value = abs(case.after) * case.midpoint
    if value and value * MILLION > most * case.equity:
        found.append(_of_equity(rule, f"{case.symbol} would stand at", value, case.equity))


def gross_exposure(case: Case, rule: Rule, found: Found) -> None:
    """Too much in all, long and short added up, if of each symbol the worse side of its open orders filled."""
    if case.reduces:
        return
    most = rule.limit["dollars"]
    missing = _unvalued(case)
    if missing:
        found.append(rule.missing(missing, money(most)))
        return
    held, buys = case.held, case.side > 0
    worst = max(abs(case.after), abs(held.shares - held.selling) if buys else abs(held.shares + held.buying))
    account = case.situation.portfolio
    gross = account.gross_with_open_orders - held.worst * held.mark + worst * case.midpoint
    if gross > most:
        message = f"Gross exposure would be {money(gross)}, open orders included; {money(most)} are allowed."
        found.append(rule.broken(message, money(most), money(gross)))
    if gross and gross * MILLION > rule.limit["of_equity"] * case.equity:
        found.append(_of_equity(rule, "Gross exposure would be", gross, case.equity))


def net_exposure(case: Case, rule: Rule, found: Found) -> None:
    """Too much on one side, longs less shorts, if all open orders of this side filled, and none of the other."""
    if case.reduces:
        return
    most = rule.limit["dollars"]
    missing = _unvalued(case)
    if missing:
        found.append(rule.missing(missing, money(most)))
        return
    held, account, middle = case.held, case.situation.portfolio, case.midpoint
    if case.side > 0:
        opened = account.open_buying + held.buying * (middle - held.mark)
    else:
        opened = account.open_selling + held.selling * (middle - held.mark)
    net = case.net * case.side + opened + case.shares * middle  # towards the side of the order
    if net > most:
        message = f"Net exposure would be {money(net * case.side)}, open orders included; {money(most)} are allowed."
        found.append(rule.broken(message, money(most), money(net)))
    if net > 0 and net * MILLION > rule.limit["of_equity"] * case.equity:
        found.append(
            _of_equity(rule, f"Net {'long' if case.side > 0 else 'short'} exposure would be", net, case.equity)
        )


def daily_loss(case: Case, rule: Rule, found: Found) -> None:
    """The account has lost more since the day began than it may: only risk-reducing orders pass."""
    if case.reduces:
        return
    account, day = case.situation.portfolio, case.situation.rules
    most = rule.limit["dollars"]
    if account.day is None or (day is not None and account.day != day.on):
        since = "never" if account.day is None else f"on {account.day}"
        found.append(rule.missing(f"the account began its day {since}, so that no loss of this day is known",
                                  money(most)))  # fmt: skip
        return
    if case.unpriced or (case.held.shares and not case.midpoint):
        found.append(rule.missing(_unvalued(case), money(most)))
        return
    loss = -case.day_pnl
    if loss > most:
        message = f"The account has lost {money(loss)} today; {money(most)} are allowed."
        found.append(rule.broken(message, money(most), money(loss)))
    start = account.equity_at_start
    if loss > 0 and loss * MILLION > rule.limit["of_equity"] * start:
        found.append(_of_equity(rule, "The loss of the day is", loss, start, "of the equity at its start"))


def _unvalued(case: Case) -> str:
    """Why the account cannot be valued; empty where it can."""
    if not case.midpoint:
        return f"{case.symbol} has no two-sided quote to value the account at"
    if case.unpriced:
        return f"{case.unpriced} other symbol{' has' if case.unpriced == 1 else 's have'} no price in the account"
    return ""


def _of_equity(rule: Rule, what: str, amount: int, equity: int, of: str = "of the equity") -> GuardrailViolation:
    most = rule.limit["of_equity"]
    if equity <= 0:
        message = f"{what} {money(amount)}, and the equity is {money(equity)}: {percent(most)} of nothing are allowed."
        return rule.broken(message, percent(most), f"{money(amount)} on {money(equity)}")
    part = percent_of(amount, equity)
    message = f"{what} {money(amount)}, {part} {of}; {percent(most)} are allowed."
    return rule.broken(message, percent(most), part)
