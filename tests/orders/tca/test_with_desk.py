"""A trial through a real desk on simulated exchanges: what TCA reads from the ledger is what the desk itself says."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from quantdesk.orders import tca
from quantdesk.orders.amounts import MICRO, nanoseconds
from quantdesk.orders.desk import EmbeddedConfig, simulated_desk
from quantdesk.orders.halts.hours import regular_hours

DAY = dt.date(2026, 3, 2)
DAYS = pd.bdate_range("2026-02-02", DAY)


def bars() -> pd.DataFrame:
    """A quiet stock at about 50 dollars."""
    rng = np.random.default_rng(1)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, len(DAYS))))
    frame = pd.DataFrame({"open": close * 0.998, "high": close * 1.01, "low": close * 0.99, "close": close}, DAYS)
    return frame.assign(volume=3_000_000.0).round(2)


def run(seed):
    """Twenty orders, and everything that is known of them."""
    opens, closes = (nanoseconds(getattr(regular_hours(DAY), name)) for name in ("opens", "closes"))
    config = EmbeddedConfig(gateway="simulated", seed=seed, cash=100_000_000, ledger=None)
    desk = simulated_desk({"AAA": bars()}, DAY, config)
    market = desk.world.gateway
    desk.transfer({"AAA": (50_000, 50 * MICRO)})
    start, sent, decisions = desk.portfolio.cash, {}, {}
    for at, wish, begins in tca.agenda(tca.trial([(opens, closes)], {"AAA": 1000}, 20, seed, patience_s=120)):
        market.advance(at)
        desk.poll()
        if begins:
            sent[wish] = desk.execute(wish.order(market.nbbo_at("AAA", at))).order_id
            then = market.nbbo_at("AAA", wish.decided_at)
            decisions[sent[wish]] = tca.Quote(wish.decided_at, then.bid, then.ask)
        else:
            desk.cancel(sent[wish])
    market.advance(closes)
    desk.poll()
    tapes = tca.market_tapes([market.tape("AAA", closes - 1)])
    facts = tca.facts_from_ledger(desk.ledger.entries(), tapes.tapes, decisions)
    done = tca.analyse(facts.orders, facts.fills, tapes.tapes, prints=tapes.prints, routed=facts.routed)
    results = {name: desk.result(name) for name in (*done.orders.index, *facts.not_sent)}
    return {"done": done, "facts": facts, "results": results, "market": market, "spent": start - desk.portfolio.cash}


@pytest.fixture(scope="module")
def ran():
    return run(3)


def test_every_order_is_there_with_what_the_desk_says_of_it(ran):
    done = ran["done"]
    assert len(done.orders) + len(ran["facts"].not_sent) == 20
    assert len(done.orders) >= 15
    for name, row in done.orders.iterrows():
        result = ran["results"][name]
        assert (row["filled_shares"], row["shares"]) == (result.filled_shares, result.shares)
        assert row["mode"] == result.execution_mode == "simulated"
        assert row["fees_usd"] == pytest.approx(float(result.commission))
        if result.filled_shares:
            assert row["average_price"] == pytest.approx(float(result.average_price), abs=1e-6)
            assert row["slippage_bps"] == pytest.approx(result.slippage_bps, abs=0.01)
            assert done.fills[done.fills["order_id"] == name]["elapsed_s"].max() * 1000 == pytest.approx(
                result.execution_time_ms
            )


def test_the_money_is_that_of_the_account(ran):
    facts = ran["facts"]
    assert ran["spent"] == sum(fill.side * fill.shares * fill.price + fill.fee for fill in facts.fills)


def test_arrivals_and_later_quotes_are_those_of_the_market(ran):
    facts, market = ran["facts"], ran["market"]
    for order in facts.orders:
        then = market.nbbo_at("AAA", order.arrival.at)
        assert abs(order.arrival.bid - then.bid) <= 50_000  # one's own resting orders may stand before everybody's
        assert order.end is not None
    sample = ran["done"].fills.iloc[0]
    at = int(sample["at"].value) + 60 * 10**9
    later = market.nbbo_at("AAA", at)
    assert sample["realized_1min"] == pytest.approx(
        sample["side"] * (2 * sample["price"] - (later.bid + later.ask) / MICRO)
    )


def test_the_shortfalls_are_complete_and_exact(ran):
    done = ran["done"]
    assert done.orders["unknown"].eq("").all()
    for cost in done.shortfalls.values():
        assert cost.delay + cost.execution + cost.opportunity + cost.fees == cost.total


def test_the_same_seed_gives_the_same_analysis(ran):
    again = run(3)["done"]
    pd.testing.assert_frame_equal(again.fills, ran["done"].fills)
    pd.testing.assert_frame_equal(again.orders, ran["done"].orders)
    pd.testing.assert_frame_equal(again.rule_605().table, ran["done"].rule_605().table)
