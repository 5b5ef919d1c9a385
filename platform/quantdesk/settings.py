"""The settings file: ``quantdesk.toml`` becomes environment for the processes that quantdesk launches. An edge module.

Every edge module reads its own few ``QUANTDESK_*`` variables, so a notebook, a service and a command agree. This module
only fills them in from a file, once, at the start of a command; what is already in the environment wins. Nothing
but the command line imports it. The secrets of a login have no key: they stand in the environment, or in a file that
a key names.

The file is looked up as ``QUANTDESK_CONFIG``, else ``quantdesk.toml`` in the current directory, else beside
``jupyterhub_config.py``. Its keys are those of `KEYS`, at the top level.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from quantdesk.errors import BadInput, BadParameter, UnknownName
from quantdesk.home import checkout

__all__ = ["KEYS", "apply", "find", "load"]

#: Each key of the file, the type of its value, and what it means.
KEYS: Mapping[str, tuple[type, str]] = {
    "state": (str, "directory that holds data, features, reports, homes and the hub's own files"),
    "notebooks": (str, "directory of the report notebooks"),
    "port": (int, "port of the hub on 127.0.0.1"),
    "admin": (str, "name of the first administrator"),
    "idle_timeout": (int, "seconds after which an idle server is stopped"),
    "collaboration": (bool, "switch on real-time collaboration in JupyterLab"),
    "sharing": (bool, "let users open their servers to others whom they name"),
    "service": (bool, "run the hub's service: the gallery of reports and the API"),
    "worker": (bool, "run the worker of reports beside the hub"),
    "hub_profiles": (str, "file of profiles, which limit what a server may use"),
    "login": (str, "how people log in: native, oidc or ldap"),
    "login_groups": (str, "which group of the provider or directory is which role: group=role; group=role"),
    "login_teams": (str, "groups that the hub takes over under the same name, for shared folders"),
    "login_email_domain": (str, "the domain whose addresses are names"),
    "login_adopt": (str, "users of before that the people of these names upstream take over; * is all"),
    "login_refresh": (int, "seconds after which it is asked again who may do what"),
    "login_grace": (int, "seconds for which who is logged in goes on without an answer"),
    "login_absence": (int, "days after which who did not log in again loses what is left"),
    "login_timeout": (int, "seconds to wait for an answer"),
    "login_proxies": (int, "how many proxies stand in front of the hub's own"),
    "login_title": (str, "what the provider or directory is called on the login page"),
    "login_public_url": (str, "where browsers find the hub"),
    "login_oidc_issuer": (str, "address of the OpenID Connect provider"),
    "login_oidc_client_id": (str, "what the provider calls this hub"),
    "login_oidc_client_secret_file": (str, "file with the secret that proves it"),
    "login_oidc_scope": (str, "what is asked for"),
    "login_oidc_name_claim": (str, "where the name stands"),
    "login_oidc_groups_claim": (str, "where the groups stand"),
    "login_oidc_skew": (int, "seconds by which the provider's clock may differ"),
    "login_ldap_url": (str, "address of the directory"),
    "login_ldap_ca_file": (str, "certificates that the directory's is checked by"),
    "login_ldap_insecure": (bool, "speak without encryption, on this machine alone"),
    "login_ldap_bind_dn": (str, "who looks people up"),
    "login_ldap_bind_password_file": (str, "file with that account's password"),
    "login_ldap_user_base": (str, "below which entry the people are"),
    "login_ldap_user_attribute": (str, "the attribute with the name that they type in"),
    "login_ldap_user_filter": (str, "what must be true of them besides"),
    "login_ldap_group_base": (str, "below which entry the groups are"),
    "login_ldap_group_attribute": (str, "the attribute with a group's name"),
    "login_ldap_group_filter": (str, "which groups somebody is in"),
    "viewers": (str, "hub users who may look and nothing else"),
    "members": (str, "hub users who may read and run; everybody when this and viewers are empty"),
    "traders": (str, "hub users who may send orders"),
    "database": (str, "PostgreSQL database of the hub, the ledgers and the feature store; files when left out"),
    "redis": (str, "Redis of the online store and of the counts of requests"),
    "home_quota_gb": (int, "gigabytes that a home may hold; no limit when 0"),
}


def find(environment: Mapping[str, str]) -> Path | None:
    """The settings file that applies, or None when there is none.

    Raises
    ------
    BadInput
        ``QUANTDESK_CONFIG`` names a file that is not there.
    """
    named = environment.get("QUANTDESK_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise BadInput(f"QUANTDESK_CONFIG names {named}, which is not a file.", "Correct it or unset it.")
        return path
    folders = [Path.cwd(), checkout()]
    return next((path for folder in folders if folder and (path := folder / "quantdesk.toml").is_file()), None)


def load(path: Path) -> dict[str, str]:
    """Read a settings file as environment variables.

    Raises
    ------
    BadInput
        The file is not TOML, or cannot be read.
    UnknownName
        A key is none of `KEYS`.
    BadParameter
        A value has the wrong type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} cannot be read as TOML: {error}.", "Correct that line.") from error
    exported: dict[str, str] = {}
    for key, value in content.items():
        if key not in KEYS:
            raise UnknownName(f"setting in {path}", key, KEYS)
        kind, meaning = KEYS[key]
        if type(value) is not kind:
            raise BadParameter(f"{path}: {key} = {value!r} is no {kind.__name__}.", f"It is the {meaning}.")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if key in {"state", "notebooks", "hub_profiles"} or key.endswith("_file"):
            text = str((path.parent / Path(text).expanduser()).resolve())
        exported[f"QUANTDESK_{key.upper()}"] = text
    return exported


def apply(environment: MutableMapping[str, str] = os.environ) -> Path | None:
    """Fill `environment` from the settings file, and return that file. What is set already wins."""
    path = find(environment)
    if path is not None:
        for name, value in load(path).items():
            environment.setdefault(name, value)
    return path
