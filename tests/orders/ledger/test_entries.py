"""Entries have one form as text, and refuse what cannot be kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, DataError
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger import Entry, EntryKind, Stored, child_of, child_payload, execution_of, order_of
from quantdesk.orders.ledger.entries import GENESIS, canonical, link
from quantdesk.orders.order import Action, Child, Order, TimeInForce

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
PAYLOADS = st.dictionaries(
    st.text(),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
    ),
    max_size=4,
)


@given(PAYLOADS)
@settings(max_examples=100, deadline=None)
def test_a_payload_comes_back_as_it_was(payload):
    text = canonical(payload)
    assert text.isascii()
    back = json.loads(text)
    assert back == payload
    assert json.dumps(back, sort_keys=True) == json.dumps(payload, sort_keys=True), "1 and 1.0 are equal, but differ"
    assert canonical(back) == text
    assert canonical(dict(reversed(list(payload.items())))) == text, "the order of keys is no difference"


def test_whole_numbers_stay_whole_and_tuples_become_lists():
    text = canonical({"big": 10**30, "b": (1, 1.0, True), "a": Kind.FILL})
    assert text == '{"a":"fill","b":[1,1.0,true],"big":1000000000000000000000000000000}'


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"price": Decimal("1.5")}, "payload.price of an entry is a Decimal, '1.5'"),
        ({"a": [{"b": float("nan")}]}, r"payload.a\[0\].b of an entry is nan"),
        ({"a": float("inf")}, "is inf"),
        ({"a": {1: 2}}, "payload.a of an entry has the key 1"),
        ({"a": np.int64(3)}, "is a int64, '3'"),
        ({"a": b"x"}, "is a bytes"),
        ({"a": {1, 2}}, "is a set"),
    ],
)
def test_what_json_cannot_say_is_refused(payload, words):
    with pytest.raises(BadInput, match=words):
        canonical(payload)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "fil"}, "no kind of entry 'fil'"),
        ({"at": 1.5}, "time 1.5"),
        ({"at": True}, "time True"),
        ({"at": 1 << 63}, "time 9223372036854775808"),
        ({"order_id": None}, "order_id None"),
        ({"client_id": "a\0b"}, "client_id 'a"),
        ({"user_id": "x" * 129}, "user_id 'xxx"),
        ({"payload": [1]}, "payload of an entry is a list"),
        ({"mode": "lively"}, "no execution mode 'lively'"),
        ({"mode": "live", "payload": {"mode": "mock"}}, "entry of live whose payload says mock"),
    ],
)
def test_an_entry_that_is_none(change, words):
    with pytest.raises(BadInput, match=words):
        Entry(**{"kind": EntryKind.NOTE, "at": 1, **change})


def test_the_mode_may_stand_in_the_payload():
    assert Entry(EntryKind.MARK, 1, payload={"mode": "paper"}).mode is ExecutionMode.PAPER
    assert Entry(EntryKind.MARK, 1, payload={"mode": "paper"}, mode="paper").mode is ExecutionMode.PAPER
    assert Entry("mark", 1).mode is None
    assert Entry("mark", np.int64(1)).at == 1


def stored(kind, payload, **more):
    fields = {"order_id": "O00000001", "client_id": "", "user_id": None, "mode": ExecutionMode.PAPER, "hash": ""}
    return Stored(seq=4, kind=kind, at=1, payload=json.loads(canonical(payload)), **{**fields, **more})


CHILDREN = st.builds(
    Child,
    client_id=st.text(min_size=1),
    venue=st.text(),
    symbol=st.text(),
    action=st.sampled_from(Action),
    shares=st.integers(1),
    limit=st.integers(0),
    peg=st.booleans(),
    time_in_force=st.sampled_from(TimeInForce),
    iso=st.booleans(),
)
EXECUTIONS = st.builds(
    Execution,
    execution_id=st.text(),
    client_id=st.text(),
    kind=st.sampled_from(Kind),
    at=st.integers(),
    venue=st.text(),
    shares=st.integers(),
    price=st.integers(),
    fee=st.integers(),
    liquidity=st.text(),
    text=st.text(),
)


@given(CHILDREN, EXECUTIONS)
@settings(max_examples=60, deadline=None)
def test_children_and_reports_come_back_as_they_were(child, execution):
    back = child_of(stored(EntryKind.SENT, child_payload(child)))
    assert back == child
    assert [type(value) for value in dataclasses.astuple(back)] == [type(v) for v in dataclasses.astuple(child)]
    told = execution_of(stored(EntryKind.EXECUTION, execution.to_dict()))
    assert told == execution
    assert type(told.kind) is Kind


def test_an_order_comes_back_as_it_was():
    order = Order("BRK B", "sell", 3, order_type="stop_limit", limit_price="1.5", stop_price=2, user_id="ada")
    assert order_of(stored(EntryKind.ORDER, {**order.to_dict(), "mode": "paper"})) == order
    with pytest.raises(DataError, match=r"Entry 4 holds no order: An order of 0 shares"):
        order_of(stored(EntryKind.ORDER, {**order.to_dict(), "shares": 0}))


CHILD = child_payload(Child("c", "XNAS", "AAPL", Action.BUY, 5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shares": 5.0}, "The shares of entry 4 .sent. is 5.0.*would have to be a whole number"),
        ({"shares": True}, "would have to be a whole number"),
        ({"limit": "5"}, "The limit of entry 4"),
        ({"peg": 1}, "would have to be true or false"),
        ({"venue": None}, "would have to be text"),
        ({"action": "hold"}, "'hold'.*would have to be buy or sell"),
    ],
)
def test_a_child_that_is_none(change, words):
    with pytest.raises(DataError, match=words):
        child_of(stored(EntryKind.SENT, {**CHILD, **change}))


def test_fields_that_are_missing():
    least = {name: CHILD[name] for name in ("client_id", "venue", "symbol", "action", "shares")}
    assert child_of(stored(EntryKind.SENT, least)) == Child("c", "XNAS", "AAPL", Action.BUY, 5)
    for name in least:
        with pytest.raises(DataError, match=rf"Entry 4 \(sent\) has no {name}"):
            child_of(stored(EntryKind.SENT, {key: value for key, value in least.items() if key != name}))


def test_an_entry_of_another_kind():
    for read in (child_of, execution_of, order_of):
        with pytest.raises(DataError, match="Entry 4 is of kind note"):
            read(stored(EntryKind.NOTE, {}))


def test_the_chain_as_the_docs_say_it():
    """Written out once more, from the description alone."""
    entry = Entry(EntryKind.NOTE, 5, "O00000001", "c", "ada", {"b": 1, "a": "é"}, ExecutionMode.MOCK)
    text = '{"a":"\\u00e9","b":1}'
    assert canonical(entry.payload) == text
    hashed = f'{GENESIS}\n[1,5,"note","mock","O00000001","c","ada",{json.dumps(text)}]'
    assert link(GENESIS, entry, 1, text) == hashlib.sha256(hashed.encode()).hexdigest()


@given(st.sampled_from(["seq", "at", "kind", "mode", "order_id", "client_id", "user_id", "payload", "hash"]))
@settings(max_examples=20)
def test_every_field_is_in_the_hash(field):
    entry = Entry(EntryKind.NOTE, 5, "O00000001", "c", "ada", {}, ExecutionMode.MOCK)
    before = link(GENESIS, entry, 1, "{}")
    changed = {"at": 6, "kind": "kill", "mode": None, "order_id": "O0000000", "client_id": "1c", "user_id": None}
    if field in changed:
        entry = dataclasses.replace(entry, **{field: changed[field]})
    previous = "1" * 64 if field == "hash" else GENESIS
    after = link(previous, entry, 2 if field == "seq" else 1, "[]" if field == "payload" else "{}")
    assert after != before
