"""One server per user, in a home of its own, under an account of its own. An edge module: it starts processes.

As root a server drops to its user's account: number and group, the groups of his teams and no others, ``umask 077``,
an environment that is put together here and holds nothing of the hub's. When it stops, nothing of that account keeps
running.
As an ordinary user there is one server, of the one person whom the hub serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import psutil
from jupyterhub.spawner import SpawnException
from traitlets import Bool, Unicode

from quantdesk.errors import EnvironmentProblem, QuantdeskError
from quantdesk.hub import kernels, quota
from quantdesk.hub.accounts import Account, Accounts, own_account
from quantdesk.hub.auth.alone import one_person
from quantdesk.hub.behalf.mine import is_on_behalf
from quantdesk.hub.config import HubFiles
from quantdesk.hub.fullness import HomeWatch
from quantdesk.hub.lab import config_path
from quantdesk.hub.limits.limiting import Limiting, Refused
from quantdesk.hub.limits.watch import owned
from quantdesk.hub.queued import Queued
from quantdesk.hub.sweep import MARK, clear, marked, of_account, of_mark
from quantdesk.hub.teams import Teams
from quantdesk.hub.tether import LAUNCHER
from quantdesk.reports.notebooks import NotebooksConfig

__all__ = ["DeskSpawner", "server_environment"]

#: What a server takes over from the hub's environment: language, time zone, which certificates to trust, and how its
#: kernels are kept warm.
KEPT = (
    *("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *(f"QUANTDESK_KERNELS_{name}" for name in ("WARM", "IDLE_S", "POOL")),
    LAUNCHER,
)
COMMANDS = ("/usr/local/bin", "/usr/bin", "/bin")


def server_environment(
    account: Account, files: HubFiles, runtime: str, *, isolated: bool, collaboration: bool
) -> dict[str, str]:
    """What a user's server finds in its environment, besides what JupyterHub itself passes.

    Parameters
    ----------
    account
        The user's account.
    files
        Where the hub keeps its files.
    runtime
        The private directory for sockets.
    isolated
        Whether other accounts share the machine with this one.
    collaboration
        Whether several browsers may edit one document.
    """
    home = Path(account.home)
    return {
        "HOME": str(home),
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), *COMMANDS]),
        "TMPDIR": str(home / ".cache" / "tmp"),
        "JUPYTER_RUNTIME_DIR": runtime,
        "JUPYTER_PATH": str(files.lab / "share" / "jupyter"),
        "GIT_CONFIG_SYSTEM": str(files.lab / "gitconfig"),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(map(str, config_path(isolated=isolated, collaboration=collaboration))),
        "QUANTDESK_STATE": str(files.state),
        "QUANTDESK_NOTEBOOKS": str(NotebooksConfig.from_env().folder),
        "QUANTDESK_TEMPLATES": str(files.templates),
        "QUANTDESK_REPORTS_ROOT": str(home / "reports"),
        "QUANTDESK_COLLABORATION": "true" if collaboration else "false",
        MARK: marked(files.state, account.user),
        **({"JUPYTER_DEFAULT_PROVISIONER_NAME": kernels.NAME} if kernels.registered() else {}),
    }


class DeskSpawner(Limiting, Queued):
    """Starts and stops one user's JupyterLab.

    Its settings come from `quantdesk.hub.configure`.
    """

    state_directory = Unicode(help="The state directory.").tag(config=True)
    administrator = Unicode("admin", help="The one user of a hub that does not run as root.").tag(config=True)
    isolated = Bool(True, help="Whether each user has a system account of his own.").tag(config=True)
    collaboration = Bool(False, help="Whether all may edit one document with several browsers.").tag(config=True)

    homes: ClassVar[HomeWatch | None] = None
    """Of all servers of this hub; made when the first of them runs."""

    pid: int  # JupyterHub's trait
    account: Account | None = None
    runtime = ""

    @property
    def files(self) -> HubFiles:
        """Where the hub keeps its files."""
        return HubFiles(Path(self.state_directory))

    @property
    def collaborates(self) -> bool:
        """Whether several browsers may edit one document of this server: as all of the hub's, or by its profile."""
        return self.collaboration or (self.share is not None and self.share.collaboration)

    @property
    def hub_mark(self) -> str:
        """What tells this hub from others on the machine."""
        return marked(self.files.state)

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Our part of the environment; JupyterHub's part is in `env` already."""
        if self.account is None:
            raise EnvironmentProblem(f"The account of {self.user.name} is not known yet.")
        own = server_environment(
            self.account, self.files, self.runtime, isolated=self.isolated, collaboration=self.collaborates
        )
        if self.share is not None:
            own["QUANTDESK_SERVER_IDLE_S"] = str(self.share.idle_seconds)
            own["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, self.share.gpus))  # empty: it sees none
        return env | own

    def make_preexec_fn(self, name: str) -> None:
        """No code of ours runs between fork and exec: `subprocess` itself drops to the account, see `start`."""

    async def start(self) -> tuple[str, int]:
        """Start the server; what keeps it from starting is shown to the user as one sentence."""
        try:
            groups = [group.name for group in self.user.groups]
            self.account = await asyncio.to_thread(self._open_account)
            teams = await asyncio.to_thread(self._open_teams, self.account, groups)
            await asyncio.to_thread(self._clear)  # what a hub that was killed in the middle of a start has left
            self.cmd = self.take_share(single_user_command())
            allowed = self.share.home_bytes if self.share else 0
            await asyncio.to_thread(quota.check, self.account, of_profile=allowed)
            self.runtime = self._make_runtime(self.account)
        except QuantdeskError as error:
            refused = isinstance(error, Refused | quota.HomeFull)
            told = SpawnException(
                str(error), reason="refused" if refused else "machine", status_code=403 if refused else 500
            )
            told.jupyterhub_message = str(error)  # pages show this, and not the name of the exception with it
            raise told from error
        with self._log().open("wb") as log:
            self.popen_kwargs = {
                "cwd": self.account.home,
                "umask": 0o077,
                "stdin": subprocess.DEVNULL,
                "stdout": log,
                "stderr": log,
                **(
                    {"user": self.account.uid, "group": self.account.gid, "extra_groups": teams}
                    if self.isolated
                    else {}
                ),
            }
            return await super().start()

    def began(self) -> None:
        """The process is there, and waits for its control group."""
        self.enter()
        self.watch()

    def _open_account(self) -> Account:
        if self.isolated:
            account = Accounts(self.files).open(self.user.name)
        elif self.user.name != self.administrator:
            raise Refused(one_person(self.administrator))
        else:
            account = own_account(self.user.name, self.files)
        return account

    def _open_teams(self, account: Account, groups: list[str]) -> list[int]:
        """The numbers of the user's teams, once he finds their folders in his home."""
        if not self.isolated:
            return []
        teams = Teams(self.files)
        found = teams.open(groups)
        teams.link(account, found)
        return [team.gid for team in found]

    def _make_runtime(self, account: Account) -> str:
        """A private directory with a short path, for a socket's path may have no more than 107 bytes."""
        runtime = tempfile.mkdtemp(prefix=self.files.runtime_prefix, dir=self.files.runtime_bases()[0])
        if self.isolated:
            os.chown(runtime, account.uid, account.gid)
        return runtime

    def _log(self) -> Path:
        """Where the server's words go: a file of the hub's, because a home is not the hub's to write in."""
        folder = self.files.server_logs
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = folder / f"{self.user.name}.log"
        log.unlink(missing_ok=True)
        log.touch(mode=0o600)
        return log

    async def stop(self, now: bool = False) -> None:  # noqa: ARG002  (JupyterHub's signature)
        """Stop the server, and everything that it or its user has started; jobs on his behalf go on."""
        await super().stop(now=True)  # SIGTERM lets JupyterLab end its kernels; SIGINT would have it ask first
        await asyncio.to_thread(self._clear)

    async def poll(self) -> int | None:
        """Whether the server runs. One that this hub has taken over is not its child, so nobody may have reaped it."""
        status: int | None = await super().poll()
        if status is None and self.proc is None and self.pid:
            with contextlib.suppress(psutil.Error):
                if psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE:
                    return 1
        return status

    def watch(self) -> None:
        """Look at the server's memory, and now and then at its user's home."""
        super().watch()
        if self.account is not None:
            if DeskSpawner.homes is None:
                DeskSpawner.homes = HomeWatch()
            DeskSpawner.homes.runs(self.account, self.share.home_bytes if self.share else 0)

    def numbers(self) -> list[int]:
        """Numbers of the server's processes, and of what its user has started; jobs on his behalf are others."""
        if not self.isolated:
            return [one.pid for one in of_mark(marked(self.files.state, self.user.name))]
        found = []
        for number in owned(self.account.uid) if self.account else ():
            with contextlib.suppress(psutil.Error):
                if not is_on_behalf(psutil.Process(number)):
                    found.append(number)
        return found

    def _clear(self) -> None:
        if self.isolated:
            account = self.account or Accounts(self.files).find(self.user.name)
            if account is not None:
                clear(lambda: [one for one in of_account(account.uid) if not is_on_behalf(one)])
        else:
            clear(lambda: of_mark(marked(self.files.state, self.user.name)))

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub has to know: also when the process began, and its runtime directory."""
        state: dict[str, Any] = super().get_state()
        if "pid" in state:
            with contextlib.suppress(psutil.NoSuchProcess):
                state |= {"began": psutil.Process(state["pid"]).create_time(), "runtime": self.runtime}
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take a server over, unless its number belongs to another process by now."""
        super().load_state(state)
        self.runtime = state.get("runtime", "")
        if self.isolated:
            self.account = Accounts(self.files).find(self.user.name)
        try:
            same = bool(self.pid) and psutil.Process(self.pid).create_time() == state.get("began")
        except psutil.NoSuchProcess:
            same = False
        if not same:
            self.pid = 0

    def clear_state(self) -> None:
        """Nothing runs any more: the sockets go, too."""
        super().clear_state()
        if DeskSpawner.homes is not None:
            DeskSpawner.homes.ended(self.user.name)
        if self.runtime:
            shutil.rmtree(self.runtime, ignore_errors=True)
            self.runtime = ""


def single_user_command() -> list[str]:
    """The command line of a user's server. It takes no module from the user's home; when it ends: see `tether`."""
    return [sys.executable, "-P", "-m", "jupyterhub.singleuser"]
