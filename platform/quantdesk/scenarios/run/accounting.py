"""Where a profit or loss comes from, and what is undone afterwards. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.amounts import MICRO
from quantdesk.scenarios.intraday import busted
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.result import Attribution, Event
from quantdesk.scenarios.run.journal import Fill
from quantdesk.scenarios.run.overlay import Overlay
from quantdesk.scenarios.run.trader import Trader
from quantdesk.scenarios.run.watching import sector_of

__all__ = ["Broken", "attribution", "broken_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Broken:
    """Trades that exchanges broke afterwards.

    Attributes
    ----------
    value
        What that changes, shape ``(T + 1,)``: from the end of their day on.
    by_symbol
        Dollars.
    events
        One a trade.
    """

    value: Floats
    by_symbol: Mapping[str, float]
    events: tuple[Event, ...]


def broken_of(path: Path, fills: Sequence[Fill], references: Mapping[str, float]) -> Broken:
    """Break erroneous trades.

    The desk keeps its ledger: a trade that is broken was a trade. Its undoing is worth the way that the price has gone
    since, from the close of the day on.
    """
    value, by_symbol, events = np.zeros(len(path.ends) + 1), dict[str, float](), list[Event]()
    made = fills if references else []
    for fill, is_broken in zip(made, busted(made, references), strict=True):
        if not is_broken:
            continue
        closes = path.close[:, path.column(fill.symbol)]
        day = path.days[np.searchsorted(path.ends, fill.at)]
        last = int(np.flatnonzero((path.days == day) & np.isfinite(closes))[-1])
        change = -fill.shares * (float(closes[last]) - fill.price)
        value[last + 1 :] += change
        by_symbol[fill.symbol] = by_symbol.get(fill.symbol, 0.0) + change
        told = f"A trade at {fill.price:,.2f} was broken: 60 % or more from {references[fill.symbol]:,.2f}."
        numbers = {"shares": fill.shares, "price": fill.price, "dollars": change}
        events.append(Event(fill.at, "execution_failure", "TRADE_BROKEN", fill.symbol, told, numbers))
    return Broken(value, by_symbol, tuple(events))


def attribution(
    trader: Trader, overlay: Overlay, total: float, broken: Broken, sale: Mapping[str, float] | None
) -> Attribution:
    """Split a profit or loss three times.

    Parameters
    ----------
    trader, overlay
        The account and the instruments beside it.
    total
        Dollars that were won in all.
    broken
        Trades that were undone.
    sale
        The cost of selling what was left, where it was taken off; else None.
    """
    path, journal = trader.path, trader.journal
    classes, sectors = dict(overlay.by_class), dict(overlay.by_sector)
    won = {
        symbol: (held.realized + held.value - held.cost - held.fees) / MICRO for symbol, held in trader.desk.portfolio
    }
    for part in (won, broken.by_symbol):
        for symbol, amount in part.items():
            for sums, key in ((classes, str(path.asset(symbol).kind)), (sectors, sector_of(path, symbol))):
                sums[key] = sums.get(key, 0.0) + amount
    causes = {
        "spread": -sum(journal.spread.values()) / MICRO,
        "impact": -sum(journal.impact.values()) / MICRO,
        "fees": -sum(journal.fees.values()) / MICRO,
        "unfilled": sum(trader.unfilled.values()),
    }
    if broken.by_symbol:
        causes["broken"] = sum(broken.by_symbol.values())
    if sale is not None:
        for sums in (causes, classes, sectors):
            sums["liquidation"] = -(sale["spread"] + sale["impact"])
    return Attribution(classes, sectors, {"price": total - sum(causes.values()), **causes})
