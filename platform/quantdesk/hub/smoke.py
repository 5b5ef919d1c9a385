"""Use a running platform as a person does, from outside, and say which part works. An edge module: the network.

It logs in, starts a server, runs a cell, runs a report, reads a halt, and puts back what it changed: the server is
stopped if it was started here, the token ends. What comes after a part that failed is tried all the same where it does
not depend on it, so that one run says everything.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import websocket

from quantdesk.errors import BadParameter

__all__ = ["Part", "Visit", "visit"]

SERVICE = "services/quantdesk"
TOKEN_SECONDS = 1800
_UNDER_WAY = frozenset({"waiting", "queued", "running"})


@dataclass(frozen=True)
class Part:
    """One part of a visit.

    Attributes
    ----------
    name
        What was tried.
    ok
        Whether it works; None where it was not tried, because it depends on one that failed.
    seconds
        How long it took.
    told
        What was seen, or what went wrong.
    """

    name: str
    ok: bool | None
    seconds: float
    told: str


class _Failed(Exception):
    """A part does not work; the message says why."""


class Visit:
    """One visit of one person.

    Parameters
    ----------
    url
        The hub's public address, such as ``https://desk.example``.
    user, password
        Who logs in through the login page; not needed with a token.
    token
        A token of the hub's token page, for a hub whose logins are at a provider.
    report
        The report to run; the first one without required parameters when empty.
    symbol
        Whose halts are read.
    seconds
        How long one part may take.

    Raises
    ------
    BadParameter
        The address is none, or nobody is named.
    """

    def __init__(
        self, url: str, *, user: str = "", password: str = "", token: str = "", report: str = "", symbol: str = "AAPL",
        seconds: float = 180.0,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadParameter(f"{url!r} is no address.", "Give the hub's, such as https://desk.example.")
        if not token and not (user and password):
            raise BadParameter("Nobody is named who could log in.", "Give a user and a password, or a token.")
        self.base = url.rstrip("/")
        self._user, self._password, self._token, self._report, self._symbol = user, password, token, report, symbol
        self._seconds = seconds
        self._client = httpx.Client(timeout=min(60.0, seconds), follow_redirects=True)
        self._undo: list[Callable[[], Any]] = []

    def parts(self) -> list[tuple[str, Callable[[], str], tuple[str, ...]]]:
        """Each part: its name, what does it, and the parts that it depends on."""
        return [
            ("hub", self._hub, ()),
            ("login", self._login, ("hub",)),
            ("server", self._server, ("login",)),
            ("cell", self._cell, ("server",)),
            ("report", self._run, ("login",)),
            ("halt", self._halt, ("login",)),
        ]

    def _get(self, path: str) -> Any:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **given: Any) -> Any:
        """The JSON that one address answers, with the token."""
        headers = {"Authorization": f"token {self._token}", **given.pop("headers", {})}
        answer = self._client.request(method, f"{self.base}/{path}", headers=headers, **given)
        if answer.is_error:
            raise _Failed(f"{method} /{path} answered {answer.status_code}: {_words(answer)}")
        return answer.json() if answer.content else None

    def _until(self, true: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + self._seconds
        while not (found := true()):
            if time.monotonic() > deadline:
                raise _Failed(f"{what} within {self._seconds:g} s.")
            time.sleep(0.3)
        return found

    def _hub(self) -> str:
        answer = self._client.get(f"{self.base}/hub/api/")
        if answer.is_error:
            raise _Failed(f"/hub/api/ answered {answer.status_code}.")
        return f"JupyterHub {answer.json()['version']}"

    def _login(self) -> str:
        if not self._token:
            self._log_in()
        found = self._get("hub/api/user")
        self._user = found["name"]
        return f"{self._user}, with {len(found['scopes'])} scopes"

    def _log_in(self) -> None:
        """Send the form of the login page, and have a token made that ends by itself."""
        page = self._client.get(f"{self.base}/hub/login")
        guard = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        form = {"username": self._user, "password": self._password, "_xsrf": guard[1] if guard else ""}
        answer = self._client.post(f"{self.base}/hub/login", data=form)
        if answer.is_error or answer.url.path.rstrip("/").endswith("/hub/login"):
            raise _Failed(f"The login of {self._user} was refused ({answer.status_code}).")
        self._client.get(f"{self.base}/hub/home")  # it brings the guard of the pages
        cookies = {one.name: one.value for one in self._client.cookies.jar if one.path == "/hub/"}
        head = {"X-XSRFToken": cookies.get("_xsrf") or "", "Referer": f"{self.base}/hub/home"}
        tokens = f"{self.base}/hub/api/users/{quote(self._user)}/tokens"
        made = self._client.post(tokens, json={"note": "smoke test", "expires_in": TOKEN_SECONDS}, headers=head)
        if made.is_error:
            raise _Failed(f"No token could be made: {made.status_code} {_words(made)}")
        self._token = made.json()["token"]
        self._undo.append(lambda: self._ask("DELETE", f"hub/api/users/{quote(self._user)}/tokens/{made.json()['id']}"))
        self._client.cookies.clear()  # from here on the token alone counts

    def _server(self) -> str:
        user = f"hub/api/users/{quote(self._user)}"
        servers = self._get(user).get("servers") or {}
        ready = bool(servers.get("", {}).get("ready"))
        if not ready:
            self._ask("POST", f"{user}/server")
            self._undo.append(lambda: self._ask("DELETE", f"{user}/server"))

        def answers() -> bool:
            asked = f"{self.base}/user/{quote(self._user)}/api/status"
            answer = self._client.get(asked, headers={"Authorization": f"token {self._token}"}, follow_redirects=False)
            return answer.status_code == 200

        self._until(answers, "The server did not answer")
        return "was running" if ready else "started"

    def _cell(self) -> str:
        user = f"user/{quote(self._user)}"
        kernel = self._ask("POST", f"{user}/api/kernels", json={"name": "quantdesk"})["id"]
        address = f"ws{self.base.removeprefix('http')}/{user}/api/kernels/{kernel}/channels"
        context = {"context": ssl.create_default_context()}
        try:
            channel = websocket.create_connection(
                address, header=[f"Authorization: token {self._token}"], timeout=self._seconds, sslopt=context
            )
            try:
                printed = _execute(channel, "import quantdesk; print(6 * 7, quantdesk.__version__)")
            finally:
                channel.close()
        finally:
            self._ask("DELETE", f"{user}/api/kernels/{kernel}")
        if not printed.startswith("42 "):
            raise _Failed(f"The cell printed {printed[:200]!r}, not 42.")
        return f"42, by quantdesk {printed.split()[1]}"

    def _run(self) -> str:
        name = self._report or self._first()
        asked = self._ask(
            "POST", f"{SERVICE}/api/v1/reports/{quote(name)}/runs", json={},
            headers={"Idempotency-Key": f"smoke-{uuid.uuid4()}"},
        )  # fmt: skip

        def ended() -> Any:
            found = self._get(f"{SERVICE}/api/v1/runs/{quote(asked['id'])}")
            return None if found["state"] in _UNDER_WAY else found

        found = self._until(ended, f"The run {asked['id']} of {name} did not end")
        if found["state"] != "completed":
            raise _Failed(f"The run {asked['id']} of {name} is {found['state']}: {found.get('problem')}")
        return f"{name} completed" + (", from cache" if found.get("cached_from") else "")

    def _first(self) -> str:
        for one in self._get(f"{SERVICE}/api/v1/reports")["items"]:
            if all(it["default"] is not None for it in one["parameters"]):
                return str(one["name"])
        raise _Failed("There is no report that runs without parameters.")

    def _halt(self) -> str:
        found = self._get(f"{SERVICE}/api/v1/halts/{quote(self._symbol)}")
        return f"{found['symbol']} is {found['status']}, says {found['source'] or 'nobody'}"

    def leave(self) -> list[str]:
        """Put back what was changed, the last first; what could not be put back."""
        left = []
        while self._undo:
            try:
                self._undo.pop()()
            except (_Failed, httpx.HTTPError) as error:
                left.append(str(error))
        self._client.close()
        return left


def visit(one: Visit, *, tell: Callable[[Part], None] = lambda _: None) -> list[Part]:
    """Try each part.

    Parameters
    ----------
    one
        Who visits what.
    tell
        Hears of each part when it has ended.

    Returns
    -------
    list of Part
        All parts in order; the last says whether everything was put back.
    """
    found: list[Part] = []
    good: set[str] = set()
    try:
        for name, work, needed in one.parts():
            begun = time.monotonic()
            missing = [need for need in needed if need not in good]
            if missing:
                part = Part(name, None, 0.0, f"not tried: {', '.join(missing)} failed")
            else:
                part = _tried(name, work, begun)
            if part.ok:
                good.add(name)
            found.append(part)
            tell(part)
    finally:
        begun = time.monotonic()
        left = one.leave()
        told = "; ".join(left) or "everything is as it was"
        found.append(Part("clean up", not left, time.monotonic() - begun, told))
        tell(found[-1])
    return found


def _tried(name: str, work: Callable[[], str], begun: float) -> Part:
    try:
        told, ok = work(), True
    except _Failed as error:
        told, ok = str(error), False
    except (httpx.HTTPError, websocket.WebSocketException, OSError, ValueError, KeyError) as error:
        told, ok = f"{type(error).__name__}: {error}", False
    return Part(name, ok, time.monotonic() - begun, told)


def _words(answer: httpx.Response) -> str:
    """What an error says, in one line."""
    try:
        found = answer.json()
        text = str(found.get("detail") or found.get("message") or found.get("title") or "")
    except (ValueError, AttributeError):
        text = answer.text
    return " ".join(text.split())[:200]


def _execute(channel: Any, code: str) -> str:
    """What a cell prints."""
    number = uuid.uuid4().hex
    header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": "smoke", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    channel.send(json.dumps({**message, "buffers": []}))
    printed: list[str] = []
    while True:
        told = json.loads(channel.recv())
        if told["parent_header"].get("msg_id") != number:
            continue
        if told["msg_type"] == "stream":
            printed.append(told["content"]["text"])
        elif told["msg_type"] == "error":
            raise _Failed(f"The cell raised {told['content']['ename']}: {told['content']['evalue']}")
        elif told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
            return "".join(printed)
