"""A worker of reports with a kernel of its own, both forked. An edge module.

The worker forks its kernel before anything else, while it still has one thread, so that the kernel is its child like
any kernel that it would have started: it reaps it, and is found by it as its parent. The zygote may end meanwhile.
"""

from __future__ import annotations

import os
import socket
import sys

from quantdesk.reports.kernels import become, kernel
from quantdesk.reports.kernels.children import Own
from quantdesk.reports.kernels.order import Order
from quantdesk.reports.kernels.wire import Closed, receive, send

__all__ = ["Fork", "Prepared", "prepared", "run", "split", "take"]


class Prepared:
    """A kernel that waits for its order.

    Parameters
    ----------
    child
        Its process.
    connection
        To it.
    """

    def __init__(self, child: Own, connection: socket.socket) -> None:
        self.child = child
        self.connection = connection

    def start(self, order: Order, descriptors: list[int], seconds: float) -> Own | None:
        """Have it begin; None when it does not answer, and then it is ended.

        Parameters
        ----------
        order, descriptors
            What it is to be.
        seconds
            For its answer.
        """
        try:
            self.connection.settimeout(seconds)
            send(self.connection, order.to_dict(), descriptors)
            answer, _ = receive(self.connection)
            if "started" not in answer:
                raise Closed(str(answer))
        except (Closed, OSError) as error:
            sys.stderr.write(f"The kernel starts cold: the fork did not begin ({error or type(error).__name__}).\n")
            self.child.kill()
            self.child.wait()
            return None
        finally:
            self.connection.close()
        return self.child


_PREPARED: list[Prepared] = []


def prepared() -> bool:
    """Whether this process has a kernel that waits."""
    return bool(_PREPARED)


def take() -> Prepared | None:
    """The kernel that waits in this process, once."""
    return _PREPARED.pop() if _PREPARED else None


class Fork(BaseException):
    """Raised in a fork, to leave the stack of its parent behind; `role` is what it goes on with."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self.connection = connection


def split(connection: socket.socket) -> None:
    """Fork the kernel of a worker that has just been forked itself.

    Parameters
    ----------
    connection
        The worker's own, on which its order will come.

    Raises
    ------
    Fork
        In the kernel.
    """
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        connection.close()
        here.close()
        become.forget([there.fileno()])
        raise Fork(there)
    there.close()
    # The worker's own order will put descriptors where these are now.
    child = Own(pid, become.lifted(os.pidfd_open(pid)))
    _PREPARED.append(Prepared(child, socket.socket(fileno=become.lifted(here.detach()))))


def run(connection: socket.socket) -> int:
    """Be a worker of reports: wait for the order, and carry it out.

    Parameters
    ----------
    connection
        Where the order comes from.
    """
    order = kernel.take_order(connection)
    connection.close()
    if order is None:
        return 0
    from quantdesk.reports import worker

    sys.argv[:] = [str(worker.__file__), *order.arguments]
    return worker.main()
