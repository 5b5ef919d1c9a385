"""Facts from where a desk keeps them: its ledger, or the results of single orders. Pure: what was read comes in.

The ledger knows each fill with its time and its side of the market; a result knows one average for each part of an
order. Measure from the ledger where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from quantdesk.errors import BadDates, DataError
from quantdesk.orders.amounts import MICRO, SECOND, moment, nanoseconds
from quantdesk.orders.executions import Execution, Kind
from quantdesk.orders.halts.hours import local_date, regular_hours
from quantdesk.orders.ledger import EntryKind, Stored, child_of, execution_of, order_of
from quantdesk.orders.order import Action, Order
from quantdesk.orders.result import OrderResult, OrderStatus
from quantdesk.orders.tca.facts import Fill, OrderFacts, Quote, Routed
from quantdesk.orders.tca.tape import Prints, Tape

if TYPE_CHECKING:
    from quantdesk.orders.venues.tape import Tape as MarketTape

__all__ = ["Collected", "Market", "facts_from_ledger", "facts_from_results", "market_tapes"]


_AT_ONCE = SECOND


@dataclass(frozen=True)
class Collected:
    """What :func:`~quantdesk.orders.tca.analyse` takes.

    Attributes
    ----------
    orders, fills, routed
        See :mod:`quantdesk.orders.tca.facts`.
    not_sent
        Ids of orders of which nothing was sent: blocked by guardrails, or still waiting. They have no execution to
        measure and are not among `orders`.
    """

    orders: tuple[OrderFacts, ...]
    fills: tuple[Fill, ...]
    routed: tuple[Routed, ...]
    not_sent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Market:
    """What the market did beside the orders: one tape and the prints of each symbol.

    The trades of a simulated tape are those of everybody else: one's own fills are not among them.
    """

    tapes: tuple[Tape, ...]
    prints: tuple[Prints, ...]


@dataclass
class _Gathered:
    """An order while the entries go by."""

    order: Order
    at: int
    mode: str
    routed_at: int = 0
    nbbo: Mapping[str, Any] = field(default_factory=dict)
    sent: list[Routed] = field(default_factory=list)
    fills: dict[str, Execution] = field(default_factory=dict)
    last_report: int = 0
    ended: int | None = None


def facts_from_ledger(
    entries: Iterable[Stored], tapes: Iterable[Tape] = (), decisions: Mapping[str, Quote] | None = None
) -> Collected:
    """Orders, fills and routes from the entries of a ledger.

    Parameters
    ----------
    entries
        In the order of the ledger; those of other kinds are passed over.
    tapes
        Quotes by symbol: they price what was left when an order ended. An order without one, of which something was
        left, has no known opportunity cost.
    decisions
        By order id the quote when its trade was decided on, where that was before its arrival. The ledger does not
        know when somebody made up their mind.

    Raises
    ------
    DataError
        An execution of a child, or a child of an order, that the ledger does not hold.
    """
    found: dict[str, _Gathered] = {}
    parents: dict[str, str] = {}
    for stored in entries:
        if stored.kind is EntryKind.ORDER:
            mode = stored.mode or stored.payload.get("mode") or ""
            found[stored.order_id] = _Gathered(order_of(stored), stored.at, str(mode))
        elif stored.kind is EntryKind.SENT:
            child = child_of(stored)
            parents[child.client_id] = stored.order_id
            _of(found, stored.order_id, stored).sent.append(Routed(stored.order_id, child.venue, child.shares))
        elif stored.kind is EntryKind.RECEIPT and stored.order_id in found:
            one = found[stored.order_id]
            if not one.routed_at:
                one.routed_at, one.nbbo = stored.at, stored.payload.get("nbbo") or {}
        elif stored.kind is EntryKind.EXECUTION:
            execution = execution_of(stored)
            owner = _of(found, parents.get(execution.client_id, stored.order_id), stored)
            owner.last_report = max(owner.last_report, execution.at)
            if execution.kind is Kind.FILL:
                owner.fills.setdefault(execution.execution_id, execution)
        elif stored.kind is EntryKind.RESULT and stored.order_id in found and _is_final(stored):
            # What the venues said last ended it; the desk may have heard of it the day after.
            found[stored.order_id].ended = found[stored.order_id].last_report or stored.at
    by_symbol = {tape.symbol: tape for tape in tapes}
    sent = {name: one for name, one in found.items() if one.sent}
    fills = tuple(_fill(name, one, execution) for name, one in sent.items() for execution in one.fills.values())
    return Collected(
        orders=tuple(_facts(name, one, by_symbol, (decisions or {}).get(name)) for name, one in sent.items()),
        fills=fills,
        routed=tuple(part for one in sent.values() for part in one.sent),
        not_sent=tuple(name for name, one in found.items() if not one.sent),
    )


def facts_from_results(results: Iterable[tuple[OrderResult, int]]) -> Collected:
    """Orders and fills from results, each with the nanosecond at which its order arrived.

    A result holds one average for each part: each counts as one fill, at the average rounded to a micro-dollar, at the
    time of the last fill of all; whether it added or took is not known. What was left unfilled has no known
    opportunity cost.
    """
    orders, fills, routed, not_sent = [], [], [], []
    for result, at in results:
        if not result.children:
            not_sent.append(result.order_id)
            continue
        last = at + round(result.execution_time_ms * 1_000_000)
        side = 1 if result.action == Action.BUY else -1
        arrival = Quote(at, _micros(result.arrival_bid), _micros(result.arrival_ask))
        orders.append(
            OrderFacts(
                order_id=result.order_id,
                symbol=result.symbol,
                side=side,
                shares=result.shares,
                decision=arrival,
                arrival=arrival,
                end=Quote(last) if result.status.is_final else None,
                order_type=result.order_type,
                short=result.action == Action.SELL_SHORT,
                mode=str(result.execution_mode),
            )
        )
        for child in result.children:
            routed.append(Routed(result.order_id, child.venue, child.shares))
            if child.filled_shares:
                price, fee = _micros(child.average_price), _micros(child.commission)
                known = (result.order_id, result.symbol, side, child.filled_shares)
                fills.append(Fill(*known, price=price, fee=fee, liquidity="", venue=child.venue, at=last))
    return Collected(tuple(orders), tuple(fills), tuple(routed), tuple(not_sent))


def _is_final(stored: Stored) -> bool:
    return OrderStatus(stored.payload["status"]).is_final


def _of(found: Mapping[str, _Gathered], order_id: str, stored: Stored) -> _Gathered:
    if order_id not in found:
        raise DataError(f"Entry {stored.seq} ({stored.kind}) is of the order {order_id!r}, which is not there.",
                        "Give the entries of its order as well.")  # fmt: skip
    return found[order_id]


def _facts(name: str, one: _Gathered, tapes: Mapping[str, Tape], decision: Quote | None) -> OrderFacts:
    order = one.order
    tape = tapes.get(order.symbol)
    arrival = _arrival(one, tape)
    filled = sum(execution.shares for execution in one.fills.values())
    ended = one.ended
    if ended is None and filled == order.shares:
        ended = max(execution.at for execution in one.fills.values())
    end = None if ended is None else Quote(ended) if tape is None else tape.quote(ended)
    return OrderFacts(
        order_id=name,
        symbol=order.symbol,
        side=order.side,
        shares=order.shares,
        decision=decision or arrival,
        arrival=arrival,
        end=end,
        order_type=str(order.order_type),
        limit=order.limit,
        time_in_force=str(order.time_in_force),
        urgency=str(order.urgency),
        short=order.action is Action.SELL_SHORT,
        mode=one.mode,
    )


def _arrival(one: _Gathered, tape: Tape | None) -> Quote:
    """The quote that met the order: that of the first routing decision, if it came at once.

    A stop order arrives when it is routed, because before it may not trade. Another one that waited, for a halt to end,
    arrived when it came, to whatever quote the tape knows of then.
    """
    waits = one.order.stop > 0
    if waits or one.routed_at - one.at <= _AT_ONCE:
        at = one.routed_at if waits else one.at
        return Quote(at, int(one.nbbo.get("bid", 0)), int(one.nbbo.get("ask", 0)))
    return Quote(one.at) if tape is None else tape.quote(one.at)


def _fill(name: str, one: _Gathered, execution: Execution) -> Fill:
    return Fill(
        order_id=name,
        symbol=one.order.symbol,
        side=one.order.side,
        shares=execution.shares,
        price=execution.price,
        fee=execution.fee,
        liquidity=execution.liquidity,
        venue=execution.venue,
        at=execution.at,
    )


def _micros(amount: Decimal | None) -> int:
    return 0 if amount is None else round(amount * MICRO)


def market_tapes(
    sessions: Iterable[MarketTape], halts: Mapping[str, Sequence[tuple[int, int]]] | None = None
) -> Market:
    """Quotes and prints by symbol from the tapes of simulated sessions.

    Parameters
    ----------
    sessions
        Of one or more symbols and days, in any order.
    halts
        By symbol when it was halted: halt and resumption in nanoseconds, 0 for a halt that lasted to the close.

    Raises
    ------
    BadDates
        A tape of a day on which the exchanges were closed.
    """
    by_symbol: dict[str, list[MarketTape]] = {}
    for one in sessions:
        by_symbol.setdefault(one.symbol, []).append(one)
    tapes, prints = [], []
    for symbol, some in sorted(by_symbol.items()):
        some.sort(key=lambda one: int(one.at[0]) if len(one.at) else 0)
        at, bid, ask = (np.concatenate([getattr(one, name) for one in some]) for name in ("at", "bid", "ask"))
        hours = [_hours(one) for one in some if len(one.at)]
        tapes.append(Tape(symbol, at, bid, ask, hours, (halts or {}).get(symbol, ())))
        trades = [np.concatenate([getattr(one.trades, name) for one in some]) for name in ("at", "price", "shares")]
        prints.append(Prints(symbol, *trades))
    return Market(tuple(tapes), tuple(prints))


def _hours(tape: MarketTape) -> tuple[int, int]:
    day = moment(int(tape.at[0]))
    hours = regular_hours(local_date(day))
    if hours is None:
        raise BadDates(f"The tape of {tape.symbol} is of {day}, when the exchanges were closed.", "Give sessions.")
    return nanoseconds(hours.opens), nanoseconds(hours.closes)
