"""The limit order book: what priority means, by example; and against a plain oracle, order by order."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quantdesk.errors import BadInput
from quantdesk.orders.venues import Book, Priority, Side
from quantdesk.orders.venues.book import Fill

_spec = importlib.util.spec_from_file_location("plain_book", Path(__file__).with_name("plain_book.py"))
assert _spec is not None
assert _spec.loader is not None
plain_book = importlib.util.module_from_spec(_spec)
sys.modules["plain_book"] = plain_book
_spec.loader.exec_module(plain_book)


def traded(fills: tuple[Fill, ...]) -> list[tuple[int, int, int]]:
    return [(fill.maker, fill.shares, fill.price) for fill in fills]


def test_price_comes_before_time() -> None:
    book = Book()
    late_but_better = book.add(Side.SELL, 101, 100)
    book.add(Side.SELL, 102, 100)
    best = book.add(Side.SELL, 100, 100)
    taken = book.take(Side.BUY, 150)
    assert traded(taken.fills) == [(best.handle, 100, 100), (late_but_better.handle, 50, 101)]
    assert taken.left == 0


def test_displayed_comes_before_hidden_and_first_before_later() -> None:
    book = Book()
    hidden = book.add(Side.SELL, 100, 10, priority=Priority.HIDDEN).handle
    first = book.add(Side.SELL, 100, 20).handle
    second = book.add(Side.SELL, 100, 30).handle
    assert [book.ahead(one) for one in (first, second, hidden)] == [0, 20, 50]
    assert book.best(Side.SELL) == (100, 50)
    assert traded(book.take(Side.BUY, 55).fills) == [(first, 20, 100), (second, 30, 100), (hidden, 5, 100)]


def test_a_limit_order_trades_at_the_resting_price_and_rests_with_the_remainder() -> None:
    book = Book()
    book.add(Side.SELL, 100, 100)
    entered = book.add(Side.BUY, 105, 250)
    assert [(fill.shares, fill.price, fill.left) for fill in entered.fills] == [(100, 100, 0)]
    assert (entered.left, book.shares(entered.handle), book.best(Side.BUY)) == (150, 150, (105, 150))
    assert book.best(Side.SELL) == (0, 0)


def test_what_does_not_fill_of_an_immediate_order_is_gone() -> None:
    book = Book()
    book.add(Side.BUY, 100, 100)
    assert book.take(Side.SELL, 300, 100).left == 200
    assert len(book) == 0


def test_fewer_shares_keep_their_place_and_everything_else_loses_it() -> None:
    book = Book()
    first, second, third = (book.add(Side.BUY, 100, 100).handle for _ in range(3))
    assert book.replace(first, 60, 100).handle == first
    assert (book.ahead(first), book.ahead(second)) == (0, 60)
    grown = book.replace(first, 80, 100).handle
    assert (book.ahead(second), book.ahead(third), book.ahead(grown)) == (0, 100, 200)
    moved = book.replace(second, 100, 99).handle
    assert (book.ahead(third), book.ahead(moved)) == (0, 0)
    assert book.depth(Side.BUY, 5) == [(100, 180), (99, 100)]


def test_a_replacement_that_crosses_trades() -> None:
    book = Book()
    bid = book.add(Side.BUY, 99, 100).handle
    ask = book.add(Side.SELL, 101, 40).handle
    assert traded(book.replace(bid, 100, 101).fills) == [(ask, 40, 101)]
    assert book.best(Side.BUY) == (101, 60)


def test_pegs_rest_at_the_midpoint_within_their_limits() -> None:
    book = Book()
    free = book.add(Side.BUY, 0, 100, priority=Priority.PEG).handle
    bound = book.add(Side.BUY, 99, 50, priority=Priority.PEG).handle
    assert book.take(Side.SELL, 10).fills == ()  # no midpoint, no trade
    book.peg(100)
    assert (book.ahead(free), book.ahead(bound)) == (0, 0)
    assert traded(book.take(Side.SELL, 120).fills) == [(free, 100, 100), (bound, 20, 99)]
    assert book.best(Side.BUY) == (0, 0)


def test_pegs_meet_when_the_midpoint_moves() -> None:
    book = Book()
    book.peg(100)
    seller = book.add(Side.SELL, 102, 70, priority=Priority.PEG, owner=1).handle
    buyer = book.add(Side.BUY, 0, 50, priority=Priority.PEG, owner=2).handle
    (fill,) = book.peg(103)
    assert (fill.maker, fill.taker, fill.taker_owner, fill.shares, fill.price) == (seller, buyer, 2, 50, 103)
    assert (book.shares(seller), book.shares(buyer)) == (20, 0)


def test_a_handle_that_is_gone_is_known_to_be_gone() -> None:
    book = Book()
    handle = book.add(Side.BUY, 100, 100).handle
    assert (book.cancel(handle), book.cancel(handle), book.shares(handle)) == (100, 0, 0)
    book.add(Side.BUY, 100, 100)  # takes the same row
    assert book.shares(handle) == 0
    for call in (lambda: book.ahead(handle), lambda: book.replace(handle, 1, 1)):
        with pytest.raises(BadInput, match="not on the book"):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda book: book.add(Side.BUY, 0, 100),
        lambda book: book.add(Side.BUY, 100, 0),
        lambda book: book.add(Side.BUY, -1, 100),
        lambda book: book.take(Side.BUY, -5),
        lambda book: book.replace(book.add(Side.BUY, 100, 100).handle, 0, 100),
        lambda book: book.feed(np.zeros((2, 4), dtype=np.int64)),
        lambda book: book.feed(np.array([[3, 0, 100, 1, 0]])),
        lambda book: book.feed(np.array([[0, 2, 100, 1, 0]])),
        lambda book: book.feed(np.array([[0, 0, 0, 1, 0]])),
        lambda book: book.feed(np.array([[1, 0, 0, 0, 0]])),
    ],
)
def test_what_is_no_order_is_refused(call: Any) -> None:
    with pytest.raises(BadInput):
        call(Book())


PRICES = st.integers(95, 105)
SHARES = st.integers(1, 50)
SIDES = st.sampled_from(list(Side))


class Against(RuleBasedStateMachine):
    """Both books get the same; they must do the same, trade by trade, and never be crossed."""

    def __init__(self) -> None:
        super().__init__()
        self.book, self.plain = Book(2), plain_book.PlainBook()
        self.handles: dict[int, int] = {}
        self.numbers: dict[int, int] = {}
        self.next = 0
        self.entered = self.gone = 0

    def same(self, fills: tuple[Fill, ...]) -> None:
        ours = [(self.numbers[fill.maker], fill.taker_owner, fill.shares, fill.price) for fill in fills]
        assert ours == self.plain.trades
        for fill in fills:
            self.gone += fill.shares * 2
        self.plain.trades.clear()

    def keep(self, number: int, handle: int) -> None:
        if handle:
            self.handles[number], self.numbers[handle] = handle, number

    @rule(side=SIDES, price=PRICES, shares=SHARES, kind=st.sampled_from(list(Priority)), free=st.booleans())
    def add(self, side: Side, price: int, shares: int, kind: Priority, free: bool) -> None:
        self.next += 1
        price = 0 if free and kind is Priority.PEG else price
        entered = self.book.add(side, price, shares, priority=kind, owner=self.next)
        assert entered.left == self.plain.add(self.next, int(side), price, shares, int(kind), self.next)
        assert bool(entered.handle) == bool(entered.left)
        self.entered += shares
        self.same(entered.fills)
        self.keep(self.next, entered.handle)

    @rule(side=SIDES, limit=st.none() | PRICES, shares=SHARES)
    def take(self, side: Side, limit: int | None, shares: int) -> None:
        taken = self.book.take(side, shares, limit or 0, owner=-1)
        assert taken.left == self.plain.take(int(side), shares, limit, -1)
        self.entered += shares
        self.gone += taken.left
        self.same(taken.fills)

    @rule(midpoint=st.just(0) | PRICES)
    def peg(self, midpoint: int) -> None:
        fills = self.book.peg(midpoint)
        self.plain.peg(midpoint)
        self.same(fills)

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.handles)))
        off = self.book.cancel(self.handles[number])
        assert off == self.plain.cancel(number)
        self.gone += off

    @precondition(lambda self: self.plain.orders)
    @rule(data=st.data(), shares=SHARES, price=PRICES)
    def replace(self, data: st.DataObject, shares: int, price: int) -> None:
        order = data.draw(st.sampled_from(self.plain.orders))
        price = data.draw(st.sampled_from([price, order.price or price]))
        self.entered += shares - order.shares
        number = order.number
        entered = self.book.replace(self.handles[number], shares, price)
        self.plain.replace(number, shares, price)
        self.same(entered.fills)
        self.keep(number, entered.handle)

    @invariant()
    def agree(self) -> None:
        for side in Side:
            assert self.book.depth(side, 100) == self.plain.depth(int(side))
        assert len(self.book) == len(self.plain.orders)
        for order in self.plain.orders:
            handle = self.handles[order.number]
            assert self.book.shares(handle) == order.shares
            if self.plain.price_of(order) is not None:
                assert self.book.ahead(handle) == self.plain.ahead(order.number)

    @invariant()
    def never_crossed(self) -> None:
        bid, ask = (self.book.best(side)[0] for side in Side)
        assert not bid or not ask or bid < ask

    @invariant()
    def conserves(self) -> None:
        assert self.entered == self.gone + sum(order.shares for order in self.plain.orders)


TestAgainstThePlainBook = Against.TestCase
TestAgainstThePlainBook.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@st.composite
def streams(draw: st.DrawFn) -> list[list[int]]:
    rows: list[list[int]] = []
    for row in range(draw(st.integers(0, 80))):
        kind = draw(st.sampled_from([0, 0, 0, 1, 2]))
        if kind == 1 and row:
            rows.append([1, 0, 0, 0, draw(st.integers(0, row - 1))])
        else:
            kind = 2 if kind == 2 else 0
            price = draw(st.just(0) | PRICES) if kind == 2 else draw(PRICES)
            rows.append([kind, draw(st.integers(0, 1)), price, draw(SHARES), 0])
    return rows


@settings(max_examples=60, deadline=None)
@given(streams())
def test_a_stream_does_what_single_calls_do(rows: list[list[int]]) -> None:
    events = np.array(rows, dtype=np.int64).reshape(-1, 5)
    batch, single = Book(2), Book(2)
    fills, _ = batch.feed(events)
    handles: list[int] = []
    found: list[tuple[int, ...]] = []
    for number, (kind, side, price, shares, reference) in enumerate(rows):
        if kind == 1:
            single.cancel(handles[reference])
            handles.append(0)
            continue
        entered = single.take(Side(side), shares, price) if kind == 2 else single.add(Side(side), price, shares)
        handles.append(entered.handle)
        found += [(number, *fill[1:]) for fill in entered.fills]
    assert fills.tolist() == [list(fill) for fill in found]
    assert all(batch.depth(side, 100) == single.depth(side, 100) for side in Side)


def test_a_long_stream_grows_the_book_as_it_needs_to() -> None:
    rng = np.random.default_rng(0)
    number = 150_000
    events = np.zeros((number, 5), dtype=np.int64)
    events[:, 0] = rng.choice([0, 2], number, p=[0.7, 0.3])
    events[:, 1] = rng.integers(0, 2, number)
    events[:, 2] = np.where(events[:, 0] == 2, 0, rng.integers(90, 111, number))
    events[:, 3] = rng.integers(1, 100, number)
    book = Book()
    fills, handles = book.feed(events)
    resting = sum(book.shares(int(handle)) for handle in handles[handles > 0])
    shown = sum(shares for side in Side for _, shares in book.depth(side, 1000))
    assert resting == shown > 0
    made = events[events[:, 0] == 0, 3].sum()
    adds_that_took = np.isin(fills[:, 0], np.flatnonzero(events[:, 0] == 0))
    assert made == resting + fills[:, 5].sum() + fills[adds_that_took, 5].sum()
