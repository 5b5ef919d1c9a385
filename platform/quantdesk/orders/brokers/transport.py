"""Requests to Alpaca, and what it means when they fail. An edge module: the network.

``alpaca-py`` sends them. It sets no timeout, and after a 429 or a 504 it sends a request again, an order too; both are
mended here: each request has a timeout, reads wait as long as Alpaca says and are repeated a few times, and an order is
sent once.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.retry import Retry

from quantdesk.orders.brokers.reports import Unreadable
from quantdesk.orders.brokers.sdk import APIError, RESTClient
from quantdesk.orders.executions import GatewayDown

__all__ = ["Refusal", "call", "never_left", "prepare"]

_LONGEST_WAIT = 30
"""Seconds that a read waits at most before it is repeated, whatever the answer says."""


class Refusal(Exception):
    """Alpaca answered with an error in its own form.

    Attributes
    ----------
    status
        Of HTTP.
    code
        Of Alpaca, such as 40310000 for too little buying power; 0 where it gave none.
    message
        As Alpaca put it.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(f"Alpaca answered {status}: {message}")


class _Timed(HTTPAdapter):
    def __init__(self, connect: float, read: float) -> None:
        self._timeout = (connect, read)
        super().__init__(
            max_retries=Retry(
                total=3,
                connect=0,
                read=0,
                redirect=0,
                other=0,
                status=3,
                allowed_methods={"GET"},
                status_forcelist={429},
                respect_retry_after_header=True,
                retry_after_max=_LONGEST_WAIT,
                backoff_factor=0.5,
                raise_on_status=False,
            )
        )

    def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
        options["timeout"] = options.get("timeout") or self._timeout
        return super().send(request, *arguments, **options)


def prepare(client: RESTClient, connect: float, read: float) -> None:
    """Give a client of ``alpaca-py`` timeouts, and take its own repetitions from it.

    Parameters
    ----------
    client
        Which.
    connect, read
        Seconds for a connection, and between two pieces of an answer.
    """
    adapter = _Timed(connect, read)
    for scheme in ("https://", "http://"):
        client._session.mount(scheme, adapter)
    client._retry = 0


def call(request: Callable[[], Any]) -> Any:
    """What a request was answered.

    Raises
    ------
    Refusal
        Alpaca says no, in its own form.
    GatewayDown
        It cannot be reached, or what it answered cannot be understood; `sent` is False only where the request never
        left.
    """
    try:
        return request()
    except APIError as error:
        status, body = error.status_code or 0, _object(str(error._error))
        if body is None:
            raise GatewayDown(f"Alpaca answered with status {status} and no error of its own.", sent=True) from None
        code = body.get("code")
        raise Refusal(status, code if isinstance(code, int) else 0, str(body.get("message", ""))[:200]) from None
    except requests.RequestException as error:
        # The message is left out: it may name an address with what stands in its query.
        raise GatewayDown(f"No answer of Alpaca ({type(error).__name__}).", sent=not never_left(error)) from None
    except (ValueError, Unreadable) as error:
        raise GatewayDown(f"Alpaca's answer cannot be understood ({error}).", sent=True) from None


def never_left(error: BaseException) -> bool:
    """Whether a request provably did not leave: no connection was made, or the other end's certificate was refused."""
    return any(
        isinstance(cause, NewConnectionError | ConnectTimeoutError | ssl.SSLCertVerificationError)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it wraps, and what that wraps. ``requests`` and ``urllib3`` keep it in different places."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (*one.args, getattr(one, "reason", None), one.__cause__)
        waiting += [part for part in inner if isinstance(part, BaseException)]


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "message" in found else None
