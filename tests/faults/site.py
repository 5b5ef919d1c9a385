"""A site of its own for faults: service and workers under the supervisor, warm kernels, a hub that knows one user.

What runs is what `quantdesk up` runs beside the hub; database and folder are the test's. Whatever belongs to the site
carries its mark, so that its parts are found, killed, and seen to be gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import psycopg

from quantdesk.hub.supervise import Command, Supervisor
from quantdesk.hub.sweep import MARK, of_mark

TOKEN, USER = "t" * 40, "ana"
SCOPES = ["access:services!service=quantdesk", "custom:quantdesk:read", "custom:quantdesk:run"]
PREFIX = "/services/quantdesk"
#: What is killed: a word of its own command line. A zygote's forks that wait are called as it is.
KINDS = {
    "service": "quantdesk.hub.app.web",
    "worker": "from quantdesk.cli import main",
    "zygote": "quantdesk.reports.kernels.zygote",
    "run": "quantdesk.reports.worker",
    "kernel": "ipykernel_launcher",
}
_HASTE = 100.0
"""So much faster goes the supervisor's clock: it waits longer for each time that something has died."""


class _Hub(BaseHTTPRequestHandler):
    """Says of the token whose it is, as JupyterHub does."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == f"token {TOKEN}"
        model = {"kind": "user", "name": USER, "groups": [], "scopes": SCOPES, "session_id": None}
        told = json.dumps(model if known else {"status": 403}).encode()
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        pass


class Site:
    """The processes, and what is done to them.

    Parameters
    ----------
    folder
        For the state and the notebooks.
    ledger
        Address of a PostgreSQL database.
    admin
        That of its server, for who may cut connections.
    """

    def __init__(self, folder: Path, ledger: str, admin: str) -> None:
        self.folder, self.ledger, self._admin = folder, ledger, admin
        self.mark = f"faults-{os.getpid()}-{time.monotonic_ns()}"
        self._kernels = Path(tempfile.mkdtemp(prefix="qdk-"))  # a socket's path must be short
        self._hub = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}{PREFIX}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="supervisor")
        self.log = folder / "site.log"

    @property
    def environment(self) -> dict[str, str]:
        """Of all its processes."""
        return {
            MARK: self.mark,
            "QUANTDESK_STATE": str(self.folder / "state"),
            "QUANTDESK_NOTEBOOKS": str(self.folder / "notebooks"),
            "QUANTDESK_REPORTS_LEDGER_URL": self.ledger,
            "QUANTDESK_REPORTS_WORKER_POLL_S": "0.1",
            "QUANTDESK_REPORTS_WORKER_CLAIM_S": "3",
            "QUANTDESK_REPORTS_WORKER_CATCH_UP_LIMIT": "1000",
            "QUANTDESK_KERNELS_WARM": "true",
            "QUANTDESK_KERNELS_FOLDER": str(self._kernels),
            "QUANTDESK_KERNELS_MODULES": "json",
            "QUANTDESK_KERNELS_IDLE_S": "4",
            "QUANTDESK_SERVICE_SOCKET": str(self._socket.fileno()),
            "QUANTDESK_SERVICE_HUB_API": f"http://127.0.0.1:{self._hub.server_address[1]}/hub/api",
            "QUANTDESK_SERVICE_DATABASE": self.ledger,
            "QUANTDESK_SERVICE_SECRET": "s" * 40,
            "QUANTDESK_SERVICE_TOKEN": "h" * 40,
            "QUANTDESK_SERVICE_WRITE_RATE": "60000/minute",
            "QUANTDESK_SERVICE_RUN_RATE": "60000/minute",
        }

    def _commands(self) -> list[Command]:
        python, handle = [sys.executable, "-P"], (self._socket.fileno(),)
        work = [*python, "-c", f"{KINDS['worker']}; main()", "worker", "--processes", "1"]
        serve = [*python, "-m", KINDS["service"]]
        workers = [Command(f"worker-{number}", work, self.environment) for number in (1, 2)]
        return [*workers, Command("web", serve, self.environment, None, handle)]

    def _keep(self) -> None:
        supervisor = Supervisor(self._commands(), grace=30.0, log=self.log)
        try:
            while not self._stop.wait(0.02):
                supervisor.step(time.monotonic() * _HASTE)
        finally:
            supervisor.end()

    def __enter__(self) -> Site:
        threading.Thread(target=self._hub.serve_forever, daemon=True).start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._hub.shutdown()
        self._hub.server_close()
        self._socket.close()
        shutil.rmtree(self._kernels, ignore_errors=True)

    def stop(self) -> None:
        """End what the supervisor keeps, in order."""
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive()

    def processes(self, kind: str = "") -> list[psutil.Process]:
        """All that carry the mark, or those of one kind. Of zygotes, none that one of them has forked."""
        found = []
        for process in of_mark(self.mark):
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if process.status() != psutil.STATUS_ZOMBIE and (not kind or KINDS[kind] in line):
                    found.append(process)
        numbers = {process.pid for process in found}
        return [one for one in found if kind != "zygote" or one.ppid() not in numbers]

    def strike(self, kind: str, rng: random.Random) -> bool:
        """Kill one of a kind with SIGKILL, or cut all connections to the database; whether there was anything."""
        if kind == "database":
            self.cut()
            return True
        found = self.processes(kind)
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(found).pid, signal.SIGKILL)
            return True
        return False

    def cut(self) -> None:
        """End every connection to the database, whatever it is doing."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(ended, [self.ledger.rpartition("/")[2]])

    def cold(self) -> list[dict[str, Any]]:
        """What started cold, and why."""
        return [
            json.loads(line) for path in self._kernels.rglob("cold.jsonl") for line in path.read_text().splitlines()
        ]


def until(true: Callable[[], object], seconds: float, why: Callable[[], str] = lambda: "") -> None:
    """Wait for what must come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it did not come within {seconds} s. {why()}"
        time.sleep(0.2)


def kill(site: Site, kinds: dict[str, int], seed: int, pause: tuple[float, float]) -> dict[str, int]:
    """Kill at random moments, until each kind has been hit as often as is asked; how often it was.

    Parameters
    ----------
    site
        Whose processes.
    kinds
        How often each of `KINDS`, and the ``database``.
    seed
        Of order and moments.
    pause
        Seconds before each, at least and at most.
    """
    rng = random.Random(seed)
    struck = dict.fromkeys(kinds, 0)
    order = [kind for kind, often in kinds.items() for _ in range(often)]
    rng.shuffle(order)
    for kind in order:
        time.sleep(rng.uniform(*pause))
        deadline, before = time.monotonic() + 60, struck[kind]
        while struck[kind] == before and time.monotonic() < deadline:
            if kind == "database" or site.processes(kind):
                time.sleep(rng.uniform(*pause))  # not at once when it appears: at any moment of its life
                struck[kind] += site.strike(kind, rng)
            else:
                time.sleep(0.02)
    return struck
