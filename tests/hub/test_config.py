"""What the hub is told, and JupyterHub's configuration as it comes out when the file is executed."""

from __future__ import annotations

import getpass
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub.app import JupyterHub
from jupyterhub.proxy import ConfigurableHTTPProxy
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from quantdesk.errors import BadParameter, EnvironmentProblem
from quantdesk.hub import configure, proxy, service
from quantdesk.hub.auth import HubAuthenticator
from quantdesk.hub.config import HubConfig, HubFiles, valid_user
from quantdesk.hub.spawner import DeskSpawner
from quantdesk.hub.sweep import MARK

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("QUANTDESK_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("name", ["a", "ana", "a-b_c9", "z" * 31])
def test_names_that_are_fine(name: str) -> None:
    assert valid_user(name)


@pytest.mark.parametrize(
    "name", ["", "Ana", "9ana", "-a", "_a", "../etc", "a/b", "a b", "<b>", "ána", "a\n", "a\0", "z" * 32, "a.b", "a@b"]
)
def test_names_that_are_refused(name: str) -> None:
    assert not valid_user(name)


@given(st.text(max_size=40))
def test_a_valid_name_is_a_safe_file_name(name: str) -> None:
    if valid_user(name):
        assert Path("/homes", name).resolve() == Path("/homes", name)
        assert name.isascii()


def test_defaults() -> None:
    config = HubConfig.from_env()
    assert (config.port, config.idle_timeout, config.collaboration) == (8000, 3600, False)
    assert config.administrator == ("admin" if os.geteuid() == 0 else getpass.getuser())
    assert config.isolated is (os.geteuid() == 0)


def test_the_environment_and_then_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_PORT", "8123")
    monkeypatch.setenv("QUANTDESK_ADMIN", "ana")
    monkeypatch.setenv("QUANTDESK_COLLABORATION", "true")
    config = HubConfig.from_env(port=None)
    assert (config.port, config.administrator, config.collaboration) == (8123, "ana", True)
    assert HubConfig.from_env(port=9000).port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("IDLE_TIMEOUT", "-5"),
        ("COLLABORATION", "maybe"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"QUANTDESK_{name}", value)
    with pytest.raises(BadParameter) as caught:
        HubConfig.from_env()
    assert f"QUANTDESK_{name}" in str(caught.value)
    assert value in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["John Doe", "../x", "ROOT", "x" * 32])
def test_an_administrator_needs_a_valid_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("QUANTDESK_ADMIN", name)
    with pytest.raises(BadParameter, match="administrator's name"):
        HubConfig.from_env()


def test_an_account_without_a_name_still_has_an_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert HubConfig.from_env().administrator == "admin"


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Config, HubFiles]]:
    """`jupyterhub_config.py`, executed by the loader that JupyterHub uses, over an empty state directory."""
    state = tmp_path / "state"
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    monkeypatch.setenv("QUANTDESK_STATE", str(state))
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(notebooks))
    monkeypatch.setenv("QUANTDESK_PORT", "8123")
    monkeypatch.setenv(MARK, "")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)  # as one person: no account is made
    monkeypatch.setattr(proxy, "command", lambda state: ["node", "proxy"])
    monkeypatch.setattr(getpass, "getuser", lambda: "ana")
    before = os.umask(0o022)
    try:
        yield PyFileConfigLoader("jupyterhub_config.py", path=str(ROOT)).load_config(), HubFiles(state)
    finally:
        os.umask(before)


def test_the_configuration_executes_and_every_setting_exists(executed: tuple[Config, HubFiles]) -> None:
    """A setting that JupyterHub does not know is only a warning in its log; here it is an error."""
    classes = {kind.__name__: kind for kind in (JupyterHub, ConfigurableHTTPProxy, HubAuthenticator, DeskSpawner)}
    config, _ = executed
    assert set(config) == set(classes)
    unknown = [
        (owner, name)
        for owner in config
        for name in config[owner]
        if not classes[owner].class_traits(config=True).get(name)
    ]
    assert unknown == []
    hub = JupyterHub(config=config)
    assert hub.authenticator_class is HubAuthenticator
    assert hub.spawner_class is DeskSpawner
    assert hub.cleanup_servers
    assert hub.cleanup_proxy


def test_everything_listens_on_this_machine_only(executed: tuple[Config, HubFiles]) -> None:
    config, _ = executed
    assert config.JupyterHub.bind_url == "http://127.0.0.1:8123"
    assert config.JupyterHub.hub_ip == "127.0.0.1"
    assert config.ConfigurableHTTPProxy.api_url.startswith("http://127.0.0.1:")
    assert config.DeskSpawner.ip == "127.0.0.1"
    assert len(config.ConfigurableHTTPProxy.auth_token) == 48
    assert len({config.JupyterHub.hub_port, int(config.ConfigurableHTTPProxy.api_url.rsplit(":", 1)[1]), 8123}) == 3


def test_the_hubs_files_are_its_own(executed: tuple[Config, HubFiles]) -> None:
    _, files = executed
    for folder in (files.root, files.homes, files.state / "reports", files.server_logs):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    kernel = files.lab / "share" / "jupyter" / "kernels" / "quantdesk" / "kernel.json"
    for path in (kernel, *kernel.relative_to(files.lab).parents):
        assert stat.S_IMODE((files.lab / path).stat().st_mode) & 0o044 == 0o044, path
    assert os.umask(0o077) == 0o077, "the database and the cookie secret are created after this"


def test_the_service_that_stops_idle_servers_may_do_that_and_no_more(executed: tuple[Config, HubFiles]) -> None:
    config, _ = executed
    (role,) = (one for one in config.JupyterHub.load_roles if one["name"] == "idle-culler")
    assert set(role["scopes"]) == {"list:users", "read:users:activity", "read:servers", "delete:servers"}
    (service,) = config.JupyterHub.services
    assert "--timeout=3600" in service["command"]
    assert "admin" not in service


def test_an_idle_timeout_of_zero_means_never(tmp_path: Path) -> None:
    config = Config()
    config.JupyterHub.services = []
    configure._culler(config, HubConfig(idle_timeout=0))
    assert config.JupyterHub.services == []


def test_everybody_whom_the_administrator_approved_may_read_and_run_and_no_more(
    executed: tuple[Config, HubFiles],
) -> None:
    config, _ = executed
    assert config.JupyterHub.extra_user_scopes == {"custom:quantdesk:read", "custom:quantdesk:run"}
    roles = {role["name"]: role for role in config.JupyterHub.load_roles}
    assert roles["quantdesk-traders"]["groups"] == ["quantdesk-traders"]
    assert "custom:quantdesk:trade" in roles["quantdesk-traders"]["scopes"]
    assert roles["quantdesk-administrators"]["scopes"] == ["custom:quantdesk:admin"]
    groups = config.JupyterHub.load_groups
    assert groups["quantdesk-administrators"]["users"] == ["ana"]
    assert groups["quantdesk-traders"]["users"] == []


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What JupyterHub is told when the launcher has opened a socket for the service."""

    def told(**given: str) -> Any:
        monkeypatch.setenv("QUANTDESK_SERVICE_TOKEN", "t" * 48)
        monkeypatch.setenv("QUANTDESK_SERVICE_PORT", "9123")
        config = Config()
        config.JupyterHub.services, config.JupyterHub.load_roles = [], []
        service.register(config, HubConfig.from_env(admin="root", **given))
        return config.JupyterHub

    return told


def test_the_service_is_external_and_its_token_stays_out_of_the_environment(registered: Any) -> None:
    told = registered(traders="bob, cyd")
    (entry,) = told.services
    assert "command" not in entry, "a service that JupyterHub starts could take it down"
    assert entry["url"] == "http://127.0.0.1:9123"
    assert "QUANTDESK_SERVICE_TOKEN" not in os.environ, "what JupyterHub starts would inherit it"
    assert set(entry["oauth_client_allowed_scopes"]) == set(told.custom_scopes)
    assert "access:services!service=quantdesk" in told.extra_user_scopes
    assert told.load_groups["quantdesk-traders"]["users"] == ["bob", "cyd"]
    JupyterHub(config=Config({"JupyterHub": told}))  # it takes every setting


def test_with_members_the_others_see_the_service_and_may_do_nothing(registered: Any) -> None:
    told = registered(members="bob")
    assert told.extra_user_scopes == {"access:services!service=quantdesk"}
    assert told.load_groups["quantdesk-members"]["users"] == ["bob"]


@pytest.mark.parametrize("what", ["MEMBERS", "TRADERS"])
def test_a_name_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setenv(f"QUANTDESK_{what}", "ana,../bob")
    with pytest.raises(BadParameter, match=rf"'\.\./bob' of the {what.lower()}"):
        HubConfig.from_env()


def test_the_secrets_of_the_service_stay_the_same_and_are_nobody_elses(tmp_path: Path) -> None:
    files = HubFiles(tmp_path)
    files.root.mkdir()
    made = service.tokens(files)
    assert service.tokens(files) == made
    assert len(made.token) < 64, "JupyterHub refuses longer ones"
    assert stat.S_IMODE((files.root / "service.json").stat().st_mode) == 0o600
    for damage in ("", "{}", '{"token": "short", "signing": "short"}', '{"token": 1}'):
        (files.root / "service.json").write_text(damage)
        assert service.tokens(files) != made


@pytest.mark.parametrize(("timeout", "every"), [(0, 300), (1, 1), (60, 20), (3600, 300)])
def test_servers_tell_of_their_activity_more_often_than_they_may_be_idle(timeout: int, every: int) -> None:
    assert configure._tell_activity_every(HubConfig(idle_timeout=timeout)) == every


def test_free_ports_are_different_and_can_be_bound() -> None:
    ports = configure.free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_templates_follow_the_notebooks_folder(tmp_path: Path) -> None:
    files = HubFiles(tmp_path / "state")
    for name in ("one", "one", "two"):
        configure.link_templates(files, tmp_path / name)
        assert (files.templates / "Research").readlink() == tmp_path / name
    assert [path.name for path in files.templates.iterdir()] == ["Research"]
    (files.templates / "Research").unlink()
    (files.templates / "Research").mkdir()
    with pytest.raises(EnvironmentProblem, match="is not a link"):
        configure.link_templates(files, tmp_path / "one")


def test_a_proxy_that_is_not_installed_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"proxy is not installed.*make up"):
        proxy.command(tmp_path)


def test_the_packaged_configuration_is_the_same() -> None:
    def code(path: Path) -> Any:
        return path.read_text().split('"""', 2)[2]

    packaged = ROOT / "platform" / "quantdesk" / "hub" / "packaged_config.py"
    assert code(packaged) == code(ROOT / "jupyterhub_config.py")
