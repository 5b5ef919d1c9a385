"""What `make test` runs: the quick checks first, then every test, on all processors, with coverage.

`--all` adds the tests marked slow. Further arguments go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
CHECKS = (
    ("ruff", ["ruff", "check", "."]),
    ("layout", ["ruff", "format", "--check", "."]),
    ("types", ["mypy"]),
    ("imports", ["lint-imports"]),
)


def step(name: str, command: list[str], env: dict[str, str]) -> bool:
    """Run one part, say how long it took, and whether it passed."""
    print(f"\n=== {name}", flush=True)
    began = time.monotonic()
    code = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, env=env, check=False).returncode
    print(
        f"=== {name}: {'passed' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - began:.0f} s", flush=True
    )
    return code == 0


def main() -> int:
    """Run all parts, even when one fails, so that one run shows everything."""
    arguments = sys.argv[1:]
    everything = "--all" in arguments
    rest = [argument for argument in arguments if argument != "--all"]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    # A run has a state of its own in each test: what `make up` made is neither used nor touched.
    for name in [name for name in env if name.startswith("QUANTDESK_")]:
        del env[name]
    passed = [step(name, command, env) for name, command in CHECKS]
    tests = ["pytest", "-n", str(os.cpu_count() or 2), "--dist", "loadgroup", "--durations", "15"]
    marks = [] if everything else ["-m", "not slow"]
    coverage = ["--cov", "--cov-report", "term:skip-covered"] if not rest else []
    passed.append(step("tests", [*tests, *marks, *coverage, *rest], env))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
