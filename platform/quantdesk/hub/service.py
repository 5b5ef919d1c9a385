"""The hub's service as the hub sees it: scopes, roles, registration, what is kept running. An edge module.

The service is external to JupyterHub: it is started beside it, so that it may die and come back without the hub
noticing. Its socket is opened by the launcher and stays open as long as the hub runs: in between its port can be nobody
else's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import stat
import sys
from pathlib import Path
from typing import Any

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.accounts import Account, Accounts
from quantdesk.hub.auth.groups import Role
from quantdesk.hub.behalf.mine import ACCOUNT, MODULE
from quantdesk.hub.config import ADDRESS, HubConfig, HubFiles
from quantdesk.hub.supervise import Command
from quantdesk.hub.sweep import MARK, marked
from quantdesk.records import atomic_write

__all__ = ["SCOPES", "Secrets", "commands", "listener", "register", "tokens"]

NAME = "quantdesk"
PREFIX = f"/services/{NAME}"
ACCESS = f"access:services!service={NAME}"
SCOPES = {
    f"custom:{NAME}:read": {"description": "See reports, features and halts of quantdesk."},
    f"custom:{NAME}:run": {"description": "Run reports and scenarios in quantdesk."},
    f"custom:{NAME}:trade": {"description": "Send orders through the desk of quantdesk."},
    f"custom:{NAME}:admin": {
        "description": "See and change everything in quantdesk.",
        "subscopes": [f"custom:{NAME}:{right}" for right in ("read", "run", "trade")],
    },
}
TOKEN, PORT = "QUANTDESK_SERVICE_TOKEN", "QUANTDESK_SERVICE_PORT"
SERVER_SCOPES = ("users:activity!user", "access:servers!server", ACCESS, f"custom:{NAME}:read", f"custom:{NAME}:run")
"""What the token of a user's server may do, as far as the user may: JupyterHub's own two, and jobs in JupyterLab."""
_LAB = "QUANTDESK_REPORTS_WORKER_LAB"
_NOT_THEIRS = {"QUANTDESK_HUB_DATABASE": ""}
"""Service and worker ask the hub, and need not reach its database, where that is not everybody's."""
_MEANINGS = {
    Role.VIEWER: "May look at what is in quantdesk",
    Role.QUANT: "May use quantdesk",
    Role.TRADER: "May trade",
    Role.ADMIN: "May do everything in quantdesk",
}


@dataclasses.dataclass(frozen=True)
class Secrets:
    """What the service proves itself to the hub with, and what it signs with."""

    token: str
    signing: str


def tokens(files: HubFiles) -> Secrets:
    """The secrets of this state directory, made at the first call; nobody else can read their file."""
    path = files.root / "service.json"
    try:
        found = json.loads(path.read_text())
        kept = Secrets(str(found["token"]), str(found["signing"]))
        if len(kept.token) >= 32 and len(kept.signing) >= 32:
            return kept
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # there are none, or they are damaged: everybody logs in again
    made = Secrets(secrets.token_hex(24), secrets.token_hex(32))
    with atomic_write(path, mode=0o600) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(made)))
    return made


def listener() -> socket.socket:
    """A socket that has a free port of this machine, for the service's workers.

    The first of them lets it listen. Until then who asks is refused at once: JupyterHub, which looks at its services
    when it starts, would wait for an answer, and everybody for JupyterHub.
    """
    made = socket.socket()
    made.bind((ADDRESS, 0))
    return made


def register(c: Any, config: HubConfig, address: str = "") -> None:
    """Tell JupyterHub of scopes, roles and, where the environment holds a token of it, of the service.

    Parameters
    ----------
    c
        JupyterHub's configuration object.
    config
        Of the hub.
    address
        Where the service is, such as ``http://qd-web:8080``; the port of this machine that the environment names, when
        left out.
    """
    token, port = os.environ.pop(TOKEN, ""), os.environ.get(PORT, "")
    address = address or (f"http://{ADDRESS}:{port}" if port else "")
    c.JupyterHub.custom_scopes = SCOPES
    basic = () if config.login != "native" or config.restricted else Role.QUANT.scopes
    c.JupyterHub.load_groups = _people(config)
    c.JupyterHub.load_roles.extend(
        {"name": role.group, "description": _MEANINGS[role], "scopes": list(role.scopes), "groups": [role.group]}
        for role in Role
    )
    if not (token and address):
        c.JupyterHub.extra_user_scopes = set(basic)
        return
    c.JupyterHub.extra_user_scopes = {ACCESS, *basic}
    c.JupyterHub.services.append(
        {
            "name": NAME,
            "url": address,
            "api_token": token,
            "oauth_client_id": f"service-{NAME}",
            "oauth_redirect_uri": f"{PREFIX}/oauth_callback",
            "oauth_no_confirm": True,
            "oauth_client_allowed_scopes": list(SCOPES),
            "display": True,
        }
    )


def _people(config: HubConfig) -> dict[str, dict[str, list[str]]]:
    """Whom the settings put into the groups. An administrator adds others on the hub's page.

    Where a directory or a provider says who is in which group, nobody else does.
    """
    if config.login != "native":
        return {}
    named = {
        Role.VIEWER: config.viewer_names,
        Role.QUANT: config.member_names,
        Role.TRADER: config.trader_names,
        Role.ADMIN: (config.administrator,),
    }
    return {role.group: {"users": list(names)} for role, names in named.items()}


def commands(config: HubConfig, files: HubFiles, made: Secrets, socket_number: int) -> list[Command]:
    """What is kept running beside the hub, as data.

    As root, service and worker have accounts of their own and one group: the reports belong to the worker's, whose
    notebooks so reach neither the service's secrets nor its desk, and the group may read them and write the ledger.

    Parameters
    ----------
    config, files
        Of the hub.
    made
        The secrets.
    socket_number
        Descriptor of the listening socket.
    """
    serves = Accounts(files).service("service") if config.isolated else None
    works = Accounts(files).service("reports") if config.isolated else None
    group = works.gid if works else 0
    if works is not None:
        hand_over(files.state / "reports", works.uid, group)
    python = [sys.executable, "-P"]
    home = _own(files.state / "service", serves)
    environment = (
        _environment(config, files, serves, home)
        | _NOT_THEIRS
        | {
            "QUANTDESK_SERVICE_TOKEN": made.token,
            "QUANTDESK_SERVICE_SECRET": made.signing,
            "QUANTDESK_SERVICE_SOCKET": str(socket_number),
            "QUANTDESK_SERVICE_FOLDER": str(home),
            "QUANTDESK_SERVICE_HUB_API": f"http://{ADDRESS}:{config.port}/hub/api",
        }
    )
    who = (serves.uid, group) if serves else None
    found = [Command("service", [*python, "-m", "quantdesk.hub.app"], environment, who, (socket_number,))]
    if config.worker:
        line = [*python, "-c", "from quantdesk.cli import main; main()", "worker"]
        environment = _environment(config, files, works, _own(files.state / "worker", works))
        # One person's jobs from JupyterLab are the worker's to run: the two are one account.
        environment |= {_LAB: "also" if works is None else "never", **_NOT_THEIRS}
        found.append(Command("worker", line, environment, (works.uid, group) if works else None))
        if config.isolated:
            found.append(_behalf(config, files, made, group))
    return found


def _behalf(config: HubConfig, files: HubFiles, made: Secrets, group: int) -> Command:
    """The worker of jobs from JupyterLab, which has them run under their users' accounts: it starts as root."""
    lab = Accounts(files).service("lab")
    environment = _environment(config, files, lab, _own(files.state / "lab-worker", lab))
    environment |= {_LAB: "only", ACCOUNT: f"{lab.uid}:{group}", "QUANTDESK_SERVICE_SECRET": made.signing}
    return Command("behalf", [sys.executable, "-P", "-m", MODULE], environment)


def hand_over(folder: Path, uid: int, gid: int) -> None:
    """Give the reports to the account that runs them: also what root's commands have left there since.

    Nothing that is a link, or has a second name, is given away: it may stand for something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for _, folders, names, handle in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *names):
            facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
            single = stat.S_ISDIR(facts.st_mode) or (stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1)
            if facts.st_uid == 0 and single:
                os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
    os.chown(folder, uid, gid, follow_symlinks=False)
    folder.chmod(0o2770)
    for shared in (folder / "runs", folder / "lab"):  # the service and the worker of jobs write there, too
        _share(shared, uid, gid)
    ledger = folder / "ledger.sqlite"
    # Made here, so that the group may write it: SQLite gives its further files the same mode.
    handle = os.open(ledger, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o660)
    try:
        os.fchown(handle, uid, gid)
        os.fchmod(handle, 0o660)
    finally:
        os.close(handle)


def _share(folder: Path, uid: int, gid: int) -> None:
    """Make a folder that an account and its group may write. The one above is theirs: a link is not followed.

    Raises
    ------
    EnvironmentProblem
        Something else has its name.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise EnvironmentProblem(f"{folder} is no folder ({error.strerror}).", "Move it out of the way.") from error
    try:
        os.fchown(handle, uid, gid)
        os.fchmod(handle, 0o2770)
    finally:
        os.close(handle)


def _environment(config: HubConfig, files: HubFiles, account: Account | None, home: Path) -> dict[str, str]:
    """What a process beside the hub finds in its environment besides this process's own settings."""
    kept = {"QUANTDESK_STATE": str(files.state), MARK: marked(files.state), "QUANTDESK_PORT": str(config.port)}
    if account is not None:
        kept |= {"HOME": str(home), "USER": account.name, "LOGNAME": account.name}
    return kept


def _own(folder: Path, account: Account | None) -> Path:
    """A folder that is nobody else's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
        folder.chmod(0o700)
    return folder
