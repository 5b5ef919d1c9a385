"""What a run started is found by its mark, wherever it went, and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from quantdesk.reports.processes import MARK, end_all, marked

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
# Leaves its parent, its session and its process group, as a daemon does.
DAEMON = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        print('up', flush=True); os.close(1); time.sleep(600)\n"
    "    os._exit(0)\n"
)


def start(code: str, mark: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_every_process_of_a_run_is_ended_and_no_other() -> None:
    ours = [start(SLEEP, "test-run-a"), start(DAEMON, "test-run-a")]
    other = start(SLEEP, "test-run-ab")
    try:
        assert len(marked("test-run-a")) == 2
        assert end_all("test-run-a") == 2
        assert marked("test-run-a") == []
        assert other.poll() is None
    finally:
        assert end_all("test-run-ab") == 1
        for process in (*ours, other):
            process.communicate()


def test_nothing_to_end_takes_no_time() -> None:
    begun = time.monotonic()
    assert end_all("test-run-none") == 0
    assert time.monotonic() - begun < 2


def test_the_caller_itself_is_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from quantdesk.reports.processes import end_all; import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(end_all(os.environ['QUANTDESK_RUN']), child.wait())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, MARK: "test-run-self"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[0] == "1"
