"""Runs on the emulated machine: servers in control groups, of which one takes more than it may. Says what it saw.

Besides the product's two files there is nothing of quantdesk here.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MIB = 2**20
HERE = Path("/guest")
ROOT = Path("/sys/fs/cgroup")
#: A user's server: tries to leave, has a zygote fork a kernel, and answers one line for each that it reads.
SERVER = """
import json, os, signal, sys

def own():
    return open("/proc/self/cgroup").read().strip()

def tell(**what):
    print(json.dumps(what), flush=True)

def left():
    for folder in ("/sys/fs/cgroup", os.path.dirname("/sys/fs/cgroup" + own()[3:])):
        for name in ("cgroup.procs", "memory.max"):
            try:
                with open(folder + "/" + name, "w") as file:
                    file.write(str(os.getpid()))
                return True
            except OSError:
                pass
    try:
        open("/sys/fs/cgroup" + own()[3:] + "/memory.max", "w").write("max")
        return True
    except OSError:
        return False

def kernel(code):
    "What a kernel that a zygote forks has to say, and how it ended."
    reading, writing = os.pipe()
    zygote = os.fork()
    if not zygote:
        forked = os.fork()
        if not forked:
            os.write(writing, (own() + "\\n").encode())
            exec(code)
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) & 0xFF)
    status = os.waitstatus_to_exitcode(os.waitpid(zygote, 0)[1])
    os.close(writing)
    return os.read(reading, 1000).decode().strip(), status

tell(group=own(), left=left(), uid=os.getuid())
for line in sys.stdin:
    word, _, code = line.partition(" ")
    if word == "kernel":
        said, status = kernel(code)
        tell(kernel=said, status=status)
    elif word == "forks":
        born = []
        try:
            while len(born) < 500:
                child = os.fork()
                if not child:
                    signal.pause()
                born.append(child)
            refused = ""
        except OSError as error:
            refused = error.strerror
        for child in born:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        tell(born=len(born), refused=refused)
    elif word == "stay":
        if not os.fork():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.setsid()
            while True:
                signal.pause()
        tell(stays=True)
"""
HOG = "held = []\nwhile True: held.append(bytearray(b'x') * 1048576)"
SPIN = "import time\nend = time.monotonic() + 3\nwhile time.monotonic() < end: pass"


def load(name: str) -> Any:
    spec: Any = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


groups, limited = load("groups"), load("limited")


def say(**what: Any) -> None:
    sys.stdout.write(f"SAID {json.dumps(what)}\n")
    sys.stdout.flush()


def start(group: Any) -> tuple[Any, Any]:
    line = limited.limited([sys.executable, "-I", "-S", "-c", SERVER], [0, 1], 0, group.path)
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "text": True,
        "user": 1000,
        "group": 1000,
    }
    server = subprocess.Popen(line, **pipes, extra_groups=[])
    group.enter(server.pid)
    return server, json.loads(server.stdout.readline())


def ask(server: Any, line: str) -> Any:
    server.stdin.write(f"{line}\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def code(text: str) -> str:
    return f"kernel exec({text!r})"


def field(group: Any, name: str, key: str) -> int:
    lines = (group.folder / name).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.split()[0] == key)


# The topmost group, as root has it on a machine without systemd.
found = groups.prepared(groups.place())
say(top=found.is_top, path=found.path, controllers=(ROOT / "cgroup.subtree_control").read_text().split())
groups.TASKS = 40
ana, bob = found.group("hub", "ana"), found.group("hub", "bob")
ana.make(64 * MIB, 0.5)
bob.make(128 * MIB, 1)
kept = {name: (ana.folder / name).read_text().strip() for name in ("memory.high", "memory.max", "cpu.max", "pids.max")}
say(limits=kept, weight=[(one.folder / "cpu.weight").read_text().strip() for one in (ana, bob)])
(server, told), (other, told_other) = start(ana), start(bob)
say(servers=[told, told_other], expected=[ana.path, bob.path])

say(calm=ask(server, code("x = bytearray(b'x') * (20 * 1048576)")), killed=[ana.killed(), bob.killed()])
say(hog=ask(server, code(HOG)), killed=[ana.killed(), bob.killed()], slowed=field(ana, "memory.events", "high") > 0)
say(other=ask(other, code("x = bytearray(b'x') * (100 * 1048576)")), after=ask(server, code("pass")))
say(spun=ask(server, code(SPIN)), throttled=[field(one, "cpu.stat", "nr_throttled") > 0 for one in (ana, bob)])
say(forks=ask(server, "forks now"))

# A hub that was restarted knows it again; one that ends a server removes it with all that is in it.
again = groups.place().group("hub", "ana")
ask(server, "stay here")
say(again=again == ana, numbers=len(again.numbers()), killed=again.killed(), mine=server.pid in again.numbers())
say(removed=again.remove(), there=ana.folder.exists(), ended=server.wait(), other=other.poll(), twice=again.remove())
bob.remove()

# A group that systemd has made for a unit, and the same with Delegate=yes.
unit = ROOT / "system.slice" / "quantdesk.service"
unit.mkdir(parents=True)
(ROOT / "system.slice" / "cgroup.subtree_control").write_text("+memory +cpu +pids")
(unit / "cgroup.procs").write_text(str(os.getpid()))
bystander = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
try:
    groups.place()
    say(undelegated="was taken")
except groups.Unavailable as why:
    say(undelegated=str(why), touched=[one.name for one in unit.iterdir() if one.is_dir()])
os.setxattr(unit, "user.delegate", b"1")
found = groups.prepared(groups.place())
say(delegated=found.path, top=found.is_top, own=Path("/proc/self/cgroup").read_text().strip())
say(moved=Path(f"/proc/{bystander.pid}/cgroup").read_text().strip(), empty=groups._numbers(unit) == [])
cyd = found.group("hub", "c/y d")
cyd.make(64 * MIB, 1)
server, told = start(cyd)
say(server=told, expected=cyd.path, hog=ask(server, code(HOG)), killed=cyd.killed(), again=groups.place() == found)
say(removed=cyd.remove())
bystander.kill()
(unit / "cgroup.subtree_control").write_text("-memory")
with contextlib.suppress(OSError):
    (ROOT / "system.slice" / "cgroup.subtree_control").write_text("-memory")
try:
    groups.place()
    say(without="was taken")
except groups.Unavailable as why:
    say(without=str(why))
say(done=time.monotonic())
