"""Who may come in, and what they may do here: one way to log in a hub, chosen by ``QUANTDESK_LOGIN``.

The rooms: `native` keeps passwords itself; `oidc` (with `provider`, `idtoken` and `oidc_pages`) and `ldap` (with
`directory`) ask somebody else, and share `upstream`: whose name is whose (`names`, `identities`), what a group is good
for (`groups`), what is taken away again. `attempts` counts wrong guesses, `sessions` ends logins, `crypt` keeps the key
of what is stored of an upstream login, `config` holds the settings, `wiring` tells JupyterHub, `probe` looks
whether there is an answer, `rounds` asks about those who do nothing, `standing` tells others who has a role.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.hub.auth.alone import one_person
    from quantdesk.hub.auth.config import LdapConfig, LoginConfig, OidcConfig
    from quantdesk.hub.auth.native import HubAuthenticator

_HOMES = {
    "HubAuthenticator": "native",
    "LdapConfig": "config",
    "LoginConfig": "config",
    "OidcConfig": "config",
    "one_person": "alone",
}

__all__ = ["HubAuthenticator", "LdapConfig", "LoginConfig", "OidcConfig", "one_person"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
