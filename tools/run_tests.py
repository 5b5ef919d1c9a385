"""What `make test` runs: the quick checks first, then every test, on all processors, with coverage.

`--all` adds the tests marked slow. Further arguments go to pytest. Data and machine code that most tests need are made
beside the checks, which use one processor.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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
    return told(name, code, began)


def told(name: str, code: int, began: float) -> bool:
    """Say how a part ended."""
    how = "passed" if code == 0 else f"FAILED ({code})"
    print(f"=== {name}: {how} in {time.monotonic() - began:.0f} s", flush=True)
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
    with tempfile.TemporaryDirectory(prefix="quantdesk-tests-") as folder:
        began = time.monotonic()
        making = [str(BIN / "python"), str(ROOT / "tests" / "prepared.py"), folder]
        with subprocess.Popen(making, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            passed = [step(name, command, env) for name, command in CHECKS]
            print("\n=== data and machine code", flush=True)
            print((child.communicate()[0] or b"").decode(errors="replace"), end="", flush=True)
        passed.append(told("data and machine code", child.returncode, began))
        tests = ["pytest", "-n", str(os.cpu_count() or 2), "--dist", "loadgroup", "--durations", "15"]
        marks = [] if everything else ["-m", "not slow"]
        coverage = ["--cov", "--cov-report", "term:skip-covered"] if not rest else []
        passed.append(step("tests", [*tests, *marks, *coverage, *rest], {**env, "TESTS_PREPARED": folder}))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
