"""A zygote of the tests' own, with few packages, so that it is ready soon; and kernels, forked and cold."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from quantdesk.reports.kernels import KernelsConfig, Status, restart
from quantdesk.reports.kernels.client import Zygotes
from quantdesk.reports.kernels.provisioner import NAME, WarmProvisioner

MODULES = "numpy,pandas,numba,plotly.io,threadpoolctl"
PATIENCE_S = 60.0


@pytest.fixture(scope="session")
def settings() -> Iterator[pytest.MonkeyPatch]:
    """Warm kernels are on, in a short folder of the tests' own."""
    folder = Path(tempfile.mkdtemp(prefix="qdk-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTDESK_KERNELS_WARM", "true")
        patch.setenv("QUANTDESK_KERNELS_FOLDER", str(folder / "zygotes"))
        patch.setenv("QUANTDESK_KERNELS_MODULES", MODULES)
        patch.setenv("QUANTDESK_KERNELS_ANSWER_S", str(PATIENCE_S))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        yield patch
    for path in (folder / "zygotes").glob("warm-*"):
        end(path)
    shutil.rmtree(folder)


def end(folder: Path) -> None:
    """End the zygote of a folder, and wait until it is gone."""
    zygotes = Zygotes.at(folder, KernelsConfig.from_env())

    def over() -> bool:
        """It has written its number down by now, or will do so in a moment."""
        pid = zygotes.noted().get("pid")
        if pid and zygotes.held() and not gone(pid):
            os.kill(pid, signal.SIGKILL)
        return not zygotes.held()

    wait_until(over)


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def zygote(settings: pytest.MonkeyPatch) -> Status:
    """A zygote that is ready, for kernels that inherit the environment of the tests."""
    return restart()


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@dataclass
class Kernel:
    """A kernel and a client of it."""

    manager: KernelManager
    client: Any

    @property
    def pid(self) -> int:
        return self.manager.provisioner.pid

    def run(self, code: str, *, answers: tuple[str, ...] = ()) -> str:
        """What a cell prints, shows as text, and raises."""
        given = list(answers)
        told: list[str] = []

        def keep(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                told.append(content["text"])
            elif message["msg_type"] == "error":
                told.append(f"{content['ename']}: {content['evalue']}\n")
            elif message["msg_type"] in ("display_data", "execute_result"):
                told.extend(f"<{kind}>" for kind in sorted(content["data"]))

        self.client.execute_interactive(
            code,
            timeout=PATIENCE_S,
            output_hook=keep,
            allow_stdin=bool(answers),
            stdin_hook=lambda message: self.client.input(given.pop(0)),
        )
        return "".join(told)

    def begin(self, code: str) -> str:
        """Start a cell; its number as a message. Returns when the cell has said that it is under way."""
        # A kernel refuses what comes right after an error, unless it is told to go on.
        number: str = self.client.execute(code, stop_on_error=False)
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE_S)
            if message["parent_header"].get("msg_id") == number and message["msg_type"] == "stream":
                return number

    def ended(self, number: str) -> dict[str, Any]:
        """The reply to a cell."""
        while True:
            reply: dict[str, Any] = self.client.get_shell_msg(timeout=PATIENCE_S)
            if reply["parent_header"].get("msg_id") == number:
                return reply

    def flush(self) -> None:
        """Forget what the kernel said."""
        with pytest.raises(queue.Empty):
            while True:
                self.client.get_iopub_msg(timeout=0.1)


class Start:
    """Starts kernels, warm or cold, and ends them all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, warm: bool) -> None:
        self.warm = warm
        self._patch = monkeypatch
        self._started: list[Kernel] = []

    def __call__(self, **options: Any) -> Kernel:
        self._patch.setenv("QUANTDESK_KERNELS_WARM", str(self.warm).lower())
        manager = KernelManager(kernel_name="python3")
        manager.start_kernel(**options)
        return self.use(manager)

    def use(self, manager: KernelManager) -> Kernel:
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(PATIENCE_S)
        kernel = Kernel(manager, client)
        self._started.append(kernel)
        return kernel

    def close(self) -> None:
        for kernel in self._started:
            kernel.client.stop_channels()
            if kernel.manager.has_kernel:
                kernel.manager.shutdown_kernel(now=True)


@pytest.fixture
def provisioner(zygote: Status, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ours is the one that every manager uses."""
    KernelProvisionerFactory.clear_instance()
    path = f"{WarmProvisioner.__module__}:{WarmProvisioner.__qualname__}"
    entry = EntryPoint(NAME, path, KernelProvisionerFactory.GROUP_NAME)
    monkeypatch.setitem(KernelProvisionerFactory.provisioners, NAME, entry)
    monkeypatch.setenv(KernelProvisionerFactory.default_provisioner_name_env, NAME)
    yield
    KernelProvisionerFactory.clear_instance()


@pytest.fixture(params=["warm", "cold"])
def start(request: pytest.FixtureRequest, provisioner: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts kernels: each test that asks for it runs with forks, and with new processes."""
    started = Start(monkeypatch, warm=request.param == "warm")
    yield started
    started.close()


@pytest.fixture
def fork(provisioner: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts forks only."""
    started = Start(monkeypatch, warm=True)
    yield started
    started.close()
