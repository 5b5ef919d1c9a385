"""Machine code beside the source serves accounts that cannot write there: real numba, a real other account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534
SOURCE = "from numba import njit\n@njit(cache=True)\ndef twice(x):\n    return 2 * x\n"
CALL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from quantdesk.compute import inherited
inherited.PACKAGES = ("ours",)
copied = inherited.inherit()
from ours.loops import twice
assert twice(4) == 8
print(json.dumps([copied, inherited.inherit(), sum(twice.stats.cache_hits.values())]))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account may enter."""
    with tempfile.TemporaryDirectory(prefix="qdi-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def package(place: Path) -> Path:
    """A package whose machine code is beside its source, where only its owner may write."""
    folder = place / "site" / "ours"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "loops.py").write_text(SOURCE)
    return folder


def called(package: Path, home: Path, *, other: bool) -> Any:
    """How many functions a process has copied, copied again, and taken from what is kept."""
    home.mkdir(exist_ok=True)
    lowered: dict[str, Any] = {}
    if other and os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
        lowered = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    elif other:
        (package / "__pycache__").chmod(0o555)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "NUMBA_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", CALL, str(package.parent)],
        env={**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        **lowered,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_another_account_compiles_nothing_that_is_there_and_uses_nothing_of_another_source(
    package: Path, place: Path
) -> None:
    assert called(package, place / "owner", other=False) == [0, 0, 0]
    assert called(package, place / "user", other=True) == [1, 0, 1]
    (kept,) = (place / "user" / ".cache" / "numba").iterdir()
    assert not [path for path in kept.iterdir() if path.name.startswith(".")]
    (package / "loops.py").write_text(SOURCE.replace("2 * x", "x + 4"))
    assert called(package, place / "late", other=True) == [1, 0, 0]  # copied, and found to be of another source
