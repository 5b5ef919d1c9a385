"""Whose files are restored: the hub's accounts, made again on this machine. An edge module: it calls useradd.

A backup names owners, not numbers. An account gets its old number where that is free, and another one where it is not;
one that this machine has under the same name for another home is somebody else's, and is left alone. What belonged to
nobody that the hub knew, belongs to root afterwards.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from quantdesk.errors import DataError
from quantdesk.hub.accounts import Account, Accounts
from quantdesk.hub.backup.manifest import Entry, Manifest
from quantdesk.hub.config import HubFiles, valid_user
from quantdesk.hub.teams import Teams
from quantdesk.hub.teams import recorded as recorded_teams

__all__ = ["Numbers", "moved", "remade"]

_ACCOUNT = re.compile(r"[a-z][a-z0-9_-]{0,31}")

Numbers = Callable[[Entry], tuple[int, int] | None]
"""The owner and group of an entry, or None to leave both alone."""


def moved(path: str, before: str, now: Path) -> str:
    """A path below one folder, as it is below another."""
    where = Path(path)
    return str(now / where.relative_to(before)) if where.is_relative_to(before) else path


def remade(manifest: Manifest, files: HubFiles, recorded: Path) -> Numbers:
    """Make the accounts of a backup again, where this process may, and write their numbers into its table.

    Parameters
    ----------
    manifest
        Of the backup.
    files
        Of the hub, as it will be.
    recorded
        The table of accounts that was restored; it need not exist.

    Returns
    -------
    Numbers
        Who owns what is restored.

    Raises
    ------
    DataError
        The table is damaged, or names what is no account.
    EnvironmentProblem
        useradd is missing or fails.
    """
    if os.geteuid() != 0:
        return lambda entry: None
    known: dict[str, Account] = {}
    if recorded.is_file():
        found = _read(recorded)
        taken = {one.name for one in found}
        for account in found:
            home = moved(account.home, manifest.state, files.state)
            known[account.name] = Accounts(files).again(replace(account, home=home), taken)
            taken.add(known[account.name].name)
        text = json.dumps({"version": 1, "accounts": [asdict(known[one.name]) for one in found]}, indent=1)
        recorded.write_text(text)
    groups = {name: account.gid for name, account in known.items()}
    teams = Teams(files)
    kept = recorded.with_name(teams.record.name)
    if kept.is_file():
        made = {}
        for team in recorded_teams(kept).values():
            made[team.name] = teams.again(team)
            groups[team.group] = made[team.name].gid
        kept.write_text(json.dumps({"version": 1, "teams": [asdict(one) for one in made.values()]}, indent=1))

    def numbers(entry: Entry) -> tuple[int, int]:
        owner = known.get(entry.owner)
        return (owner.uid if owner else 0), groups.get(entry.group, 0)

    return numbers


def _read(path: Path) -> list[Account]:
    try:
        found = [Account(**entry) for entry in json.loads(path.read_text())["accounts"]]
        for one in found:
            named = valid_user(one.user) or (one.user.startswith("@") and valid_user(one.user[1:]))
            if not (named and _ACCOUNT.fullmatch(one.name) and type(one.uid) is int and Path(one.home).is_absolute()):
                raise ValueError(f"{one.name[:40]!r} is no account of a hub")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"The accounts in the backup cannot be used ({error}).", "Use another backup.") from error
    return found
