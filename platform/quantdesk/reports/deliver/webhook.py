"""A message to a webhook that takes what Slack takes (Mattermost and Rocket.Chat do). An edge module: it uses HTTP.

What a webhook could be used for against this machine is closed: only the addresses of the settings are asked, by https;
a name that leads to a private address is refused, and the connection goes to the very address that was checked; a
redirect is not followed; the answer is read as far as an error message needs it; and everything together has one time
limit, however slowly the other side talks.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from quantdesk.errors import BadInput
from quantdesk.reports.deliver.channel import Permanent, Temporary, Undelivered
from quantdesk.reports.deliver.message import Message, one_line
from quantdesk.reports.deliver.payload import payload

__all__ = ["Webhook", "Wire"]

LONGEST_ANSWER = 2000
"""Bytes of an answer that are looked at."""


@dataclass(frozen=True)
class Wire:
    """How webhooks may be reached.

    Attributes
    ----------
    allow_http
        Whether an address may be http.
    allow_private
        Whether an address may be inside the network: loopback, 10/8, link-local and the like.
    timeout_s
        Seconds for everything, the look-up of the name included.
    ca_file
        Certificates to trust in place of the system's.
    """

    allow_http: bool = False
    allow_private: bool = False
    timeout_s: float = 15.0
    ca_file: Path | None = None


class Webhook:
    """The channel ``webhook``.

    Parameters
    ----------
    urls
        Address by name. Whoever knows the address of a webhook can write to it: it appears in no message of ours.
    wire
        What is allowed.

    Raises
    ------
    BadInput
        An address that is none, or that is not allowed whatever it leads to.
    """

    def __init__(self, urls: Mapping[str, SecretStr], wire: Wire | None = None) -> None:
        self._wire = wire or Wire()
        self._verify = ssl.create_default_context(cafile=self._wire.ca_file)
        self._urls = {name: _checked(name, url, self._wire) for name, url in urls.items()}

    def __repr__(self) -> str:
        return f"Webhook({', '.join(sorted(self._urls)) or 'none'})"

    def send(self, message: Message) -> None:
        """Post it. See :class:`~quantdesk.reports.deliver.channel.Channel`."""
        name = message.to.target.removeprefix("#")
        url = self._urls.get(name)
        if url is None:
            # Whoever adds the name to the settings wants what waits for it.
            raise Temporary(
                f"There is no webhook {name[:80]!a} in the settings.", "Add it to QUANTDESK_DELIVERY_WEBHOOKS."
            )
        deadline = time.monotonic() + self._wire.timeout_s
        address = _public(name, url, self._wire)

        def post() -> None:
            left = max(0.001, deadline - time.monotonic())
            asyncio.run(asyncio.wait_for(self._post(name, url, address, message), left))

        try:
            # In a thread of its own: the caller's may have a loop that is running, as in a notebook.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(post).result()
        except TimeoutError as error:
            raise Temporary(f"The webhook {name} gave no answer in {self._wire.timeout_s:g} s.") from error
        except httpx.HTTPError as error:
            # The text of an error may hold the address, so its kind alone is told.
            raise Temporary(f"The webhook {name} cannot be reached ({_kind(error)}).") from error

    async def _post(self, name: str, url: httpx.URL, address: str, message: Message) -> None:
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Idempotency-Key": message.id,
            "User-Agent": "quantdesk",
            "Accept": "*/*",
            **_auth(url),
        }
        # To the address that was checked, whatever a second look-up of the name would say; the certificate has to be
        # that of the name.
        pinned = url.copy_with(host=address, username=None, password=None)
        extensions: dict[str, Any] = {"timeout": httpx.Timeout(self._wire.timeout_s).as_dict()}
        if url.scheme == "https":
            extensions["sni_hostname"] = url.host
        request = httpx.Request("POST", pinned, json=payload(message), headers=headers, extensions=extensions)
        # The transport itself: httpx's client would write the address into its log, follow the environment's proxies
        # and keep cookies.
        async with httpx.AsyncHTTPTransport(verify=self._verify, trust_env=False) as transport:
            answer = await transport.handle_async_request(request)
            try:
                if not answer.is_success:
                    raise _refused(name, answer, await _said(answer))
            finally:
                await answer.aclose()


def _checked(name: str, url: SecretStr, wire: Wire) -> httpx.URL:
    remedy = "Write https://host/path."
    try:
        found = httpx.URL(url.get_secret_value().strip())
    except (httpx.InvalidURL, TypeError, ValueError):
        raise BadInput(f"The address of the webhook {name!r} cannot be read.", remedy) from None
    if found.scheme not in {"https", "http"} or not found.host or found.fragment:
        raise BadInput(f"The address of the webhook {name!r} is no address for http.", remedy)
    if found.scheme == "http" and not wire.allow_http:
        raise BadInput(
            f"The address of the webhook {name!r} is not https.",
            "Write https://, or set QUANTDESK_DELIVERY_ALLOW_HTTP=true where the line itself is safe.",
        )
    return found


def _auth(url: httpx.URL) -> dict[str, str]:
    if not url.username:
        return {}
    packed = base64.b64encode(f"{url.username}:{url.password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {packed}"}


def _public(name: str, url: httpx.URL, wire: Wire) -> str:
    """The address to connect to, when everything that the name leads to is allowed."""
    found = _addresses(url.host, url.port or (443 if url.scheme == "https" else 80), wire.timeout_s)
    if not found:
        raise Temporary(f"The host of the webhook {name} is not found.")
    for text in found:
        if not wire.allow_private and not _is_public(ipaddress.ip_address(text)):
            raise Permanent(
                f"The webhook {name} leads into a private network.",
                "Set QUANTDESK_DELIVERY_ALLOW_PRIVATE=true where that is meant.",
            )
    return found[0]


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        # NAT64 (RFC 6052) carries an IPv4 address in its last 32 bits.
        if inner is None and address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


def _addresses(host: str, port: int, within_s: float) -> list[str]:
    """What a name leads to; nothing when the look-up fails, or takes too long: no library can interrupt one."""
    answers: queue.Queue[list[str]] = queue.Queue(1)

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(item[4][0]).partition("%")[0] for item in found])
        except (OSError, UnicodeError):
            answers.put([])

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    try:
        return answers.get(timeout=within_s)
    except queue.Empty:
        return []


async def _said(answer: httpx.Response) -> str:
    taken = b""
    async for chunk in answer.aiter_raw(LONGEST_ANSWER):
        taken += chunk
        if len(taken) >= LONGEST_ANSWER:
            break
    # A page of HTML says nothing to a person in one line.
    text = one_line(taken[:LONGEST_ANSWER].decode("utf-8", "replace"), 120)
    return "" if text.startswith("<") else text


def _refused(name: str, answer: httpx.Response, said: str) -> Undelivered:
    code = answer.status_code
    problem = f"The webhook {name} answers {code}" + (f" ({said})." if said else ".")
    if 300 <= code < 400:
        return Permanent(problem, "Redirects are not followed: write the final address into the settings.")
    if code in {408, 425, 429} or code >= 500:
        return Temporary(problem, retry_after_s=_wait(answer.headers.get("Retry-After")))
    return Permanent(problem, "Check its address in QUANTDESK_DELIVERY_WEBHOOKS.")


def _wait(text: str | None) -> float | None:
    """Seconds that a Retry-After asks for (RFC 9110, section 10.2.3): a number, or a date."""
    if text is None:
        return None
    given = text.strip()
    if given.isascii() and given.isdecimal():
        return float(given[:9])
    try:
        at = parsedate_to_datetime(given)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp())


def _kind(error: Exception) -> str:
    words = {
        "ConnectError": "no connection, or a certificate that is not trusted",
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "no answer in time",
        "RemoteProtocolError": "it does not speak HTTP",
    }
    return words.get(type(error).__name__, type(error).__name__)
