"""What a hub leaves behind is found, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from quantdesk.hub.sweep import MARK, clear, marked, of_account, of_mark
from quantdesk.hub.tether import tethered

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(code: str = SLEEP, *, mark: str = "", **settings: object) -> subprocess.Popen[str]:
        env = {**os.environ, MARK: mark}
        child = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True, **settings)  # type: ignore[call-overload]
        started.append(child)
        return child  # type: ignore[no-any-return]

    yield begin
    for child in started:
        if child.poll() is None:
            child.kill()
        child.wait()
        assert child.stdout
        child.stdout.close()


def test_marks_tell_hubs_and_users_apart(tmp_path: Path) -> None:
    one, two = marked(tmp_path / "one"), marked(tmp_path / "two")
    assert one != two
    assert marked(tmp_path / "one", "ana").startswith(f"{one}:")
    assert str(tmp_path) not in one


def test_only_what_carries_the_mark_is_ended(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    mine, other = marked(tmp_path, "ana"), marked(tmp_path, "anabel")
    child, stranger, plain = start(mark=mine), start(mark=other), start()
    wait_for_mark(child.pid, mine)
    wait_for_mark(stranger.pid, other)
    assert [process.pid for process in of_mark(mine)] == [child.pid]
    assert {process.pid for process in of_mark(marked(tmp_path))} == {child.pid, stranger.pid}
    assert clear(lambda: of_mark(mine)) == 1
    assert child.wait(5) == -signal.SIGTERM
    assert stranger.poll() is None
    assert plain.poll() is None


def test_what_ignores_a_request_is_killed(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    mine = marked(tmp_path, "ana")
    child = start(STUBBORN, mark=mine, start_new_session=True)
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    assert clear(lambda: of_mark(mine), grace=0.3) == 1
    assert child.wait(5) == -signal.SIGKILL


def test_the_caller_and_its_ancestors_are_spared(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from quantdesk.hub.sweep import clear, marked, of_mark
print(clear(lambda: of_mark(marked(Path({str(tmp_path)!r})))))
"""
    env = {**os.environ, MARK: marked(tmp_path)}
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -c "$1"; echo here', sys.executable, code], env=env, capture_output=True, text=True
    )
    assert done.stdout == "0\nhere\n", done.stderr


@pytest.mark.parametrize("uid", [0, 1, 99, -1])
def test_the_systems_own_accounts_are_never_meant(uid: int) -> None:
    with pytest.raises(ValueError, match="no account of the hub"):
        of_account(uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start what belongs to another account")
def test_an_accounts_processes_are_found_without_their_mark(start: Callable[..., subprocess.Popen[str]]) -> None:
    number = 29_111
    child = subprocess.Popen(
        ["/bin/sleep", "600"], user=number, group=number, extra_groups=[], env={}, start_new_session=True
    )
    assert [process.pid for process in of_account(number)] == [child.pid]
    assert clear(lambda: of_account(number)) == 1
    assert child.wait(5) == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of a parent's death on Linux only")
@pytest.mark.parametrize("account", [None, (29_112, 29_112)])
def test_a_tethered_command_ends_when_its_parent_is_killed(account: tuple[int, int] | None) -> None:
    if account and os.geteuid() != 0:
        pytest.skip("only root can change the account")
    code = f"""
import subprocess, sys, time
from quantdesk.hub.tether import tethered
child = subprocess.Popen(tethered(["/bin/sleep", "600"], {account!r}))
print(child.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    if account and reachable():
        wait_until(lambda: child.cmdline() == ["/bin/sleep", "600"])
        assert child.uids().real == account[0]
        assert child.gids().real == account[1]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def reachable() -> bool:
    """Whether another account may execute this interpreter at all."""
    from quantdesk.hub.reach import ANYBODY, barrier

    return barrier(Path(sys.executable), ANYBODY, ANYBODY, execute=True) is None


def test_a_tether_to_somebody_elses_child_does_not_hold() -> None:
    line = tethered(["/bin/echo", "reached"])
    line[4] = "1"  # a parent that it does not have, as if that had ended before the request was made
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stdout == ""


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_mark(pid: int, mark: str) -> None:
    """The environment is there once the child has become its program."""
    wait_until(lambda: psutil.Process(pid).environ().get(MARK) == mark)
