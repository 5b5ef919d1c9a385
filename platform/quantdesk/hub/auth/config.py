"""How people log in: the settings of all ways, of OpenID Connect, of LDAP. An edge module: it reads the environment.

Which way it is says ``QUANTDESK_LOGIN`` (`quantdesk.hub.config.HubConfig`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadParameter
from quantdesk.hub.auth.given import loopback, needed, read, secret_of, web_address, whole
from quantdesk.hub.auth.groups import GroupMap
from quantdesk.hub.config import USER_NAME_RULE, valid_user

__all__ = ["LdapConfig", "LoginConfig", "OidcConfig"]

_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


class LoginConfig(BaseSettings):
    """What all upstream logins have in common. Frozen; environment variables start with ``QUANTDESK_LOGIN_``.

    Attributes
    ----------
    groups
        Which group stands for which role: ``group=role``, separated by semicolons, with the roles ``viewer``,
        ``quant``, ``trader`` and ``admin``. Groups that are called as the roles when empty.
    teams
        Further groups, separated by commas, that the hub takes over under the same name, for shared folders. They give
        no right.
    email_domain
        The one domain whose addresses are names: ``ana@firm.example`` is ``ana``.
    adopt
        Names, separated by commas, of users whom this hub had before: the person of that name upstream gets their home.
        ``*`` is all.
    refresh
        Seconds after which it is asked again who somebody is and what he may do.
    grace
        Seconds for which somebody who is logged in goes on while the directory or the provider does not answer.
    absence
        Days after which somebody whose login has expired upstream, and who did not log in again, loses groups, server
        and scheduled notebooks.
    timeout
        Seconds to wait for each of its answers.
    proxies
        How many proxies stand in front of the hub's own; each adds an entry to ``X-Forwarded-For``, by which failures
        are counted.
    title
        What the directory or the provider is called on the login page.
    public_url
        Where browsers find the hub, such as ``https://hub.firm.example``; the address of each request when empty.
    crypt_key
        32 bytes as hexadecimal digits, which encrypt what is kept of a login; several, separated by semicolons, when
        the key changes. Made once and kept in the state directory when empty.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_LOGIN_", frozen=True, extra="ignore")

    groups: str = ""
    teams: str = ""
    email_domain: str = ""
    adopt: str = ""
    refresh: int = Field(300, ge=1, le=86_400)
    grace: int = Field(28_800, ge=0, le=604_800)
    absence: int = Field(7, ge=0, le=365)
    timeout: float = Field(8.0, gt=0, le=60)
    proxies: int = Field(0, ge=0, le=10)
    title: str = Field("", max_length=60)
    public_url: str = ""
    crypt_key: SecretStr = SecretStr("")

    @classmethod
    def from_env(cls, **given: object) -> Self:
        """Read the environment; what is given by name wins, None counts as not given.

        Raises
        ------
        BadParameter
            A value is out of range, of the wrong type or no name; the message names it.
        UnknownName
            A group shall stand for a role that there is not.
        """
        config = read(cls, given)
        GroupMap.parse(config.groups, config.teams)
        if config.email_domain and not _DOMAIN.fullmatch(config.email_domain):
            raise BadParameter(f"{config.email_domain[:80]!r} is no domain.", "QUANTDESK_LOGIN_EMAIL_DOMAIN is one.")
        for name in config.adopted:
            if name != "*" and not valid_user(name):
                raise BadParameter(f"{name[:40]!r} of QUANTDESK_LOGIN_ADOPT is no user name.", USER_NAME_RULE)
        if config.public_url:
            web_address(config.public_url, "QUANTDESK_LOGIN_PUBLIC_URL")
        return config

    @property
    def adopted(self) -> frozenset[str]:
        """The names of `adopt`."""
        return frozenset(name.strip() for name in self.adopt.split(",") if name.strip())


class OidcConfig(BaseSettings):
    """An OpenID Connect provider. Frozen; environment variables start with ``QUANTDESK_LOGIN_OIDC_``.

    Attributes
    ----------
    issuer
        The provider's address, whose ``/.well-known/openid-configuration`` says the rest. HTTPS, but on this machine.
    client_id
        What the provider calls this hub.
    client_secret
        Proves that it is this hub.
    client_secret_file
        A file that holds the secret.
    scope
        What is asked for. ``offline_access`` besides lets programs with a token of the hub go on when their user's
        session at the provider is over.
    name_claim
        Where the name stands.
    groups_claim
        Where the groups stand; dots lead into objects, as in ``realm_access.roles``.
    skew
        Seconds by which the provider's clock may differ from this machine's.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_LOGIN_OIDC_", frozen=True, extra="ignore")

    issuer: str = ""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    client_secret_file: Path | None = None
    scope: str = "openid profile email"
    name_claim: str = Field("preferred_username", min_length=1)
    groups_claim: str = Field("groups", min_length=1)
    skew: int = Field(60, ge=0, le=600)

    @classmethod
    def from_env(cls, **given: object) -> Self:
        """Read the environment; what is given by name wins, None counts as not given.

        Raises
        ------
        BadParameter
            Something is missing or wrong; the message names it, and never the secret.
        """
        config = read(cls, given)
        needed(config, "issuer", "client_id")
        web_address(config.issuer, "QUANTDESK_LOGIN_OIDC_ISSUER")
        whole(config, "client_secret_file")
        if "openid" not in config.scope.split():
            raise BadParameter(f"The scope {config.scope!r} does not hold openid.", "openid profile email is usual.")
        return config

    @property
    def secret(self) -> str:
        """The secret, wherever it stands; empty for a client that has none.

        Raises
        ------
        BadParameter
            The file cannot be read.
        """
        return secret_of(self.client_secret, self.client_secret_file, "QUANTDESK_LOGIN_OIDC_CLIENT_SECRET_FILE")


class LdapConfig(BaseSettings):
    """A directory. Frozen; environment variables start with ``QUANTDESK_LOGIN_LDAP_``.

    Attributes
    ----------
    url
        ``ldaps://host``, or ``ldap://host``, where the connection is encrypted by StartTLS before anything is said.
    ca_file
        File with the certificates that the directory's is checked by; those of the machine when left out.
    insecure
        Speak without encryption, which is for a directory on this very machine alone.
    bind_dn
        Who looks people up; nobody in particular when empty.
    bind_password
        This account's password.
    bind_password_file
        A file that holds it.
    user_base
        Below which entry the people are.
    user_attribute
        The attribute that holds the name which they type in.
    user_filter
        What must be true of them besides, such as ``(!(userAccountControl:1.2.840.113556.1.4.803:=2))``.
    group_base
        Below which entry the groups are.
    group_attribute
        The attribute that holds a group's name. The mapping may also name a group by its whole distinguished name.
    group_filter
        Which groups somebody is in; ``{dn}`` and ``{name}`` stand for the person.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_LOGIN_LDAP_", frozen=True, extra="ignore")

    url: str = ""
    ca_file: Path | None = None
    insecure: bool = False
    bind_dn: str = ""
    bind_password: SecretStr = SecretStr("")
    bind_password_file: Path | None = None
    user_base: str = ""
    user_attribute: str = Field("uid", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    user_filter: str = ""
    group_base: str = ""
    group_attribute: str = Field("cn", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    group_filter: str = "(|(member={dn})(uniqueMember={dn})(memberUid={name}))"

    @classmethod
    def from_env(cls, **given: object) -> Self:
        """Read the environment; what is given by name wins, None counts as not given.

        Raises
        ------
        BadParameter
            Something is missing or wrong; the message names it, and never the password.
        """
        config = read(cls, given)
        needed(config, "url", "user_base", "group_base")
        parts = urlsplit(config.url)
        if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/"):
            raise BadParameter(
                f"QUANTDESK_LOGIN_LDAP_URL is {config.url[:200]!r}.",
                "It is ldaps://host or ldap://host, with :port or not.",
            )
        if config.insecure and not (parts.scheme == "ldap" and loopback(parts.hostname)):
            raise BadParameter(
                f"QUANTDESK_LOGIN_LDAP_INSECURE would send passwords to {parts.hostname} as they are.",
                "Leave it out: ldap:// is encrypted by StartTLS, ldaps:// from the start.",
            )
        whole(config, "ca_file", "bind_password_file")
        for name in ("user_filter", "group_filter"):
            text = getattr(config, name)
            if text and not (text.startswith("(") and text.endswith(")")):
                raise BadParameter(
                    f"QUANTDESK_LOGIN_LDAP_{name.upper()} is {text[:200]!r}.", "A filter stands in parentheses."
                )
        if bool(config.bind_dn) != bool(config.bind_password.get_secret_value() or config.bind_password_file):
            raise BadParameter(
                "QUANTDESK_LOGIN_LDAP_BIND_DN and its password belong together.",
                "Set both, or neither: then people are looked up by nobody in particular.",
            )
        return config

    @property
    def secret(self) -> str:
        """The password of `bind_dn`, wherever it stands.

        Raises
        ------
        BadParameter
            The file cannot be read.
        """
        return secret_of(self.bind_password, self.bind_password_file, "QUANTDESK_LOGIN_LDAP_BIND_PASSWORD_FILE")
