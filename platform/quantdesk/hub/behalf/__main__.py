"""The worker of jobs from JupyterLab: starts as root, forks the door, takes on an account. An edge module.

``python -P -m quantdesk.hub.behalf``, started by the supervisor beside the hub, where each user has an account.
"""

from __future__ import annotations

import os
import socket
import sys

from quantdesk.hub.app.signing import Signer
from quantdesk.hub.behalf.door import Door
from quantdesk.hub.behalf.mine import ACCOUNT
from quantdesk.hub.config import HubFiles
from quantdesk.hub.tether import tether

__all__ = ["main"]

SECRET = "QUANTDESK_SERVICE_SECRET"  # noqa: S105 (a name)


def main() -> None:
    """The process."""
    parent, (uid, gid) = os.getppid(), os.environ.pop(ACCOUNT).split(":")
    door = Door(HubFiles(), Signer(os.environ.pop(SECRET)))
    inner, outer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        outer.close()
        try:
            door.serve(inner)
        finally:
            os._exit(0)
    inner.close()
    tether(parent, uid, gid)
    os.umask(0o007)
    os.set_inheritable(outer.fileno(), True)
    # A new program has nothing of the secret in its memory.
    line = [sys.executable, "-P", "-m", "quantdesk.hub.behalf.work", str(outer.fileno())]
    os.execv(sys.executable, line)  # noqa: S606 (there is no shell to go through)


if __name__ == "__main__":
    main()
