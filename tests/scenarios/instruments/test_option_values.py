"""Options: published vectors, parity, monotonicity, ageing and expiry."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments import Book, bind, parse
from quantdesk.scenarios.instruments.options import Option, black_scholes


@pytest.mark.parametrize(
    ("right", "strike", "spot", "rate", "dividend", "sigma", "years", "expected"),
    [
        # Hull, Options, Futures, and Other Derivatives: the example of Black-Scholes-Merton, both sides.
        ("call", 40, 42, 0.10, 0.0, 0.20, 0.5, 4.76),
        ("put", 40, 42, 0.10, 0.0, 0.20, 0.5, 0.81),
        # His index option.
        ("call", 900, 930, 0.08, 0.03, 0.20, 2 / 12, 51.83),
        # His put on a crude oil future by Black's model.
        ("put", 20, 20, 0.09, 0.09, 0.25, 4 / 12, 1.12),
    ],
)
def test_hulls_examples(right, strike, spot, rate, dividend, sigma, years, expected):
    forward = spot * math.exp((rate - dividend) * years)
    found = black_scholes(right, strike, forward, sigma * math.sqrt(years), math.exp(-rate * years))
    assert found == pytest.approx(expected, abs=0.005)


@settings(max_examples=30, deadline=None)
@given(percent=st.integers(50, 160), months=st.integers(1, 24), vix=st.floats(8, 90))
def test_put_call_parity_holds_with_the_skew(state, percent, months, vix):
    moved = state.but({"VIX": vix})
    put, call = (parse(f"OPT:SPX:{right}:{percent}%:{months}M").bind(moved) for right in "PC")
    discount = moved.curve.discount(call.ends)
    parity = 100 * (moved.value("SPX") - call.strike * discount)
    assert call.value(moved) - put.value(moved) == pytest.approx(parity, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(percent=st.integers(70, 130), vix=st.floats(8, 90), right=st.sampled_from("PC"))
def test_more_volatility_is_worth_more_and_a_far_strike_less(state, percent, vix, right):
    option = parse(f"OPT:SPX:{right}:{percent}%:3M").bind(state)
    assert option.value(state.but({"VIX": vix + 1})) > option.value(state.but({"VIX": vix}))
    farther = dataclasses.replace(option, strike=option.strike * (0.95 if right == "P" else 1.05))
    assert farther.value(state) <= option.value(state)


def test_the_strike_is_fixed_at_the_start_in_percent_or_in_points(state):
    assert parse("OPT:SPX:P:90%:3M").bind(state).strike == 1125.0
    assert parse("OPT:SPX:P:1125:3M").bind(state) == parse("OPT:SPX:P:90%:3M").bind(state)
    assert parse("OPT:SPX:P:90%:3M").bind(state).ends == dt.date(2008, 12, 12)


def test_it_ages_to_its_intrinsic_value(state):
    call = parse("OPT:SPX:C:96%:3M").bind(state)
    still = [call.value(dataclasses.replace(state, on=dt.date(2008, 9, 12) + dt.timedelta(days=n))) for n in range(92)]
    assert still == sorted(still, reverse=True)
    assert still[91] == 100 * 50.0
    assert call.value(dataclasses.replace(state, on=dt.date(2009, 1, 1))) == 100 * 50.0


def test_an_option_that_expires_on_a_closed_day_settles_at_the_last_close_before(make_path, state):
    names = ["SPX", "VIX", "UST3M", "UST10Y"]
    rows = [[1250, 1200, 1100, 1300, 1300, 1300], [25.0] * 6, [1.5] * 6, [3.7] * 6]
    path = make_path(dict(zip(names, rows, strict=True)), "2008-09-10")  # Wednesday
    put = Option("SPX", "put", 1250.0, dt.date(2008, 9, 13))  # Saturday
    bound = bind(Book({"SPX": 1}), state)
    position = dataclasses.replace(bound.positions[0], text="put", instrument=put)
    found = dataclasses.replace(bound, positions=(position,)).values(path)
    assert found.values[2, 0] > 100 * 149
    assert found.values[3:, 0].tolist() == [100 * 150.0] * 3


def test_a_stock_is_as_much_more_volatile_as_it_was(state):
    at = (state.value("AAPL") / state.curve.discount(dt.date(2008, 12, 12)), dt.date(2008, 12, 12))
    index_at = (state.value("SPX") / state.curve.discount(at[1]), at[1])
    doubled = state.but({"VIX": 50.0})
    assert state.implied("AAPL", *at) == pytest.approx(doubled.implied("SPX", *index_at), rel=1e-12)
    option = parse("OPT:AAPL:P:100%:3M").bind(state)
    assert "implied_volatility_from_realised" in option.assumes
    assert option.sector == "technology"


def test_what_an_option_lacks_is_said(state):
    for symbol, said in (("VIX", "VIX has no value"), ("SPX", "SPX has no value")):
        values = {name: value for name, value in state.values.items() if name != symbol}
        with pytest.raises(BadInput, match=said):
            parse("OPT:SPX:P:90%:3M").bind(dataclasses.replace(state, values=values))
    with pytest.raises(BadInput, match="No yield is known"):
        parse("OPT:SPX:P:90%:3M").bind(dataclasses.replace(state, yields=()))
    with pytest.raises(BadInput, match="too little history"):
        parse("OPT:AAPL:P:90%:3M").bind(dataclasses.replace(state, realised={}))
    with pytest.raises(BadInput, match="VIX is 0"):
        parse("OPT:SPX:P:90%:3M").bind(state.but({"VIX": 0.0}))
    with pytest.raises(BadInput, match="SPX stands at 0"):
        parse("OPT:SPX:P:900:3M").bind(state.but({"SPX": 0.0}))
