"""An IPython kernel in a fork of a zygote. An edge module.

It is ipykernel's own application with its own start. Two things differ: what was imported before a shell existed, and
looked for one, is told now; and the parent whose end ends the kernel is whoever asked for it, not the zygote.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import select
import socket
import sys
import threading
from typing import Any

from quantdesk.reports.kernels import stack
from quantdesk.reports.kernels.become import become
from quantdesk.reports.kernels.order import Order
from quantdesk.reports.kernels.wire import Closed, receive, send

__all__ = ["run", "take_order"]


def take_order(connection: socket.socket) -> Order | None:
    """Wait for an order, be what it says, and tell so; None when nobody wants anything any more."""
    try:
        wanted, descriptors = receive(connection)
        order = Order.from_dict(wanted)
    except (Closed, OSError) as error:
        sys.stderr.write(f"{os.getpid()} was not needed ({error})\n")
        return None
    told: dict[str, Any] = {"started": os.getpid()}
    try:
        become(order, descriptors, connection)
    except Exception as error:  # noqa: BLE001 (whatever it is, the requester starts cold and says why)
        told = {"failed": f"{type(error).__name__}: {error}"}
    try:
        send(connection, told)
    except OSError:
        return None
    return order if "started" in told else None


def run(connection: socket.socket) -> int:
    """Be a kernel, to its end.

    Parameters
    ----------
    connection
        Where the order comes from; closed when the kernel begins.

    Returns
    -------
    int
        The exit code, unless the kernel's end is an exception, as with ipykernel itself.
    """
    order = take_order(connection)
    connection.close()
    if order is None:
        return 0
    os.environ.update(stack.SET_BY_KERNEL)
    launcher: Any = importlib.import_module("ipykernel_launcher")
    kernelapp: Any = importlib.import_module("ipykernel.kernelapp")
    sys.argv[:] = [launcher.__file__, *order.arguments]
    kernelapp.ParentPollerUnix = _Requester
    parent = order.environment.get("JPY_PARENT_PID", "")
    app = kernelapp.IPKernelApp.instance(parent_handle=int(parent) if parent.isdigit() else 0)
    graphics = app.init_gui_pylab

    def settled() -> None:
        graphics()
        settle()

    app.init_gui_pylab = settled
    app.initialize()
    app.start()
    return 0


class _Requester(threading.Thread):
    """Ends this kernel when the process that asked for it ends, as ipykernel's own poller of the parent does."""

    def __init__(self, parent_pid: int = 0) -> None:
        super().__init__(name="requester", daemon=True)
        self._parent = parent_pid

    def run(self) -> None:
        try:
            handle = os.pidfd_open(self._parent)
        except ProcessLookupError:
            os._exit(1)
        select.select([handle], [], [])
        os._exit(1)


def settle() -> None:
    """Tell packages that were imported before the shell existed that there is one now."""
    if "matplotlib" in sys.modules:
        import matplotlib

        if os.environ.get("MPLBACKEND"):
            matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]
    if "plotly.io._renderers" in sys.modules:
        _plotly(sys.modules["plotly.io._renderers"])
    if "ipywidgets" in sys.modules:
        sys.modules["ipywidgets"]._handle_ipython()


def _plotly(known: Any) -> None:
    """Plotly chooses its renderer when it is imported: have a second copy of that module choose, and do the same."""
    spec = importlib.util.spec_from_file_location("plotly.io._renderers_in_a_kernel", known.__file__)
    if spec is not None and spec.loader is not None:
        chosen: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(chosen)
        known.renderers.default = chosen.renderers.default
