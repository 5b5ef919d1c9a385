"""Proxy and hub are killed while servers run and a cell computes: kernel, variables and output are there afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests
import websocket

from quantdesk.hub import held
from quantdesk.hub.config import ADDRESS

pytestmark = pytest.mark.xdist_group("hub")


class Notebook:
    """A kernel as JupyterLab has it: with the same session after each reconnection, so that nothing said is lost."""

    def __init__(self, browser: Any) -> None:
        self._browser, self._session = browser, uuid.uuid4().hex
        made = browser.server("POST", "api/kernels", json={"name": "quantdesk"})
        assert made.status_code == 201, made.text
        self.number = made.json()["id"]
        self._channel = self._connect(browser)

    def _connect(self, browser: Any) -> websocket.WebSocket:
        address = f"ws://127.0.0.1:{browser.hub.port}/user/{self._browser.name}/api/kernels/{self.number}/channels"
        return websocket.create_connection(
            f"{address}?session_id={self._session}", header=[f"Authorization: token {browser.token}"], timeout=60
        )

    def opened_by(self, browser: Any) -> bool:
        """Whether somebody else gets in."""
        try:
            self._connect(browser).close()
        except websocket.WebSocketBadStatusException as error:
            return error.status_code not in (403, 404)
        return True

    def reconnect(self) -> bool:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._channel.close()
        try:
            self._channel = self._connect(self._browser)
        except (OSError, websocket.WebSocketException):
            return False
        return True

    def close(self) -> None:
        self._channel.close()

    def begin(self, code: str) -> str:
        """Have a cell computed, and wait until it is; its number, for `end`."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = {"header": header | {"session": self._session}, "content": content, "channel": "shell"}
        self._channel.send(json.dumps(message | {"parent_header": {}, "metadata": {}, "buffers": []}))
        while self._told(number)[1] != {"execution_state": "busy"}:
            pass
        return number

    def end(self, number: str) -> str:
        """What the cell printed, once it has ended."""
        printed = []
        while True:
            kind, content = self._told(number)
            assert kind != "error", content
            if kind == "stream":
                printed.append(content["text"])
            if kind == "status" and content["execution_state"] == "idle":
                return "".join(printed)

    def _told(self, number: str) -> tuple[str, dict[str, Any]]:
        """The next word about a cell."""
        deadline = time.monotonic() + 60
        while True:
            opcode, data = self._channel.recv_data(control_frame=True)  # or pings would keep it waiting for ever
            assert time.monotonic() < deadline, "the cell says nothing"
            assert opcode != websocket.ABNF.OPCODE_CLOSE, "the connection was closed"
            told = json.loads(data) if opcode == websocket.ABNF.OPCODE_TEXT else {"parent_header": {}}
            if told["parent_header"].get("msg_id") == number:
                return told["msg_type"], told["content"]

    def is_cut(self) -> bool:
        """Whether the connection ends, which it must before anything can be said of coming back."""
        try:
            while self._channel.recv():
                pass
        except (OSError, websocket.WebSocketException):
            return True
        return True  # an orderly end


COMPUTE = "import time; time.sleep(3); kept += 1; print(kept)"


@pytest.fixture
def working(fresh: Any, real: Any) -> Iterator[tuple[Any, Any, Any, Notebook]]:
    """A hub, ana with a notebook, and bob, who may not see it."""
    real.need_root()
    with fresh() as hub:
        admin = hub.first_login()
        ana, bob = hub.user("ana", admin), hub.user("bob", admin)
        ana.start_server()
        bob.token = bob.api("POST", "users/bob/tokens", json={"note": "test"}).json()["token"]
        notebook = Notebook(ana)
        yield hub, ana, bob, notebook
        notebook.close()


def test_killed_proxy_and_killed_hub_cost_no_cell_and_give_nobody_anything(working: Any, real: Any) -> None:
    hub, ana, bob, notebook = working
    launcher = psutil.Process(hub.process.pid)
    assert notebook.end(notebook.begin("import os; kept = 40; print(os.getpid())"))

    # The proxy, which is the hub's child.
    (inner,) = [one for one in launcher.children() if "jupyterhub" in one.cmdline()]
    (proxy,) = [one for one in inner.children() if str(hub.state / "proxy") in " ".join(one.cmdline())]
    cell = notebook.begin(COMPUTE)
    proxy.kill()
    assert notebook.is_cut()
    real.until(notebook.reconnect, 40, lambda: hub.log[-3000:])
    assert notebook.end(cell) == "41\n"

    # The hub itself, and with it the proxy.
    (server,) = [one for one in inner.children() if "jupyterhub.singleuser" in one.cmdline()]
    cell = notebook.begin(COMPUTE)
    inner.kill()
    assert notebook.is_cut()
    real.until(notebook.reconnect, 60, lambda: hub.log[-3000:])
    assert notebook.end(cell) == "42\n"
    assert server.is_running()
    assert hub.process.poll() is None
    (other,) = [one for one in launcher.children() if "jupyterhub" in one.cmdline()]
    assert other.pid != inner.pid

    # Who was in is in, with the same server; who was not is not.
    assert ana.get("home", allow_redirects=False).status_code == 200
    found = ana.api("GET", "users/ana").json()
    assert found["servers"][""]["ready"]
    assert ana.server("GET", "api/kernels").json()[0]["id"] == notebook.number
    assert bob.get("home", allow_redirects=False).status_code == 200
    assert not notebook.opened_by(bob)
    assert bob.server("GET", "api/kernels", of="ana").status_code in (403, 404)
    assert requests.get(f"{hub.url}/user/ana/api/kernels", timeout=30).status_code == 403

    # The hub that has taken the server over can stop it.
    assert ana.api("DELETE", "users/ana/server").status_code in (202, 204)
    real.until(lambda: "" not in ana.api("GET", "users/ana").json()["servers"], 30)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as somebody else")
def test_nobody_else_listens_where_the_hub_was() -> None:
    """With whatever options: servers of users tell their tokens to whoever listens there."""
    code = """
import os, socket, sys
os.setgroups([]); os.setgid(29113); os.setuid(29113)
for options in ([], [socket.SO_REUSEADDR], [socket.SO_REUSEPORT], [socket.SO_REUSEADDR, socket.SO_REUSEPORT]):
    for host in ("127.0.0.1", ""):
        made = socket.socket()
        for option in options:
            made.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            made.bind((host, int(sys.argv[1])))
            print("taken", options, host)
        except OSError as error:
            print(error.strerror)
        made.close()
"""
    holder = held.hold()
    port = str(holder.getsockname()[1])

    def tried() -> set[str]:
        line = [sys.executable, "-I", "-S", "-c", code, port]
        return set(subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines())

    assert tried() == {"Address already in use"}
    with socket.socket() as asking, pytest.raises(ConnectionRefusedError):  # and nobody waits for an answer
        asking.connect((ADDRESS, int(port)))
    with socket.socket() as hub:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            hub.setsockopt(socket.SOL_SOCKET, option, 1)
        hub.bind((ADDRESS, int(port)))
        hub.listen()
        assert tried() == {"Address already in use"}
    assert tried() == {"Address already in use"}
    holder.close()
    assert tried() != {"Address already in use"}, "it was the holder that kept them out"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of the end of another process")
def test_a_server_ends_when_its_launcher_is_gone_and_no_hub_has_ended_it() -> None:
    code = """
import sys, time
from quantdesk.hub import tether
tether.ORDERLY_S = float(sys.argv[2])
tether.outlive(int(sys.argv[1]))
print("waits", flush=True)
time.sleep(600)
"""
    launcher = subprocess.Popen(["/bin/sleep", "600"])
    waiting = [
        subprocess.Popen([sys.executable, "-c", code, str(launcher.pid), grace], stdout=subprocess.PIPE, text=True)
        for grace in ("0.1", "500")
    ]
    try:
        for one in waiting:
            assert one.stdout is not None
            assert one.stdout.readline() == "waits\n"
        time.sleep(0.5)
        assert [one.poll() for one in waiting] == [None, None]
        launcher.kill()
        launcher.wait()
        assert waiting[0].wait(20) == -signal.SIGTERM
        assert waiting[1].poll() is None, "a hub that ends in order has its time"
    finally:
        for one in (launcher, *waiting):
            one.kill()
            one.wait()
            if one.stdout is not None:
                one.stdout.close()
