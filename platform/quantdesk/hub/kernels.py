"""Kernels that no other account of the machine can listen to. An edge module.

By default a kernel publishes what it prints on a TCP port of 127.0.0.1, signed but readable for everybody on the
machine. `PrivateProvisioner` puts its sockets into the user's private runtime directory instead, whoever starts it:
JupyterLab, the scheduler, nbconvert, or a command in a terminal. It is the entry point ``quantdesk-private`` of the
group ``jupyter_client.kernel_provisioners``; the hub's servers name it in ``JUPYTER_DEFAULT_PROVISIONER_NAME``.
"""

from __future__ import annotations

import uuid
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.paths import jupyter_runtime_dir

from quantdesk.hub.lab import kernel_transport

__all__ = ["NAME", "PrivateProvisioner", "registered"]

NAME = "quantdesk-private"


def registered() -> bool:
    """Whether this installation has the entry point; to name one that is missing would keep kernels from starting."""
    return bool(entry_points(group="jupyter_client.kernel_provisioners", name=NAME))


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
        return prepared
