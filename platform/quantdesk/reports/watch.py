"""What stands beside a running notebook: limits of time and memory, cancellation, a parent that left. An edge module.

One thread waits for the next deadline, for a signal, or for the end of the pipe that the parent holds open, and looks
at the memory in use a few times a second. When one of them comes, it notes why, interrupts the kernel so that the cell
shows where it was, and kills it if it does not stop within a few seconds. Whoever runs the notebook then finds the
kernel's end and asks `Watch.reason`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from quantdesk.reports.memory import Meter
from quantdesk.reports.result import Status

__all__ = ["Limits", "Reason", "Watch"]

GRACE_S = 5.0
"""Seconds between the interrupt and the kill."""
GRACE_OF_MEMORY_S = 1.0
"""The same where memory runs out: the machine is shared."""
SAMPLE_S = 0.25
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Limits:
    """How long a report may take, and how much memory.

    Parameters
    ----------
    total_s
        Seconds for all of it, the start of the kernel included.
    cell_s
        Seconds for one cell.
    memory_bytes
        Bytes that the kernel and what it starts may use together; None for no limit.
    """

    total_s: float = 3600.0
    cell_s: float = 1800.0
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Reason:
    """Why a run was stopped from outside."""

    status: Status
    message: str


class Watch:
    """Watches one run.

    Parameters
    ----------
    limits
        The time limits; the total begins now.
    parent
        A file descriptor that reaches its end when the parent dies; None for a run without one.
    signal_kernel
        Sends a signal to the kernel and what it started; does nothing when there is no kernel.
    meter
        Measures the memory of the run; None where nobody looks.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        parent: int | None,
        signal_kernel: Callable[[int], None],
        meter: Meter | None = None,
    ) -> None:
        self._limits = limits
        self._meter = meter
        self._next_sample = 0.0
        self._parent = parent
        self._signal_kernel = signal_kernel
        self._end = time.monotonic() + limits.total_s
        self._cell_end: float | None = None
        self._reason: Reason | None = None
        self._closed = threading.Event()
        # A pipe wakes the thread: writing one byte is all that a signal handler may safely do.
        self._wake_read, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    @property
    def reason(self) -> Reason | None:
        """Why the run has to end; None while it may go on."""
        return self._reason

    @property
    def limits(self) -> Limits:
        """What the run may take."""
        return self._limits

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most memory that was seen in use; None where nobody looked."""
        return self._meter.peak if self._meter is not None else None

    def start(self) -> None:
        """Begin to watch, and take over SIGINT, SIGTERM and SIGHUP of this process."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._thread.start()

    def cell_begins(self) -> None:
        """A cell starts: its time begins, and memory is looked at, so that a report of an instant has a peak too."""
        self._cell_end = time.monotonic() + self._limits.cell_s
        self._next_sample = 0.0
        self._poke(b".")

    def cell_ended(self) -> None:
        """The cell is over: its time is not watched any more."""
        self._cell_end = None
        self._poke(b".")

    def close(self) -> None:
        """The notebook has ended; what comes now changes nothing any more."""
        self._closed.set()
        self._poke(b".")
        self._thread.join(timeout=GRACE_S)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._poke(b"c")

    def _poke(self, byte: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full: the thread is about to wake
            os.write(self._wake, byte)

    def _watch(self) -> None:
        while self._reason is None and not self._closed.is_set():
            self._reason = self._wait()
        if self._reason is None:
            return
        self._signal_kernel(signal.SIGINT)
        # Only the kernel has to be gone: the worker goes on to write the page.
        grace = GRACE_OF_MEMORY_S if self._reason.status is Status.OUT_OF_MEMORY else GRACE_S
        if not self._closed.wait(grace):
            self._signal_kernel(signal.SIGKILL)

    def _wait(self) -> Reason | None:
        cell_end = self._cell_end
        until = min(self._end, cell_end) if cell_end is not None else self._end
        if self._meter is not None:
            until = min(until, self._next_sample)
        watched = [self._wake_read] if self._parent is None else [self._wake_read, self._parent]
        readable, _, _ = select.select(watched, [], [], max(0.0, until - time.monotonic()))
        if self._wake_read in readable and b"c" in os.read(self._wake_read, 4096):
            return Reason(Status.CANCELLED, "It was cancelled.")
        if self._parent in readable and not os.read(self._parent or 0, 4096):
            return Reason(Status.CANCELLED, "The process that had started it was gone.")
        now = time.monotonic()
        if now >= self._end:
            return Reason(Status.TIMED_OUT, f"The report had {self._limits.total_s:g} s in all.")
        if self._cell_end is not None and now >= self._cell_end:
            return Reason(Status.TIMED_OUT, f"A cell may take {self._limits.cell_s:g} s.")
        return self._of_memory(now)

    def _of_memory(self, now: float) -> Reason | None:
        if self._meter is None or now < self._next_sample:
            return None
        allowed = self._limits.memory_bytes
        try:
            used = self._meter.sample(allowed)
        except Exception:  # noqa: BLE001 (processes that end meanwhile may answer anything; the clock has to go on)
            traceback.print_exc(file=sys.stderr)
            used = 0
        # Counted from the end of the look: on a machine that is short of memory a look takes long.
        self._next_sample = time.monotonic() + SAMPLE_S
        if allowed is None or used <= allowed:
            return None
        return Reason(
            Status.OUT_OF_MEMORY, f"The report used {used / 1e6:,.0f} MB of memory and may use {allowed / 1e6:,.0f} MB."
        )
