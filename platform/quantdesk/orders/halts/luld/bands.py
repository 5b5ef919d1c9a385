"""The price bands of limit up / limit down. Pure.

The distance of a band from the reference price depends on the *previous close*, which is fixed for the day, on the
tier, and on the time of day. See ``luld`` in the rulebook for the numbers and their sources.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Literal

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.amounts import exact_price
from quantdesk.orders.halts.hours import Hours, aware, local_date, regular_hours
from quantdesk.orders.rulebook import Rulebook, bundled
from quantdesk.orders.rulebook.entries import LimitUpLimitDown

__all__ = ["Bands", "Rounding", "bands", "doubles"]

Rounding = Literal["half_up", "half_even", "inwards", "outwards"]
_CENT = Decimal("0.01")
_HALF = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN}


@dataclass(frozen=True)
class Bands:
    """Between which prices a stock may trade.

    Attributes
    ----------
    lower, upper
        Dollars, to the cent, both included: the double nearest to the exact decimal.
    reference
        The reference price they stand around, in dollars.
    parameter
        The percentage parameter as a fraction of the reference, doubling and leverage included; where dollars bound it,
        the fraction that these make.
    doubled
        Whether it was a part of the session in which parameters double.
    """

    lower: float
    upper: float
    reference: float
    parameter: float
    doubled: bool

    def __contains__(self, price: float) -> bool:
        return self.lower <= price <= self.upper


def bands(
    reference_price: float | Decimal | str,
    previous_close: float | Decimal | str,
    tier: int,
    at: dt.datetime,
    leverage: float | Decimal | str = 1,
    *,
    rounding: Rounding = "half_up",
    book: Rulebook | None = None,
) -> Bands:
    """The bands around a reference price at a moment of the regular session.

    Parameters
    ----------
    reference_price
        Dollars.
    previous_close
        Dollars: the previous close on the primary listing exchange.
    tier
        1 (S&P 500, Russell 1000, listed exchange-traded products of the Plan's appendix) or 2 (all other NMS stocks).
    at
        An aware datetime within the regular session.
    leverage
        Of a leveraged product: its parameter is multiplied by the absolute value. From memory, as the rulebook says.
    rounding
        To the cent: ``half_up`` (the default), ``half_even``, ``inwards`` or ``outwards``. From memory.
    book
        The rules; those that ship when left out.

    Raises
    ------
    BadInput
        A price that is none, a tier other than 1 and 2, a leverage of 0, an unknown rounding.
    BadDates
        A naive time, one outside of the regular session, or a day on which there was no limit up / limit down.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> noon = dt.datetime(2026, 3, 2, 12, tzinfo=ZoneInfo("America/New_York"))
    >>> found = bands(100, 100, 1, noon)
    >>> found.lower, found.upper
    (95.0, 105.0)
    """
    reference = exact_price(reference_price, "reference price")
    close = exact_price(previous_close, "previous close")
    if tier not in (1, 2):
        raise BadInput(f"There is no tier {tier!r}.", "Give 1 or 2.")
    if rounding not in (*_HALF, "inwards", "outwards"):
        raise BadInput(f"There is no rounding {rounding!r}.", "Give half_up, half_even, inwards or outwards.")
    factor = abs(exact_price(str(leverage).lstrip("-"), "leverage"))
    rule, hours = _rule(at, book or bundled())
    doubled = doubles(rule, hours, close, tier, at)
    times = 2 if doubled else 1
    bucket = rule.bucket(close)
    distance = reference * (bucket.tier_1 if tier == 1 else bucket.tier_2) * factor * times
    if bucket.at_most is not None:
        distance = min(distance, bucket.at_most * times)
    lower, upper = max(reference - distance, Decimal(0)), reference + distance
    down = _HALF.get(rounding) or (ROUND_CEILING if rounding == "inwards" else ROUND_FLOOR)
    up = _HALF.get(rounding) or (ROUND_FLOOR if rounding == "inwards" else ROUND_CEILING)
    return Bands(
        lower=float(lower.quantize(_CENT, down)),
        upper=float(upper.quantize(_CENT, up)),
        reference=float(reference),
        parameter=float(distance / reference),
        doubled=doubled,
    )


def doubles(rule: LimitUpLimitDown, hours: Hours, previous_close: Decimal, tier: int, at: dt.datetime) -> bool:
    """Whether the parameters double at a moment of a session."""
    for window in rule.doubling:
        length = dt.timedelta(minutes=window.minutes)
        inside = at < hours.opens + length if window.anchor == "open" else at >= hours.closes - length
        if inside and (tier == 1 or window.tier_2_up_to is None or previous_close <= window.tier_2_up_to):
            return True
    return False


def _rule(at: dt.datetime, book: Rulebook) -> tuple[LimitUpLimitDown, Hours]:
    day = local_date(aware(at))
    rule, hours = book.luld(day), regular_hours(day)
    if rule is None:
        raise BadDates(f"There was no limit up / limit down on {day}.", "The rulebook says when it was in force.")
    if hours is None or at not in hours:
        when = "the exchanges were closed that day" if hours is None else f"from {hours.opens} to {hours.closes}"
        raise BadDates(f"{at} is outside of the regular session ({when}).", "Bands exist within the session only.")
    return rule, hours
