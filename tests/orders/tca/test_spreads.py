"""The measures of single fills: worked by hand, and the identities between them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.tca import HORIZONS, Fill, OrderFacts, Quote, Tape, analyse

SECOND = 1_000_000_000


@pytest.fixture
def worked(opened):
    """A purchase at 10.03 in a market of 10.00 to 10.04, which then goes 10.02 to 10.06 after half a second, 10.10 to
    10.14 after ten; the session ends four minutes after the fill."""
    at = opened + 10 * SECOND
    tape = Tape(
        "AAA",
        [opened, at + SECOND // 2, at + 10 * SECOND],
        [10_000_000, 10_020_000, 10_100_000],
        [10_040_000, 10_060_000, 10_140_000],
        sessions=[(opened, at + 240 * SECOND)],
    )
    arrival = tape.quote(at - SECOND)
    order = OrderFacts("o", "AAA", 1, 300, arrival, arrival, tape.quote(at + SECOND), mode="simulated")
    fill = Fill("o", "AAA", 1, 300, 10_030_000, 900_000, "remove", "XNAS", at)
    return {"orders": [order], "fills": [fill], "tapes": [tape]}


def test_a_worked_example(worked):
    (row,) = analyse(**worked).fills.to_dict("records")
    assert row["mid"] == pytest.approx(10.02)
    assert row["slippage"] == pytest.approx(0.01)
    assert row["effective_spread"] == pytest.approx(0.02)
    assert row["quoted_spread"] == pytest.approx(0.04)
    assert row["improvement"] == pytest.approx(0.01)
    assert row["elapsed_s"] == 1
    assert row["fee"] == pytest.approx(0.003)
    assert [round(row[f"realized_{name}"], 9) for name in HORIZONS][:4] == [0.02, -0.02, -0.18, -0.18]
    assert [round(row[f"impact_{name}"], 9) for name in HORIZONS][:4] == [0.0, 0.04, 0.2, 0.2]


def test_a_quote_of_after_the_close_is_not_known_and_said(worked):
    (row,) = analyse(**worked).fills.to_dict("records")
    assert np.isnan(row["realized_5min"])
    assert np.isnan(row["impact_5min"])
    assert row["unknown_5min"] == "session closed"
    assert row["unknown_1min"] == ""


def test_a_quote_within_a_halt_is_not_known_and_said(worked):
    tape = worked["tapes"][0]
    at = worked["fills"][0].at
    halted = Tape(
        "AAA", tape.at, tape.bid, tape.ask, [(int(tape.at[0]), at + 240 * SECOND)], [(at + SECOND, at + 20 * SECOND)]
    )
    (row,) = analyse(worked["orders"], worked["fills"], [halted]).fills.to_dict("records")
    assert row["realized_50ms"] == pytest.approx(0.02)
    assert [row[f"unknown_{name}"] for name in ("1s", "15s", "1min")] == [
        "trading halted", "trading halted", "no quote yet since the opening or resumption",
    ]  # fmt: skip


def test_without_a_tape_or_a_quote_at_arrival_it_is_said_too(worked):
    (row,) = analyse(worked["orders"], worked["fills"]).fills.to_dict("records")
    assert row["effective_spread"] == pytest.approx(0.02)
    assert row["unknown_50ms"] == "no quotes of the symbol"
    for bid, ask, why in ((0, 10_040_000, "one-sided quote"), (10_050_000, 10_040_000, "crossed quote")):
        blind = OrderFacts("o", "AAA", 1, 300, Quote(0), Quote(worked["fills"][0].at, bid, ask))
        (row,) = analyse([blind], worked["fills"], worked["tapes"]).fills.to_dict("records")
        assert np.isnan(row["effective_spread"])
        assert np.isnan(row["improvement"])
        assert np.isnan(row["impact_50ms"])
        assert row["realized_50ms"] == pytest.approx(0.02)  # it needs no quote of before
        assert row["unknown"] == why


def test_the_reference_can_be_the_last_quote_before_the_fill(worked):
    fill = worked["fills"][0]
    late = Fill("o", "AAA", 1, 300, 10_070_000, 0, "remove", "XNAS", fill.at + SECOND // 2)
    by_arrival, by_execution = (
        analyse(worked["orders"], [late], worked["tapes"], reference=reference).fills.iloc[0]
        for reference in ("arrival", "execution")
    )
    assert by_arrival["mid"] == by_execution["mid"] == pytest.approx(10.02)  # not yet the quote of its own moment
    later = Fill("o", "AAA", 1, 300, 10_070_000, 0, "remove", "XNAS", fill.at + SECOND)
    assert analyse(worked["orders"], [later], worked["tapes"], reference="execution").fills.iloc[0][
        "mid"
    ] == pytest.approx(10.04)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), number=st.integers(0, 12))
def test_realised_spread_and_impact_make_the_effective_spread(draw, seed, number):
    fills = analyse(**draw(seed, number)).fills
    for name in HORIZONS:
        known = fills[f"realized_{name}"].notna()
        both = fills[f"realized_{name}"] + fills[f"impact_{name}"]
        np.testing.assert_allclose(both[known], fills["effective_spread"][known], rtol=0, atol=1e-12)
        assert (fills[f"unknown_{name}"] == "").equals(known)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_mirrored_market_gives_the_same_measures(draw, seed):
    """Buying becomes selling, prices turn around an axis: every measure in dollars stays."""
    drawn = draw(seed, 10)
    axis = 400_000_000

    def turned(one):
        return Quote(one.at, axis - one.ask, axis - one.bid)

    orders = [
        OrderFacts(o.order_id, o.symbol, -o.side, o.shares, turned(o.decision), turned(o.arrival), turned(o.end))
        for o in drawn["orders"]
    ]
    fills = [
        Fill(f.order_id, f.symbol, -f.side, f.shares, axis - f.price, f.fee, f.liquidity, f.venue, f.at)
        for f in drawn["fills"]
    ]
    tapes = [
        Tape(t.symbol, t.at, axis - t.ask, axis - t.bid, [(int(t._open[1]), int(t._close[1]))]) for t in drawn["tapes"]
    ]
    here, there = analyse(drawn["orders"], drawn["fills"], drawn["tapes"]), analyse(orders, fills, tapes)
    names = ["slippage", "effective_spread", "quoted_spread", "improvement", "elapsed_s", "fee"]
    names += [f"{kind}_{name}" for kind in ("realized", "impact") for name in HORIZONS]
    pd.testing.assert_frame_equal(here.fills[names], there.fills[names], rtol=0, atol=1e-9)
    for name, cost in here.shortfalls.items():
        assert there.shortfalls[name].total == cost.total


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"order_id": "x"}, "order 'x', which is not there"),
        ({"symbol": "BBB"}, "is of BBB"),
        ({"side": -1}, "side -1"),
        ({"at": 5}, "before the order arrived"),
        ({"shares": 301}, "301 shares of o are filled"),
    ],
)
def test_fills_that_do_not_fit_their_order_are_refused(worked, change, said):
    fill = worked["fills"][0]
    values = {name: getattr(fill, name) for name in fill.__slots__} | change
    with pytest.raises(BadInput, match=said):
        analyse(worked["orders"], [Fill(**values)], worked["tapes"])


def test_an_order_twice_is_refused(worked):
    with pytest.raises(BadInput, match="there twice"):
        analyse(worked["orders"] * 2, [])
