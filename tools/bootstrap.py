"""From a bare Python to a working `.venv`: the first half of `make up` and `make test`. Standard library only.

Three steps, each skipped when its stamp says that it is done for the same inputs:

1. an interpreter that every account of this machine may execute (only as root, see `shared_interpreter`);
2. `.venv`, with the packages of a lock file: names, versions and hashes, checked by uv, which itself comes from
   `tools/bootstrap.lock` by pip's own hash check;
3. quantdesk itself, as an editable install.

A step that fails leaves no stamp, so that the next run starts again there.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import os
import queue
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BOOTSTRAP_LOCK = ROOT / "tools" / "bootstrap.lock"
STAMP = VENV / "quantdesk-setup.json"
SUPPORTED = ((3, 11), (3, 12), (3, 13))


class SetupError(Exception):
    """A step that failed: which, why, and what to do."""


def say(text: str) -> None:
    """Tell what is being done."""
    print(f"  {text}", flush=True)


def digest(*paths: Path) -> str:
    """One hash over the bytes of several files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()


def closed_to_others(path: Path) -> Path | None:
    """The first folder on the way to `path` that another account may not enter; None when there is none."""
    for folder in [*reversed(path.resolve().parents), path.resolve()]:
        if folder.is_dir() and not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def shared_interpreter() -> Path:
    """The interpreter to build `.venv` on.

    As root, JupyterHub starts each user's server under an account of its own, which must be able to execute the
    interpreter. One that lives in root's own home (pyenv, conda) is copied into the checkout, once.
    """
    here = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    if os.geteuid() != 0:
        return here
    closed = closed_to_others(ROOT)
    if closed is not None:
        raise SetupError(
            f"You are root, and no other account may enter {closed}, so no user of the hub could start a server from "
            f"{ROOT}.\n  Clone quantdesk to a folder that everybody may enter, such as /opt/quantdesk, or run it as "
            "an ordinary user."
        )
    prefix = Path(sys.base_prefix).resolve()
    if closed_to_others(prefix) is None:
        return here
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    target = ROOT / ".python" / ".".join(map(str, sys.version_info[:3]))
    copied = target / "bin" / version
    if copied.exists():
        return copied
    say(f"copying the interpreter, because only root may enter {closed_to_others(prefix)}")
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "bin").mkdir(parents=True)
    shutil.copy2(here, partial / "bin" / version)
    skip = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "turtledemo", "*.a")
    shutil.copytree(prefix / "lib" / version, partial / "lib" / version, ignore=skip, symlinks=True)
    (partial / "lib" / version / "site-packages").mkdir()
    for library in (prefix / "lib").glob("libpython*.so*"):
        shutil.copy2(library, partial / "lib" / library.name, follow_symlinks=False)
    compiled(partial / "lib" / version)  # nobody but root could write it later, and each start would do it again
    own_libraries(partial / "bin" / version, prefix / "lib")
    check_copy(partial / "bin" / version)
    partial.rename(target)
    return copied


def own_libraries(python: Path, old: Path) -> None:
    """Let a copied interpreter load the libpython beside it, not the one in the folder where it was built.

    The search path is text inside the file; a shorter one that is relative to the file takes its place.
    """
    content = python.read_bytes()
    was, now = os.fsencode(old), b"$ORIGIN/../lib"
    if was in content and len(now) <= len(was):
        python.write_bytes(content.replace(was + b"\0", now.ljust(len(was), b"\0") + b"\0"))


def check_copy(python: Path) -> None:
    """Start the copy as an account that has no rights at all, with what a server needs."""
    script = "import ctypes, sqlite3, ssl, sys; print(sys.version)"
    nobody = {"user": 65534, "group": 65534, "extra_groups": [], "env": {}}
    try:
        # From the root folder, because that account may not be able to enter the current one.
        done = subprocess.run([str(python), "-I", "-c", script], cwd="/", capture_output=True, text=True, **nobody)
        problem = done.stderr.strip()[-300:] if done.returncode or done.stdout.strip() != sys.version.strip() else None
    except OSError as error:
        problem = str(error)
    if problem is not None:
        raise SetupError(
            f"The copy of {sys.executable} does not run under another account: {problem}\n"
            "  Take an interpreter that everybody can use: make up PYTHON=/usr/bin/python3"
        )


def run(step: str, remedy: str, *command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run one command of a step; its failure names the step, the exit code and the remedy.

    Its messages are passed on, but for the line that uv prints for every package. On a terminal a clock runs meanwhile.
    """
    began = time.monotonic()
    clock = sys.stdout.isatty()
    try:
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except OSError as error:
        raise SetupError(f"{step} failed ({error}).\n  {remedy}") from error
    messages: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        with child.stdout as lines:
            for line in lines:
                messages.put(line.rstrip())
        messages.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                line = messages.get(timeout=1)
            except queue.Empty:
                if clock:
                    print(f"\r    {step}: {time.monotonic() - began:.0f} s ", end="", flush=True)
                continue
            if line is None:
                break
            if line and not line.startswith((" + ", " - ", " ~ ")):
                print(f"\r\033[K    {line}" if clock else f"    {line}", flush=True)
        code = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if clock:
        print("\r\033[K", end="")
    if code:
        raise SetupError(f"{step} failed (exit code {code}).\n  {remedy}")


def pip_settings(python: Path) -> dict[str, str]:
    """What pip is configured with on this machine, as uv's environment: the index and the certificates."""
    shown = subprocess.run(
        [str(python), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False, cwd=ROOT
    ).stdout
    settings = {
        key.rsplit(".", 1)[-1]: value.strip("'\"")
        for key, _, value in (line.partition("=") for line in shown.splitlines())
    }
    wanted = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "timeout": "UV_HTTP_TIMEOUT"}
    return {name: settings[key] for key, name in wanted.items() if key in settings and name not in os.environ}


def works(python: Path) -> bool:
    """Whether an interpreter starts."""
    try:
        return subprocess.run([str(python), "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def make_venv(base: Path) -> Path:
    """Create `.venv` on `base`, unless it is there and works; with pip and uv in it."""
    python = VENV / "bin" / "python"
    recorded = VENV / "quantdesk-base"
    known = recorded.read_text() if recorded.exists() else ""
    if known == str(base) and works(python) and (VENV / "bin" / "uv").exists():
        return python
    say(f"creating .venv on {base}")
    shutil.rmtree(VENV, ignore_errors=True)
    hint = "This Python lacks the venv module's parts: on Debian or Ubuntu install python3-venv; then run make again."
    run("Creating .venv", hint, base, "-m", "venv", VENV)
    online = "It needs PyPI: check the network, or pip's own settings (pip config list); then run make again."
    pip = (python, "-m", "pip", "install", "-q", "--require-hashes", "--no-deps")
    run("Installing uv", online, *pip, "-r", BOOTSTRAP_LOCK)
    recorded.write_text(str(base))
    return python


def read_stamp() -> dict[str, str]:
    """What the last finished install wrote; nothing when there was none, or when it is damaged."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def install(python: Path, dev: bool) -> None:
    """Install a lock file and quantdesk itself, unless the stamp says that both are there.

    Once the larger environment of `make test` is there, `make up` keeps it: it holds all that the smaller one does.
    """
    done = read_stamp()
    lock = ROOT / (
        "requirements-dev.lock" if dev or done.get("lock") == "requirements-dev.lock" else "requirements.lock"
    )
    wanted = {"lock": lock.name, "packages": digest(lock), "project": digest(ROOT / "pyproject.toml")}
    if done == wanted:
        return
    uv = VENV / "bin" / "uv"
    env = {"VIRTUAL_ENV": str(VENV), **pip_settings(python)}
    if done.get("packages") != wanted["packages"]:
        count = sum("==" in line for line in lock.read_text().splitlines())
        say(f"installing {count} packages of {lock.name}, every one checked against its hash")
        STAMP.unlink(missing_ok=True)
        online = "It needs PyPI: check the network, then run make again; what is already downloaded is kept."
        packages = ("--require-hashes", "--build-constraints", BOOTSTRAP_LOCK, "--compile-bytecode", "-r", lock)
        run("Installing packages", online, uv, "pip", "install", *packages, env=env)
    say("installing quantdesk itself")
    itself = ("-q", "--no-deps", "--no-build-isolation", "--offline", "--editable", ROOT)
    run("Installing quantdesk", "See the message above.", uv, "pip", "install", *itself, env=env)
    STAMP.write_text(json.dumps(wanted))


def compiled(folder: Path) -> None:
    """Bytecode for all of a folder, as far as it is missing or old.

    It is written even where ``PYTHONDONTWRITEBYTECODE`` keeps interpreters from doing so: without it, each start of a
    command, worker or kernel compiles what it imports.
    """
    compileall.compile_dir(folder, quiet=2, workers=0)


def main() -> int:
    """Set up `.venv`; the exit code is 0, or 4 when a step failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--dev", action="store_true", help="also what tests, checks and documents need")
    dev = options.parse_args().dev
    began = time.monotonic()
    if sys.version_info[:2] not in SUPPORTED:
        found = ".".join(map(str, sys.version_info[:3]))
        print(f"quantdesk needs Python 3.11 to 3.13; this is {found}. Try: make up PYTHON=python3.12", file=sys.stderr)
        return 4
    try:
        install(make_venv(shared_interpreter()), dev)
        compiled(ROOT / "platform" / "quantdesk")
    except SetupError as error:
        print(f"\nSet-up stopped. {error}", file=sys.stderr)
        return 4
    except OSError as error:
        print(f"\nSet-up stopped: {error}. Free space, or make the folder writable, and go on.", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("\nSet-up was interrupted; make goes on from here.", file=sys.stderr)
        return 130
    if (spent := time.monotonic() - began) > 2:
        say(f"Python environment ready in {spent:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
