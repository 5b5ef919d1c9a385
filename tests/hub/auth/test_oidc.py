"""Login by a real OpenID Connect provider through a real hub: in, out, roles, and a provider that misbehaves."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.auth.probe import probe
from quantdesk.hub.config import HubConfig

pytestmark = pytest.mark.xdist_group("login-oidc")
HERE = Path(__file__).parent
READ, RUN, TRADE = (f"custom:quantdesk:{right}" for right in ("read", "run", "trade"))


def said(answer: requests.Response) -> str:
    """What a page says, as plain text."""
    main = re.search(r"<main.*</main>", answer.text, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main.group() if main else answer.text)).split())


@pytest.fixture(scope="module")
def desk(provided: Any, real: Any) -> Iterator[Any]:
    """A hub of root's, and its provider; groups of the provider that are called otherwise than the roles."""
    settings = {
        "QUANTDESK_LOGIN_TITLE": "Desk & Sons",
        "QUANTDESK_LOGIN_GROUPS": "staff=viewer; research=quant; desk, New York=trader; it=admin",
        "QUANTDESK_LOGIN_TEAMS": "equities",
        "QUANTDESK_LOGIN_EMAIL_DOMAIN": "desk.example",
        "QUANTDESK_LOGIN_TIMEOUT": "2",
    }
    with provided(**settings) as (hub, provider):
        yield SimpleNamespace(hub=hub, provider=provider, until=real.until, find=real.find)


@pytest.fixture
def well(desk: Any) -> Iterator[Any]:
    """The same; whatever a test had the provider do, it is well again afterwards."""
    yield desk
    desk.provider.go_on()
    desk.provider.tell(clock=0, life=3600, forge=None, broken=None)


def enter(desk: Any, name: str, *groups: str, **claims: Any) -> Any:
    """Somebody whom the provider knows, logged in."""
    desk.provider.account(name, *groups, **claims)
    browser = desk.hub.browser()
    answer = desk.provider.log_in(browser, name, "oauth_login?next=/hub/home")
    assert answer.url == f"{desk.hub.url}/hub/home", said(answer)
    browser.name = name
    return browser


def model(browser: Any) -> dict[str, Any]:
    """What the hub says of somebody to himself."""
    answer = browser.api("GET", "user")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(desk: Any, name: str) -> requests.Response:
    """The page on which a login ends."""
    browser = desk.hub.browser()
    answer: requests.Response = desk.provider.log_in(browser, name)
    assert browser.get("home", allow_redirects=False).status_code == 302, "nobody is logged in"
    return answer


@pytest.mark.parametrize(
    ("name", "group", "rights"),
    [
        ("vic", "staff", {READ}),
        ("quinn", "research", {READ, RUN}),
        ("tess", "desk, New York", {READ, RUN, TRADE}),
    ],
)
def test_the_groups_of_the_provider_are_the_rights_here(desk: Any, name: str, group: str, rights: set[str]) -> None:
    browser = enter(desk, name, group, "equities", "football", "quantdesk-administrators")
    found = model(browser)
    assert {scope for scope in found["scopes"] if scope.startswith("custom:")} == rights
    assert found["admin"] is False
    assert "equities" in found["groups"]
    assert "football" not in found["groups"]
    assert "quantdesk-administrators" not in found["groups"], "a group is what the settings say, whatever it is called"
    assert browser.get("admin").status_code == 403


def test_an_administrator_of_the_provider_administers_the_hub(desk: Any) -> None:
    browser = enter(desk, "ada", "it")
    found = model(browser)
    assert found["admin"] is True
    assert {READ, RUN, TRADE, "custom:quantdesk:admin"} <= set(found["scopes"])
    page = browser.get("home")
    assert "/hub/admin" in page.text
    assert "/hub/change-password" not in page.text
    assert browser.get("users").status_code == 404
    assert browser.get("signup").status_code == 404


def test_who_is_in_no_group_is_told_which_ones_there_are(desk: Any) -> None:
    desk.provider.account("nia", "football")
    answer = refused(desk, "nia")
    assert answer.status_code == 403
    assert "nia in Desk & Sons, but in no group that may use this hub" in said(answer)
    assert "research" in said(answer)
    desk.provider.account("nia")
    assert refused(desk, "nia").status_code == 403


def test_two_people_of_the_provider_are_never_one_user_here(desk: Any) -> None:
    desk.provider.account("subject-1", "research", preferred_username="Max.Berg")
    first = desk.hub.browser()
    desk.provider.log_in(first, "subject-1")
    assert model(first)["name"] == "max-berg"
    for other in ("max-berg", "MAX.BERG", "max.berg@desk.example", "Max.Berg"):
        desk.provider.account("subject-2", "it", preferred_username=other)
        answer = refused(desk, "subject-2")
        assert answer.status_code == 403
        assert "The name max-berg belongs to somebody else" in said(answer)
    assert model(first)["admin"] is False
    desk.provider.account("subject-1", "research", preferred_username="max.mustermann")
    again = desk.hub.browser()
    desk.provider.log_in(again, "subject-1")
    assert model(again)["name"] == "max-berg", "a person keeps the name, whatever he is called now"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("eve@evil.example", "addresses of desk.example alone"),
        ("../../etc", "cannot be a name here"),
        ("<img src=x onerror=alert(1)>", "cannot be a name here"),
        ("eve\u0430", "cannot be a name here"),
        ("x" * 500, "cannot be a name here"),
        ("", "does not say your name"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_the_reason(desk: Any, name: str, says: str) -> None:
    desk.provider.account("stranger", "it", preferred_username=name)
    answer = refused(desk, "stranger")
    assert answer.status_code == 403
    assert says in said(answer)
    assert "<img" not in answer.text.replace('<img src="/hub/quantdesk/mark.svg"', "")


def test_a_user_whom_the_hub_had_before_is_nobodys_by_his_name_alone(desk: Any) -> None:
    admin = enter(desk, "ada", "it")
    assert admin.api("POST", "users/planned").status_code == 201
    desk.provider.account("planned", "research")
    answer = refused(desk, "planned")
    assert "QUANTDESK_LOGIN_ADOPT=planned" in said(answer)
    assert admin.api("DELETE", "users/planned").status_code == 204
    enter(desk, "planned", "research")


def test_a_right_that_is_taken_away_is_gone_at_the_next_refresh(desk: Any) -> None:
    browser = enter(desk, "rita", "desk, New York", "it")
    program = browser.api("POST", "users/rita/tokens", json={"note": "a program"}).json()["token"]
    assert TRADE in model(browser)["scopes"]
    desk.provider.account("rita", "staff")
    desk.until(lambda: TRADE not in model(browser)["scopes"], 20)
    found = model(browser)
    assert (found["admin"], found["groups"]) == (False, ["quantdesk-viewers"])
    assert not {RUN, TRADE, "custom:quantdesk:admin"} & set(found["scopes"])
    assert browser.get("admin").status_code == 403
    asked = {"Authorization": f"token {program}"}
    answer = requests.get(f"{desk.hub.url}/hub/api/user", headers=asked, timeout=30)
    assert TRADE not in answer.json()["scopes"]


def test_the_last_group_taken_away_ends_sessions_and_tokens(desk: Any) -> None:
    browser, elsewhere = enter(desk, "lou", "research"), enter(desk, "lou", "research")
    program = browser.api("POST", "users/lou/tokens", json={"note": "a program"}).json()["token"]
    desk.provider.account("lou", "football")
    desk.until(lambda: browser.get("home", allow_redirects=False).status_code == 302, 20)
    assert elsewhere.get("home", allow_redirects=False).status_code == 302
    asked = {"Authorization": f"token {program}"}
    assert requests.get(f"{desk.hub.url}/hub/api/user", headers=asked, timeout=30).status_code == 403
    admin = enter(desk, "ada", "it")
    assert admin.api("GET", "users/lou").json()["groups"] == []


def test_somebody_who_is_removed_has_to_log_in_and_cannot(desk: Any) -> None:
    browser = enter(desk, "rob", "desk, New York")
    program = browser.api("POST", "users/rob/tokens", json={"note": "a program"}).json()["token"]
    desk.provider.remove("rob")
    desk.until(lambda: browser.get("home", allow_redirects=False).status_code == 302, 20)
    asked = {"Authorization": f"token {program}"}
    assert requests.get(f"{desk.hub.url}/hub/api/user", headers=asked, timeout=30).status_code == 403


def test_a_token_that_expires_is_renewed_once_for_many_requests(well: Any) -> None:
    """The provider takes each renewal token once: the second of two at once would end the login."""
    well.provider.tell(life=1)
    browser = enter(well, "ren", "research")
    well.provider.tell(life=3600)
    time.sleep(2.1)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: browser.get("home", allow_redirects=False).status_code, range(8)))
    assert answers == [200] * 8
    time.sleep(1.1)
    assert browser.get("home", allow_redirects=False).status_code == 200


@pytest.mark.parametrize(
    "how", ["nonsense", *(pytest.param(how, marks=pytest.mark.slow) for how in ("hanging", "gone", "an error"))]
)
def test_while_the_provider_is_silent_who_is_in_goes_on_and_nobody_comes_in(well: Any, how: str) -> None:
    browser = enter(well, "gus", "research")
    if how == "hanging":
        well.provider.hang()
    elif how == "gone":
        well.provider.tell(broken={"path": "/", "status": 502, "body": "<h1>Bad gateway"})
    elif how == "an error":
        well.provider.tell(broken={"path": "/", "status": 500, "body": {"error": "server_error"}})
    else:
        well.provider.tell(broken={"path": "/me", "status": 200, "body": "[1, 2"})
    time.sleep(1.1)
    found = model(browser)
    assert (found["name"], found["groups"]) == ("gus", ["quantdesk-members"])
    assert RUN in found["scopes"]
    answer = refused(well, "gus")
    assert answer.status_code == 503
    assert "does not answer" in said(answer)
    assert answer.url.startswith(well.hub.url), "nobody is sent to a provider that is not there"


@pytest.mark.parametrize(
    ("forge", "status", "says"),
    [
        ({"key": "another"}, 403, "not to be believed: its signature"),
        ({"key": "none"}, 403, "not to be believed"),
        ({"key": "shared"}, 403, "not to be believed"),
        ({"claims": {"aud": "another-hub"}}, 403, "issued for somebody else"),
        ({"claims": {"aud": ["quantdesk", "another-hub"]}}, 403, "issued for somebody else"),
        ({"claims": {"iss": "http://evil.example"}}, 403, "issued by somebody else"),
        ({"claims": {"sub": "ada"}}, 403, "two different people"),
        ({"claims": {"nonce": "of another login"}}, 403, "another login"),
        ({"claims": {"nonce": None}}, 403, "another login"),
        ({"claims": {"exp": 1_000_000_000}}, 403, "expired"),
        ({"claims": {"exp": None}}, 403, "exp is missing"),
        ({"claims": {"iat": True}}, 403, "iat is missing"),
        ({"claims": {"nbf": 4_000_000_000}}, 503, "clock is"),
    ],
)
def test_a_forged_or_expired_token_opens_nothing(well: Any, forge: dict[str, Any], status: int, says: str) -> None:
    enter(well, "ada", "it")
    well.provider.account("mallory", "research")
    well.provider.tell(forge=forge)
    answer = refused(well, "mallory")
    assert answer.status_code == status
    assert says in said(answer)


@pytest.mark.parametrize(("hours", "side"), [(3, "ahead of"), pytest.param(-3, "behind", marks=pytest.mark.slow)])
def test_a_provider_with_a_wrong_clock_lets_nobody_in_and_turns_nobody_out(well: Any, hours: int, side: str) -> None:
    browser = enter(well, "cleo", "research")
    well.provider.tell(clock=hours * 3600)
    answer = refused(well, "cleo")
    assert answer.status_code == 503
    assert f"The provider's clock is 3.0 hours {side} that of this hub" in said(answer)
    time.sleep(1.1)
    assert model(browser)["groups"] == ["quantdesk-members"]


def test_a_callback_that_nobody_began_is_refused(desk: Any) -> None:
    for query in (
        "",
        "?code=x",
        "?state=x",
        "?code=x&state=x",
        "?code=x&state=e30=",
        "?error=access_denied&state=e30=",
    ):
        answer = desk.hub.browser().get(f"oauth_callback{query}")
        assert answer.status_code == 400, query
        assert "begun in another browser or tab, or too long ago" in said(answer)
    begun = desk.hub.browser()
    state = re.search(r"state=([^&]+)", begun.get("oauth_login", allow_redirects=False).headers["Location"])
    assert state
    evil = "<script>alert(1)</script>" * 10
    answer = begun.get(f"oauth_callback?error=access_denied&error_description={evil}&state={state.group(1)}")
    assert answer.status_code == 403
    assert "cancelled" in said(answer)
    assert "alert(1)" not in answer.text
    assert begun.get(f"oauth_callback?code=x&state={state.group(1)}").status_code == 400, "it is good for one time"


def test_a_code_that_is_invented_or_used_is_refused(desk: Any) -> None:
    browser = desk.hub.browser()
    state = re.search(r"state=([^&]+)", browser.get("oauth_login", allow_redirects=False).headers["Location"])
    assert state
    answer = browser.get(f"oauth_callback?code=invented&state={state.group(1)}")
    assert answer.status_code == 403
    assert "does not know this login's code" in said(answer)


def test_the_login_begins_with_pkce_a_nonce_and_a_cookie_for_the_hub_alone(desk: Any) -> None:
    answer = desk.hub.browser().get("oauth_login?next=//evil.example/x", allow_redirects=False)
    where = answer.headers["Location"]
    assert where.startswith(f"{desk.provider.issuer}/auth?")
    assert "code_challenge_method=S256" in where
    assert re.search(r"[?&]nonce=[\w-]{43}(&|$)", where)
    cookie = answer.headers["Set-Cookie"]
    assert "Path=/hub/" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_login_leads_nowhere_else(desk: Any) -> None:
    desk.provider.account("nora", "research")
    for to in ("//evil.example/x", "/\\evil.example"):
        answer = desk.provider.log_in(desk.hub.browser(), "nora", f"oauth_login?next={to}")
        assert answer.url.startswith(f"{desk.hub.url}/"), to


def test_logging_out_ends_every_browser_and_leads_to_the_provider(desk: Any) -> None:
    here, elsewhere = enter(desk, "otto", "research"), enter(desk, "otto", "research")
    program = here.api("POST", "users/otto/tokens", json={"note": "a program"}).json()["token"]
    trap = here.get("logout", headers={"Sec-Fetch-Site": "cross-site"})
    assert "Log out?" in said(trap)
    assert elsewhere.get("home", allow_redirects=False).status_code == 200, "another site cannot log anybody out"

    page = here.get("logout")
    assert "You are logged out" in said(page)
    leads = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert leads
    end = html.unescape(leads.group(1))
    assert end.startswith(f"{desk.provider.issuer}/session/end?")
    assert "id_token_hint=" in end
    for browser in (here, elsewhere):
        assert browser.get("home", allow_redirects=False).status_code == 302
    there = here.session.get(end, timeout=30)
    assert there.status_code == 200
    assert "sign-out" in there.text.lower()
    asked = {"Authorization": f"token {program}"}
    assert requests.get(f"{desk.hub.url}/hub/api/user", headers=asked, timeout=30).status_code == 200


def test_the_doctor_asks_as_a_login_would(well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = well.provider.issuer
    for name, value in {"LOGIN": "oidc", "LOGIN_OIDC_ISSUER": issuer, "LOGIN_OIDC_CLIENT_ID": "quantdesk"}.items():
        monkeypatch.setenv(f"QUANTDESK_{name}", value)
    assert probe(HubConfig.from_env()) == f"oidc: {issuer} answers, and can end its own logins"
    monkeypatch.setenv("QUANTDESK_LOGIN_OIDC_ISSUER", f"{issuer}/")
    with pytest.raises(EnvironmentProblem, match="is that of"):
        probe(HubConfig.from_env())
    well.provider.tell(broken={"path": "/", "status": 404, "body": "no"})
    with pytest.raises(EnvironmentProblem, match="has no openid-configuration"):
        probe(HubConfig.from_env())


def test_what_is_kept_of_a_login_is_encrypted_and_no_secret_is_in_the_log(desk: Any) -> None:
    import sqlite3
    import stat
    from contextlib import closing

    enter(desk, "sol", "research")
    with closing(sqlite3.connect(desk.hub.files.database)) as database:
        (kept,) = database.execute("SELECT encrypted_auth_state FROM users WHERE name = 'sol'").fetchone()
    assert b"access_token" not in kept
    assert stat.S_IMODE((desk.hub.files.root / "crypt_key").stat().st_mode) == 0o600
    assert desk.provider.secret not in desk.hub.log
    assert "access_token" not in desk.hub.log
    beside = desk.find(lambda one: f"{desk.hub.state}/proxy" in " ".join(one.cmdline()) and "-m" not in one.cmdline())
    assert beside
    for process in beside:
        assert desk.provider.secret not in process.environ().values(), process


@pytest.mark.slow
def test_after_a_restart_who_was_in_goes_on_and_without_the_key_logs_in_again(well: Any) -> None:
    browser = enter(well, "rea", "desk, New York")
    well.hub.stop()
    well.provider.hang()
    well.hub.start()
    assert TRADE in model(browser)["scopes"], "the provider is silent, and the login was confirmed lately"
    well.provider.go_on()
    well.hub.stop()
    (well.hub.files.root / "crypt_key").unlink()
    well.hub.start()
    assert browser.get("home", allow_redirects=False).status_code == 302
    again = enter(well, "rea", "desk, New York")
    assert TRADE in model(again)["scopes"]
