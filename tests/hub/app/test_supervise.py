"""Commands are kept running, end with who keeps them, and are started again after a wait that grows."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from quantdesk.hub.rotation import bounded
from quantdesk.hub.supervise import Command, Supervisor

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


def runs(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_was_killed_is_there_again() -> None:
    ended: list[int] = []
    supervisor = Supervisor([Command("one", SLEEP, {}), Command("two", SLEEP, {})], ended.append)
    try:
        supervisor.step(0.0)
        first = supervisor.running
        assert set(first) == {"one", "two"}
        os.kill(first["one"], signal.SIGKILL)
        until(lambda: not runs(first["one"]))
        supervisor.step(100.0)
        assert ended == [first["one"]]
        assert supervisor.running == {"two": first["two"]}
        supervisor.step(100.2)
        assert "one" not in supervisor.running, "it waits"
        supervisor.step(100.3)
        assert supervisor.running["one"] != first["one"]
    finally:
        supervisor.end()
    assert supervisor.running == {}
    assert not runs(first["two"])


def test_the_wait_grows_while_it_fails_and_begins_anew_when_it_was_well() -> None:
    supervisor = Supervisor([Command("bad", [sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"], {})])
    waits, now = [], 0.0
    for _ in range(9):
        supervisor.step(now)
        until(lambda: not any(runs(one) for one in supervisor.running.values()))
        supervisor.step(now)
        waits.append(supervisor._kept[0].wait)
        now = supervisor._kept[0].next
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    supervisor.step(now)
    until(lambda: not any(runs(one) for one in supervisor.running.values()))
    supervisor.step(now + 31.0)  # as if it had run for half a minute
    assert supervisor._kept[0].wait == 0.25
    supervisor.end()


def test_a_command_that_ignores_the_request_is_ended(tmp_path: Path) -> None:
    code = "import signal, time, pathlib, sys; signal.signal(15, signal.SIG_IGN)"
    code += "; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    supervisor = Supervisor(
        [Command("deaf", [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "up")], {})], grace=0.2
    )
    supervisor.step(0.0)
    process = supervisor.running["deaf"]
    until((tmp_path / "up").exists)
    supervisor.end()
    assert not runs(process)


def test_a_program_that_is_not_there_is_tried_again_later(tmp_path: Path) -> None:
    supervisor = Supervisor([Command("none", [str(tmp_path / "none")], {})])
    supervisor.step(0.0)
    until(lambda: not any(runs(one) for one in supervisor.running.values()))
    supervisor.step(0.0)
    assert supervisor.running == {}
    supervisor.end()


def test_commands_end_with_who_keeps_them(tmp_path: Path) -> None:
    code = f"""
import sys, threading
from quantdesk.hub.supervise import Command, Supervisor
supervisor = Supervisor([Command("one", {SLEEP!r}, {{}})])
supervisor.step(0.0)
print(supervisor.running["one"], flush=True)
supervisor.run(threading.Event())
"""
    keeper = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    with keeper.stdout as said:
        process = int(said.readline())
        until(lambda: "sleep" in " ".join(psutil.Process(process).cmdline()))
        keeper.kill()
        keeper.wait()
    until(lambda: not runs(process))


def test_output_goes_to_a_file_that_nobody_else_reads_and_the_environment_is_added_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os; print(os.environ['GIVEN'], 'PATH' in os.environ, os.getcwd())"
    supervisor = Supervisor([Command("one", [sys.executable, "-I", "-S", "-c", code], {"GIVEN": "it"})], log=log)
    supervisor.step(0.0)
    until(lambda: log.exists() and log.read_text().endswith("\n"))
    supervisor.end()
    assert log.read_text() == "it True /\n"
    assert log.stat().st_mode & 0o077 == 0


def test_it_runs_until_it_is_told_to_stop() -> None:
    stop, supervisor = threading.Event(), Supervisor([Command("one", SLEEP, {})])

    def keep() -> None:
        supervisor.run(stop)

    thread = threading.Thread(target=keep)
    thread.start()
    until(lambda: bool(supervisor.running))
    process = supervisor.running["one"]
    stop.set()
    thread.join(30)
    assert not runs(process)


def test_an_open_socket_is_handed_down() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        code = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.listen()"
        code += "; c, _ = s.accept(); c.sendall(b'hi')"
        line = [sys.executable, "-I", "-S", "-c", code, str(listener.fileno())]
        supervisor = Supervisor([Command("one", line, {}, None, (listener.fileno(),))])
        supervisor.step(0.0)
        address = listener.getsockname()

        def greeted() -> bool:
            try:
                with socket.create_connection(address, 5) as talk:
                    return talk.recv(2) == b"hi"
            except OSError:
                return False

        until(greeted)
        supervisor.end()


def test_a_connection_between_two_workers_waits_for_the_next_one() -> None:
    """As asyncio's servers listen on a socket that their parent keeps open."""
    code = (
        "import asyncio, os, socket, sys\n"
        "async def greet(reader, writer):\n"
        "    line = await reader.readline()\n"
        "    if line == b'die\\n': os._exit(1)\n"
        "    writer.write(b'hi'); await writer.drain(); writer.close()\n"
        "async def main():\n"
        "    server = await asyncio.start_server(greet, sock=socket.socket(fileno=int(sys.argv[1])))\n"
        "    await server.serve_forever()\n"
        "asyncio.run(main())\n"
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
        line = [sys.executable, "-I", "-S", "-c", code, str(listener.fileno())]
        supervisor = Supervisor([Command("one", line, {}, None, (listener.fileno(),))])

        def asks(what: bytes) -> bytes:
            try:
                with socket.create_connection(address, 30) as talk:
                    talk.sendall(what)
                    return talk.recv(2)
            except OSError:
                return b"refused"

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 5)
        supervisor.step(0.0)
        until(lambda: asks(b"hello\n") == b"hi")
        first = supervisor.running["one"]
        assert asks(b"die\n") != b"hi"
        until(lambda: not runs(first))
        with socket.create_connection(address, 30) as waiting:  # there is no worker now
            waiting.sendall(b"hello\n")
            supervisor.step(100.0)
            supervisor.step(200.0)
            waiting.settimeout(30)
            assert waiting.recv(2) == b"hi"
        supervisor.end()


def test_a_log_begins_anew_when_it_is_too_large_and_who_writes_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(6):
            writer.write(f"{number}".encode() * 11)
            assert bounded(log, largest=10)
            assert not bounded(log, largest=10)
            writer.write(b".")
    assert log.read_bytes() == b"."
    older = [(tmp_path / f"service.log.{number}").read_bytes() for number in (1, 2, 3)]
    assert older == [b"." + b"5" * 11, b"." + b"4" * 11, b"." + b"3" * 11]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["service.log", *(f"service.log.{n}" for n in (1, 2, 3))]
    assert (tmp_path / "service.log.1").stat().st_mode & 0o077 == 0
    assert not bounded(tmp_path / "nothing")


def test_nothing_that_is_written_while_it_begins_anew_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"a" * 20)
    replace = os.replace

    def late(source: Path, target: Path) -> None:
        with log.open("ab") as writer:
            writer.write(b"late")
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    assert bounded(log, largest=10)
    assert (tmp_path / "service.log.1").read_bytes() == b"a" * 20 + b"late"
    assert log.read_bytes() == b""


def test_a_log_that_leads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"x" * 20)
    (tmp_path / "service.log").symlink_to(tmp_path / "other")
    supervisor = Supervisor([], log=tmp_path / "service.log")
    supervisor.step(0.0)
    with pytest.raises(OSError, match="symbolic"):
        bounded(tmp_path / "service.log", largest=10)
    assert (tmp_path / "other").read_bytes() == b"x" * 20
