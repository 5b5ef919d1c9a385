"""Start JupyterHub, wait until it answers, and stop everything when asked to. An edge module; it prints nothing.

The hub runs in a session of its own, so that Ctrl-C in the terminal reaches this process alone, which then stops the
hub in order: servers, services, proxy. Whatever is still there afterwards, or was left by a launcher that was killed,
is found by its mark and ended (see `quantdesk.hub.sweep`). If this process is killed, the kernel tells the hub.

A hub that ends by itself once it was ready, because it was killed or failed, is started again, and takes over the
servers that run. If it ends too often, it is given up.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from quantdesk.errors import EnvironmentProblem
from quantdesk.home import checkout
from quantdesk.hub import database, held, proxy, reach
from quantdesk.hub.accounts import Accounts, prepare_state
from quantdesk.hub.auth import wiring
from quantdesk.hub.beside import Beside
from quantdesk.hub.config import ADDRESS, HubConfig, HubFiles
from quantdesk.hub.quota import QuotaConfig
from quantdesk.hub.sharing.config import SharingConfig
from quantdesk.hub.sweep import MARK, clear, marked, of_account, of_mark
from quantdesk.hub.tether import LAUNCHER, tethered
from quantdesk.records import exclusive

__all__ = ["check_port", "serve"]

READY_WITHIN = 90.0
STOPPED_WITHIN = 60.0
#: A hub that ends by itself is started again so often within so many seconds. The pauses before that, which double
#: from this one, are as long as a database may be away that is started again: a minute and more.
AGAIN, AGAIN_WITHIN, PAUSE = 6, 600.0, 2.0
_STEP = 0.1


def serve(
    config: HubConfig,
    on_ready: Callable[[str], None],
    *,
    stop: threading.Event | None = None,
    told: Callable[[str], None] = lambda sentence: None,
    warned: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Run the hub until Ctrl-C, SIGTERM, SIGHUP, a shutdown on the administrator's page, or until `stop` is set.

    Parameters
    ----------
    config
        Port, administrator and so on.
    on_ready
        Called once with the hub's address, when it answers there.
    stop
        Ends it when set; made for callers that are no terminal.
    told
        Called with a sentence about what is not done each time: an upgrade of the database before the start.
    warned
        Called with a sentence about each start after a fault.

    Raises
    ------
    BadParameter
        A setting of the login is missing or wrong, or one of homes or of sharing.
    EnvironmentProblem
        The port is taken, another launcher runs this state directory's hub, users' accounts cannot reach the
        interpreter, the proxy is not installed, or the hub ended by itself; the message carries the end of its log.
    """
    files = HubFiles()
    wiring.check(config)
    SharingConfig.from_env()
    QuotaConfig.from_env()
    stop, hurry = stop or threading.Event(), threading.Event()
    prepare_state(files, isolated=config.isolated)
    with _alone(files), _signals(stop, hurry):
        _clear(files)  # what a launcher that was killed has left
        check_port(config.port)
        proxy.command(files.state)
        if done := database.prepare(config, files):
            told(done)
        if config.isolated:
            reach.check(files)
        beside = _beside(config, files)
        port = held.hold()
        known = {held.PORT: str(port.getsockname()[1]), LAUNCHER: str(os.getpid())}
        hub = _Hub(config, files, known | (beside.known if beside else {}))
        try:
            address = f"http://{ADDRESS}:{config.port}/"
            if beside:
                beside.step()
            hub.wait_until_ready(stop)
            if not stop.is_set():
                on_ready(address)
            while not stop.wait(_STEP * 3):
                code = hub.process.poll()
                if code == 0:  # an administrator shut it down on its page
                    return
                if code is not None:
                    hub.start_again(code, stop, warned)
                if beside:
                    beside.step()
        finally:
            if beside:
                beside.end()
            _stop(hub.process, files, hurry)
            port.close()


class _Hub:
    """JupyterHub's process, and what it is started with."""

    def __init__(self, config: HubConfig, files: HubFiles, known: dict[str, str]) -> None:
        self._config, self._files, self._known = config, files, known
        self._ended: list[float] = []
        with contextlib.suppress(FileNotFoundError):
            files.log.replace(files.log.with_suffix(".log.1"))
        self.process = _start(config, files, known)

    def wait_until_ready(self, stop: threading.Event) -> None:
        _wait_until_ready(self.process, self._config, self._files, stop)

    def start_again(self, code: int, stop: threading.Event, warned: Callable[[str], None]) -> None:
        """Start it again after it ended by itself, more patiently each time, until it answers.

        Raises
        ------
        EnvironmentProblem
            It has ended too often.
        """
        while True:
            now = time.monotonic()
            self._ended = [*(before for before in self._ended if before > now - AGAIN_WITHIN), now]
            times = len(self._ended) - 1
            if times >= AGAIN:
                raise EnvironmentProblem(
                    f"The hub ended by itself (exit code {code}), {times + 1} times in {AGAIN_WITHIN / 60:g} minutes.",
                    _log_end(self._files),
                )
            warned(f"The hub ended by itself (exit code {code}) and is started again. Servers of users go on.")
            if stop.wait(PAUSE * (2**times - 1)):
                return
            self.process = _start(self._config, self._files, self._known)
            try:
                self.wait_until_ready(stop)
            except EnvironmentProblem:  # its database may be away, too
                self.process.kill()
                code = self.process.wait()
            else:
                return


def check_port(port: int) -> None:
    """Check that the hub can listen on a port of 127.0.0.1.

    Raises
    ------
    EnvironmentProblem
        Somebody else listens there, who is named where the system tells; or this account may not use the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except PermissionError as error:
            raise EnvironmentProblem(
                f"Port {port} is reserved for root.", "Choose one from 1024 up: make up PORT=8000"
            ) from error
        except OSError as error:
            raise EnvironmentProblem(
                f"Port {port} of {ADDRESS} is in use{_holder(port)}.",
                f"Stop that, or choose another port: make up PORT={port + 1 if port < 65535 else 8000}",
            ) from error


def _holder(port: int) -> str:
    """Who listens on a port, as an addition to a sentence; empty where the system does not tell."""
    try:
        for connection in psutil.net_connections("inet"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""


@contextlib.contextmanager
def _alone(files: HubFiles) -> Iterator[None]:
    """One launcher per state directory."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive(files.lock, timeout=0.5))
        except EnvironmentProblem as error:
            raise EnvironmentProblem(
                f"The hub of {files.state} is running already.",
                "Stop it (Ctrl-C in its terminal), or set QUANTDESK_STATE to another directory for a second one.",
            ) from error
        yield


@contextlib.contextmanager
def _signals(stop: threading.Event, hurry: threading.Event) -> Iterator[None]:
    """Turn the first signal that asks for an end into `stop`, and the second into `hurry`.

    Only the main thread may set handlers; elsewhere the caller has `stop`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(*_: object) -> None:
        (hurry if stop.is_set() else stop).set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _beside(config: HubConfig, files: HubFiles) -> Beside | None:
    """What runs beside the hub: its service."""
    return Beside(config, files) if config.service else None


def _start(config: HubConfig, files: HubFiles, known: dict[str, str]) -> subprocess.Popen[bytes]:
    root = checkout()
    settings = root / "jupyterhub_config.py" if root else Path(__file__).with_name("packaged_config.py")
    env = os.environ | {
        "QUANTDESK_STATE": str(files.state),
        "QUANTDESK_PORT": str(config.port),
        "QUANTDESK_ADMIN": config.admin,
        "QUANTDESK_IDLE_TIMEOUT": str(config.idle_timeout),
        "QUANTDESK_COLLABORATION": str(config.collaboration).lower(),
        "QUANTDESK_LOGIN": config.login,
        MARK: marked(files.state),
        **known,
    }
    # Importing Feast, as a step before this may have done, names a folder into which the hub would put its metrics.
    env.pop("PROMETHEUS_MULTIPROC_DIR", None)
    line = tethered([sys.executable, "-P", "-m", "jupyterhub", f"--config={settings}"])
    with os.fdopen(os.open(files.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
        return subprocess.Popen(
            line, cwd=files.root, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait_until_ready(hub: subprocess.Popen[bytes], config: HubConfig, files: HubFiles, stop: threading.Event) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not stop.wait(_STEP):
        if hub.poll() is not None:
            raise EnvironmentProblem(f"The hub did not start (exit code {hub.returncode}).", _log_end(files))
        if _answers(config.port):
            return
        if time.monotonic() > deadline:
            raise EnvironmentProblem(f"The hub did not answer within {READY_WITHIN:g} s.", _log_end(files))


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=2)
    try:
        connection.request("GET", "/hub/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _log_end(files: HubFiles) -> str:
    """The last errors of the hub's log, and where the rest is."""
    lines = files.log.read_text(errors="replace").splitlines() if files.log.exists() else []
    told = [line for line in lines if line.strip() and not line.startswith((" ", "[I", "[D"))][-3:]
    return f"Its log, {files.log}, ends with: {' | '.join(told) or 'nothing'}"


def _stop(hub: subprocess.Popen[bytes], files: HubFiles, hurry: threading.Event) -> None:
    """Let the hub stop its servers, services and proxy, unless told to hurry; then see to it that nothing is left."""
    if hub.poll() is None:
        hub.terminate()
        deadline = time.monotonic() + STOPPED_WITHIN
        while hub.poll() is None and time.monotonic() < deadline and not hurry.wait(_STEP):
            pass
        if hub.poll() is None:
            hub.kill()
        hub.wait()
    _clear(files)


def _clear(files: HubFiles) -> None:
    """End what carries this hub's mark or runs under its users' accounts, and remove the sockets' directories."""
    clear(lambda: of_mark(marked(files.state)))
    if os.geteuid() == 0:
        numbers = Accounts(files).numbers()
        clear(lambda: of_account(*numbers))
    for base in files.runtime_bases():
        for runtime in base.glob(f"{files.runtime_prefix}*"):
            shutil.rmtree(runtime, ignore_errors=True)
