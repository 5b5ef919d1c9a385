"""From the reports to the provider and back, in a real Chromium; what a role may, the service itself says."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("login-whole")]
SERVICE = "/services/quantdesk"
STRESS = {"scenario_name": "lehman", "portfolio": {"cash": 1}}
ORDER = {"symbol": "AAPL", "action": "buy", "shares": 1}


@pytest.fixture(scope="module")
def desk(provided: Any, real: Any) -> Iterator[Any]:
    """A hub with its service, and a provider whose groups are called as the roles."""
    settings = {
        "QUANTDESK_SERVICE": "true",
        "QUANTDESK_SERVICE_WORKERS": "1",
        "QUANTDESK_SERVICE_REMEMBER": "0",
        "QUANTDESK_WORKER": "false",
        "QUANTDESK_HALTS_FEEDS": "false",
    }
    with provided(**settings) as (hub, provider):
        real.until(hub.service_answers, 120, lambda: hub.service_log)
        yield SimpleNamespace(hub=hub, provider=provider, until=real.until)


def token(desk: Any, name: str, *groups: str) -> str:
    """A token that somebody makes for a program."""
    desk.provider.account(name, *groups)
    browser = desk.hub.browser()
    assert desk.provider.log_in(browser, name, "oauth_login?next=/hub/token").status_code == 200
    made = browser.api("POST", f"users/{name}/tokens", json={"note": "test"})
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


def ask(desk: Any, method: str, path: str, secret: str, **given: Any) -> requests.Response:
    header = {"Authorization": f"Bearer {secret}"}
    return requests.request(method, f"{desk.hub.url}{SERVICE}{path}", headers=header, timeout=60, **given)


def test_each_role_may_what_it_says_and_no_more(desk: Any) -> None:
    may = {}
    for role in ("viewer", "quant", "trader", "admin"):
        secret = token(desk, f"a-{role}", role)
        answers = (
            ask(desk, "GET", "/api/v1/runs", secret),
            ask(desk, "POST", "/api/v1/simulation/run-scenario", secret, json=STRESS),
            ask(desk, "POST", "/api/v1/actions/execute", secret, json=ORDER),
            ask(desk, "GET", "/metrics", secret),
        )
        may[role] = "".join("-" if answer.status_code == 403 else "x" for answer in answers)
    assert may == {"viewer": "x---", "quant": "xx--", "trader": "xxx-", "admin": "xxxx"}


def test_a_right_that_is_taken_away_upstream_is_gone_in_the_service(desk: Any) -> None:
    secret = token(desk, "tim", "trader")
    assert ask(desk, "POST", "/api/v1/actions/execute", secret, json=ORDER).status_code != 403
    desk.provider.account("tim", "viewer")
    desk.until(lambda: ask(desk, "POST", "/api/v1/actions/execute", secret, json=ORDER).status_code == 403, 20)
    assert ask(desk, "GET", "/api/v1/runs", secret).status_code == 200
    desk.provider.account("tim")
    desk.until(lambda: ask(desk, "GET", "/api/v1/runs", secret).status_code == 401, 20)


def test_logging_out_of_the_reports_ends_all_of_it_and_comes_back(desk: Any, chromium: Browser) -> None:
    """The service's form may end at this host alone; the provider is reached all the same."""
    desk.provider.account("ana", "quant")
    complaints: list[str] = []
    context = chromium.new_context()
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if "Security Policy" in message.text else None)
    page.goto(f"{desk.hub.url}{SERVICE}/")
    page.get_by_role("link", name="Log in with single sign-on").click()
    page.locator("input[name=login]").fill("ana")
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.wait_for_url(f"{desk.hub.url}{SERVICE}/")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{desk.provider.issuer}/session/end?*")
    page.locator("button[name=logout]").click()
    page.wait_for_url(f"{desk.hub.url}/hub/login")
    page.goto(f"{desk.hub.url}{SERVICE}/")
    page.get_by_role("link", name="Log in with single sign-on").click()
    page.wait_for_url(f"{desk.provider.issuer}/interaction/*")
    assert page.locator("input[name=login]").is_visible(), "the provider asks who it is"
    context.close()
    assert complaints == []
