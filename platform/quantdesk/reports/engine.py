"""How papermill runs a notebook here: cell by cell, watched, with what went wrong kept as a value. An edge module.

Papermill's own engine marks a cell that timed out or whose kernel died as completed, says nothing about either in the
notebook, and counts ``sys.exit(0)`` as success. This one is papermill's engine interface with those three put right.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from traitlets.config import Config

from quantdesk.reports.banner import place
from quantdesk.reports.capped import OutputCap
from quantdesk.reports.kernels.provisioner import NAME as PROVISIONER
from quantdesk.reports.kernels.provisioner import WarmProvisioner
from quantdesk.reports.runs import Problem, Status
from quantdesk.reports.watch import Watch

__all__ = ["ENGINE", "Session"]

ENGINE = "quantdesk"
RECONNECT_MS = 5
"""Milliseconds until a connection is tried again; ZeroMQ's own are 100."""
SHUTDOWN_S = 5.0
"""Seconds that a kernel has for what it does at its end."""
OUT_OF_MEMORY = frozenset({"MemoryError", "_ArrayMemoryError", "ArrowMemoryError", "OutOfMemoryException"})
"""Names of what Python, numpy, Arrow and DuckDB raise where an allocation is refused."""


@dataclass
class Session:
    """What one run shares between engine, client and worker.

    Parameters
    ----------
    watch
        Its clock.
    progress
        Told ``(what, done, total)`` in code cells.
    checkpoint
        Where the notebook is kept while it runs.
    folder
        Working directory of the kernel.
    sockets
        Private folder for the sockets between this process and the kernel.
    cap
        How much output is kept.
    limits
        Soft resource limits of the kernel, by their names in the module `resource`.
    """

    watch: Watch
    progress: Callable[[str, int, int], None]
    checkpoint: Path
    folder: Path
    sockets: Path
    cap: OutputCap = field(default_factory=lambda: OutputCap(20_000_000))
    limits: Mapping[str, int] = field(default_factory=dict)
    notebook: Any = None
    status: Status = Status.COMPLETED
    problem: Problem | None = None
    client: Any = None
    ending: Any = None
    """The process of a kernel that was asked to end."""
    ran: int = 0
    """Code cells that have come to their end, of whatever kind."""

    def signal_kernel(self, number: int) -> None:
        """Send a signal to the kernel's process group, when there is one."""
        provisioner = getattr(getattr(self.client, "km", None), "provisioner", None)
        pid = getattr(provisioner, "pid", None)
        if pid:
            with contextlib.suppress(OSError):
                os.killpg(pid, number)

    def kernel_ended(self) -> None:
        """Wait for the end of a kernel that was asked to; one that takes too long is told to with SIGTERM."""
        if self.ending is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.ending.wait(timeout=SHUTDOWN_S / 2)
                return
            with contextlib.suppress(OSError):
                os.killpg(self.ending.pid, number)

    def notes(self) -> tuple[str, ...]:
        """What a reader has to know beside: which outputs were cut."""
        cells = self.notebook.cells if self.notebook is not None else []
        code = [index for index, cell in enumerate(cells) if cell.cell_type == "code"]
        return self.cap.notes({index: number for number, index in enumerate(code, 1)})

    def fail(self, status: Status, message: str, cell: Any = None) -> None:
        """Note what ended the run. What the watch knows goes before what the kernel's end looked like."""
        if self.problem is not None:
            return
        reason = self.watch.reason
        self.status = status if reason is None else reason.status
        cells = self.notebook.cells if self.notebook is not None else []
        number, heading = place(cells, cell)
        identity = cell.get("id") if cell is not None else None
        self.problem = Problem(message if reason is None else reason.message, number, identity, heading)


class _Manager(NotebookExecutionManager):  # type: ignore[misc]
    """Papermill's record of a run, with our checkpoint, progress and clock in its hooks."""

    def __init__(self, nb: Any, session: Session) -> None:
        self._session = session
        self._total = sum(cell.cell_type == "code" for cell in nb.cells)
        self._next_save = 0.0
        super().__init__(nb, progress_bar=False)
        session.notebook = nb

    def save(self, **_: Any) -> None:
        """Keep the notebook as it is now; when that is slow, for a tenth of the time at most."""
        begun = time.monotonic()
        if begun >= self._next_save:
            self.keep()
            cost = time.monotonic() - begun
            self._next_save = time.monotonic() + (10 * cost if cost > 0.2 else 0.0)
        super().save()

    def keep(self) -> None:
        """Write the checkpoint."""
        temporary = self._session.checkpoint.with_suffix(".tmp")
        temporary.write_text(nbformat.writes(self.nb), "utf-8")  # type: ignore[no-untyped-call]
        os.replace(temporary, self._session.checkpoint)

    def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        super().cell_start(cell, cell_index, **kwargs)
        if cell.cell_type == "code":
            number, heading = place(self.nb.cells, cell)
            self._session.progress(heading or f"cell {number}", self._session.ran, self._total)
            self._session.watch.cell_begins()

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        super().cell_complete(cell, cell_index, **kwargs)
        if cell.cell_type == "code":
            self._session.watch.cell_ended()
            self._session.ran += 1


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """Papermill's client, which stops at the first failure of whatever kind and says what it was."""

    def __init__(self, nb_man: _Manager, session: Session, **kwargs: Any) -> None:
        self.km: Any
        self.kc: Any
        super().__init__(nb_man, **kwargs)
        self.session = session
        session.client = self

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if not self.session.cap.admit(msg, cell_index):
            return None
        return super().process_message(msg, cell, cell_index)

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            if self.session.watch.reason is not None:
                self.session.fail(Status.CANCELLED, "", None)
                break
            try:
                self.nb_man.cell_start(cell, index)
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                self._failed(cell, index, *self._raised(error))
                break
            except DeadKernelError:
                self._failed(cell, index, Status.KERNEL_DIED, _death(self.km))
                raise  # papermill would wait for an answer of the dead kernel
            except CellTimeoutError as error:
                self._failed(cell, index, Status.FAILED, str(error).splitlines()[0])
                break
            finally:
                self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)
        if self.session.watch.reason is not None:
            # The last cell swallowed the interrupt and came to its end all the same.
            self.session.fail(Status.CANCELLED, "", self.nb.cells[-1])
            self.shutdown_kernel = "immediate"

    async def _async_cleanup_kernel(self) -> None:
        """Ask a healthy kernel to end, and do not wait for it: the page can be made meanwhile."""
        manager = self.km
        if self.shutdown_kernel == "immediate" or manager is None or not await manager.is_alive():
            await super()._async_cleanup_kernel()
            return
        manager.shutting_down = True
        self.session.ending = manager.provisioner.process
        await manager.interrupt_kernel()
        await manager.request_shutdown()
        await manager.cleanup_resources()
        self.kc.stop_channels()
        self.kc = self.km = None

    _cleanup_kernel = run_sync(_async_cleanup_kernel)

    def _raised(self, error: CellExecutionError) -> tuple[Status, str]:
        """How a cell that raised counts: one that was refused memory by the run's limit ran out of it."""
        allowed = self.session.watch.limits.memory_bytes
        if allowed is None or error.ename not in OUT_OF_MEMORY:
            return Status.FAILED, _told(error)
        used = self.session.watch.peak_memory_bytes
        most = f", and had used {used / 1e6:,.0f} MB" if used else ""
        return (
            Status.OUT_OF_MEMORY,
            f"{_told(error).rstrip('.')}. The report may use {allowed / 1e6:,.0f} MB of memory{most}.",
        )

    def _failed(self, cell: Any, index: int, status: Status, message: str) -> None:
        self.nb_man.cell_exception(cell, cell_index=index)
        self.session.fail(status, message, cell)


def _told(error: CellExecutionError) -> str:
    if error.ename == "SystemExit":
        return f"The cell ended the report by itself (sys.exit({error.evalue or 0}))."
    first = str(error.evalue).strip().splitlines()[:1]
    text = f"{error.ename}: {first[0]}" if first else str(error.ename)
    return text if len(text) <= 500 else text[:497] + "..."


def _death(km: Any) -> str:
    """What ended the kernel, as far as its exit code tells."""
    process = getattr(getattr(km, "provisioner", None), "process", None)
    code = process.poll() if process is not None else None
    if code == -signal.SIGKILL:
        return "The kernel was killed (SIGKILL). The usual cause is that the machine ran out of memory."
    if code is not None and code < 0:
        return f"The kernel died of {signal.Signals(-code).name}."
    return "The kernel died." if code is None else f"The kernel ended by itself with exit code {code}."


def _use_forks(session: Session) -> None:
    """Have the kernel forked, whether or not the provisioner is an entry point of this installation."""
    WarmProvisioner.limits = dict(session.limits)
    factory = KernelProvisionerFactory.instance()
    path = f"{WarmProvisioner.__module__}:{WarmProvisioner.__qualname__}"
    factory.provisioners[PROVISIONER] = EntryPoint(PROVISIONER, path, KernelProvisionerFactory.GROUP_NAME)
    factory.default_provisioner_name = PROVISIONER


class _Channels(AsyncKernelClient):
    """The client of a kernel that was started for this one notebook, and that nobody else has talked to."""

    async def _ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel has answered, and has said on the channel of outputs that it is idle again.

        jupyter_client instead waits for a silence of 0.2 s, because it cannot know who else is asking.
        """
        end = time.monotonic() + (timeout or 120.0)
        while time.monotonic() < end:
            asked = self.kernel_info()
            try:
                reply = await self.shell_channel.get_msg(timeout=1)
                while reply["parent_header"].get("msg_id") != asked:
                    reply = await self.shell_channel.get_msg(timeout=1)
                told: dict[str, Any] = {}
                while told.get("execution_state") != "idle":
                    message = await self.iopub_channel.get_msg(timeout=0.2)
                    told = message["content"] if message["parent_header"].get("msg_id") == asked else {}
            except Empty:  # it is still starting, or that channel was not connected in time
                if self.parent is not None and not await self.parent.is_alive():
                    raise RuntimeError("Kernel died before replying to kernel_info") from None
                continue
            self._handle_kernel_info_reply(reply)
            return
        raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")

    wait_for_ready = _ready

    def _create_connected_socket(self, *arguments: Any, **named: Any) -> Any:
        """As ever, but one that finds nobody yet tries again at once: the kernel's sockets come one after another."""
        self.context.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        return super()._create_connected_socket(*arguments, **named)


class _Engine(NBClientEngine):  # type: ignore[misc]
    """The engine that papermill knows as ``quantdesk``."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, *, session: Session, **_: Any) -> Any:
        manager = _Manager(nb, session)
        manager.notebook_start()
        _use_forks(session)
        # Sockets in a private folder need no free port and answer to nobody else; their path has to be short.
        where = {"transport": "ipc", "ip": str(session.sockets / "k")} if len(str(session.sockets)) < 90 else {}
        client = _Client(
            manager,
            session,
            kernel_name=kernel_name,
            config=Config({"KernelManager": {**where, "client_factory": _Channels}}),
            startup_timeout=120,
            iopub_timeout=120,
            # A report shows what it printed; what a library whispers to the debug log is not part of it.
            store_widget_state=False,
        )
        try:
            client.execute(cwd=str(session.folder))
        except (RuntimeError, OSError, TimeoutError) as error:
            # Before the first cell, or after the last one: the kernel did not start, or did not answer any more.
            session.fail(Status.KERNEL_DIED, f"The kernel did not answer ({error or type(error).__name__}).")
        finally:
            manager.notebook_complete()
            manager.keep()
        return manager.nb


papermill_engines.register(ENGINE, _Engine)
