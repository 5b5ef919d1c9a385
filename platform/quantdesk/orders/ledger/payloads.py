"""Orders, children and executions as payloads of entries, and back: whole numbers stay whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Any, TypeVar

from quantdesk.errors import BadInput, DataError
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger.entries import EntryKind, Stored
from quantdesk.orders.order import Action, Child, Order, TimeInForce

__all__ = ["child_of", "execution_of", "field_of", "order_of", "order_payload"]

Made = TypeVar("Made", Child, Execution)

_CHILD: Mapping[str, type] = {
    "client_id": str,
    "venue": str,
    "symbol": str,
    "action": Action,
    "shares": int,
    "limit": int,
    "peg": bool,
    "time_in_force": TimeInForce,
    "iso": bool,
}
_EXECUTION: Mapping[str, type] = {
    "execution_id": str,
    "client_id": str,
    "kind": Kind,
    "at": int,
    "venue": str,
    "shares": int,
    "price": int,
    "fee": int,
    "liquidity": str,
    "text": str,
}

_NEEDED: Mapping[type, frozenset[str]] = {
    make: frozenset(one.name for one in fields(make) if one.default is MISSING) for make in (Child, Execution)
}
"""The fields that have no default."""


def order_payload(order: Order, mode: ExecutionMode) -> dict[str, Any]:
    """The payload of an entry of kind ORDER."""
    return {**order.to_dict(), "mode": str(mode)}


def order_of(stored: Stored) -> Order:
    """The order of an entry of kind ORDER.

    Raises
    ------
    DataError
        The entry is of another kind, or does not hold one.
    """
    _is(stored, EntryKind.ORDER)
    given = {name: value for name, value in stored.payload.items() if name != "mode"}
    try:
        return Order.from_dict(given)
    except BadInput as error:
        raise DataError(f"Entry {stored.seq} holds no order: {error.problem}", error.remedy) from error


def child_of(stored: Stored) -> Child:
    """The child of an entry of kind SENT.

    Raises
    ------
    DataError
        The entry is of another kind, or does not hold one.
    """
    _is(stored, EntryKind.SENT)
    return getattr(stored, "said", None) or _made(Child, stored, _CHILD)


def execution_of(stored: Stored) -> Execution:
    """The report of an entry of kind EXECUTION.

    Raises
    ------
    DataError
        The entry is of another kind, or does not hold one.
    """
    _is(stored, EntryKind.EXECUTION)
    return getattr(stored, "said", None) or _made(Execution, stored, _EXECUTION)


def field_of(stored: Stored, name: str, kind: type) -> Any:
    """A field of a payload that must be there.

    Raises
    ------
    DataError
        It is not, or is of another type.
    """
    try:
        value = stored.payload[name]
    except KeyError:
        raise DataError(f"Entry {stored.seq} ({stored.kind}) has no {name}.", "Something else wrote it.") from None
    if issubclass(kind, StrEnum) and isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            pass
    elif type(value) is kind:
        return value
    raise DataError(
        f"The {name} of entry {stored.seq} ({stored.kind}) is {value!r}.", f"It would have to be {_wanted(kind)}."
    )


def _wanted(kind: type) -> str:
    if issubclass(kind, StrEnum):
        return " or ".join(kind)
    return {int: "a whole number", bool: "true or false", str: "text"}[kind]


def _made(make: type[Made], stored: Stored, kinds: Mapping[str, type]) -> Made:
    payload, needed = stored.payload, _NEEDED[make]
    found: dict[str, Any] = {}
    for name, kind in kinds.items():
        value = payload.get(name, MISSING)
        if type(value) is kind:
            found[name] = value
        elif value is not MISSING or name in needed:
            found[name] = field_of(stored, name, kind)
    return make(**found)


def _is(stored: Stored, kind: EntryKind) -> None:
    if stored.kind is not kind:
        raise DataError(f"Entry {stored.seq} is of kind {stored.kind}.", f"One of kind {kind} was looked for.")
