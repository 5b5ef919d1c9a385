"""Root's side: an order comes in, its seal is checked, and it is started under its user's account. An edge module.

One message of the socket is one order, as JSON, with three descriptors: what the job reads, what it writes, and a leash
whose end is the job's end. One message goes back: what was wrong, or nothing. Little is imported, and nothing of a
user's is looked at here.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, EnvironmentProblem, QuantdeskError
from quantdesk.hub.accounts import Account, Accounts
from quantdesk.hub.app.signing import Signer
from quantdesk.hub.behalf.warden import watch
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.hub.sweep import MARK, marked
from quantdesk.reports.lab.job import PURPOSE, sealed_text
from quantdesk.reports.result import is_id

__all__ = ["LARGEST", "Door", "environment", "is_approved"]

LARGEST = 200_000
"""Bytes of a message."""
_KEPT = ("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def is_approved(files: HubFiles, user: str) -> bool:
    """Whether a user may work here, by the hub's own database; not where that cannot be read.

    With native login the administrator has approved him; otherwise a group of the provider or the directory is a role.
    """
    from quantdesk.hub import database
    from quantdesk.hub.auth.standing import may_run

    try:
        config = HubConfig.from_env()
        if config.login != "native":
            return may_run(config, files, user)
        rows = database.ask(config, files, "users_info", ("is_authorized",), username=user)
    except (sqlite3.Error, QuantdeskError):
        return False
    return bool(rows) and bool(rows[0][0])


@dataclass(frozen=True)
class Door:
    """What the door needs to know.

    Attributes
    ----------
    files
        Of the hub.
    signer
        Reads the service's seals.
    approved
        Tells whether the administrator lets a user in.
    """

    files: HubFiles
    signer: Signer
    approved: Callable[[HubFiles, str], bool] = is_approved

    def serve(self, asked: socket.socket) -> None:
        """Take orders until the other side is gone."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # wardens are nobody's to wait for
        while True:
            message, handles, _, _ = socket.recv_fds(asked, LARGEST, 3)
            if not message:
                return
            try:
                answer = self._take(message, handles, asked)
            except QuantdeskError as error:
                answer = {"problem": error.problem, "remedy": error.remedy}
            except (ValueError, KeyError, TypeError, OSError) as error:
                answer = {"problem": f"The job could not be started ({type(error).__name__}).", "remedy": ""}
            finally:
                for handle in handles:
                    os.close(handle)
            asked.send(json.dumps(answer).encode())

    def _take(self, message: bytes, handles: list[int], asked: socket.socket) -> dict[str, str]:
        order = json.loads(message)
        if len(handles) != 3:
            raise BadInput("An order came without its pipes.")
        account = self.account_of(order)
        runtime = self._runtime(account)
        told = environment(account, self.files, runtime, order)
        if os.fork() == 0:
            asked.close()
            watch(account, told, handles, runtime)
        return {}

    def account_of(self, order: dict[str, Any]) -> Account:
        """The account under which an order runs.

        Raises
        ------
        BadInput
            The service has not sealed it, or it has no name of a run.
        EnvironmentProblem
            Its user is not let in any more, has no account, or got it after the order was made: another person had
            the name then.
        """
        user, job = str(order["user"]), dict(order["lab"])
        text = sealed_text(user, order["parameters"], job)
        if not self.signer.fits(PURPOSE, text, str(order["seal"])):
            raise BadInput(f"The service did not ask for this job of {user[:40]!r}.", "Make it again in JupyterLab.")
        if not is_id(str(order["run"])):
            raise BadInput(f"{str(order['run'])[:80]!r} is no name of a run.")
        if not self.approved(self.files, user):
            raise EnvironmentProblem(f"{user} is not approved on this hub.", "Ask the administrator.")
        account = Accounts(self.files).find(user)
        if account is None:
            raise EnvironmentProblem(f"{user} has no account on this machine.", "Log in, and start a server once.")
        if datetime.fromisoformat(account.created).timestamp() > int(job["made"]) / 1000 + 1:
            raise EnvironmentProblem(
                f"This job was made before {user} got the account.", "Make it again: another person had the name then."
            )
        return account

    def _runtime(self, account: Account) -> Path:
        """A private folder with a short path, removed by the warden."""
        made = Path(tempfile.mkdtemp(prefix=self.files.runtime_prefix, dir=self.files.runtime_bases()[0]))
        os.chown(made, account.uid, account.gid)
        return made


def environment(account: Account, files: HubFiles, runtime: Path, order: dict[str, Any]) -> dict[str, str]:
    """All that a job finds in its environment: what is its user's, and nothing of ours."""
    home = Path(account.home)
    known = ("run", "user", "attempt", "parameters", "lab")
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "HOME": str(home),
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": "/bin/sh",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "QUANTDESK_STATE": str(files.state),
        # A fork would belong to the zygote, not to its warden.
        "QUANTDESK_KERNELS_WARM": "false",
        "QUANTDESK_LAB_ORDER": json.dumps({name: order[name] for name in known}),
        "QUANTDESK_LAB_RUNTIME": str(runtime),
        MARK: marked(files.state, account.user),
    }
