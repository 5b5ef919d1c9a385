"""The client of a smart order router. An edge module: the network, threads and the clock.

The rules are in :mod:`quantdesk.orders.client.core`; here they are driven, by ``httpx`` and by worker threads.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import pybreaker

from quantdesk.errors import BadInput
from quantdesk.orders.client.config import SorConfig
from quantdesk.orders.client.core import Answer, Ask, Fallback, Fault, Held, Parts, Resolved, Steps, reconciled, routed
from quantdesk.orders.client.embedded import EmbeddedDesk
from quantdesk.orders.client.journal import SqliteJournal
from quantdesk.orders.client.kept import keep
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger import Ledger
from quantdesk.orders.order import Action, Order, OrderType, TimeInForce, Urgency
from quantdesk.orders.result import OrderResult

__all__ = ["Executes", "SorClient", "get_sor_client"]

_LARGEST = 4_000_000
"""Bytes of an answer: more is no result."""
_REMEDY = "Give http://host:port or https://host:port, and a token in QUANTDESK_SOR_TOKEN."
Price = float | int | str | Decimal | None


class Executes(Protocol):
    """A desk in this process."""

    def execute(self, order: Order) -> OrderResult:
        """Execute an order."""
        ...


class SorClient:
    """Orders to a smart order router: a remote one, or the desk in this process.

    With a URL an order goes to a remote router; see :mod:`quantdesk.orders.client.core` for what happens when that is
    down, slow, or answers nonsense. Without one it goes to `desk`.

    A connection is made for each order and none is kept: the client may be shared between threads, event loops and
    forks, and no order is lost in a connection that the other end had closed meanwhile.

    Parameters
    ----------
    url
        ``http://host:port`` of a remote router.
    desk
        What executes without a URL.
    mode
        What the router is there for. In ``live`` nothing is ever executed as a mock.
    fallback
        The quotes, and guardrails, of a mock execution; without them an order that a remote did not take is rejected.
    config
        Timeouts, token, journal; from the environment when left out.
    ledger
        Where mock executions are written down too, in an account of their own; nowhere but in the journal when None.

    Raises
    ------
    BadInput
        Neither a URL nor a desk is given, or both; or the URL or the token cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        desk: Executes | None = None,
        mode: ExecutionMode | str = ExecutionMode.SIMULATED,
        *,
        fallback: Fallback | None = None,
        config: SorConfig | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        if (url is None) == (desk is None):
            raise BadInput("A SorClient has a URL or a desk, and not both.", "Give one of them.")
        try:
            self.mode = ExecutionMode(mode)
        except ValueError:
            raise BadInput(f"There is no mode {mode!r}.", f"Give {', '.join(ExecutionMode)}.") from None
        self.desk = desk
        self._ledger = ledger
        self.url = None if url is None else _checked(url)
        self._config = SorConfig.from_env() if config is None else config
        token = self._config.token
        if token is not None and not (token.get_secret_value().isascii() and token.get_secret_value().isprintable()):
            raise BadInput("The token of the remote router cannot be sent.", "It consists of printable ASCII.")
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=self._config.failures, reset_timeout=self._config.reset, throw_new_error_on_trip=False
        )
        self._parts = Parts(
            journal=SqliteJournal(self._config.journal_path),
            guard=self._guard,
            clock=time.time_ns,
            # Longer than an order is under way: two requests, each a connection, a wait and an answer in pieces.
            patience=int((4 * self._config.timeout + 2 * self._config.connect_timeout + 5) * 1e9),
            mode=self.mode,
            fallback=fallback,
        )

    def __repr__(self) -> str:
        where = f"url={self.url!r}" if self.url else f"desk={self.desk!r}"
        return f"SorClient({where}, mode={str(self.mode)!r})"

    async def route_and_execute(
        self,
        *,
        symbol: str,
        action: Action | str,
        shares: int,
        order_type: OrderType | str = "market",
        limit_price: Price = None,
        stop_loss_price: Price = None,
        urgency: Urgency | str = "normal",
        user_id: str | None = None,
        idempotency_key: str | None = None,
        stop_price: Price = None,
        time_in_force: TimeInForce | str = "day",
    ) -> dict[str, Any]:
        """Execute an order; the parameters are those of :class:`~quantdesk.orders.order.Order`.

        Returns
        -------
        dict
            See :class:`~quantdesk.orders.result.OrderResult`. Its status is ``pending_unknown`` while nobody knows
            whether a remote router took the order.

        Raises
        ------
        BadInput
            An argument cannot be used. Nothing was sent.
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        return (await self.execute_async(Order(**given))).to_dict()

    def route_and_execute_sync(self, **order: Any) -> dict[str, Any]:
        """The same as :meth:`route_and_execute`, in a program that has no event loop."""
        unknown = set(order) - set(_ARGUMENTS)
        if unknown:
            raise BadInput(f"An order has no {', '.join(sorted(unknown))}.", f"It has {', '.join(_ARGUMENTS)}.")
        return self.execute(Order(**order)).to_dict()

    async def execute_async(self, order: Order) -> OrderResult:
        """Execute an order."""
        order = self._keyed(order)
        result: OrderResult = await _drive_async(self._steps(order), self._remote_async)
        if self._ledger is not None:
            await asyncio.to_thread(keep, self._ledger, order, result, time.time_ns())
        return result

    def execute(self, order: Order) -> OrderResult:
        """Execute an order."""
        order = self._keyed(order)
        result: OrderResult = _drive(self._steps(order), self._remote)
        if self._ledger is not None:
            keep(self._ledger, order, result, time.time_ns())
        return result

    async def reconcile_async(self) -> list[Resolved]:
        """Ask the remote for every order of which nobody knows whether it was taken."""
        found: list[Resolved] = await _drive_async(reconciled(self._parts), self._remote_async) if self.url else []
        return found

    def reconcile(self) -> list[Resolved]:
        """Ask the remote for every order of which nobody knows whether it was taken.

        Orders that were begun within the last moments are left alone, as they may be under way in another process.

        Returns
        -------
        list
            One of each: what came of it, or that it is still unknown.
        """
        found: list[Resolved] = _drive(reconciled(self._parts), self._remote) if self.url else []
        return found

    def _keyed(self, order: Order) -> Order:
        """The order with a key, where it goes to a remote router: by it the router is asked what came of it."""
        if self.url is None or order.idempotency_key is not None:
            return order
        return dataclasses.replace(order, idempotency_key=str(uuid.uuid4()))

    def _steps(self, order: Order) -> Steps:
        if self.desk is not None:
            return _embedded(order, self.desk)
        return routed(order, self._parts)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            with self._breaker.calling():
                yield
        except pybreaker.CircuitBreakerError as error:
            raise Held(str(error)) from None

    # -------------------------------------------------------------------------------------------------- the network

    def _options(self) -> dict[str, Any]:
        token = self._config.token
        return {
            "base_url": self.url or "",
            "headers": {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {},
            "timeout": httpx.Timeout(self._config.timeout, connect=self._config.connect_timeout),
            "verify": _tls(),
        }

    def _remote(self, ask: Ask) -> Answer | Fault:
        deadline = time.monotonic() + self._config.timeout
        body = bytearray()
        try:
            with (
                httpx.Client(**self._options()) as client,
                client.stream(ask.method, ask.path, content=ask.body, headers=_JSON) as response,
            ):
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > _LARGEST:
                        return Fault(True, "The answer has no end")
                    if time.monotonic() > deadline:
                        return Fault(True, "The answer took too long")
                return Answer(response.status_code, bytes(body))
        except httpx.HTTPError as error:
            return _fault(error)

    async def _remote_async(self, ask: Ask) -> Answer | Fault:
        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._config.timeout + self._config.connect_timeout),
                httpx.AsyncClient(**self._options()) as client,
                client.stream(ask.method, ask.path, content=ask.body, headers=_JSON) as response,
            ):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _LARGEST:
                        return Fault(True, "The answer has no end")
                return Answer(response.status_code, bytes(body))
        except TimeoutError:
            return Fault(True, "The answer took too long")
        except httpx.HTTPError as error:
            return _fault(error)


# Not compressed, and read as it comes: a small answer that unfolds into a large one is no result either.
_JSON = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
_ARGUMENTS = ("symbol", "action", "shares", *(SorClient.route_and_execute.__kwdefaults__ or ()))


def _fault(error: httpx.HTTPError) -> Fault:
    # These two are raised while a connection is made (its name looked up, the handshake of TLS included), before a byte
    # of the request was written. Of everything else nobody can say how far the request got.
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Fault(False, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    # What other errors say may hold a header, and so the token.
    return Fault(True, f"No answer came ({type(error).__name__})")


def _embedded(order: Order, desk: Executes) -> Steps:
    return (yield partial(desk.execute, order))


def _drive(steps: Steps, remote: Any) -> Any:
    """Do what the steps ask for, until they return."""
    try:
        effect = next(steps)
        while True:
            try:
                came = remote(effect) if isinstance(effect, Ask) else effect()
            except Exception as error:  # noqa: BLE001 (handed on to whoever asked for the effect)
                effect = steps.throw(error)
            else:
                effect = steps.send(came)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


async def _drive_async(steps: Steps, remote: Any) -> Any:
    """The same, without holding up the event loop: calls are made in a worker thread."""
    try:
        effect = next(steps)
        while True:
            try:
                came = await remote(effect) if isinstance(effect, Ask) else await asyncio.to_thread(effect)
            except Exception as error:  # noqa: BLE001
                effect = steps.throw(error)
            else:
                effect = steps.send(came)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = httpx.URL(url).host, parts.port
    except (ValueError, httpx.InvalidURL):
        host = None
    else:
        if parts.scheme not in ("http", "https") or parts.query or parts.fragment or "@" in parts.netloc:
            host = None
    if not host:
        # What stands before an @ may be a password: the message does not hold the URL.
        raise BadInput("The URL of the remote router cannot be used.", _REMEDY)
    return url.rstrip("/")


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@lru_cache(maxsize=1)
def get_sor_client() -> SorClient:
    """The client of this process, as the environment describes it: see :class:`SorConfig`.

    With ``QUANTDESK_SOR_URL`` its orders go to a remote router, and without it to the desk of this process, which is
    opened at the first order.
    """
    config = SorConfig.from_env()
    return SorClient(config.url, None if config.url else EmbeddedDesk(), config.mode, config=config)
