"""The rules of a login, without a server: names, roles, guesses, ID tokens, keys, settings."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from loops import Loop
from quantdesk.errors import BadInput, BadParameter, DataError, UnknownName
from quantdesk.hub.auth import attempts, crypt, idtoken
from quantdesk.hub.auth.config import LdapConfig, LoginConfig, OidcConfig
from quantdesk.hub.auth.groups import GroupMap, Role
from quantdesk.hub.auth.identities import Identities
from quantdesk.hub.auth.names import hub_name
from quantdesk.hub.auth.person import LoginOver, LoginRefused, Unreachable
from quantdesk.hub.config import HubConfig, HubFiles, valid_user
from quantdesk.hub.launch import serve

NOW = 1_800_000_000


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("QUANTDESK_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("upstream", "domain", "name"),
    [
        ("ana", "", "ana"),
        ("Ana.Berg", "", "ana-berg"),
        ("ana@Firm.example", "firm.example", "ana"),
        ("a" + "b" * 30, "", "a" + "b" * 30),
    ],
)
def test_names_that_become_names(upstream: str, domain: str, name: str) -> None:
    assert hub_name(upstream, domain) == name


@pytest.mark.parametrize(
    ("upstream", "domain"),
    [
        ("ana@firm.example", ""),
        ("ana@evil.example", "firm.example"),
        ("ana@firm.example@evil.example", "firm.example"),
        ("ana@firm.example.evil.example", "firm.example"),
        ("@firm.example", "firm.example"),
        ("ana+x@firm.example", "firm.example"),
        ("a" * 32, ""),
        ("9ana", ""),
        (".ana", ""),
        ("ana berg", ""),
        ("\u212ana", ""),  # the sign of Kelvin, whose small letter is k
        ("ana\n", ""),
        ("", ""),
    ],
)
def test_names_that_are_refused_and_not_bent(upstream: str, domain: str) -> None:
    with pytest.raises(BadInput) as caught:
        hub_name(upstream, domain)
    assert caught.value.remedy
    assert len(str(caught.value)) < 300


@given(st.text(max_size=60), st.sampled_from(["", "firm.example"]))
def test_whatever_comes_of_a_name_is_a_safe_one(upstream: str, domain: str) -> None:
    try:
        found = hub_name(upstream, domain)
    except BadInput:
        return
    assert valid_user(found)
    assert found == upstream.partition("@")[0].lower().replace(".", "-")


def test_roles_hold_what_the_lesser_ones_hold() -> None:
    for less, more in (
        (Role.VIEWER, Role.QUANT),
        (Role.QUANT, Role.TRADER),
    ):
        assert set(less.scopes) < set(more.scopes)
    assert Role.ADMIN.scopes == ("custom:quantdesk:admin",)
    assert [role.group for role in Role] == [
        "quantdesk-viewers", "quantdesk-members", "quantdesk-traders", "quantdesk-administrators",
    ]  # fmt: skip


def test_without_a_setting_groups_are_called_as_the_roles() -> None:
    found = GroupMap.parse()
    assert found.roles_of(["trader", "viewer", "Trader", "quantdesk-administrators"]) == (Role.VIEWER, Role.TRADER)
    assert found.roles_of([]) == ()
    assert found.hub_groups(["quant", "equities"]) == ("quantdesk-members",)


def test_with_a_setting_only_what_it_names_counts() -> None:
    found = GroupMap.parse("cn=Quants, ou=x = y,dc=z=quant; it=admin", "equities, rates", ignore_case=True)
    assert found.roles_of(["quant", "admin"]) == ()
    assert found.roles_of(["CN=quants,OU=x=y,DC=z"]) == (Role.QUANT,)
    assert found.hub_groups(["it", "Rates", "football"]) == ("quantdesk-administrators", "rates")


@pytest.mark.parametrize(
    ("roles", "teams", "error"),
    [
        ("quants", "", BadParameter),
        ("=quant", "", BadParameter),
        ("a=quant; a=trader", "", BadParameter),
        ("a=king", "", UnknownName),
        ("a=Quant", "", UnknownName),
        ("", "quantdesk-administrators", BadParameter),
        ("", "../x", BadParameter),
        ("", "*", BadParameter),
    ],
)
def test_a_mapping_that_says_nothing_clear_is_refused(roles: str, teams: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        GroupMap.parse(roles, teams)


@given(st.lists(st.text(max_size=20)))
def test_no_group_of_a_provider_gives_a_role_that_the_setting_does_not_give(groups: list[str]) -> None:
    found = GroupMap.parse("only this one=quant", "equities").hub_groups(groups)
    assert set(found) <= {"quantdesk-members", "equities"}
    assert ("quantdesk-members" in found) == ("only this one" in groups)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_is_locked_after_many_failures_and_not_by_successes() -> None:
    clock = Clock()
    tried = attempts.Attempts(clock)
    for number in range(attempts.FROM_ONE_ADDRESS):
        assert tried.refusal(f"user{number}", "192.0.2.1") is None
        tried.failed(f"user{number}", "192.0.2.1")
        tried.failed("own", "192.0.2.1")
        tried.succeeded("own", "192.0.2.1")  # its own account does not help an attacker
    assert "from your address" in str(tried.refusal("ana", "192.0.2.1"))
    assert tried.refusal("ana", "192.0.2.2") is None
    clock.now += attempts.WITHIN + 1
    assert tried.refusal("ana", "192.0.2.1") is None


@given(st.lists(st.booleans(), min_size=1, max_size=120), st.integers(0, 45))
def test_an_office_that_logs_in_at_one_moment_is_let_in_and_guesses_gain_nothing(fits: list[bool], before: int) -> None:
    """Of those that come at once from one address, no more fail than may, and none is refused before so many have."""
    tried = attempts.Attempts(Clock())
    for _ in range(before):
        tried.failed("", "192.0.2.1")
    failed = []

    async def one(number: int) -> str:
        async with tried.attempt(f"user{number}", "192.0.2.1") as attempt:
            if attempt.refused is not None:
                assert before + len(failed) >= attempts.FROM_ONE_ADDRESS
                return "refused"
            await asyncio.sleep(0)
            attempt.succeeded = fits[number]
            if not fits[number]:
                failed.append(number)
        return "judged"

    async def all_come() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(len(fits))))

    with Loop() as loop:
        ends = loop.run(all_come())
    assert len(failed) <= max(0, attempts.FROM_ONE_ADDRESS - before)
    if before + fits.count(False) < attempts.FROM_ONE_ADDRESS:
        assert ends == ["judged"] * len(fits)
    assert len(tried._recent("192.0.2.1")) == before + len(failed)
    assert tried._judging == {}


def test_who_gives_up_while_he_is_judged_has_guessed() -> None:
    tried = attempts.Attempts(Clock())

    async def play() -> None:
        async def hangs() -> None:
            async with tried.attempt("ana", "192.0.2.1"):
                await asyncio.Event().wait()

        task = asyncio.create_task(hangs())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    with Loop() as loop:
        for _ in range(attempts.GUESSES):
            loop.run(play())
    assert "for this name" in str(tried.refusal("ana"))
    assert tried._judging == {}


def test_many_mistakes_over_a_day_lock_no_office() -> None:
    clock = Clock()
    tried = attempts.Attempts(clock)
    for number in range(500):
        tried.failed(f"user{number}", "192.0.2.1")
        clock.now += 60
        assert tried.refusal("ana", "192.0.2.1") is None


def test_many_addresses_and_names_do_not_fill_the_memory_or_free_a_name() -> None:
    tried = attempts.Attempts(Clock())
    for _ in range(attempts.GUESSES):
        tried.failed("ana", "192.0.2.1")
    for number in range(9_000):
        tried.failed(f"user{number}", f"192.0.{number // 250}.{number % 250}")
    assert tried.refusal("ana") is not None
    for number in range(20_000):
        tried.failed("", f"10.{number // 65536}.{number // 250 % 256}.{number % 250}")
    assert len(tried._failed) <= 10_000


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ("", 0, "127.0.0.1"),
        ("203.0.113.9", 0, "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9", 0, "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.1", 1, "203.0.113.9"),
        ("203.0.113.9", 3, "203.0.113.9"),
        (" , ,203.0.113.9 ", 0, "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", 0, "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", 0, "203.0.113.9"),
        ("x" * 500, 0, "x" * 64),
    ],
)
def test_an_address_is_what_a_proxy_of_ours_says(forwarded: str, proxies: int, address: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert attempts.address_of(headers, "127.0.0.1", proxies) == address


FINE = {"iss": "https://id.example", "aud": "desk", "sub": "1", "nonce": "n", "iat": NOW, "exp": NOW + 300}
WANTED = idtoken.Expected("https://id.example", "desk", "n", 60)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"aud": ["desk"]},
        {"aud": ["desk", "x"], "azp": "desk"},
        {"iat": NOW + 59, "nbf": NOW + 59},
        {"iat": NOW - 300},
    ],
)
def test_a_token_that_is_to_be_believed(more: dict[str, Any]) -> None:
    idtoken.judge(FINE | more, WANTED, NOW)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"iss": "https://id.example/"}, LoginOver),
        ({"aud": []}, LoginOver),
        ({"aud": None}, LoginOver),
        ({"aud": "deskx"}, LoginOver),
        ({"aud": ["desk", "x"]}, LoginOver),
        ({"sub": ""}, LoginOver),
        ({"sub": 1}, LoginOver),
        ({"sub": "x" * 256}, LoginOver),
        ({"nonce": "m"}, LoginOver),
        ({"nonce": ["n"]}, LoginOver),
        ({"exp": NOW - 61}, LoginOver),
        ({"exp": "tomorrow"}, LoginOver),
        ({"iat": None}, LoginOver),
        ({"nbf": "now"}, LoginOver),
        ({"iat": NOW + 61}, Unreachable),
        ({"nbf": NOW + 61}, Unreachable),
        ({"iat": NOW - 3600, "exp": NOW - 3000}, Unreachable),
    ],
)
def test_a_token_that_is_not(more: dict[str, Any], error: type[LoginRefused]) -> None:
    with pytest.raises(error) as caught:
        idtoken.judge(FINE | more, WANTED, NOW)
    assert caught.value.remedy


def test_only_a_signature_with_the_providers_private_key_counts() -> None:
    key, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    curve = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode(FINE, key, "RS256")
    assert idtoken.unpacked(token, key.public_key(), "RS256")["sub"] == "1"
    for wrong, public, algorithm in (
        (token, other.public_key(), "RS256"),
        (token, key.public_key(), "PS256"),
        (token, curve.public_key(), "ES256"),
        (jwt.encode(FINE, None, "none"), key.public_key(), "none"),
        (jwt.encode(FINE, "a shared secret of 32 characters!", "HS256"), "a shared secret of 32 characters!", "HS256"),
        (token[:-4] + "AAAA", key.public_key(), "RS256"),
        ("", key.public_key(), "RS256"),
        ("a.b.c", key.public_key(), "RS256"),
    ):
        with pytest.raises(LoginOver):
            idtoken.unpacked(wrong, public, algorithm)


def test_a_claim_is_found_under_its_whole_name_first() -> None:
    assert idtoken.within({"https://x.example/groups": ["a"]}, "https://x.example/groups") == ["a"]
    assert idtoken.within({"realm_access": {"roles": ["b"]}}, "realm_access.roles") == ["b"]
    for nothing in ({}, {"realm_access": "roles"}, {"realm_access": None}):
        assert idtoken.within(nothing, "realm_access.roles") is None


def test_the_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    files = HubFiles(tmp_path)
    files.root.mkdir()
    (made,) = crypt.keys("", files)
    assert crypt.keys("", files) == [made]
    path = files.root / "crypt_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    crypt.keys("", files)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for damage in ("", "x" * 64, made.hex()[:-2]):
        path.write_text(damage)
        with pytest.raises(DataError, match="crypt_key is damaged"):
            crypt.keys("", files)


def test_a_key_of_the_settings_is_taken_and_never_repeated(tmp_path: Path) -> None:
    files = HubFiles(tmp_path)
    one, two = "a1" * 32, "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="
    assert [len(key) for key in crypt.keys(f"{one}; {two}", files)] == [32, 32]
    assert not (files.root / "crypt_key").exists()
    with pytest.raises(BadParameter) as caught:
        crypt.keys(f"{one};tooshort", files)
    assert "tooshort" not in str(caught.value)


def test_a_name_belongs_to_one_person_and_a_person_has_one_name() -> None:
    engine = create_engine("sqlite://")
    with Session(engine) as session:
        kept = Identities(session)
        assert kept.bind("ana", "idp", "1")
        assert kept.bind("ana", "idp", "1")
        assert not kept.bind("ana", "idp", "2")
        assert not kept.bind("ana", "other", "1")
        assert not kept.bind("ana2", "idp", "1"), "he has a name"
        assert kept.name_of("idp", "1") == "ana"
        assert kept.owner("ana") == ("idp", "1")
        kept.forget("ana")
        assert kept.owner("ana") is None
        assert kept.bind("ana", "idp", "2")
        assert Identities(session).owner("ana") == ("idp", "2")
    engine.dispose()


OIDC = {"issuer": "https://id.example", "client_id": "desk"}
LDAP = {"url": "ldaps://ldap.example", "user_base": "ou=people,dc=x", "group_base": "ou=groups,dc=x"}


@pytest.mark.parametrize(
    ("kind", "usual", "wrong", "says"),
    [
        (LoginConfig, {}, {"groups": "x"}, "no role"),
        (LoginConfig, {}, {"email_domain": "a b"}, "no domain"),
        (LoginConfig, {}, {"adopt": "Ana"}, "ADOPT"),
        (LoginConfig, {}, {"refresh": 0}, "QUANTDESK_LOGIN_REFRESH"),
        (LoginConfig, {}, {"timeout": 0}, "QUANTDESK_LOGIN_TIMEOUT"),
        (LoginConfig, {}, {"public_url": "http://hub.example"}, "PUBLIC_URL"),
        (OidcConfig, OIDC, {"issuer": ""}, "QUANTDESK_LOGIN_OIDC_ISSUER is not set"),
        (OidcConfig, OIDC, {"issuer": "http://id.example"}, "https"),
        (OidcConfig, OIDC, {"issuer": "https://user:pw@id.example"}, "ISSUER"),
        (OidcConfig, OIDC, {"issuer": "https://[x"}, "ISSUER"),
        (OidcConfig, OIDC, {"client_id": ""}, "CLIENT_ID is not set"),
        (OidcConfig, OIDC, {"scope": "profile"}, "openid"),
        (OidcConfig, OIDC, {"skew": 10_000}, "SKEW"),
        (LdapConfig, LDAP, {"url": "http://x"}, "LDAP_URL"),
        (LdapConfig, LDAP, {"url": "ldap://ldap.example", "insecure": True}, "passwords"),
        (LdapConfig, LDAP, {"user_base": ""}, "USER_BASE is not set"),
        (LdapConfig, LDAP, {"user_filter": "uid=x"}, "parentheses"),
        (LdapConfig, LDAP, {"user_attribute": "uid)(x=*"}, "USER_ATTRIBUTE"),
        (LdapConfig, LDAP, {"bind_dn": "cn=x"}, "belong together"),
        (LdapConfig, LDAP, {"ca_file": "ca.pem"}, "whole path"),
        (OidcConfig, OIDC, {"client_secret_file": "../secret"}, "whole path"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(kind: Any, usual: Any, wrong: Any, says: str) -> None:
    with pytest.raises(BadParameter, match=says) as caught:
        kind.from_env(**usual | wrong)
    assert caught.value.remedy


def test_secrets_come_from_the_setting_or_a_file_and_are_in_no_message(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept in a file\n")
    assert OidcConfig.from_env(**OIDC, client_secret_file=secret).secret == "kept in a file"
    config = LdapConfig.from_env(**LDAP, bind_dn="cn=x", bind_password="hush hush")
    assert config.secret == "hush hush"
    assert "hush" not in repr(config)
    with pytest.raises(BadParameter, match="cannot be read"):
        _ = OidcConfig.from_env(**OIDC, client_secret_file=tmp_path / "gone").secret


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"LOGIN": "oidc"}, "QUANTDESK_LOGIN_OIDC_ISSUER is not set"),
        ({"LOGIN": "ldap"}, "QUANTDESK_LOGIN_LDAP_URL is not set"),
        ({"LOGIN_CRYPT_KEY": "hush"}, "CRYPT_KEY is no key"),
        ({"LOGIN": "ldap", "LOGIN_GROUPS": "IT=admin; it=quant"}, "named twice"),
    ],
)
def test_a_wrong_login_is_told_before_anything_starts(
    given: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    for name, value in given.items():
        monkeypatch.setenv(f"QUANTDESK_{name}", value)
    with pytest.raises(BadParameter, match=says) as caught:
        serve(HubConfig.from_env(), lambda address: None)
    assert "hush" not in str(caught.value)
    assert not (tmp_path / "state").exists()


def test_groups_of_the_settings_and_groups_from_upstream_exclude_each_other() -> None:
    for what in ("viewers", "members", "traders"):
        with pytest.raises(BadParameter, match=f"QUANTDESK_{what.upper()} has no meaning"):
            HubConfig.from_env(login="ldap", **{what: "ana"})
    with pytest.raises(BadParameter, match=r"QUANTDESK_LOGIN will not do \('saml'\)"):
        HubConfig.from_env(login="saml")
