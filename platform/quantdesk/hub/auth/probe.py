"""Whether the provider or the directory that the settings name answers, for ``quantdesk doctor``. An edge module."""

from __future__ import annotations

import secrets
from typing import Any

import httpx
from anyio.from_thread import start_blocking_portal
from tornado.httpclient import HTTPClientError

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.auth.config import LdapConfig, LoginConfig, OidcConfig
from quantdesk.hub.auth.directory import Directory
from quantdesk.hub.auth.person import Unreachable
from quantdesk.hub.auth.provider import Provider
from quantdesk.hub.config import HubConfig

__all__ = ["probe"]


def probe(config: HubConfig) -> str:
    """Ask once, as a login would, and say in a sentence how people log in.

    Parameters
    ----------
    config
        Of the hub.

    Raises
    ------
    BadParameter
        A setting is missing or wrong.
    EnvironmentProblem
        There is no answer, or none that means anything; the message says why.
    """
    login = LoginConfig.from_env()
    if config.login == "native":
        return "native: people sign up, and the administrator approves them"
    try:
        return _provider(login) if config.login == "oidc" else _directory(login)
    except Unreachable as error:
        why = "; ".join(getattr(error, "__notes__", ()))
        raise EnvironmentProblem(
            f"{error.problem}{f' ({why})' if why else ''}", "Nobody can log in until it does."
        ) from None


def _provider(login: LoginConfig) -> str:
    oidc = OidcConfig.from_env()
    _ = oidc.secret

    async def fetch(url: str, what: str, **_: Any) -> Any:  # noqa: ARG001  (as the provider's part calls it)
        async with httpx.AsyncClient(timeout=login.timeout) as client:
            try:
                answer = await client.get(url)
            except httpx.HTTPError as error:
                raise OSError(str(error)) from None
        if answer.status_code != httpx.codes.OK:
            raise HTTPClientError(answer.status_code)
        return answer.json()

    with start_blocking_portal() as portal:
        found = portal.call(Provider(oidc, fetch).metadata)
    ends = "can" if found.end_session else "cannot"
    return f"oidc: {oidc.issuer} answers, and {ends} end its own logins"


def _directory(login: LoginConfig) -> str:
    ldap = LdapConfig.from_env()
    Directory(ldap, login.timeout).find(f"nobody-{secrets.token_hex(8)}")
    return f"ldap: {ldap.url} answers, and people can be looked up below {ldap.user_base}"
