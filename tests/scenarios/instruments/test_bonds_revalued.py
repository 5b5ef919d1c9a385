"""Treasuries: par at the start, full revaluation against QuantLib and against duration, ageing, coupons, maturity."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments import Book, State, bind, parse, state_of
from quantdesk.scenarios.instruments.quantlib import quantlib

ql = quantlib()

LADDER = "UST_LADDER:2Y,5Y,10Y,30Y"


def shifted(state: State, points: float) -> State:
    return state.but({name: state.value(name) + points for name in state.yields})


def aged(state: State, days: int) -> State:
    return dataclasses.replace(state, on=state.on + dt.timedelta(days=days))


def ql_date(day: dt.date) -> Any:
    return ql.Date(day.day, day.month, day.year)


def oracle(state: State, coupon: float, maturity: Any, start: Any) -> tuple[float, float, float]:
    """Full price of a dollar, modified duration and convexity: QuantLib's bond functions on a flat yield."""
    schedule = ql.Schedule(
        start, maturity, ql.Period(6, ql.Months), ql.NullCalendar(), ql.Unadjusted, ql.Unadjusted,
        ql.DateGeneration.Backward, False,
    )  # fmt: skip
    days = ql.ActualActual(ql.ActualActual.ISMA, schedule)
    bond = ql.FixedRateBond(0, 100.0, schedule, [coupon], days)
    rate = ql.InterestRate(coupon, days, ql.Compounded, ql.Semiannual)
    now = ql_date(state.on)
    clean = ql.BondFunctions.cleanPrice(bond, rate, now)
    dirty = clean + ql.BondFunctions.accruedAmount(bond, now)
    duration = ql.BondFunctions.duration(bond, rate, ql.Duration.Modified, now)
    return dirty / 100, duration, ql.BondFunctions.convexity(bond, rate, now)


@pytest.mark.parametrize("tenor", ["1Y", "2Y", "4Y", "5Y", "10Y", "18M", "30Y"])
def test_a_bond_with_the_par_coupon_costs_its_face(state, tenor):
    bond = parse(f"UST:{tenor}").bind(state)
    assert bond.value(state) == pytest.approx(1.0, abs=1e-10)


def test_the_coupon_is_the_yield_of_the_start(state):
    assert parse("UST:10Y").bind(state).coupon == pytest.approx(0.0374, abs=1e-9)


def test_a_bill_costs_what_its_yield_says(state):
    bill = parse("UST:3M").bind(state)
    assert bill.coupon == 0.0
    assert bill.value(state) == pytest.approx(1 / (1 + 0.0149 * 91 / 365), abs=1e-10)


@settings(max_examples=20, deadline=None)
@given(level=st.floats(0.2, 12.0), days=st.integers(0, 170), years=st.sampled_from([2, 5, 10, 30]))
def test_on_a_flat_curve_it_is_worth_what_quantlib_says_at_that_yield(state, level, days, years):
    flat = state.but(dict.fromkeys(state.yields, level))
    # The 3- and 6-month points are simple yields: leave them out of a curve that is flat in one convention.
    flat = dataclasses.replace(flat, yields=("UST1Y", "UST2Y", "UST5Y", "UST10Y", "UST30Y"))
    bond = parse(f"UST:{years}Y").bind(flat)
    later = aged(flat, days)
    start, end = ql_date(flat.on), ql.Date(12, 9, 2008 + years)
    expected = oracle(later, bond.coupon, end, start)[0]
    # A coupon period has 181 to 184 days, which the curve counts as days and the yield as halves of a year: up to two
    # days of the yield.
    assert bond.value(later) == pytest.approx(expected, abs=level / 100 * 2 / 365)


@settings(max_examples=25, deadline=None)
@given(
    points=st.floats(0.05, 5.0), text=st.sampled_from(["UST:2Y", "UST:10Y", "ZERO:10Y", "UST:30Y", LADDER, "UST:6M"])
)
def test_yields_up_price_down_and_convex(state, points, text):
    bond = parse(text).bind(state)
    down, here, up = (bond.value(shifted(state, move)) for move in (-points, 0.0, points))
    assert up < here < down
    assert down + up > 2 * here


def test_a_small_move_is_duration_and_a_large_one_is_not(state):
    flat = state.but(dict.fromkeys(state.yields, 4.0))
    flat = dataclasses.replace(flat, yields=("UST1Y", "UST10Y", "UST30Y"))
    bond = parse("UST:30Y").bind(flat)
    _, duration, convexity = oracle(flat, bond.coupon, ql.Date(12, 9, 2038), ql.Date(12, 9, 2008))
    small = bond.value(shifted(flat, 0.01)) - 1
    assert small == pytest.approx(-duration * 1e-4 + convexity * 1e-8 / 2, rel=1e-4)
    large = bond.value(shifted(flat, 3.0)) - 1
    assert large == pytest.approx(-duration * 0.03 + convexity * 0.0009 / 2, abs=0.06)
    assert large > -duration * 0.03 + 0.1  # duration alone misses more than a tenth of the face


def test_a_ladder_is_the_mean_of_its_bonds_and_each_falls_by_its_own_duration(state):
    later = shifted(aged(state, 40), 0.75)
    parts = [parse(f"UST:{tenor}").bind(state).value(later) for tenor in ("2Y", "5Y", "10Y", "30Y")]
    assert parse(LADDER).bind(state).value(later) == pytest.approx(sum(parts) / 4, rel=1e-12)
    assert parts == sorted(parts, reverse=True)


def test_a_twist_that_duration_does_not_see_moves_the_ladder(state):
    steep = state.but({"UST2Y": 1.23, "UST30Y": 5.32})
    ladder = parse(LADDER).bind(state)
    assert ladder.value(steep) < ladder.value(state) - 0.01


def test_it_rolls_down_a_rising_curve_that_stands_still(state):
    bond = parse("UST:10Y").bind(state)
    half_a_year = dataclasses.replace(state, on=dt.date(2009, 3, 12))
    gained = bond.value(half_a_year) - 1
    assert gained > bond.coupon / 2  # the coupon, and that it is priced at a lower yield now


def test_coupons_and_the_face_stay_in_its_value_as_cash(state):
    bond = parse("UST:2Y").bind(state)
    before, on, after_ = (bond.value(dataclasses.replace(state, on=dt.date(2009, 3, day))) for day in (11, 12, 13))
    assert on == pytest.approx(before, abs=2e-4)
    assert after_ == pytest.approx(on, abs=2e-4)
    over = dataclasses.replace(state, on=dt.date(2011, 1, 3), yields=())
    assert bond.value(over) == pytest.approx(1 + 2 * bond.coupon, abs=1e-12)
    assert parse("UST:3M").bind(state).value(over) == pytest.approx(1.0, abs=1e-12)


def test_a_maturity_beyond_the_longest_yield_is_refused(state):
    short = dataclasses.replace(state, yields=tuple(name for name in state.yields if name != "UST30Y"))
    with pytest.raises(BadInput, match="needs yields to 30 years; the longest known on 2008-09-12 is 10 years"):
        parse(LADDER).bind(short)


def test_in_the_autumn_of_2008_a_ten_year_note_gains_as_its_yield_fell(lehman):
    found = bind(Book({"UST:10Y": 1e6, LADDER: 1e6}), state_of(lehman, 0)).values(lehman)
    yields = lehman.closes(["UST10Y"])["UST10Y"]
    assert yields.iloc[0] == 3.74
    # The Treasury's own yield of the day on a note with 9.8 years to go, by QuantLib, and the curve's on it, are close.
    last = state_of(lehman, len(lehman.ends) - 1)
    schedule = ql.Schedule(
        ql.Date(12, 9, 2008), ql.Date(12, 9, 2018), ql.Period(6, ql.Months), ql.NullCalendar(), ql.Unadjusted,
        ql.Unadjusted, ql.DateGeneration.Backward, False,
    )  # fmt: skip
    days = ql.ActualActual(ql.ActualActual.ISMA, schedule)
    note = ql.FixedRateBond(0, 100.0, schedule, [0.0374], days)
    rate = ql.InterestRate(yields.iloc[-1] / 100, days, ql.Compounded, ql.Semiannual)
    now = ql_date(last.on)
    dirty = ql.BondFunctions.cleanPrice(note, rate, now) + ql.BondFunctions.accruedAmount(note, now)
    assert found.values[0] == pytest.approx([1e6, 1e6], abs=1e-3)
    assert found.values[-1, 0] == pytest.approx(1e4 * dirty, rel=0.005)
    assert found.values[-1, 0] > 1.05e6
