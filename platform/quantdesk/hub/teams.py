"""A folder for each team, which its members share. An edge module: it calls groupadd, and owns directories.

A group of the hub that gives no rights is a team. As root it gets a group of the system, whose number the servers of
its members have, and a folder ``state/shared/<team>`` that belongs to that group. What is made in it belongs to the
group as well (set-group-id) and can be written by all of it, whatever the umask of who made it (a default access list).
In each member's home, ``shared/<team>`` leads there. Somebody who leaves a team keeps neither number nor link when his
server starts again.

As an ordinary user there is one person, and no team.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import json
import logging
import os
import re
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.hub.accounts import Account, run_locked_tool
from quantdesk.hub.config import HubFiles
from quantdesk.records import atomic_write, exclusive

__all__ = ["TEAM", "Team", "Teams", "inherit"]

TEAM = re.compile(r"[a-z][a-z0-9_-]{0,30}")
"""What a group of the hub must be called to be a team. Those that begin with ``quantdesk-`` give rights."""
_RIGHTS = "quantdesk-"
_NUMBERS = (30000, 39999)  # apart from those of users
_MODE, _ENTERED = 0o2770, 0o711
_LIST = "system.posix_acl_default"
#: acl(5): version 2; the owner and the group may do everything, others nothing. With it, the umask does not count.
_EVERYTHING = struct.pack("<I" + "HHI" * 3, 2, 0x01, 7, 2**32 - 1, 0x04, 7, 2**32 - 1, 0x20, 0, 2**32 - 1)
# It runs as the user: in a home, root neither makes nor removes anything.
_LINKS = """
import os, sys
shared, *teams = sys.argv[1:]
os.makedirs("shared", 0o700, exist_ok=True)
for name in os.listdir("shared"):
    path = os.path.join("shared", name)
    if os.path.islink(path) and os.path.dirname(os.readlink(path)) == shared and name not in teams:
        os.unlink(path)
for team in teams:
    try:
        os.symlink(os.path.join(shared, team), os.path.join("shared", team))
    except FileExistsError:
        pass
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Team:
    """A team on this machine.

    Attributes
    ----------
    name
        Of the group in the hub.
    group, gid
        The group of the system.
    """

    name: str
    group: str
    gid: int


class Teams:
    """The teams of one hub that runs as root.

    Parameters
    ----------
    files
        Where the hub keeps its files.
    """

    def __init__(self, files: HubFiles) -> None:
        self._files = files
        self.shared = files.state / "shared"
        self.record = files.root / "teams.json"

    def open(self, groups: Iterable[str]) -> tuple[Team, ...]:
        """The teams among groups of the hub; each has its folder afterwards.

        Raises
        ------
        EnvironmentProblem
            groupadd is missing or fails, or a folder belongs to somebody else. Nothing is taken over by force.
        """
        names = sorted(name for name in set(groups) if TEAM.fullmatch(name) and not name.startswith(_RIGHTS))
        if not names:
            return ()
        with exclusive(self._files.root / "teams.lock", timeout=30):
            known = self.read()
            found = {name: self._confirmed(known.get(name), name) for name in names}
            if any(known.get(name) != team for name, team in found.items()):
                self.write({**known, **found})
        self.shared.mkdir(exist_ok=True)
        if stat.S_IMODE(self.shared.stat().st_mode) != _ENTERED:
            self.shared.chmod(_ENTERED)
        for team in found.values():
            self._folder(team)
        return tuple(found.values())

    def link(self, account: Account, teams: Iterable[Team]) -> None:
        """Let ``shared/`` in a home lead to the folders of these teams, and to none that was left."""
        line = [sys.executable, "-I", "-S", "-c", _LINKS, str(self.shared), *(team.name for team in teams)]
        who = {"user": account.uid, "group": account.gid, "extra_groups": [], "umask": 0o077}
        done = subprocess.run(line, cwd=account.home, env={}, capture_output=True, text=True, check=False, **who)  # type: ignore[call-overload]
        if done.returncode != 0:  # something of the user's own is called so: nothing is lost but the short way
            _log.warning("shared/ of %s was not made: %s", account.user, done.stderr.strip().splitlines()[-1:])

    def again(self, team: Team) -> Team:
        """A team of a backup on this machine: with its old number where that is free."""
        return self._made(team.name, team.gid)

    def read(self) -> dict[str, Team]:
        """What was recorded.

        Raises
        ------
        DataError
            The file is damaged.
        """
        return recorded(self.record)

    def write(self, teams: Mapping[str, Team]) -> None:
        """Record teams."""
        with atomic_write(self.record, mode=0o600) as temporary:
            temporary.write_text(json.dumps({"version": 1, "teams": [asdict(one) for one in teams.values()]}, indent=1))

    def _confirmed(self, team: Team | None, name: str) -> Team:
        """The machine must still know the recorded group by the same number."""
        if team is None:
            return self._made(name, None)
        try:
            there = grp.getgrnam(team.group)
        except KeyError:
            return self._made(name, team.gid)
        if there.gr_gid != team.gid:
            raise EnvironmentProblem(
                f"The group {team.group} of the team {name} has the number {there.gr_gid} on this machine, and "
                f"{team.gid} in {self.record}.",
                f"Was the state copied? Give the folder to the new number (chgrp -R {there.gr_gid} "
                f"{self.shared / name}), and correct the file.",
            )
        return team

    def _made(self, name: str, gid: int | None) -> Team:
        """A group of the system. Its name has a mark of this state directory: another hub's team is another group."""
        mark = hashlib.sha256(str(self._files.state).encode()).hexdigest()[:6]
        group = f"qt-{mark}-{name}"
        if len(group) > 32:
            group = f"{group[:25]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
        try:
            there = grp.getgrnam(group)
        except KeyError:
            _groupadd(group, gid if gid is not None and _is_free(gid) else None)
            there = grp.getgrnam(group)
        return Team(name, group, there.gr_gid)

    def _folder(self, team: Team) -> None:
        """Make the folder, or check that it is a real directory of this group; never follow a link."""
        folder = self.shared / team.name
        if not os.path.lexists(folder):
            fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=self.shared))  # given away before it has its name
            os.chown(fresh, 0, team.gid)
            fresh.chmod(_MODE)
            inherit(fresh)
            fresh.rename(folder)
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise EnvironmentProblem(
                f"The folder {folder} is not a directory ({error.strerror}).", "Move what is there out of the way."
            ) from error
        try:
            facts = os.fstat(handle)
            if (facts.st_uid, facts.st_gid) != (0, team.gid):
                raise EnvironmentProblem(
                    f"The folder {folder} belongs to the numbers {facts.st_uid} and {facts.st_gid}, not to root and "
                    f"{team.group} ({team.gid}).",
                    f"If it is this team's, run: chown root:{team.gid} {folder}",
                )
            if stat.S_IMODE(facts.st_mode) != _MODE:
                os.fchmod(handle, _MODE)
        finally:
            os.close(handle)


def recorded(path: Path) -> dict[str, Team]:
    """The teams in a file; none where it is not there.

    Raises
    ------
    DataError
        It is damaged.
    """
    try:
        found = [
            Team(str(one["name"]), str(one["group"]), int(one["gid"])) for one in json.loads(path.read_text())["teams"]
        ]
        if not all(TEAM.fullmatch(one.name) for one in found):
            raise ValueError("a name that no team has")
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}).", "Restore it from a backup.") from error
    return {one.name: one for one in found}


def inherit(folder: Path) -> None:
    """Let whatever is made in a folder be its group's to write, and so below it."""
    try:
        os.setxattr(folder, _LIST, _EVERYTHING, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTSUP):
            raise
        _log.warning("%s is on a disk without access lists: members have to give the group rights themselves", folder)


def _is_free(gid: int) -> bool:
    with contextlib.suppress(KeyError, OverflowError):
        grp.getgrgid(gid)
        return False
    return 100 <= gid < 2**31


def _groupadd(name: str, gid: int | None) -> None:
    low, high = _NUMBERS
    line = ["--system", "-K", f"SYS_GID_MIN={low}", "-K", f"SYS_GID_MAX={high}"]
    run_locked_tool("groupadd", [*line, *(["--gid", str(gid)] if gid is not None else []), name], f"the group {name}")
