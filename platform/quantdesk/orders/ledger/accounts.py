"""From entries to the account: positions, cash, open orders. Pure.

>>> running = Portfolio(cash)
>>> for stored in ledger.append(*entries):
...     apply(running, stored, mode)
>>> rebuild(ledger.entries(), cash, mode) == running
True

A portfolio is the account of one execution mode. Entries of another mode are passed over, so that mock fills are never
mixed with those of a simulated exchange, of paper trading or of live trading.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from quantdesk.errors import DataError
from quantdesk.orders.executions import ExecutionMode, Kind
from quantdesk.orders.ledger.entries import EntryKind, Stored
from quantdesk.orders.ledger.payloads import child_of, execution_of, field_of
from quantdesk.orders.order import Action
from quantdesk.orders.portfolio import Portfolio

__all__ = ["apply", "rebuild"]


def rebuild(entries: Iterable[Stored], cash: int = 0, mode: ExecutionMode = ExecutionMode.SIMULATED) -> Portfolio:
    """The account of one execution mode, made from the ledger alone.

    Parameters
    ----------
    entries
        All of them, or all up to some moment, in their order.
    cash
        Micro-dollars to begin with.
    mode
        Whose account.

    Raises
    ------
    DataError
        An entry does not hold what its kind demands; it is named.
    """
    portfolio = Portfolio(cash)
    for stored in entries:
        apply(portfolio, stored, mode)
    return portfolio


def apply(portfolio: Portfolio, stored: Stored, mode: ExecutionMode) -> None:
    """Take an entry into the account of a mode.

    What was sent is open. A fill takes its shares off, a cancel or a rejection all that is left. A venue that trades
    more than was open, or after its own cancel, has traded all the same: the account has the shares.

    Raises
    ------
    DataError
        The entry does not hold what its kind demands.
    """
    if stored.mode is not None and stored.mode is not mode:
        return
    match stored.kind:
        case EntryKind.SENT:
            child = child_of(stored)
            mark = field_of(stored, "mark", int) if "mark" in stored.payload else 0
            portfolio.open(child.symbol, child.side, child.shares, mark)
            portfolio.leaves[child.client_id] = child.shares
        case EntryKind.EXECUTION:
            _execution(portfolio, stored)
        case EntryKind.TRANSFER:
            shares, price = field_of(stored, "shares", int), field_of(stored, "price", int)
            portfolio.transfer(field_of(stored, "symbol", str), shares, price)
        case EntryKind.CHARGE:
            portfolio.charge(field_of(stored, "symbol", str), field_of(stored, "fee", int))
        case EntryKind.MARK:
            portfolio.mark(field_of(stored, "symbol", str), field_of(stored, "price", int))
        case EntryKind.DAY_STARTED:
            portfolio.start_day(_day(stored))
        case _:
            pass  # what was wanted, decided or noted changes no account


def _execution(portfolio: Portfolio, stored: Stored) -> None:
    execution = execution_of(stored)
    if execution.kind is not Kind.FILL and not execution.kind.is_final:
        return
    symbol = field_of(stored, "symbol", str)
    side = 1 if field_of(stored, "action", Action) is Action.BUY else -1
    left = portfolio.leaves.pop(execution.client_id, 0)
    if execution.kind is not Kind.FILL:
        portfolio.close(symbol, side, left)
        return
    if execution.shares > left:
        portfolio.open(symbol, side, execution.shares - left)
    portfolio.fill(symbol, side, execution.shares, execution.price, execution.fee)
    if left > execution.shares:
        portfolio.leaves[execution.client_id] = left - execution.shares


def _day(stored: Stored) -> dt.date:
    text = field_of(stored, "day", str)
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise DataError(f"The day of entry {stored.seq} is {text!r}.", "It would have to be like 2020-03-16.") from None
