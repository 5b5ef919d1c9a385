"""Orders and results as JSON, over anything that is shaped like HTTP. Pure.

The routes::

    POST /orders                              an order; answers its result
    GET  /orders/{id}                         how an order stands
    GET  /orders/by-key/{user}/{key}          the same, by its idempotency key
    POST /orders/by-key/{user}/{key}/void     the same; and if it is not known, it will never be taken

A ``NOT_KNOWN`` to the last is the proof that nothing was traded. To the one before it is none: the order may still lie
in the network, or in a buffer of the server, and be taken a second later.

What comes from the other end is believed only if it can be true: :func:`taken` and :func:`voided` turn everything else
into :class:`Doubt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal
from urllib.parse import quote, unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from quantdesk.errors import BadInput
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.guardrails.decision import GuardrailViolation
from quantdesk.orders.order import MAX_SHARES, Order
from quantdesk.orders.result import ChildResult, OrderResult, OrderStatus

__all__ = [
    "Done",
    "Doubt",
    "NotTaken",
    "Refused",
    "by_id",
    "by_key",
    "name_in",
    "read_result",
    "taken",
    "void",
    "voided",
]

_NOBODY = "-"


@dataclass(frozen=True, slots=True)
class Done:
    """The other end took the order."""

    result: OrderResult


@dataclass(frozen=True, slots=True)
class Refused:
    """The other end says that the order is bad input. It did not take it."""

    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The proof: the other end does not know the order, and will not take it any more."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Nobody knows. `reason` is a sentence."""

    reason: str


# ---------------------------------------------------------------------------------------------------------- addresses


def _segment(text: str) -> str:
    # Behind a tilde, so that no name is empty, is `.` or `..`, or is mistaken for nobody.
    return "~" + quote(text, safe="")


def by_key(user_id: str | None, idempotency_key: str) -> str:
    """The path of an order by its key, as it goes over the wire."""
    return f"/orders/by-key/{_NOBODY if user_id is None else _segment(user_id)}/{_segment(idempotency_key)}"


def void(user_id: str | None, idempotency_key: str) -> str:
    """The path that gives a key up."""
    return by_key(user_id, idempotency_key) + "/void"


def by_id(order_id: str) -> str:
    """The path of an order by its id."""
    return f"/orders/{_segment(order_id)}"


def name_in(segment: str) -> str | None:
    """The name in a segment of a path; None for nobody.

    Raises
    ------
    BadInput
        It is no such segment.
    """
    if segment == _NOBODY:
        return None
    if not segment.startswith("~"):
        raise BadInput(f"{segment[:40]!r} is no name.", "Write a tilde and the name, percent-encoded; - for nobody.")
    try:
        return unquote(segment[1:], errors="strict")
    except UnicodeDecodeError:
        raise BadInput(f"{segment[:40]!r} is no name.", "Percent-encode its UTF-8 form.") from None


# ------------------------------------------------------------------------------------------------------ reading results


def _money(text: str) -> str:
    try:
        fine = len(text) <= 40 and Decimal(text).is_finite()
    except InvalidOperation:
        fine = False
    if not fine:
        raise ValueError("no sum of money")
    return text


_Money = Annotated[str, AfterValidator(_money)]
_Shares = Annotated[int, Field(ge=0, le=MAX_SHARES)]
_Real = Annotated[float, Field(allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=200)]


class _Body(BaseModel):
    # Fields that a later version added are passed over: the two ends are not updated in the same second.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Child(_Body):
    client_id: _Text
    venue: _Text
    shares: _Shares
    filled_shares: _Shares
    average_price: _Money | None
    commission: _Money
    status: _Text


class _Violation(_Body):
    code: _Text
    message: str
    severity: Literal["blocking", "warning"]
    limit: str
    value: str
    clause: str


class _Result(_Body):
    order_id: Annotated[str, Field(min_length=1, max_length=200)]
    symbol: _Text
    action: _Text
    order_type: _Text
    status: OrderStatus
    shares: Annotated[int, Field(ge=1, le=MAX_SHARES)]
    filled_shares: _Shares
    average_price: _Money | None
    commission: _Money
    venues: tuple[_Text, ...]
    venue_scores: dict[str, _Real]
    arrival_midpoint: _Money | None
    arrival_bid: _Money | None
    arrival_ask: _Money | None
    slippage_bps: _Real | None
    slippage_nbbo_bps: _Real | None
    execution_time_ms: _Real
    routing_time_us: _Real
    reasoning: str
    execution_mode: ExecutionMode
    children: tuple[_Child, ...]
    violations: tuple[_Violation, ...]
    stop_loss_ids: tuple[_Text, ...]
    label: str
    was_known: bool


class _Envelope(_Body):
    user_id: str | None
    idempotency_key: str
    result: _Result


class _Trouble(_Body):
    code: _Text
    problem: str
    remedy: str = ""


class _Error(_Body):
    user_id: str | None = None
    idempotency_key: str | None = None
    error: _Trouble


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _price(text: str | None, what: str) -> Decimal | None:
    price = _decimal(text)
    if price is not None and price <= 0:
        raise ValueError(f"the {what} is {text}")
    return price


def _built(body: _Result) -> OrderResult:
    """The result, if it can be true in itself."""
    filled, status = body.filled_shares, body.status
    if filled > body.shares:
        raise ValueError(f"{filled} of {body.shares} shares are filled")
    if (body.average_price is None) != (filled == 0):
        raise ValueError(f"{filled} shares at an average of {body.average_price}")
    fits = {
        OrderStatus.FILLED: filled == body.shares,
        OrderStatus.PARTIALLY_FILLED: 0 < filled < body.shares,
        OrderStatus.CANCELLED: filled == 0,
        OrderStatus.REJECTED: filled == 0,
        OrderStatus.OPEN: filled < body.shares,
    }
    if not fits.get(status, True):
        raise ValueError(f"{filled} of {body.shares} shares are filled, and it is called {status}")
    for child in body.children:
        if child.filled_shares > child.shares:
            raise ValueError(f"{child.filled_shares} of {child.shares} shares of a part are filled")
        if (child.average_price is None) != (child.filled_shares == 0):
            raise ValueError(f"{child.filled_shares} shares of a part at an average of {child.average_price}")
    given = {name: getattr(body, name) for name in type(body).model_fields}
    for name in ("average_price", "arrival_midpoint", "arrival_bid", "arrival_ask"):
        given[name] = _price(given[name], name)
    given["commission"] = Decimal(body.commission)
    given["children"] = tuple(
        ChildResult(
            **{
                **child.model_dump(),
                "average_price": _price(child.average_price, "average_price"),
                "commission": Decimal(child.commission),
            }
        )
        for child in body.children
    )
    given["violations"] = tuple(GuardrailViolation(**violation.model_dump()) for violation in body.violations)
    return OrderResult(**given)


def read_result(text: str | bytes) -> OrderResult:
    """A result from the JSON of :meth:`~quantdesk.orders.result.OrderResult.to_dict`.

    Raises
    ------
    ValueError
        It is no result, or cannot be true in itself.
    """
    return _built(_Result.model_validate_json(text))


def _answers(order: Order, body: bytes) -> OrderResult:
    """The result in an envelope, if it can be the result of this order."""
    envelope = _Envelope.model_validate_json(body)
    result = _built(envelope.result)
    if (envelope.user_id, envelope.idempotency_key) != (order.user_id, order.idempotency_key):
        raise ValueError("it is about another order's key")
    for name in ("symbol", "action", "shares"):
        if getattr(result, name) != getattr(order, name):
            raise ValueError(f"it is about another order: its {name} is {getattr(result, name)!r:.40}")
    if result.order_type != order.order_type:
        raise ValueError(f"it is about another order: its type is {result.order_type!r:.40}")
    return result


def _why(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)


def _trouble(status: int, body: bytes) -> _Error | None:
    """An error in the form of the server; None for what somebody in between has written."""
    try:
        return _Error.model_validate_json(body) if status >= 400 else None
    except ValidationError:
        return None


def _doubt(status: int, body: bytes) -> Doubt:
    trouble = _trouble(status, body)
    said = f" ({trouble.error.code})" if trouble else ""
    return Doubt(f"The remote router answered with status {status}{said}.")


def taken(order: Order, status: int, body: bytes) -> Done | Refused | NotTaken | Doubt:
    """What an answer to ``POST /orders`` says."""
    if status == 200:
        try:
            return Done(_answers(order, body))
        except ValueError as error:
            return Doubt(f"The remote router answered nonsense: {_why(error)}.")
    trouble = _trouble(status, body)
    if status == 422 and trouble and trouble.error.code == "BAD_INPUT":
        return Refused(trouble.error.problem, trouble.error.remedy)
    if status == 410 and trouble and trouble.error.code == "VOIDED" and _same_key(order, trouble):
        return NotTaken()
    return _doubt(status, body)


def voided(order: Order, status: int, body: bytes) -> Done | NotTaken | Doubt:
    """What an answer to the giving up of a key says; with `GET` by key, what it says of a known order."""
    if status == 200:
        try:
            return Done(_answers(order, body))
        except ValueError as error:
            return Doubt(f"The remote router answered nonsense: {_why(error)}.")
    trouble = _trouble(status, body)
    if status == 404 and trouble and trouble.error.code == "NOT_KNOWN" and _same_key(order, trouble):
        return NotTaken()
    return _doubt(status, body)


def _same_key(order: Order, trouble: _Error) -> bool:
    return (trouble.user_id, trouble.idempotency_key) == (order.user_id, order.idempotency_key)
