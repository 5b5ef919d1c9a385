"""How an order goes to a remote router, and what is done when that fails. Pure: it asks for effects, and has none.

:func:`routed` and :func:`reconciled` are generators. They yield what is to be done outside, an :class:`Ask` to be sent
or a call to be made (of the journal, of a source of quotes), and are given what came of it: an :class:`Answer` or a
:class:`Fault` for the one, the value or the exception for the other. An asynchronous and a plain shell drive the same
code.

The rules. The key of an order is in the journal before the order leaves. An order is sent once. It is executed as a
mock only after proof that the remote did not take it: its connection failed before anything was sent, the circuit
breaker let nothing out, or the remote gave its key up. In live mode it is never executed as a mock. Without proof it
stays ``PENDING_UNKNOWN``, here and in the journal, until the remote can be asked.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from quantdesk.errors import BadInput, QuantdeskError
from quantdesk.orders.client.mock import mocked, nothing
from quantdesk.orders.client.wire import Done, Doubt, NotTaken, Refused, by_key, taken, void, voided
from quantdesk.orders.executions import ExecutionMode, GatewayDown
from quantdesk.orders.guardrails.decision import Decision, GuardrailViolation
from quantdesk.orders.order import Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.result import OrderResult, OrderStatus

__all__ = [
    "Answer",
    "Ask",
    "Entry",
    "Fallback",
    "Fault",
    "Held",
    "Journal",
    "Parts",
    "Resolved",
    "reconciled",
    "routed",
]

_log = logging.getLogger(__name__)
_NAMES = uuid.UUID("6f0b4a52-6f1d-4d0a-9d4e-0c1f9a1f7e11")
_UNREACHABLE = "ROUTER_UNREACHABLE"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to be sent: `path` as it goes over the wire; `body` is JSON, or nothing."""

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Nothing that could be used came back; `sent` is False only where the request provably did not leave."""

    sent: bool
    reason: str


Effect = Ask | Callable[[], Any]
Steps = Generator[Effect, Any, Any]
Result = Generator[Effect, Any, OrderResult]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal holds of a key.

    Attributes
    ----------
    order
        The order as it was first given.
    at
        When it was first given: nanoseconds since 1970 (UTC).
    result
        What is known to have come of it; None while that is unknown.
    here
        Whether that result was made here, a mock or an error, and the remote never took the order.
    is_new
        Whether this attempt is the first, and so may send it.
    """

    order: Order
    at: int
    result: OrderResult | None = None
    here: bool = False
    is_new: bool = False


class Journal(Protocol):
    """Keys that outlive the process. Each method is one transaction."""

    def begin(self, order: Order, now: int) -> Entry:
        """Note that an order is about to be sent; what was known of its key before."""
        ...

    def finish(self, order: Order, result: OrderResult, *, here: bool) -> OrderResult:
        """Note what came of it; what now stands: a result that was made here is never replaced, nor replaces one."""
        ...

    def forget(self, order: Order) -> None:
        """Take back :meth:`begin`: the order never left, and its key may be used again."""
        ...

    def unknown(self, before: int) -> Sequence[Entry]:
        """Entries from before a moment of which nobody knows what came of them."""
        ...


class Held(Exception):
    """A circuit breaker let nothing out."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What mock execution may use.

    Attributes
    ----------
    quotes
        Gives the books of a symbol, or None.
    check
        Guardrails to be asked before a mock fill; without them the result says that none were asked.
    """

    quotes: Callable[[str], Quotes | None]
    check: Callable[[Order], Decision] | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps need.

    Attributes
    ----------
    journal
        See :class:`Journal`.
    guard
        Makes a context that raises :class:`Held` on entry while the remote is left alone, and counts exceptions.
    clock
        Nanoseconds since 1970 (UTC).
    patience
        Nanoseconds after which an order that was begun and not finished is no longer under way.
    mode
        What the remote is there for. In ``live`` nothing is executed as a mock.
    fallback
        For mock execution.
    """

    journal: Journal
    guard: Callable[[], AbstractContextManager[Any]]
    clock: Callable[[], int]
    patience: int
    mode: ExecutionMode
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """What :func:`reconciled` says of an order.

    Attributes
    ----------
    user_id, idempotency_key
        Which.
    result
        What came of it; still ``PENDING_UNKNOWN`` where the remote could not say.
    """

    user_id: str | None
    idempotency_key: str
    result: OrderResult

    def to_dict(self) -> dict[str, Any]:
        """Numbers and text."""
        key = {"user_id": self.user_id, "idempotency_key": self.idempotency_key}
        return {**key, "result": self.result.to_dict()}


class _Failed(Exception):
    """Counted by the breaker, caught here."""

    def __init__(self, sent: bool, reason: str) -> None:
        self.sent = sent
        self.reason = reason
        super().__init__(reason)


def routed(order: Order, parts: Parts) -> Result:
    """Send an order that has an idempotency key; what came of it.

    Raises
    ------
    BadInput
        The remote says that the order is bad, or the key belongs to another order.
    EnvironmentProblem, DataError
        The journal cannot be written or read. Nothing was sent.
    """
    entry: Entry = yield partial(parts.journal.begin, order, parts.clock())
    if entry.result is not None and (entry.here or entry.result.status.is_final):
        return replace(entry.result, was_known=True)
    if not entry.is_new:
        return replace((yield from _asked_again(entry, parts)), was_known=True)
    said: Done | Refused | NotTaken | Doubt
    try:
        said = yield from _sent(order, parts)
    except Held:
        return (yield from _unsent(order, parts, "The remote router failed too often, and is left alone for a while."))
    except _Failed as failed:
        if not failed.sent:
            return (yield from _unsent(order, parts, f"The remote router could not be reached: {failed.reason}."))
        said = yield from _given_up(order)
        if isinstance(said, Doubt):
            return _pending(order, parts, f"{failed.reason.rstrip('.')}. {said.reason}")
    return (yield from _settled(order, said, parts, "The remote router did not take the order in time."))


def reconciled(parts: Parts) -> Generator[Effect, Any, list[Resolved]]:
    """Ask the remote for every order of which nobody knows what came of it.

    An order that it did not take ends as rejected: nothing is executed as a mock long after the event.
    """
    entries: Sequence[Entry] = yield partial(parts.journal.unknown, parts.clock() - parts.patience)
    found = []
    for entry in entries:
        said = yield from _given_up(entry.order)
        match said:
            case Done():
                result = yield from _settled(entry.order, said, parts, "")
            case NotTaken():
                never = _rejected(entry.order, parts.mode, "The remote router never took the order.")
                result = yield from _kept(parts, entry.order, never, here=True)
            case Doubt(reason):
                result = _pending(entry.order, parts, reason)
        found.append(Resolved(entry.order.user_id, entry.order.idempotency_key or "", result))
    return found


def _sent(order: Order, parts: Parts) -> Generator[Effect, Any, Done | Refused | NotTaken]:
    with parts.guard():
        came = yield Ask("POST", "/orders", json.dumps(order.to_dict()).encode())
        if isinstance(came, Fault):
            raise _Failed(came.sent, came.reason)
        said = taken(order, came.status, came.body)
        if isinstance(said, Doubt):
            raise _Failed(True, said.reason)
        return said


def _given_up(order: Order) -> Generator[Effect, Any, Done | NotTaken | Doubt]:
    """Ask for an order that may have been taken, so that it cannot be taken afterwards."""
    came = yield Ask("POST", void(order.user_id, order.idempotency_key or ""))
    return Doubt(f"{came.reason}.") if isinstance(came, Fault) else voided(order, came.status, came.body)


def _asked_again(entry: Entry, parts: Parts) -> Result:
    """A repeated request of an order that was sent: it is asked for, and never sent again."""
    order = entry.order
    if entry.result is None and parts.clock() - entry.at >= parts.patience:
        said = yield from _given_up(order)
        if isinstance(said, Done | NotTaken):
            return (yield from _settled(order, said, parts, "The remote router did not take the order in time."))
        return _pending(order, parts, said.reason)
    # The first request may be under way still, and its key is left to it.
    came = yield Ask("GET", by_key(order.user_id, order.idempotency_key or ""))
    said = Doubt(f"{came.reason}.") if isinstance(came, Fault) else voided(order, came.status, came.body)
    if isinstance(said, Done):
        return (yield from _settled(order, said, parts, ""))
    if entry.result is not None:
        return entry.result
    return _pending(order, parts, said.reason if isinstance(said, Doubt) else "Its first request is under way.")


def _settled(order: Order, said: Done | Refused | NotTaken, parts: Parts, why: str) -> Result:
    """Keep what is certain."""
    match said:
        case Done(result):
            try:
                return (yield from _kept(parts, order, result, here=False))
            except QuantdeskError:
                # The order was executed, and that is what the caller must hear; the journal still says "unknown".
                _log.exception("The result of an order that was executed could not be written down.")
                return result
        case Refused(problem, remedy):
            yield partial(parts.journal.forget, order)
            raise BadInput(problem, remedy)
        case NotTaken():
            result = yield from _instead(order, parts, why)
            return (yield from _kept(parts, order, result, here=True))


def _unsent(order: Order, parts: Parts, why: str) -> Result:
    """An order that never left."""
    result = yield from _instead(order, parts, why)
    if result.status is OrderStatus.REJECTED:
        yield partial(parts.journal.forget, order)
        return result
    return (yield from _kept(parts, order, result, here=True))


def _kept(parts: Parts, order: Order, result: OrderResult, *, here: bool) -> Result:
    stands: OrderResult = yield partial(parts.journal.finish, order, result, here=here)
    return stands


def _instead(order: Order, parts: Parts, why: str) -> Result:
    """A mock fill, or a rejection that says why not. Only to be called with proof."""
    if parts.mode is ExecutionMode.LIVE:
        return _rejected(order, parts.mode, f"{why} In live mode nothing is executed as a mock.")
    if parts.fallback is None:
        return _rejected(order, parts.mode, f"{why} No quotes are at hand for a mock execution.")
    check = parts.fallback.check
    violations: tuple[GuardrailViolation, ...] = ()
    if check is not None:
        decision: Decision = yield partial(check, order)
        violations = decision.violations
        if not decision.allowed:
            text = f"{why} Guardrails blocked it. Nothing was traded."
            return nothing(order, _local(order), OrderStatus.REJECTED, ExecutionMode.MOCK, text, violations)
    try:
        quotes: Quotes | None = yield partial(parts.fallback.quotes, order.symbol)
    except (QuantdeskError, GatewayDown) as error:
        quotes, why = None, f"{why} {error}"
    result = mocked(order, _local(order), quotes, why if check else f"{why} No guardrails were asked.")
    return replace(result, violations=violations)


def _rejected(order: Order, mode: ExecutionMode, why: str) -> OrderResult:
    told = GuardrailViolation(_UNREACHABLE, why, "blocking", limit="a remote router that answers")
    return nothing(order, _local(order), OrderStatus.REJECTED, mode, f"{why} Nothing was traded.", (told,))


def _pending(order: Order, parts: Parts, reason: str) -> OrderResult:
    text = (
        f"{reason} Nobody knows whether the order was taken. It is not sent again; reconcile() finds out, by its key "
        f"{order.idempotency_key}."
    )
    return nothing(order, _local(order), OrderStatus.PENDING_UNKNOWN, parts.mode, text)


def _local(order: Order) -> str:
    """An id for an order that has none of the remote's: the same for the same key."""
    return f"local-{uuid.uuid5(_NAMES, json.dumps([order.user_id, order.idempotency_key]))}"
