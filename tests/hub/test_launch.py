"""The hub starts, says when it is ready, and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub import HubConfig, HubFiles, check_port, launch, serve
from quantdesk.records import exclusive

pytestmark = pytest.mark.xdist_group("hub")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield int(holder.getsockname()[1])


def never(address: str) -> None:
    raise AssertionError(f"it said that it is ready at {address}")


def test_a_port_in_use_is_named_with_its_holder(taken: int) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        check_port(taken)
    assert f"Port {taken} of 127.0.0.1 is in use by " in caught.value.problem
    assert f"process {os.getpid()}" in caught.value.problem
    assert f"PORT={taken + 1}" in caught.value.remedy


def test_a_holder_that_the_system_does_not_tell_is_left_out(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)
    with pytest.raises(EnvironmentProblem, match=rf"Port {taken} of 127\.0\.0\.1 is in use\."):
        check_port(taken)


def test_a_free_port_is_fine_even_right_after_use(taken: int) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        free = int(closed.getsockname()[1])
    check_port(free)


def test_a_port_of_roots_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: tuple[str, int]) -> None:
        raise PermissionError

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(EnvironmentProblem, match="Port 80 is reserved for root"):
        check_port(80)


def test_nothing_is_started_when_the_port_is_taken(taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=f"Port {taken}"):
        serve(HubConfig.from_env(port=taken), never)
    assert not (tmp_path / "hub" / "hub.log").exists()
    with exclusive(HubFiles(tmp_path).lock, timeout=0.1):
        pass


def test_one_hub_per_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    with exclusive(HubFiles(tmp_path).lock), pytest.raises(EnvironmentProblem, match=r"is running already\. Stop it"):
        serve(HubConfig.from_env(port=8999), never)


def test_a_missing_proxy_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    monkeypatch.setattr(launch, "check_port", lambda port: None)
    with pytest.raises(EnvironmentProblem, match="proxy is not installed"):
        serve(HubConfig.from_env(port=8999), never)


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubConfig:
    """A hub whose program ends at once, after a word."""
    monkeypatch.setenv("QUANTDESK_SERVICE", "false")
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(launch, "check_port", lambda port: None)
    monkeypatch.setattr(launch.proxy, "command", lambda state: [])
    monkeypatch.setattr(launch.reach, "check", lambda files: None)
    complain = "import sys; sys.stderr.write('[I ok]\\nTraceback:\\n  deep\\nValueError: bad cookie\\n'); sys.exit(3)"
    monkeypatch.setattr(launch, "tethered", lambda command: [sys.executable, "-c", complain])
    return HubConfig.from_env(port=8999)


def test_a_hub_that_does_not_start_is_told_with_the_end_of_its_log(broken: HubConfig) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        serve(broken, never)
    assert "did not start (exit code 3)" in caught.value.problem
    assert "hub.log" in caught.value.remedy
    assert "ValueError: bad cookie" in caught.value.remedy
    assert "[I ok]" not in caught.value.remedy


def test_a_hub_that_never_answers_is_given_up(broken: HubConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "tethered", lambda command: [sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(launch, "READY_WITHIN", 0.3)
    with pytest.raises(EnvironmentProblem, match=r"did not answer within 0\.3 s"):
        serve(broken, never)


def test_it_ends_when_asked_before_it_is_ready(broken: HubConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "tethered", lambda command: [sys.executable, "-c", "import time; time.sleep(600)"])
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    serve(broken, never, stop=stop)


def test_a_second_ctrl_c_does_not_wait(broken: HubConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    monkeypatch.setattr(launch, "tethered", lambda command: [sys.executable, "-c", deaf])
    for after in (0.8, 1.2):
        threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)).start()
    before = signal.getsignal(signal.SIGINT)
    serve(broken, never)
    assert signal.getsignal(signal.SIGINT) is before


PRETEND = """
import http.server, sys, threading
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        threading.Thread(target=self.server.shutdown).start()
http.server.HTTPServer(("127.0.0.1", PORT), Health).serve_forever()
sys.exit(CODE)
"""


@pytest.mark.parametrize("code", [0, 7])
def test_a_hub_that_an_administrator_shuts_down_is_no_failure_and_one_that_ends_by_itself_is_started_again(
    code: int, broken: HubConfig, real: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = real.free_ports(1)
    script = PRETEND.replace("PORT", str(port)).replace("CODE", str(code))
    monkeypatch.setattr(launch, "tethered", lambda command: [sys.executable, "-c", script])
    monkeypatch.setattr(launch, "AGAIN", 2)
    monkeypatch.setattr(launch, "PAUSE", 0.05)
    ready: list[str] = []
    told: list[str] = []
    if code == 0:
        serve(HubConfig.from_env(port=port), ready.append, warned=told.append)
        assert told == []
    else:
        with pytest.raises(EnvironmentProblem, match=r"ended by itself \(exit code 7\), 3 times in 10 minutes"):
            serve(HubConfig.from_env(port=port), ready.append, warned=told.append)
        assert (
            told
            == [
                "The hub ended by itself (exit code 7) and is started again. Servers of users go on.",
            ]
            * 2
        )
    assert ready == [f"http://127.0.0.1:{port}/"]


def test_a_hub_that_does_not_come_back_at_once_is_tried_again(
    broken: HubConfig, real: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database may be away. It fails twice at its new start, and is then there until it is shut down in order."""
    (port,) = real.free_ports(1)
    count = tmp_path / "starts"
    script = f"""
import pathlib, sys
count = pathlib.Path({str(count)!r})
times = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (times + 1))
if times in (1, 2):
    sys.exit(3)
""" + PRETEND.replace("PORT", str(port)).replace("CODE", "0 if times == 3 else -9")
    monkeypatch.setattr(launch, "tethered", lambda command: [sys.executable, "-c", script])
    monkeypatch.setattr(launch, "PAUSE", 0.05)
    told: list[str] = []
    serve(HubConfig.from_env(port=port), lambda address: None, warned=told.append)
    assert count.read_text() == "xxxx"
    assert [sentence.split(")")[0] for sentence in told] == [
        "The hub ended by itself (exit code 247", *["The hub ended by itself (exit code 3"] * 2,
    ]  # fmt: skip


def test_logs_of_the_last_two_runs_are_kept_and_private(broken: HubConfig) -> None:
    for _ in range(3):
        with pytest.raises(EnvironmentProblem):
            serve(broken, never)
    files = HubFiles()
    logs = sorted(path for path in files.root.iterdir() if path.name.startswith("hub.log"))
    assert [path.name for path in logs] == ["hub.log", "hub.log.1"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in logs} == {0o600}


@pytest.fixture
def working(fresh: Any, real: Any) -> Any:
    """A hub with a user at work, who has put something into the background that carries no mark."""
    real.need_root()
    hub = fresh().start()
    ana = hub.user("ana", hub.first_login())
    ana.start_server()
    line = "['/usr/bin/env', '-i', '/bin/sleep', '600'], start_new_session=True"
    ana.run(f"import subprocess; subprocess.Popen({line})")
    assert len(hub.left()) >= 5, "hub, proxy, culler, server, sleep"
    return hub


@pytest.mark.slow
def test_nothing_survives_a_killed_launcher(working: Any, real: Any) -> None:
    """Neither servers, nor kernels, nor what a user put into the background. The hub itself learns of it."""
    working.stop(signal.SIGKILL)
    real.until(lambda: working.left() == [], 40, lambda: str(working.left()))


@pytest.mark.slow
def test_nothing_survives_a_kill_of_everything_at_once(working: Any, fresh: Any, real: Any) -> None:
    """As the kernel does when memory runs out, or a machine that is told to stop: the next start clears up."""
    for process in [psutil.Process(working.process.pid), *psutil.Process(working.process.pid).children()]:
        process.kill()
    working.stop()
    with fresh(working.state) as again:
        assert again.secret is None, "the administrator has a password already"
        ana = again.browser()
        assert ana.login("ana", real.PASSWORD, follow=False).status_code == 302
        ana.name = "ana"
        ana.start_server()
        assert ana.run("print(6 * 7)") == "42\n"
    assert working.left() == []
