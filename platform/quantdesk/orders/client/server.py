"""The other end of the wire: one request answered by a desk. Pure; any web framework can be put around it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from quantdesk.errors import BadInput, QuantdeskError, UnknownName
from quantdesk.orders.client.fence import Executor, InProgress, Voided
from quantdesk.orders.client.wire import name_in
from quantdesk.orders.order import Order
from quantdesk.orders.result import OrderResult

__all__ = ["Reply", "handle"]

_log = logging.getLogger(__name__)

Reply = tuple[int, dict[str, Any]]
"""A status, and what to send as JSON."""
Find = Callable[[str | None, str], OrderResult | None]


def _problem(status: int, code: str, problem: str, remedy: str = "", **more: Any) -> Reply:
    return status, {**more, "error": {"code": code, "problem": problem, "remedy": remedy}}


def handle(desk: Executor, method: str, path: str, body: bytes = b"") -> Reply:
    """Answer one request. Any web framework can be put around it.

    Parameters
    ----------
    desk
        What executes. Put a :class:`~quantdesk.orders.client.fence.Fence` around a desk, once, and give that: without
        it nothing can be given up, and a client that loses an answer learns less.
    method, path
        Of the request; the path as it went over the wire, percent-encoded, without a query.
    body
        Of the request.

    Returns
    -------
    tuple
        The status and what to send as JSON. The result of an order is in ``result``, beside ``user_id`` and
        ``idempotency_key``; an error is in ``error``: ``code``, ``problem``, ``remedy``.
    """
    try:
        return _handled(desk, method.upper(), path.split("/")[1:], body)
    except Voided as error:
        return _problem(410, "VOIDED", error.problem, error.remedy, **_key_in(body))
    except InProgress as error:
        return _problem(409, "IN_PROGRESS", error.problem, error.remedy)
    except BadInput as error:
        return _problem(422, "BAD_INPUT", error.problem, error.remedy)
    except QuantdeskError as error:
        _log.exception("An order could not be handled.")
        return _problem(503, "UNAVAILABLE", error.problem, error.remedy)
    except Exception:  # noqa: BLE001 (it is logged whole, and said)
        # Somebody waits for an answer; that it is none is said there, and everything else here.
        _log.exception("An order could not be handled.")
        return _problem(500, "INTERNAL", "The desk failed.", "Its log says how; ask for the order by its key.")


def _handled(desk: Executor, method: str, parts: list[str], body: bytes) -> Reply:
    void: Find | None = getattr(desk, "void", None)
    match method, parts:
        case "POST", ["orders"]:
            order = Order.from_dict(_json(body))
            return 200, _envelope(order.user_id, order.idempotency_key, desk.execute(order))
        case "GET", ["orders", order_id]:
            return _by_id(desk, name_in(order_id) or "")
        case "GET", ["orders", "by-key", user, key]:
            return _by_key(desk.find, user, key)
        case "POST", ["orders", "by-key", user, key, "void"] if void is not None:
            return _by_key(void, user, key)
        case _:
            return _problem(405 if parts[:1] == ["orders"] else 404, "NO_ROUTE", "There is no such route.")


def _by_id(desk: Executor, order_id: str) -> Reply:
    try:
        return 200, _envelope(None, None, desk.result(order_id))
    except UnknownName as error:
        return _problem(404, "UNKNOWN", error.problem, error.remedy)


def _by_key(find: Find, user: str, key: str) -> Reply:
    user_id, idempotency_key = name_in(user), name_in(key) or ""
    found = find(user_id, idempotency_key)
    if found is None:
        whose: dict[str, Any] = {"user_id": user_id, "idempotency_key": idempotency_key}
        return _problem(404, "NOT_KNOWN", "No order has this key.", **whose)
    return 200, _envelope(user_id, idempotency_key, found)


def _envelope(user_id: str | None, idempotency_key: str | None, result: OrderResult) -> dict[str, Any]:
    return {"user_id": user_id, "idempotency_key": idempotency_key, "result": result.to_dict()}


def _json(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, Mapping):
        raise BadInput("The body is no JSON object.", "Send the fields of an order as a JSON object.")
    return dict(given)


def _key_in(body: bytes) -> dict[str, Any]:
    given = _json(body)
    return {"user_id": given.get("user_id"), "idempotency_key": given.get("idempotency_key")}
