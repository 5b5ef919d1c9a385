"""Whether this user may send this order, in this way, now. Pure."""

from __future__ import annotations

import numpy as np

from quantdesk.orders.amounts import moment
from quantdesk.orders.guardrails.case import Case, Found, Rule
from quantdesk.orders.guardrails.limits import money, number, seconds
from quantdesk.orders.guardrails.situation import Resting
from quantdesk.orders.order import Action, OrderType

__all__ = [
    "duplicate_order",
    "kill_switch",
    "message_rate",
    "order_marking",
    "restricted_list",
    "self_trade",
    "short_sale_restriction",
    "unauthorised_user",
]


def kill_switch(case: Case, rule: Rule, found: Found) -> None:
    """A switch was thrown for all, for the user or for the symbol. Risk-reducing orders pass."""
    kills = case.situation.kill
    if not kills or case.reduces:
        return
    for kill in kills.of(case.order.user_id, case.symbol):
        what = kill.name or "all trading"
        message = f"{kill.by} stopped {what} at {moment(kill.at):%Y-%m-%d %H:%M:%S} UTC: {kill.why.rstrip('.')}."
        found.append(rule.broken(message, "risk-reducing orders", f"{case.order.action} {number(case.shares)}"))


def unauthorised_user(case: Case, rule: Rule, found: Found) -> None:
    """A user who may not trade, or no user at all where one is wanted."""
    user = case.order.user_id
    if user is None:
        if case.situation.use not in rule.limit["nameless"]:
            message = f"A {case.situation.use} order must say who sends it."
            found.append(rule.broken(message, "a user_id", "none"))
        return
    users = rule.limit["users"]
    if user not in users and "*" not in users:
        message = f"{user} is not among the {len(users)} users who may trade {case.symbol}."
        found.append(rule.broken(message, ", ".join(sorted(users)) or "nobody", user))


def message_rate(case: Case, rule: Rule, found: Found) -> None:
    """More messages of a user within a span than are allowed, this one included."""
    situation = case.situation
    if situation.triggered:
        return
    most, span = rule.limit["messages"], rule.limit["seconds"]
    if situation.recent is None:
        found.append(rule.missing("what was sent lately is not known", f"{most:,} in {seconds(span)}"))
        return
    user, after = case.order.user_id, situation.at - span
    if situation.recent.has_sent(user, most, after):
        count = situation.recent.count(user, after) + 1
        message = f"This would be message {count:,} within {seconds(span)}; {most:,} are allowed."
        found.append(rule.broken(message, f"{most:,} in {seconds(span)}", f"{count:,} in {seconds(span)}"))


def duplicate_order(case: Case, rule: Rule, found: Found) -> None:
    """The same user sent an equal order a moment ago."""
    situation = case.situation
    if situation.triggered:
        return
    span = rule.limit["seconds"]
    if situation.recent is None:
        found.append(rule.missing("what was sent lately is not known", seconds(span)))
        return
    since = situation.recent.since_same(case.order, situation.at)
    if since is not None and since < span:
        message = f"An equal order was sent {seconds(since)} ago; {seconds(span)} must lie between."
        found.append(rule.broken(message, seconds(span), seconds(since)))


def restricted_list(case: Case, rule: Rule, found: Found) -> None:
    """A symbol that the desk may not trade."""
    symbols = rule.limit["symbols"]
    if case.symbol in symbols:
        message = f"{case.symbol} is on the restricted list of {len(symbols)} symbol{'' if len(symbols) == 1 else 's'}."
        found.append(rule.broken(message, "symbols that are not restricted", case.symbol))


def short_sale_restriction(case: Case, rule: Rule, found: Found) -> None:
    """A short sale that Rule 201, or a ban of that day, does not allow.

    While Rule 201 restricts a symbol, its short sales must be priced above the national best bid. A stop order counts
    as what it becomes, against the bid of now.
    """
    order = case.order
    if order.action is not Action.SELL_SHORT:
        return
    situation = case.situation
    day = situation.rules
    if day is None:
        found.append(rule.missing("the rules of the day are not known"))
    elif day.bans and not _passes_bans(case, rule, found):
        return
    if situation.short_sale_restricted is False or (day is not None and not day.rule_201):
        return
    bid = case.bid
    price = order.limit
    if order.order_type is OrderType.MIDPOINT_PEG:
        price = max(price, case.midpoint)
    if bid and price > bid:
        return  # allowed whether or not the symbol is restricted
    above = f"above {money(bid)}" if bid else "above the national best bid"
    if situation.short_sale_restricted is None:
        found.append(rule.missing(f"whether short sales of {case.symbol} are restricted is not known", above))
    elif not bid:
        found.append(rule.missing(f"short sales of {case.symbol} are restricted, and there is no national best bid",
                                  above))  # fmt: skip
    else:
        value = money(price) if price else "at the market"
        message = f"Short sales of {case.symbol} are restricted to prices {above}; this one is {value}."
        found.append(rule.broken(message, above, value))


def _passes_bans(case: Case, rule: Rule, found: Found) -> bool:
    """Whether no ban of the day covers the symbol."""
    day, groups = case.situation.rules, case.situation.groups
    assert day is not None  # noqa: S101 (the caller has seen it)
    named = day.bans & {"all", case.symbol, *(groups or ())}
    if named:
        about = ", ".join(sorted(named))
        message = f"Short sales of {case.symbol} are banned on {day.on} (ban of: {about})."
        found.append(rule.broken(message, "no short sales", f"{case.order.action} {number(case.shares)}"))
        return False
    if groups is None and day.banned_groups:
        about = ", ".join(sorted(day.banned_groups))
        found.append(rule.missing(f"short sales of {about} are banned on {day.on}, and the groups of {case.symbol} "
                                  "are not known", "no short sales"))  # fmt: skip
    return True


def order_marking(case: Case, rule: Rule, found: Found) -> None:
    """A sale marked long of shares that the desk does not have, open sales counted: it must be marked short."""
    if case.order.action is not Action.SELL or case.after >= 0:
        return
    held = case.held
    long = max(held.shares - held.selling, 0)
    rest = f"Sell {long:,} and sell short {case.shares - long:,}." if long else "Mark it sell_short."
    open_ = f", {held.selling:,} of them in open sales" if held.selling else ""
    message = f"A sale of {number(case.shares)} with a position of {held.shares:,}{open_} would go short. {rest}"
    found.append(rule.broken(message, number(long), number(case.shares)))


def self_trade(case: Case, rule: Rule, found: Found) -> None:
    """It could trade against an order of the desk that rests in the market.

    A market order is taken to reach as deep as its shares go into the visible books, and beyond them to any price. A
    stop order is asked about when it goes off.
    """
    held, side = case.held, case.side
    if not (held.selling if side > 0 else held.buying):
        return  # nothing of the other side is open
    resting = case.situation.resting
    if resting is None:
        found.append(rule.missing(f"which orders of the desk rest in {case.symbol} is not known"))
        return
    if case.stop or not any(one.side != side for one in resting):
        return
    reach = _reach(case)
    for one in resting:
        if one.side == side:
            continue
        price = _rests_at(one, case.midpoint)
        if not reach or not price or (reach - price) * side >= 0:
            mine = money(reach) if reach else "any price"
            own = f"the desk's own order {one.order_id} at {money(price) if price else 'any price'}"
            message = f"It could trade at {mine} against {own}."
            found.append(rule.broken(message, f"not through {money(price) if price else 'it'}", mine))
            return


def _rests_at(one: Resting, middle: int) -> int:
    """The price of a resting order in micro-dollars; 0 for any, as of a market order that is still out."""
    if not one.peg or not middle:
        return one.limit
    if not one.limit:
        return middle
    return min(one.limit, middle) if one.side > 0 else max(one.limit, middle)


def _reach(case: Case) -> int:
    """The worst price at which the order could trade, in micro-dollars; 0 for any."""
    order, quotes = case.order, case.situation.quotes
    if order.order_type is OrderType.MIDPOINT_PEG:
        return _rests_at(Resting("", case.side, order.limit, peg=True), case.midpoint)
    if order.limit or quotes is None:
        return order.limit
    price, size = (quotes.ask, quotes.ask_size) if case.side > 0 else (quotes.bid, quotes.bid_size)
    shown = price > 0
    price, size = price[shown], size[shown]
    best_first = np.argsort(price * case.side, kind="stable")
    place = int(np.searchsorted(np.cumsum(size[best_first]), order.shares))
    return 0 if place == len(price) else int(price[best_first[place]])
