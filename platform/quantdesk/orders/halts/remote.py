"""A service elsewhere that says whether symbols trade: one more source. An edge module: it uses the network.

It answers a GET with the JSON form of ``check_halt_status``. What does not answer in time, or answers anything else,
says nothing: UNKNOWN. A symbol that it had halted stays so until it says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from quantdesk.orders.amounts import SECOND
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.symbols import canonical

__all__ = ["Remote"]


class Remote:
    """The service.

    Parameters
    ----------
    url
        Its address; ``{symbol}`` in it is replaced, and otherwise ``/SYMBOL`` is added.
    timeout_s
        For the whole answer.
    stale_s
        Seconds after which its word that something trades is too old.
    """

    def __init__(self, url: str, timeout_s: float = 2.0, stale_s: float = 180.0) -> None:
        self.url = url
        self._timeout = timeout_s
        self._stale = stale_s
        self._told: dict[str, tuple[HaltStatus, int]] = {}

    def ask(self, symbol: str, at: int) -> None:
        """Ask for a symbol; :meth:`status` tells the answer. Raises nothing that a server can cause."""
        name = canonical(symbol)
        try:
            with httpx.Client(timeout=self._timeout) as client:
                self._take(name, at, client.get(self._address(name)))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._fail(name, at, f"does not answer ({str(error) or type(error).__name__})")

    async def ask_async(self, symbol: str, at: int) -> None:
        """The same without keeping the event loop."""
        name = canonical(symbol)
        try:
            async with httpx.AsyncClient(timeout=self._timeout) as client:
                self._take(name, at, await client.get(self._address(name)))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._fail(name, at, f"does not answer ({str(error) or type(error).__name__})")

    def status(self, symbol: str, at: int) -> HaltStatus | None:
        """What it said last; None where it was not asked."""
        found = self._told.get(canonical(symbol))
        if found is None:
            return None
        told, heard_at = found
        age = told.age_s + max(0.0, (at - heard_at) / SECOND)
        if told.status is Status.TRADING and age > self._stale:
            text = f"Not known: the answer of {self.url} is {age:,.0f} s old."
            return HaltStatus(told.symbol, Status.UNKNOWN, "", text, "remote", age)
        return HaltStatus(told.symbol, told.status, told.halt_type, told.message, "remote", age)

    def _address(self, symbol: str) -> str:
        if "{symbol}" in self.url:
            return self.url.replace("{symbol}", quote(symbol))
        return f"{self.url.rstrip('/')}/{quote(symbol)}"

    def _take(self, symbol: str, at: int, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            self._fail(symbol, at, f"answered {answer.status_code}")
            return
        try:
            self._told[symbol] = _read(symbol, answer.json()), at
        except (ValueError, TypeError, KeyError) as error:
            self._fail(symbol, at, f"gave no status ({error!r})")

    def _fail(self, symbol: str, at: int, problem: str) -> None:
        before = self._told.get(symbol)
        if before is not None and before[0].is_halted:
            return
        text = f"Not known: the service at {self.url} {problem}."
        self._told[symbol] = HaltStatus(symbol, Status.UNKNOWN, "", text, "remote", math.inf), at


def _read(symbol: str, given: Mapping[str, Any]) -> HaltStatus:
    if canonical(given["symbol"]) != symbol:
        raise ValueError(f"it speaks of {given['symbol']}")
    status = Status(given["status"])
    if bool(given["is_halted"]) is not (status is Status.HALTED):
        raise ValueError("status and is_halted differ")
    unknown = given["age_s"] is None and status is Status.UNKNOWN
    age = math.inf if unknown else float(given["age_s"])
    if math.isnan(age) or age < 0:
        raise ValueError(f"an age of {age} s")
    return HaltStatus(symbol, status, str(given["halt_type"]), str(given["message"]), "remote", age)
