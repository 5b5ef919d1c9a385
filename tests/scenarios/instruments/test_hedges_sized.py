"""Sensitivities explain small moves; hedges take away what they are sized for, and their cost is what they lose."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments import (
    Book,
    betas_of,
    bind,
    calm_cost,
    duration_hedge,
    index_hedge,
    put_hedge,
    sensitivities,
    state_of,
)  # fmt: skip

MIXED = {"AAPL": 500, "SPX": 40, "FX:EURUSD": 2e5, "FX:USDJPY": 1e5, "FUT:WTI": 3, "UST_LADDER:2Y,10Y,30Y": 1e6,
         "OPT:SPX:P:95%:3M": 4, "FXFWD:EURUSD:6M": 1e5}  # fmt: skip
BETAS = {"AAPL": 1.5}


def test_linear_positions_have_their_value_as_sensitivity(state):
    found = sensitivities(bind(Book({"AAPL": 10, "FX:EURUSD": 1000, "FUT:WTI": 1, "FX:JPYUSD": 1e5}), state), state)
    assert found.equity == pytest.approx({"AAPL": 1500.0})
    assert found.fx == pytest.approx({"EUR": 1400.0, "JPY": 1e5 * 1.4 / 150})
    assert found.commodity == pytest.approx({"WTI": 100_000.0})
    assert found.rates == {}
    assert found.vega == found.theta == found.dv01 == 0.0


def test_a_par_bond_depends_on_its_own_yield_alone(state):
    bound = bind(Book({"UST:10Y": 1e6}), state)
    found = sensitivities(bound, state)
    # A bond with coupon c is worth 1 + (c - y) A when bonds at par pay y; A is worth of a dollar a year.
    annuity = (1 - state.curve.discount(dt.date(2018, 9, 12))) / 0.0374
    assert found.rates["UST10Y"] == pytest.approx(-100 * annuity, rel=1e-4)
    for name, value in found.rates.items():
        if name != "UST10Y":
            assert value == pytest.approx(0.0, abs=1e-4)
    assert found.theta > 0


@settings(max_examples=15, deadline=None)
@given(moves=st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_small_moves_are_explained(state, moves):
    bound = bind(Book(MIXED), state)
    found = sensitivities(bound, state)
    a, b, c, d, e, f = (0.002 * move for move in moves)
    changes = {
        "AAPL": 150 * (1 + a), "SPX": 1250 * (1 + b), "EURUSD": 1.4 * (1 + c), "EURJPY": 150 * (1 + c) / (1 + d),
        "WTI": 100 * (1 + e), "VIX": 25 + 100 * f, **{name: state.value(name) + 10 * f for name in state.yields},
    }  # fmt: skip
    explained = (
        found.equity["AAPL"] * a + found.equity["SPX"] * b + found.fx["EUR"] * c + found.fx["JPY"] * d
        + found.commodity["WTI"] * e + found.vega * 100 * f + found.dv01 * 1000 * f
    )  # fmt: skip
    assert bound.value(state.but(changes)) - bound.value(state) == pytest.approx(explained, abs=40)


def test_a_put_is_short_the_index_and_long_volatility(state):
    found = sensitivities(bind(Book({"OPT:SPX:P:95%:3M": 1}), state), state)
    assert -100 * 1250 < found.equity["SPX"] < 0
    assert found.vega > 0
    assert found.theta < 0


def test_betas_come_from_the_history_alone(lehman):
    betas = betas_of(lehman)
    assert betas["SPX"] == pytest.approx(1.0)
    history = lehman.history.closes(["JPM", "SPX"])
    returns = np.diff(np.log(history.to_numpy()), axis=0)[-252:]
    assert betas["JPM"] == pytest.approx(np.polyfit(returns[:, 1], returns[:, 0], 1)[0])
    assert set(betas) == {"AAPL", "JPM", "SPX"}
    with pytest.raises(BadInput, match="no history of SPX"):
        betas_of(lehman.history)


def test_an_index_hedge_leaves_no_beta(state):
    bound = bind(Book({"AAPL": 10_000}), state)
    hedge = index_hedge(bound, state, BETAS)
    assert hedge.quantities == {"SPX": -1800.0}
    assert hedge.before == pytest.approx(2_250_000)
    assert hedge.after == pytest.approx(0.0, abs=1250)
    assert hedge.price == -1800 * 1250
    assert hedge.standstill == 0.0
    half = index_hedge(bound, state, BETAS, share=0.5)
    assert half.after == pytest.approx(hedge.before / 2, abs=1250)


def test_a_duration_hedge_leaves_no_dv01(state):
    bound = bind(Book({"UST:30Y": 1e6}), state)
    hedge = duration_hedge(bound, state)
    (face,) = hedge.quantities.values()
    assert face < -1e6
    assert face % 1000 == 0
    assert abs(hedge.after) < abs(hedge.before) / 1000
    assert hedge.standstill < 0  # who is short pays the coupon
    long_ = duration_hedge(bind(Book({"UST:30Y": -1e6}), state), state)
    assert long_.quantities == {"UST:10Y": -face}
    assert long_.name == "long 10Y Treasury"


def test_puts_cover_the_beta_dollars_and_cost_their_theta(state):
    bound = bind(Book({"SPX": 1000}), state)
    hedge = put_hedge(bound, state, {}, terms=("90%", "3M"))
    assert hedge.quantities == {"OPT:SPX:P:90%:3M": 10.0}
    assert hedge.price > 0
    assert -hedge.price < hedge.standstill < 0
    assert 0 < hedge.after < hedge.before
    crash = state.but({"SPX": 1250 * 0.6, "VIX": 80.0})
    alone = bound.value(crash) - bound.value(state)
    with_it = alone + bind(Book(hedge.quantities), state).value(crash) - hedge.price
    assert with_it > 0.35 * alone


def test_the_cost_in_calm_times_is_what_it_loses_along_the_path(make_path, state):
    calm = {"SPX": [1250.0] * 8, "VIX": [15.0] * 8, "UST3M": [1.5] * 8, "UST10Y": [3.7] * 8}
    path = make_path(calm)
    hedge = put_hedge(bind(Book({"SPX": 1000}), state), state, {})
    totals = bind(Book(hedge.quantities), state_of(path, 0)).values(path).total
    assert calm_cost(hedge, path) == pytest.approx(totals[0] - totals[-1])
    assert calm_cost(hedge, path) > 0


def test_lehman_with_hedges_loses_less(lehman):
    start = state_of(lehman, 0)
    book = {"AAPL": 20_000, "JPM": 20_000}
    bound = bind(Book(book), start)
    alone = bound.values(lehman).total
    for hedge in (index_hedge(bound, start, betas_of(lehman)), put_hedge(bound, start, betas_of(lehman))):
        held = bind(Book({**book, **hedge.quantities}), start).values(lehman).total
        assert held[-1] - held[0] > 0.6 * (alone[-1] - alone[0])


def test_theta_is_the_day_that_passes(state):
    bound = bind(Book({"UST:10Y": 1e6, "OPT:SPX:P:95%:3M": 10}), state)
    tomorrow = dataclasses.replace(state, on=dt.date(2008, 9, 13))
    assert sensitivities(bound, state).theta == bound.value(tomorrow) - bound.value(state)


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(state, share):
    bound = bind(Book({"SPX": 1000, "UST:10Y": 1e6}), state)
    for make in (lambda: index_hedge(bound, state, {}, share), lambda: put_hedge(bound, state, {}, share),
                 lambda: duration_hedge(bound, state, share)):  # fmt: skip
        with pytest.raises(BadInput, match="share to hedge"):
            make()


def test_what_cannot_be_hedged_is_said(state):
    stock, short, small = (bind(Book(book), state) for book in ({"AAPL": 1000}, {"SPX": -100}, {"SPX": 0.4}))
    with pytest.raises(BadInput, match="no beta of AAPL"):
        index_hedge(stock, state, {})
    with pytest.raises(BadInput, match="loses when the index falls"):
        put_hedge(short, state, {})
    with pytest.raises(BadInput, match="rounds to none"):
        index_hedge(small, state, {})
    with pytest.raises(BadInput, match="no duration"):
        duration_hedge(stock, state)
