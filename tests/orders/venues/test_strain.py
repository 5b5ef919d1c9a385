"""Books that get thinner and deeper within a session: what lies behind the quotes, and what taking it does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.executions import Execution, Kind
from quantdesk.orders.order import Action, Child, TimeInForce
from quantdesk.orders.routing.terms import Terms
from quantdesk.orders.venues import Book, Flow, Impact, Priority, Shape, Side, SimulatedMarket
from quantdesk.orders.venues.intake import sessions_of
from quantdesk.orders.venues.screen import Screen
from quantdesk.orders.venues.sources import BarSource, StillSource

CENT = 10_000
NOON = 10**18
LAW = Impact(sigma=0.02, volume=10_000_000, price=10_000 * CENT, tick=CENT)
BOOK = {"ABC": {"Near": ("100.00", 1, "100.01", 1)}}


class Strained:
    """A source whose flows are under strain, the same for all of them."""

    def __init__(self, source: Any, strain: Any) -> None:
        self._source, self._strain = source, strain
        self.symbols, self.venues, self.shape = source.symbols, source.venues, source.shape
        self._made: dict[int, Flow] = {}

    def _of(self, flow: Flow | None) -> Flow | None:
        if flow is None:
            return None
        strain = self._strain(len(flow.at))
        return self._made.setdefault(flow.opens, replace(flow, strain=strain)) if strain is not None else flow

    def flow(self, symbol: str, at: int) -> Flow | None:
        return self._of(self._source.flow(symbol, at))

    def begun(self, symbol: str, at: int) -> Flow | None:
        return self._of(self._source.begun(symbol, at))


def still(strains: list[float] | None, terms: list[Terms]) -> SimulatedMarket:
    """Three steps a minute apart, the same books in each."""
    later = [(NOON + 60 * SECOND, BOOK), (NOON + 120 * SECOND, BOOK)]
    source = StillSource(BOOK, NOON, later=later, impact={"ABC": LAW})
    return SimulatedMarket(Strained(source, lambda n: None if strains is None else np.array(strains)), terms, NOON)


def fills(reports: Any) -> list[Execution]:
    return [one for one in reports if one.kind is Kind.FILL]


def moved(market: SimulatedMarket, name: str, shares: int = 50_000) -> float:
    """How far beyond the touch the mean price of a sweep lies, in cents."""
    touch = market.quotes("ABC").nbbo.ask
    found = fills(market.send(Child(name, "Near", "ABC", Action.BUY, shares)))
    assert sum(one.shares for one in found) == shares
    return float(sum((one.price - touch) * one.shares for one in found) / shares / CENT)


def test_a_sweep_goes_as_many_times_as_far(terms: list[Terms]) -> None:
    paid = [moved(still([strain, 1.0, 1.0], terms[:1]), "a") for strain in (1.0, 2.0, 4.0, 8.0)]
    assert paid[0] == moved(still(None, terms[:1]), "a")
    assert [one / paid[0] for one in paid[1:]] == pytest.approx([2, 4, 8], rel=0.05)


def test_it_is_the_strain_of_the_step_that_counts(terms: list[Terms]) -> None:
    later, plain = still([1.0, 6.0, 1.0], terms[:1]), still(None, terms[:1])
    assert moved(replaced(later), "a") == moved(replaced(plain), "a")
    for market in (later, plain):
        market.advance(NOON + 90 * SECOND)
    assert moved(later, "b") > 4 * moved(plain, "b")


def replaced(market: SimulatedMarket) -> SimulatedMarket:
    """Another one with the same source, where nothing was traded."""
    return SimulatedMarket(market._source, list(market.reports.terms.values()), NOON)


def test_the_price_goes_as_far_as_the_sweep_and_stays_when_the_strain_is_over(terms: list[Terms]) -> None:
    """It is forgotten as always; that books fill up again, or run dry, moves nothing that was moved before."""
    before = 10_001 * CENT
    asks: dict[float, list[int]] = {}
    for strain in (1.0, 5.0):
        market = still([strain, 1.0, 9.0], terms[:1])
        market.send(Child("a", "Near", "ABC", Action.BUY, 50_000))
        asks[strain] = []
        for second in (60, 120):
            market.advance(NOON + second * SECOND)
            asks[strain].append(market.quotes("ABC").nbbo.ask - before)
    assert np.array(asks[5.0]) == pytest.approx(5 * np.array(asks[1.0]), rel=0.1)
    for first, second in asks.values():
        assert 0 < second <= first


def test_what_is_displayed_behind_the_touch_is_thinner_too(terms: list[Terms]) -> None:
    book = {"ABC": {"Near": ("100.00", 500, "100.01", 500)}}
    source = StillSource(book, NOON, later=[(NOON + 60 * SECOND, book)], impact={"ABC": LAW})
    market = SimulatedMarket(Strained(source, lambda n: np.array([1.0, 3.0])), terms[:1], NOON)
    first = market.quotes("ABC")
    market.advance(NOON + 60 * SECOND)
    second = market.quotes("ABC")
    assert first.ask_size[0, 0] == second.ask_size[0, 0] == 500
    assert (first.ask_size[0, 1:] >= 8 * second.ask_size[0, 1:]).all()
    assert second.ask_size[0, 1:].sum() == LAW.depth(4, 1 / 9)


def run(bars: dict[str, pd.DataFrame], terms: list[Terms], strain: Any) -> str:
    """Orders of all kinds through a session: what was said of each, and the books in between."""
    source = BarSource({"ABC": sessions_of(bars)["ABC"]}, ["Near", "Far"], 3, shape=Shape(step_s=30))
    opens = sessions_of(bars)["ABC"][0].opens
    market = SimulatedMarket(Strained(source, strain), terms, opens, seed=3)
    rng, told = np.random.default_rng(5), []
    for number in range(24):
        nbbo = market.quotes("ABC").nbbo
        side = ("buy", "sell")[int(rng.integers(2))]
        limit = 0 if number % 3 else (nbbo.bid if side == "buy" else nbbo.ask)
        kind = TimeInForce.DAY if limit else TimeInForce.IOC
        child = Child(f"c-{number}", ("Near", "Far")[int(rng.integers(2))], "ABC", Action(side),
                      int(rng.integers(1, 60_000)), limit, number % 9 == 0, kind)  # fmt: skip
        told += [one.to_dict() for one in market.send(child)]
        told += [one.to_dict() for one in market.advance(market.now() + int(rng.integers(1, 900)) * SECOND)]
        told.append(market.quotes("ABC").to_dict())
    return json.dumps(told)


def waves(steps: int) -> Any:
    return 1 + 3 * np.sin(np.arange(steps) / 40) ** 2


def test_a_strain_of_one_is_no_strain(bars: dict[str, pd.DataFrame], terms: list[Terms]) -> None:
    assert run(bars, terms, np.ones) == run(bars, terms, lambda steps: None)
    assert run(bars, terms, waves) != run(bars, terms, np.ones)


def test_many_steps_under_strain_are_the_same_as_one_by_one(
    bars: dict[str, pd.DataFrame], terms: list[Terms], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = run(bars, terms, waves)
    monkeypatch.setattr(Screen, "is_free", lambda *_: False)
    assert run(bars, terms, waves) == fast


@pytest.mark.parametrize("strain", [np.ones(2), np.array([1.0, 0.0, 1.0]), np.array([1.0, np.nan, 1.0])])
def test_a_strain_is_above_zero_for_each_step(strain: Any, terms: list[Terms]) -> None:
    with pytest.raises(BadInput, match="strain"):
        still(list(strain), terms[:1]).quotes("ABC")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(100, 130), st.integers(1, 50)), max_size=5),
    st.lists(st.integers(1, 40), max_size=6),
    st.integers(1, 150),
)
def test_levels_that_come_up_one_by_one_are_taken_like_orders(
    rests: list[tuple[int, int]], sizes: list[int], wanted: int
) -> None:
    """The book that is left is the same, down to the numbers of the orders that come later."""
    levels = [(131 + number, shares) for number, shares in enumerate(sizes)]
    books = [Book(2), Book(2)]
    for book in books:
        for price, shares in rests:
            book.add(Side.BUY, price - 50, shares)
    quick = books[0].take_one_by_one(Side.SELL, levels, min(wanted, sum(sizes)))
    left, plain = min(wanted, sum(sizes)), []
    for price, shares in levels:
        if not left:
            break
        books[1].add(Side.SELL, price, shares, priority=Priority.HIDDEN)
        (fill,) = books[1].take(Side.BUY, left).fills
        plain.append((fill.price, fill.shares))
        left -= fill.shares
    assert quick[: len(plain)] == plain
    assert all(not shares for _, shares in quick[len(plain) :])
    if len(quick) == len(plain):
        ends = [book.add(Side.SELL, 500, 7).handle for book in books]
        assert ends[0] == ends[1]
        taken = [book.take(Side.BUY, 10**6).fills for book in books]
        assert taken[0] == taken[1]
