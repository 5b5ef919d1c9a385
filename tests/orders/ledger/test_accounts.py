"""The account rebuilt from the ledger is the running one, and both are what plain bookkeeping says."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import DataError
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger import Entry, EntryKind, Ledger, Stored, apply, rebuild
from quantdesk.orders.order import Action, Child, Order
from quantdesk.orders.portfolio import Portfolio

CASH = 10**15
MODES = [ExecutionMode.SIMULATED, ExecutionMode.MOCK, ExecutionMode.LIVE]
SYMBOLS = ["AAPL", "MSFT"]
IDS = itertools.count(1)
"""Children and reports of all examples are in one ledger."""

SHARES = st.integers(1, 60)
PRICES = st.integers(1, 400_000_000)
MODE = st.sampled_from(MODES)
SYMBOL = st.sampled_from(SYMBOLS)
WHICH = st.integers(0, 30)

STEPS = st.one_of(
    st.tuples(st.just("sent"), MODE, SYMBOL, st.sampled_from(Action), SHARES, st.sampled_from([0, 0, 123_000_000])),
    st.tuples(st.just("fill"), WHICH, SHARES, PRICES, st.integers(-900, 900)),
    st.tuples(st.just("end"), WHICH, st.sampled_from([Kind.CANCELLED, Kind.REJECTED])),
    st.tuples(st.just("accepted"), WHICH),
    st.tuples(st.just("again"), WHICH),
    st.tuples(st.just("transfer"), MODE, SYMBOL, st.integers(-50, 50), PRICES),
    st.tuples(st.just("charge"), MODE, SYMBOL, st.integers(-900, 900)),
    st.tuples(st.just("mark"), st.none() | MODE, SYMBOL, PRICES),
    st.tuples(st.just("day"), st.none() | MODE, st.dates()),
    st.tuples(st.just("note"), st.just("killed, decided, noted: nothing to the account")),
)


class Books:
    """Plain bookkeeping beside the ledger, straight from what was done."""

    def __init__(self):
        self.cash, self.shares, self.fees, self.open = Counter(), Counter(), Counter(), {}
        self.children, self.reports, self.at = [], [], 0

    def entry(self, step, order_ids):
        """The entry of a step, and None where it makes no sense."""
        what, *rest = step
        self.at += 1
        if what == "sent":
            mode, symbol, action, shares, mark = rest
            child = Child(f"c{next(IDS)}", "XNAS", symbol, action, shares)
            self.children.append((child, mode))
            self.open[child.client_id] = shares
            return Entry.sent(child, self.at, order_ids[mode], mark=mark)
        if what in ("fill", "end", "accepted"):
            if not self.children:
                return None
            child, mode = self.children[rest[0] % len(self.children)]
            report = Execution(f"e{next(IDS)}", child.client_id, Kind.ACCEPTED, self.at, "XNAS")
            if what == "fill":
                _, shares, price, fee = rest
                report = dataclasses.replace(report, kind=Kind.FILL, shares=shares, price=price, fee=fee)
                self.cash[mode] -= child.side * shares * price + fee
                self.fees[mode] += fee
                self.shares[mode, child.symbol] += child.side * shares
                # A venue that trades more than was open, or after its cancel, has traded all the same.
                self.open[child.client_id] = max(self.open[child.client_id] - shares, 0)
            elif what == "end":
                report = dataclasses.replace(report, kind=rest[1])
                self.open[child.client_id] = 0
            self.reports.append(Entry.executed(report, self.at))
            return self.reports[-1]
        if what == "again":
            return self.reports[rest[0] % len(self.reports)] if self.reports else None
        if what == "note":
            return Entry(EntryKind.NOTE, self.at, payload={"what": rest[0]})
        mode, *rest = rest
        if what == "day":
            return Entry(EntryKind.DAY_STARTED, self.at, payload={"day": rest[0].isoformat()}, mode=mode)
        symbol, *rest = rest
        if what == "transfer":
            shares, price = rest
            self.shares[mode, symbol] += shares
            payload = {"symbol": symbol, "shares": shares, "price": price}
            return Entry(EntryKind.TRANSFER, self.at, payload=payload, mode=mode)
        if what == "charge":
            self.cash[mode] -= rest[0]
            self.fees[mode] += rest[0]
            return Entry(EntryKind.CHARGE, self.at, payload={"symbol": symbol, "fee": rest[0]}, mode=mode)
        return Entry(EntryKind.MARK, self.at, payload={"symbol": symbol, "price": rest[0]}, mode=mode)

    def holds_for(self, portfolio, mode):
        assert portfolio.cash == CASH + self.cash[mode]
        assert portfolio.fees == self.fees[mode]
        for symbol in SYMBOLS:
            held = portfolio.position(symbol)
            assert held.shares == self.shares[mode, symbol]
            for side, number in ((1, held.buying), (-1, held.selling)):
                mine = [one for one, whose in self.children if (one.symbol, one.side, whose) == (symbol, side, mode)]
                assert number == sum(self.open[child.client_id] for child in mine)
        mine = {child.client_id for child, whose in self.children if whose is mode}
        assert portfolio.leaves == {name: left for name, left in self.open.items() if left and name in mine}


def check(ledger, steps, sizes):
    """Write steps in batches, and compare the running accounts with rebuilt ones and with plain books."""
    order_ids = {mode: ledger.receive(Order("AAPL", "buy", 1), 0, mode).order_id for mode in MODES}
    start, books = ledger.head()[0], Books()
    running = {mode: Portfolio(CASH) for mode in MODES}
    entries = [entry for step in steps if (entry := books.entry(step, order_ids)) is not None]
    while entries:
        size = next(sizes)
        for stored in ledger.append(*entries[:size]):
            for mode, portfolio in running.items():
                apply(portfolio, stored, mode)
        entries = entries[size:]
    for mode, portfolio in running.items():
        assert rebuild(ledger.entries(after=start), CASH, mode) == portfolio
        books.holds_for(portfolio, mode)


@pytest.fixture(scope="module")
def in_memory():
    with Ledger.open("sqlite:///:memory:") as ledger:
        yield ledger


@given(st.lists(STEPS, max_size=40), st.lists(st.integers(1, 6), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_rebuilt_account_is_the_running_one(in_memory, steps, sizes):
    check(in_memory, steps, itertools.cycle(sizes))


def test_the_same_on_disk_and_on_a_server(ledger):
    @given(st.lists(STEPS, min_size=20, max_size=60))
    @settings(max_examples=5, deadline=None, database=None)
    def holds(steps):
        check(ledger, steps, itertools.cycle([1, 4]))

    holds()
    ledger.verify()


@given(st.lists(STEPS, min_size=5, max_size=40))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_account_of_any_moment_is_that_of_the_entries_up_to_it(in_memory, steps):
    order_ids = {mode: in_memory.receive(Order("AAPL", "buy", 1), 0, mode).order_id for mode in MODES}
    start, books = in_memory.head()[0], Books()
    in_memory.append(*(entry for step in steps if (entry := books.entry(step, order_ids)) is not None))
    entries = list(in_memory.entries(after=start))
    running = Portfolio(CASH)
    for number, stored in enumerate(entries):
        assert running == rebuild(entries[:number], CASH, MODES[0])
        apply(running, stored, MODES[0])


def test_mock_fills_are_kept_out_of_the_account(ledger, order, child, fill):
    for name, mode in (("c1", ExecutionMode.SIMULATED), ("c2", ExecutionMode.MOCK)):
        order_id = ledger.receive(order(), 1, mode).order_id
        ledger.append(Entry.sent(child(name), 2, order_id), Entry.executed(fill("e", name), 3))
    for mode in (ExecutionMode.SIMULATED, ExecutionMode.MOCK):
        account = rebuild(ledger.entries(), CASH, mode)
        assert account.positions == {"AAPL": 10}
        assert account.position("AAPL").buying == 90
        assert account.cash == CASH - 10 * 190_000_000 - 30_000
    assert rebuild(ledger.entries(), CASH, ExecutionMode.LIVE) == Portfolio(CASH)
    assert rebuild(ledger.entries()).cash == -10 * 190_000_000 - 30_000


def stored(which, **payload):
    return Stored(3, which, 1, "O00000001", "c", None, payload, ExecutionMode.SIMULATED, "")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (stored(EntryKind.TRANSFER, symbol="A", shares=1.0, price=1), "shares of entry 3 .transfer. is 1.0"),
        (stored(EntryKind.CHARGE, symbol="A"), "Entry 3 .charge. has no fee"),
        (stored(EntryKind.MARK, symbol=None, price=1), "symbol of entry 3 .mark. is None"),
        (stored(EntryKind.DAY_STARTED, day="yesterday"), "day of entry 3 is 'yesterday'"),
        (stored(EntryKind.SENT, shares=1), "Entry 3 .sent. has no client_id"),
        (
            stored(EntryKind.EXECUTION, execution_id="e", client_id="c", kind="fill", at=1, venue="X"),
            "Entry 3 .execution. has no symbol",
        ),
    ],
)
def test_an_entry_that_does_not_hold_what_it_must(entry, words):
    before = Portfolio(CASH)
    with pytest.raises(DataError, match=words):
        apply(before, entry, ExecutionMode.SIMULATED)
    assert before == Portfolio(CASH)
