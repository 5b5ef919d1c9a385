"""Prices, money and moments as whole numbers. Pure.

Between the rules, the router, the venues and the ledger, a price and a sum of money are whole **micro-dollars** (a
millionth of a dollar), a moment is whole nanoseconds since 1970 (UTC). A midpoint between two ten-thousandths, a fee
of $0.0030 a share and 0.3 % of a price below a dollar are exact in them, and nine million million dollars fit into 64
bits. Dollars are :class:`decimal.Decimal` at the edge.
"""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from quantdesk.errors import BadDates, BadInput

__all__ = ["MICRO", "SECOND", "dollars", "exact_price", "micros", "moment", "nanoseconds"]

MICRO = 1_000_000
"""Micro-dollars in a dollar."""
SECOND = 1_000_000_000
"""Nanoseconds in a second."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def exact_price(value: float | int | str | Decimal, what: str) -> Decimal:
    """A price as the decimal that it is written as: 0.1 is a tenth, not the nearest binary fraction.

    Raises
    ------
    BadInput
        It is no finite number above 0.
    """
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        exact = Decimal("NaN")
    if isinstance(value, bool) or not exact.is_finite() or exact <= 0:
        raise BadInput(f"The {what} {value!r} is no price.", "Give a finite number above 0, in dollars.")
    return exact


def micros(value: float | int | str | Decimal, what: str = "price") -> int:
    """A price in dollars as whole micro-dollars.

    Raises
    ------
    BadInput
        It is no finite number above 0, or is finer than a micro-dollar.
    """
    exact = exact_price(value, what) * MICRO
    whole = int(exact)
    if whole != exact:
        if isinstance(value, float):  # 0.1 + 0.2: what a binary fraction adds far behind the point is nobody's price
            return int(exact.to_integral_value(ROUND_HALF_EVEN))
        raise BadInput(f"The {what} {value!r} is finer than a millionth of a dollar.", "Round it to six decimals.")
    return whole


def dollars(amount: int) -> Decimal:
    """Micro-dollars as dollars, exactly."""
    return Decimal(amount).scaleb(-6)


def nanoseconds(at: dt.datetime) -> int:
    """A moment as nanoseconds since 1970 (UTC).

    Raises
    ------
    BadDates
        It is no datetime, or has no time zone.
    """
    if not isinstance(at, dt.datetime) or at.tzinfo is None:
        raise BadDates(f"The time {at!r} has no time zone.", "Give an aware datetime.")
    past = at - _EPOCH
    return ((past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds) * 1000


def moment(at: int) -> dt.datetime:
    """Nanoseconds since 1970 as an aware datetime, to the microsecond."""
    return _EPOCH + dt.timedelta(microseconds=at // 1000)
