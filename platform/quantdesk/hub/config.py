"""What the hub is told from outside: its port, its administrator, and how long an idle server lives. An edge module.

The names of the files that the hub keeps are here too, so that each is spelled once.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadParameter
from quantdesk.home import state_dir
from quantdesk.hub.auth.given import read
from quantdesk.records.servers import database_of_the_team

__all__ = ["ADDRESS", "USER_NAME", "USER_NAME_RULE", "HubConfig", "HubFiles", "valid_user"]

ADDRESS = "127.0.0.1"
"""The hub, its API and the proxy's API listen here and nowhere else."""

USER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
USER_NAME_RULE = "A user name has 1 to 31 characters: a letter from a to z first, then letters, digits, - or _."


def valid_user(name: str) -> bool:
    """Whether `name` may be a user of the hub: ASCII, lower case, no path, no markup; see `USER_NAME_RULE`."""
    return USER_NAME.fullmatch(name) is not None


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


class HubConfig(BaseSettings):
    """How the hub runs. Frozen; environment variables start with ``QUANTDESK_``.

    Attributes
    ----------
    port
        Port of the hub on 127.0.0.1.
    admin
        Name of the first administrator. Empty means: ``admin`` as root, otherwise the account that runs the hub.
    idle_timeout
        Seconds without activity after which a user's server is stopped; 0 means never.
    collaboration
        Whether several browsers may edit one document of a server at the same time, on every server of this machine; a
        profile can say so for its own.
    service
        Whether the service (gallery and API) runs beside the hub.
    worker
        Whether the worker of the reports runs beside the hub, too; without it another machine's has to.
    login
        How people log in: ``native`` (they sign up here, and the administrator approves), ``oidc`` or ``ldap``
        (somebody else knows them, and their groups there are their roles here).
    viewers
        Names, separated by commas, of the users who may look and nothing else: the group ``quantdesk-viewers``.
    members
        Likewise of those who may use the service: the group ``quantdesk-members``. Everybody whom the administrator
        approved may when this and `viewers` are empty.
    traders
        Likewise of those who may send orders, besides administrators: the group ``quantdesk-traders``.
    profiles
        A file of profiles (TOML or JSON), which limit what a server may use; there are no limits without one.
    hub_database
        Address of JupyterHub's own database, ``postgresql://user:password@host:5432/database``; what
        ``QUANTDESK_DATABASE`` says when left out, else a SQLite file in the state directory.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_", frozen=True, extra="ignore")

    port: int = Field(8000, ge=1, le=65535)
    admin: str = ""
    idle_timeout: int = Field(3600, ge=0)
    collaboration: bool = False
    service: bool = True
    worker: bool = True
    login: Literal["native", "oidc", "ldap"] = "native"
    viewers: str = ""
    members: str = ""
    traders: str = ""
    profiles: Path | None = Field(None, validation_alias="QUANTDESK_HUB_PROFILES")
    hub_database: SecretStr | None = Field(default_factory=database_of_the_team)

    @classmethod
    def from_env(cls, **given: object) -> Self:
        """Read the environment; what is given by name wins, None counts as not given.

        Raises
        ------
        BadParameter
            A value is out of range, of the wrong type, or no user name; the message names it.
        """
        config = read(cls, given)
        if not valid_user(config.administrator):
            raise BadParameter(
                f"{config.administrator!r} cannot be the administrator's name.",
                f"{USER_NAME_RULE} Set QUANTDESK_ADMIN to such a name.",
            )
        for what in ("viewers", "members", "traders"):
            if getattr(config, what) and config.login != "native":
                raise BadParameter(
                    f"QUANTDESK_{what.upper()} has no meaning with QUANTDESK_LOGIN={config.login}.",
                    "Groups say there who may do what: QUANTDESK_LOGIN_GROUPS.",
                )
            for name in getattr(config, f"{what[:-1]}_names"):
                if not valid_user(name):
                    raise BadParameter(
                        f"{name[:40]!r} of the {what} is no user name.",
                        f"{USER_NAME_RULE} QUANTDESK_{what.upper()} has such names, separated by commas.",
                    )
        return config

    @property
    def restricted(self) -> bool:
        """Whether only those who are named, or in a group, may use the service."""
        return bool(self.viewer_names or self.member_names)

    @property
    def viewer_names(self) -> tuple[str, ...]:
        """Who may look and nothing else."""
        return _names(self.viewers)

    @property
    def member_names(self) -> tuple[str, ...]:
        """Who may use the service; nobody by name when all may."""
        return _names(self.members)

    @property
    def trader_names(self) -> tuple[str, ...]:
        """Who may send orders."""
        return _names(self.traders)

    @property
    def administrator(self) -> str:
        """The administrator's name, with the default filled in."""
        if self.admin:
            return self.admin
        if self.isolated:
            return "admin"
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a container may run under a number without a name
            return "admin"

    @property
    def isolated(self) -> bool:
        """Whether each user gets a system account of his own, which only root can arrange."""
        return os.geteuid() == 0


class HubFiles:
    """Where the hub keeps what, below one state directory.

    Parameters
    ----------
    state
        The state directory; None takes `quantdesk.home.state_dir`.
    """

    def __init__(self, state: Path | None = None) -> None:
        self.state = state_dir() if state is None else state
        self.root = self.state / "hub"
        self.homes = self.state / "homes"
        self.proxy = self.state / "proxy"
        self.lab = self.state / "lab"
        self.templates = self.lab / "templates"
        self.database = self.root / "jupyterhub.sqlite"
        self.cookie_secret = self.root / "cookie_secret"
        self.accounts = self.root / "accounts.json"
        self.first_login = self.root / "first-login.json"
        self.lock = self.root / "launch.lock"
        self.log = self.root / "hub.log"
        self.server_logs = self.root / "servers"
        self.runtime_prefix = f"quantdesk-{hashlib.sha256(str(self.state).encode()).hexdigest()[:8]}-"

    @staticmethod
    def runtime_bases() -> list[Path]:
        """Where directories for sockets can be made, the best first: a socket's path must be short."""
        bases = [Path("/run")] if os.access("/run", os.W_OK) else []
        return [*bases, Path(tempfile.gettempdir())]
