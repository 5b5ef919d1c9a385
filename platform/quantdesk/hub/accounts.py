"""The system accounts of the hub's users, and their homes. An edge module: it calls useradd and owns directories.

As root, a user of the hub becomes a system account without a password and without a login shell. The machine's own
account table hands out the number, so that two hubs on one machine never share one; ``state/hub/accounts.json``
records which is whose. An account is never deleted, so a number is never handed out twice: when a user is deleted,
the account is retired, and the home is kept under ``state/homes/.retired``.

As an ordinary user there is one person, who keeps the account that the hub runs under.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub.config import USER_NAME_RULE, HubFiles, valid_user
from quantdesk.records import atomic_write, exclusive

__all__ = ["Account", "Accounts", "own_account", "prepare_state", "run_locked_tool"]

NO_SHELL = "/usr/sbin/nologin"
#: Numbers for users of the hub: apart from people (1000 up) and from the packages' system accounts (below 1000).
NUMBERS = (20000, 29999)


@dataclass(frozen=True)
class Account:
    """Who a user of the hub is on this machine.

    Attributes
    ----------
    user
        The name in the hub.
    name, uid, gid
        The system account: its name, its number and the number of its own group.
    home
        Its home directory, absolute.
    created
        When the hub made it, as ISO 8601 in UTC.
    retired
        When the user was deleted, likewise; empty while it is in use.
    """

    user: str
    name: str
    uid: int
    gid: int
    home: str
    created: str = ""
    retired: str = ""


def prepare_state(files: HubFiles, *, isolated: bool) -> None:
    """Create the hub's directories and give each the mode that the isolation rests on.

    Isolated, other accounts may enter the state directory and read market data and features; the hub's own files
    and the reports are closed, and homes can be entered but not listed.

    Raises
    ------
    EnvironmentProblem
        One of them cannot be created or belongs to somebody else.
    """
    outer = 0o711 if isolated else 0o700
    wanted = {
        files.state: 0o755 if isolated else None,
        files.root: 0o700,
        files.server_logs: 0o700,
        files.proxy: 0o755,
        files.homes: outer,
        files.state / "reports": 0o700,
        files.lab: 0o755,
    }
    reports = files.state / "reports"
    if isolated and reports.is_dir() and reports.stat().st_uid != os.geteuid():
        wanted[reports] = None  # it was handed over to the account that runs reports: see hub.service
    for folder, mode in wanted.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if mode is not None and stat.S_IMODE(folder.stat().st_mode) != mode:
                folder.chmod(mode)
        except OSError as error:
            raise EnvironmentProblem(
                f"{folder} cannot be prepared ({error.strerror}).",
                "Make it a directory that the account which runs the hub owns, or set QUANTDESK_STATE elsewhere.",
            ) from error


def own_account(user: str, files: HubFiles) -> Account:
    """The one person's account when the hub does not run as root: this process's own, with a home in the state."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = user
    home = files.homes / user
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Account(user, name, os.geteuid(), os.getegid(), str(home))


class Accounts:
    """The ledger of accounts of one hub that runs as root.

    Parameters
    ----------
    files
        Where the hub keeps its files.
    prefix
        What the names of the system accounts start with.
    """

    def __init__(self, files: HubFiles, prefix: str = "qd-") -> None:
        self._files = files
        self._prefix = prefix

    def find(self, user: str) -> Account | None:
        """The account in use of a user, or None when he never started a server."""
        return next((account for account in self._read() if account.user == user and not account.retired), None)

    def in_use(self) -> dict[str, Account]:
        """The account in use of each user who has one."""
        return {account.user: account for account in self._read() if not account.retired}

    def numbers(self) -> set[int]:
        """The number of every account that this hub has made, retired or not."""
        return {account.uid for account in self._read()}

    def all(self) -> tuple[Account, ...]:
        """Every account that this hub has made, retired or not."""
        return tuple(self._read())

    def open(self, user: str) -> Account:
        """The account of a user, made at the first call; its home is there, is his, and has mode 0700.

        Raises
        ------
        BadInput
            `user` is no valid name.
        EnvironmentProblem
            useradd is missing or fails, the recorded account is gone or has another number, or the home belongs to
            somebody else. Nothing is taken over by force.
        """
        if not valid_user(user):
            raise BadInput(f"{user!r} is no user name.", USER_NAME_RULE)
        with self._locked() as accounts:
            account = next((one for one in accounts if one.user == user and not one.retired), None)
            if account is None:
                account = self._create(user, self._files.homes / user, taken={one.name for one in accounts})
                self._write([*accounts, account])
            else:
                self._confirm(account)
        _own_home(account)
        return account

    def service(self, name: str) -> Account:
        """The account of a part of the hub itself, such as its proxy, which owns nothing and no user can have.

        Raises
        ------
        EnvironmentProblem
            As for `open`.
        """
        with self._locked() as accounts:
            account = next((one for one in accounts if one.user == f"@{name}"), None)
            if account is None:
                account = self._create(name, self._files.root, taken={one.name for one in accounts})
                account = replace(account, user=f"@{name}")
                self._write([*accounts, account])
            else:
                self._confirm(account)
            return account

    def retire(self, user: str) -> Account | None:
        """Close the account of a deleted user and put its home aside; both are kept. None when there was none."""
        with self._locked() as accounts:
            account = next((one for one in accounts if one.user == user and not one.retired), None)
            if account is None:
                return None
            home = Path(account.home)
            kept = self._files.homes / ".retired" / f"{user}-{account.uid}"
            if home.is_dir():
                kept.parent.mkdir(mode=0o700, exist_ok=True)
                home.rename(kept)
            closed = replace(account, home=str(kept), retired=_now())
            self._write([closed if one is account else one for one in accounts])
            return closed

    def again(self, account: Account, taken: set[str]) -> Account:
        """An account of a backup on this machine, which may be another one; it is not written into the table.

        It keeps its number where that is free. One that this machine has under the same name for another home is
        somebody else's: then there is a new one with another name.

        Raises
        ------
        EnvironmentProblem
            useradd is missing or fails.
        """
        user, home = account.user.removeprefix("@"), Path(account.home)
        try:
            entry = pwd.getpwnam(account.name)
        except KeyError:
            name = account.name
        else:
            if entry.pw_dir in (account.home, str(self._files.homes / user)) and entry.pw_uid >= 100:
                return replace(account, uid=entry.pw_uid, gid=entry.pw_gid)
            name = self._free_name(user, home, taken)
            with contextlib.suppress(KeyError):  # from an earlier restore to this very place
                entry = pwd.getpwnam(name)
                return replace(account, name=name, uid=entry.pw_uid, gid=entry.pw_gid)
        _useradd(name, home, uid=account.uid if _is_free(account.uid) else None)
        made = pwd.getpwnam(name)
        return replace(account, name=name, uid=made.pw_uid, gid=made.pw_gid)

    def _create(self, user: str, home: Path, taken: set[str]) -> Account:
        name = self._free_name(user, home, taken)
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            _useradd(name, home)
            entry = pwd.getpwnam(name)
        if entry.pw_uid < 100 or entry.pw_gid < 100:
            raise EnvironmentProblem(
                f"useradd gave {name} the number {entry.pw_uid}, which is not a user's.", "Look at /etc/login.defs."
            )
        return Account(user, name, entry.pw_uid, entry.pw_gid, str(home), created=_now())

    def _free_name(self, user: str, home: Path, taken: set[str]) -> str:
        """A name of at most 32 characters that no other account has; one with this very home is ours from before."""
        mark = hashlib.sha256(str(home).encode()).hexdigest()
        candidates = [f"{self._prefix}{user}", *(f"{self._prefix}{user[:14]}-{mark[at : at + 6]}" for at in range(32))]
        for name in candidates:
            if name in taken or len(name) > 32:
                continue
            try:
                if pwd.getpwnam(name).pw_dir == str(home):
                    return name
            except KeyError:
                return name
        raise EnvironmentProblem(f"No account name is free for the user {user}.", "Remove accounts that nobody uses.")

    def _confirm(self, account: Account) -> None:
        """The machine must still know the recorded account by the same number."""
        try:
            entry = pwd.getpwnam(account.name)
        except KeyError:
            _useradd(account.name, Path(account.home), uid=account.uid)
            entry = pwd.getpwnam(account.name)
        if (entry.pw_uid, entry.pw_gid) != (account.uid, account.gid):
            raise EnvironmentProblem(
                f"The account {account.name} of the user {account.user} has the number {entry.pw_uid} on this machine, "
                f"and {account.uid} in {self._files.accounts}.",
                "Was the state copied from another machine? Give the home to the new number (chown -R), and correct "
                "the file.",
            )

    def _read(self) -> list[Account]:
        try:
            text = self._files.accounts.read_text()
        except FileNotFoundError:
            return []
        try:
            return [Account(**entry) for entry in json.loads(text)["accounts"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self._files.accounts} is damaged ({error}).",
                "Restore it from a backup: it says which account each user has.",
            ) from error

    def _write(self, accounts: list[Account]) -> None:
        with atomic_write(self._files.accounts, mode=0o600) as temporary:
            temporary.write_text(json.dumps({"version": 1, "accounts": [asdict(one) for one in accounts]}, indent=1))

    @contextmanager
    def _locked(self) -> Iterator[list[Account]]:
        with exclusive(self._files.root / "accounts.lock", timeout=30):
            yield self._read()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_free(number: int) -> bool:
    """Whether neither an account nor a group has a number, and a user may have it."""
    for look in (pwd.getpwuid, grp.getgrgid):
        try:
            look(number)
        except KeyError:
            continue
        except (OverflowError, ValueError):
            return False
        return False
    return number >= 100


def _useradd(name: str, home: Path, uid: int | None = None) -> None:
    low, high = NUMBERS
    limits = [f"{kind}_{end}={at}" for kind in ("SYS_UID", "SYS_GID") for end, at in (("MIN", low), ("MAX", high))]
    line = ["--system", "--user-group", "--no-create-home", "--home-dir", str(home), "--shell", NO_SHELL]
    line += [part for limit in limits for part in ("-K", limit)]
    line += ["--uid", str(uid)] if uid is not None else []
    run_locked_tool("useradd", [*line, name], f"the account {name}")


def run_locked_tool(program: str, arguments: list[str], what: str) -> None:
    """Call a program that changes the table of accounts or groups; another one that does so is waited for.

    Raises
    ------
    EnvironmentProblem
        It is missing, or fails.
    """
    tool = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if tool is None:
        raise EnvironmentProblem(
            f"{what[0].upper()}{what[1:]} cannot be made: this machine has no {program}.",
            "Install it (Debian: passwd, Fedora: shadow-utils), or run the hub as an ordinary user for one person.",
        )
    for patience in (0.2, 1.0, 3.0, None):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if "lock" not in done.stderr or patience is None:  # another program is changing the table: wait for it
            break
        time.sleep(patience)
    raise EnvironmentProblem(
        f"{program} could not make {what}: {done.stderr.strip() or f'exit code {done.returncode}'}.",
        "Make /etc/passwd and /etc/group writable, or run the hub as an ordinary user for one person.",
    )


def _own_home(account: Account) -> None:
    """Create the home, or check that it is a real directory of this account; never follow a link."""
    home = Path(account.home)
    if not os.path.lexists(home):
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=home.parent))  # given away before it has its name
        os.chown(fresh, account.uid, account.gid)
        fresh.rename(home)
    try:
        handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise EnvironmentProblem(
            f"The home {home} is not a directory ({error.strerror}).", "Move what is there out of the way."
        ) from error
    try:
        owner = os.fstat(handle)
        if owner.st_uid != account.uid:
            raise EnvironmentProblem(
                f"The home {home} belongs to the number {owner.st_uid}, not to {account.name} ({account.uid}).",
                f"If it is this user's, run: chown -R {account.uid}:{account.gid} {home}",
            )
        if stat.S_IMODE(owner.st_mode) != 0o700:
            os.fchmod(handle, 0o700)
    finally:
        os.close(handle)
