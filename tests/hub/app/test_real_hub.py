"""The service beside a real JupyterHub, as root runs it: login, scopes, and kill -9 of each of its processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import requests

pytestmark = pytest.mark.xdist_group("hub")
SERVICE = "/services/quantdesk"
ORDER = {"symbol": "AAPL", "action": "buy", "shares": 1}


@pytest.fixture(scope="module")
def beside(ground: Any, real: Any, templates: Any) -> Iterator[Any]:
    """A hub with its service, which has answered; the administrator, ana who may trade, and bob."""
    real.need_root()
    env = {
        "QUANTDESK_SERVICE": "true",
        "QUANTDESK_WORKER": "false",
        "QUANTDESK_NOTEBOOKS": str(templates),
        "QUANTDESK_TRADERS": "ana",
        "QUANTDESK_SERVICE_REMEMBER": "0",
        "QUANTDESK_HALTS_FEEDS": "false",
    }
    hub = real.RealHub(ground, ground.state(), env=env)
    with hub:
        admin = hub.first_login()
        ana, bob = hub.user("ana", admin), hub.user("bob", admin)
        admin.name = hub.admin
        real.until(hub.service_answers, 120, lambda: hub.service_log)
        yield SimpleNamespace(hub=hub, admin=admin, ana=ana, bob=bob, until=real.until, find=real.find)


def get(who: Any, path: str, **given: Any) -> requests.Response:
    headers = {"Accept": "text/html", **given.pop("headers", {})}
    answer: requests.Response = who.session.get(f"{who.hub.url}{SERVICE}{path}", timeout=60, headers=headers, **given)
    return answer


def token(who: Any, **asked: Any) -> str:
    """A token of the hub's token page."""
    who.get("token")
    made = who.api("POST", f"users/{who.name}/tokens", json={"note": "test"} | asked)
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


def ask(hub: Any, method: str, path: str, secret: str, **given: Any) -> requests.Response:
    header = {"Authorization": f"Bearer {secret}"}
    return requests.request(method, f"{hub.url}{SERVICE}{path}", headers=header, timeout=60, **given)


def processes(beside: Any, what: str) -> list[psutil.Process]:
    """The processes of this hub whose command ends with something."""
    state = str(beside.hub.state)

    def fits(process: psutil.Process) -> bool:
        return process.cmdline()[-2:] == ["-m", what] and process.environ().get("QUANTDESK_STATE") == state

    found: list[psutil.Process] = beside.find(fits)
    return found


WEB, PARENT, SUPERVISOR = "quantdesk.hub.app.web", "quantdesk.hub.app", "quantdesk.hub.beside"


def test_log_in_through_the_hub_and_see_the_service(beside: Any) -> None:
    for who in (beside.admin, beside.ana, beside.bob):
        page = get(who, "/api?from=here")
        assert page.status_code == 200
        assert page.url == f"{beside.hub.url}{SERVICE}/api?from=here", "where one began"
        assert who.name in page.text
    stranger = get(beside.hub.browser(), "/api")
    assert "/hub/login" in stranger.url


def test_its_processes_are_not_root_and_no_secret_is_on_a_command_line(beside: Any) -> None:
    assert len(processes(beside, WEB)) == 2
    (parent,) = processes(beside, PARENT)
    assert parent.uids().real != 0
    for process in (*processes(beside, WEB), *processes(beside, "quantdesk.hub.app.desk")):
        assert process.uids().real == parent.uids().real
    made = (beside.hub.files.root / "service.json").read_text()
    secrets = [word for word in made.replace('"', " ").split() if len(word) >= 32]
    assert len(secrets) == 2
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        assert not any(secret in line for secret in secrets)
    assert not any(secret in beside.hub.log + beside.hub.service_log for secret in secrets)


def test_scopes_decide_what_a_token_may(beside: Any) -> None:
    bob, ana, admin = token(beside.bob), token(beside.ana), token(beside.admin)
    assert ask(beside.hub, "GET", "/api/v1/runs", bob).status_code == 200
    refused = ask(beside.hub, "POST", "/api/v1/actions/execute", bob, json=ORDER)
    assert refused.status_code == 403
    assert refused.json()["scope"] == "custom:quantdesk:trade"
    for allowed in (ana, admin):
        answer = ask(beside.hub, "POST", "/api/v1/actions/execute", allowed, json=ORDER)
        assert answer.status_code == 503, "this hub has no market data"
        assert answer.json()["code"] == "desk_failed"
    assert ask(beside.hub, "GET", "/metrics", ana).status_code == 403
    assert "quantdesk_http_requests_total" in ask(beside.hub, "GET", "/metrics", admin).text


def test_a_token_for_reading_may_not_run_and_one_for_nothing_gets_nowhere(beside: Any) -> None:
    reading = token(beside.ana, scopes=["access:services!service=quantdesk", "custom:quantdesk:read"])
    assert ask(beside.hub, "GET", "/api/v1/runs", reading).status_code == 200
    body = {"scenario_name": "lehman", "portfolio": {"cash": 1}}
    assert ask(beside.hub, "POST", "/simulation/run-scenario", reading, json=body).status_code == 403
    elsewhere = token(beside.ana, scopes=["read:users:name!user=ana"])
    assert ask(beside.hub, "GET", "/api/v1/runs", elsewhere).json()["code"] == "no_access"
    assert ask(beside.hub, "GET", "/api/v1/runs", "0" * 32).status_code == 401


def test_what_comes_by_cookie_needs_the_forms_token(beside: Any) -> None:
    page = get(beside.bob, "/api")
    guard = page.text.partition('name="_csrf" value="')[2].partition('"')[0]
    url = f"{beside.hub.url}{SERVICE}/api/v1/simulation/run-scenario"
    body = {"scenario_name": "nothing", "portfolio": {"cash": 1}}
    bare = beside.bob.session.post(url, json=body, timeout=60)
    assert (bare.status_code, bare.json()["code"]) == (403, "csrf")
    other = get(beside.ana, "/api").text.partition('name="_csrf" value="')[2].partition('"')[0]
    assert beside.bob.session.post(url, json=body, headers={"X-CSRF-Token": other}, timeout=60).status_code == 403
    assert beside.bob.session.post(url, json=body, headers={"X-CSRF-Token": guard}, timeout=60).status_code in (
        202,
        404,
    )


def test_a_login_leads_nowhere_else_and_paths_stay_inside(beside: Any) -> None:
    away = get(beside.ana, "/login?next=https://evil.example/")
    assert away.url == f"{beside.hub.url}{SERVICE}/"
    for path in ("/static/../../../etc/passwd", "/static/%2e%2e%2fconfig.py", "/api/v1/runs/..%2f..%2fetc/artefacts/x"):
        assert get(beside.ana, path).status_code in (404, 422)


def test_logging_out_of_the_hub_ends_the_session_here(beside: Any) -> None:
    again = beside.hub.browser()
    again.login("bob", "orange tiger 77 moon")
    assert get(again, "/api").status_code == 200
    cookie = next(one.value for one in again.session.cookies if one.name == "quantdesk-session")
    again.get("logout")
    stolen = requests.get(f"{beside.hub.url}{SERVICE}/api/v1/runs", cookies={"quantdesk-session": cookie}, timeout=30)
    assert stolen.status_code == 401
    assert "/hub/login" in get(again, "/api").url


@pytest.mark.parametrize("what", [WEB, PARENT, pytest.param(SUPERVISOR, marks=pytest.mark.slow)])
def test_killed_it_comes_back_and_the_hub_goes_on(beside: Any, what: str) -> None:
    before = {process.pid for kind in (WEB, PARENT, SUPERVISOR) for process in processes(beside, kind)}
    hub = psutil.Process(beside.hub.process.pid).children()
    victim = processes(beside, what)[0]
    os.kill(victim.pid, signal.SIGKILL)
    assert requests.get(f"{beside.hub.url}/hub/health", timeout=10).status_code == 200

    def whole() -> bool:
        now = {kind: processes(beside, kind) for kind in (WEB, PARENT, SUPERVISOR)}
        there = [len(now[WEB]), len(now[PARENT]), len(now[SUPERVISOR])] == [2, 1, 1]
        return there and victim.pid not in {one.pid for found in now.values() for one in found}

    beside.until(whole, 120, lambda: beside.hub.service_log)
    beside.until(beside.hub.service_answers, 60, lambda: beside.hub.service_log)
    assert get(beside.ana, "/api").status_code == 200, "the session outlives the process"
    assert beside.hub.process.poll() is None
    assert {one.pid for one in hub} >= {
        one.pid for one in psutil.Process(beside.hub.process.pid).children() if "jupyterhub" in " ".join(one.cmdline())
    }
    assert before
