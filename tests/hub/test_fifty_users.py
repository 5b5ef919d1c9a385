"""Fifty people come to one machine at the same moment: all of them work, and it has room for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from quantdesk.hub.sweep import MARK

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "scale" / "users.py"
ROOM_MB = 24 * 2**30 / 1e6


@pytest.mark.slow
@pytest.mark.xdist_group("hub")
def test_fifty_users_log_in_spawn_and_run_a_cell() -> None:
    """By the script that the figures of docs/explanation/scale.md come from; it leaves nothing running."""
    line = [sys.executable, "-W", "ignore", str(SCRIPT), "--users", "50", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["users"], found["answered"]) == (50, 50)
    assert found["refused"] == 0, "the queue lets everybody wait"
    assert 0 < found["users_mb"] + found["platform_mb"] < ROOM_MB
    assert found["user_mb"] * 50 == pytest.approx(found["users_mb"], rel=0.01)
    left = [one for one in psutil.process_iter() if _of_a_user(one)]
    assert left == []


def _of_a_user(process: psutil.Process) -> bool:
    try:
        return ":user0" in process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return False
