"""The hub's accounts and teams by the numbers of this machine: an archive names owners. An edge module: accounts."""

from __future__ import annotations

from quantdesk.hub.accounts import Accounts
from quantdesk.hub.config import HubFiles
from quantdesk.hub.teams import Teams

__all__ = ["Names"]

_NOBODY = -1  # a team's group is no account


class Names:
    """Names for numbers; the tables are read again where a number is new.

    Parameters
    ----------
    files
        Of the hub.

    Attributes
    ----------
    all
        By name the numbers of account and group.
    """

    def __init__(self, files: HubFiles) -> None:
        self._accounts, self._teams = Accounts(files), Teams(files)
        self._unknown: set[int] = set()
        self.all: dict[str, tuple[int, int]] = {}
        self._read()

    def user(self, uid: int) -> str:
        """The account of a number; empty where it is none of the hub's."""
        return self._name(uid, 0)

    def group(self, gid: int) -> str:
        """The account or team whose group has a number; empty where it is none of the hub's."""
        return self._name(gid, 1)

    def _read(self) -> None:
        self.all = {one.name: (one.uid, one.gid) for one in self._accounts.all()}
        self.all |= {one.group: (_NOBODY, one.gid) for one in self._teams.read().values()}

    def _name(self, number: int, which: int) -> str:
        found = next((name for name, numbers in self.all.items() if numbers[which] == number), "")
        if found or number < 100 or number in self._unknown:
            return found
        self._read()
        self._unknown.add(number)
        return next((name for name, numbers in self.all.items() if numbers[which] == number), "")
