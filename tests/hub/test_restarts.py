"""Proxy and hub are killed while servers run and a cell computes: kernel, variables and output are there afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from modules import module_at
from quantdesk.hub import held
from quantdesk.hub.config import ADDRESS

pytestmark = pytest.mark.xdist_group("hub")
real_notebook = module_at(Path(__file__).with_name("real_notebook.py"))


COMPUTE = "import time; time.sleep(3); kept += 1; print(kept)"


@pytest.fixture
def working(fresh: Any, real: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """A hub, ana with a notebook, and bob, who may not see it."""
    real.need_root()
    with fresh() as hub:
        admin = hub.first_login()
        ana, bob = hub.user("ana", admin), hub.user("bob", admin)
        ana.start_server()
        bob.token = bob.api("POST", "users/bob/tokens", json={"note": "test"}).json()["token"]
        notebook = real_notebook.Notebook(ana)
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
    assert server.environ()["QUANTDESK_HUB_LAUNCHER"] == str(launcher.pid)  # with which it would end
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
import signal, sys, time
from quantdesk.hub import tether
tether.ORDERLY_S = tether.STUBBORN_S = float(sys.argv[2])
if sys.argv[3] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
tether.outlive(int(sys.argv[1]))
print("waits", flush=True)
time.sleep(600)
"""
    launcher = subprocess.Popen(["/bin/sleep", "600"])
    waiting = [
        subprocess.Popen([sys.executable, "-c", code, str(launcher.pid), *how], stdout=subprocess.PIPE, text=True)
        for how in (("0.1", "ready"), ("500", "ready"), ("0.1", "stubborn"))
    ]
    try:
        for one in waiting:
            assert one.stdout is not None
            assert one.stdout.readline() == "waits\n"
        time.sleep(0.5)
        assert [one.poll() for one in waiting] == [None, None, None]
        launcher.kill()
        launcher.wait()
        assert waiting[0].wait(20) == -signal.SIGTERM
        assert waiting[2].wait(20) == -signal.SIGKILL
        assert waiting[1].poll() is None, "a hub that ends in order has its time"
    finally:
        for one in (launcher, *waiting):
            one.kill()
            one.wait()
            if one.stdout is not None:
                one.stdout.close()
