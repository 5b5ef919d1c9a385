"""The parent of a service's processes: workers, the desk, the runner of scenarios. An edge module: processes, a socket.

``python -m quantdesk.hub.app`` opens the socket (or takes the one that was handed down), which stays open while workers
come and go: a connection that is made when the last one has just died waits for its successor. What a worker had
accepted ends with it; who asked sends it again, under its idempotency key. A socket that was handed down refuses until
the first worker listens. Each process ends with this one.
"""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.supervise import Command, Supervisor

__all__ = ["commands", "main"]

_BACKLOG = 1024
_MORE_S = 5
"""Seconds that a worker has to end beside those that its requests have."""


def commands(config: ServiceConfig, descriptor: int, runtime: Path) -> list[Command]:
    """What runs: a desk, unless it is elsewhere; a runner, and as many workers as the settings say.

    Parameters
    ----------
    config
        The settings.
    descriptor
        Of the listening socket.
    runtime
        A private directory for the desk's socket and for the workers' counts.
    """
    environment = {
        "QUANTDESK_SERVICE_SOCKET": str(descriptor),
        "QUANTDESK_SERVICE_DESK_SOCKET": str(runtime / "desk.sock"),
        "QUANTDESK_SERVICE_SECRET": config.signing_secret,
        "PROMETHEUS_MULTIPROC_DIR": str(runtime / "metrics"),
    }
    python = [sys.executable, "-P", "-m"]
    workers = [
        Command(f"web-{number}", [*python, "quantdesk.hub.app.web"], environment, descriptors=(descriptor,))
        for number in range(config.workers)
    ]
    own = [] if config.desk_url else [Command("desk", [*python, "quantdesk.hub.app.desk"], environment)]
    return [
        *own,
        Command("runner", [*python, "quantdesk.hub.app.runner"], environment),
        *workers,
    ]


def main() -> None:
    """The process."""
    from quantdesk.hub.app.database import opened
    from quantdesk.hub.app.logs import set_up

    set_up("quantdesk-service")
    config, stop = ServiceConfig.from_env(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened(config).close()  # the tables are there before several workers look
    listener = _listener(config)
    runtime = Path(tempfile.mkdtemp(prefix="run-", dir=_short(config.folder)))
    (runtime / "metrics").mkdir()
    try:
        kept = commands(config, listener.fileno(), runtime)
        Supervisor(kept, _forgetting(runtime / "metrics"), grace=config.drain_seconds + _MORE_S).run(stop)
    finally:
        listener.close()
        shutil.rmtree(runtime, ignore_errors=True)


def _forgetting(folder: Path) -> Callable[[int], None]:
    """What tells the counts that a worker has ended: only what it is, and not how much it did, is forgotten."""

    def ended(process: int) -> None:
        for file in folder.glob(f"gauge_live*_{process}.db"):
            file.unlink(missing_ok=True)

    return ended


def _listener(config: ServiceConfig) -> socket.socket:
    if config.socket is not None:
        return socket.socket(fileno=config.socket)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((config.host, config.port))
    listener.listen(_BACKLOG)
    return listener


def _short(folder: Path) -> Path:
    """A place for sockets, whose paths must be short: the service's folder, if that is."""
    return folder if len(str(folder)) < 60 else Path(tempfile.gettempdir())


if __name__ == "__main__":
    main()
