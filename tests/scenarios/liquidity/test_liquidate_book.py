"""Selling a book takes time and costs spread and impact, and stress makes neither better."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.scenarios.liquidity import Conditions, Liquidity, Selling, liquidate

BOOK = {"A": 250_000.0, "B": -10_000.0}
PRICES = {"A": 50.0, "B": 200.0}
VOLUMES = {"A": 1e6, "B": 4e6}
SIGMAS = {"A": 0.02, "B": 0.01}
CALM = Liquidity().at(np.array(1.0))


def test_the_figures_of_a_book_by_hand():
    found = liquidate(BOOK, PRICES, VOLUMES, CALM, SIGMAS)
    assert found.days == {"A": pytest.approx(2.5), "B": pytest.approx(0.025)}
    assert found.days_of_book == pytest.approx(2.5)
    assert found.spread["A"] == pytest.approx(250_000 * 50 * 1e-4)
    assert found.spread["B"] == pytest.approx(10_000 * 200 * 1e-4)
    assert found.impact["A"] == pytest.approx(250_000 * 50 * 2 / 3 * 0.02 * math.sqrt(0.1))
    assert found.impact["B"] == pytest.approx(10_000 * 200 * 2 / 3 * 0.01 * math.sqrt(10_000 / 4e6))
    assert found.by_cause == {
        "spread": pytest.approx(sum(found.spread.values())),
        "impact": pytest.approx(sum(found.impact.values())),
    }
    assert found.cost == pytest.approx(sum(found.by_cause.values()))


def test_one_that_keeps_its_impact_takes_longer_by_the_square_of_it():
    wild = Conditions(*(np.array(value) for value in (5.0, 0.1, 2.0, 3.0)))
    hasty = liquidate(BOOK, PRICES, VOLUMES, wild, SIGMAS)
    patient = liquidate(BOOK, PRICES, VOLUMES, wild, SIGMAS, Selling(keeps="impact"))
    calm = liquidate(BOOK, PRICES, VOLUMES, CALM, SIGMAS)
    assert hasty.days == calm.days
    assert hasty.impact["A"] == pytest.approx(3 * calm.impact["A"])
    assert patient.days["A"] == pytest.approx(9 * calm.days["A"])
    assert patient.impact["A"] == pytest.approx(calm.impact["A"])


def test_nothing_held_costs_nothing():
    assert liquidate({}, {}, {}, CALM, {}).days_of_book == 0
    assert liquidate({}, {}, {}, CALM, {}).cost == 0
    flat = liquidate({"A": 0.0}, PRICES, VOLUMES, CALM, SIGMAS)
    assert (flat.days_of_book, flat.cost) == (0, 0)


@given(
    st.floats(1, 1e7), st.floats(0.05, 60), st.floats(0.05, 60), st.sampled_from(["participation", "impact"]),
    st.floats(-2, 2), st.floats(0.01, 1),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_more_stress_never_shortens_or_cheapens_a_sale(shares, one, other, keeps, volume_power, participation):
    low, high = sorted((one, other))
    liquidity, how = Liquidity(volume_power=volume_power), Selling(participation, keeps)
    calm, wild = (
        liquidate({"A": shares}, PRICES, VOLUMES, liquidity.at(np.array([stress])), SIGMAS, how)
        for stress in (max(low, 1.0), max(high, 1.0))
    )
    assert wild.days_of_book >= calm.days_of_book * (1 - 1e-12)
    for cause in ("spread", "impact"):
        assert wild.by_cause[cause] >= calm.by_cause[cause] * (1 - 1e-12)


@given(st.floats(1, 1e7), st.floats(1, 1e7), st.floats(1, 60))
@settings(max_examples=100, deadline=None)
def test_a_larger_book_takes_longer_and_costs_more(one, other, stress):
    small, large = sorted((one, other))
    conditions = Liquidity().at(np.array([stress]))
    less, more = (liquidate({"A": shares}, PRICES, VOLUMES, conditions, SIGMAS) for shares in (small, large))
    assert more.days_of_book >= less.days_of_book
    assert more.cost >= less.cost * (1 - 1e-12)
    short = liquidate({"A": -large}, PRICES, VOLUMES, conditions, SIGMAS)
    assert short == more


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"positions": {"A": math.nan}}, "position in A"),
        ({"positions": {"C": 1.0}}, "price of C"),
        ({"volumes": {"A": 0.0, "B": 1.0}}, "volume of A"),
        ({"volatilities": {"A": math.inf, "B": 1.0}}, "volatility of A"),
        ({"conditions": Conditions(*[np.ones(3)] * 4)}, "2 positions"),
        ({"conditions": Conditions(*[np.array([1.0, math.nan])] * 4)}, "half-spread of B"),
    ],
)
def test_a_book_that_cannot_be_priced_is_refused(change, said):
    given = {"positions": BOOK, "prices": PRICES, "volumes": VOLUMES, "conditions": CALM, "volatilities": SIGMAS}
    with pytest.raises(BadInput, match=said):
        liquidate(**(given | change))


@pytest.mark.parametrize("wrong", [{"participation": 0.0}, {"participation": 1.1}, {"keeps": "calm"}, {"y": 0.0}])
def test_a_way_to_sell_that_is_none_is_refused(wrong):
    with pytest.raises(BadInput):
        Selling(**wrong)
