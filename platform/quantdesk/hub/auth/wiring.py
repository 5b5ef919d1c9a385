"""Tell JupyterHub how people log in. An edge module: it reads the environment, and takes the secrets out of it."""

from __future__ import annotations

import os
from typing import Any

from quantdesk.hub.auth.config import LdapConfig, LoginConfig, OidcConfig
from quantdesk.hub.auth.crypt import given_keys, keys
from quantdesk.hub.auth.groups import GroupMap
from quantdesk.hub.config import HubConfig, HubFiles

__all__ = ["SECRETS", "check", "wire"]

SECRETS = (
    "QUANTDESK_LOGIN_CRYPT_KEY",
    "QUANTDESK_LOGIN_OIDC_CLIENT_SECRET",
    "QUANTDESK_LOGIN_LDAP_BIND_PASSWORD",
)
"""Variables that the hub alone may know."""
_TITLES = {"oidc": "single sign-on", "ldap": "the directory"}


def check(config: HubConfig) -> LoginConfig:
    """Read the settings of the login that is chosen, so that a wrong one is told before anything starts.

    Raises
    ------
    BadParameter
        One is missing or wrong.
    """
    login = LoginConfig.from_env()
    GroupMap.parse(login.groups, login.teams, ignore_case=config.login == "ldap")
    given_keys(login.crypt_key.get_secret_value())
    if config.login == "oidc":
        _ = OidcConfig.from_env().secret
    elif config.login == "ldap":
        _ = LdapConfig.from_env().secret
    return login


def wire(c: Any, config: HubConfig, files: HubFiles, *, isolated: bool | None = None) -> None:
    """Fill in JupyterHub's settings of the login.

    Parameters
    ----------
    c
        The object that ``get_config()`` returns.
    config, files
        Of the hub.
    isolated
        Whether each user's server is apart from the others', so that the hub can serve more than one person; what
        `config` says when None.

    Raises
    ------
    BadParameter
        A setting is missing or wrong.
    DataError
        The file with the key is damaged.
    """
    login = LoginConfig.from_env()
    settings = _native(c, config, login) if config.login == "native" else _upstream(c, config, files, login)
    settings.state = str(files.state)
    settings.administrator = config.administrator
    settings.isolated = config.isolated if isolated is None else isolated
    for name in SECRETS:  # what JupyterHub starts would inherit them
        os.environ.pop(name, None)


def _native(c: Any, config: HubConfig, login: LoginConfig) -> Any:
    c.JupyterHub.authenticator_class = "quantdesk.hub.auth.native.HubAuthenticator"
    c.HubAuthenticator.proxies = login.proxies
    c.HubAuthenticator.admin_users = {config.administrator}
    c.HubAuthenticator.allow_all = True  # all whom the administrator approved: `authenticate` refuses the rest
    c.HubAuthenticator.enable_signup = config.isolated
    c.HubAuthenticator.open_signup = False
    return c.HubAuthenticator


def _upstream(c: Any, config: HubConfig, files: HubFiles, login: LoginConfig) -> Any:
    c.CryptKeeper.keys = keys(login.crypt_key.get_secret_value(), files)
    if config.login == "oidc":
        oidc = OidcConfig.from_env()
        c.JupyterHub.authenticator_class = "quantdesk.hub.auth.oidc.OidcAuthenticator"
        settings = c.OidcAuthenticator
        settings.oidc = oidc
        settings.client_id, settings.client_secret = oidc.client_id, oidc.secret
        settings.scope = oidc.scope.split()
        settings.enable_pkce = True
    else:
        c.JupyterHub.authenticator_class = "quantdesk.hub.auth.ldap.LdapAuthenticator"
        settings = c.LdapAuthenticator
        settings.ldap = LdapConfig.from_env()
    settings.login = login.model_copy(update={"title": login.title or _TITLES[config.login]})
    settings.admin_users = set()  # the role decides
    settings.enable_auth_state = True
    settings.manage_groups = True
    settings.any_allow_config = True  # a role is what lets somebody in: see `Upstream.check_allowed`
    settings.auth_refresh_age = login.refresh
    settings.auth_refresh_strict = True  # a token whose user is not confirmed any more opens nothing
    settings.refresh_pre_spawn = True
    return settings
