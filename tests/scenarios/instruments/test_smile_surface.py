"""The skew: no arbitrage, the level of VIX, the term structure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments import Smile
from quantdesk.scenarios.instruments.options import black_scholes
from quantdesk.scenarios.instruments.smile import MONTH

LEVELS = st.floats(0.08, 1.5)
YEARS = st.floats(7 / 365, 3.0)


def call(smile: Smile, level: float, years: float, strike: float) -> float:
    deviation = smile.volatility(level, years, math.log(strike)) * math.sqrt(years)
    return black_scholes("call", strike, 1.0, deviation, 1.0)


@settings(max_examples=40, deadline=None)
@given(level=LEVELS, years=YEARS)
def test_calls_fall_and_are_convex_in_the_strike(level, years):
    width = 3 * level * math.sqrt(years)
    strikes = np.linspace(max(1 - width, 0.05), 1 + width, 60)
    prices = np.array([call(Smile(), level, years, strike) for strike in strikes])
    slopes = np.diff(prices) / np.diff(strikes)
    assert (slopes <= 1e-12).all()
    assert (slopes >= -1 - 1e-12).all()
    assert (np.diff(slopes) >= -1e-9).all()


@settings(max_examples=40, deadline=None)
@given(level=LEVELS, years=YEARS, more=st.floats(0.01, 1.0), moneyness=st.floats(-1.0, 1.0))
def test_total_variance_rises_with_time(level, years, more, moneyness):
    smile = Smile()
    early, late = (smile.volatility(level, t, moneyness) ** 2 * t for t in (years, years + more))
    assert late > early


@settings(max_examples=40, deadline=None)
@given(level=LEVELS, years=YEARS, moneyness=st.floats(-0.5, 0.5))
def test_every_volatility_rises_with_vix(level, years, moneyness):
    assert Smile().volatility(level * 1.05, years, moneyness) > Smile().volatility(level, years, moneyness)


@pytest.mark.parametrize("level", [0.1, 0.15, 0.25, 0.45, 0.9])
def test_the_variance_swap_lies_above_the_money_as_the_doc_says(level):
    # The white paper of Cboe: twice the strip of options out of the money, each over its strike squared.
    strikes = np.exp(np.linspace(-14, 7, 4001) * level * math.sqrt(MONTH))
    calls = np.array([call(Smile(), level, MONTH, strike) for strike in strikes])
    strip = np.where(strikes < 1, calls - 1 + strikes, calls) / strikes**2
    variance = 2 / MONTH * float(((strip[1:] + strip[:-1]) / 2 * np.diff(strikes)).sum())
    ratio = math.sqrt(variance) / Smile().at_the_money(level, MONTH)
    assert 1.115 < ratio < 1.155


def test_at_a_month_the_money_is_vix_less_the_skew():
    assert Smile().at_the_money(0.226, MONTH) == pytest.approx(0.2, abs=1e-12)


def test_a_panic_is_worth_less_a_year_ahead_and_calm_is_worth_more():
    smile = Smile()
    panic = [smile.at_the_money(0.8, years) for years in (1 / 12, 0.25, 1.0)]
    calm = [smile.at_the_money(0.11, years) for years in (1 / 12, 0.25, 1.0)]
    assert panic == sorted(panic, reverse=True)
    assert calm == sorted(calm)


def test_the_skew_at_the_money_is_as_gatheral_and_jacquier_say():
    smile, years, step = Smile(), 0.25, 1e-5
    slope = (smile.volatility(0.3, years, step) - smile.volatility(0.3, years, -step)) / (2 * step)
    theta = smile.at_the_money(0.3, years) ** 2 * years
    assert slope == pytest.approx(-0.7 * 0.8 / (2 * math.sqrt(years) * math.sqrt(1 + theta)), rel=1e-6)


def test_the_doc_says_how_steep_it_is():
    for years, points in ((0.25, 6), (1 / 12, 9)):
        at, below = (Smile().volatility(0.2, years, math.log(strike)) for strike in (1.0, 0.9))
        assert 100 * (below - at) == pytest.approx(points, abs=0.6)


@pytest.mark.parametrize("level", [1e-3, 0.03, 0.07, 5.0, 50.0])
def test_absurd_levels_give_numbers(level):
    assert 0 < Smile().at_the_money(level, 0.003) < 60


@pytest.mark.parametrize(
    "wrong",
    [
        {"rho": -1.0},
        {"rho": 1.5},
        {"eta": 0.0},
        {"eta": 1.3},
        {"rho": math.nan},
        {"long_run": 0.0},
        {"reversion": -1.0},
    ],
)
def test_parameters_that_allow_arbitrage_are_refused(wrong):
    with pytest.raises(BadInput):
        Smile(**wrong)
