"""Whether the prices of an order make sense: collar, bands, tick. Pure."""

from __future__ import annotations

from quantdesk.orders.guardrails.case import Case, Found, Rule
from quantdesk.orders.guardrails.limits import MILLION, money, percent, percent_of
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.order import OrderType, TimeInForce

__all__ = ["luld_band", "price_collar", "tick_size"]

_AUCTIONS = (TimeInForce.OPENING, TimeInForce.CLOSING)
_BANDED = (Phase.CONTINUOUS, Phase.CLOSING_AUCTION)
_AT_MARKET = (OrderType.MARKET, OrderType.STOP)


def price_collar(case: Case, rule: Rule, found: Found) -> None:
    """A limit too far through the market, a stop that would go off at once, or a market order into a wide spread.

    The reference is the midpoint of the decision, without it the last trade; for a stop-limit order its own stop price,
    where the limit begins to count. An order to be executed in an auction meets no spread.
    """
    order = case.order
    limit, stop = order.limit, case.stop
    if stop or order.stop_loss:
        _goes_off(case, rule, found)
    if limit:
        reference = stop or case.midpoint or case.situation.last
        away = rule.limit["away"]
        if not reference:
            found.append(rule.missing(f"{case.symbol} has neither a quote nor a last trade", percent(away)))
        elif (limit - reference) * case.side * MILLION > away * reference:
            bound = reference + case.side * (reference * away // MILLION)
            by = percent_of((limit - reference) * case.side, reference)
            message = (
                f"The limit {money(limit)} of this {order.action} is {by} through {money(reference)}; "
                f"{percent(away)} are allowed, up to {money(bound)}."
            )
            found.append(rule.broken(message, money(bound), money(limit)))
    elif not stop and order.order_type in _AT_MARKET and order.time_in_force not in _AUCTIONS:
        widest = rule.limit["spread"]
        middle = case.midpoint
        if not middle:
            found.append(rule.missing(f"{case.symbol} has no two-sided quote", percent(widest)))
        elif (case.ask - case.bid) * MILLION > widest * middle:
            spread = percent_of(case.ask - case.bid, middle)
            message = (
                f"A market order would meet a spread of {spread} ({money(case.bid)} to {money(case.ask)}); "
                f"{percent(widest)} are allowed."
            )
            found.append(rule.broken(message, percent(widest), spread))


def _goes_off(case: Case, rule: Rule, found: Found) -> None:
    """A stop price that the market has reached before the order is sent: nobody means that.

    A stop to buy goes off when the best offer is at or above it, a stop to sell when the best bid is at or below it.
    """
    order, side = case.order, case.side
    if case.stop:
        near = case.ask if side > 0 else case.bid
        if not near:
            found.append(rule.missing(f"{case.symbol} has no quote to hold the stop price against"))
        elif (case.stop - near) * side <= 0:
            _at_once(rule, found, f"stop price of this {order.action}", case.stop, (near, side))
    elif order.stop_loss:
        near = case.bid if side > 0 else case.ask  # the protective stop is of the other side
        if not near:
            found.append(rule.missing(f"{case.symbol} has no quote to hold the stop loss against"))
        elif (order.stop_loss - near) * side >= 0:
            _at_once(rule, found, f"stop loss of this {order.action}", order.stop_loss, (near, -side))


def _at_once(rule: Rule, found: Found, what: str, price: int, beyond: tuple[int, int]) -> None:
    where = f"{'above' if beyond[1] > 0 else 'below'} {money(beyond[0])}"
    found.append(rule.broken(f"The {what}, {money(price)}, would go off at once: it belongs {where}.",
                             where, money(price)))  # fmt: skip


def luld_band(case: Case, rule: Rule, found: Found) -> None:
    """A limit price outside of the price bands.

    Beyond the band that its side trades towards, an order could only trade where trading is not allowed. On the other
    side it only waits, as does a stop-limit order that has not gone off: that is a warning.
    """
    order = case.order
    limit = order.limit
    if not limit:
        return
    situation = case.situation
    bands = situation.bands
    if bands is None:
        day, phase = situation.rules, situation.phase
        if (day is not None and not day.luld) or (phase and phase not in _BANDED):
            return  # no bands on that day, or outside of the regular session
        found.append(rule.missing(f"the price bands of {case.symbol} are not known"))
        return
    lower, upper = bands
    if lower <= limit <= upper:
        return
    allowed = f"{money(lower)} to {money(upper)}"
    beyond = limit > upper if case.side > 0 else limit < lower
    if beyond and not case.stop:
        message = f"The limit {money(limit)} of this {order.action} is outside of the price bands, {allowed}."
        found.append(rule.broken(message, allowed, money(limit)))
    else:
        message = f"The limit {money(limit)} of this {order.action} cannot trade while the bands stand at {allowed}."
        found.append(rule.broken(message, allowed, money(limit), "warning"))


def tick_size(case: Case, rule: Rule, found: Found) -> None:
    """A price that nobody may quote: finer than the step of that day at that price."""
    order = case.order
    if not (order.limit or order.stop or order.stop_loss):
        return
    day = case.situation.rules
    for what, price in (("limit", order.limit), ("stop price", case.stop), ("stop loss", order.stop_loss)):
        if not price:
            continue
        step = 0 if day is None else day.tick(price)
        if not step:
            found.append(rule.missing("the tick of the day is not known"))
            return
        if price % step:
            below = price - price % step
            near = f"give {money(below)} or {money(below + step)}" if below else f"give {money(step)}"
            message = f"The {what} {money(price)} is between two ticks of {money(step)}: {near}."
            found.append(rule.broken(message, f"multiples of {money(step)}", money(price)))
