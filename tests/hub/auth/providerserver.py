"""A real OpenID Connect provider for tests: oidc-provider on the Node that quantdesk has, on a free port.

``oidcserver/package-lock.json`` pins its packages by hash and names no address. It is started and ended by the tests;
a pipe whose end this process holds ends it with this process, however that ends.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests

from quantdesk.hub import proxy
from quantdesk.hub.configure import free_ports

HERE = Path(__file__).parent / "oidcserver"
KEEPER = '"$@" </dev/null & server=$!; cat >/dev/null; kill -KILL $server 2>/dev/null; wait $server 2>/dev/null'


def install(folder: Path) -> Path:
    """The provider's packages, in a folder."""
    shutil.copytree(HERE, folder)
    proxy._npm_ci(folder)
    return folder


class Provider:
    """A running provider, which lets everybody in who is in `accounts`, with any password."""

    def __init__(self, packages: Path, hub: str) -> None:
        (self.port,) = free_ports(1)
        self.secret = secrets.token_urlsafe(24)
        self.accounts: dict[str, dict[str, Any]] = {}
        given = json.dumps({"port": self.port, "hub": hub, "secret": self.secret})
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", f"{KEEPER}", "keeper", str(proxy.node()), str(packages / "server.mjs"), given],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline().strip() == "ready"
        (self._node,) = (int(one) for one in _children(self._keeper.pid) if "server.mjs" in _line(int(one)))

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tell(self, **what: Any) -> None:
        """Change how it behaves: ``clock``, ``life``, ``forge``, ``broken``."""
        assert requests.post(f"{self.issuer}/tell", data=json.dumps(what), timeout=10).ok

    def account(self, name: str, *groups: str, **claims: Any) -> None:
        """Let it know somebody, or know him otherwise."""
        self.accounts[name] = {"preferred_username": name, "groups": list(groups), **claims}
        self.tell(accounts=self.accounts)

    def remove(self, name: str) -> None:
        del self.accounts[name]
        self.tell(accounts=self.accounts)

    def hang(self) -> None:
        os.kill(self._node, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._node, signal.SIGCONT)

    def log_in(self, browser: Any, name: str, begin: str = "oauth_login") -> requests.Response:
        """Everything that a person does: from the hub to the provider's page, name and password, and back."""
        return self.sign_in(browser, browser.get(begin), name)

    def sign_in(self, browser: Any, page: requests.Response, name: str) -> requests.Response:
        """The provider's own page."""
        form = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        if not page.url.startswith(self.issuer) or form is None:
            return page
        where = urljoin(page.url, unescape(form.group(1)))
        given = {"prompt": "login", "login": name, "password": "any"}
        answer: requests.Response = browser.session.post(where, data=given, timeout=30)
        return answer

    def stop(self) -> None:
        self._keeper.communicate(timeout=30)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
