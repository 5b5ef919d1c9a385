"""What a group of the directory or the provider is good for here. Pure.

There are four roles. Each is a group of the hub, and the hub's service takes its rights from that group's scopes:

======  ==========================  =====================================
role    group of the hub            what it may do
======  ==========================  =====================================
viewer  quantdesk-viewers           see reports, features and halts
quant   quantdesk-members           that, and run reports and scenarios
trader  quantdesk-traders           that, and send orders
admin   quantdesk-administrators    everything, and administer the hub
======  ==========================  =====================================

Who is in no group that stands for a role has none: there is no role by default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from quantdesk.errors import BadParameter, UnknownName

__all__ = ["GroupMap", "Role"]

TEAM = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_OURS = "quantdesk"


class Role(StrEnum):
    """What somebody is on the platform."""

    VIEWER = "viewer"
    QUANT = "quant"
    TRADER = "trader"
    ADMIN = "admin"

    @property
    def group(self) -> str:
        """The hub's group."""
        return f"{_OURS}-{_GROUPS[self]}"

    @property
    def scopes(self) -> tuple[str, ...]:
        """The hub's scopes for its service; that of an administrator holds the others."""
        return tuple(f"custom:{_OURS}:{right}" for right in _RIGHTS[self])


_GROUPS = {Role.VIEWER: "viewers", Role.QUANT: "members", Role.TRADER: "traders", Role.ADMIN: "administrators"}
_RIGHTS = {
    Role.VIEWER: ("read",),
    Role.QUANT: ("read", "run"),
    Role.TRADER: ("read", "run", "trade"),
    Role.ADMIN: ("admin",),
}


@dataclass(frozen=True)
class GroupMap:
    """Which role each upstream group stands for, and which of them are groups of the hub, too.

    Attributes
    ----------
    roles
        Role of each upstream group.
    teams
        Upstream groups that the hub knows under the same name, such as those with a shared folder. They give no right.
    ignore_case
        Whether ``Quants`` is ``quants``, as in a directory.
    """

    roles: Mapping[str, Role]
    teams: frozenset[str] = frozenset()
    ignore_case: bool = False

    @classmethod
    def parse(cls, roles: str = "", teams: str = "", *, ignore_case: bool = False) -> GroupMap:
        """Read the two settings.

        Parameters
        ----------
        roles
            ``group=role`` for each, separated by semicolons: a group's name may hold commas and ``=``. Several groups
            may stand for one role. Empty: groups that are called as the roles.
        teams
            Names of groups, separated by commas.
        ignore_case
            See the attribute.

        Raises
        ------
        BadParameter
            A part is no ``group=role``, a group is named twice, or a team has a name that cannot be one.
        UnknownName
            There is no such role.
        """
        found: dict[str, Role] = {}
        for part in roles.split(";"):
            if not part.strip():
                continue
            group, _, role = (one.strip() for one in part.rpartition("="))
            if not group:
                raise BadParameter(
                    f"{part.strip()[:80]!r} says no role for a group.",
                    "QUANTDESK_LOGIN_GROUPS has group=role; group=role.",
                )
            if role not in {*Role}:
                raise UnknownName("role", role[:40], [*Role])
            key = _key(group, ignore_case)
            if key in found:
                raise BadParameter(f"The group {group[:80]!r} is named twice.", "One group stands for one role.")
            found[key] = Role(role)
        names = [name.strip() for name in teams.split(",") if name.strip()]
        for name in names:
            if not TEAM.fullmatch(name) or name in {role.group for role in Role}:
                raise BadParameter(
                    f"{name[:40]!r} cannot be a team.",
                    "A team has 1 to 31 characters from a to z, 0 to 9, - and _, and is no group that gives a right.",
                )
        return cls(found or {str(role): role for role in Role}, frozenset(names), ignore_case)

    def roles_of(self, groups: Iterable[str]) -> tuple[Role, ...]:
        """The roles of somebody who is in `groups`, the least first; empty where none of them stands for one.

        >>> GroupMap.parse("desk=trader; staff=viewer").roles_of(["desk", "football", "staff"])
        (<Role.VIEWER: 'viewer'>, <Role.TRADER: 'trader'>)
        """
        found = {self.roles.get(_key(one, self.ignore_case)) for one in groups}
        return tuple(role for role in Role if role in found)

    def hub_groups(self, groups: Iterable[str]) -> tuple[str, ...]:
        """The hub's groups of somebody who is in `groups`: those of the roles, and the teams."""
        groups = tuple(groups)
        teams = {name for name in self.teams if name in {_key(one, self.ignore_case) for one in groups}}
        return (*(role.group for role in self.roles_of(groups)), *sorted(teams))


def _key(group: str, ignore_case: bool) -> str:
    """A group's name as it is compared; in a distinguished name, spaces around the commas do not count."""
    return re.sub(r"\s*([,=])\s*", r"\1", group.strip()).casefold() if ignore_case else group
