"""The hub: JupyterHub as the front door, with login, isolated users, and JupyterLab behind it.

The rooms: `up`, `steps` and `doctor` set up and check; `launch` starts and stops; `configure` is what
``jupyterhub_config.py`` calls; `auth`, `first_login`, `passwords` and `pages` let people in; `accounts`, `spawner`,
`lab` and `kernels` give each a server; `profiles` says how large, `limits` holds it to that on one machine, and
`kubernetes` does so there; `proxy` stands in front; `database` is JupyterHub's own, `teams` have folders, `quota` looks
at homes, `sharing` opens a server to others, `backup` keeps all of it; `reach`, `sweep`, `held` and `tether` are about
the machine, `away` about a database that is not there.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.hub.config import HubConfig, HubFiles
    from quantdesk.hub.first_login import ensure_admin, first_login_pending
    from quantdesk.hub.launch import check_port, serve

_HOMES = {
    "HubConfig": "config",
    "HubFiles": "config",
    "check_port": "launch",
    "ensure_admin": "first_login",
    "first_login_pending": "first_login",
    "serve": "launch",
}

__all__ = ["HubConfig", "HubFiles", "check_port", "ensure_admin", "first_login_pending", "serve"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
