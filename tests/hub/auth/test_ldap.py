"""Login by a real LDAP directory through a real hub: in, out, roles, wrong guesses, and a directory that hangs."""

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

pytestmark = [pytest.mark.xdist_group("login-ldap"), pytest.mark.debian]
READ, RUN, TRADE = (f"custom:quantdesk:{right}" for right in ("read", "run", "trade"))
WRONG = "The user name or the password is wrong."


def said(answer: requests.Response) -> str:
    """What the page says in its note, as plain text."""
    note = re.search(r'<div class="qd-note[^>]*role="alert">(.*?)</div>', answer.text, re.DOTALL)
    return html.unescape(re.sub(r"\s*<[^>]+>\s*", " ", note.group(1))).strip() if note else ""


@pytest.fixture(scope="module")
def desk(ground: Any, templates: Path, real: Any, directory: Any, slapd: Any) -> Iterator[Any]:
    """A hub of root's that asks the directory, over StartTLS, with a password that stands in a file."""
    real.need_root()
    password = ground.folder / "search-password"
    password.write_text(f"{slapd.SEARCH_PASSWORD}\n")
    password.chmod(0o600)
    env = {
        "QUANTDESK_NOTEBOOKS": str(templates),
        "QUANTDESK_LOGIN": "ldap",
        "QUANTDESK_LOGIN_GROUPS": f"Quant=quant; trader=trader; cn=the admins, ou=groups, {slapd.BASE}=admin",
        "QUANTDESK_LOGIN_TITLE": "the desk's directory",
        "QUANTDESK_LOGIN_REFRESH": "1",
        "QUANTDESK_LOGIN_TIMEOUT": "1",
        "QUANTDESK_LOGIN_LDAP_URL": directory.url,
        "QUANTDESK_LOGIN_LDAP_CA_FILE": str(directory.ca),
        "QUANTDESK_LOGIN_LDAP_BIND_DN": slapd.SEARCH,
        "QUANTDESK_LOGIN_LDAP_BIND_PASSWORD_FILE": str(password),
        "QUANTDESK_LOGIN_LDAP_USER_BASE": slapd.PEOPLE,
        "QUANTDESK_LOGIN_LDAP_GROUP_BASE": slapd.GROUPS,
    }
    with real.RealHub(ground, ground.state(), env=env) as hub:
        yield SimpleNamespace(hub=hub, directory=directory, slapd=slapd, until=real.until)


def enter(desk: Any, name: str, typed: str = "") -> Any:
    browser = desk.hub.browser()
    answer = browser.login(typed or name, desk.slapd.PASSWORD, follow=False)
    assert answer.status_code == 302, said(answer)
    browser.name = name
    assert browser.get("home").status_code == 200
    return browser


def model(browser: Any) -> dict[str, Any]:
    answer = browser.api("GET", "user")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def newcomer(desk: Any, name: str) -> str:
    """Somebody new in the directory, who is a quant."""
    dn: str = desk.directory.person(name)
    desk.directory.root.modify(f"cn=quant,{desk.slapd.GROUPS}", {"member": [("MODIFY_ADD", [dn])]})
    return dn


@pytest.mark.parametrize(
    ("name", "rights"), [("ana", {READ, RUN}), ("bob", {READ, RUN, TRADE}), ("cyd", {READ, RUN, TRADE})]
)
def test_the_groups_of_the_directory_are_the_rights_here(desk: Any, name: str, rights: set[str]) -> None:
    found = model(enter(desk, name, typed=name.upper()))
    assert found["name"] == name
    assert {scope for scope in found["scopes"] if scope.startswith("custom:")} - {"custom:quantdesk:admin"} == rights
    assert found["admin"] is (name == "cyd")


def test_the_page_asks_for_the_name_of_the_directory_and_offers_no_sign_up(desk: Any) -> None:
    page = desk.hub.browser().get("login")
    assert "the desk&#39;s directory" in page.text
    assert "signup" not in page.text
    assert desk.hub.browser().get("signup").status_code == 404


def test_who_is_in_no_group_is_told_which_ones_there_are(desk: Any) -> None:
    answer = desk.hub.browser().login("dan", desk.slapd.PASSWORD)
    assert answer.status_code == 403
    assert "You are dan in the desk's directory, but in no group that may use this hub." in said(answer)


@pytest.mark.parametrize("name", ["nobody", "*", "ana)(uid=*", "a*", "ana ", "ána", "ana\u00ad", "x" * 5000])
def test_a_name_that_is_none_is_as_wrong_as_a_password(desk: Any, name: str) -> None:
    answer = desk.hub.browser().login(name, "not the password" if name == "ana " else desk.slapd.PASSWORD)
    assert answer.status_code == 403
    assert said(answer) == WRONG


def test_an_empty_password_is_none_although_a_directory_takes_it(desk: Any) -> None:
    for password in ("", " ", "\0"):
        assert said(desk.hub.browser().login("bob", password)) == WRONG
    enter(desk, "bob")


def test_wrong_guesses_lock_the_name_for_the_hub_however_it_is_spelled(desk: Any) -> None:
    newcomer(desk, "gil")
    for spelled in ("gil", "GIL", "Gil", "gIl", "giL"):
        assert said(desk.hub.browser().login(spelled, "guess")) == WRONG
    locked = desk.hub.browser().login("gil", desk.slapd.PASSWORD)
    assert locked.status_code == 429
    assert said(locked) == "Too many wrong passwords for this name. Try again in 10 minutes."


def test_a_right_that_is_taken_away_is_gone_at_the_next_refresh(desk: Any) -> None:
    desk.directory.change(f"cn=trader,{desk.slapd.GROUPS}", "memberUid", "bob", "ana")
    browser = enter(desk, "ana")
    assert TRADE in model(browser)["scopes"]
    desk.directory.change(f"cn=trader,{desk.slapd.GROUPS}", "memberUid", "bob")
    desk.until(lambda: TRADE not in model(browser)["scopes"], 20)
    assert model(browser)["groups"] == ["quantdesk-members"]


def test_somebody_who_is_removed_loses_the_running_server_and_whoever_comes_after_him_gets_nothing(desk: Any) -> None:
    dn = newcomer(desk, "rob")
    browser = enter(desk, "rob")
    browser.start_server()
    (desk.hub.files.homes / "rob" / "mine").write_text("of the first rob")
    admin = enter(desk, "cyd")
    desk.directory.remove(dn)
    desk.until(lambda: browser.get("home", allow_redirects=False).status_code == 302, 20)
    desk.until(lambda: admin.api("GET", "users/rob").json()["servers"] == {}, 30)
    assert admin.api("GET", "users/rob").json()["groups"] == []
    asked = {"Authorization": f"token {browser.token}"}
    assert requests.get(f"{desk.hub.url}/hub/api/user", headers=asked, timeout=30).status_code == 403

    newcomer(desk, "rob")
    answer = desk.hub.browser().login("rob", desk.slapd.PASSWORD)
    assert "The name rob belongs to somebody else on this hub" in said(answer)
    assert admin.api("DELETE", "users/rob").status_code == 204
    model(enter(desk, "rob"))
    assert not (desk.hub.files.homes / "rob" / "mine").exists()
    kept = list((desk.hub.files.homes / ".retired").glob("rob-*/mine"))
    assert [path.read_text() for path in kept] == ["of the first rob"]


@pytest.mark.slow
def test_who_left_and_asks_for_nothing_is_found_on_the_rounds(desk: Any) -> None:
    dn = newcomer(desk, "ida")
    enter(desk, "ida")
    admin = enter(desk, "cyd")
    assert admin.api("GET", "users/ida").json()["groups"] == ["quantdesk-members"]
    desk.directory.remove(dn)
    desk.until(lambda: admin.api("GET", "users/ida").json()["groups"] == [], 150)
    assert "Taking everything from ida" in desk.hub.log


def test_while_the_directory_hangs_the_hub_answers_who_is_in_goes_on_and_nobody_comes_in(desk: Any) -> None:
    browser = enter(desk, "ana")
    desk.directory.hang()
    try:
        time.sleep(1.1)
        found = model(browser)
        assert RUN in found["scopes"]
        answer = desk.hub.browser().login("bob", desk.slapd.PASSWORD)
        assert answer.status_code == 503
        assert "The directory 127.0.0.1, which knows who you are, does not answer." in said(answer)
        assert requests.get(f"{desk.hub.url}/hub/health", timeout=10).status_code == 200
    finally:
        desk.directory.go_on()
    enter(desk, "bob")


def test_logging_out_ends_every_browser_and_no_program(desk: Any) -> None:
    here, elsewhere = enter(desk, "ana"), enter(desk, "ana")
    program = here.api("POST", "users/ana/tokens", json={"note": "a program"}).json()["token"]
    assert here.get("logout").url.endswith("/hub/login")
    for browser in (here, elsewhere):
        assert browser.get("home", allow_redirects=False).status_code == 302
    asked = {"Authorization": f"token {program}"}
    assert requests.get(f"{desk.hub.url}/hub/api/user", headers=asked, timeout=30).status_code == 200


def test_no_password_is_in_a_log(desk: Any) -> None:
    assert desk.slapd.PASSWORD not in desk.hub.log
    assert desk.slapd.SEARCH_PASSWORD not in desk.hub.log


def test_many_failures_from_one_address_are_enough_whatever_the_names(desk: Any) -> None:
    """The last test: nobody comes in from this address afterwards. What a client says of itself changes nothing."""
    answers = []
    for number in range(45):
        browser = desk.hub.browser()
        for header in ("X-Forwarded-For", "X-Real-Ip"):
            browser.session.headers[header] = f"198.51.100.{number}"
        answers.append(browser.login(f"nobody-{number}", "x"))
        if answers[-1].status_code == 429:
            break
    assert "Too many failed logins from your address" in said(answers[-1])
    assert desk.hub.browser().login("ana", desk.slapd.PASSWORD).status_code == 429
