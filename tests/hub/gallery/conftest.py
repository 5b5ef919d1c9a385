"""The whole service over a seeded ledger, with a hub that knows four people."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from loops import Loop
from modules import module_at
from quantdesk.hub.app import ServiceConfig, create_app
from quantdesk.hub.app.access import COOKIE, csrf_token, user_of
from quantdesk.reports.ledger import RunLedger

PREFIX = "/services/quantdesk"
RIGHTS = {"ana": "read run", "bo": "read run", "guest": "read", "root": "read run admin", "nobody": ""}


def people(request: httpx.Request) -> httpx.Response:
    """JupyterHub, which knows whose a token is: here the token is the name."""
    name = request.headers["authorization"].removeprefix("token ")
    if name not in RIGHTS:
        return httpx.Response(404)
    scopes = ["access:services", *(f"custom:quantdesk:{right}" for right in RIGHTS[name].split())]
    return httpx.Response(200, json={"kind": "user", "name": name, "scopes": scopes, "groups": [], "session_id": ""})


class Person:
    """Somebody with a browser: logged in by the service's own cookie, so that forms need their token."""

    def __init__(self, app: Any, name: str, runner: Loop) -> None:
        self.name, self._runner = name, runner
        cookie = app.state.signer.sign("session", {"token": name}, time.time())
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://desk", follow_redirects=False,
            headers={"Accept": "text/html"}, cookies={COOKIE: cookie},
        )  # fmt: skip
        model = people(httpx.Request("GET", "http://hub", headers={"authorization": f"token {name}"})).json()
        mark = user_of(model, name, by_cookie=True)
        self.token = csrf_token(SimpleNamespace(app=app), mark)  # type: ignore[arg-type]

    def log_out(self) -> None:
        """Forget the session."""
        self._client.cookies.clear()

    def get(self, path: str, **settings: Any) -> httpx.Response:
        """A page, by its path below the service."""
        return self._runner.run(self._client.get(f"{PREFIX}{path}", **settings))

    def post(self, path: str, fields: dict[str, Any] | None = None, *, token: str | None = None) -> httpx.Response:
        """A form, with the token of its session."""
        data = {"_csrf": self.token if token is None else token, **(fields or {})}
        return self._runner.run(self._client.post(f"{PREFIX}{path}", data=data))


@pytest.fixture(scope="session")
def seed() -> Any:
    """The module that makes a desk with a past."""
    return module_at(Path(__file__).with_name("seed.py"), "gallery_seed")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: Any) -> Path:
    """A state directory with the notebooks of a desk, and nothing run."""
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(tmp_path / "notebooks"))
    monkeypatch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    monkeypatch.delenv("QUANTDESK_REPORTS_LEDGER_URL", raising=False)
    seed.desk(tmp_path / "notebooks")
    return tmp_path


@pytest.fixture
def ledger(place: Path) -> Iterator[RunLedger]:
    """The ledger of that desk."""
    (place / "state" / "reports").mkdir(parents=True)
    with RunLedger.open() as opened:
        yield opened


@pytest.fixture
def app(place: Path, ledger: RunLedger) -> Iterator[Any]:
    """The service."""
    made = create_app(
        ServiceConfig(folder=place / "state" / "service", hub_api="http://hub"), hub=httpx.MockTransport(people)
    )
    yield made
    made.state.catalogue.close()
    made.state.database.close()


@pytest.fixture
def person(app: Any) -> Iterator[Any]:
    """Makes people."""
    with Loop() as runner:
        yield lambda name: Person(app, name, runner)


@pytest.fixture
def ana(person: Any) -> Person:
    """Who owns daily risk."""
    return person("ana")  # type: ignore[no-any-return]


def words(page: httpx.Response) -> str:
    """The text of a page, as one reads it."""
    from bs4 import BeautifulSoup

    return re.sub(r"\s+", " ", BeautifulSoup(page.text, "html.parser").get_text(" ")).strip()
