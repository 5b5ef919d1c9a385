"""What becomes of somebody who is logged in, without a server; and JupyterHub's settings of a login."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.crypto import CryptKeeper
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from loops import Loop
from quantdesk.hub import proxy
from quantdesk.hub.auth import attempts
from quantdesk.hub.auth.config import LdapConfig, LoginConfig
from quantdesk.hub.auth.groups import GroupMap
from quantdesk.hub.auth.ldap import MOST_WAITING, LdapAuthenticator
from quantdesk.hub.auth.native import HubAuthenticator
from quantdesk.hub.auth.oidc import OidcAuthenticator
from quantdesk.hub.auth.person import Gone, LoginOver, LoginRefused, Person, Unreachable
from quantdesk.hub.auth.rounds import Rounds
from quantdesk.hub.auth.upstream import Upstream
from quantdesk.hub.behalf.door import is_approved
from quantdesk.hub.config import HubFiles
from quantdesk.hub.sweep import MARK

ROOT = Path(__file__).resolve().parents[3]


class Asked(Upstream):
    """Upstream says what the test wants it to say."""

    answer: Any = None
    times = 0

    async def ask_again(self, user: Any, state: dict[str, Any]) -> tuple[Person, dict[str, Any]]:
        self.times += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer, {"token": "new"}


class User:
    """As much of JupyterHub's as a refresh needs."""

    def __init__(self, orm_user: Any, state: dict[str, Any] | None) -> None:
        self.orm_user, self.name, self.state = orm_user, orm_user.name, state
        self.admin, self.groups = True, ["quantdesk-traders"]
        self.spawner = SimpleNamespace(active=False, pending=False)

    async def get_auth_state(self) -> dict[str, Any] | None:
        return self.state

    async def save_auth_state(self, state: Any) -> None:
        self.state = state

    def sync_groups(self, names: list[str]) -> None:
        self.groups = names


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Any]:
    """An authenticator over a hub's database, and ana, who was confirmed a minute ago."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    orm.Base.metadata.create_all(engine)
    with Session(engine) as session, Loop() as loop:
        for role in ("user", "admin"):
            session.add(orm.Role(name=role))
        session.add(orm.OAuthClient(identifier="jupyterhub"))
        session.add(orm.User(name="ana"))
        session.commit()
        config = LoginConfig.from_env(title="the test", refresh=1, grace=600)
        made = Asked(
            login=config, state=str(tmp_path), administrator="ana", isolated=True, _deprecated_db_session=session
        )
        made.identities.bind("ana", "test", "1")
        user = User(session.query(orm.User).one(), {"token": "old", "confirmed": time.time() - 60})
        handler = SimpleNamespace(users={user.orm_user: user})
        yield SimpleNamespace(desk=made, user=user, handler=handler, loop=loop, session=session)
    engine.dispose()


def refresh(desk: Any) -> Any:
    desk.desk._answers.clear()
    desk.desk._silent_until = 0.0
    return desk.loop.run(desk.desk.refresh_user(desk.user, desk.handler))


def test_what_upstream_says_now_replaces_what_it_said(desk: Any) -> None:
    desk.desk.answer = Person("test", "1", "renamed", ("viewer",))
    found = refresh(desk)
    assert (found["name"], found["admin"], found["groups"]) == ("ana", False, ["quantdesk-viewers"])
    assert found["auth_state"]["token"] == "new"
    assert time.time() - found["auth_state"]["confirmed"] < 60


@pytest.mark.parametrize(
    "answer",
    [Person("test", "1", "ana", ()), Person("test", "2", "ana", ("admin",)), Person("other", "1", "ana", ("admin",))],
)
def test_without_a_role_or_as_somebody_else_everything_is_taken(desk: Any, answer: Person) -> None:
    token = desk.user.orm_user.new_api_token(note="a program")
    before = desk.user.orm_user.cookie_id
    desk.desk.answer = answer
    assert refresh(desk) is False
    assert (desk.user.admin, desk.user.groups, desk.user.state) == (False, [], None)
    assert orm.APIToken.find(desk.session, token) is None
    assert desk.user.orm_user.cookie_id != before


@pytest.mark.parametrize(
    ("confirmed", "goes_on"), [(-60, True), (-599, True), (-601, False), (30, True), (3600, False)]
)
def test_while_upstream_is_silent_the_grace_period_decides(desk: Any, confirmed: int, goes_on: bool) -> None:
    desk.desk.answer = Unreachable("silence")
    desk.user.state["confirmed"] = time.time() + confirmed
    assert refresh(desk) is goes_on
    assert desk.user.groups == ["quantdesk-traders"], "nothing is taken without a word"


def test_a_login_that_is_over_is_a_dismissal_after_days_only(desk: Any) -> None:
    desk.desk.answer = LoginOver("over")
    assert refresh(desk) is False
    assert desk.user.groups == ["quantdesk-traders"]
    desk.user.state["confirmed"] = time.time() - 6 * 86_400
    assert refresh(desk) is False
    assert desk.user.groups == ["quantdesk-traders"]
    desk.user.state["confirmed"] = time.time() - 8 * 86_400
    assert refresh(desk) is False
    assert desk.user.groups == []


@pytest.mark.parametrize(("groups", "stops"), [(("viewer", "equities"), False), (("viewer",), True)])
def test_who_leaves_a_team_loses_the_server_that_still_reaches_its_folder(
    desk: Any, groups: tuple[str, ...], stops: bool
) -> None:
    for name in ("equities", "quantdesk-traders"):
        group = orm.Group(name=name)
        desk.session.add(group)
        desk.user.orm_user.groups.append(group)
    desk.session.commit()
    stopped: list[Any] = []
    desk.handler.stop_single_user = stopped.append
    desk.user.spawner.active = True
    desk.desk.map = GroupMap.parse(teams="equities")
    desk.desk.answer = Person("test", "1", "ana", groups)
    assert refresh(desk)["groups"][0] == "quantdesk-viewers"
    assert stopped == ([desk.user] if stops else [])


def test_without_what_was_kept_a_new_login_is_needed_and_nobody_is_asked(desk: Any) -> None:
    """As after a lost key, or for somebody who logged in before the login was changed."""
    desk.user.state = None
    assert refresh(desk) is False
    assert desk.desk.times == 0


def test_many_requests_ask_once_and_silence_is_remembered(desk: Any) -> None:
    import asyncio

    desk.desk.answer = Person("test", "1", "ana", ("quant",))

    async def many() -> list[Any]:
        return await asyncio.gather(*(desk.desk.refresh_user(desk.user, desk.handler) for _ in range(20)))

    answers = desk.loop.run(many())
    assert desk.desk.times == 1
    assert all(answer["groups"] == ["quantdesk-members"] for answer in answers)
    assert len({id(answer) for answer in answers}) == 20, "JupyterHub writes into them"
    desk.desk._answers.clear()
    desk.desk.answer = Unreachable("silence")
    for _ in range(3):
        desk.desk._answers.clear()
        assert desk.loop.run(desk.desk.refresh_user(desk.user, desk.handler)) is True
    assert desk.desk.times == 2, "the second and the third did not wait"


def test_the_rounds_find_who_left_and_asks_for_nothing(
    desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His scheduled notebooks would run on."""
    group = orm.Group(name="quantdesk-members")
    desk.user.orm_user.groups.append(group)
    desk.session.add(orm.User(name="never-logged-in"))
    desk.session.commit()
    desk.user._auth_refreshed = None
    app = SimpleNamespace(users=desk.handler.users, db=desk.session)
    rounds = Rounds(desk.desk, app)
    desk.desk.answer = Unreachable("silence")
    desk.loop.run(rounds.go())
    assert desk.user.groups == ["quantdesk-traders"], "silence is no dismissal"
    desk.desk._answers.clear()
    desk.desk._silent_until = 0.0
    desk.desk.answer = Person("test", "1", "ana", ("viewer",))
    desk.loop.run(rounds.go())
    assert (desk.user.groups, desk.user.admin) == (["quantdesk-viewers"], False)
    desk.loop.run(rounds.go())
    assert desk.desk.times == 2, "who was confirmed a moment ago is not asked about"
    desk.user._auth_refreshed = None
    desk.desk._answers.clear()
    desk.desk.answer = Gone("left")
    desk.loop.run(rounds.go())
    assert (desk.user.groups, desk.user.state) == ([], None)


@pytest.mark.parametrize(
    ("group", "runs"),
    [
        ("quantdesk-members", True),
        ("quantdesk-administrators", True),
        ("quantdesk-viewers", False),
        ("equities", False),
    ],
)
def test_scheduled_notebooks_run_for_those_whose_role_may_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, runs: bool
) -> None:
    monkeypatch.setenv("QUANTDESK_LOGIN", "ldap")
    files = HubFiles(tmp_path)
    assert not is_approved(files, "ana"), "there is no database yet"
    files.root.mkdir()
    engine = create_engine(f"sqlite:///{files.database}")
    orm.Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([orm.User(name="bob"), orm.User(name="ana", groups=[orm.Group(name=group)])])
        session.commit()
    engine.dispose()
    assert is_approved(files, "ana") is runs
    assert not is_approved(files, "bob")
    assert not is_approved(files, "nobody")


def test_an_entry_of_one_person_that_means_nothing_keeps_nobody_else_unconfirmed(desk: Any) -> None:
    desk.desk.answer = Unreachable("his name is there twice", of_one=True)
    assert refresh(desk) is True
    desk.desk._answers.clear()
    desk.desk.answer = Person("test", "1", "ana", ("viewer",))
    assert desk.loop.run(desk.desk.refresh_user(desk.user, desk.handler))["groups"] == ["quantdesk-viewers"]


def test_a_server_that_was_starting_when_its_user_lost_everything_is_stopped_afterwards(desk: Any) -> None:
    stopped: list[Any] = []
    desk.handler.stop_single_user = stopped.append
    desk.user.spawner.active = desk.user.spawner.pending = True
    desk.desk.answer = Person("test", "1", "ana")
    assert refresh(desk) is False
    assert stopped == []
    desk.user.spawner.pending = False
    assert refresh(desk) is False
    assert stopped == [desk.user]


def test_a_hub_of_one_person_is_that_persons(desk: Any) -> None:
    desk.desk.isolated = False
    model = desk.loop.run(desk.desk.admit(Person("test", "1", "ana", ("quant",)), {}, desk.handler))
    assert model["name"] == "ana"
    with pytest.raises(LoginRefused, match="serves ana alone"):
        desk.loop.run(desk.desk.admit(Person("test", "2", "bob", ("admin",)), {}, desk.handler))


def test_a_user_of_before_is_adopted_only_if_the_settings_say_so(desk: Any) -> None:
    desk.session.add(orm.User(name="bob"))
    desk.session.commit()
    bob = Person("test", "2", "bob", ("quant",))
    with pytest.raises(LoginRefused, match="QUANTDESK_LOGIN_ADOPT=bob"):
        desk.loop.run(desk.desk.admit(bob, {}, desk.handler))
    for adopt in ("bob", "*"):
        desk.desk.login = desk.desk.login.model_copy(update={"adopt": adopt})
        assert desk.loop.run(desk.desk.admit(bob, {}, desk.handler))["name"] == "bob"
        with pytest.raises(LoginRefused, match="belongs to somebody else"):
            desk.loop.run(desk.desk.admit(Person("test", "3", "bob", ("quant",)), {}, desk.handler))
    with pytest.raises(LoginRefused, match="in no group"):
        desk.loop.run(desk.desk.admit(Person("a new provider", "y", "bob"), {}, desk.handler))
    assert desk.desk.identities.owner("bob") == ("test", "2"), "somebody without a role takes no name from anybody"
    moved = Person("a new provider", "x", "bob", ("quant",))
    assert desk.loop.run(desk.desk.admit(moved, {}, desk.handler))["name"] == "bob"
    assert desk.desk.identities.owner("bob") == ("a new provider", "x")


def test_a_directory_that_is_busy_with_silence_keeps_no_more_people_waiting(desk: Any, tmp_path: Path) -> None:
    config = LdapConfig.from_env(url="ldap://127.0.0.1", insecure=True, user_base="dc=x", group_base="dc=x")
    made = LdapAuthenticator(
        login=desk.desk.login, ldap=config, state=str(tmp_path), _deprecated_db_session=desk.session
    )
    made._waiting = MOST_WAITING

    async def ask() -> Any:
        return await made._asked(lambda: "an answer")

    with pytest.raises(Unreachable):
        desk.loop.run(ask())
    made._waiting = 0
    assert desk.loop.run(ask()) == "an answer"
    assert made._waiting == 0


def test_native_login_counts_failures_of_an_address_too(
    desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "FROM_ONE_ADDRESS", 2)
    made = HubAuthenticator(state=str(tmp_path), proxies=1, _deprecated_db_session=desk.session)

    def say(name: str, address: str) -> str:
        request = SimpleNamespace(headers={"X-Forwarded-For": f"{address}, 10.0.0.1"}, remote_ip="127.0.0.1")
        handler = SimpleNamespace(request=request)
        assert desk.loop.run(made.authenticate(handler, {"username": name, "password": "a guess"})) is None
        return str(handler.login_problem)

    said = [say(name, "203.0.113.9") for name in ("ana", "../bob", "cyd")]
    assert said[:2] == ["The user name or the password is wrong."] * 2
    assert said[2] == "Too many failed logins from your address. Try again in 10 minutes."
    assert say("cyd", "203.0.113.10") == said[0]


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`jupyterhub_config.py` under given settings, as JupyterHub's loader executes it."""
    for name in list(os.environ):
        if name.startswith("QUANTDESK_"):
            monkeypatch.delenv(name)
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(notebooks))
    monkeypatch.setenv(MARK, "")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)  # as one person: no account is made
    monkeypatch.setattr(proxy, "command", lambda state: ["node", "proxy"])
    monkeypatch.setattr(getpass, "getuser", lambda: "ana")
    before = os.umask(0o022)

    def execute(**settings: str) -> Config:
        for name, value in settings.items():
            monkeypatch.setenv(f"QUANTDESK_{name}", value)
        return PyFileConfigLoader("jupyterhub_config.py", path=str(ROOT)).load_config()

    yield execute
    os.umask(before)


OIDC = {
    "LOGIN": "oidc", "LOGIN_OIDC_ISSUER": "https://id.example", "LOGIN_OIDC_CLIENT_ID": "desk",
    "LOGIN_OIDC_CLIENT_SECRET": "hush hush", "LOGIN_CRYPT_KEY": "a1" * 32,
}  # fmt: skip
LDAP = {
    "LOGIN": "ldap", "LOGIN_LDAP_URL": "ldaps://ldap.example", "LOGIN_LDAP_USER_BASE": "dc=x",
    "LOGIN_LDAP_GROUP_BASE": "dc=x", "LOGIN_LDAP_BIND_DN": "cn=x", "LOGIN_LDAP_BIND_PASSWORD": "hush hush",
}  # fmt: skip


@pytest.mark.parametrize(("given", "kind"), [(OIDC, OidcAuthenticator), (LDAP, LdapAuthenticator)])
def test_jupyterhub_takes_every_setting_of_the_login(
    executed: Any, given: dict[str, str], kind: type[Upstream]
) -> None:
    config = executed(**given)
    for owner in (kind, CryptKeeper):
        traits = owner.class_traits(config=True)
        assert [name for name in config[owner.__name__] if name not in traits] == []
    assert JupyterHub(config=config).authenticator_class is kind
    settings = config[kind.__name__]
    assert settings.enable_auth_state
    assert settings.manage_groups
    assert settings.auth_refresh_strict
    assert settings.admin_users == set()
    assert not settings.get("allow_all", False)
    assert [len(key) for key in config.CryptKeeper["keys"]] == [32]
    assert "hush hush" not in os.environ.values(), "what JupyterHub starts would inherit it"


def test_a_directory_gives_nobody_a_right_by_default_and_the_hub_none_to_its_groups(executed: Any) -> None:
    config = executed(**LDAP)
    assert config.JupyterHub.extra_user_scopes == set()
    assert config.JupyterHub.load_groups == {}, "JupyterHub takes no other groups beside those of the login"
    roles = {role["name"]: role for role in config.JupyterHub.load_roles}
    assert roles["quantdesk-viewers"]["scopes"] == ["custom:quantdesk:read"]


def test_with_viewers_named_the_others_have_no_rights_by_default(executed: Any) -> None:
    config = executed(VIEWERS="vic")
    assert config.JupyterHub.extra_user_scopes == set()
    assert config.JupyterHub.load_groups["quantdesk-viewers"]["users"] == ["vic"]
