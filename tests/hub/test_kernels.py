"""Kernels publish nothing on TCP, whoever starts them and in whichever way."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import KernelManager, start_new_kernel
from jupyter_client.provisioning import KernelProvisionerFactory

from quantdesk.hub import kernels
from quantdesk.reports.kernels import private


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short runtime directory, and our provisioner as the default one."""
    folder = Path(tempfile.mkdtemp(prefix="qd-"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    monkeypatch.setenv(KernelProvisionerFactory.default_provisioner_name_env, kernels.NAME)
    KernelProvisionerFactory.clear_instance()
    entry = EntryPoint(kernels.NAME, "quantdesk.hub.kernels:PrivateProvisioner", "jupyter_client.kernel_provisioners")
    monkeypatch.setitem(KernelProvisionerFactory.provisioners, kernels.NAME, entry)
    yield folder
    KernelProvisionerFactory.clear_instance()
    shutil.rmtree(folder)


def run(manager: KernelManager, code: str) -> str:
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(30)
    printed: list[str] = []

    def keep(told: dict[str, Any]) -> None:
        if told["msg_type"] == "stream":
            printed.append(told["content"]["text"])

    client.execute_interactive(code, timeout=30, output_hook=keep)
    client.stop_channels()
    return "".join(printed)


def sockets(manager: KernelManager) -> list[str]:
    """Which of a kernel's five channels its process has opened as sockets in the runtime directory."""
    found = psutil.Process(manager.provisioner.pid).net_connections("unix")
    return sorted({Path(one.laddr).name.rsplit("-", 1)[1] for one in found if str(one.laddr).startswith(manager.ip)})


def test_a_manager_that_knows_nothing_of_it_gets_a_private_kernel(runtime: Path) -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    client.stop_channels()
    try:
        assert manager.transport == "ipc"
        assert Path(manager.ip).parent == runtime
        assert stat.S_IMODE(runtime.stat().st_mode) & 0o077 == 0, "nobody else can enter where they are"
        assert run(manager, "print(6 * 7)") == "42\n"
        assert sockets(manager) == ["1", "2", "3", "4", "5"]
        before = manager.ip
        manager.restart_kernel(now=True)
        assert run(manager, "print('again')") == "again\n"
        assert manager.ip == before
    finally:
        manager.shutdown_kernel(now=True)
    assert not [path for path in runtime.iterdir() if path.name.startswith("kernel-")]


def test_a_path_that_is_too_long_falls_back(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "kernel_transport", lambda runtime: "tcp")
    manager, client = start_new_kernel(kernel_name="python3")
    client.stop_channels()
    try:
        assert manager.transport == "tcp"
        assert run(manager, "print(1)") == "1\n"
    finally:
        manager.shutdown_kernel(now=True)
