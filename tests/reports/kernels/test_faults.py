"""What goes wrong around a zygote: kills, hangs, strangers. Kernels go on, or start cold with a reason."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.kernels import KernelsConfig, Status, identity, restart, status, wire
from quantdesk.reports.kernels.children import UNKNOWN, Adopted
from quantdesk.reports.kernels.client import Cold, Zygotes, ordered
from quantdesk.reports.kernels.order import KERNEL

from .conftest import Start, end, gone, wait_until

pytestmark = pytest.mark.xdist_group("warm-kernels")


@pytest.fixture
def own(settings: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KernelsConfig]:
    """Settings for zygotes that a test may break."""
    folder = tmp_path / "zygotes"
    yield KernelsConfig.from_env().model_copy(update={"folder": folder, "modules": ("json",), "pool": 1})
    for path in folder.glob("warm-*"):
        end(path)


def sleeper(zygotes: Zygotes, folder: Path, number: int = 0) -> Adopted | None:
    """A kernel that nobody talks to."""
    file = folder / f"connection-{number}.json"
    ports = {f"{name}_port": port for port, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
    told = {"transport": "ipc", "ip": str(folder / f"k{number}"), "key": "", **ports}
    file.write_text(json.dumps({**told, "signature_scheme": "hmac-sha256"}))
    with (folder / "kernel.log").open("ab") as log, open(os.devnull) as null:
        order = ordered(["-f", str(file)], [sys.executable, "-m", "ipykernel_launcher"], dict(os.environ), folder)
        return zygotes.fork(KERNEL, order, [null.fileno(), log.fileno(), log.fileno()])


def reasons(zygotes: Zygotes) -> str:
    path = zygotes.folder / "cold.jsonl"
    return path.read_text() if path.exists() else ""


def test_a_killed_zygote_takes_no_kernel_with_it_and_has_a_successor(own: KernelsConfig, tmp_path: Path) -> None:
    zygotes = Zygotes(os.environ, own)
    assert sleeper(zygotes, tmp_path) is None
    assert "no zygote was running; one is starting" in reasons(zygotes)
    found = restart(config=own)
    kernel = sleeper(zygotes, tmp_path)
    assert kernel is not None
    wait_until(lambda: any(one.waiting for one in status(own)[0].forks))
    (member,) = [one.pid for one in status(own)[0].forks if one.waiting]
    assert found.pid is not None
    os.kill(found.pid, signal.SIGKILL)
    wait_until(lambda: gone(member))  # it waited for nobody but its zygote
    assert kernel.poll() is None
    assert not gone(kernel.pid)
    assert (zygotes.folder / "socket").is_socket(), "the file of the dead one is still there"
    wait_until(lambda: not zygotes.held())
    assert sleeper(zygotes, tmp_path, 1) is None
    kernel.kill()
    assert kernel.wait(60) in (-signal.SIGKILL, UNKNOWN)
    assert restart(config=own).pid != found.pid
    another = sleeper(zygotes, tmp_path, 2)
    assert another is not None
    another.kill()
    assert another.wait(60) == -signal.SIGKILL


def test_a_killed_member_of_the_pool_is_replaced(own: KernelsConfig, tmp_path: Path) -> None:
    restart(config=own)
    zygotes = Zygotes(os.environ, own)
    for number in range(2):
        wait_until(lambda: any(one.waiting for one in status(own)[0].forks))
        (member,) = [one.pid for one in status(own)[0].forks if one.waiting]
        os.kill(member, signal.SIGKILL)
        kernel = sleeper(zygotes, tmp_path, number)
        if kernel is None:  # it was killed in the very moment in which it was handed out
            assert "did not begin" in reasons(zygotes)
            continue
        assert kernel.pid != member
        kernel.terminate()
        assert kernel.wait(60) == -signal.SIGTERM


def test_a_hung_zygote_is_ended_and_nobody_waits_long(own: KernelsConfig, tmp_path: Path) -> None:
    found = restart(config=own)
    assert found.pid is not None
    os.kill(found.pid, signal.SIGSTOP)
    impatient = Zygotes(os.environ, own.model_copy(update={"answer_s": 0.2}))
    assert status(impatient.config)[0].state == "hung"
    assert sleeper(impatient, tmp_path) is None
    assert f"the zygote {found.pid} did not answer in 0.2 s and was ended" in reasons(impatient)
    wait_until(lambda: gone(found.pid or 0))


def test_many_requesters_at_once_start_one(own: KernelsConfig) -> None:
    zygotes = [Zygotes(os.environ, own) for _ in range(8)]
    identity.private(zygotes[0].folder)
    said: list[str] = []
    threads = [threading.Thread(target=lambda one=one: said.append(one.start(KERNEL))) for one in zygotes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["no zygote was running; one is starting", *["the zygote is starting"] * 7]
    wait_until(lambda: status(own)[0].state == "ready")
    shown = [one for one in psutil.process_iter() if str(zygotes[0].folder) in " ".join(_words(one))]
    forks = {one.pid for one in shown if _parent(one) in {other.pid for other in shown}}
    assert len(shown) - len(forks) == 1


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_changed_packages_end_it_gently(own: KernelsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = restart(config=own)
    zygotes = Zygotes(os.environ, own)
    kernel = sleeper(zygotes, tmp_path)
    assert kernel is not None
    with monkeypatch.context() as patch:
        patch.setattr(identity, "fingerprint", lambda: "another")
        assert status(own)[0].current is False
        assert sleeper(zygotes, tmp_path, 1) is None
    assert "packages or files of quantdesk have changed" in reasons(zygotes)
    assert kernel.poll() is None
    kernel.kill()
    assert kernel.wait(60) == -signal.SIGKILL  # the retired one still tells
    wait_until(lambda: gone(found.pid or 0))
    wait_until(lambda: status(own)[0].state == "ready")


def test_it_ends_when_nobody_wants_it_or_its_folder_is_gone(own: KernelsConfig, tmp_path: Path) -> None:
    idle = own.model_copy(update={"idle_s": 0.5})
    found = restart(config=idle)
    wait_until(lambda: gone(found.pid or 0))
    assert status(idle)[0].state == "stopped"
    found = restart(config=own)
    (found.folder / "socket").unlink()
    wait_until(lambda: gone(found.pid or 0))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()", "2 threads"),
        ("import sys, types\nsys.modules['polars'] = types.ModuleType('polars')", "polars must not be imported"),
        ("import select\nloop = select.epoll()", "an event loop is open"),
        ("import zmq\ncontext = zmq.Context.instance()", "threads|context is open|event loop"),
        ("raise RuntimeError('no')", "RuntimeError: no"),
    ],
)
def test_one_that_must_not_fork_does_not(
    own: KernelsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, reason: str
) -> None:
    (tmp_path / "unfit_module.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    config = own.model_copy(update={"modules": ("unfit_module",)})
    with pytest.raises(EnvironmentProblem, match=reason) as raised:
        restart(config=config)
    assert "log.txt" in raised.value.remedy
    assert sleeper(Zygotes(os.environ, config), tmp_path) is None
    assert "the zygote could not start" in reasons(Zygotes(os.environ, config))
    assert status(config)[0].state == "failed"


def test_a_folder_that_others_can_enter_is_not_used(own: KernelsConfig, tmp_path: Path) -> None:
    zygotes = Zygotes(os.environ, own)
    zygotes.folder.mkdir(parents=True, mode=0o755)
    zygotes.folder.chmod(0o755)
    assert sleeper(zygotes, tmp_path) is None
    assert not (zygotes.folder / "lock").exists()


STRANGER = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.settimeout(60)
try:
    connection.connect(sys.argv[1])
    connection.sendall(bytes.fromhex(sys.argv[2]))
    print(connection.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_account_is_refused_by_the_folder_and_by_the_zygote(zygote: Status) -> None:
    message = json.dumps({"kind": "status", "fingerprint": ""})
    framed = (len(message).to_bytes(4, "big") + message.encode()).hex()

    def stranger() -> str:
        path = str(zygote.folder / "socket")
        command = [sys.executable, "-I", "-S", "-c", STRANGER, path, framed]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.strip()

    assert stranger() == "PermissionError"
    opened = [zygote.folder, *zygote.folder.parents[:2]]
    modes = [one.stat().st_mode for one in opened]
    try:
        for one in opened:
            one.chmod(0o755)
        (zygote.folder / "socket").chmod(0o666)
        assert stranger() in ("b''", "ConnectionResetError", "BrokenPipeError")
    finally:
        for one, mode in zip(opened, modes, strict=True):
            one.chmod(mode)
        (zygote.folder / "socket").chmod(0o600)


def test_what_is_no_request_is_dropped(zygote: Status) -> None:
    for nonsense in (b"", b"\0\0\0\2[]", b"\xff\xff\xff\xff", b"\0\0\0\5hello", b'\0\0\0\x11{"kind": "shell"}'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(60)
            connection.connect(str(zygote.folder / "socket"))
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    assert status()[0].pid == zygote.pid


def test_a_requester_that_goes_away_leaves_nothing(zygote: Status) -> None:
    zygotes = Zygotes(os.environ)
    connection = zygotes.connected()
    wire.send(connection, {"kind": KERNEL, "fingerprint": identity.fingerprint()})
    told, (handle,) = wire.receive(connection)
    os.close(handle)
    connection.close()
    wait_until(lambda: gone(told["pid"]))


def test_nothing_of_a_requester_stays_in_the_zygote(
    fork: Start, zygote: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "".join(reversed("terces-yrev"))
    monkeypatch.setenv("VENDOR_TOKEN", secret)
    kernel = fork()
    assert kernel.run("import os; print(os.environ['VENDOR_TOKEN'])") == f"{secret}\n"
    assert zygote.pid is not None
    assert secret.encode() not in Path(f"/proc/{zygote.pid}/environ").read_bytes()
    assert secret.encode() in Path(f"/proc/{kernel.pid}/environ").read_bytes()
    assert not _in_memory(zygote.pid, secret.encode())
    assert _in_memory(kernel.pid, secret.encode())


def _in_memory(pid: int, secret: bytes) -> bool:
    """Whether the writable memory of a process holds it."""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                first, last = (int(part, 16) for part in place.split("-"))
                try:
                    memory.seek(first)
                    if secret in memory.read(last - first):
                        return True
                except OSError:
                    continue  # special pages
    return False


def test_switched_off_or_inside_a_run_nothing_is_asked(
    settings: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = KernelsConfig.from_env().model_copy(update={"warm": False})
    with pytest.raises(Cold, match="switched off"):
        Zygotes(os.environ, off).may()
    monkeypatch.setenv("QUANTDESK_RUN", "some-run")
    with pytest.raises(Cold, match="inside of a report"):
        Zygotes(os.environ).may()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("QUANTDESK_RUN")
    with pytest.raises(Cold, match="need Linux"):
        Zygotes(os.environ).may()


def test_every_kernel_costs_little_beside_its_zygote(fork: Start, zygote: Status) -> None:
    kernel = fork()
    kernel.run("import pandas as pd; pd.DataFrame({'a': range(1000)}).describe()")
    (shown,) = [one for one in status()[0].forks if one.pid == kernel.pid]
    assert not shown.waiting
    assert shown.private_bytes is not None
    assert shown.private_bytes < 60e6
    assert time.time() - shown.since.timestamp() < 600
