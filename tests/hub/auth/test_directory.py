"""What a real directory is asked and answers: people, passwords, groups, and silence, which never counts as nobody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.auth.config import LdapConfig
from quantdesk.hub.auth.directory import Directory
from quantdesk.hub.auth.person import Unreachable
from quantdesk.hub.auth.probe import probe
from quantdesk.hub.config import HubConfig

pytestmark = pytest.mark.debian


def settings(directory: Any, slapd: Any, **given: Any) -> LdapConfig:
    usual = {
        "url": directory.url, "ca_file": directory.ca, "bind_dn": slapd.SEARCH,
        "bind_password": slapd.SEARCH_PASSWORD, "user_base": slapd.PEOPLE, "group_base": slapd.GROUPS,
    }  # fmt: skip
    return LdapConfig.from_env(**usual | given)


@pytest.fixture(scope="module")
def asked(directory: Any, slapd: Any) -> Directory:
    return Directory(settings(directory, slapd), 5)


@pytest.fixture(params=["StartTLS", "ldaps"])
def encrypted(request: Any, directory: Any, slapd: Any) -> Directory:
    url = directory.secure_url if request.param == "ldaps" else directory.url
    return Directory(settings(directory, slapd, url=url), 5)


def test_somebody_is_found_with_his_groups_of_both_kinds(encrypted: Directory) -> None:
    found = encrypted.find("bob")
    assert found is not None
    entry, groups = found
    assert entry.name == "bob"
    assert entry.subject.startswith("entryUUID ")
    assert {"trader", "football"} <= set(groups)
    assert "quant" not in groups
    assert "cn=trader,ou=groups,dc=desk,dc=example" in groups


def test_the_name_is_the_directorys_however_it_is_typed(asked: Directory) -> None:
    found = asked.find("ANA")
    assert found is not None
    assert found[0].name == "ana"


@pytest.mark.parametrize("name", ["nobody", "*", "a*", "ana)(uid=*", "\\2a", "", "ana\0", "(", "ü" * 300])
def test_a_name_that_is_none_finds_nobody(asked: Directory, name: str) -> None:
    assert asked.find(name) is None


def test_a_password_is_checked_and_an_empty_one_is_none(encrypted: Directory, slapd: Any) -> None:
    found = encrypted.find("ana")
    assert found is not None
    assert encrypted.confirm(found[0].dn, slapd.PASSWORD)
    for wrong in (slapd.PASSWORD + " ", slapd.PASSWORD.upper(), "x", "", " ", "\0", "ü" * 2000):
        assert not encrypted.confirm(found[0].dn, wrong), wrong
    assert not encrypted.confirm(encrypted.nobody(), slapd.PASSWORD)
    assert not encrypted.confirm("", slapd.PASSWORD)


def test_somebody_who_was_removed_and_added_again_is_somebody_else(directory: Any, asked: Directory) -> None:
    dn = directory.person("tom")
    before = asked.find("tom")
    directory.remove(dn)
    assert asked.find("tom") is None
    directory.person("tom")
    after = asked.find("tom")
    assert before is not None
    assert after is not None
    assert before[0].subject != after[0].subject


def test_a_filter_keeps_people_out(directory: Any, slapd: Any) -> None:
    config = settings(directory, slapd, user_filter="(!(uid=dan))")
    assert Directory(config, 5).find("dan") is None
    assert Directory(config, 5).find("ana") is not None


def test_a_name_that_two_people_have_is_nobodys(directory: Any, slapd: Any) -> None:
    directory.add(f"ou=guests,{slapd.PEOPLE}", "organizationalUnit")
    dn = f"uid=bob,ou=guests,{slapd.PEOPLE}"
    directory.add(dn, "inetOrgPerson", cn="bob", sn="bob", userPassword="his own")
    try:
        with pytest.raises(Unreachable, match="twice"):
            Directory(settings(directory, slapd), 5).find("bob")
    finally:
        directory.remove(dn)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bind_password": "not this"},
        {"bind_dn": "", "bind_password": ""},
        {"user_base": "ou=elsewhere,dc=desk,dc=example"},
        {"user_filter": "(uid=ana))"},
    ],
)
def test_a_directory_that_refuses_the_hub_knows_nobody_and_denies_nobody(
    directory: Any, slapd: Any, wrong: dict[str, str]
) -> None:
    """Otherwise a changed password of the search account would count as everybody's dismissal."""
    with pytest.raises(Unreachable):
        Directory(settings(directory, slapd, **wrong), 5).find("ana")


def test_a_certificate_of_somebody_else_ends_it_before_a_password_is_sent(
    directory: Any, slapd: Any, tmp_path: Path
) -> None:
    slapd.certificate(tmp_path, "other")
    for url in (directory.url, directory.secure_url):
        stranger = Directory(settings(directory, slapd, url=url, ca_file=tmp_path / "other.pem"), 5)
        with pytest.raises(Unreachable):
            stranger.find("ana")
        with pytest.raises(Unreachable):
            stranger.confirm(f"uid=ana,{slapd.PEOPLE}", slapd.PASSWORD)
    by_name = Directory(settings(directory, slapd, url=directory.url.replace("127.0.0.1", "localhost")), 5)
    with pytest.raises(Unreachable):
        by_name.find("ana")  # the certificate is not for this name


@pytest.fixture
def deaf() -> Iterator[str]:
    """Somebody who takes connections and says nothing, or hangs up: the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ldap://127.0.0.1:{server.getsockname()[1]}"


def test_silence_is_told_within_its_time(directory: Any, slapd: Any, deaf: str) -> None:
    for url in (deaf, deaf.replace("ldap:", "ldaps:"), "ldap://127.0.0.1:1"):
        done = threading.Event()

        def ask(url: str = url, done: threading.Event = done) -> None:
            with pytest.raises(Unreachable):
                Directory(settings(directory, slapd, url=url), 1).find("ana")
            done.set()

        threading.Thread(target=ask, daemon=True).start()
        assert done.wait(20), url


def test_a_directory_that_stops_in_between_is_silent_and_then_answers_again(directory: Any, slapd: Any) -> None:
    asked = Directory(settings(directory, slapd), 0.3)
    directory.hang()
    try:
        with pytest.raises(Unreachable):
            asked.find("ana")
    finally:
        directory.go_on()
    assert asked.find("ana") is not None


def test_the_doctor_asks_as_a_login_would(
    directory: Any, slapd: Any, deaf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "LOGIN": "ldap", "LOGIN_TIMEOUT": "1", "LOGIN_LDAP_URL": directory.url, "LOGIN_LDAP_CA_FILE": directory.ca,
        "LOGIN_LDAP_BIND_DN": slapd.SEARCH, "LOGIN_LDAP_BIND_PASSWORD": slapd.SEARCH_PASSWORD,
        "LOGIN_LDAP_USER_BASE": slapd.PEOPLE, "LOGIN_LDAP_GROUP_BASE": slapd.GROUPS,
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"QUANTDESK_{name}", str(value))
    assert (
        probe(HubConfig.from_env())
        == f"ldap: {directory.url} answers, and people can be looked up below {slapd.PEOPLE}"
    )
    monkeypatch.setenv("QUANTDESK_LOGIN_LDAP_BIND_PASSWORD", "not this")
    with pytest.raises(EnvironmentProblem, match=r"may not look people up \(invalidCredentials\)"):
        probe(HubConfig.from_env())
    monkeypatch.setenv("QUANTDESK_LOGIN_LDAP_URL", deaf)
    with pytest.raises(EnvironmentProblem, match="does not answer"):
        probe(HubConfig.from_env())
