"""The curve: it prices what it was made of, knows no clock, and refuses what no market can have."""

from __future__ import annotations

import datetime as dt
import math
import pickle
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments import Curve, curve_of
from quantdesk.scenarios.instruments.quantlib import after, evaluation_date, quantlib

ql = quantlib()

DAY = dt.date(2008, 9, 12)
CURVE = ((0.25, 1.49), (0.5, 1.81), (1.0, 2.02), (2.0, 2.23), (5.0, 2.97), (10.0, 3.74), (30.0, 4.32))

levels = st.floats(-1.0, 15.0)


@settings(max_examples=25, deadline=None)
@given(level=levels, slope=st.floats(-2.0, 2.0), days=st.integers(0, 3000))
def test_every_par_bond_and_bill_costs_what_it_should(level, slope, days):
    on = DAY + dt.timedelta(days=days)
    yields = tuple((years, level + slope * math.log1p(years) / 3) for years, _ in CURVE)
    curve = curve_of(on, yields)
    for years, percent in yields:
        end = after(on, round(12 * years), "M")
        if years <= 0.5:
            expected = 1 / (1 + percent / 100 * (end - on).days / 365)
            assert curve.discount(end) == pytest.approx(expected, rel=1e-9)
        else:
            assert curve.par_coupon(end) == pytest.approx(percent / 100, abs=1e-9)


def test_hulls_zero_rates_give_his_par_yield():
    # Hull, Options, Futures, and Other Derivatives, section 4.5: zero rates 5.0, 5.8, 6.4, 6.8 %; par yield 6.87 %.
    ends = [after(DAY, months, "M") for months in (6, 12, 18, 24)]
    rates = (0.050, 0.058, 0.064, 0.068)
    factors = [math.exp(-rate * years) for rate, years in zip(rates, (0.5, 1.0, 1.5, 2.0), strict=True)]
    curve = Curve(DAY, (DAY, *ends), (1.0, *factors), 2.0)
    assert 100 * curve.par_coupon(ends[-1]) == pytest.approx(6.87, abs=0.005)


def test_a_flat_bond_equivalent_yield_is_its_continuous_rate():
    curve = curve_of(DAY, ((1.0, 3.74), (10.0, 3.74)))
    # crises.md quotes 3.71 for the ten-year yield of 3.74: 2 ln(1 + y / 2).
    assert 100 * curve.zero_rate(after(DAY, 10, "Y")) * 3652 / 3650 == pytest.approx(200 * math.log(1.0187), abs=5e-4)


def test_forward_rates_are_constant_between_maturities_and_beyond():
    curve = curve_of(DAY, CURVE)

    def forward(a, b):
        return math.log(curve.discount(a) / curve.discount(b)) / (b - a).days

    fifth, tenth, last = (after(DAY, years, "Y") for years in (5, 10, 30))
    middle = after(DAY, 7, "Y")
    assert forward(fifth, middle) == pytest.approx(forward(middle, tenth), rel=1e-9)
    assert forward(after(DAY, 29, "Y"), last) == pytest.approx(forward(last, after(last, 1, "Y")), rel=1e-9)


def test_the_past_is_not_discounted_and_has_no_rate():
    curve = curve_of(DAY, CURVE)
    assert curve.discount(DAY) == 1.0
    assert curve.discount(DAY - dt.timedelta(days=9)) == 1.0
    with pytest.raises(BadInput, match="Give a later day"):
        curve.zero_rate(DAY)


def test_the_evaluation_date_of_others_is_left_alone_and_does_not_matter():
    settings_ = ql.Settings.instance()
    expected = curve_of(DAY, CURVE)
    settings_.evaluationDate = ql.Date(1, 1, 2020)
    try:
        curve_of.cache_clear()
        again = curve_of(DAY, CURVE)
        assert settings_.evaluationDate == ql.Date(1, 1, 2020)
    finally:
        settings_.resetEvaluationDate()
    assert again == expected
    curve_of.cache_clear()
    curve_of(DAY, CURVE)
    assert settings_.evaluationDate == ql.Date.todaysDate()


def test_threads_get_the_same_curves():
    days = [DAY + dt.timedelta(days=n) for n in range(20)]
    expected = [curve_of(day, CURVE) for day in days]
    curve_of.cache_clear()
    found: dict[int, list[Curve]] = {}

    def work(name):
        found[name] = [curve_of(day, CURVE) for day in (days if name % 2 else days[::-1])]

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[1] == found[3] == expected
    assert found[0] == found[2] == expected[::-1]


def test_a_failure_sets_the_date_back():
    with pytest.raises(ZeroDivisionError), evaluation_date(DAY):
        raise ZeroDivisionError
    assert ql.Settings.instance().evaluationDate == ql.Date.todaysDate()


def test_a_curve_travels_to_another_process():
    curve = curve_of(DAY, CURVE)
    assert pickle.loads(pickle.dumps(curve)) == curve


@pytest.mark.parametrize(
    ("yields", "said"),
    [
        ((), "There are no yields"),
        (((10.0, math.nan),), "is nan"),
        (((10.0, math.inf),), "is inf"),
        (((10.0, 1e6),), "from -200 to 200"),
        (((0.0, 1.0),), "0 years"),
        (((1.0, 1.0), (10.0, 190.0)), "No curve prices the par yields of 2008-09-12 .1y 1 %, 10y 190 %."),
    ],
)
def test_yields_that_no_market_has_are_refused(yields, said):
    with pytest.raises(BadInput, match=said):
        curve_of(DAY, yields)


def test_days_beyond_those_of_quantlib_are_refused():
    with pytest.raises(BadInput, match="cannot be priced on"):
        curve_of(dt.date(1800, 1, 1), CURVE)
    with pytest.raises(BadInput, match="cannot be priced on"):
        after(dt.date(2190, 1, 1), 30, "Y")


def test_quantlib_is_not_loaded_before_something_is_priced():
    code = "import sys, quantdesk.scenarios.instruments as i; i.parse('UST:10Y'); sys.exit('QuantLib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
