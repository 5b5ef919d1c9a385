"""A server that its owner opens to others, and closes again: who may, who may not, and what the page says."""

from __future__ import annotations

import asyncio
import html
import re
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import websocket
from jupyterhub import orm
from jupyterhub.scopes import define_custom_scopes
from tornado.web import HTTPError
from traitlets.config import Config

from loops import Loop
from quantdesk.errors import BadInput, BadParameter
from quantdesk.hub import kubernetes, lab
from quantdesk.hub.auth.groups import Role
from quantdesk.hub.config import HubConfig
from quantdesk.hub.lab.visitors import REFUSED, Visitors
from quantdesk.hub.service import SCOPES
from quantdesk.hub.sharing import kept
from quantdesk.hub.sharing.config import SharingConfig
from quantdesk.hub.sharing.rules import may_share, refusal

VIEWER, QUANT, TRADER = (frozenset(role.scopes) for role in (Role.VIEWER, Role.QUANT, Role.TRADER))
ADMIN = TRADER | frozenset(Role.ADMIN.scopes)
GUARD = re.compile(r'name="_xsrf" value="([^"]+)"')


# The rules


@pytest.mark.parametrize(
    ("own", "other", "says"),
    [
        (QUANT, QUANT, None),
        (TRADER, QUANT, None),
        (TRADER, TRADER, None),
        (ADMIN, TRADER, None),
        (ADMIN, VIEWER, "may only look"),
        (QUANT, VIEWER, "may only look"),
        (QUANT, frozenset(), "may only look"),
        (QUANT, TRADER, "may do more on this platform than you"),
        (TRADER, ADMIN, "may do more on this platform than you"),
        (VIEWER, VIEWER, "Who may only look shares no server"),
        (frozenset(), QUANT, "Who may only look shares no server"),
    ],
)
def test_neither_side_has_rights_that_the_other_has_not(
    own: frozenset[str], other: frozenset[str], says: str | None
) -> None:
    found = refusal(own, other, "kim")
    assert (says in found[0]) if says and found else found is None and says is None
    assert may_share(own) is (own in (QUANT, TRADER, ADMIN))


def test_sharing_is_off_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUANTDESK_SHARING", raising=False)
    assert not SharingConfig.from_env().sharing
    assert SharingConfig.from_env().told == {}
    assert SharingConfig.from_env(sharing=True).told == {"QUANTDESK_SHARING_BELIEVED_S": "10"}
    monkeypatch.setenv("QUANTDESK_SHARING", "perhaps")
    with pytest.raises(BadParameter, match="QUANTDESK_SHARING will not do"):
        SharingConfig.from_env()


def test_a_server_that_may_be_shared_asks_the_hub_often_who_may_enter() -> None:
    told = {"HOME": "/h", **SharingConfig(sharing=True, sharing_believed_s=7).told}
    assert lab.server_settings(told)["HubOAuth"] == {"cache_max_age": 7}
    assert "HubOAuth" not in lab.server_settings({"HOME": "/h"})


class Connection:
    """A connection of somebody, and what the hub will say when it is asked about him again."""

    def __init__(self, name: str, answer: object) -> None:
        self.current_user = SimpleNamespace(username=name)
        self.identity_provider = self
        self.answer, self.asked, self.closed = answer, 0, 0

    async def get_user(self, connection: object) -> object:
        assert connection is self
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self, code: int, reason: str) -> None:
        assert reason.startswith("This server is not shared")
        self.closed = code


def test_open_connections_of_visitors_are_closed_when_the_hub_says_no_and_only_then() -> None:
    owner, welcome, refused = Connection("ana", None), Connection("bob", object()), Connection("carol", None)
    unknown = Connection("dave", HTTPError(503))

    async def look() -> None:
        visitors = Visitors("ana", 0.01)
        for one in (owner, welcome, refused, unknown):
            visitors.came(one)
        while not (refused.closed and welcome.asked > 1 and unknown.asked > 1):
            await asyncio.sleep(0.01)
        for one in (owner, welcome, refused, unknown):
            visitors.went(one)
        assert visitors._looking is not None
        await visitors._looking

    with Loop() as loop:
        loop.run(look())
    assert refused.closed == REFUSED
    assert owner.asked == owner.closed == welcome.closed == unknown.closed == 0


# In JupyterHub's tables


@pytest.fixture
def tables() -> SimpleNamespace:
    """JupyterHub's own tables: a group with each role, a team, and somebody of each role, named after it."""
    define_custom_scopes(SCOPES)
    db = orm.new_session_factory("sqlite:///:memory:")()
    people = {}
    team = orm.Group(name="alpha")
    db.add(team)
    for role in Role:
        group = orm.Group(name=role.group)
        group.roles.append(orm.Role(name=role.group, scopes=list(role.scopes)))
        for name in (str(role), f"other-{role}"):
            people[name] = one = orm.User(name=name)
            one.groups.append(group)
            db.add_all([one, orm.Spawner(name="", user=one)])
    db.commit()
    owners = {
        name: SimpleNamespace(orm_user=one, spawner=SimpleNamespace(orm_spawner=one.orm_spawners[""]))
        for name, one in people.items()
    }
    return SimpleNamespace(db=db, people=people, owners=owners, team=team)


def test_what_is_given_is_seen_by_both_and_taken_back(tables: Any) -> None:
    db, people, owners = tables.db, tables.people, tables.owners
    kept.give(db, owners["quant"], "user", "other-quant")
    kept.give(db, owners["quant"], "user", "other-quant")  # twice is once
    (given,) = kept.shared(db, people["quant"]).given
    assert (given.kind, given.name) == ("user", "other-quant")
    (received,) = kept.shared(db, people["other-quant"]).received
    assert received == kept.Received("quant", running=False, group="")
    kept.take_back(db, owners["quant"], "user", "other-quant")
    assert kept.shared(db, people["quant"]).given == ()
    assert kept.shared(db, people["other-quant"]).received == ()
    kept.take_back(db, owners["quant"], "user", "other-quant")
    kept.give(db, owners["quant"], "user", "other-quant")
    kept.give_back(db, people["other-quant"], "quant")
    assert db.query(orm.Share).count() == 0


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("user", "viewer", "viewer may only look"),
        ("user", "trader", "trader may do more"),
        ("user", "quant", "yours already"),
        ("user", "nobody", "Nobody is called 'nobody' here"),
        ("user", "", "Nobody is called"),
        ("group", "alpha", "You are in no team 'alpha'"),
        ("group", "quantdesk-members", "You are in no team 'quantdesk-members'"),
        ("group", "nothing", "You are in no team 'nothing'"),
        ("moon", "alpha", "You are in no team"),
    ],
)
def test_what_may_not_be_given_is_refused(tables: Any, kind: str, name: str, says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(says)):
        kept.give(tables.db, tables.owners["quant"], kind, name)
    assert tables.db.query(orm.Share).count() == 0


def test_a_team_gets_it_when_all_of_it_may(tables: Any) -> None:
    db, people, owners = tables.db, tables.people, tables.owners
    tables.team.users.extend([people["quant"], people["other-quant"], people["viewer"]])
    db.commit()
    with pytest.raises(BadInput, match="viewer may only look"):
        kept.give(db, owners["quant"], "group", "alpha")
    tables.team.users.remove(people["viewer"])
    db.commit()
    kept.give(db, owners["quant"], "group", "alpha")
    assert kept.shared(db, people["other-quant"]).received == (kept.Received("quant", running=False, group="alpha"),)
    assert kept.shared(db, people["quant"]).received == (), "one's own server is not shared with oneself"
    scope = "access:servers!server=quant/"
    assert kept.admission(people["other-quant"]) == ({scope}, frozenset())
    tables.team.users.append(people["trader"])
    db.commit()
    for one in ("other-quant", "trader"):
        assert kept.admission(people[one]) == (frozenset(), {scope}), "it opens nothing from then on"
    assert kept.shared(db, people["trader"]).received == ()
    assert db.query(orm.Share).count() == 0, "somebody came who may do more: it has ended"


def test_what_the_rules_forbid_by_now_is_ended(tables: Any) -> None:
    db, people, owners = tables.db, tables.people, tables.owners
    tables.team.users.extend([people["quant"], people["other-quant"]])
    db.commit()
    kept.give(db, owners["quant"], "group", "alpha")
    kept.give(db, owners["trader"], "user", "quant")
    kept.give(db, owners["other-trader"], "user", "trader")
    orm.ShareCode.new(db, people["quant"].orm_spawners[""], scopes=["access:servers!server=quant/"], expires_in=900)
    assert kept.settle(db) == []
    assert db.query(orm.ShareCode).count() == 0, "a link opens a server to whoever has it"
    tables.team.users.remove(people["quant"])
    people["trader"].groups.clear()
    db.commit()
    ended = [sentence for _, sentence in kept.settle(db)]
    assert ended == [
        "The server of quant is shared with alpha no longer: You are in no team 'alpha'. "
        "A server is shared with a team of its owner.",
        "The server of trader is shared with quant no longer: Who may only look shares no server. "
        "Ask an administrator for the role of a quant.",
        "The server of other-trader is shared with trader no longer: trader may only look on this platform, and code "
        "runs on a server. Share a report, or ask an administrator for another role.",
    ]
    assert db.query(orm.Share).count() == 0


def test_switched_off_nothing_stays_open(tables: Any) -> None:
    db = tables.db
    kept.give(db, tables.owners["quant"], "user", "other-quant")
    assert kept.admission(tables.people["other-quant"], on=False) == (frozenset(), {"access:servers!server=quant/"})
    ((_, sentence),) = kept.settle(db, on=False)
    assert sentence == "The server of quant is shared with other-quant no longer: Sharing is off."
    assert db.query(orm.Share).count() == 0


def test_who_is_turned_out_shares_nothing(tables: Any) -> None:
    db = tables.db
    kept.give(db, tables.owners["quant"], "user", "other-quant")
    kept.give(db, tables.owners["other-quant"], "user", "quant")
    kept.end_all_of(db, tables.people["quant"])
    assert db.query(orm.Share).count() == 0


# A real hub


def act(browser: Any, follow: bool = True, **form: str) -> requests.Response:
    """Send the form of the page, as a browser would."""
    guard = GUARD.search(browser.get("share").text)
    assert guard
    data = {"_xsrf": guard.group(1), "understood": "yes", **form}
    return browser.session.post(f"{browser.hub.url}/hub/share", data=data, timeout=30, allow_redirects=follow)


def said(answer: requests.Response) -> str:
    note = re.search(r'<div class="qd-note[^>]*role="(?:alert|status)">(.*?)</div>', answer.text, re.DOTALL)
    return html.unescape(re.sub(r"\s*<[^>]+>\s*", " ", note.group(1))).strip() if note else ""


def enter(browser: Any, owner: str) -> requests.Response:
    """Open another's server as a browser does, agreeing to the hub's question."""
    address = f"{browser.hub.url}/user/{owner}/api/contents/"
    page = browser.session.get(
        f"{browser.hub.url}/user/{owner}/lab", timeout=30, headers={"Sec-Fetch-Mode": "navigate"}
    )
    if f"Open the server of {owner}?" in page.text:
        guard = GUARD.search(page.text)
        scopes = re.findall(r'name="scopes" value="([^"]+)"', page.text)
        assert guard
        browser.session.post(
            page.url, data={"_xsrf": guard.group(1), "scopes": scopes}, timeout=30, headers={"Referer": page.url}
        )
    return browser.session.get(address, timeout=30)


@pytest.mark.xdist_group("hub")
def test_a_shared_server_opens_to_those_whom_its_owner_names_and_to_nobody_else(desk: Any, real: Any) -> None:
    hub, ana, bob = desk.hub, desk.ana, desk.bob
    carol = hub.user("carol", desk.admin)
    assert enter(bob, "ana").status_code in (403, 404), "not before"
    assert "Your server is yours alone" in ana.get("home").text
    assert act(ana, action="give", kind="user", name="bob").status_code == 200
    assert "<strong>bob</strong>" in ana.get("home").text
    shown = bob.get("home").text
    assert "Shared with you" in shown
    assert "/user/ana/lab" in shown
    assert "Shared with you" not in carol.get("home").text

    listed = enter(bob, "ana")
    assert listed.status_code == 200, listed.text
    assert listed.json()["type"] == "directory"
    assert enter(carol, "ana").status_code in (403, 404)
    assert enter(ana, "bob").status_code in (403, 404), "it goes one way"
    token = bob.api("POST", "users/bob/tokens", json={"note": "sharing"}).json()["token"]
    with bob.kernel(of="ana", token=token) as run:
        assert run("import os; print(os.environ['JUPYTERHUB_USER'])") == "ana\n", "he acts as its owner"
        with ana.kernel() as own:
            assert act(ana, action="take", kind="user", name="bob").url.endswith("share?closed=yes")
            assert "Shared with you" not in bob.get("home").text
            with pytest.raises(websocket.WebSocketException):  # what he has open is closed soon
                for _ in range(60):
                    run("import time; time.sleep(0.5)")
            assert own("print(6 * 7)") == "42\n", "and not what its owner has open"
    # A server believes the hub for a while.
    real.until(lambda: bob.server("GET", "api/contents", of="ana", token=token).status_code == 403, 30)
    assert enter(bob, "ana").status_code in (403, 404)


@pytest.mark.xdist_group("hub")
def test_nobody_shares_what_is_not_his_nor_by_another_way(desk: Any) -> None:
    ana, bob, admin = desk.ana, desk.bob, desk.admin
    carol = {"user": "carol"} if admin.api("GET", "users/carol").status_code == 200 else {"user": "ana"}
    for path in ("shares/ana/", "shares/bob/", "share-codes/bob/"):
        body = {} if "codes" in path else carol
        assert bob.api("POST", path, json=body).status_code in (403, 404), path
    assert admin.api("POST", "share-codes/ana/", json={}).status_code == 403, "nor does an administrator make links"
    assert "by a link" in admin.api("POST", "share-codes/ana/", json={}).json()["message"]
    token = ana.server("GET", "api/status")
    assert token.status_code == 200
    forged = {"action": "give", "kind": "user", "name": "bob", "understood": "yes"}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Mode": "no-cors"}):
        answer = ana.session.post(f"{desk.hub.url}/hub/share", data=forged, headers=headers, timeout=30)
        assert answer.status_code == 403, "without the guard"
    program = {"Authorization": f"token {ana.token}"}
    answer = requests.post(f"{desk.hub.url}/hub/share", data=forged, headers=program, timeout=30, allow_redirects=False)
    assert answer.status_code in (302, 403), "a token is no browser"
    assert desk.hub.browser().get("share", allow_redirects=False).status_code == 302
    assert "Shared with you" not in bob.get("home").text


@pytest.mark.xdist_group("hub")
@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"action": "give", "kind": "user", "name": "bob", "understood": ""}, "Nothing is shared yet"),
        ({"action": "give", "kind": "user", "name": "ana"}, "yours already"),
        ({"action": "give", "kind": "user", "name": "admin"}, "admin may do more on this platform than you"),
        ({"action": "give", "kind": "user", "name": "<script>"}, "Nobody is called '<script>' here"),
        ({"action": "give", "kind": "user", "name": "x" * 5000}, "Nobody is called"),
        ({"action": "give", "kind": "group", "name": "quantdesk-members"}, "You are in no team"),
        ({"action": "steal", "kind": "user", "name": "bob"}, "'steal' cannot be done here"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(desk: Any, form: dict[str, str], says: str) -> None:
    answer = act(desk.ana, **form)
    assert answer.status_code == 400
    assert says in said(answer)
    assert "<script>" not in answer.text
    assert "Nobody. Your server is yours alone" in answer.text


@pytest.mark.xdist_group("hub")
def test_a_team_opens_the_server_of_one_of_it(desk: Any) -> None:
    admin, ana, bob = desk.admin, desk.ana, desk.bob
    assert admin.api("POST", "groups/beta").status_code == 201
    try:
        members = {"users": ["ana", "bob"]}
        assert admin.api("POST", "groups/beta/users", json=members).status_code == 200
        assert "<option>beta</option>" in bob.get("share").text
        assert act(bob, action="give", kind="group", name="beta").status_code == 200
        assert "the team beta" in ana.get("home").text
        assert enter(ana, "bob").status_code == 200
    finally:
        assert admin.api("DELETE", "groups/beta").status_code == 204
    assert "Shared with you" not in ana.get("home").text
    assert "Nobody. Your server is yours alone" in bob.get("share").text


@pytest.mark.xdist_group("hub")
def test_where_sharing_is_off_page_and_api_refuse(fresh: Any) -> None:
    hub = fresh()
    with hub:
        admin = hub.first_login()
        page = admin.get("share")
        assert page.status_code == 403
        assert "QUANTDESK_SHARING" in page.text
        assert "hub/share" not in admin.get("home").text
        refused = admin.api("POST", f"shares/{hub.admin}/", json={"user": "ana"})
        assert refused.status_code == 403
        assert "not shared on this hub" in refused.json()["message"]


# Kubernetes


def test_kubernetes_tells_servers_and_pages_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handlers are those of the login, which is the same code there."""
    hub = HubConfig(admin="ada", login="oidc")
    for on in ("true", "false"):
        monkeypatch.setenv("QUANTDESK_SHARING", on)
        c = Config()
        c.KubeSpawner.environment = {"KEPT": "1"}
        kubernetes._servers(c, hub)
        kubernetes._pages(c, hub)
        told = {"QUANTDESK_SHARING_BELIEVED_S": "10"} if on == "true" else {}
        interval = {"JUPYTERHUB_ACTIVITY_INTERVAL": "300"}
        assert c.KubeSpawner.environment == {"KEPT": "1", **told, **interval}
        assert c.JupyterHub.template_vars["shared"](None) is None
