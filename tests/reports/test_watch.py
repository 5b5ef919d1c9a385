"""The clock beside a run: whatever comes first is noted, the kernel is interrupted, and killed if it must be."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from quantdesk.reports import watch as module
from quantdesk.reports.memory import Meter
from quantdesk.reports.runs import Status
from quantdesk.reports.watch import Limits, Watch


class Kernel:
    """Remembers the signals that it gets."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.got = threading.Event()

    def send(self, number: int) -> None:
        self.signals.append(number)
        self.got.set()


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_cell_that_takes_too_long_is_interrupted_and_then_killed(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.3)
    watch = Watch(Limits(60, 0.2), parent=None, signal_kernel=kernel.send)
    watch.start()
    watch.cell_begins()
    assert kernel.got.wait(5)
    assert kernel.signals == [signal.SIGINT]
    assert watch.reason is not None
    assert (watch.reason.status, watch.reason.message) == (Status.TIMED_OUT, "A cell may take 0.2 s.")
    time.sleep(0.8)
    assert kernel.signals == [signal.SIGINT, signal.SIGKILL]
    watch.close()


def test_a_cell_that_stops_at_the_interrupt_is_not_killed(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 1.0)
    watch = Watch(Limits(60, 0.1), parent=None, signal_kernel=kernel.send)
    watch.start()
    watch.cell_begins()
    assert kernel.got.wait(5)
    watch.close()
    assert kernel.signals == [signal.SIGINT]


def test_cells_that_end_in_time_are_left_alone(kernel: Kernel) -> None:
    watch = Watch(Limits(60, 0.3), parent=None, signal_kernel=kernel.send)
    watch.start()
    for _ in range(4):
        watch.cell_begins()
        time.sleep(0.15)
        watch.cell_ended()
    time.sleep(0.4)
    assert watch.reason is None
    watch.close()
    assert kernel.signals == []


def test_the_total_counts_over_all_cells(kernel: Kernel) -> None:
    watch = Watch(Limits(0.3, 60), parent=None, signal_kernel=kernel.send)
    watch.start()
    assert kernel.got.wait(5)
    watch.close()
    assert watch.reason is not None
    assert (watch.reason.status, watch.reason.message) == (Status.TIMED_OUT, "The report had 0.3 s in all.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels(kernel: Kernel, number: int) -> None:
    watch = Watch(Limits(), parent=None, signal_kernel=kernel.send)
    watch.start()
    os.kill(os.getpid(), number)
    assert kernel.got.wait(5)
    watch.close()
    assert watch.reason is not None
    assert watch.reason.status is Status.CANCELLED


def test_a_parent_that_is_gone_cancels(kernel: Kernel) -> None:
    theirs, ours = os.pipe()
    watch = Watch(Limits(), parent=theirs, signal_kernel=kernel.send)
    watch.start()
    os.write(ours, b"not the end\n")
    assert not kernel.got.wait(0.2)
    os.close(ours)
    assert kernel.got.wait(5)
    watch.close()
    os.close(theirs)
    assert watch.reason is not None
    assert (watch.reason.status, watch.reason.message) == (
        Status.CANCELLED,
        "The process that had started it was gone.",
    )


class Puzzled(Meter):
    """Cannot tell: what it looked at ended meanwhile."""

    def sample(self, limit: int | None = None) -> int:
        raise IndexError("list index out of range")


def test_the_clock_goes_on_where_memory_cannot_be_told(kernel: Kernel, capfd: pytest.CaptureFixture[str]) -> None:
    watch = Watch(Limits(0.6, 60, 1), parent=None, signal_kernel=kernel.send, meter=Puzzled("run"))
    watch.start()
    assert kernel.got.wait(5)
    assert watch.reason is not None
    assert watch.reason.status is Status.TIMED_OUT
    watch.close()
    assert "IndexError: list index out of range" in capfd.readouterr().err


def test_nothing_counts_after_the_end(kernel: Kernel) -> None:
    watch = Watch(Limits(0.2, 0.2), parent=None, signal_kernel=kernel.send)
    watch.start()
    watch.close()
    time.sleep(0.4)
    assert watch.reason is None
    assert kernel.signals == []


def test_a_flood_of_signals_does_not_block(kernel: Kernel) -> None:
    watch = Watch(Limits(), parent=None, signal_kernel=kernel.send)
    for _ in range(100_000):  # more than a pipe holds, while nobody reads
        watch.cell_ended()
    watch.start()
    watch.close()
