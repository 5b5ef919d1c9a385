"""A forked kernel is a kernel: what jupyter_client and ipykernel promise of any, side by side with a cold one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from quantdesk.reports.kernels.children import Forked

from .conftest import Kernel, Start, gone, wait_until

pytestmark = pytest.mark.xdist_group("warm-kernels")


def forked(kernel: Kernel) -> bool:
    return isinstance(kernel.manager.provisioner.process, Forked)


def test_a_fork_is_one_and_a_cold_one_is_not(start: Start) -> None:
    assert forked(start()) is start.warm


# Who watches the parent is the one difference: the parent of a fork is not who asked for it.
FACTS = """
import gc, json, locale, os, resource, signal, sys, time, threading
told = {
    "environment": dict(os.environ), "folder": os.getcwd(), "argv": sys.argv[:2], "path": sys.path,
    "umask": os.umask(0o022), "processors": sorted(os.sched_getaffinity(0)), "flags": list(sys.flags),
    "limits": {one: resource.getrlimit(getattr(resource, one)) for one in dir(resource) if one.startswith("RLIMIT")},
    "signals": {int(number): str(signal.getsignal(number)).split(" at ")[0] for number in signal.valid_signals()},
    "mask": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    "locale": locale.setlocale(locale.LC_ALL), "zone": time.tzname, "collects": gc.isenabled(),
    "streams": [[one.encoding, one.errors, one.line_buffering, one.mode, one.name]
                for one in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
    "prefix": [sys.prefix, sys.executable, sys.orig_argv[:3]], "group": os.getpgid(0) == os.getsid(0) == os.getpid(),
    "threads": sorted({type(one).__name__ for one in threading.enumerate()} - {"ParentPollerUnix", "_Requester"}),
    "main": sorted(vars(sys.modules["__main__"]))[:12],
    "descriptors": {number: os.readlink(f"/proc/self/fd/{number}").split(":")[0] for number in (0, 1, 2)},
    "shown": open("/proc/self/cmdline").read().rstrip(chr(0)).split(chr(0))[:3],
    "seen": sorted(item for item in open("/proc/self/environ").read().split(chr(0)) if item.startswith("QUANTDESK")),
    "input": sys.stdin.read(1) if sys.stdin is sys.__stdin__ else "",
}
print(json.dumps(told))
"""


def facts(start: Start, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    monkeypatch.setenv("QUANTDESK_RUNS_LIKE", "this é\n'\"")
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    monkeypatch.delenv("SHELL", raising=False)
    told: dict[str, Any] = json.loads(start(cwd=str(folder)).run(FACTS))
    told["environment"].pop("QUANTDESK_KERNELS_WARM")
    told["seen"] = [item for item in told["seen"] if not item.startswith("QUANTDESK_KERNELS_WARM")]
    return told


def test_what_a_kernel_tells_of_itself_is_the_same(
    provisioner: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = {}
    for warm in (False, True):
        start = Start(monkeypatch, warm=warm)
        try:
            found[warm] = facts(start, monkeypatch, tmp_path)
        finally:
            start.close()
    assert sorted(found[True]) == sorted(found[False])
    apart = {name: (cold, found[True][name]) for name, cold in found[False].items() if cold != found[True][name]}
    if "environment" in apart:
        cold, warm = (set(one.items()) for one in apart["environment"])
        apart["environment"] = (cold - warm, warm - cold)
    assert apart == {}
    assert found[True]["environment"]["QUANTDESK_RUNS_LIKE"] == "this é\n'\""
    assert found[True]["environment"]["JPY_PARENT_PID"] == str(os.getpid())
    assert found[True]["folder"] == str(tmp_path)
    assert any(item.startswith("QUANTDESK_RUNS_LIKE=") for item in found[True]["seen"])


def test_packages_that_look_for_a_notebook_when_they_are_imported_find_one(
    provisioner: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import plotly.io, tqdm.auto, matplotlib, json\n"
        "print(json.dumps([plotly.io.renderers.default, str(tqdm.auto.tqdm.__mro__), matplotlib.get_backend(),\n"
        "                  plotly.io.templates.default]))"
    )
    found = []
    for warm in (False, True):
        start = Start(monkeypatch, warm=warm)
        try:
            found.append(json.loads(start().run(code).splitlines()[-1]))
        finally:
            start.close()
    assert found[1] == found[0]


def test_it_computes_shows_and_raises(start: Start) -> None:
    kernel = start()
    assert kernel.run("print(6 * 7)") == "42\n"
    assert kernel.run("1 / 0") == "ZeroDivisionError: division by zero\n"
    assert kernel.run("import pandas as pd; pd.DataFrame({'a': [1]})") == "<text/html><text/plain>"
    assert kernel.run("!echo magic") == "magic\r\n"
    assert kernel.run("raise SystemExit(3)").startswith("SystemExit: 3\n")
    assert kernel.run("get_ipython().__class__.__name__") == "<text/plain>"


def test_a_figure_is_shown_in_line(start: Start) -> None:
    shown = start().run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert shown.endswith("<image/png><text/plain>")


def test_a_sleep_is_interrupted(start: Start) -> None:
    kernel = start()
    number = kernel.begin("import time\nprint('sleeps', flush=True)\ntime.sleep(600)")
    kernel.manager.interrupt_kernel()
    assert kernel.ended(number)["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.run("print('lives')") == "lives\n"


def test_what_a_cell_started_is_interrupted_with_it(start: Start) -> None:
    kernel = start()
    number = kernel.begin("import subprocess\nprint('sleeps', flush=True)\nsubprocess.run(['sleep', '600'])")
    kernel.manager.interrupt_kernel()
    assert kernel.ended(number)["content"]["ename"] == "KeyboardInterrupt"


def test_a_restart_keeps_the_connection(start: Start) -> None:
    kernel = start()
    kernel.run("x = 1")
    before, pid = kernel.manager.get_connection_info(), kernel.pid
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(60)
    assert kernel.run("print('x' in globals())") == "False\n"
    assert kernel.manager.get_connection_info() == before
    assert kernel.pid != pid
    assert gone(pid)
    assert forked(kernel) is start.warm


def test_a_shutdown_ends_it_and_removes_its_sockets(start: Start) -> None:
    kernel = start()
    pid, file = kernel.pid, Path(kernel.manager.connection_file)
    kernel.run("import atexit, pathlib\natexit.register(pathlib.Path('at-exit').touch)", answers=())
    folder = Path(kernel.run("import os; print(os.getcwd())").strip())
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel()
    assert gone(pid)
    assert not kernel.manager.has_kernel
    assert not file.exists()
    (folder / "at-exit").unlink()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os; os._exit(7)", 7),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
    ],
)
def test_a_kernel_that_ends_by_itself_is_dead_with_its_code(start: Start, code: str, expected: int) -> None:
    kernel = start()
    process = kernel.manager.provisioner.process
    kernel.client.execute(code)
    assert process.wait(60) == expected
    assert process.poll() == expected
    assert not kernel.manager.is_alive()


def test_a_killed_kernel_is_started_again(start: Start) -> None:
    kernel = start()
    os.kill(kernel.pid, signal.SIGKILL)
    wait_until(lambda: not kernel.manager.is_alive())
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(60)
    assert kernel.run("print(1)") == "1\n"


def test_a_cell_can_ask(start: Start) -> None:
    kernel = start()
    asked = kernel.run("import getpass\nprint(input('who? ') + getpass.getpass())", answers=("ada", " lovelace"))
    assert asked.endswith("ada lovelace\n")
    assert kernel.run("input()").startswith("StdinNotImplementedError")


def test_no_two_kernels_draw_the_same_numbers(start: Start) -> None:
    code = (
        "import numba, random, uuid, numpy as np, os\n"
        "@numba.njit\ndef drawn():\n    return np.random.random()\n"
        "print(random.random(), np.random.random(), np.random.default_rng().random(), uuid.uuid4(), drawn(),\n"
        "      os.urandom(4).hex())"
    )
    drawn = [start().run(code).split() for _ in range(2)]
    assert not set(drawn[0]) & set(drawn[1])


def test_it_starts_processes_and_threads(start: Start, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("def twice(x):\n    return 2 * x\n")
    code = (
        "import multiprocessing, concurrent.futures, subprocess, sys, work\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n    print(pool.map(work.twice, [1]))\n"
        "with concurrent.futures.ThreadPoolExecutor() as pool:\n    print(list(pool.map(work.twice, [2])))\n"
        "with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool:\n"
        "    print(list(pool.map(work.twice, [3])))\n"
        "print(subprocess.run([sys.executable, '-c', 'print(4)'], capture_output=True, text=True).stdout)"
    )
    assert start(cwd=str(tmp_path)).run(code).split() == ["[2]", "[4]", "[6]", "4"]


def test_a_script_is_run(start: Start, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nif __name__ == '__main__':\n    print(sys.argv)\n    y = 5\n")
    kernel = start(cwd=str(tmp_path))
    assert kernel.run("%run script.py a b") == "['script.py', 'a', 'b']\n"
    assert kernel.run("print(y)") == "5\n"


def test_the_debugger_listens(start: Start) -> None:
    kernel = start()
    message = kernel.client.session.msg("debug_request", {"type": "request", "seq": 1, "command": "debugInfo"})
    kernel.client.control_channel.send(message)
    reply = kernel.client.get_control_msg(timeout=60)
    assert reply["content"]["success"], reply
    assert reply["content"]["body"]["isStarted"] is False


def test_what_it_prints_past_the_notebook_goes_where_the_requester_said(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        kernel = start(stdout=log, stderr=subprocess.STDOUT)
    kernel.run("import sys, os\nprint('out', file=sys.__stdout__, flush=True)\nprint('err', file=sys.__stderr__)")
    assert {"out", "err"} <= set((tmp_path / "log").read_text().split())


def test_more_memory_than_it_may_have_is_an_error_and_no_death(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from quantdesk.reports.kernels.provisioner import WarmProvisioner

    monkeypatch.setattr(WarmProvisioner, "limits", {"RLIMIT_DATA": 2_000_000_000})
    kernel = start()
    assert kernel.run("x = bytearray(3_000_000_000)").startswith("MemoryError")
    assert kernel.run("print(len(bytearray(10_000_000)))") == "10000000\n"


REQUESTER = """
import sys, time
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory
from importlib.metadata import EntryPoint
factory = KernelProvisionerFactory.instance()
path = "quantdesk.reports.kernels.provisioner:WarmProvisioner"
factory.provisioners["quantdesk-warm"] = EntryPoint("quantdesk-warm", path, factory.GROUP_NAME)
manager = KernelManager(kernel_name="python3")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(60)
print(manager.provisioner.pid, flush=True)
time.sleep(600)
"""


def test_a_kernel_ends_when_whoever_started_it_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_KERNELS_WARM", str(start.warm).lower())
    requester = subprocess.Popen([sys.executable, "-c", REQUESTER], stdout=subprocess.PIPE, text=True)
    assert requester.stdout is not None
    pid = int(requester.stdout.readline())
    assert psutil.Process(pid).is_running()
    requester.kill()
    requester.communicate()
    wait_until(lambda: gone(pid))
