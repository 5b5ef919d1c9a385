"""What `make test` runs: every test, on all processors, with coverage, and the quick checks beside them.

`--all` adds the tests marked slow, and has coverage look into the processes that tests start. `--nightly` runs instead
those of tests/notebooks that take the full data: all templates by nbval, and with all that the store holds. Further
arguments go to pytest.

No processor is left idle: data and machine code that most tests need are made first, by two processes; then the tests
begin, and the checks, which need one processor for a minute or two, go on beside them. What a check says is shown when
it has ended, or after the tests.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PREPARED = ROOT / "tests" / "prepared.py"
CHECKS = (
    ("ruff", ["ruff", "check", "."]),
    ("layout", ["ruff", "format", "--check", "."]),
    ("types", ["mypy"]),
    ("imports", ["lint-imports"]),
)
NIGHTLY = ("tests/test_notebooks.py", "tests/notebooks")


def told(name: str, code: int, began: float) -> bool:
    """Say how a part ended."""
    how = "passed" if code == 0 else f"FAILED ({code})"
    print(f"=== {name}: {how} in {time.monotonic() - began:.0f} s", flush=True)
    return code == 0


def quietly(name: str, command: list[str], env: dict[str, str]) -> bool:
    """Run one part, and show it when it has ended."""
    began = time.monotonic()
    line = [str(BIN / command[0]), *command[1:]]
    done = subprocess.run(line, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    sys.stdout.write(f"\n=== {name}\n{done.stdout.decode(errors='replace')}")
    return told(name, done.returncode, began)


class Beside:
    """Parts that run one after the other, in a thread."""

    def __init__(self, parts: list[tuple[str, list[str]]], env: dict[str, str]) -> None:
        self._parts, self._env = parts, env
        self._results: queue.Queue[bool] = queue.Queue()
        self.first_is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for name, command in self._parts:
            self._results.put(quietly(name, command, self._env))
            self.first_is_over.set()

    def passed(self) -> bool:
        """Wait for the end of all; whether all of them passed."""
        self._thread.join()
        results = [self._results.get() for _ in range(self._results.qsize())]
        return len(results) == len(self._parts) and all(results)


def tested(arguments: list[str], env: dict[str, str], *, everything: bool, nightly: bool) -> bool:
    """Run the tests, and show them as they go."""
    print("\n=== tests", flush=True)
    began = time.monotonic()
    # nbval has a process of its own where it is used; here it would only be loaded.
    line = ["pytest", "-p", "no:nbval", "-n", str(os.cpu_count() or 2), "--dist", "loadgroup", "--durations", "15"]
    if nightly:
        line += ["-m", "", *NIGHTLY]
    else:
        line += ["-m", "not nightly" if everything else "not slow and not nightly"]
    line += arguments or ([] if nightly else ["--cov", "--cov-report", "term:skip-covered"])
    return told(
        "tests", subprocess.run([str(BIN / line[0]), *line[1:]], cwd=ROOT, env=env, check=False).returncode, began
    )


def main() -> int:
    """Run all parts, even when one fails, so that one run shows everything."""
    own = {"--all", "--nightly"}
    asked, rest = own.intersection(sys.argv[1:]), [argument for argument in sys.argv[1:] if argument not in own]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    # A run has a state of its own in each test: what `make up` made is neither used nor touched.
    for name in [name for name in env if name.startswith("QUANTDESK_")]:
        del env[name]
    with tempfile.TemporaryDirectory(prefix="quantdesk-tests-") as folder:
        loops = ("machine code", ["python", str(PREPARED), "--loops"])
        beside = Beside([loops, *(() if "--nightly" in asked else CHECKS)], env)
        passed = quietly("data and machine code", ["python", str(PREPARED), folder], env)
        beside.first_is_over.wait()
        env["TESTS_PREPARED"] = folder
        if "--all" in asked:
            env["TESTS_COVER"] = "subprocess"
        passed &= tested(rest, env, everything="--all" in asked, nightly="--nightly" in asked)
        passed &= beside.passed()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
