"""The measures of single fills, as a table: spreads, slippage, price improvement, what the price did afterwards. Pure.

With ``s`` the side, ``p`` the price, ``m`` the middle and ``b``, ``a`` bid and offer of the reference, ``m_d`` the
middle a delay ``d`` after the fill::

    slippage          s * (p - m)
    effective spread  2 * s * (p - m)
    quoted spread     a - b
    improvement       a - p for a purchase, p - b for a sale: above 0 is better than the quote
    realised spread   2 * s * (p - m_d)          what the other side kept after the price moved
    price impact      2 * s * (m_d - m)          effective spread minus realised spread, exactly

(Huang and Stoll 1996, Journal of Financial Economics 41; 17 CFR 242.600 and 242.605.) They are differences of whole
micro-dollars until the last step turns them into dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.orders.tca.facts import Fill, OrderFacts
from quantdesk.orders.tca.tape import Tape, Why

__all__ = ["HORIZONS", "Reference", "fill_table"]

Reference = Literal["arrival", "execution"]
"""Where the middle and the quote of a fill are taken from: the receipt of the parent order, as Rule 605 has it, or the
last quote before the fill, which leaves out what the market did while an order was worked."""
HORIZONS: Mapping[str, int] = {
    "50ms": SECOND // 20,
    "1s": SECOND,
    "15s": 15 * SECOND,
    "1min": 60 * SECOND,
    "5min": 300 * SECOND,
}
"""Delays of realised spreads by name, in nanoseconds."""
_WORDS = np.array([why.words for why in Why], dtype=object)
Known = Mapping[str, tuple[OrderFacts, Sequence[Fill]]]


def fill_table(orders: Known, tapes: Mapping[str, Tape], reference: Reference = "arrival") -> pd.DataFrame:
    """One row for each fill.

    Parameters
    ----------
    orders
        What :func:`~quantdesk.orders.tca.facts.checked` gives.
    tapes
        By symbol. A symbol without one has no realised spreads.
    reference
        See :data:`Reference`.

    Returns
    -------
    pandas.DataFrame
        ``order_id``, ``symbol``, ``venue``, ``side`` (1, -1), ``shares``, ``liquidity``, ``at`` (UTC), ``elapsed_s``
        since the order arrived; in dollars a share ``price``, ``fee``, ``mid``, ``quoted_spread``,
        ``effective_spread``, ``slippage``, ``improvement`` and, for each of :data:`HORIZONS`, ``realized_…`` and
        ``impact_…``; ``unknown`` and ``unknown_…`` say in words why a reference or a later quote is missing. What is
        not known is NaN.
    """
    pairs = [(order, fill) for order, own in orders.values() for fill in own]
    frame = pd.DataFrame(
        {
            "order_id": _texts([fill.order_id for _, fill in pairs]),
            "symbol": _texts([fill.symbol for _, fill in pairs]),
            "venue": _texts([fill.venue for _, fill in pairs]),
            "side": _ints([fill.side for _, fill in pairs]),
            "shares": _ints([fill.shares for _, fill in pairs]),
            "liquidity": _texts([fill.liquidity for _, fill in pairs]),
        }
    )
    at = _ints([fill.at for _, fill in pairs])
    frame["at"] = pd.DatetimeIndex(at, tz="UTC")
    frame["elapsed_s"] = (at - _ints([order.arrival.at for order, _ in pairs])) / SECOND
    price, side = _ints([fill.price for _, fill in pairs]), frame["side"].to_numpy()
    frame["price"] = price / MICRO
    frame["fee"] = _ints([fill.fee for _, fill in pairs]) / MICRO / frame["shares"].to_numpy()
    bid, ask, why = _references(pairs, frame["symbol"], at, tapes, reference)
    known = why == Why.THERE
    effective = side * (2 * price - bid - ask)
    frame["mid"] = _dollars(bid + ask, known) / 2
    frame["quoted_spread"] = _dollars(ask - bid, known)
    frame["effective_spread"] = _dollars(effective, known)
    frame["slippage"] = frame["effective_spread"] / 2
    frame["improvement"] = _dollars(np.where(side > 0, ask - price, price - bid), known)
    frame["unknown"] = _words(why)
    for name, delay in HORIZONS.items():
        later_bid, later_ask, later_why = _looked(frame["symbol"], at + delay, tapes)
        there = later_why == Why.THERE
        realized = side * (2 * price - later_bid - later_ask)
        frame[f"realized_{name}"] = _dollars(realized, there)
        frame[f"impact_{name}"] = _dollars(effective - realized, there & known)
        frame[f"unknown_{name}"] = _words(later_why)
    return frame


def _references(
    pairs: Sequence[tuple[OrderFacts, Fill]],
    symbols: pd.Series,
    at: NDArray[np.int64],
    tapes: Mapping[str, Tape],
    reference: Reference,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    if reference == "execution":
        return _looked(symbols, at - 1, tapes)  # the fill itself may have moved the quote of its own moment
    bid, ask = (_ints([getattr(order.arrival, name) for order, _ in pairs]) for name in ("bid", "ask"))
    why = np.full(bid.shape, Why.THERE, np.int8)
    why[bid > ask] = Why.CROSSED
    why[(bid == 0) | (ask == 0)] = Why.ONE_SIDED
    return bid, ask, why


def _looked(
    symbols: pd.Series, when: NDArray[np.int64], tapes: Mapping[str, Tape]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    bid, ask = np.zeros_like(when), np.zeros_like(when)
    why = np.full(when.shape, Why.NO_TAPE, np.int8)
    for symbol, rows in symbols.groupby(symbols).indices.items():
        tape = tapes.get(str(symbol))
        if tape is not None:
            found = tape.look(when[rows])
            bid[rows], ask[rows], why[rows] = found.bid, found.ask, found.why
    return bid, ask, why


def _ints(values: Sequence[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def _dollars(micros: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(known, micros / MICRO, np.nan)


def _texts(values: Sequence[str]) -> pd.Series:
    return pd.Series(list(values), dtype=object)


def _words(why: NDArray[np.int8]) -> pd.Series:
    return pd.Series(_WORDS[why], dtype=object)
