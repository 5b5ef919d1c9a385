"""Halts and bands at simulated venues: nothing fills in a halt, nothing trades outside of the bands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.orders.amounts import SECOND
from quantdesk.orders.executions import Kind
from quantdesk.orders.halts.known import KnownHalts
from quantdesk.orders.order import Action, Child, TimeInForce
from quantdesk.orders.routing.terms import Terms
from quantdesk.orders.venues import HaltPolicy, Shape, SimulatedMarket
from quantdesk.orders.venues.sources import StillSource

CENT = 10_000
DAY = dt.date(2026, 3, 2)
AT = 1_772_463_600 * SECOND
MINUTE = 60 * SECOND
Make = Callable[..., Child]
BOOKS = {"ABC": {"Near": ("100.00", 300, "100.02", 200), "Far": ("99.99", 100, "100.01", 100)}}


def kinds(executions: Any) -> list[str]:
    return [str(one.kind) for one in executions]


@pytest.fixture
def halts() -> KnownHalts:
    halts = KnownHalts()
    halts.halt("ABC", AT + MINUTE, AT + 6 * MINUTE, code="LUDP")
    return halts


def test_immediate_orders_are_cancelled_and_day_orders_wait(terms: list[Terms], halts: KnownHalts, order: Make) -> None:
    market = SimulatedMarket.static(BOOKS, AT, venues=terms, halts=halts)
    resting = order("buy", 100, 9_990 * CENT, ioc=False)
    market.send(resting)
    market.advance(AT + 2 * MINUTE)
    assert not market.quotes("ABC").nbbo.is_two_sided
    hasty, patient = order("buy", 50), order("buy", 50, 10_002 * CENT, ioc=False)
    *_, last = market.send(hasty)
    assert (last.kind, last.shares, last.text) == (Kind.CANCELLED, 50, "LUDP")
    assert kinds(market.send(patient)) == ["accepted"]
    assert market.ahead(patient.client_id) is None
    cancelled = order("buy", 50, 10_002 * CENT, ioc=False)
    market.send(cancelled)
    assert kinds(market.cancel(cancelled.client_id)) == ["cancelled"]  # in a halt one may cancel
    market.advance(AT + 7 * MINUTE)
    assert market.quotes("ABC").nbbo.is_two_sided
    assert market.ahead(resting.client_id) == 0
    fill = (market.executions(patient.client_id) or ())[-1]
    assert (fill.kind, fill.shares, fill.price) == (Kind.FILL, 50, 10_002 * CENT)
    assert fill.at >= AT + 6 * MINUTE


def test_a_venue_may_reject_instead(terms: list[Terms], halts: KnownHalts, order: Make) -> None:
    source = StillSource(BOOKS, AT)
    market = SimulatedMarket(source, terms, AT + 2 * MINUTE, halts=halts, policy=HaltPolicy.REJECT)
    (found,) = market.send(order("buy", 50, 10_002 * CENT, ioc=False))
    assert (found.kind, found.text) == (Kind.REJECTED, "LUDP")
    assert market.open_children() == ()


def test_a_halt_of_the_market_stops_every_symbol(bars: dict[str, pd.DataFrame], terms: list[Terms], clock: Any) -> None:
    halts = KnownHalts()
    halts.halt_market(clock("09:34:13"), clock("09:49:13"), code="MWC1")
    market = SimulatedMarket.of_bars(bars, DAY, 0, venues=terms, halts=halts)
    market.advance(clock("09:40"))
    for symbol in ("ABC", "XYZ"):
        *_, last = market.send(Child(f"o-{symbol}", "Near", symbol, Action.BUY, 100))
        assert (last.kind, last.text) == (Kind.CANCELLED, "MWC1")
        trades = market.tape(symbol).trades
        assert trades.at[-1] < clock("09:34:13") + Shape().step_s * SECOND
    market.advance(clock("16:00"))
    tape = market.tape("ABC", clock("16:00") - 1)
    still = (tape.at >= clock("09:34:13")) & (tape.at < clock("09:49:13"))
    assert still.any()
    assert not tape.bid[still].any()
    assert not tape.ask[still].any()
    assert tape.trades.shares.sum() == 5_000_000  # the volume of the day traded around it


def test_unknown_is_no_halt_for_an_exchange(terms: list[Terms], order: Make) -> None:
    halts = KnownHalts()
    halts.unknown("ABC", AT)
    market = SimulatedMarket.static(BOOKS, AT, venues=terms, halts=halts)
    assert kinds(market.send(order("buy", 100))) == ["accepted", "fill"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_fills_in_a_halt_or_outside_of_bands(
    data: st.DataObject, bars: dict[str, pd.DataFrame], terms: list[Terms], clock: Any
) -> None:
    opens = clock("09:30")
    halts, windows, banded = KnownHalts(), [], []
    for _ in range(data.draw(st.integers(0, 3))):
        since = opens + data.draw(st.integers(0, 3600)) * SECOND
        until = since + data.draw(st.integers(1, 1200)) * SECOND
        windows.append((since, until))
        declare = data.draw(st.sampled_from([halts.halt_market, lambda a, b: halts.halt("ABC", a, b)]))
        declare(since, until)
    for _ in range(data.draw(st.integers(0, 2))):
        since = opens + data.draw(st.integers(0, 3600)) * SECOND
        lower = data.draw(st.integers(9900, 10_100)) * CENT
        upper = lower + data.draw(st.integers(1, 100)) * CENT
        banded.append((since, lower, upper))
        halts.band("ABC", lower, upper, since, since + 1800 * SECOND)
    # Half of the time the flow does not know of the halts: they are set after it was made.
    known = data.draw(st.booleans())
    seed = data.draw(st.integers(0, 99))
    told = halts if known else None
    market = SimulatedMarket.of_bars(bars, DAY, seed, venues=terms, halts=told, shape=Shape(step_s=30))
    if not known:
        market = SimulatedMarket(market._source, terms, opens, halts=halts)
    sent = []
    for number in range(12):
        limit = data.draw(st.sampled_from([0, 9_950, 10_000, 10_020, 10_100])) * CENT
        kind = TimeInForce.IOC if not limit else data.draw(st.sampled_from([TimeInForce.DAY, TimeInForce.IOC]))
        peg = limit > 0 and kind is TimeInForce.DAY and data.draw(st.booleans())
        side = data.draw(st.sampled_from(list(Action)))
        child = Child(f"h-{number}", "Near", "ABC", side, data.draw(st.integers(1, 5000)), limit=limit, peg=peg,
                      time_in_force=kind)  # fmt: skip
        market.send(child)
        sent.append(child.client_id)
        market.advance(market.now() + data.draw(st.integers(0, 600)) * SECOND)
    market.advance(clock("15:00"))
    for name in sent:
        for one in market.executions(name) or ():
            if one.kind is Kind.FILL:
                assert not any(since <= one.at < until for since, until in windows), one
                bands = halts.bands("ABC", one.at)
                assert bands is None or bands[0] <= one.price <= bands[1], (one, bands)


def test_an_order_beyond_the_band_rests_at_the_band(terms: list[Terms], order: Make) -> None:
    halts = KnownHalts()
    halts.band("ABC", 9_500 * CENT, 10_001 * CENT, AT, AT + MINUTE)
    market = SimulatedMarket.static(BOOKS, AT, venues=terms, halts=halts)
    child = order("buy", 100, 10_050 * CENT, ioc=False)
    assert kinds(market.send(child)) == ["accepted"]
    assert market.quotes("ABC").bid[0, 0] == 10_001 * CENT
    assert kinds(market.send(order("buy", 100))) == ["accepted", "cancelled"]  # the offer lies outside


def test_orders_leave_the_book_while_bands_exclude_them(
    bars: dict[str, pd.DataFrame], terms: list[Terms], clock: Any
) -> None:
    halts = KnownHalts()
    halts.band("ABC", 10_500 * CENT, 11_000 * CENT, clock("09:31"), clock("09:35"))
    market = SimulatedMarket.of_bars(bars, DAY, 0, venues=terms, halts=halts, shape=Shape(step_s=10))
    child = Child("b", "Near", "ABC", Action.BUY, 100, limit=9_920 * CENT, time_in_force=TimeInForce.DAY)
    market.send(child)
    assert market.ahead("b") == 0
    market.advance(clock("09:33"))
    assert market.ahead("b") is None
    assert list(market.open_children()) == ["b"]
    market.advance(clock("09:36"))
    assert market.ahead("b") == 0


def test_a_peg_is_not_hit_at_the_midpoint_that_was(
    bars: dict[str, pd.DataFrame], terms: list[Terms], clock: Any
) -> None:
    """Quotes and pegs move at once: new quotes that cross the old midpoint do not trade with it."""
    market = SimulatedMarket.of_bars(bars, DAY, 0, venues=terms, shape=Shape(step_s=10))
    for number in range(40):
        side = (Action.BUY, Action.SELL)[number % 2]
        market.send(Child(f"p-{number}", "Near", "ABC", side, 100, peg=True, time_in_force=TimeInForce.DAY))
        market.advance(market.now() + 90 * SECOND)
    tape = market.tape("ABC")
    fills = [one for number in range(40) for one in market.executions(f"p-{number}") or () if one.kind is Kind.FILL]
    assert fills
    for one in fills:
        step = int(np.searchsorted(tape.at, one.at, side="right")) - 1
        assert tape.bid[step] <= one.price <= tape.ask[step]
