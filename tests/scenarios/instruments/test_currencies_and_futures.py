"""Currencies, forwards and futures."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.instruments import Tape, parse
from quantdesk.scenarios.instruments.state import way_to_dollars


def test_crosses_go_over_the_euro(state):
    assert way_to_dollars("JPY", ["EURUSD", "EURJPY"]) == (("EURUSD", 1), ("EURJPY", -1))
    assert state.usd_per("JPY") == pytest.approx(1.4 / 150)
    assert state.usd_per("USD") == 1.0
    with pytest.raises(UnknownName, match="'GBP'"):
        state.usd_per("GBP")


def test_the_shortest_way_is_taken():
    assert way_to_dollars("JPY", ["EURUSD", "EURJPY", "USDJPY"]) == (("USDJPY", -1),)


def test_a_currency_held_and_one_bought_with_another_borrowed(state):
    euro, yen = (parse(text).bind(state) for text in ("FX:EURUSD", "FX:USDJPY"))
    moved = state.but({"EURUSD": 1.27, "EURJPY": 1.27 * 95})
    assert euro.value(state) == 1.4
    assert euro.value(moved) == 1.27
    assert yen.value(state) == pytest.approx(0.0, abs=1e-12)
    # A dollar was bought for 107.14 yen; at 95 the debt costs 1.128 dollars.
    assert yen.value(moved) == pytest.approx(1 - 150 / 1.4 / 95, rel=1e-12)
    assert parse("FX:JPYUSD").bind(state).value(moved) == pytest.approx(1 / 95)


def test_hulls_forward_rate(state):
    # Hull, example 5.6 (Australian dollars): 0.62 with 5 % there and 7 % here for two years is 0.6453.
    flat = state.but({"EURUSD": 0.62, **dict.fromkeys(state.yields, 200 * math.expm1(0.035))})
    flat = dataclasses.replace(flat, yields=("UST1Y", "UST5Y"))
    forward = parse("FXFWD:EURUSD:2Y:5%").bind(flat)
    assert forward.agreed == pytest.approx(0.6453, abs=5e-5)


@settings(max_examples=25, deadline=None)
@given(
    pair=st.sampled_from(["EURUSD", "USDJPY"]), months=st.integers(1, 60), rate=st.floats(-2, 20),
    spot=st.floats(0.5, 2.5), passed=st.integers(0, 25),
)  # fmt: skip
def test_covered_parity_holds_at_the_start_and_after(state, pair, months, rate, spot, passed):
    forward = parse(f"FXFWD:{pair}:{months}M:{rate:.4f}%").bind(state)
    foreign = float(f"{rate:.4f}") / 100
    assert forward.value(state) == pytest.approx(0.0, abs=1e-12)
    later = dataclasses.replace(state.but({"EURUSD": spot}), on=state.on + dt.timedelta(days=passed))
    years = (forward.ends - later.on).days / 365
    here, there = later.curve.discount(forward.ends), math.exp(-foreign * years)
    if pair == "EURUSD":
        expected = spot * there - forward.agreed * here
    else:
        expected = here - forward.agreed * (spot / 150) * there
    assert forward.value(later) == pytest.approx(expected, abs=1e-12)


def test_without_a_foreign_rate_it_is_the_dollars_and_says_so(state):
    forward = parse("FXFWD:EURUSD:3M").bind(state)
    assert forward.agreed == pytest.approx(1.4, abs=1e-12)
    assert forward.assumes == ("foreign_rate_as_dollar",)
    assert parse("FXFWD:EURUSD:3M:2%").bind(state).assumes == ("foreign_rate_given_and_constant",)


def test_it_settles_for_spot_less_what_was_agreed(make_path, state):
    path = make_path({"EURUSD": [1.4, 1.3, 1.2, 1.5], "UST3M": [1.5] * 4, "UST1Y": [2.0] * 4}, "2008-09-11")  # Thursday
    forward = dataclasses.replace(parse("FXFWD:EURUSD:3M").bind(state), ends=dt.date(2008, 9, 13), agreed=1.4)
    assert forward.along(Tape(path))[2:] == pytest.approx([-0.1, -0.1], abs=1e-12)


def test_a_contract_of_crude_oil_is_a_thousand_barrels(state):
    future = parse("FUT:WTI").bind(state)
    assert future.value(state) == 0.0
    assert future.value(state.but({"WTI": 55.0})) == -45_000.0
    assert future.value(state.but({"WTI": -36.98})) == pytest.approx(-136_980.0)
    assert future.assumes == ("future_moves_as_spot",)


def test_in_contango_a_future_loses_the_roll_while_oil_stands_still(make_path, state):
    future = parse("FUT:WTI:6M:8%").bind(state)
    assert future.agreed == pytest.approx(100 * math.exp(0.08 * 181 / 365))
    over = dataclasses.replace(state, on=future.ends)
    assert future.value(over) == pytest.approx(1000 * (100 - future.agreed))
    backward = parse("FUT:WTI:6M:-8%").bind(state)
    assert backward.value(over) > 0
    path = make_path({"WTI": [100.0, 90.0, 80.0, 500.0]}, "2009-03-11")  # ends on the Thursday
    along = future.along(Tape(path))
    assert along[1:].tolist() == pytest.approx([1000 * (90 - future.agreed)] * 3)


def test_an_unknown_commodity_or_pair_is_named(state):
    with pytest.raises(UnknownName, match=r"'GOLD'.*Known: WTI"):
        parse("FUT:GOLD").bind(state)
    with pytest.raises(UnknownName, match="'XAU'"):
        parse("FX:XAUUSD").bind(state)
    with pytest.raises(BadInput, match="WTI has no value at or before bar 0"):
        parse("FUT:WTI").bind(dataclasses.replace(state, values={}))
