"""The Treasury's par yields as a curve of discount factors, bootstrapped by QuantLib. Pure.

The Treasury publishes par yields at constant maturity, bond-equivalent: the coupon, paid twice a year, at which a bond
of that maturity would cost its face. Up to six months they are simple yields of bills over a year of 365 days. The
curve is the one that prices them all exactly, with forward rates that are constant between maturities (log-linear
discount factors) and beyond the last one.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments.quantlib import after, date_of, evaluation_date, quantlib

__all__ = ["BILLS_YEARS", "Curve", "curve_of", "schedule_of"]

BILLS_YEARS = 0.5
"""Up to this maturity, in years, a yield is that of a bill, which pays no coupon."""

_LIMIT = 200.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Discount factors of a day.

    Attributes
    ----------
    on
        The day.
    days
        Where the nodes lie, the day itself included.
    factors
        What a dollar paid then is worth on the day; 1 for the day itself.
    longest
        Maturity of the last yield, years.
    """

    on: dt.date
    days: tuple[dt.date, ...]
    factors: tuple[float, ...]
    longest: float = field(compare=False)

    def discount(self, day: dt.date) -> float:
        """What a dollar paid on a day is worth; 1 when it is past."""
        if day <= self.on:
            return 1.0
        return float(handle(self).discount(date_of(day)))

    def zero_rate(self, day: dt.date) -> float:
        """The continuously compounded rate to a day, a fraction a year of 365 days."""
        years = (day - self.on).days / 365
        if years <= 0:
            raise BadInput(f"A rate from {self.on} to {day}.", "Give a later day.")
        return -math.log(self.discount(day)) / years

    def par_coupon(self, maturity: dt.date) -> float:
        """The coupon, a fraction a year paid twice a year, at which a bond to that day costs its face."""
        pays = [dt.date(d.year(), d.month(), d.dayOfMonth()) for d in list(schedule_of(self.on, maturity).dates())[1:]]
        annuity = sum(self.discount(day) for day in pays) / 2
        return (1 - self.discount(maturity)) / annuity


def schedule_of(start: dt.date, maturity: dt.date) -> Any:
    """Coupons every six months, counted back from the maturity; weekends are not moved."""
    ql = quantlib()
    return ql.Schedule(
        date_of(start),
        date_of(maturity),
        ql.Period(6, ql.Months),
        ql.NullCalendar(),
        ql.Unadjusted,
        ql.Unadjusted,
        ql.DateGeneration.Backward,
        False,
    )


@lru_cache(maxsize=4096)
def handle(curve: Curve) -> Any:
    """The curve as QuantLib has it; it depends on nothing but its numbers."""
    ql = quantlib()
    made = ql.DiscountCurve([date_of(day) for day in curve.days], list(curve.factors), ql.Actual365Fixed())
    made.enableExtrapolation()
    return made


@lru_cache(maxsize=4096)
def curve_of(on: dt.date, yields: tuple[tuple[float, float], ...]) -> Curve:
    """The curve that prices these par yields.

    Parameters
    ----------
    on
        The day.
    yields
        Pairs of maturity (years; whole months) and par yield (percent, bond-equivalent), ascending.

    Raises
    ------
    BadInput
        No yields, one that is no number or beyond 200 percent, or yields that no discount factors above 0 explain.
    """
    if not yields:
        raise BadInput(f"There are no yields on {on}.", "A curve needs at least one UST series.")
    for years, percent in yields:
        if not math.isfinite(percent) or abs(percent) > _LIMIT or not 0 < years <= 50:
            raise BadInput(
                f"The yield of {years:g} years on {on} is {percent!r}.", f"Give percent from -{_LIMIT:g} to {_LIMIT:g}."
            )
    ql = quantlib()
    thirty = ql.ActualActual(ql.ActualActual.ISMA)
    with evaluation_date(on):
        try:
            start, helpers = date_of(on), []
            for years, percent in yields:
                months = round(years * 12)
                if years <= BILLS_YEARS + 1e-9:
                    helpers.append(
                        ql.DepositRateHelper(
                            percent / 100, ql.Period(months, ql.Months), 0, ql.NullCalendar(), ql.Unadjusted, False,
                            ql.Actual365Fixed(),
                        )
                    )  # fmt: skip
                    continue
                par = ql.QuoteHandle(ql.SimpleQuote(100.0))
                schedule = schedule_of(on, after(on, months, "M"))
                helpers.append(
                    ql.FixedRateBondHelper(par, 0, 100.0, schedule, [percent / 100], thirty, ql.Unadjusted, 100.0)
                )
            found = ql.PiecewiseLogLinearDiscount(start, helpers, ql.Actual365Fixed()).nodes()
        except RuntimeError as error:
            shown = ", ".join(f"{years:g}y {percent:g} %" for years, percent in yields)
            raise BadInput(
                f"No curve prices the par yields of {on} ({shown}).",
                "Give yields that a market can have: a steep enough fall or rise leaves no positive discount factor.",
            ) from error
    days = tuple(dt.date(day.year(), day.month(), day.dayOfMonth()) for day, _ in found)
    return Curve(on, days, tuple(float(factor) for _, factor in found), longest=yields[-1][0])
