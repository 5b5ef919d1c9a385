"""Control groups of servers: on a real kernel that is emulated, on this machine's as far as it goes, and as files."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loops import Loop
from modules import module_at
from quantdesk.hub.limits import groups, limited, limiting
from quantdesk.hub.limits.groups import Group, Unavailable, place
from quantdesk.hub.limits.share import GIB

HERE = Path(__file__).parent / "emulated"


# On a machine of its own


@pytest.mark.slow
@pytest.mark.debian
def test_in_a_group_of_a_real_kernel_only_the_offender_dies(tmp_path: Path) -> None:
    """Debian's kernel with version 2 alone, emulated; what runs there are the product's own files. See `emulated`."""
    machine = module_at(HERE / "machine.py", "emulated_machine")
    kernel = machine.kernel(tmp_path) if machine.find_emulator() else None
    if kernel is None:
        reason = "no emulator, or no kernel (Debian: apt-get install qemu-system-x86; apt-get download is tried)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    product = {Path(one.__file__).name: Path(one.__file__) for one in (groups, limited)}
    out = machine.run(kernel, tmp_path, {"main.py": HERE / "main.py", **product}, 900)
    said = [json.loads(line.partition("SAID ")[2]) for line in out.splitlines() if line.startswith("SAID ")]
    assert said, out[-3000:]
    assert "done" in said[-1], out[-3000:]
    told: dict[str, Any] = {}
    for one in said:
        told.setdefault(next(iter(one)), one)

    assert told["top"] == {"top": True, "path": "/", "controllers": ["cpu", "memory", "pids"]}
    mib = 2**20
    assert told["limits"]["limits"] == {
        "memory.high": str(68 * mib), "memory.max": str(72 * mib), "cpu.max": "50000 100000", "pids.max": "40",
    }  # fmt: skip
    assert told["limits"]["weight"] == ["50", "100"]
    # Each server was in its group from its first instruction, under an account that cannot leave it or change it.
    assert [one["group"] for one in told["servers"]["servers"]] == [f"0::{one}" for one in told["servers"]["expected"]]
    assert [(one["left"], one["uid"]) for one in told["servers"]["servers"]] == [(False, 1000)] * 2
    # A kernel that a zygote has forked is in it, may use what it may, and dies alone where it takes more.
    assert told["calm"] == {"calm": {"kernel": "0::/quantdesk-hub-ana", "status": 0}, "killed": [0, 0]}
    assert told["hog"]["hog"] == {"kernel": "0::/quantdesk-hub-ana", "status": 256 - signal.SIGKILL}
    assert told["hog"]["killed"] == [1, 0]
    assert told["hog"]["slowed"], "it is slowed down first, so that the watchdog has its second"
    assert told["other"]["other"] == {"kernel": "0::/quantdesk-hub-bob", "status": 0}, "larger than ana may be"
    assert told["other"]["after"]["status"] == 0, "the server goes on, and starts the next kernel"
    assert told["spun"]["throttled"][0], "half a core is half a core"
    assert told["forks"]["forks"] == {"born": 39, "refused": "Resource temporarily unavailable"}
    # A restarted hub, and the end.
    assert told["again"] == {"again": True, "numbers": 2, "killed": 1, "mine": True}
    ended = [one for one in said if "ended" in one]
    assert ended == [{"removed": True, "there": False, "ended": -signal.SIGKILL, "other": None, "twice": True}]
    # A unit of systemd: not without Delegate=yes, and then it is divided; whatever else is in it stays in it.
    unit = "/system.slice/quantdesk.service"
    assert told["undelegated"]["undelegated"].startswith(f"The control group {unit} is not delegated to the hub")
    assert told["undelegated"]["touched"] == []
    assert told["delegated"] == {"delegated": unit, "top": False, "own": f"0::{unit}/quantdesk-hub"}
    assert told["moved"] == {"moved": f"0::{unit}/quantdesk-hub", "empty": True}
    assert told["server"]["server"]["group"] == f"0::{unit}/quantdesk-hub-c%2Fy%20d"
    assert (told["server"]["hog"]["status"], told["server"]["killed"]) == (256 - signal.SIGKILL, 1)
    assert told["server"]["again"]
    assert told["without"]["without"] == f"The control group {unit} has no controller memory."


# On this machine, whose controllers may be elsewhere


@pytest.fixture
def real_group() -> Iterator[Group]:
    """A group in this machine's file system of version 2, without limits, which need controllers."""
    root = next((one for one in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")) if _usable(one)), None)
    if root is None:
        pytest.skip("no control groups of version 2 that this account may make here")
    own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    name = f"quantdesk-test-{os.getpid()}"
    group = Group(root / own.strip("/") / name, f"{own.rstrip('/')}/{name}")
    group.folder.mkdir()
    yield group
    assert group.remove()


def _usable(root: Path) -> bool:
    return (root / "cgroup.procs").exists() and os.geteuid() == 0 and os.access(root, os.W_OK)


CHILDREN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(open("/proc/self/cgroup").read().count(sys.argv[1]), flush=True)
if not os.fork():
    os.setsid()
signal.pause()
"""


def test_a_server_begins_when_it_is_in_its_group_and_all_of_it_ends_with_that(real_group: Group) -> None:
    program = [sys.executable, "-I", "-S", "-c", CHILDREN, real_group.path]
    server = subprocess.Popen(limited.limited(program, [], 0, real_group.path), stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        time.sleep(0.5)
        assert Path(f"/proc/{server.pid}/cmdline").read_bytes().count(b"limited.py") == 1, "it waits"
        real_group.enter(server.pid)
        assert server.stdout.readline() == "1\n"
        while len(real_group.numbers()) < 2:
            time.sleep(0.01)
        assert server.pid in real_group.numbers()
        assert real_group.killed() == 0
        assert real_group.remove()
        assert server.wait(10) == -signal.SIGKILL
        assert not real_group.folder.exists()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_a_server_that_is_put_nowhere_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "PATIENCE_S", 0.05)
    with pytest.raises(SystemExit, match="was not put into its control group, /nowhere"):
        limited.await_group("/nowhere")


def test_what_this_machine_gives_is_said_in_one_sentence() -> None:
    try:
        found = place()
    except Unavailable as why:
        assert str(why).endswith(".")  # noqa: PT017
    else:
        assert (found.folder / "cgroup.procs").exists()


# As files


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    """A file system of version 2 as it looks from a process in a group of it."""

    def make(
        own: str, controllers: str = "cpu memory pids", *, shared: str = "", top: bool = False
    ) -> tuple[Path, Path]:
        root, process = tmp_path / "fs", tmp_path / "self"
        here = root / own.strip("/")
        for folder in {root, here}:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cgroup.controllers").write_text(f"{controllers}\n")
            (folder / "cgroup.subtree_control").write_text(f"{shared}\n")
            (folder / "cgroup.procs").write_text("")
        if not top:
            (here / "cgroup.type").write_text("domain\n")
        process.mkdir()
        (process / "cgroup").write_text(f"12:memory:/x\n0::{own}\n")
        return root, process

    return make


@pytest.mark.parametrize(
    ("own", "settings", "says"),
    [
        ("/a.slice/b.service", {}, "/a.slice/b.service is not delegated to the hub"),
        ("/", {"controllers": "hugetlb", "top": True}, "/ has no controller memory, cpu, pids"),
        ("/", {"controllers": "memory cpu", "top": True}, "has no controller pids"),
    ],
)
def test_why_there_are_none(tree: Any, own: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(Unavailable, match=says):
        place(*tree(own, **settings))


def test_where_there_are(tree: Any) -> None:
    root, process = tree("/a.slice/b.service", shared="cpu memory pids")
    found = place(root, process)
    assert (found.path, found.is_top) == ("/a.slice/b.service", False)
    ana = found.group("0123456789abcdef", "ana/../x")
    assert ana.folder.parent == found.folder, "no name leads elsewhere"
    assert ana.path == f"/a.slice/b.service/{ana.folder.name}"
    assert found.group("0123456789ab", "bob") != found.group("ba9876543210", "bob")


def test_version_1_alone_and_no_file_system_at_all(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no control groups of version 2"):
        place(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("")
    (tmp_path / "cgroup").write_text("12:memory:/x\n")
    with pytest.raises(Unavailable, match="in no control group of version 2"):
        place(tmp_path, tmp_path)


def test_what_the_kernel_ended_is_told_to_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\nhigh 7\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n")
    monkeypatch.setattr(limiting, "LOOK_S", 0.01)
    looks = iter(["oom_kill 1\n", "oom_kill 3\n", "oom_kill 3\n"])
    spawner = SimpleNamespace(
        pid=0, group=Group(tmp_path, "/x"), user=SimpleNamespace(name="ana"), log=logging.getLogger("test"),
        acts=deque(maxlen=5),
    )  # fmt: skip

    def numbers() -> list[int]:
        told = next(looks, None)
        if told is None:
            spawner.pid = 0
        else:
            events.write_text(told)
        return []

    spawner.pid, spawner.numbers = os.getpid(), numbers
    spawner._note = limiting.Limiting._note.__get__(spawner)
    with Loop() as loop:
        loop.run(limiting.Limiting._watch(spawner, 4 * GIB))
    ((_, sentence),) = spawner.acts
    assert "more than the 4 GiB of memory that it may" in sentence
    assert "2 of its processes, the largest first, were ended. The others go on." in sentence
