"""The kernel provisioner ``quantdesk-warm``: a fork of a zygote where there is one, else a new process. An edge module.

It is an entry point of the group ``jupyter_client.kernel_provisioners`` and named by the kernel ``quantdesk``, so that
JupyterLab, nbclient, papermill, nbval and the runner of reports get their kernels from it alike. Whatever a manager of
kernels may do with the process, it does with a fork: poll, wait, signal, kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quantdesk.reports.kernels import pair
from quantdesk.reports.kernels.children import Forked
from quantdesk.reports.kernels.client import Cold, Zygotes, ordered
from quantdesk.reports.kernels.config import KernelsConfig
from quantdesk.reports.kernels.order import KERNEL
from quantdesk.reports.kernels.private import PrivateProvisioner
from quantdesk.reports.kernelspec import PROVISIONER as NAME

__all__ = ["NAME", "WarmProvisioner"]

_KNOWN = {"env", "cwd", "stdin", "stdout", "stderr", "independent", "kernel_id", "extra_arguments"}
_EMPTY: tuple[object, ...] = (None, False, (), [], {})


class WarmProvisioner(PrivateProvisioner):
    """Forks kernels, with sockets that nobody else can listen to."""

    process: Any
    limits: dict[str, int] = {}  # noqa: RUF012 (traitlets reads annotations of its own)
    """Soft resource limits by their names in the module `resource`, for the kernels to come."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """A fork, or a new process, with the same standing afterwards."""
        child = await self._forked(cmd, kwargs)
        if child is None:
            if self.limits:
                kwargs["preexec_fn"] = self._limited
            return await super().launch_kernel(cmd, **kwargs)
        self.process = child
        self.pid = self.pgid = child.pid
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    async def _forked(self, cmd: list[str], kwargs: dict[str, Any]) -> Forked | None:
        zygotes = Zygotes(kwargs["env"])
        try:
            arguments = _arguments(cmd, kwargs)
        except Cold as cold:
            zygotes.refuse(KERNEL, str(cold))
            return None
        environment = dict(kwargs["env"])
        if not kwargs.get("independent"):
            environment["JPY_PARENT_PID"] = str(os.getpid())
        order = ordered(arguments, cmd, environment, kwargs.get("cwd") or os.getcwd(), self.limits)  # noqa: PTH109
        with _descriptors(kwargs) as descriptors:
            own = pair.take()
            if own is not None:
                begun = own.start(order, descriptors, KernelsConfig.from_env().answer_s)
                if begun is not None:
                    return begun
            return await asyncio.to_thread(zygotes.fork, KERNEL, order, descriptors)

    def _limited(self) -> None:
        """Between fork and exec of a cold start."""
        import resource

        for name, soft in self.limits.items():
            number = getattr(resource, name)
            resource.setrlimit(number, (soft, resource.getrlimit(number)[1]))

    async def wait(self) -> int | None:
        """Wait for the end; a fork is asked more often, because it ends sooner."""
        if isinstance(self.process, Forked):
            pause = 0.002
            while await self.poll() is None:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.1)
        code: int | None = await super().wait()
        return code

    async def send_signal(self, signum: int) -> None:
        """To the whole process group, as ever; a fork that has ended gets nothing."""
        if isinstance(self.process, Forked):
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signum)
            return
        await super().send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """SIGKILL to the process group."""
        if isinstance(self.process, Forked):
            await self.send_signal(signal.SIGKILL)
            return
        await super().kill(restart)


def _arguments(cmd: list[str], kwargs: dict[str, Any]) -> list[str]:
    """The arguments of ipykernel's launcher.

    Raises
    ------
    Cold
        It is another command, or something is asked that a fork cannot do.
    """
    if len(cmd) < 3 or cmd[0] != sys.executable or cmd[1:3] != ["-m", "ipykernel_launcher"]:
        raise Cold(f"the kernel is not this interpreter with ipykernel ({' '.join(cmd[:3])})")
    odd = sorted(name for name in set(kwargs) - _KNOWN if kwargs[name] not in _EMPTY)
    if odd:
        raise Cold(f"a fork does not know {', '.join(odd)}")
    if subprocess.PIPE in (kwargs.get("stdout"), kwargs.get("stderr")):
        raise Cold("its output is wanted on a pipe of subprocess")
    return cmd[3:]


@contextlib.contextmanager
def _descriptors(kwargs: dict[str, Any]) -> Iterator[list[int]]:
    """Standard input, output and error as `jupyter_client.launcher` gives them to a kernel."""
    with contextlib.ExitStack() as opened:

        def handle(what: Any, own: int) -> int:
            if what is None:
                return own
            if what == subprocess.DEVNULL:
                null = os.open(os.devnull, os.O_RDWR)
                opened.callback(os.close, null)
                return null
            return what if isinstance(what, int) else int(what.fileno())

        given = kwargs.get("stdin")
        if given in (None, subprocess.PIPE):
            read, write = os.pipe()
            os.close(write)
            opened.callback(os.close, read)
            given = read
        out = handle(kwargs.get("stdout"), 1)
        error = out if kwargs.get("stderr") == subprocess.STDOUT else handle(kwargs.get("stderr"), 2)
        yield [handle(given, 0), out, error]
