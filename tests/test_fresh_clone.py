"""The README's first command, word for word, on a fresh clone with empty caches, with each Python of this machine."""

from __future__ import annotations

import http.client
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13")


def interpreters() -> dict[str, str]:
    """One interpreter for each supported version that this machine has: on the path, beside ours, or in pyenv."""
    found: dict[str, str] = {}
    base = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [str(base), *(str(path) for path in sorted(pyenv.glob("3.*/bin/python3")))]
    candidates += [path for version in VERSIONS if (path := shutil.which(f"python{version}"))]
    script = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for candidate in candidates:
        done = subprocess.run([candidate, "-c", script], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() in VERSIONS:
            found.setdefault(done.stdout.strip(), candidate)
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other accounts may enter, as users' servers must; pytest's own is closed to them."""
    path = Path(tempfile.mkdtemp(prefix="quantdesk-clone-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def make_up(clone: Path, python: str, port: int) -> tuple[subprocess.Popen[str], list[str]]:
    """`make up` until it says that the hub is ready; what it printed so far."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("QUANTDESK_", "MAKE", "VIRTUAL_ENV"))}
    env |= {
        "UV_CACHE_DIR": str(clone.parent / "uv"),
        "PIP_CACHE_DIR": str(clone.parent / "pip"),
        "npm_config_cache": str(clone.parent / "npm"),
    }
    child = subprocess.Popen(
        # A shell that starts tests in the background hands SIGINT down as ignored.
        ["env", "--default-signal=INT", "make", "up", f"PORT={port}", f"PYTHON={python}"],
        cwd=clone,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        with child.stdout as stream:
            for line in stream:
                lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    told: list[str] = []
    while not any(line.startswith("  Stop") for line in told):
        line = lines.get(timeout=900)
        assert line is not None, "\n".join(told)
        told.append(line)
    return child, told


def left_of(clone: Path) -> list[str]:
    """Processes that still run something of the clone."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(clone) in word for word in words) and process.pid != os.getpid():
            found.append(" ".join(words))
    return found


def interrupt(child: subprocess.Popen[str], clone: Path) -> None:
    """Ctrl-C reaches the whole foreground group; afterwards nothing may be left."""
    os.killpg(child.pid, signal.SIGINT)
    child.wait(60)
    deadline = time.monotonic() + 10
    while left_of(clone) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left_of(clone) == []


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_make_up_goes_from_a_clone_to_a_hub_and_stops_without_a_trace(version: str, folder: Path) -> None:
    python = interpreters().get(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    clone = folder / "quantdesk"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child, told = make_up(clone, python, port)
    try:
        text = "\n".join(told)
        assert f"http://127.0.0.1:{port}/" in text
        assert "one-time secret" in text
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/hub/health")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        interrupt(child, clone)
    child, told = make_up(clone, python, port)
    interrupt(child, clone)
    steps = [line for line in told if line.startswith("  ✓ ") and "Hub" not in line]
    assert len(steps) == 4
    assert all(line.endswith("done before") for line in steps)
    assert "installing" not in "\n".join(told)
