"""checkov on what the chart renders: nothing fails that is not explained in checkov.yaml."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantdesk.records import atomic_directory, exclusive

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("helm")]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def checkov() -> Path:
    """In an environment of its own in ``.venv``, from a lock with hashes: it wants other versions than the platform."""
    lock = HERE / "checkov.lock"
    place = ROOT / ".venv" / "share" / "quantdesk-checkov" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    uv = str(Path(sys.executable).with_name("uv"))
    with exclusive(place.parent / "install.lock", timeout=1200):
        if not place.is_dir():
            with atomic_directory(place) as folder:
                subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
                install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
                subprocess.run([*install, "--require-hashes", "-r", str(lock)], check=True)
    return place


def test_nothing_fails_that_is_not_explained(checkov: Path, helm: Any, tmp_path: Path) -> None:
    names = ("default", "values-small-team", "values-aws", "values-green", "everything-values")
    for name in names:
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(helm.render(name)))
    # What it looks up by itself would need its vendor: what is checked here is in the package.
    line = [str(checkov / "bin" / "python"), "-m", "checkov.main", "--directory", str(tmp_path)]
    line += ["--framework", "kubernetes", "--output", "json", "--quiet", "--compact", "--skip-download"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 1000, "it looked at everything"
    explained = yaml.safe_load((HERE / "checkov.yaml").read_text())
    failed = {(one["check_id"], one["resource"]) for one in found["results"]["failed_checks"]}
    unexplained = {
        (check, resource)
        for check, resource in failed
        if check not in explained or not re.fullmatch(explained[check]["where"], resource)
    }
    assert unexplained == set()
    assert set(explained) == {check for check, _ in failed}, "a line that nothing needs explains nothing"
    assert all(len(one["why"]) > 40 for one in explained.values())
