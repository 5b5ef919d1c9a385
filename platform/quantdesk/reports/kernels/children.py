"""Processes that were forked instead of started, with the interface of `subprocess.Popen`. An edge module."""

from __future__ import annotations

import abc
import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import time
from typing import IO, Any

from quantdesk.reports.kernels.wire import Closed, receive

__all__ = ["UNKNOWN", "Adopted", "Forked", "Own"]

UNKNOWN = 255
"""The exit code when nobody can tell it: the zygote that could was gone, and the system is too old to be asked."""
REAPED_S = 1.0
"""Seconds in which the process that inherits an orphan should have asked how it ended."""
_GET_INFO = 0xC040FF0B
"""The request PIDFD_GET_INFO for a structure of 64 bytes, Linux 6.15 and later."""
_WANT_EXIT = 1 << 3


class Forked(abc.ABC):
    """What both kinds have in common.

    Parameters
    ----------
    pid
        Of the process, which leads a session and a process group of its own.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None

    @abc.abstractmethod
    def poll(self) -> int | None:
        """The exit code, a signal as a negative number; None while it runs."""

    @abc.abstractmethod
    def _wait_for(self, seconds: float | None) -> None:
        """Sleep until it may have ended, or for some seconds."""

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises
        ------
        subprocess.TimeoutExpired
            It did not end in time.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self._wait_for(left)
        return code


class Own(Forked):
    """A child of this very process.

    Parameters
    ----------
    pid
        Of the process.
    handle
        Its pidfd.
    """

    def __init__(self, pid: int, handle: int) -> None:
        super().__init__(pid)
        self._handle = handle

    def poll(self) -> int | None:
        """The exit code, a signal as a negative number; None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody has waited for every child
                pid, status = self.pid, UNKNOWN << 8
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
                os.close(self._handle)
        return self.returncode

    def _wait_for(self, seconds: float | None) -> None:
        select.select([self._handle], [], [], seconds)


class Adopted(Forked):
    """A child of a zygote. The zygote keeps its number from being given away as long as the connection is open.

    Parameters
    ----------
    pid
        Of the process.
    handle
        Its pidfd.
    connection
        To the zygote, which tells the exit code on it.
    """

    def __init__(self, pid: int, handle: int, connection: socket.socket) -> None:
        super().__init__(pid)
        self._handle = handle
        self._connection: socket.socket | None = connection
        self._orphaned = 0.0

    def poll(self) -> int | None:
        """The exit code, a signal as a negative number; None while it runs."""
        if self.returncode is None:
            self._listen()
        return self.returncode

    def _listen(self) -> None:
        if self._connection is not None and _readable(self._connection):
            try:
                told, _ = receive(self._connection)
                self._ended(int(told["exit"]))
                return
            except (Closed, OSError, KeyError, TypeError, ValueError):
                self._connection.close()  # the zygote is gone; the process may well go on
                self._connection = None
        if self._connection is None and _readable(self._handle):
            code, self._orphaned = _exit_code(self._handle), self._orphaned or time.monotonic()
            if code is None and time.monotonic() < self._orphaned + REAPED_S:
                time.sleep(0.001)  # it has ended, and whoever inherited it has not noticed yet
            else:
                self._ended(UNKNOWN if code is None else code)

    def _ended(self, code: int) -> None:
        self.returncode = code
        os.close(self._handle)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _wait_for(self, seconds: float | None) -> None:
        select.select([self._handle if self._connection is None else self._connection], [], [], seconds)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def __del__(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(OSError, AttributeError):
                os.close(self._handle)


def _readable(what: Any) -> bool:
    return bool(select.select([what], [], [], 0)[0])


def _exit_code(handle: int) -> int | None:
    """The exit code of a process that somebody else has reaped; None where or while the system does not tell."""
    told = bytearray(struct.pack("=Q56x", _WANT_EXIT))
    try:
        fcntl.ioctl(handle, _GET_INFO, told)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", told)
    return os.waitstatus_to_exitcode(struct.unpack_from("=i", told, 60)[0]) if mask & _WANT_EXIT else None
