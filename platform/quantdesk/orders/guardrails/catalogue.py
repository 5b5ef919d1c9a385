"""Every check: its code, what it stops, the clause that it serves, its limits, and what it must know. Pure.

The clauses are those of SEC Rule 15c3-5 (market access), Regulation SHO (short sales), Regulation NMS, NYSE Rule 7.12
and the LULD Plan; "FIA 2024" names a control of FIA's *Best Practices for Automated Trading Risk Controls and System
Safeguards* (July 2024) by its subject, from memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quantdesk.errors import UnknownName
from quantdesk.orders.guardrails import recent
from quantdesk.orders.guardrails.case import Check
from quantdesk.orders.guardrails.checks import conduct, exposure, market, price, size
from quantdesk.orders.guardrails.limits import COUNT, DOLLARS, FRACTION, NAMES, SECONDS, SHARES, SYMBOLS, USES, Limit

__all__ = ["BY_CODE", "CHECKS", "Spec", "spec"]


@dataclass(frozen=True, slots=True)
class Spec:
    """One check.

    Attributes
    ----------
    code
        As it stands in policies, violations and the ledger.
    check
        The function.
    about
        What it stops, in a sentence.
    clause
        What it serves.
    limits
        Its limits by name.
    needs
        What it must know and may not: then the fail mode of the use decides. Empty where it knows all that it needs.
    only_unknown
        Whether it speaks of nothing but a missing input, so that fail modes are its whole severity.
    lets_reduce
        Whether a risk-reducing order passes it whatever the limits.
    for_picks
        Whether it makes sense for a symbol without an order.
    """

    code: str
    check: Check
    about: str
    clause: str
    limits: Mapping[str, Limit] = field(default_factory=dict)
    needs: str = ""
    only_unknown: bool = False
    lets_reduce: bool = False
    for_picks: bool = False


_SHARES, _DOLLARS, _FRACTION = Limit(SHARES), Limit(DOLLARS), Limit(FRACTION)
_SPAN = Limit(SECONDS, "higher", recent.HORIZON)

CHECKS: tuple[Spec, ...] = (
    Spec(
        "KILL_SWITCH", conduct.kill_switch,
        "a switch was thrown for all, for the user or for the symbol",
        "15c3-5(c)(1)(i); FIA 2024: kill switch", lets_reduce=True,
    ),
    Spec(
        "UNAUTHORISED_USER", conduct.unauthorised_user,
        "the user may not trade, or the order has none",
        "15c3-5(c)(2)(iii)", {"users": Limit(NAMES, "fewer"), "nameless": Limit(USES, "fewer")},
    ),
    Spec(
        "MESSAGE_RATE", conduct.message_rate,
        "a user sends more messages within a span than allowed",
        "15c3-5(c)(1)(ii); FIA 2024: message throttle",
        {"messages": Limit(COUNT, "lower", recent.MESSAGES), "seconds": _SPAN}, needs="what was sent lately",
    ),
    Spec(
        "DUPLICATE_ORDER", conduct.duplicate_order,
        "the user sent an equal order a moment ago",
        "15c3-5(c)(1)(ii); FIA 2024: repeated orders", {"seconds": _SPAN}, needs="what was sent lately",
    ),
    Spec(
        "CIRCUIT_BREAKER", market.circuit_breaker,
        "all trading is stopped by a market-wide breaker",
        "15c3-5(c)(2)(i); NYSE Rule 7.12", for_picks=True,
    ),
    Spec(
        "SYMBOL_HALTED", market.symbol_halted,
        "the symbol is halted or paused",
        "15c3-5(c)(2)(i); LULD Plan VII", for_picks=True,
    ),
    Spec(
        "HALT_STATUS_UNKNOWN", market.halt_status_unknown,
        "nobody can say whether the symbol or the market trades",
        "15c3-5(c)(2)(i)", needs="the status of the symbol", only_unknown=True, for_picks=True,
    ),
    Spec(
        "AUCTION_PERIOD", market.auction_period,
        "the order comes in another phase of the day than it is meant for",
        "15c3-5(c)(2)(i)", needs="the phase of the day", for_picks=True,
    ),
    Spec(
        "RESTRICTED_LIST", conduct.restricted_list,
        "the desk may not trade the symbol",
        "15c3-5(c)(2)(ii)", {"symbols": Limit(SYMBOLS, "more")}, for_picks=True,
    ),
    Spec(
        "SHORT_SALE_RESTRICTION", conduct.short_sale_restriction,
        "a short sale at or below the best bid while Rule 201 restricts the symbol, or while a ban covers it",
        "Reg SHO Rule 201; 15c3-5(c)(2)(i)", needs="rules of the day, restriction, groups where a ban names some",
    ),
    Spec(
        "ORDER_MARKING", conduct.order_marking,
        "a sale that would go short is not marked short",
        "Reg SHO Rule 200(g)",
    ),
    Spec(
        "NO_QUOTE", market.no_quote,
        "there is no two-sided national best quote",
        "15c3-5(c)(1)(ii)", needs="a bid and an offer", only_unknown=True,
    ),
    Spec(
        "STALE_PRICE", market.stale_price,
        "the quote is old, or of a moment still to come",
        "15c3-5(c)(1)(ii); FIA 2024: market data", {"seconds": Limit(SECONDS)},
    ),
    Spec(
        "CROSSED_MARKET", market.crossed_market,
        "the best bid is above the best offer",
        "15c3-5(c)(1)(ii); Reg NMS Rule 610(d)",
    ),
    Spec(
        "PRICE_COLLAR", price.price_collar,
        "a limit far through the market, a market order into a wide spread, a stop that goes off at once",
        "15c3-5(c)(1)(ii); FIA 2024: price tolerance", {"away": _FRACTION, "spread": _FRACTION}, needs="a price",
    ),
    Spec(
        "LULD_BAND", price.luld_band,
        "a limit price outside of the price bands",
        "LULD Plan VI; 15c3-5(c)(2)(i)", needs="the bands, where they stand",
    ),
    Spec(
        "TICK_SIZE", price.tick_size,
        "a price finer than may be quoted",
        "Reg NMS Rule 612", needs="the tick of the day",
    ),
    Spec(
        "ROUND_LOT", size.round_lot,
        "shares that are no multiple of the round lot",
        "Reg NMS Rule 600(b)", needs="the round lot of the day",
    ),
    Spec(
        "MAX_SHARES", size.max_shares,
        "more shares than one order may have",
        "15c3-5(c)(1)(ii); FIA 2024: maximum order size", {"shares": _SHARES},
    ),
    Spec(
        "MAX_NOTIONAL", size.max_notional,
        "more dollars than one order may move",
        "15c3-5(c)(1)(ii); FIA 2024: maximum order size", {"dollars": _DOLLARS}, needs="a quote",
    ),
    Spec(
        "PARTICIPATION", size.participation,
        "too large a part of an average day's volume",
        "15c3-5(c)(1)(ii)", {"of_volume": _FRACTION}, needs="the average daily volume",
    ),
    Spec(
        "SELF_TRADE", conduct.self_trade,
        "it could trade against an order of the desk that rests in the market",
        "FINRA Rule 5210.02; FIA 2024: self-match prevention", needs="the desk's resting orders",
    ),
    Spec(
        "POSITION_LIMIT", exposure.position_limit,
        "too large a position in one symbol, open orders included",
        "15c3-5(c)(1)(i); FIA 2024: maximum position", {"shares": _SHARES, "dollars": _DOLLARS},
        needs="a quote", lets_reduce=True,
    ),
    Spec(
        "CONCENTRATION", exposure.concentration,
        "too large a part of the equity in one symbol",
        "15c3-5(c)(1)(i)", {"of_equity": _FRACTION}, needs="a quote, a price of each position", lets_reduce=True,
    ),
    Spec(
        "GROSS_EXPOSURE", exposure.gross_exposure,
        "too much in all, long and short added up",
        "15c3-5(c)(1)(i)", {"dollars": _DOLLARS, "of_equity": _FRACTION},
        needs="a quote, a price of each position", lets_reduce=True,
    ),
    Spec(
        "NET_EXPOSURE", exposure.net_exposure,
        "too much on one side, longs less shorts",
        "15c3-5(c)(1)(i)", {"dollars": _DOLLARS, "of_equity": _FRACTION},
        needs="a quote, a price of each position", lets_reduce=True,
    ),
    Spec(
        "DAILY_LOSS", exposure.daily_loss,
        "the account has lost more today than it may",
        "15c3-5(c)(1)(i)", {"dollars": _DOLLARS, "of_equity": _FRACTION},
        needs="the start of the day, a price of each position", lets_reduce=True,
    ),
)  # fmt: skip
"""All checks, in the order in which violations are listed."""

BY_CODE: Mapping[str, Spec] = {one.code: one for one in CHECKS}


def spec(code: str) -> Spec:
    """The check of a code.

    Raises
    ------
    UnknownName
        There is none.
    """
    if code not in BY_CODE:
        raise UnknownName("check", code, BY_CODE)
    return BY_CODE[code]
