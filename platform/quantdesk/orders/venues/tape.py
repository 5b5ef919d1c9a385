"""What was to be seen of a symbol: the national best quotes over time, and the trades. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.quotes import Nbbo
from quantdesk.orders.venues.flow import Flow
from quantdesk.orders.venues.impact import Pressure
from quantdesk.orders.venues.prints import Trades

__all__ = ["Tape", "nbbo_of", "tape_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tape:
    """Quotes and trades of one symbol in one session, as far as they have happened.

    Attributes
    ----------
    symbol
        Whose.
    at
        When the quotes changed: nanoseconds since 1970 (UTC), shape ``(n,)``; they hold until the next change.
    bid, ask
        National best, micro-dollars, 0 where nobody quotes. One's own impact is in them, one's own resting orders are
        not.
    trades
        Those of the background.
    venues
        The names that the numbers of the trades' venues mean.
    label
        ``reconstructed`` or ``simulated``.
    """

    symbol: str
    at: Ints
    bid: Ints
    ask: Ints
    trades: Trades
    venues: tuple[str, ...]
    label: str


def tape_of(flow: Flow, pressure: Pressure, until: int) -> Tape:
    """The tape of a session until a moment, which is included."""
    end = flow.step(until) + 1
    at, (bid, ask) = flow.at[:end], flow.best
    moved = pressure.offsets(at, flow.impact)
    bids = np.where(bid[:end] > 0, bid[:end] + moved, 0)
    asks = np.where(ask[:end] > 0, ask[:end] + moved, 0)
    return Tape(flow.symbol, at, bids, asks, flow.trades.upto(until), flow.venues, flow.label)


def nbbo_of(flow: Flow, pressure: Pressure, at: int) -> Nbbo:
    """The national best at a moment, as in :class:`Tape`; zeros before the first quote and after the close."""
    step = flow.step(at)
    if step < 0 or at >= flow.closes:
        return Nbbo(0, 0, 0, 0)
    moved = pressure.offset(int(flow.at[step]), flow.impact)
    bid, ask = (int(side[step]) for side in flow.best)
    sizes = [
        int(size[step][price[step] == best].sum()) if best else 0
        for price, size, best in ((flow.bid, flow.bid_size, bid), (flow.ask, flow.ask_size, ask))
    ]
    return Nbbo(bid + moved if bid else 0, sizes[0], ask + moved if ask else 0, sizes[1])
