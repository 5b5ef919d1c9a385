"""What the monitor is given: a stock of a day with the rules that hold for it, and runs of events. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.amounts import exact_price, nanoseconds
from quantdesk.orders.halts.hours import regular_hours
from quantdesk.orders.halts.luld import machine
from quantdesk.orders.halts.luld.change import UNIT
from quantdesk.orders.rulebook import Rulebook

__all__ = ["Events", "Stock", "compiled_rule"]


@dataclass(frozen=True)
class Stock:
    """What a day's bands of a stock depend on.

    Attributes
    ----------
    symbol
        Its name.
    previous_close
        Dollars, on the primary listing exchange.
    tier
        1 or 2.
    on
        The day, in New York.
    leverage
        Of a leveraged product.
    round_lot
        Trades of fewer shares are odd lots, which do not count; from the rulebook, by the previous close, when None.
    """

    symbol: str
    previous_close: float | Decimal | str
    tier: int
    on: dt.date
    leverage: float | Decimal | str = 1
    round_lot: int | None = None


class Events:
    """A run of events as arrays, each of shape ``(n,)``, in the order of time.

    Parameters
    ----------
    kind
        ``machine.TRADE`` and so on.
    at
        Nanoseconds since 1970 (UTC), not descending.
    price, size, other, other_size
        See :func:`quantdesk.orders.halts.luld.machine.step`.

    Raises
    ------
    BadInput, BadDates
        Arrays of different lengths, descending times.
    """

    __slots__ = ("at", "kind", "other", "other_size", "price", "size")

    def __init__(
        self,
        kind: ArrayLike,
        at: ArrayLike,
        price: ArrayLike,
        size: ArrayLike,
        other: ArrayLike,
        other_size: ArrayLike,
    ) -> None:
        given = {"kind": kind, "at": at, "price": price, "size": size, "other": other, "other_size": other_size}
        for name, values in given.items():
            array = np.ascontiguousarray(values, dtype=np.int64)
            if array.ndim != 1 or len(array) != len(np.atleast_1d(np.asarray(kind))):
                raise BadInput(f"The events have {np.shape(array)} values of {name}.", "Give one of each an event.")
            setattr(self, name, array)
        back = np.flatnonzero(np.diff(self.at) < 0)
        if back.size:
            raise BadDates(
                f"Event {back[0] + 1} is earlier than the one before it ({self.at[back[0] + 1]} < {self.at[back[0]]}).",
                "Give events in the order of time.",
            )

    at: NDArray[np.int64]
    kind: NDArray[np.int64]
    price: NDArray[np.int64]
    size: NDArray[np.int64]
    other: NDArray[np.int64]
    other_size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)


def compiled_rule(stock: Stock, book: Rulebook) -> tuple[NDArray[np.int64], int]:
    """The rules of the day as integers, and the size of a round lot."""
    rule, hours, lots = book.luld(stock.on), regular_hours(stock.on), book.round_lot(stock.on)
    if rule is None:
        raise BadDates(f"There was no limit up / limit down on {stock.on}.", "The rulebook says when it was in force.")
    if hours is None:
        raise BadDates(f"The exchanges were closed on {stock.on}.", "Give the day of a session.")
    if stock.tier not in (1, 2):
        raise BadInput(f"There is no tier {stock.tier!r}.", "Give 1 or 2.")
    close = exact_price(stock.previous_close, "previous close")
    leverage = exact_price(str(stock.leverage).lstrip("-"), "leverage")
    bucket = rule.bucket(close)
    opens, closes = nanoseconds(hours.opens), nanoseconds(hours.closes)
    until, since = opens, np.iinfo(np.int64).max
    for window in rule.doubling:
        if stock.tier == 2 and window.tier_2_up_to is not None and close > window.tier_2_up_to:
            continue
        length = window.minutes * 60 * machine.SECOND
        until, since = (opens + length, since) if window.anchor == "open" else (until, closes - length)
    values: Mapping[int, int] = {
        machine.R_PPM: int((bucket.tier_1 if stock.tier == 1 else bucket.tier_2) * leverage * 1_000_000),
        machine.R_DOLLARS: 0 if bucket.at_most is None else int(bucket.at_most * UNIT),
        machine.R_CLOSE: int(close * UNIT),
        machine.R_OPENS: opens,
        machine.R_CLOSES: closes,
        machine.R_DOUBLE_UNTIL: until,
        machine.R_DOUBLE_FROM: int(since),
        machine.R_WINDOW: rule.mean_s,
        machine.R_CHANGE: int(rule.least_change * 1_000_000),
        machine.R_AGE: rule.least_age_s * machine.SECOND,
        machine.R_LIMIT: rule.limit_state_s * machine.SECOND,
        machine.R_PAUSE: rule.pause_s * machine.SECOND,
        machine.R_LAST_PART: rule.no_reopening_s * machine.SECOND,
        machine.R_FALLBACK: rule.fallback_s * machine.SECOND,
        machine.R_COLLAR: int(rule.collar * 1_000_000),
        machine.R_COLLAR_LEAST: int(rule.collar_least * UNIT),
        machine.R_COLLAR_UP_TO: int(rule.collar_least_up_to * UNIT),
    }
    compiled = np.array([values[place] for place in range(machine.RULE_SIZE)], dtype=np.int64)
    lot = stock.round_lot
    if lot is None:
        lot = 100 if lots is None else next(size.shares for size in lots.sizes if close >= size.at_least)
    return compiled, lot
