"""Whether somebody still has a role, for those who work while nobody is logged in. An edge module: a database."""

from __future__ import annotations

from quantdesk.hub import database
from quantdesk.hub.auth.groups import Role
from quantdesk.hub.config import HubConfig, HubFiles

__all__ = ["may_run"]

_RUNNING = frozenset(role.group for role in (Role.QUANT, Role.TRADER, Role.ADMIN))


def may_run(config: HubConfig, files: HubFiles, user: str) -> bool:
    """Whether a user is, by the last word from upstream, in a group of the hub that may run things.

    Parameters
    ----------
    config, files
        Of the hub.
    user
        The name.

    Raises
    ------
    EnvironmentProblem
        The database cannot be reached.
    """
    for (number,) in database.ask(config, files, "users", ("id",), name=user):
        for (group,) in database.ask(config, files, "user_group_map", ("group_id",), user_id=str(number)):
            for (name,) in database.ask(config, files, "groups", ("name",), id=str(group)):
                if name in _RUNNING:
                    return True
    return False
