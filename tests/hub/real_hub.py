"""A real JupyterHub for tests: started as `quantdesk up` starts it, talked to as a browser and a notebook would.

Loaded by path from the conftests, since tests are no package.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import websocket

from quantdesk.hub import proxy, reach
from quantdesk.hub.config import HubFiles
from quantdesk.hub.configure import free_ports
from quantdesk.hub.service import PREFIX
from quantdesk.hub.sweep import MARK, marked, of_account

PASSWORD = "orange tiger 77 moon"
ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import json
from quantdesk.hub import HubConfig, HubFiles, ensure_admin, serve
from quantdesk.hub.accounts import prepare_state
config, files = HubConfig.from_env(), HubFiles()
prepare_state(files, isolated=config.isolated)
secret = ensure_admin(files, config.administrator)
tell = lambda **what: print(json.dumps(what), flush=True)
serve(config, lambda address: tell(address=address, secret=secret, admin=config.administrator))
tell(stopped=True)
"""


def need_root() -> None:
    """Stop a test that needs root: skipped with the reason shown, but a failure where everything must be tested."""
    if os.geteuid() == 0:
        return
    reason = "only root can give each user an account of his own"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI must test that")
    pytest.skip(reason)


@dataclass(frozen=True)
class Ground:
    """Where hubs are tried: a folder that every account may enter, an interpreter that every account may execute."""

    folder: Path
    python: Path
    proxy: Path

    def state(self) -> Path:
        """A fresh state directory, with the proxy in it."""
        state = Path(tempfile.mkdtemp(dir=self.folder)) / "state"
        state.parent.chmod(0o755)
        shutil.copytree(self.proxy, state / "proxy", copy_function=os.link)
        state.chmod(0o755)
        return state


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    """Prepare it, and take away what the hubs have left: folders, and the accounts that they made."""
    folder = Path(tempfile.mkdtemp(prefix="qd-"))
    folder.chmod(0o755)
    try:
        proxy.install(state=folder / "shared")
        yield Ground(folder, _python(folder), folder / "shared" / "proxy")
    finally:
        for entry in pwd.getpwall():
            if entry.pw_dir.startswith(f"{folder}/") and os.geteuid() == 0:
                for process in of_account(entry.pw_uid):
                    process.kill()
                subprocess.run(["userdel", entry.pw_name], check=True, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _python(folder: Path) -> Path:
    """This interpreter where every account may execute it; otherwise an environment over one of the machine's own."""
    here = Path(sys.executable)
    if os.geteuid() != 0 or reach.barrier(here, reach.ANYBODY, reach.ANYBODY, execute=True) is None:
        return here
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base = Path("/usr/bin", version)
    if not base.exists():
        reason = f"other accounts cannot execute {here.resolve()}, and this machine has no {base}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    venv = folder / "venv"
    subprocess.run([str(base), "-m", "venv", "--without-pip", str(venv)], check=True)
    packages = sysconfig.get_path("purelib")
    (venv / "lib" / version / "site-packages" / "all.pth").write_text(f"{packages}\n{ROOT / 'platform'}\n")
    for hook in Path(packages).glob("*coverage.pth"):  # measured like the rest, where that is asked for
        shutil.copy(hook, venv / "lib" / version / "site-packages" / f"z_{hook.name}")
    for name in ("etc", "share"):  # Jupyter's own files: links would lead out of what its server serves
        shutil.copytree(Path(sys.prefix, name), venv / name, copy_function=_link)
    return venv / "bin" / "python"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@dataclass
class RealHub:
    """One running hub.

    Use it as a context manager; afterwards nothing of it may be left, which is asserted.
    """

    ground: Ground
    state: Path
    env: dict[str, str] = field(default_factory=dict)
    account: int | None = None
    port: int = 0
    secret: str | None = None
    admin: str = ""
    process: subprocess.Popen[str] | None = None
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def files(self) -> HubFiles:
        return HubFiles(self.state)

    @property
    def log(self) -> str:
        return self.files.log.read_text() if self.files.log.exists() else ""

    @property
    def service_log(self) -> str:
        """The end of what the service and the worker have said."""
        log = self.files.root / "service.log"
        return log.read_text()[-3000:] if log.exists() else "there is no log"

    def service_answers(self) -> bool:
        """Whether the service answers through the proxy."""
        try:
            return requests.get(f"{self.url}{PREFIX}/healthz", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    def start(self) -> RealHub:
        self.port = self.port or free_ports(1)[0]
        # Feast leaves its own folder for metrics in the environment of this process; another account may not write
        # there, nor where the coverage of this run is kept.
        dropped = ("QUANTDESK_", "PROMETHEUS_", *(() if self.account is None else ("COVERAGE_", "COV_CORE_")))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        own = {"QUANTDESK_STATE": str(self.state), "QUANTDESK_PORT": str(self.port)}
        # The service, and warm kernels of each user, which most tests do not ask for, would only slow the others down.
        env = {**kept, "QUANTDESK_SERVICE": "false", "QUANTDESK_KERNELS_WARM": "false", **own, **self.env}
        lowered: dict[str, Any] = {}
        if self.account is not None:
            lowered = {"user": self.account, "group": self.account, "extra_groups": []}
            env |= {"HOME": str(self.state.parent), "LOGNAME": "solo", "USER": "solo"}
        self.process = subprocess.Popen(
            [str(self.ground.python), "-P", "-c", DRIVER],
            env=env,
            cwd=self.state.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **lowered,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("{"):
                told = json.loads(line)
                self.secret, self.admin = told["secret"], told["admin"]
                return self
        raise AssertionError(f"the hub did not start: {''.join(self.said)}\n{self.log[-3000:]}")

    def left(self) -> list[str]:
        """What of this hub is still running: by its mark, and by its users' accounts."""
        accounts = json.loads(self.files.accounts.read_text())["accounts"] if self.files.accounts.exists() else []
        numbers = {account["uid"] for account in accounts}
        own = marked(self.state)
        found = find(
            lambda one: (
                one.pid != os.getpid()
                and (one.environ().get(MARK, "").split(":")[0] == own or one.uids().real in numbers)
            )
        )
        return [f"{process.pid} {' '.join(process.cmdline())[:120]}" for process in found]

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Ask the launcher to end, and wait."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        assert self.process.stdout is not None
        if not self.process.stdout.closed:
            self.said += list(self.process.stdout)
            self.process.stdout.close()
        return self.process.wait(60)

    def end(self) -> None:
        """Whatever a failed test has left: end it."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> RealHub:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()
        assert self.left() == []

    def browser(self) -> Browser:
        """Somebody who is not logged in."""
        return Browser(self)

    def first_login(self) -> Browser:
        """The administrator, after the first login and the choice of a password."""
        browser = self.browser()
        assert browser.login(self.admin, self.secret or "").url.endswith("/hub/set-password")
        answer = browser.post("set-password", new_password=PASSWORD, confirmation=PASSWORD)
        assert answer.url.endswith("/hub/home"), answer.text
        return browser

    def user(self, name: str, admin: Browser) -> Browser:
        """A user who signed up, was approved, and is logged in."""
        browser = self.browser()
        assert browser.sign_up(name).status_code == 200
        assert admin.post("users", user=name, action="approve").status_code == 200
        assert browser.login(name, PASSWORD, follow=False).status_code == 302
        browser.name = name
        return browser


class Browser:
    """Cookies, forms with their guard against forgery, and a server with kernels once it is started."""

    def __init__(self, hub: RealHub) -> None:
        self.hub = hub
        self.session = requests.Session()
        self.session.trust_env = False
        self.name = ""
        self.token = ""

    def get(self, path: str, **settings: Any) -> requests.Response:
        return self.session.get(f"{self.hub.url}/hub/{path}", timeout=30, **settings)

    def post(self, path: str, follow: bool = True, **form: str) -> requests.Response:
        """Open a page, and send its form."""
        page = self.get(path)
        guard = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        form |= {"_xsrf": guard.group(1)} if guard else {}
        return self.session.post(f"{self.hub.url}/hub/{path}", data=form, timeout=60, allow_redirects=follow)

    def login(self, name: str, password: str, follow: bool = True) -> requests.Response:
        return self.post("login", follow=follow, username=name, password=password)

    def sign_up(self, name: str, password: str = PASSWORD, again: str | None = None) -> requests.Response:
        return self.post(
            "signup", username=name, new_password=password, confirmation=password if again is None else again
        )

    def api(self, method: str, path: str, **settings: Any) -> requests.Response:
        """The hub's REST interface, with the login's cookie as the hub's own pages use it."""
        guard = {cookie.name: cookie.value for cookie in self.session.cookies if cookie.path == "/hub/"}.get(
            "_xsrf", ""
        )
        headers = {"X-XSRFToken": guard or "", "Referer": f"{self.hub.url}/hub/home"}
        return self.session.request(method, f"{self.hub.url}/hub/api/{path}", headers=headers, timeout=60, **settings)

    def start_server(self, wait: bool = True) -> None:
        """Start this user's server, get a token for it, and wait until it answers."""
        assert self.get("home").status_code == 200
        answer = self.api("POST", f"users/{self.name}/server")
        assert answer.status_code in {201, 202}, answer.text
        made = self.api("POST", f"users/{self.name}/tokens", json={"note": "test"})
        assert made.status_code == 201, made.text
        self.token = made.json()["token"]
        if wait:
            self.await_server()

    def await_server(self) -> None:
        """Wait until the server answers."""
        until(lambda: self.server("GET", "api/status").status_code == 200, 90, lambda: self.hub.log[-3000:])

    def server(self, method: str, path: str, of: str = "", token: str = "", **settings: Any) -> requests.Response:
        """The REST interface of a user's server, by token."""
        return requests.request(
            method,
            f"{self.hub.url}/user/{of or self.name}/{path}",
            headers={"Authorization": f"token {token or self.token}"},
            timeout=30,
            **settings,
        )

    @contextlib.contextmanager
    def kernel(self, name: str = "quantdesk", of: str = "", token: str = "") -> Iterator[Callable[[str], str]]:
        """A new kernel of this user's server: runs code and returns what it printed. An exception is an error."""
        made = self.server("POST", "api/kernels", of=of, token=token, json={"name": name})
        assert made.status_code == 201, made.text
        number = made.json()["id"]
        address = f"ws://127.0.0.1:{self.hub.port}/user/{of or self.name}/api/kernels/{number}/channels"
        header = [f"Authorization: token {token or self.token}"]
        channel = websocket.create_connection(address, header=header, timeout=60)
        try:
            yield lambda code: _execute(channel, code)
        finally:
            channel.close()
            channel.shutdown()  # also where the other side has closed it
            self.server("DELETE", f"api/kernels/{number}", of=of, token=token)

    def run(self, code: str, kernel: str = "quantdesk") -> str:
        """Run code in a new kernel of this user's server, and return what it printed. An exception is an error."""
        with self.kernel(kernel) as run:
            return run(code)


def _execute(channel: websocket.WebSocket, code: str) -> str:
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "",
        "session": "t",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    message = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
    channel.send(json.dumps(message))
    printed: list[str] = []
    while True:
        text = channel.recv()
        if not text:
            raise websocket.WebSocketConnectionClosedException("The other side has closed it.")
        told = json.loads(text)
        if told["msg_type"] == "status" and told["content"]["execution_state"] in ("restarting", "dead"):
            raise AssertionError("the kernel has died")
        if told["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        if told["msg_type"] == "stream":
            printed.append(told["content"]["text"])
        elif told["msg_type"] == "error":
            raise AssertionError("\n".join(told["content"]["traceback"]))
        elif told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
            return "".join(printed)


def find(fits: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The running processes of which something is true; those that end meanwhile are not among them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and fits(process):
                found.append(process)
    return found


def until(true: Callable[[], bool], seconds: float, why: Callable[[], str] = lambda: "") -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s. {why()}"
        time.sleep(0.2)
