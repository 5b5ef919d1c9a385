"""What runs beside the hub, and is kept running by a process of its own. An edge module: processes, a socket.

The launcher starts the supervisor (``python -m quantdesk.hub.beside``) and starts it again when it ends; the supervisor
does that for the service and for the worker of the reports. None of them is known to JupyterHub as a process, so the
death of none is the hub's. Secrets travel in the environment, which other accounts cannot read.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict

from quantdesk.hub import service
from quantdesk.hub.auth.wiring import SECRETS
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.hub.supervise import Command, Supervisor
from quantdesk.hub.sweep import MARK, marked

__all__ = ["Beside", "main"]

_TABLE = "QUANTDESK_BESIDE"


class Beside:
    """The supervisor, as the launcher keeps it. To be driven by one thread.

    Parameters
    ----------
    config, files
        Of the hub.
    """

    def __init__(self, config: HubConfig, files: HubFiles) -> None:
        secrets = service.tokens(files)
        self._socket = service.listener()  # open as long as the hub runs
        self._files = files
        self.known = {service.TOKEN: secrets.token, service.PORT: str(self._socket.getsockname()[1])}
        """What JupyterHub must know of it: variables of its environment."""
        commands = service.commands(config, files, secrets, self._socket.fileno())
        line = [sys.executable, "-P", "-m", "quantdesk.hub.beside"]
        table = json.dumps([asdict(one) for one in commands])
        environment = {_TABLE: table, MARK: marked(files.state)}
        self._command = Command("supervisor", line, environment, None, (self._socket.fileno(),))
        self._supervisor = Supervisor([self._command], grace=20.0, log=files.root / "service.log")

    def step(self) -> None:
        """Start the supervisor if it does not run."""
        self._supervisor.step(time.monotonic())

    def end(self) -> None:
        """End it, and all that it keeps."""
        self._supervisor.end()
        self._socket.close()


def main() -> None:
    """The supervisor's process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    table = json.loads(os.environ.pop(_TABLE))
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # Feast's, which names a folder of another account
    for name in SECRETS:  # the hub's alone
        os.environ.pop(name, None)
    commands = [
        Command(
            one["name"],
            one["line"],
            one["environment"],
            tuple(one["account"]) if one["account"] else None,
            tuple(one["descriptors"]),
        )
        for one in table
    ]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Supervisor(commands, grace=15.0).run(stop)


if __name__ == "__main__":
    main()
