r"""What a ledger holds: entries, their one form as text, and the chain of hashes over them. Pure.

The hash of an entry covers the hash of the one before, so that nobody can change, drop or insert an entry without
changing every hash behind it::

    hash(n) = SHA-256(hash(n-1) + "\n" + JSON [seq, at, kind, mode, order_id, client_id, user_id, payload])

in lower-case hexadecimal; the payload is in it as the text that is stored, and the first entry follows upon 64 zeros.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.orders.executions import Execution, ExecutionMode
from quantdesk.orders.order import Child

__all__ = ["GENESIS", "Entry", "EntryKind", "Stored", "canonical", "child_payload", "link", "plain", "text_of"]

GENESIS = "0" * 64
"""What the first entry follows upon."""
_LONGEST = 128
_MOMENTS = 1 << 63
_BITS = 14_000
"""Of the longest whole number: Python writes none of more than 4300 digits."""


class EntryKind(StrEnum):
    """What an entry says. In brackets what its payload holds, where the account or the ledger reads it."""

    ORDER = "order"
    """An order was received (`Order.to_dict()` and ``mode``). Written by :meth:`Ledger.receive` alone."""
    DECISION = "decision"
    """What guardrails said."""
    RECEIPT = "receipt"
    """What the router decided."""
    SENT = "sent"
    """A child is about to be sent (the fields of :class:`Child`; perhaps ``mark``, the price of its symbol)."""
    EXECUTION = "execution"
    """What a venue reported (`Execution.to_dict()`; the ledger adds ``symbol`` and ``action`` of the child)."""
    RESULT = "result"
    """How an order stands (``status``, see :class:`OrderStatus`)."""
    CANCEL_REQUESTED = "cancel_requested"
    REPLACED = "replaced"
    STOP_PLACED = "stop_placed"
    STOP_TRIGGERED = "stop_triggered"
    STOP_CANCELLED = "stop_cancelled"
    LIMIT_CHANGE = "limit_change"
    KILL = "kill"
    UNKILL = "unkill"
    DAY_STARTED = "day_started"
    """A session begins (``day``, as ISO 8601)."""
    TRANSFER = "transfer"
    """Shares that were there before the desk (``symbol``, signed ``shares``, ``price`` in micro-dollars)."""
    CHARGE = "charge"
    """A cost without a trade (``symbol``, ``fee`` in micro-dollars)."""
    RECONCILED = "reconciled"
    MARK = "mark"
    """A price to value a symbol at (``symbol``, ``price`` in micro-dollars)."""
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened.

    Parameters
    ----------
    kind
        What.
    at
        When: nanoseconds since 1970 (UTC).
    order_id, client_id
        Which order and child it is about, or nothing.
    user_id
        Who did it, or None.
    payload
        The rest: text, whole and finite numbers, truth values, None, and lists and mappings of these.
    mode
        Whose account it concerns. An entry about an order takes the order's, and so may leave it out; a transfer and a
        charge must have one; on a mark or the start of a day None means every account. A ``mode`` in the payload does.

    Raises
    ------
    BadInput
        Names the value and what would be right.
    """

    kind: EntryKind
    at: int
    order_id: str = ""
    client_id: str = ""
    user_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    mode: ExecutionMode | None = None

    def __post_init__(self) -> None:
        # This runs for everything that ever happens: what is right already is not put down once more.
        put = object.__setattr__
        if type(self.kind) is not EntryKind:
            try:
                put(self, "kind", EntryKind(self.kind))
            except ValueError:
                raise BadInput(f"There is no kind of entry {self.kind!r}.", f"Give {', '.join(EntryKind)}.") from None
        if type(self.at) is not int or not -_MOMENTS <= self.at < _MOMENTS:
            put(self, "at", _moment(self.at))
        _name("order_id", self.order_id)
        _name("client_id", self.client_id)
        if self.user_id is not None:
            _name("user_id", self.user_id)
        if type(self.payload) is not dict and not isinstance(self.payload, Mapping):
            raise BadInput(f"The payload of an entry is a {type(self.payload).__name__}.", "Give a mapping.")
        if type(self.mode) is not ExecutionMode or "mode" in self.payload:
            put(self, "mode", self._mode())

    def completed(self, order_id: str, client_id: str, payload: Mapping[str, Any], mode: ExecutionMode | None) -> Entry:
        """The same with what a ledger knows of it, which was looked at when the ledger got to know it."""
        made, put = object.__new__(Entry), object.__setattr__
        put(made, "kind", self.kind)
        put(made, "at", self.at)
        put(made, "order_id", order_id)
        put(made, "client_id", client_id)
        put(made, "user_id", self.user_id)
        put(made, "payload", payload)
        put(made, "mode", mode)
        return made

    @classmethod
    def sent(cls, child: Child, at: int, order_id: str, user_id: str | None = None, mark: int = 0) -> Entry:
        """A child is about to be sent; `mark`, unless 0, values its symbol (micro-dollars a share)."""
        payload = child_payload(child) | ({"mark": mark} if mark else {})
        return cls(EntryKind.SENT, at, order_id, child.client_id, user_id, payload)

    @classmethod
    def executed(cls, execution: Execution, at: int, order_id: str = "", user_id: str | None = None) -> Entry:
        """A venue reported; the order is that of the child."""
        return cls(EntryKind.EXECUTION, at, order_id, execution.client_id, user_id, execution.to_dict())

    def _mode(self) -> ExecutionMode | None:
        given = [one for one in (self.mode, self.payload.get("mode")) if one is not None]
        if not given:
            return None
        try:
            modes = {ExecutionMode(one) for one in given}
        except ValueError:
            raise BadInput(f"There is no execution mode {given[-1]!r}.", f"Give {', '.join(ExecutionMode)}.") from None
        if len(modes) > 1:
            raise BadInput(f"An entry of {given[0]} whose payload says {given[1]}.", "Give one execution mode.")
        return modes.pop()


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it is in the ledger.

    Attributes
    ----------
    seq
        Its number, from 1, without gaps.
    hash
        See the module.
    kind, at, order_id, client_id, user_id, payload, mode
        See :class:`Entry`. The payload is what its text says: lists where there were tuples.
    """

    seq: int
    kind: EntryKind
    at: int
    order_id: str
    client_id: str
    user_id: str | None
    payload: Mapping[str, Any]
    mode: ExecutionMode | None
    hash: str


def child_payload(child: Child) -> dict[str, Any]:
    """The payload of an entry of kind SENT."""
    fields = {name: getattr(child, name) for name in Child.__slots__}
    return {**fields, "action": str(child.action), "time_in_force": str(child.time_in_force)}


def canonical(payload: Mapping[str, Any]) -> str:
    """The one text of a payload: JSON in ASCII, keys in order, no spaces.

    Raises
    ------
    BadInput
        It holds what JSON cannot say: a Decimal, a NaN, a key that is no text ...
    """
    return _encoded(plain(payload))


def text_of(payload: Mapping[str, Any]) -> str:
    """The same as :func:`canonical`, for what :func:`plain` gave.

    Raises
    ------
    BadInput
        Somebody has put something else into it since.
    """
    try:
        return _encoded(payload)
    except (TypeError, ValueError):
        return canonical(payload)


def plain(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a payload, as it comes back from its text: ``json.loads(canonical(payload))``, without the text.

    Raises
    ------
    BadInput
        See :func:`canonical`.
    """
    try:
        return _sorted(payload)
    except _UnsayableError:
        _check(payload, "payload")
        raise


def link(previous: str, entry: Stored | Entry, seq: int, payload: str) -> str:
    """The hash of an entry that follows upon `previous`."""
    mode = "null" if entry.mode is None else f'"{entry.mode}"'
    user = "null" if entry.user_id is None else _quoted(entry.user_id)
    names = f"{_quoted(entry.order_id)},{_quoted(entry.client_id)},{user}"
    # A JSON list without spaces, put together by hand: it is half as long on its way.
    text = f'{previous}\n[{seq},{entry.at},"{entry.kind}",{mode},{names},{_quoted(payload)}]'
    return hashlib.sha256(text.encode()).hexdigest()


_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False).encode
_quoted = json.encoder.encode_basestring_ascii
_AS_IT_IS = frozenset({str, bool, type(None)})
_FAR = 1 << 64


class _UnsayableError(Exception):
    """Something that JSON cannot say. Which one it is, :func:`_check` looks up."""


def _plain(value: Any) -> Any:
    # This runs for everything that is ever written: what is most frequent is looked at first, by its exact type.
    kind = type(value)
    if kind in _AS_IT_IS or (kind is int and -_FAR < value < _FAR) or (kind is float and math.isfinite(value)):
        return value
    if kind is dict:
        return _sorted(value)
    if kind is list or isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and value.bit_length() <= _BITS:
        return int.__int__(value)
    if isinstance(value, float) and math.isfinite(value):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return _sorted(value)
    raise _UnsayableError


def _sorted(value: Mapping[Any, Any]) -> dict[str, Any]:
    """A mapping of any kind as a dict, in the order of its keys."""
    try:
        keys = sorted(value)
    except TypeError:
        raise _UnsayableError from None
    made = {}
    for key in keys:
        if type(key) is not str and not isinstance(key, str):
            raise _UnsayableError
        one = value[key]
        kind = type(one)
        if kind not in _AS_IT_IS and not (kind is int and -_FAR < one < _FAR):
            one = _plain(one)
        made[key if type(key) is str else str.__str__(key)] = one
    return made


def _check(value: Any, where: str) -> None:
    """Name what JSON cannot say."""
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if value.bit_length() > _BITS:
            raise BadInput(f"The {where} of an entry is a number of {value.bit_length()} bits.", "Give it as text.")
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadInput(f"The {where} of an entry is {value!r}.", "Give a finite number, or None.")
        return
    if isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                raise BadInput(f"The {where} of an entry has the key {key!r}.", "Keys are text.")
            _check(one, f"{where}.{key}")
        return
    if isinstance(value, list | tuple):
        for number, one in enumerate(value):
            _check(one, f"{where}[{number}]")
        return
    raise BadInput(
        f"The {where} of an entry is a {type(value).__name__}, {str(value)[:60]!r}.",
        "Give text, whole or finite numbers, truth values, None, or lists and mappings of these.",
    )


def _moment(at: Any) -> int:
    try:
        whole = operator.index(at)
    except TypeError:
        whole = _MOMENTS
    if isinstance(at, bool) or not -_MOMENTS <= whole < _MOMENTS:
        raise BadInput(f"The time {at!r} of an entry.", "Give whole nanoseconds since 1970 (UTC).")
    return whole


def _name(what: str, text: Any) -> None:
    if not isinstance(text, str) or len(text) > _LONGEST or not text.isprintable():
        raise BadInput(f"The {what} {text!r} of an entry.", f"Give at most {_LONGEST} printable characters.")
