"""Login, sign-up and approval, as somebody with a browser meets them; hostile input included."""

from __future__ import annotations

import html
import re
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.xdist_group("hub")
PASSWORD = "orange tiger 77 moon"


def said(answer: requests.Response) -> str:
    """What the page says in its note, as plain text."""
    note = re.search(r'<div class="qd-note[^>]*role="(?:alert|status)">(.*?)</div>', answer.text, re.DOTALL)
    return html.unescape(re.sub(r"\s*<[^>]+>\s*", " ", note.group(1))).strip() if note else ""


def test_the_first_login_leads_to_a_password_and_the_secret_is_void(desk: Any) -> None:
    somebody = desk.hub.browser()
    assert somebody.login("admin", desk.hub.secret).status_code == 403
    assert desk.hub.browser().get("set-password").status_code == 403
    assert desk.hub.browser().login("admin", PASSWORD, follow=False).status_code == 302
    page = desk.hub.browser().get("login").text
    assert "First login" not in page


def test_a_new_user_waits_for_approval(desk: Any) -> None:
    eve = desk.hub.browser()
    answer = eve.sign_up("Eve")
    assert answer.status_code == 200
    assert "signed up as eve" in said(answer)
    refused = eve.login("eve", PASSWORD)
    assert refused.status_code == 403
    assert said(refused) == "The administrator has not approved eve yet."
    listed = desk.admin.get("users").text
    assert "1 person waits" in listed
    assert "1 person waits" in desk.admin.get("home").text
    desk.admin.post("users", user="eve", action="approve")
    assert eve.login("eve", PASSWORD, follow=False).headers["Location"].startswith("/hub/")
    assert "person waits" not in desk.admin.get("home").text


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("admin", "belongs to the administrator"),
        ("ADMIN", "belongs to the administrator"),
        ("ana", "is taken"),
        ("Ana", "is taken"),
        ("../../etc", "cannot be a user name"),
        ("<img src=x>", "cannot be a user name"),
        ("a b", "cannot be a user name"),
        ("", "cannot be a user name"),
        ("9lives", "cannot be a user name"),
        ("x" * 5000, "cannot be a user name"),
        ("jörg", "cannot be a user name"),
    ],
)
def test_a_name_that_will_not_do_is_refused_with_the_reason(desk: Any, name: str, says: str) -> None:
    answer = desk.hub.browser().sign_up(name)
    assert answer.status_code == 400
    assert says in said(answer)
    assert "<img" not in answer.text.replace('<img src="/hub/quantdesk/mark.svg"', "")
    assert len(said(answer)) < 300


@pytest.mark.parametrize(
    ("password", "again", "says"),
    [
        ("short", None, "5 characters"),
        ("password1234", None, "most common"),
        (PASSWORD, PASSWORD + "x", "differ"),
        ("", None, "0 characters"),
    ],
)
def test_a_password_that_will_not_do_is_refused_with_the_reason(
    desk: Any, password: str, again: str | None, says: str
) -> None:
    answer = desk.hub.browser().sign_up("newcomer", password, again)
    assert answer.status_code == 400
    assert says in said(answer)
    assert "newcomer" not in desk.admin.get("users").text


def test_a_name_that_the_administrator_added_by_hand_is_not_open_to_the_first_comer(desk: Any) -> None:
    assert desk.admin.api("POST", "users/planned").status_code == 201
    stranger = desk.hub.browser()
    stranger.sign_up("planned")
    assert "not approved" in said(stranger.login("planned", PASSWORD))


def test_wrong_passwords_lock_a_name_and_tell_nothing(desk: Any) -> None:
    desk.hub.user("greta", desk.admin)
    guesser = desk.hub.browser()
    answers = [said(guesser.login("greta", f"wrong guess {number}")) for number in range(5)]
    assert set(answers) == {"The user name or the password is wrong."}
    assert said(guesser.login("nobody-here", "wrong guess 1")) == answers[0], "it does not tell which names exist"
    locked = said(guesser.login("greta", PASSWORD))
    assert locked == "Too many wrong passwords for this name. Try again in 10 minutes."
    desk.admin.post("change-password/greta", new_password="a new one for greta?", confirmation="a new one for greta?")


def test_logging_out_ends_the_login_in_every_browser_and_no_program(desk: Any) -> None:
    here = desk.hub.user("otto", desk.admin)
    elsewhere = desk.hub.browser()
    assert elsewhere.login("otto", PASSWORD, follow=False).status_code == 302
    here.get("home")
    program = here.api("POST", "users/otto/tokens", json={"note": "a program"}).json()["token"]
    assert "Log out?" in here.get("logout", headers={"Sec-Fetch-Site": "cross-site"}).text
    assert elsewhere.get("home", allow_redirects=False).status_code == 200, "another site logs nobody out"
    assert here.get("logout").url.endswith("/hub/login")
    for browser in (here, elsewhere):
        assert browser.get("home", allow_redirects=False).status_code == 302
    asked = {"Authorization": f"token {program}"}
    assert requests.get(f"{desk.hub.url}/hub/api/user", headers=asked, timeout=30).json()["name"] == "otto"


def test_an_unknown_name_takes_as_long_to_refuse_as_a_wrong_password(desk: Any) -> None:
    desk.hub.user("tim", desk.admin)

    def seconds(name: str) -> float:
        began = time.perf_counter()
        desk.hub.browser().post("login", username=name, password="not the one at all")
        return time.perf_counter() - began

    seconds("nobody-warm")
    unknown, known = min(seconds("nobody-a"), seconds("nobody-b")), min(seconds("tim"), seconds("tim"))
    assert unknown > 0.1, "bcrypt ran"
    assert known > 0.1


@pytest.mark.parametrize("password", ["x" * 100, "é" * 60, "a\0b", "x" * 1_000_000])
def test_no_password_breaks_the_login(desk: Any, password: str) -> None:
    answer = desk.hub.browser().login("hostile", password)
    assert answer.status_code == 403
    assert "wrong" in said(answer)


@pytest.mark.parametrize("path", ["login", "signup", "users", "change-password", "set-password", "change-password/ana"])
def test_a_forged_request_is_refused(desk: Any, path: str) -> None:
    """Another site can make a browser send its cookies, but not the guard that is in our forms."""
    form = {
        "username": "x",
        "password": "x",
        "user": "ana",
        "action": "revoke",
        "new_password": PASSWORD,
        "confirmation": PASSWORD,
    }
    answer = desk.admin.session.post(
        f"{desk.hub.url}/hub/{path}", data=form, headers={"Sec-Fetch-Site": "cross-site"}, timeout=30
    )
    assert answer.status_code == 403
    assert desk.ana.get("home").status_code == 200


@pytest.mark.parametrize("action", ["approve", "revoke", "discard"])
def test_only_an_administrator_decides_about_users(desk: Any, action: str) -> None:
    assert desk.ana.get("users").status_code in {403, 404}
    answer = desk.ana.session.post(f"{desk.hub.url}/hub/users", data={"user": "bob", "action": action}, timeout=30)
    assert answer.status_code in {403, 404}
    assert desk.ana.get("change-password/bob").status_code in {403, 404}
    assert desk.bob.get("home", allow_redirects=False).status_code == 200


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"user": "nobody", "action": "approve"}, "Nobody has signed up as 'nobody'"),
        ({"user": "ana", "action": "promote"}, "cannot be done to a user"),
        ({"user": "admin", "action": "revoke"}, "is the administrator"),
        ({"user": "", "action": ""}, "cannot be done"),
        ({"user": "<script>", "action": "revoke"}, "Nobody has signed up as"),
    ],
)
def test_a_decision_that_makes_no_sense_changes_nothing(desk: Any, form: dict[str, str], says: str) -> None:
    answer = desk.admin.post("users", **form)
    assert answer.status_code == 400
    assert says in said(answer)
    assert "<script>" not in answer.text


def test_a_revoked_user_is_out_at_once(desk: Any) -> None:
    rita = desk.hub.user("rita", desk.admin)
    assert rita.get("home", allow_redirects=False).status_code == 200
    token = rita.api("POST", "users/rita/tokens", json={}).json()["token"]
    ask = {"Authorization": f"token {token}"}
    assert requests.get(f"{desk.hub.url}/hub/api/user", headers=ask, timeout=30).status_code == 200
    desk.admin.post("users", user="rita", action="revoke")
    assert rita.get("home", allow_redirects=False).status_code == 302
    assert requests.get(f"{desk.hub.url}/hub/api/user", headers=ask, timeout=30).status_code == 403
    assert "not approved" in said(rita.login("rita", PASSWORD))


def test_a_password_is_changed_by_its_owner_and_ends_other_sessions(desk: Any) -> None:
    paul = desk.hub.user("paul", desk.admin)
    elsewhere = desk.hub.browser()
    elsewhere.login("paul", PASSWORD, follow=False)
    new = "a second good password"
    wrong = paul.post("change-password", present_password="not it, sorry", new_password=new, confirmation=new)
    assert said(wrong) == "The present password is wrong."
    done = paul.post("change-password", present_password=PASSWORD, new_password=new, confirmation=new)
    assert said(done) == "The password of paul is changed."
    assert paul.get("home", allow_redirects=False).status_code == 200
    assert elsewhere.get("home", allow_redirects=False).status_code == 302
    assert desk.hub.browser().login("paul", PASSWORD).status_code == 403
    assert desk.hub.browser().login("paul", new, follow=False).status_code == 302


def test_an_administrator_gives_others_a_password_but_not_himself(desk: Any) -> None:
    desk.hub.user("olga", desk.admin)
    new = "chosen by the admin 1"
    assert said(desk.admin.post("change-password/olga", new_password=new, confirmation=new)).startswith(
        "The password of olga"
    )
    assert desk.hub.browser().login("olga", new, follow=False).status_code == 302
    assert desk.admin.get("change-password/admin").status_code == 403
    assert desk.admin.get("change-password/nobody").status_code == 404


def test_a_deleted_name_starts_again_with_an_empty_home(desk: Any) -> None:
    """Who signs up under the name of somebody who was deleted is somebody else."""
    from quantdesk.hub.accounts import Accounts

    desk.hub.user("carl", desk.admin)
    accounts = Accounts(desk.hub.files)
    first = accounts.open("carl")
    desk.admin.post("users", user="carl", action="revoke")
    desk.admin.post("users", user="carl", action="discard")
    assert "carl" not in desk.admin.get("users").text
    desk.hub.user("carl", desk.admin)
    second = accounts.open("carl")
    assert second.uid != first.uid
    assert list((desk.hub.files.homes / ".retired").iterdir()) == [
        desk.hub.files.homes / ".retired" / f"carl-{first.uid}"
    ]


def test_what_keeps_a_server_from_starting_is_told(desk: Any) -> None:
    hanna = desk.hub.user("hanna", desk.admin)
    home = desk.hub.files.homes / "hanna"
    home.mkdir()
    try:
        page = hanna.get("spawn")
        assert page.status_code == 500
        assert f"The home {home} belongs to the number 0" in html.unescape(page.text)
        assert home.stat().st_uid == 0
    finally:
        home.rmdir()


@pytest.fixture(params=["login", "signup", "home", "users", "change-password", "token", "admin", "nothing-here"])
def page(request: pytest.FixtureRequest, desk: Any) -> requests.Response:
    browser = desk.hub.browser() if request.param in {"login", "signup"} else desk.admin
    return browser.get(request.param)  # type: ignore[no-any-return]


def test_pages_load_nothing_from_elsewhere_and_say_so_to_the_browser(page: requests.Response) -> None:
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.findall(
        r'(?:src|href)="(?:https?:)?//(?!127\.0\.0\.1)[^"]*\.(?:js|css|svg|png|ico|woff2?)', page.text
    )


@pytest.mark.parametrize("name", ["login", "signup", "users", "change-password"])
def test_our_own_pages_run_no_inline_script(desk: Any, name: str) -> None:
    page = desk.admin.get(name) if name in {"users", "change-password"} else desk.hub.browser().get(name)
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*src=)|<style| style=| on[a-z]+=", page.text)
    assert page.headers["Cache-Control"] == "no-store"


def test_the_style_sheet_carries_the_tokens_and_is_cached(desk: Any) -> None:
    answer = requests.get(f"{desk.hub.url}/hub/quantdesk/desk.css", timeout=30)
    assert "--qd-accent" in answer.text
    again = requests.get(
        f"{desk.hub.url}/hub/quantdesk/desk.css", headers={"If-None-Match": answer.headers["ETag"]}, timeout=30
    )
    assert again.status_code == 304
    for name in ("secret.css", "..%2fauth.py", "desk.css%00"):
        assert requests.get(f"{desk.hub.url}/hub/quantdesk/{name}", timeout=30).status_code == 404


def test_passwords_are_kept_as_bcrypt_hashes_only(desk: Any) -> None:
    with closing(sqlite3.connect(f"file:{desk.hub.files.database}?mode=ro", uri=True)) as connection:
        kept = connection.execute("SELECT password FROM users_info").fetchall()
    assert kept
    assert all(bytes(value).startswith(b"$2b$12$") for (value,) in kept)
    assert PASSWORD not in desk.hub.log
    assert desk.hub.secret not in desk.hub.log


def test_a_hub_that_knows_many_people_shows_them_by_the_hundred_and_finds_them(desk: Any) -> None:
    """As many rows as a page can show, those who wait first, and each name once over all pages."""
    crowd = [f"crowd{number:03d}" for number in range(230)]
    with closing(sqlite3.connect(desk.hub.files.database, timeout=30)) as file:
        try:
            with file:
                known = [(name, b"", name != "crowd229") for name in crowd]
                file.executemany("INSERT INTO users_info (username, password, is_authorized) VALUES (?, ?, ?)", known)
            pages = [desk.admin.get("users", params={"page": page}).text for page in (1, 2, 3, 4)]
            listed = [re.findall(r'<tr id="user-([^"]+)">', page) for page in pages]
            assert len(listed[0]) == len(listed[1]) == 100
            assert listed[0][0] == "crowd229", "who waits is the first"
            assert pages[3] == pages[2] or listed[3] == listed[2], "beyond the last page is the last page"
            names = [name for page in listed[:3] for name in page]
            assert len(names) == len(set(names))
            assert {*crowd, "admin", "ana", "bob"} <= set(names)
            rows = dict(re.findall(r'<tr id="user-([^"]+)">(.*?)</tr>', "".join(pages[:3]), re.DOTALL))
            assert {name: ">running<" in rows[name] for name in ("ana", "bob", "crowd000")} == {
                "ana": True, "bob": True, "crowd000": False,
            }  # fmt: skip
            assert "<time" in rows["ana"]
            assert ">never<" in rows["crowd000"]
            assert "1 to 100 of " in pages[0]
            found = desk.admin.get("users", params={"q": "D22"})
            assert re.findall(r'<tr id="user-([^"]+)">', found.text) == ["crowd229", *crowd[220:229]]
            for hostile in ("%", "_", "<script>alert(1)</script>", "' OR 1=1 --", "x" * 5000):
                answer = desk.admin.get("users", params={"q": hostile})
                assert answer.status_code == 200
                assert '<tr id="user-' not in answer.text
                assert "<script>alert" not in answer.text
            for nonsense in ("0", "-1", "²", "9" * 40, "a"):
                answer = desk.admin.get("users", params={"page": nonsense})
                assert listed[0] == re.findall(r'<tr id="user-([^"]+)">', answer.text)
            refused = desk.admin.post("users", user="nobody", action="approve", q="d22", page="1")
            assert re.findall(r'<tr id="user-([^"]+)">', refused.text) == ["crowd229", *crowd[220:229]]
        finally:
            with file:
                file.execute("DELETE FROM users_info WHERE username LIKE 'crowd%'")
