"""Kernels that no other account of the machine can listen to. An edge module.

By default a kernel publishes what it prints on a TCP port of 127.0.0.1, signed but readable for everybody on the
machine. `PrivateProvisioner` puts its sockets into the user's private runtime directory instead, whoever starts it:
JupyterLab, the scheduler, nbconvert, or a command in a terminal.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.paths import jupyter_runtime_dir

from quantdesk.reports.kernels.sockets import kernel_transport

__all__ = ["PrivateProvisioner"]

LISTENER = "quantdesk.reports.kernels.plea"
"""What a kernel loads whose server has a limit of memory."""


class PrivateProvisioner(LocalProvisioner):
    """The local provisioner, with sockets in the runtime directory where the path is short enough for them."""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose the sockets before the connection file is written. A restart, which has one, keeps them."""
        manager: Any = self.parent
        runtime = jupyter_runtime_dir()
        fresh = manager is not None and manager.transport == "tcp" and not manager.shell_port
        if fresh and kernel_transport(runtime) == "ipc":
            Path(runtime).mkdir(mode=0o700, parents=True, exist_ok=True)
            manager.transport = "ipc"
            manager.ip = str(Path(runtime, f"kernel-{uuid.uuid4()}-ipc"))
            manager.cache_ports = False
        prepared: dict[str, Any] = await super().pre_launch(**kwargs)
        if prepared.get("env", {}).get("MEM_LIMIT") and "ipykernel_launcher" in prepared.get("cmd", ()):
            prepared["cmd"] = [*prepared["cmd"], f"--ext={LISTENER}"]
        return prepared
