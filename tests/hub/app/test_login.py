"""Who gets in, and who does not: cookies, tokens, forms, and where one is led afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import PREFIX, problem

from quantdesk.hub.app.login import local_path
from quantdesk.hub.app.signing import Signer


def test_a_login_ends_where_it_began(service: Any) -> None:
    browser = service.browser()
    away = browser.ask("GET", f"{PREFIX}/api?x=1")
    assert away.status_code == 302
    assert away.headers["location"] == f"{PREFIX}/login?next=%2Fservices%2Fquantdesk%2Fapi%3Fx%3D1"
    back = browser.log_in("ana", f"{PREFIX}/api?x=1")
    assert (back.status_code, back.headers["location"]) == (302, f"{PREFIX}/api?x=1")
    page = browser.ask("GET", f"{PREFIX}/")
    assert page.status_code == 200
    assert "ana" in page.text
    (form,) = service.hub.forms
    assert form["redirect_uri"] == f"{PREFIX}/oauth_callback"


def test_what_one_worker_begins_another_ends(make: Callable[..., Any]) -> None:
    first, second = make(), make()
    browser = first.browser()
    begun = browser.ask("GET", f"{PREFIX}/login")
    browser.service = second
    asked = dict(part.split("=") for part in begun.headers["location"].partition("?")[2].split("&"))
    code = second.hub.code("ana", asked["code_challenge"])
    back = browser.ask("GET", f"{PREFIX}/oauth_callback", params={"code": code, "state": asked["state"]})
    assert back.status_code == 302
    browser.service = first
    assert browser.ask("GET", f"{PREFIX}/").status_code == 200


def test_the_cookies_are_the_services_alone(service: Any) -> None:
    browser = service.browser()
    begun = browser.ask("GET", f"{PREFIX}/login").headers["set-cookie"].lower()
    assert f"path={PREFIX}/oauth_callback" in begun
    back = browser.log_in("ana")
    (session,) = [one for one in back.headers.get_list("set-cookie") if one.startswith("quantdesk-session")]
    for wanted in (f"Path={PREFIX}/", "HttpOnly", "SameSite=lax"):
        assert wanted.lower() in session.lower()


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example/",
        "https://evil.example/",
        f"https://evil.example{PREFIX}/",
        f"//evil.example{PREFIX}/",
        f"{PREFIX}/../../hub/logout",
        f"{PREFIX}/%2e%2e/%2e%2e/hub/logout",
        f"{PREFIX}/\\evil.example",
        f"{PREFIX}//evil.example/..",
        f"{PREFIX}/\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "/hub/logout",
        f"{PREFIX}evil/",
        "x" * 3000,
    ],
)
def test_nobody_is_led_elsewhere(service: Any, elsewhere: str) -> None:
    back = service.browser().log_in("ana", elsewhere)
    assert back.headers["location"] == f"{PREFIX}/"


@given(st.text(max_size=80))
def test_where_one_is_led_is_always_here(text: str) -> None:
    for given_text in (text, f"{PREFIX}/{text}", f"{PREFIX}{text}"):
        found = local_path(given_text, PREFIX)
        assert found.startswith(f"{PREFIX}/")
        assert not set(found) & set("\r\n\\\0")


def test_a_callback_without_the_cookie_of_its_login_is_refused(service: Any) -> None:
    browser = service.browser()
    begun = browser.ask("GET", f"{PREFIX}/login")
    state = begun.headers["location"].partition("state=")[2].partition("&")[0]
    stranger = service.browser()  # somebody else's login, sent to a victim
    answer = stranger.ask("GET", f"{PREFIX}/oauth_callback", params={"code": "c", "state": state})
    assert answer.status_code == 400
    assert browser.ask("GET", f"{PREFIX}/oauth_callback", params={"code": "c", "state": state[:-1]}).status_code == 400
    assert service.browser().ask("GET", f"{PREFIX}/").status_code == 302


def test_a_code_is_worth_nothing_with_another_verifier(service: Any) -> None:
    browser = service.browser()
    begun = browser.ask("GET", f"{PREFIX}/login")
    state = begun.headers["location"].partition("state=")[2].partition("&")[0]
    code = service.hub.code("ana", "the challenge of another login")
    assert browser.ask("GET", f"{PREFIX}/oauth_callback", params={"code": code, "state": state}).status_code == 403


def test_what_the_hub_refuses_is_said(service: Any) -> None:
    answer = service.browser().ask("GET", f"{PREFIX}/oauth_callback", params={"error": "<script>access_denied"})
    assert answer.status_code == 403
    assert "script>access" not in answer.text


def signed(service: Any, token: str, at: float, purpose: str = "session") -> str:
    return str(service.app.state.signer.sign(purpose, {"token": token}, at))


@pytest.mark.parametrize("how", ["forged", "cut", "expired", "from tomorrow", "another purpose", "junk", "huge"])
def test_a_cookie_that_was_not_signed_here_and_lately_is_none(service: Any, how: str) -> None:
    now = time.time()
    value = {
        "forged": Signer("z" * 40).sign("session", {"token": "token-root"}, now),
        "cut": signed(service, "token-root", now)[:-2],
        "expired": signed(service, "token-root", now - 15 * 86_400),
        "from tomorrow": signed(service, "token-root", now + 86_400),
        "another purpose": signed(service, "token-root", now, "login"),
        "junk": "a.b",
        "huge": "a" * 4000 + ".b",
    }[how]
    answer = service.ask("GET", "/api/v1/runs", headers={"Cookie": f"quantdesk-session={value}"})
    assert answer.status_code == 401
    assert problem(answer)["code"] == "not_logged_in"
    fine = service.ask(
        "GET", "/api/v1/runs", headers={"Cookie": f"quantdesk-session={signed(service, 'token-ana', now)}"}
    )
    assert fine.status_code == 200


@given(st.text(max_size=200))
def test_no_text_passes_for_a_signed_one(text: str) -> None:
    assert Signer("k" * 40).read("session", text, 0, 1e9) is None


def test_the_session_ends_when_the_hubs_does(service: Any) -> None:
    browser = service.browser()
    browser.log_in("ana", session="one")
    assert browser.ask("GET", f"{PREFIX}/").status_code == 200
    browser.cookies.set("jupyterhub-session-id", "two", domain="desk.example", path="/")
    assert browser.ask("GET", f"{PREFIX}/").status_code == 302, "logged out there, and in as somebody else"
    browser.cookies.set("jupyterhub-session-id", "one", domain="desk.example", path="/")
    assert browser.ask("GET", f"{PREFIX}/").status_code == 200
    service.hub.gone |= set(service.hub.sessions)
    assert browser.ask("GET", f"{PREFIX}/").status_code == 302


def test_what_the_hub_said_is_believed_for_a_moment_only(make: Callable[..., Any]) -> None:
    service = make(remember=10.0)
    client = service.app.state.hub
    now = [0.0]
    client._clock = lambda: now[0]
    for _ in range(5):
        assert service.ask("GET", "/api/v1/runs", "ana").status_code == 200
    assert service.hub.asked == 1
    service.hub.gone.add("token-ana")
    assert service.ask("GET", "/api/v1/runs", "ana").status_code == 200
    now[0] = 10.1
    assert service.ask("GET", "/api/v1/runs", "ana").status_code == 401


def test_many_requests_at_once_ask_the_hub_once(make: Callable[..., Any]) -> None:
    service = make(remember=10.0)
    header = {"Authorization": "Bearer token-ana"}
    answers = service.together([("GET", "/api/v1/runs", header, {})] * 20)
    assert {answer.status_code for answer in answers} == {200}
    assert service.hub.asked == 1


def test_a_hub_that_is_away_is_said_and_nobody_gets_in(service: Any) -> None:
    service.hub.is_away = True
    answers = service.together([("GET", "/api/v1/runs", {"Authorization": "Bearer token-ana"}, {})] * 3)
    for answer in answers:
        assert answer.status_code == 503
        assert problem(answer)["code"] == "hub_away"
        assert "token-ana" not in answer.text
    service.hub.is_away = False
    assert service.ask("GET", "/api/v1/runs", "ana").status_code == 200


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Basic YTpi", "Bearer", "token ", "Bearer \u00e9", "Bearer " + "x" * 3000]
)
def test_a_token_that_is_none_is_refused(service: Any, header: str) -> None:
    browser = service.browser()
    browser.log_in("ana")
    answer = browser.ask("GET", f"{PREFIX}/api/v1/runs", headers={"Authorization": header.encode("utf-8")})
    assert answer.status_code == 401, "a cookie beside it does not help"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "token"])
def test_both_kinds_of_header_are_taken(service: Any, kind: str) -> None:
    assert service.ask("GET", "/api/v1/runs", headers={"Authorization": f"{kind} token-ana"}).status_code == 200


def test_a_token_for_something_else_gives_no_access(service: Any) -> None:
    answer = service.ask("GET", "/api/v1/runs", "outsider")
    assert answer.status_code == 403
    assert problem(answer)["code"] == "no_access"


def test_a_service_of_the_hub_is_nobody_of_the_same_name(service: Any) -> None:
    assert service.ask("GET", "/api/v1/simulation/jobs", "robot").status_code == 200
    answer = service.ask("POST", "/api/v1/actions/execute", "robot", json={"symbol": "A", "action": "buy", "shares": 1})
    assert "service:root" in problem(answer)["detail"]


WRITES = [
    ("run", "POST", "/api/v1/simulation/run-scenario", {"scenario_name": "lehman", "portfolio": {"cash": 1.0}}),
    ("run", "POST", "/simulation/run-scenario", {"scenario_name": "lehman", "portfolio": {"cash": 1.0}}),
    ("run", "POST", "/api/v1/reports/01_feature_exploration/runs", {}),
    ("run", "POST", "/api/v1/runs/none/cancel", {}),
    ("run", "POST", f"/api/v1/simulation/jobs/{'0' * 32}/cancel", {}),
    ("trade", "POST", "/api/v1/actions/execute", {"symbol": "AAPL", "action": "buy", "shares": 1}),
]
READS = [
    ("GET", "/api/v1/halts/AAPL"),
    ("GET", "/api/v1/features"),
    ("GET", "/api/v1/reports"),
    ("GET", "/api/v1/runs"),
    ("GET", "/api/v1/runs/none"),
    ("GET", "/api/v1/runs/none/artefacts"),
    ("GET", "/api/v1/runs/none/artefacts/report.html"),
    ("GET", "/api/v1/simulation/jobs"),
    ("GET", f"/api/v1/simulation/jobs/{'0' * 32}"),
    ("GET", "/api/v1/actions/key"),
]


@pytest.mark.parametrize(("method", "path"), READS)
def test_what_may_be_read_needs_the_scope(service: Any, method: str, path: str) -> None:
    assert service.ask(method, path).status_code == 401
    answer = service.ask(method, path, "nora")
    assert answer.status_code == 403
    assert problem(answer)["scope"] == "custom:quantdesk:read"
    assert service.ask(method, path, "rita").status_code not in (401, 403)


@pytest.mark.parametrize(("right", "method", "path", "body"), WRITES)
def test_what_changes_something_needs_the_scope(
    service: Any, right: str, method: str, path: str, body: dict[str, Any]
) -> None:
    lower = {"run": "rita", "trade": "ana"}[right]
    answer = service.ask(method, path, lower, json=body)
    assert answer.status_code == 403
    assert problem(answer)["scope"] == f"custom:quantdesk:{right}"
    assert service.ask(method, path, "root", json=body).status_code not in (401, 403)


@pytest.mark.parametrize(("right", "method", "path", "body"), WRITES)
def test_another_page_cannot_have_a_browser_send_it(
    service: Any, right: str, method: str, path: str, body: dict[str, Any]
) -> None:
    browser = service.browser()
    browser.log_in("root")
    answer = browser.ask(method, PREFIX + path, json=body)
    assert answer.status_code == 403
    assert problem(answer)["code"] == "csrf"
    token = browser.form_token()
    across = {"X-CSRF-Token": token, "Sec-Fetch-Site": "cross-site"}
    assert browser.ask(method, PREFIX + path, json=body, headers=across).status_code == 403
    assert browser.ask(method, PREFIX + path, json=body, headers={"X-CSRF-Token": token}).status_code != 403


def test_the_token_of_a_form_belongs_to_its_session(service: Any) -> None:
    ana, root = service.browser(), service.browser()
    ana.log_in("ana")
    root.log_in("root")
    stolen = ana.form_token()
    assert root.ask("POST", f"{PREFIX}/logout", data={"_csrf": stolen}).status_code == 403
    answer = root.ask("POST", f"{PREFIX}/logout", data={"_csrf": root.form_token()})
    assert (answer.status_code, answer.headers["location"]) == (303, "/hub/logout")
    assert root.ask("GET", f"{PREFIX}/").status_code == 302
    assert ana.ask("GET", f"{PREFIX}/").status_code == 200


def test_the_page_of_who_may_not_says_what_is_missing(service: Any) -> None:
    browser = service.browser()
    browser.log_in("nora")
    answer = browser.ask("GET", f"{PREFIX}/")
    assert answer.status_code == 403
    assert "custom:quantdesk:read" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
