"""Simulated venues under one clock: latency, fees, queues, conservation, determinism, bad input."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.executions import Execution, ExecutionMode, Gateway, Kind
from quantdesk.orders.order import Action, Child, TimeInForce
from quantdesk.orders.portfolio import Portfolio
from quantdesk.orders.routing.terms import Terms
from quantdesk.orders.venues import Impact, Shape, SimulatedMarket
from quantdesk.orders.venues.screen import Screen

CENT = 10_000
DAY = dt.date(2026, 3, 2)
Make = Callable[..., Child]


def said(executions: Any) -> list[tuple[str, int, int]]:
    return [(str(one.kind), one.shares, one.price) for one in executions]


def filled(executions: Any) -> int:
    return sum(one.shares for one in executions if one.kind is Kind.FILL)


def test_it_is_a_gateway_and_says_that_it_is_simulated(still: SimulatedMarket) -> None:
    gateway: Gateway = still
    assert gateway.mode is ExecutionMode.SIMULATED
    assert gateway.quotes("abc").nbbo.midpoint == 10_000 * CENT + CENT // 2
    assert list(gateway.open_children()) == []


def test_an_immediate_order_takes_what_is_shown_and_no_more(still: SimulatedMarket, order: Make) -> None:
    found = still.send(order("buy", 250))
    assert said(found) == [("accepted", 250, 0), ("fill", 200, 10_002 * CENT), ("cancelled", 50, 0)]
    quotes = still.quotes("ABC")
    assert quotes.ask[:, 0].tolist() == [0, 10_001 * CENT]
    assert still.quotes("ABC").nbbo.ask == 10_001 * CENT
    assert said(still.send(order("buy", 1))) == [("accepted", 1, 0), ("cancelled", 1, 0)]


def test_a_limit_is_never_exceeded(still: SimulatedMarket, order: Make) -> None:
    assert filled(still.send(order("buy", 100, 10_001 * CENT))) == 0
    assert filled(still.send(order("sell", 100, 10_000 * CENT))) == 100
    assert filled(still.send(order("sell_short", 100, 10_001 * CENT))) == 0


def test_it_arrives_after_the_latency_of_its_venue(still: SimulatedMarket, order: Make) -> None:
    near, far = still.send(order("buy", 10)), still.send(order("buy", 10, venue="Far"))
    assert {one.at - still.now() for one in near} == {100_000}
    assert {one.at - still.now() for one in far} == {300_000}


@pytest.mark.parametrize(("after", "shares"), [(100_001, 100), (100_000, 0), (1, 0)])
def test_a_quote_that_is_gone_on_arrival_does_not_fill(
    terms: list[Terms], order: Make, after: int, shares: int
) -> None:
    at = 1_772_463_600 * SECOND
    here = {"ABC": {"Near": ("100.00", 100, "100.02", 100)}}
    moved = {"ABC": {"Near": ("100.03", 100, "100.05", 100)}}
    market = SimulatedMarket.static(here, at, venues=terms, later=[(at + after, moved)])
    assert market.quotes("ABC").nbbo.ask == 10_002 * CENT
    assert filled(market.send(order("buy", 100, 10_002 * CENT))) == shares


def test_a_cancel_comes_too_late_for_what_filled_on_its_way(terms: list[Terms], order: Make) -> None:
    at = 1_772_463_600 * SECOND
    here = {"ABC": {"Near": ("100.00", 100, "100.02", 100)}}
    through = {"ABC": {"Near": ("99.90", 100, "99.95", 60)}}
    market = SimulatedMarket.static(here, at, venues=terms, later=[(at + SECOND, through)])
    child = order("buy", 100, 10_000 * CENT, ioc=False)
    assert said(market.send(child)) == [("accepted", 100, 0)]
    market.advance(at + SECOND - 50_000)
    assert said(market.cancel(child.client_id)) == [("fill", 60, 10_000 * CENT), ("cancelled", 40, 0)]
    assert market.cancel(child.client_id) == ()
    assert market.cancel("never sent") == ()


def test_fees_are_exact(still: SimulatedMarket, order: Make, terms: list[Terms]) -> None:
    resting = order("sell", 300, 10_002 * CENT, venue="Far", ioc=False)
    still.send(resting)
    _, takes = still.send(order("buy", 7))
    assert (takes.fee, takes.liquidity) == (7 * 3000, "remove")
    _, first, second = still.send(order("buy", 150, venue="Far"))
    assert (first.shares, first.fee, second.shares, second.fee) == (100, -50_000, 50, -25_000)
    *_, made = still.executions(resting.client_id) or ()
    assert (made.shares, made.fee, made.liquidity) == (50, 50_000, "add")


def test_below_a_dollar_the_fee_is_a_part_of_the_value(terms: list[Terms], order: Make) -> None:
    market = SimulatedMarket.static({"ABC": {"Near": ("0.4999", 500, "0.5001", 333)}}, 10**18, venues=terms)
    _, fill = market.send(order("buy", 333))
    assert fill.fee == int(Fraction(333 * 500_100 * 3000, 1_000_000) + Fraction(1, 2))


def test_orders_of_ones_own_queue_by_time(still: SimulatedMarket, order: Make) -> None:
    first = order("buy", 100, 10_001 * CENT, ioc=False)
    second = order("buy", 100, 10_001 * CENT, ioc=False)
    behind = order("buy", 100, 10_000 * CENT, ioc=False)
    for one in (first, second, behind):
        still.send(one)
    assert [still.ahead(one.client_id) for one in (first, second, behind)] == [0, 100, 300]
    assert list(still.open_children()) == [first.client_id, second.client_id, behind.client_id]
    assert still.quotes("ABC").nbbo.bid == 10_001 * CENT
    still.send(order("sell", 150))
    assert [filled(still.executions(one.client_id)) for one in (first, second, behind)] == [100, 50, 0]
    assert still.ahead(first.client_id) is None


def test_a_peg_rests_at_the_national_midpoint(still: SimulatedMarket, order: Make) -> None:
    peg = order("buy", 100, peg=True, ioc=False)
    still.send(peg)
    assert still.quotes("ABC").nbbo.bid == 10_000 * CENT  # nobody sees it
    _, fill, _ = still.send(order("sell", 120, 10_000 * CENT + CENT // 2))
    assert (fill.shares, fill.price) == (100, 10_000 * CENT + CENT // 2)
    assert filled(still.executions(peg.client_id)) == 100


def test_the_same_client_id_is_taken_once(still: SimulatedMarket, order: Make) -> None:
    child = order("buy", 50)
    assert still.send(child) == still.send(child) == still.executions(child.client_id)
    assert still.quotes("ABC").ask_size[0, 0] == 150
    ids = [one.execution_id for one in still.executions(child.client_id) or ()]
    assert ids == [f"{child.client_id}:0", f"{child.client_id}:1"]


def test_what_never_arrived_is_not_known(still: SimulatedMarket) -> None:
    assert still.executions("o-none") is None
    assert still.ahead("o-none") is None


def test_a_resting_order_fills_as_trades_reach_it(market: SimulatedMarket, order: Make) -> None:
    nbbo = market.quotes("ABC").nbbo
    child = order("buy", 2000, nbbo.bid, ioc=False)
    market.send(child)
    ahead = market.ahead(child.client_id)
    assert ahead is not None
    seen = [ahead]
    fills = []
    for _ in range(1, 300):
        fills += market.advance(market.now() + 60 * SECOND)
        now = market.ahead(child.client_id)
        if now is None:
            break
        seen.append(now)
    assert filled(fills) == 2000
    assert all(one.price == nbbo.bid and one.liquidity == "add" for one in fills)
    assert len({one.at for one in fills}) > 1  # in parts
    assert seen == sorted(seen, reverse=True)  # nobody gets in front of it


def test_how_one_gets_there_does_not_matter(bars: dict[str, pd.DataFrame], terms: list[Terms], order: Make) -> None:
    """One step or many, looked at or not: what happens is the same."""
    children = [order("buy", 4000, 9990 * CENT, ioc=False), order("sell", 3000, 10_030 * CENT, ioc=False, venue="Far")]
    found = []
    for stops in ([3600], range(8, 3601, 8), [1, 2, 3000, 3600]):
        market = SimulatedMarket.of_bars(bars, DAY, 3, venues=terms, shape=Shape(step_s=20))
        begun = market.now()
        for child in children:
            market.send(child)
        for second in stops:
            market.advance(begun + second * SECOND)
            if len(list(stops)) > 1:
                market.quotes("ABC")
        taken = market.send(Child("last", "Near", "ABC", children[0].action, 5000))
        found.append(
            [one.to_dict() for name in [c.client_id for c in children] for one in market.executions(name) or ()]
        )
        found[-1] += [one.to_dict() for one in taken]
    assert found[0] == found[1] == found[2]


def test_many_steps_at_once_are_the_same_as_one_by_one(
    bars: dict[str, pd.DataFrame], terms: list[Terms], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = run(bars, terms, 4, pegs=True)
    slow_steps = []

    def is_free(self: Screen, since: int, until: int, first_trade: int) -> bool:
        slow_steps.append(since)
        return False

    monkeypatch.setattr(Screen, "is_free", is_free)
    assert run(bars, terms, 4, pegs=True) == fast
    assert len(slow_steps) > 10


def run(bars: dict[str, pd.DataFrame], terms: list[Terms], seed: int, *, pegs: bool = False) -> str:
    market = SimulatedMarket.of_bars(bars, DAY, seed, venues=terms, shape=Shape(step_s=30))
    rng = np.random.default_rng(5)
    told: list[Any] = []
    for number in range(40):
        symbol = ("ABC", "XYZ")[number % 2]
        nbbo = market.quotes(symbol).nbbo
        side = ("buy", "sell")[int(rng.integers(2))]
        limit = 0 if number % 3 else (nbbo.bid if side == "buy" else nbbo.ask)
        kind = TimeInForce.DAY if limit else TimeInForce.IOC
        child = Child(f"c-{number}", ("Near", "Far")[int(rng.integers(2))], symbol, Action(side),
                      int(rng.integers(1, 2000)), limit, pegs and number % 9 == 0, kind)  # fmt: skip
        told += [one.to_dict() for one in market.send(child)]
        told += [one.to_dict() for one in market.advance(market.now() + int(rng.integers(1, 900)) * SECOND)]
        told.append(market.quotes(symbol).to_dict())
    return json.dumps(told)


def test_the_same_seed_gives_the_same_bytes(bars: dict[str, pd.DataFrame], terms: list[Terms]) -> None:
    once, again, other = (run(bars, terms, seed) for seed in (11, 11, 12))
    assert once == again
    assert once != other


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cash_and_shares_are_conserved(data: st.DataObject, bars: dict[str, pd.DataFrame], terms: list[Terms]) -> None:
    """Never more than ordered, each share in one place, and the account adds up to the micro-dollar."""
    market = SimulatedMarket.of_bars(bars, DAY, data.draw(st.integers(0, 9)), venues=terms, shape=Shape(step_s=60))
    account = Portfolio(cash=10**15)
    sent: list[Child] = []
    for number in range(data.draw(st.integers(1, 12))):
        nbbo = market.quotes("ABC").nbbo
        limit = data.draw(st.sampled_from([0, nbbo.bid, nbbo.ask, nbbo.bid - 5 * CENT, nbbo.ask + 5 * CENT]))
        child = Child(
            f"p-{number}", data.draw(st.sampled_from(["Near", "Far"])), "ABC",
            Action(data.draw(st.sampled_from(["buy", "sell"]))), data.draw(st.integers(1, 20_000)), limit=limit,
            time_in_force=data.draw(st.sampled_from([TimeInForce.DAY, TimeInForce.IOC])),
        )  # fmt: skip
        market.send(child)
        sent.append(child)
        if data.draw(st.booleans()):
            market.cancel(data.draw(st.sampled_from(sent)).client_id)
        market.advance(market.now() + data.draw(st.integers(0, 1800)) * SECOND)
    market.advance(market.now() + 24 * 3600 * SECOND)  # every day order has ended
    assert list(market.open_children()) == []
    shares = cash = 0
    for child in sent:
        reports = market.executions(child.client_id) or ()
        fills = [one for one in reports if one.kind is Kind.FILL]
        ended = [one for one in reports if one.kind is Kind.CANCELLED]
        assert sum(one.shares for one in fills) + sum(one.shares for one in ended) == child.shares
        assert [one.at for one in reports] == sorted(one.at for one in reports)
        assert all(not child.limit or (child.limit - one.price) * child.side >= 0 for one in fills)
        account.open("ABC", child.side, child.shares)
        for one in fills:
            account.fill("ABC", child.side, one.shares, one.price, one.fee)
            shares += child.side * one.shares
            cash -= child.side * one.shares * one.price + one.fee
        account.close("ABC", child.side, sum(one.shares for one in ended))
    assert account.position("ABC").shares == shares
    assert account.cash == 10**15 + cash


def average(executions: Any) -> float:
    fills = [one for one in executions if one.kind is Kind.FILL]
    return sum(one.shares * one.price for one in fills) / sum(one.shares for one in fills)


def test_impact_follows_the_square_root(terms: list[Terms]) -> None:
    """The price of the last share, over the touch, against the shares taken: a line of slope 1/2 in logarithms."""
    law = Impact(sigma=0.02, volume=10_000_000, price=10_000 * CENT, tick=CENT)
    sizes = [2_000, 8_000, 32_000, 128_000, 512_000]
    moved, paid = [], []
    for shares in sizes:
        books = {"ABC": {"Near": ("100.00", 1, "100.01", 1)}}
        market = SimulatedMarket.static(books, 10**18, venues=terms[:1], impact={"ABC": law})
        found = market.send(Child("a", "Near", "ABC", Action.BUY, shares))
        fills = [one for one in found if one.kind is Kind.FILL]
        assert sum(one.shares for one in fills) == shares
        moved.append(fills[-1].price - 10_001 * CENT)
        paid.append(average(found) - 10_001 * CENT)
    slope = np.polyfit(np.log(sizes), np.log(moved), 1)[0]
    assert slope == pytest.approx(0.5, abs=0.02)
    assert moved == [pytest.approx(law.moves(shares), abs=CENT) for shares in sizes]
    assert paid[-1] / moved[-1] == pytest.approx(2 / 3, abs=0.01)
    assert paid == sorted(paid)


def test_what_was_taken_moves_the_quotes_and_is_forgotten(
    bars: dict[str, pd.DataFrame], terms: list[Terms], order: Make
) -> None:
    quiet, moved = (SimulatedMarket.of_bars(bars, DAY, 7, venues=terms, shape=Shape(step_s=20)) for _ in range(2))
    moved.send(order("buy", 200_000))

    def ahead(seconds: int) -> int:
        for one in (quiet, moved):
            one.advance(one.now() + seconds * SECOND)
        return moved.quotes("ABC").nbbo.ask - quiet.quotes("ABC").nbbo.ask

    soon, later, at_last = ahead(40), ahead(1800), ahead(18_000)
    assert soon > later > at_last >= 0
    assert soon % CENT == 0
    assert moved.nbbo_at("ABC", moved.now()).ask == moved.quotes("ABC").nbbo.ask


def test_bigger_orders_pay_more(bars: dict[str, pd.DataFrame], terms: list[Terms]) -> None:
    paid = []
    for shares in (100, 1000, 10_000, 100_000):
        market = SimulatedMarket.of_bars(bars, DAY, 7, venues=terms)
        paid.append(average(market.send(Child("a", "Near", "ABC", Action.BUY, shares))))
    assert paid == sorted(set(paid))


def test_no_sweep_is_without_end(bars: dict[str, pd.DataFrame], terms: list[Terms]) -> None:
    market = SimulatedMarket.of_bars(bars, DAY, 7, venues=terms)
    found = market.send(Child("a", "Near", "XYZ", Action.SELL, 1_000_000_000))
    assert 0 < filled(found) < 1_000_000_000
    assert found[-1].kind is Kind.CANCELLED


def test_day_orders_end_with_the_session_and_the_next_one_follows(
    market: SimulatedMarket, order: Make, clock: Any
) -> None:
    child = order("buy", 100, 5000 * CENT, ioc=False)
    market.send(child)
    (ended,) = market.advance(clock("16:00"))
    assert (ended.kind, ended.shares, ended.at, ended.text) == (
        Kind.CANCELLED,
        100,
        clock("16:00"),
        "the session is over",
    )
    assert not market.quotes("ABC").nbbo.is_two_sided
    late = market.send(order("buy", 100, 5000 * CENT, ioc=False))
    assert said(late) == [("rejected", 0, 0)]
    assert late[0].text == "the market is closed"
    market.advance(clock("09:30") + 24 * 3600 * SECOND)
    assert market.quotes("ABC").nbbo.is_two_sided
    assert abs(market.quotes("ABC").nbbo.midpoint - 10_150 * CENT) < 100 * CENT
    market.advance(clock("09:30") + 48 * 3600 * SECOND)
    assert said(market.send(order("buy", 100))) == [("rejected", 0, 0)]


def test_auctions_execute_at_the_prices_of_the_bar(market: SimulatedMarket, order: Make, clock: Any) -> None:
    assert said(market.send(order("buy", 10, time_in_force=TimeInForce.OPENING)))[-1][0] == "rejected"
    closing = order("sell", 100, time_in_force=TimeInForce.CLOSING)
    dear = order("buy", 100, 10_000 * CENT, time_in_force=TimeInForce.CLOSING)
    market.send(closing)
    market.send(dear)
    market.advance(clock("16:00"))
    assert said(market.executions(closing.client_id)) == [("accepted", 100, 0), ("fill", 100, 10_100 * CENT)]
    assert said(market.executions(dear.client_id)) == [("accepted", 100, 0), ("cancelled", 100, 0)]
    market.advance(clock("09:00") + 24 * 3600 * SECOND)
    opening = order("buy", 100, time_in_force=TimeInForce.OPENING)
    early = order("buy", 100, 10_900 * CENT, ioc=False)
    cheap = order("buy", 100, 10_100 * CENT, time_in_force=TimeInForce.OPENING)
    hasty = order("buy", 100)
    for one in (opening, early, cheap, hasty):
        market.send(one)
    assert said(market.executions(hasty.client_id))[-1] == ("cancelled", 100, 0)
    market.advance(clock("09:31") + 24 * 3600 * SECOND)
    assert said(market.executions(opening.client_id))[-1] == ("fill", 100, 10_150 * CENT)
    assert said(market.executions(cheap.client_id))[-1] == ("cancelled", 100, 0)
    assert filled(market.executions(early.client_id)) == 100


def test_an_order_off_the_tick_is_rejected(market: SimulatedMarket, order: Make) -> None:
    (found,) = market.send(order("buy", 100, 10_000 * CENT + 1, ioc=False))
    assert (found.kind, found.text) == (Kind.REJECTED, "the limit price is off the tick of 0.010000")


def test_the_tape_ends_now(market: SimulatedMarket, clock: Any) -> None:
    market.advance(clock("10:00"))
    tape = market.tape("ABC")
    assert tape.label == "reconstructed"
    assert tape.at[-1] <= market.now()
    assert tape.trades.at[-1] <= market.now()
    assert ((tape.bid < tape.ask) & (tape.bid > 0)).all()
    nbbo = market.quotes("ABC").nbbo
    assert (tape.bid[-1], tape.ask[-1]) == (nbbo.bid, nbbo.ask)
    then = market.nbbo_at("ABC", clock("09:45"))
    place = int(np.searchsorted(tape.at, clock("09:45"), side="right")) - 1
    assert (then.bid, then.ask) == (tape.bid[place], tape.ask[place])
    assert then.bid_size > 0
    assert not market.nbbo_at("ABC", clock("09:00")).is_two_sided
    with pytest.raises(BadDates, match="had begun"):
        market.tape("ABC", clock("09:00"))
    market.advance(clock("18:00"))
    assert market.tape("ABC").trades.shares.sum() == 5_000_000
    assert not market.nbbo_at("ABC", clock("18:00")).is_two_sided
    for call in (lambda: market.nbbo_at("ABC", market.now() + 1), lambda: market.tape("ABC", market.now() + 1)):
        with pytest.raises(BadDates, match="has not come yet"):
            call()


def test_clocks_go_forwards_only(market: SimulatedMarket) -> None:
    with pytest.raises(BadDates, match="forwards only"):
        market.advance(market.now() - 1)
    with pytest.raises(BadDates, match="no time zone"):
        market.advance(dt.datetime(2026, 3, 2, 12, 0))  # noqa: DTZ001
    market.advance(dt.datetime(2026, 3, 2, 17, 0, tzinfo=dt.UTC))
    assert market.now() == 1_772_470_800 * SECOND


@pytest.mark.parametrize(
    "wrong", [{"action": "buy"}, {"time_in_force": "ioc"}, {"shares": 0}, {"limit": -1}, {"shares": 1.5}]
)
def test_what_is_no_order_is_refused(still: SimulatedMarket, order: Make, wrong: dict[str, Any]) -> None:
    child = replace(order("buy", 10), **wrong)
    with pytest.raises(BadInput):
        still.send(child)
    assert still.executions(child.client_id) is None


def test_unknown_names_are_refused_before_anything_is_sent(still: SimulatedMarket, order: Make) -> None:
    for child in (order("buy", 1, venue="Nowhere"), order("buy", 1, symbol="NONE")):
        with pytest.raises(UnknownName):
            still.send(child)
        assert still.executions(child.client_id) is None
    with pytest.raises(UnknownName, match="symbol"):
        still.quotes("NONE")


@pytest.mark.parametrize(
    ("quote", "message"),
    [
        ((101 * CENT, 100, 100 * CENT, 100), "own bid"),
        ((100 * CENT, 0, 101 * CENT, 100), "without a size"),
        ((100 * CENT, 100, 101 * CENT), "3 parts"),
        ((float("nan"), 100, 101 * CENT, 100), "no price"),
        ((100 * CENT, 1.5, 101 * CENT, 100), "no number of shares"),
        ((-5, 100, 101 * CENT, 100), "-5"),
    ],
)
def test_books_that_are_none_are_refused(quote: tuple[Any, ...], message: str, terms: list[Terms]) -> None:
    with pytest.raises(BadInput, match=message):
        SimulatedMarket.static({"ABC": {"Near": quote}}, 10**18, venues=terms)


def test_still_markets_want_books_venues_and_order(terms: list[Terms]) -> None:
    book = {"ABC": {"Near": (100 * CENT, 1, 101 * CENT, 1)}}
    with pytest.raises(BadInput, match="no books"):
        SimulatedMarket.static({}, 10**18, venues=terms)
    with pytest.raises(UnknownName, match="venue"):
        SimulatedMarket.static({"ABC": {"Nowhere": (100 * CENT, 1, 101 * CENT, 1)}}, 10**18, venues=terms)
    with pytest.raises(BadInput, match="out of order"):
        SimulatedMarket.static(book, 10**18, venues=terms, later=[(10**18 - 1, book)])


def test_it_knows_the_exchanges_of_the_day() -> None:
    bars = pd.DataFrame({"open": [10.0], "high": [11.0], "low": [9.0], "close": [10.5], "volume": [1e6]},
                        index=pd.to_datetime(["2026-03-02"]))  # fmt: skip
    market = SimulatedMarket.of_bars({"ABC": bars}, DAY, 0)
    assert {"NYSE", "Nasdaq", "IEX"} <= set(market.venues)
    quotes = market.quotes("ABC")
    assert quotes.bid.shape == (len(market.venues), 5)
    assert market.symbols == ("ABC",)
    assert market.venues["IEX"].name == "IEX"


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_a_seed_is_a_whole_number(seed: Any, bars: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(BadInput, match="seed"):
        SimulatedMarket.of_bars(bars, DAY, seed)


def test_days_without_a_session_or_bars_are_refused(bars: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(BadDates, match="closed"):
        SimulatedMarket.of_bars(bars, dt.date(2026, 3, 1), 0)
    with pytest.raises(BadDates, match="No bars"):
        SimulatedMarket.of_bars(bars, dt.date(2026, 3, 4), 0)


def test_reports_are_executions(still: SimulatedMarket, order: Make) -> None:
    assert all(isinstance(one, Execution) for one in still.send(order("buy", 10)))
