"""Memory of a run: what is shared counts in part, the exact size is asked only when it matters, and a limit ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from quantdesk.reports import memory, watch
from quantdesk.reports.memory import Meter
from quantdesk.reports.processes import MARK
from quantdesk.reports.result import Status
from quantdesk.reports.watch import Limits, Watch


class Proc:
    """Processes whose sizes a test sets; counts how often the slow question is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resident = {1: 100, 2: 50}
        self.share = 0.5
        self.asked = 0
        monkeypatch.setattr(memory, "resident", lambda pid: self.resident.get(pid, 0))
        monkeypatch.setattr(memory, "proportional", self.exact)
        monkeypatch.setattr(memory, "LOOK_S", 0.0)

    def exact(self, pid: int) -> int:
        self.asked += 1
        return int(self.resident.get(pid, 0) * self.share)

    def find(self, _run: str) -> list[int]:
        return sorted(self.resident)


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> Proc:
    return Proc(monkeypatch)


def test_the_exact_size_is_asked_when_memory_has_grown(proc: Proc) -> None:
    meter = Meter("run", find=proc.find)
    assert meter.sample() == 75
    assert meter.peak == 75
    assert meter.sample() == 150  # an upper bound is enough
    assert proc.asked == 2
    proc.resident[3] = 1000
    assert meter.sample() == 575
    proc.resident.clear()
    assert meter.sample() == 0
    assert meter.peak == 575


def test_above_a_limit_the_answer_is_exact(proc: Proc) -> None:
    meter = Meter("run", find=proc.find)
    meter.sample()
    assert meter.sample(limit=100) == 75  # 150 resident, half of it shared
    proc.share = 1.0
    assert meter.sample(limit=100) == 150
    assert meter.peak == 150


def test_a_run_without_processes_has_no_peak(proc: Proc) -> None:
    proc.resident.clear()
    meter = Meter("run", find=proc.find)
    assert meter.sample() == 0
    assert meter.peak is None


def test_until_there_is_a_process_every_sample_looks_for_one(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LOOK_S", 60.0)
    found = [[], [1], [1, 2]]
    meter = Meter("run", find=lambda _run: found.pop(0))
    assert [meter.sample(), meter.sample()] == [0, 50]
    meter.sample()
    assert found == [[1, 2]]  # the next look is a minute away
    assert meter.peak == 50


def test_real_processes_are_found_and_measured() -> None:
    code = "held = bytearray(80_000_000); print('held', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, MARK: "test-of-memory"},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdout.readline()
        meter = Meter("test-of-memory")
        assert 80e6 < meter.sample(limit=1) < 400e6
        assert memory.proportional(child.pid) <= memory.resident(child.pid)
    finally:
        child.communicate(b"\n", timeout=30)
        child.stdout.close()
    assert memory.resident(child.pid) == memory.proportional(child.pid) == 0


def test_a_run_beyond_its_limit_is_ended_and_told_so(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SAMPLE_S", 0.01)
    monkeypatch.setattr(watch, "GRACE_OF_MEMORY_S", 0.05)
    proc.resident, proc.share = {1: 50_000_000}, 1.0
    signals: list[int] = []
    killed = threading.Event()

    def send(number: int) -> None:
        signals.append(number)
        if len(signals) == 2:
            killed.set()

    seen = Watch(Limits(60, 60, 100_000_000), parent=None, signal_kernel=send, meter=Meter("run", find=proc.find))
    seen._thread.start()
    seen.cell_begins()
    assert seen.reason is None
    proc.resident = {1: 90_000_000, 2: 60_000_000}
    assert killed.wait(10)
    seen.close()
    assert seen.reason is not None
    assert seen.reason.status is Status.OUT_OF_MEMORY
    assert seen.reason.message == "The report used 150 MB of memory and may use 100 MB."
    assert seen.peak_memory_bytes == 150_000_000


def test_a_run_that_is_over_before_the_second_sample_has_a_peak(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SAMPLE_S", 60.0)
    looked = threading.Semaphore(0)
    found: list[list[int]] = [[], [1, 2]]

    def find(_run: str) -> list[int]:
        looked.release()
        return found.pop(0)

    seen = Watch(Limits(60, 60), parent=None, signal_kernel=lambda _: None, meter=Meter("run", find=find))
    seen._thread.start()
    assert looked.acquire(timeout=10)  # before the kernel is there
    while seen._next_sample == 0.0:
        threading.Event().wait(0.001)
    seen.cell_begins()
    assert looked.acquire(timeout=10)
    seen.close()
    assert seen.peak_memory_bytes == 75


def test_without_a_meter_nobody_looks() -> None:
    seen = Watch(Limits(60, 60), parent=None, signal_kernel=lambda _: None)
    seen._thread.start()
    seen.close()
    assert seen.peak_memory_bytes is None
