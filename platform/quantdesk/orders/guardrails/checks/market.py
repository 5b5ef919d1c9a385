"""Whether there is a market to trade in: halts, breakers, the phase of the day, the quote. Pure."""

from __future__ import annotations

from quantdesk.orders.guardrails.case import Case, Found, Rule
from quantdesk.orders.guardrails.limits import money, seconds
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.order import TimeInForce

__all__ = [
    "auction_period",
    "circuit_breaker",
    "crossed_market",
    "halt_status_unknown",
    "no_quote",
    "stale_price",
    "symbol_halted",
]

_HALTED, _UNKNOWN = Status.HALTED, Status.UNKNOWN
_TRADING = str(Status.TRADING)
_OPENING, _CLOSING = TimeInForce.OPENING, TimeInForce.CLOSING

#: The phases for which an order of a time in force is meant; of all others, for the continuous one.
_MEANT: dict[TimeInForce, tuple[str, ...]] = {
    _OPENING: (Phase.PRE_OPEN, Phase.OPENING_AUCTION),
    _CLOSING: (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CONTINUOUS, Phase.CLOSING_AUCTION),
}
_CONTINUOUS = (Phase.CONTINUOUS,)
_SAID: dict[str, str] = {
    Phase.PRE_OPEN: "before the opening auction",
    Phase.OPENING_AUCTION: "while the opening auction is prepared",
    Phase.CONTINUOUS: "after the opening auction",
    Phase.CLOSING_AUCTION: "while the closing auction is prepared",
    Phase.CLOSED: "while the market is closed",
}


def circuit_breaker(case: Case, rule: Rule, found: Found) -> None:
    """All trading is stopped: no order passes, not even one that reduces risk."""
    halt = case.situation.market_halt
    if halt is not None and halt.status is _HALTED:
        message = f"All trading is stopped ({halt.halt_type or halt.source}): {halt.message}"
        found.append(rule.broken(message, _TRADING, str(halt.status)))


def symbol_halted(case: Case, rule: Rule, found: Found) -> None:
    """The symbol is halted or paused."""
    halt = case.situation.halt
    if halt is not None and halt.status is _HALTED:
        message = f"{case.symbol} is halted ({halt.halt_type or halt.source}): {halt.message}"
        found.append(rule.broken(message, _TRADING, str(halt.status)))


def halt_status_unknown(case: Case, rule: Rule, found: Found) -> None:
    """Nobody can say whether the symbol trades, or the market. A symbol that trades speaks for its market too."""
    symbol, market = case.situation.halt, case.situation.market_halt
    if symbol is None:
        found.append(rule.missing(f"nobody was asked whether {case.symbol} trades", _TRADING))
    elif symbol.status is _UNKNOWN:
        found.append(rule.missing(_told(case.symbol, symbol), _TRADING))
    if market is not None and market.status is _UNKNOWN:
        found.append(rule.missing(_told("the market", market), _TRADING))


def _told(what: str, halt: HaltStatus) -> str:
    why = f": {halt.message.rstrip('.')}" if halt.message else ""
    return f"whether {what} trades is unknown ({halt.source}, {halt.age_s:,.0f} s old{why})"


def auction_period(case: Case, rule: Rule, found: Found) -> None:
    """It is not the phase of the day for which the order is meant."""
    phase = case.situation.phase
    kind = case.order.time_in_force
    meant = _MEANT.get(kind, _CONTINUOUS)
    if phase in meant:
        return
    if not phase:
        found.append(rule.missing("the phase of the day is not known", " or ".join(meant)))
        return
    message = f"This {kind} order comes {_SAID.get(phase, f'in the phase {phase!r}')}."
    found.append(rule.broken(message, " or ".join(meant), str(phase)))


def no_quote(case: Case, rule: Rule, found: Found) -> None:
    """There is no two-sided national best quote, so that nothing can be valued."""
    if not case.midpoint:
        shown = f"bid {money(case.bid) if case.bid else 'none'}, offer {money(case.ask) if case.ask else 'none'}"
        found.append(rule.missing(f"{case.symbol} has no two-sided quote ({shown})", "a bid and an offer"))


def stale_price(case: Case, rule: Rule, found: Found) -> None:
    """The quote is old, or of a moment that is still to come. Without a quote there is NO_QUOTE."""
    quotes = case.situation.quotes
    if quotes is None:
        return
    age = case.situation.at - quotes.at
    limit = rule.limit["seconds"]
    if 0 <= age <= limit:
        return
    if age > limit:
        message = f"The quote of {case.symbol} is {seconds(age)} old; {seconds(limit)} are allowed."
    else:
        message = f"The quote of {case.symbol} is of {seconds(-age)} after the decision: clocks disagree."
    found.append(rule.broken(message, seconds(limit), seconds(age)))


def crossed_market(case: Case, rule: Rule, found: Found) -> None:
    """The national best bid is above the best offer: one of the quotes is not what it seems. Locked is not crossed."""
    if case.bid > case.ask > 0:
        message = f"The market in {case.symbol} is crossed: {money(case.bid)} bid, {money(case.ask)} offered."
        found.append(rule.broken(message, f"a bid of at most {money(case.ask)}", money(case.bid)))
