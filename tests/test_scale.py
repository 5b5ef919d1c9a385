"""docs/explanation/scale.md shows what was measured, and computes from it what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modules import module_at

SCALE = Path(__file__).resolve().parents[1] / "benchmarks" / "scale"
tables = module_at(SCALE / "tables.py", "scale_tables")
MEASURED = json.loads(tables.newest().read_text(encoding="utf-8"))


def test_the_page_shows_the_newest_result_and_nothing_else() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.filled(page, MEASURED) == page, "run benchmarks/scale/tables.py --write"
    assert MEASURED["at"][:10] in (tables.PAGE.parents[1] / "assets" / "scale.svg").read_text(encoding="utf-8")


def test_fifty_users_were_there_and_all_were_right() -> None:
    cold = {one["users"]: one for one in MEASURED["users"] if one["kernels"] == "cold"}
    assert cold[50]["answered"] == 50
    assert all(one["answered"] == one["users"] for one in MEASURED["users"])
    assert {one["people"] for one in MEASURED["people"]} >= {100_000}
    assert set(MEASURED["curves"]) == {"symbols", "rows", "runs", "reports", "scenarios"}


def result(**load: Any) -> dict[str, Any]:
    """A result with round figures."""
    one = {"users": 10, "kernels": "cold", "user_mb": 2**30 / 1e6, "processor_seconds": 3.0, **load}
    reports = {"size": 100, "steps": {"two at a time": {"seconds": 50.0, "disk_mb": 500.0}}}
    return {"users": [one, {**one, "users": 5, "user_mb": 1.0}], "curves": {"reports": [reports]}}


def test_needs_by_hand() -> None:
    """100 users, half of them there: 50 servers of 1 + 2 GiB; 200 reports of one core second and 5 MB each."""
    assumed = tables.Assumed(present=0.5, reports=2, hours_of_night=1, minutes=10, kept_days=10, home_gb=1)
    found = tables.needs(result(), 100, assumed)
    assert (found.present, found.servers_gib, found.server_cores) == (50, 150.0, 12.5)
    assert found.morning_cores == pytest.approx(50 * 3 / 600)
    assert found.report_cores == pytest.approx(200 * 1 / 3600)
    assert found.runs_a_year == 73_000
    assert found.disk_gb == pytest.approx(100 + 200 * 10 * 0.005)
    dollars = 220 * (12.5 * 0.04 + 150 * 0.005) + 730 * found.report_cores * 0.04 + 110 * 0.10
    assert found.dollars == pytest.approx(dollars)


@pytest.mark.slow
def test_the_curves_can_be_measured() -> None:
    """A small size of the cheapest: the command that the page names does what it says."""
    line = [sys.executable, str(SCALE / "curves.py"), "--quick", "--json", "scenarios"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout.splitlines()[-1]).items()
    assert found[0] == "scenarios"
    assert [one["size"] for one in found[1]] == [4, 8]
    assert all(one["steps"]["two processes"]["seconds"] > 0 for one in found[1])
