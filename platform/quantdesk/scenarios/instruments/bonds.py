"""Treasury bonds and bills, priced off the whole curve of a day and ageing as days go by. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.instruments.curve import handle, schedule_of
from quantdesk.scenarios.instruments.instrument import AssetClass, bar_by_bar
from quantdesk.scenarios.instruments.quantlib import date_of, quantlib
from quantdesk.scenarios.instruments.state import State
from quantdesk.scenarios.instruments.tape import Tape

__all__ = ["Bond", "Ladder"]

Floats = NDArray[np.float64]


class _Treasury:
    """What bonds of the Treasury have in common, one or several."""

    __slots__ = ()

    @property
    def unit(self) -> str:
        """What a quantity of 1 is."""
        return "dollar of face"

    @property
    def asset_class(self) -> AssetClass:
        """For attribution."""
        return "rates"

    @property
    def sector(self) -> str:
        """The issuer."""
        return "treasury"

    @property
    def needs(self) -> tuple[str, ...]:
        """The curve."""
        return ("UST",)

    @property
    def ends(self) -> dt.date | None:
        """Never: what it paid stays in its value."""
        return None


@dataclass(frozen=True)
class Bond(_Treasury):
    """A dollar of face: its value is the full price (coupons accrued in it) and all that it paid since it was bought.

    Attributes
    ----------
    bought
        When; for a bond with coupons also the day from which they run.
    maturity
        When the face is paid.
    coupon
        A fraction of the face a year, paid half every six months; 0 for a bill or zero bond.
    name
        For people; what it was when it was bought: ``10Y``.
    """

    bought: dt.date
    maturity: dt.date
    coupon: float
    name: str

    @property
    def label(self) -> str:
        """For people."""
        what = f"{100 * self.coupon:.3f} %" if self.coupon else "zero"
        return f"Treasury {self.name}, {what}, {self.maturity}"

    @property
    def assumes(self) -> tuple[str, ...]:
        """The data know no prices of bonds."""
        return ("bonds_priced_off_par_yields",)

    def value(self, state: State) -> float:
        """Dollars for a dollar of face: what is to come, discounted, and what was paid, without interest."""
        ql, now = quantlib(), date_of(state.on)
        flows, dated = _flows(self)
        paid = sum(amount for day, amount in dated if self.bought < day <= state.on)
        if state.on >= self.maturity:
            return paid
        return float(ql.CashFlows.npv(flows, handle(state.curve), False, now, now)) + paid

    def along(self, tape: Tape) -> Floats:
        """The value at each bar, shape ``(T,)``."""
        return bar_by_bar(self, tape)


@dataclass(frozen=True)
class Ladder(_Treasury):
    """A dollar of face spread evenly over bonds of several maturities, bought together and held."""

    bonds: tuple[Bond, ...]

    @property
    def label(self) -> str:
        """For people."""
        return f"Treasury ladder {' '.join(bond.name for bond in self.bonds)}"

    @property
    def assumes(self) -> tuple[str, ...]:
        """Those of its bonds."""
        return self.bonds[0].assumes

    def value(self, state: State) -> float:
        """The mean of its bonds."""
        return sum(bond.value(state) for bond in self.bonds) / len(self.bonds)

    def along(self, tape: Tape) -> Floats:
        """The value at each bar, shape ``(T,)``."""
        return bar_by_bar(self, tape)


@lru_cache(maxsize=1024)
def _flows(bond: Bond) -> tuple[Any, tuple[tuple[dt.date, float], ...]]:
    """What a bond pays: as QuantLib has it, and as days and dollars."""
    ql = quantlib()
    if bond.coupon:
        schedule = schedule_of(bond.bought, bond.maturity)
        days = ql.ActualActual(ql.ActualActual.ISMA)
        made = ql.FixedRateBond(0, 1.0, schedule, [bond.coupon], days, ql.Unadjusted, 100.0)
    else:
        made = ql.ZeroCouponBond(0, ql.NullCalendar(), 1.0, date_of(bond.maturity), ql.Unadjusted, 100.0)
    flows = made.cashflows()
    dated = tuple((dt.date(f.date().year(), f.date().month(), f.date().dayOfMonth()), float(f.amount())) for f in flows)
    return flows, dated
