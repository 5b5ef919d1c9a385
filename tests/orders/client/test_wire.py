"""Both ends of the wire: what goes over it comes back, and what cannot be true is not believed."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import DataError
from quantdesk.orders.client import Fence, handle
from quantdesk.orders.client.fence import InProgress, Voided
from quantdesk.orders.client.wire import (
    Done,
    Doubt,
    NotTaken,
    _Result,
    by_id,
    by_key,
    name_in,
    read_result,
    taken,
    void,
    voided,
)
from quantdesk.orders.guardrails.decision import GuardrailViolation
from quantdesk.orders.order import Order
from quantdesk.orders.result import OrderResult

ORDER = Order("AAPL", "buy", 100, user_id="ada", idempotency_key="k-1")


def post(order: Order | dict[str, Any]) -> bytes:
    return json.dumps(order if isinstance(order, dict) else order.to_dict()).encode()


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=128).filter(str.isprintable)


@settings(max_examples=200, deadline=None)
@given(st.none() | names, names)
def test_every_user_and_key_comes_back(user: str | None, key: str) -> None:
    for path in (by_key(user, key), void(user, key)):
        assert path.isascii()
        parts = path.split("/")
        assert ".." not in parts
        assert not set(path) & set(" ?#\\;&=+\"'<>")
        assert (name_in(parts[3]), name_in(parts[4])) == (user, key)
    assert name_in(by_id(key).split("/")[2]) == key


def test_the_wire_has_every_field_of_a_result() -> None:
    assert set(_Result.model_fields) == {field.name for field in dataclasses.fields(OrderResult)}


def test_a_result_comes_back_as_it_was(desk: Any) -> None:
    result = dataclasses.replace(
        desk.execute(ORDER),
        violations=(GuardrailViolation("STALE", "old", "warning", "1 s", "2 s", "FIA"),),
        stop_loss_ids=("stop-1",),
        commission=Decimal("0E-6"),
        slippage_bps=-1.5,
    )
    assert read_result(json.dumps(result.to_dict())) == result


def test_routes(desk: Any) -> None:
    fence = Fence(desk)
    status, said = handle(fence, "post", "/orders", post(ORDER))
    assert status == 200
    assert taken(ORDER, status, json.dumps(said).encode()) == Done(desk.known["ada", "k-1"])
    assert handle(fence, "GET", by_id("order-1"))[1]["result"] == said["result"]
    assert handle(fence, "GET", by_key("ada", "k-1")) == (200, said)
    assert handle(fence, "POST", void("ada", "k-1")) == (200, said)
    status, said = handle(fence, "GET", by_id("order-2"))
    assert (status, said["error"]["code"]) == (404, "UNKNOWN")
    status, said = handle(fence, "GET", by_key(None, "k-1"))
    assert (status, said["error"]["code"], said["user_id"]) == (404, "NOT_KNOWN", None)
    for method, path in (
        ("PUT", "/orders"),
        ("GET", "/orders"),
        ("DELETE", "/orders/~1"),
        ("GET", "/orders/by-key/~a"),
    ):
        assert handle(fence, method, path)[0] == 405
    assert handle(fence, "GET", "/elsewhere")[0] == 404
    assert handle(desk, "POST", void("ada", "k-1"))[0] == 405  # a desk without a fence cannot give a key up


@pytest.mark.parametrize(
    "path", ["/orders/1", "/orders/by-key/ada/~k", "/orders/by-key/~%ff/~k", "/orders/by-key/../~k"]
)
def test_paths_that_are_none(desk: Any, path: str) -> None:
    assert handle(Fence(desk), "GET", path)[0] == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        post({**ORDER.to_dict(), "venue": "X"}),
        post({**ORDER.to_dict(), "shares": -1}),
        post({**ORDER.to_dict(), "limit_price": "NaN"}),
        post({**ORDER.to_dict(), "idempotency_key": ""}),
        post({"symbol": "AAPL"}),
        b'{"symbol": "AAPL", "action": "buy", "shares": NaN}',
    ],
)
def test_bodies_that_are_no_order(desk: Any, body: bytes) -> None:
    status, said = handle(Fence(desk), "POST", "/orders", body)
    assert (status, said["error"]["code"]) == (422, "BAD_INPUT")
    assert said["error"]["remedy"]
    assert desk.executed == []


@pytest.mark.parametrize(("error", "status"), [(DataError("The ledger is torn."), 503), (RuntimeError("s3cret"), 500)])
def test_a_desk_that_fails(desk: Any, caplog: pytest.LogCaptureFixture, error: Exception, status: int) -> None:
    def execute(order: Order) -> OrderResult:
        raise error

    desk.execute = execute
    caplog.set_level(logging.ERROR)
    found, said = handle(Fence(desk), "POST", "/orders", post(ORDER))
    assert found == status
    assert "s3cret" not in json.dumps(said)
    assert str(error) in caplog.text
    assert isinstance(taken(ORDER, found, json.dumps(said).encode()), Doubt)


def test_a_key_that_was_given_up_is_never_taken(desk: Any) -> None:
    fence = Fence(desk)
    status, said = handle(fence, "POST", void("ada", "k-1"))
    assert voided(ORDER, status, json.dumps(said).encode()) == NotTaken()
    status, said = handle(fence, "POST", "/orders", post(ORDER))
    assert taken(ORDER, status, json.dumps(said).encode()) == NotTaken()
    assert desk.executed == []
    with pytest.raises(Voided):
        fence.execute(ORDER)
    assert handle(fence, "POST", "/orders", post(dataclasses.replace(ORDER, user_id="bob")))[0] == 200


def test_a_key_is_not_given_up_while_its_order_is_being_executed(desk: Any) -> None:
    fence, entered, go = Fence(desk), threading.Event(), threading.Event()
    execute = desk.execute

    def slowly(order: Order) -> OrderResult:
        entered.set()
        go.wait(10)
        return execute(order)

    desk.execute = slowly
    thread = threading.Thread(target=fence.execute, args=(ORDER,))
    thread.start()
    entered.wait(10)
    with pytest.raises(InProgress):
        fence.void("ada", "k-1")
    assert handle(fence, "POST", "/orders", post(ORDER))[0] == 409
    go.set()
    thread.join(10)
    assert fence.void("ada", "k-1") == desk.known["ada", "k-1"]
    assert fence.execute(ORDER) == desk.known["ada", "k-1"]


def test_orders_without_a_key_are_not_held_back(desk: Any) -> None:
    fence, bare = Fence(desk), dataclasses.replace(ORDER, idempotency_key=None)
    assert fence.execute(bare) != fence.execute(bare)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"error": {"code": "NOT_KNOWN", "problem": ""}}'),
        (404, b'{"user_id": "ada", "idempotency_key": "k-2", "error": {"code": "NOT_KNOWN", "problem": ""}}'),
        (404, b'{"user_id": null, "idempotency_key": "k-1", "error": {"code": "NOT_KNOWN", "problem": ""}}'),
        (404, b'{"user_id": "ada", "idempotency_key": "k-1", "error": {"code": "NO_ROUTE", "problem": ""}}'),
        (405, b'{"user_id": "ada", "idempotency_key": "k-1", "error": {"code": "NOT_KNOWN", "problem": ""}}'),
        (410, b'{"error": {"code": "VOIDED", "problem": ""}}'),
        (422, b'{"error": {"code": "SOMETHING", "problem": ""}}'),
        (200, b"null"),
        (204, b""),
        (404, b"\xff\xfe"),
    ],
)
def test_what_is_no_proof(status: int, body: bytes) -> None:
    assert isinstance(taken(ORDER, status, body), Doubt)
    assert isinstance(voided(ORDER, status, body), Doubt)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([200, 404, 410, 422, 500]))
def test_noise_is_never_believed(body: bytes, status: int) -> None:
    assert isinstance(taken(ORDER, status, body), Doubt)
    assert isinstance(voided(ORDER, status, body), Doubt)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(_Result.model_fields)), json_values)
def test_a_believed_result_can_be_true(make_desk: Any, name: str, value: Any) -> None:
    """One field is replaced by anything: either the answer is doubted, or what it says is possible."""
    result = make_desk().execute(ORDER).to_dict()
    body = json.dumps({"user_id": "ada", "idempotency_key": "k-1", "result": {**result, name: value}}).encode()
    found = taken(ORDER, 200, body)
    if isinstance(found, Done):
        believed = found.result
        assert isinstance(believed, OrderResult)
        assert (believed.symbol, believed.action, believed.shares) == ("AAPL", "buy", 100)
        assert 0 <= believed.filled_shares <= 100
        assert (believed.average_price is None) == (believed.filled_shares == 0)
        assert believed.average_price is None or believed.average_price > 0
        assert json.loads(json.dumps(believed.to_dict(), allow_nan=False))
    else:
        assert isinstance(found, get_args(Doubt | NotTaken))
