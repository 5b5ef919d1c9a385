"""The shape of Rule 605: its categories at their edges, its columns by hand, its own rule for the end of a session."""

from __future__ import annotations

import numpy as np
import pytest

from quantdesk.orders.tca import Fill, OrderFacts, Quote, Tape, analyse
from quantdesk.orders.tca.rule605 import category, size_category

SECOND = 1_000_000_000
CENT = 10_000
BID, ASK = 10_000_000, 10_050_000


def an_order(name="o", side=1, shares=400, kind="market", limit=0, arrived=0, ended=True, **more):
    arrival = Quote(arrived, BID, ASK)
    end = Quote(arrived + 3600 * SECOND, BID, ASK) if ended else None
    return OrderFacts(name, "AAA", side, shares, arrival, arrival, end, kind, limit, mode="simulated", **more)


@pytest.mark.parametrize(
    ("buy", "sell", "expected"),
    [
        (ASK, BID, "marketable limit"),
        (ASK + CENT, BID - CENT, "marketable limit"),
        (ASK - CENT, BID + CENT, "inside the quote"),
        (BID + CENT, ASK - CENT, "inside the quote"),
        (BID, ASK, "at the quote"),
        (BID - CENT, ASK + CENT, "near the quote"),
        (BID - 10 * CENT, ASK + 10 * CENT, "near the quote"),
        (BID - 11 * CENT, ASK + 11 * CENT, ""),
    ],
)
def test_limit_orders_by_where_their_limit_lies(buy, sell, expected):
    assert category(an_order(kind="limit", limit=buy))[0] == expected
    assert category(an_order(side=-1, kind="limit", limit=sell))[0] == expected


@pytest.mark.parametrize(
    ("shares", "expected"),
    [(99, ""), (100, "100-499"), (499, "100-499"), (500, "500-1,999"), (1999, "500-1,999"), (2000, "2,000-4,999"),
     (4999, "2,000-4,999"), (5000, "5,000 or greater"), (10**6, "5,000 or greater")],
)  # fmt: skip
def test_sizes(shares, expected):
    assert size_category(shares) == expected


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (an_order(kind="stop"), "stop price"),
        (an_order(kind="stop_limit", limit=ASK), "stop price"),
        (an_order(time_in_force="opening"), "auction"),
        (an_order(time_in_force="closing"), "auction"),
        (an_order(kind="midpoint_peg"), "midpoint peg"),
        (an_order(shares=99), "fewer than 100"),
        (OrderFacts("o", "AAA", 1, 100, Quote(0), Quote(0, 0, ASK)), "no usable best bid and offer"),
        (OrderFacts("o", "AAA", 1, 100, Quote(0), Quote(0, ASK, BID)), "no usable best bid and offer"),
        (an_order(kind="limit", limit=CENT), "more than ten cents"),
    ],
)
def test_what_is_not_covered_is_counted_with_its_reason(order, why):
    found = analyse([order], []).rule_605()
    assert len(found.table) == 0
    ((reason, number),) = found.left_out.items()
    assert why in reason
    assert number == 1


@pytest.fixture
def filed():
    """Two market orders to buy of one size; the market is a cent higher from 60 s on."""
    tape = Tape("AAA", [0, 60 * SECOND], [BID, BID + CENT], [ASK, ASK + CENT], [(0, 7200 * SECOND)])
    orders = [
        an_order("a"),
        an_order("b"),
        an_order("c", shares=700, ended=False),
        an_order("d", kind="limit", limit=BID),
    ]

    def fill(name, shares, price, seconds, venue="XNYS"):
        return Fill(name, "AAA", 1, shares, price, 0, "remove", venue, round(seconds * SECOND))

    fills = [
        fill("a", 100, ASK - CENT, 2),  # improved by a cent
        fill("a", 200, ASK, 9.999),  # at the quote
        fill("a", 100, ASK + 2 * CENT, 10),  # two cents outside
        fill("b", 100, ASK - 2 * CENT, 1800, "XNAS"),  # improved by two
        fill("c", 300, ASK, 30),
        fill("d", 50, BID, 299.9),
    ]
    return analyse(orders, fills, [tape])


def test_the_columns_by_hand(filed):
    table = filed.rule_605().table
    assert list(table.index) == [
        ("AAA", "market", "100-499"), ("AAA", "market", "500-1,999"), ("AAA", "at the quote", "100-499"),
    ]  # fmt: skip
    row = table.loc[("AAA", "market", "100-499")]
    assert (row["covered_orders"], row["covered_shares"], row["cancelled_shares"]) == (2, 800, 300)
    assert (row["executed_here_shares"], row["executed_away_shares"]) == (0, 500)
    times = ["shares_0_9_s", "shares_10_29_s", "shares_30_59_s", "shares_60_299_s", "shares_5_30_min"]
    assert row[times].tolist() == [300, 100, 0, 0, 100]
    # The middle at receipt is 10.025; twice the distances are 0.03, 0.05, 0.09 and 0.01.
    assert row["average_effective_spread"] == pytest.approx((100 * 0.03 + 200 * 0.05 + 100 * 0.09 + 100 * 0.01) / 500)
    # Five minutes later it is 10.035.
    assert row["average_realized_spread"] == pytest.approx((100 * 0.01 + 200 * 0.03 + 100 * 0.07 - 100 * 0.01) / 500)
    assert row["realized_1s"] == pytest.approx((100 * 0.03 + 200 * 0.05 + 100 * 0.09 - 100 * 0.01) / 500)
    assert (row["improved_shares"], row["improved_amount"]) == (200, pytest.approx(0.015))
    assert row["improved_time_s"] == pytest.approx((2 + 1800) / 2)
    assert (row["at_quote_shares"], row["at_quote_time_s"]) == (200, pytest.approx(9.999))
    assert (row["outside_shares"], row["outside_amount"], row["outside_time_s"]) == (100, pytest.approx(0.02), 10)
    assert row["time_mean_ms"] == pytest.approx(1000 * (200 + 200 * 9.999 + 1000 + 180_000) / 500)


def test_what_the_rule_does_not_ask_of_resting_orders_is_empty(filed):
    row = filed.rule_605().table.loc[("AAA", "at the quote", "100-499")]
    assert row["shares_60_299_s"] == 50
    assert row["cancelled_shares"] == 350
    assert row["average_realized_spread"] == pytest.approx(2 * (10.00 - 10.035))
    assert row[["average_effective_spread", "improved_shares", "at_quote_shares", "outside_shares"]].isna().all()


def test_an_open_order_is_not_cancelled(filed):
    report = filed.rule_605()
    assert report.table.loc[("AAA", "market", "500-1,999"), "cancelled_shares"] == 0
    assert any("1 orders are still open" in note for note in report.notes)
    assert "simulated" in report.notes[0]


def test_the_parts_that_people_read(filed):
    everything, takers, since = filed.rule_605().parts().values()
    row = everything.loc[("AAA", "market", "100-499")]
    assert row["shares"] == 800
    assert row["realised, ¢"] == pytest.approx(100 * 13 / 500, abs=0.005)
    assert len(takers) == 2
    assert takers.loc[("AAA", "market", "100-499"), "by, ¢"] == 1.5
    assert takers.loc[("AAA", "market", "100-499"), "after, s"] == 901
    assert len(since) == len(everything) == 3
    assert list(everything.index.names) == ["stock", "order type", "shares ordered"]
    assert all(len(part) == 0 for part in analyse([], []).rule_605().parts().values())


def test_a_venue_as_the_center(filed):
    row = filed.rule_605("XNAS").table.loc[("AAA", "market", "100-499")]
    assert (row["executed_here_shares"], row["executed_away_shares"]) == (100, 400)


def test_the_last_quote_of_a_session_serves_where_it_ends_first():
    """17 CFR 242.600: then the final quote counts; the column by delay leaves the shares out."""
    tape = Tape("AAA", [0, 90 * SECOND], [BID, BID + CENT], [ASK, ASK + CENT], [(0, 100 * SECOND)])
    fill = Fill("a", "AAA", 1, 400, ASK, 0, "remove", "XNYS", 50 * SECOND)
    row = analyse([an_order("a")], [fill], [tape]).rule_605().table.iloc[0]
    assert row["average_realized_spread"] == pytest.approx(2 * (10.05 - 10.035))
    assert np.isnan(row["realized_5min"])
    halted = Tape("AAA", [0], [BID], [ASK], [(0, 900 * SECOND)], halts=[(200 * SECOND, 600 * SECOND)])
    row = analyse([an_order("a")], [fill], [halted]).rule_605().table.iloc[0]
    assert np.isnan(row["average_realized_spread"])  # in a halt there is no such quote


@pytest.mark.parametrize("seed", range(3))
def test_every_share_is_counted_once(draw, seed):
    given = draw(seed)
    report = analyse(**given).rule_605()
    covered = {order.order_id: order for order in given["orders"] if not category(order)[1]}
    assert report.table["covered_orders"].sum() + sum(report.left_out.values()) == len(given["orders"])
    shares = sum(order.shares for order in covered.values())
    filled = sum(fill.shares for fill in given["fills"] if fill.order_id in covered)
    table = report.table
    assert table["covered_shares"].sum() == shares
    assert table["executed_away_shares"].sum() == filled
    assert table["cancelled_shares"].sum() == shares - filled
    assert table[[name for name in table if name.startswith("shares_")]].sum().sum() == filled
    marketable = table[table["average_effective_spread"].notna()]
    parts = marketable[["improved_shares", "at_quote_shares", "outside_shares"]].sum(axis=1)
    assert (parts == marketable["executed_away_shares"]).all()
