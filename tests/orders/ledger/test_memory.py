"""A ledger in memory is the one in a database, without the database."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, QuantdeskError
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger import Entry, EntryKind, Ledger, MemoryLedger, OrderLedger, Received, Stored
from quantdesk.orders.ledger.entries import GENESIS, canonical, link, plain
from quantdesk.orders.order import Action, Child, Order

MODE = ExecutionMode.SIMULATED


class Word(StrEnum):
    ONE = "one"


class Loud(str):
    def __str__(self):
        return self.upper()


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([Word.ONE, Loud("a"), Kind.FILL, np.float64(0.1), 10**400])
)
KEYS = st.text(max_size=3) | st.just(Word.ONE) | st.just(Loud("b"))
PAYLOADS = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(KEYS, inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@given(PAYLOADS)
@settings(max_examples=150, deadline=None)
def test_a_plain_payload_is_what_its_text_gives_back(payload):
    """The order of keys, and the exact types, included: repr shows both."""
    assert repr(plain(payload)) == repr(json.loads(canonical(payload)))
    assert repr(plain(plain(payload))) == repr(plain(payload))


@pytest.mark.parametrize(
    "wrong",
    [Decimal(1), float("nan"), {1: 2}, {"a": [np.int64(1)]}, 10**5000, {1, 2}],
    ids=["decimal", "nan", "key", "numpy", "long", "set"],
)
def test_what_no_text_can_say_is_refused_when_it_is_written(wrong):
    ledger = MemoryLedger()
    with pytest.raises(BadInput, match=r"payload\.x"):
        ledger.append(Entry(EntryKind.NOTE, 1, payload={"x": wrong}))
    assert ledger.head() == (0, GENESIS)


ORDER_IDS = st.sampled_from(["O00000001", "O00000002", "O00000003", "O00000099", ""])
CLIENTS = st.sampled_from(["c1", "c2", "c3", ""])
USERS = st.sampled_from([None, "ada", "grace"])
MODES = st.sampled_from([None, *ExecutionMode])
CHILDREN = st.builds(
    Child,
    client_id=CLIENTS,
    venue=st.just("XNAS"),
    symbol=st.sampled_from(["AAPL", "MSFT"]),
    action=st.sampled_from(list(Action)),
    shares=st.integers(1, 3),
)
REPORTS = st.builds(
    Execution,
    execution_id=st.sampled_from(["e1", "e2", "e3"]),
    client_id=CLIENTS,
    kind=st.sampled_from([Kind.FILL, Kind.CANCELLED]),
    at=st.integers(0, 2),
    venue=st.just("XNAS"),
    shares=st.integers(1, 2),
    price=st.just(1_000_000),
    fee=st.integers(0, 1),
)
ENTRIES = st.one_of(
    st.builds(Entry.sent, CHILDREN, st.integers(0, 9), ORDER_IDS, USERS, st.integers(0, 2)),
    st.builds(Entry.executed, REPORTS, st.integers(0, 9), ORDER_IDS, USERS),
    st.builds(
        lambda status, order_id, mode: Entry(EntryKind.RESULT, 1, order_id, payload={"status": status}, mode=mode),
        st.sampled_from(["filled", "open", "cancelled", "done", None]),
        ORDER_IDS,
        MODES,
    ),
    st.builds(
        lambda kind, order_id, client_id, payload, mode: Entry(kind, 1, order_id, client_id, None, payload, mode),
        st.sampled_from(list(EntryKind)),
        ORDER_IDS,
        CLIENTS,
        st.dictionaries(
            st.sampled_from(["client_id", "execution_id", "status", "x"]),
            st.none() | st.sampled_from(["c1", "c2", "e1", "filled", 1, 1.5, float("inf")]) | st.lists(st.booleans()),
            max_size=3,
        ),
        MODES,
    ),
)
ORDERS = st.builds(
    Order,
    st.sampled_from(["AAPL", "MSFT"]),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 2),
    user_id=USERS,
    idempotency_key=st.none() | st.sampled_from(["k1", "k2"]),
)


class SameAsInADatabase(RuleBasedStateMachine):
    """The same calls, made to both: the same answers, refusals, entries and hashes."""

    def __init__(self):
        super().__init__()
        self.both: tuple[OrderLedger, OrderLedger] = (Ledger.open("sqlite:///:memory:"), MemoryLedger())

    def teardown(self):
        for one in self.both:
            one.close()

    def same(self, call):
        told = []
        for ledger in self.both:
            try:
                told.append(call(ledger))
            except QuantdeskError as error:
                told.append((type(error), str(error)))
        assert told[0] == told[1]
        assert repr(told[0]) == repr(told[1])

    @rule(order=ORDERS, at=st.integers(0, 9), mode=st.sampled_from(list(ExecutionMode)))
    def receive(self, order, at, mode):
        self.same(lambda ledger: ledger.receive(order, at, mode))

    @rule(entries=st.lists(ENTRIES, max_size=4))
    def append(self, entries):
        self.same(lambda ledger: ledger.append(*entries))

    @rule(order_id=ORDER_IDS)
    def order(self, order_id):
        self.same(lambda ledger: ledger.order(order_id))

    @rule(open_only=st.booleans())
    def orders(self, open_only):
        self.same(lambda ledger: list(ledger.orders(open_only).items()))

    @rule(user=USERS, key=st.sampled_from(["k1", "k2", "k3"]))
    def find(self, user, key):
        self.same(lambda ledger: ledger.find(user, key))

    @rule(
        after=st.integers(-1, 9),
        order_id=st.none() | ORDER_IDS,
        kinds=st.none() | st.lists(st.sampled_from(list(EntryKind)), max_size=3),
    )
    def entries(self, after, order_id, kinds):
        self.same(lambda ledger: list(ledger.entries(after, order_id, kinds)))

    @rule()
    def head(self):
        self.same(lambda ledger: ledger.head())

    @invariant()
    def whole(self):
        self.same(lambda ledger: ledger.verify())


TestSameAsInADatabase = SameAsInADatabase.TestCase
TestSameAsInADatabase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_hashes_are_those_of_the_chain_whenever_they_are_asked_for():
    one, two = MemoryLedger(), MemoryLedger()
    expected, previous = [], GENESIS
    for number in range(5):
        entry = Entry(EntryKind.NOTE, number, payload={"number": number})
        previous = link(previous, entry, number + 1, canonical(entry.payload))
        expected.append(previous)
        assert one.append(entry)[0].hash == previous, "asked at once"
        two.append(entry)
    assert [stored.hash for stored in reversed(list(two.entries()))] == expected[::-1], "asked at the end, backwards"
    assert one.head() == two.head() == one.verify() == (5, expected[-1])


def test_an_entry_is_a_stored_like_any_other():
    ledger = MemoryLedger()
    (kept,) = ledger.append(Entry(EntryKind.NOTE, 1, payload={"a": [1, 2]}))
    whole = Stored(1, EntryKind.NOTE, 1, "", "", None, {"a": [1, 2]}, None, ledger.head()[1])
    assert kept == whole
    assert whole == kept
    assert kept != dataclasses.replace(whole, hash="0" * 64)
    assert kept != "x"
    assert repr(kept) == repr(whole)
    assert dataclasses.asdict(kept) == dataclasses.asdict(whole)
    assert dataclasses.replace(kept, at=2) == dataclasses.replace(whole, at=2)
    for again in (pickle.loads(pickle.dumps(kept)), copy.copy(kept), copy.deepcopy(kept)):
        assert type(again) is Stored
        assert again == whole
    with pytest.raises(dataclasses.FrozenInstanceError):
        kept.hash = "x"


def test_what_a_caller_changes_afterwards_is_not_in_the_ledger():
    ledger, payload = MemoryLedger(), {"a": [1], "b": {"c": 2}}
    ledger.append(Entry(EntryKind.NOTE, 1, payload=payload))
    payload["a"].append(2)
    payload["b"]["c"] = 3
    assert next(ledger.entries()).payload == {"a": [1], "b": {"c": 2}}


def test_a_payload_that_was_changed_behind_its_hash_is_named():
    ledger = MemoryLedger()
    ledger.append(*(Entry(EntryKind.NOTE, 1, payload={"number": number}) for number in range(3)))
    assert ledger.verify() == ledger.head()
    list(ledger.entries())[1].payload["number"] = 7
    with pytest.raises(DataError, match="broken at entry 2"):
        ledger.verify()


def test_it_outlives_the_desk_that_closes_it():
    ledger = MemoryLedger()
    with ledger as same:
        same.receive(Order("AAPL", "buy", 1, idempotency_key="k"), 1, MODE)
    assert ledger.receive(Order("AAPL", "buy", 1, idempotency_key="k"), 2, MODE) == Received("O00000001", False)
    assert repr(ledger) == "MemoryLedger(1 entries)"


def test_one_desk_holds_it_until_it_is_closed():
    ledger = MemoryLedger()
    lease = ledger.hold("first")
    assert not lease.is_over
    with pytest.raises(EnvironmentProblem, match="Another desk works on MemoryLedger"):
        ledger.hold("second")
    assert ledger.hold("first").fence == lease.fence + 1
    ledger.close()
    assert ledger.hold("second").fence == lease.fence + 2
    for holder, seconds in (("", 60), ("third", 0), ("third", float("nan"))):
        with pytest.raises(BadInput, match="A lease for"):
            ledger.hold(holder, seconds)


def test_threads_take_turns():
    ledger, gate = MemoryLedger(), threading.Barrier(4)
    keyed = Order("AAPL", "buy", 1, user_id="ada", idempotency_key="k")

    def work(thread):
        gate.wait()
        known = ledger.receive(keyed, 1, MODE)
        for number in range(50):
            ledger.receive(Order("AAPL", "buy", 1), 1, MODE)
            ledger.append(*(Entry(EntryKind.NOTE, 1, payload={"thread": thread, "number": number}),) * 2)
            list(ledger.entries(after=max(ledger.head()[0] - 3, 0)))
        return known

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert sum(one.is_new for one in found) == 1
    assert {one.order_id for one in found} == {found[0].order_id}
    assert len(ledger.orders()) == 201
    assert ledger.verify()[0] == 201 + 4 * 50 * 2
    notes = [(one.payload["thread"], one.payload["number"]) for one in ledger.entries(kinds=[EntryKind.NOTE])]
    assert notes[::2] == notes[1::2], "what is written together stands together"
