"""A real Chromium, and a real hub on real data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from modules import module_at

HUB = Path(__file__).resolve().parents[1] / "hub" / "real_hub.py"
ROOT = Path(__file__).resolve().parents[2]
ADMIN = "a quiet lake in june"


real_hub = module_at(HUB)


@pytest.fixture(scope="session")
def real() -> Any:
    """The module that starts real hubs."""
    return real_hub


@pytest.fixture(scope="session")
def ground() -> Iterator[Any]:
    """A folder and an interpreter that every account can use."""
    with real_hub.ground() as prepared:
        yield prepared


@pytest.fixture(scope="session")
def hub(ground: Any, prepared: Any) -> Iterator[Any]:
    """A hub on the bundled history and its features, with service and worker, and nobody logged in yet.

    It has the notebooks of this checkout, and a small one, `drift`. Of the users, `eva` alone may see the reports.
    """
    state = prepared.state(ground.state())
    notebooks = state.parent / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks)
    module_at(Path(__file__).with_name("drift.py")).write(notebooks)
    env = {
        "QUANTDESK_NOTEBOOKS": str(notebooks),
        "QUANTDESK_SERVICE": "true",
        "QUANTDESK_SERVICE_WORKERS": "1",
        "QUANTDESK_SERVICE_REMEMBER": "0",
        "QUANTDESK_MEMBERS": "eva",
        "QUANTDESK_SHARING": "true",
        "QUANTDESK_HALTS_FEEDS": "false",
        "QUANTDESK_REPORTS_WORKER_POLL_S": "0.2",
    }
    with real_hub.RealHub(ground, state, env=env) as running:
        yield running


@pytest.fixture(scope="session")
def admin(hub: Any) -> Any:
    """The administrator, logged in, with a password of his own."""
    browser = hub.browser()
    if not browser.login(hub.admin, ADMIN, follow=False).is_redirect:
        browser.login(hub.admin, hub.secret)
        browser.post("set-password", new_password=ADMIN, confirmation=ADMIN)
    return browser


class Watched:
    """A person at a browser: what the page complains about, and which hosts it asks, is written down."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.address = address
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._complain(str(error.stack)))
        self.page.on(
            "request", lambda request: self.hosts.add(request.url.split("/")[2] if "://" in request.url else "")
        )

    def _console(self, message: Any) -> None:
        # A form that is refused answers 4xx, which Chromium reports as a resource that failed to load.
        refused = "Failed to load resource: the server responded with a status of 4"
        if message.type in {"error", "warning"} and refused not in message.text:
            self._complain(message.text)

    def _complain(self, text: str) -> None:
        """Write down what goes wrong on the hub's pages; of JupyterLab, which grumbles by itself, what is about us."""
        ours = "/hub/" in self.page.url
        if (
            ours
            or "failed to activate" in text
            or "Failed to create module" in text
            or "Content Security Policy" in text
        ):
            self.complaints.append(f"{self.page.url}: {text}")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.address}/hub/{path}")

    def log_in(self, name: str, password: str) -> None:
        self.go("login")
        self.page.get_by_label("User name").fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def shot(self, name: str, **settings: Any) -> None:
        """Keep a picture where ``QUANTDESK_SCREENSHOTS`` says, if it says so."""
        folder = os.environ.get("QUANTDESK_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder, f"{name}.png"), **settings)

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Any]:
    """Makes people, each with a browser of their own, at the address of a hub: ``visit(address, **settings)``."""
    made: list[Watched] = []

    def make(address: str, **settings: Any) -> Watched:
        settings = {"viewport": {"width": 1440, "height": 900}, **settings}
        made.append(Watched(chromium.new_context(**settings), address))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def person(visit: Any, hub: Any) -> Any:
    """Makes people at the hub that most tests share."""
    return lambda **settings: visit(hub.url, **settings)
