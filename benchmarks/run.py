"""`make bench`: how long things take, as ratios against a named alternative, measured in one run.

Absolute seconds depend on the machine and on what else it does; a ratio of two things measured one after the other
does so much less. Every row therefore has an alternative that does the same job without quantdesk, or without what is
measured. The result is printed and kept in benchmarks/results, with the machine named.

    set-up      cold: a fresh clone and empty caches; warm: the same command again. Alternative: pip with the same lock.
    hub ready   quantdesk's hub until it answers. Alternative: stock JupyterHub with the same proxy.
    spawn       a user's server through the hub. Alternative: JupyterLab alone.
    notebooks   each as a report. Alternative: papermill alone, which leaves neither page nor record.
    features    each script features_*.py beside this one says what it compares; it prints its rows as JSON.
    orders      the same with orders_*.py. Other backtesters' environments are made by orders_competitors.py.
    scenarios   the same with scenarios_*.py.
    reports     the same with reports_*.py: warm kernels, the service, the gallery.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("features", "orders", "scenarios", "reports")


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of ours and of the alternative, which is named."""

    what: str
    seconds: float
    alternative: str
    alternative_seconds: float

    @property
    def ratio(self) -> float:
        """Ours over the alternative: below 1 is faster."""
        return self.seconds / self.alternative_seconds


def say(text: str) -> None:
    """Tell what is being measured."""
    print(f"  … {text}", file=sys.stderr, flush=True)


def timed(command: list[str], cwd: Path, env: dict[str, str]) -> float:
    """Seconds of a command that must end well; its output is shown when it does not."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.monotonic() - began


def clean(**more: str) -> dict[str, str]:
    """Take this environment, but for what belongs to another checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("QUANTDESK_", "VIRTUAL_ENV"))}
    return {**kept, **more}


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str) -> bool:
    """Whether a GET gives a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def server(command: list[str], cwd: Path, env: dict[str, str], ready: Callable[[], bool]) -> Iterator[float]:
    """Start a server, yield the seconds until it was ready, and stop it."""
    began = time.monotonic()
    child = subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while not ready():
            if child.poll() is not None or time.monotonic() - began > 120:
                sys.exit(f"{' '.join(command)} did not start.")
            time.sleep(0.05)
        yield time.monotonic() - began
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)


def set_up(clone: Path, caches: Path) -> list[Row]:
    """A fresh clone, cold and warm; and pip with the same lock."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    env = clean(
        UV_CACHE_DIR=str(caches / "uv"),
        PIP_CACHE_DIR=str(caches / "pip"),
        npm_config_cache=str(caches / "npm"),
        PYTHONDONTWRITEBYTECODE="",
    )
    python = sys._base_executable  # type: ignore[attr-defined]
    make = ["make", "-s", f"PYTHON={python}"]
    say("the Python environment, cold")
    environment = timed([*make, "venv"], clone, env)
    say("data, features, proxy and six reports, cold")
    quantdesk = str(clone / ".venv" / "bin" / "quantdesk")
    steps = timed([quantdesk, "up", "--setup-only"], clone, env)
    say("both again, warm")
    warm = timed([*make, "venv"], clone, env) + timed([quantdesk, "up", "--setup-only"], clone, env)
    say("pip with the same lock")
    subprocess.run([str(python), "-m", "venv", str(caches / "pip-env")], check=True)
    pip = [str(caches / "pip-env" / "bin" / "pip"), "install", "-q", "--require-hashes", "-r", "requirements.lock"]
    with_pip = timed(pip, clone, env)
    return [
        Row("Python environment, cold", environment, "pip with the same lock", with_pip),
        Row("set-up, warm", warm, "set-up, cold", environment + steps),
    ]


OURS = """
from traitlets.config import Config
c = get_config()
load_subconfig({config!r})
c.JupyterHub.services = [*c.JupyterHub.services, {{"name": "bench", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    *c.JupyterHub.load_roles, {{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers"]}}
]
"""
STOCK = """
from quantdesk.hub import proxy
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.cookie_secret = bytes(32)
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = proxy.command()
"""


def ask(method: str, port: int, path: str, token: str) -> int:
    """The status of one call of the hub's API."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, f"/hub/api{path}", headers={"Authorization": f"token {token}"})
    return connection.getresponse().status


def spawn(port: int, token: str) -> float:
    """Seconds until a new user's server is ready; the API answers 201 then, or 202 while it is pending."""
    ask("POST", port, "/users/bench-user", token)
    began = time.monotonic()
    status = ask("POST", port, "/users/bench-user/server", token)
    while status == 202 and time.monotonic() - began < 120:
        time.sleep(0.05)
        status = 202 if ask("POST", port, "/users/bench-user/server", token) != 400 else 201
    if status != 201:
        sys.exit(f"the server did not start: {status}")
    return time.monotonic() - began


def hub(clone: Path, scratch: Path) -> list[Row]:
    """The hub until it answers, and a user's server until it is ready."""
    binaries = clone / ".venv" / "bin"
    port, stock_port, lab_port = free_port(), free_port(), free_port()
    say("the hub until it answers")
    up = [str(binaries / "quantdesk"), "up", "--port", str(port)]
    with server(up, clone, clean(), lambda: answers(port, "/hub/health")) as ours:
        pass
    say("stock JupyterHub until it answers")
    stock = scratch / "stock.py"
    stock.write_text(STOCK.format(port=stock_port, hub_port=free_port(), proxy_port=free_port()))
    jupyterhub = [str(binaries / "python"), "-m", "jupyterhub"]
    env = clean(QUANTDESK_STATE=str(clone / "state"))
    with server([*jupyterhub, f"--config={stock}"], scratch, env, lambda: answers(stock_port, "/hub/health")) as theirs:
        pass
    say("a user's server through the hub")
    token = "bench-" + os.urandom(16).hex()
    config = scratch / "ours.py"
    config.write_text(OURS.format(config=str(clone / "jupyterhub_config.py"), token=token))
    env = clean(QUANTDESK_STATE=str(clone / "state"), QUANTDESK_PORT=str(port))
    with server([*jupyterhub, f"--config={config}"], clone, env, lambda: answers(port, "/hub/health")):
        spawned = spawn(port, token)
    say("JupyterLab alone")
    options = ["--allow-root", "--no-browser", f"--port={lab_port}", "--IdentityProvider.token="]
    lab = [str(binaries / "python"), "-m", "jupyter", "lab", *options, f"--ServerApp.root_dir={scratch}"]
    with server(lab, scratch, clean(), lambda: answers(lab_port, "/api")) as alone:
        pass
    return [
        Row("hub ready, all steps done before", ours, "stock JupyterHub, same proxy", theirs),
        Row("a user's server through the hub", spawned, "JupyterLab alone", alone),
    ]


def notebooks(clone: Path, scratch: Path) -> list[Row]:
    """Each notebook as a report, and by papermill alone, one after the other."""
    rows = []
    binaries = clone / ".venv" / "bin"
    env = clean(QUANTDESK_REPORTS_ROOT=str(scratch / "reports"), QUANTDESK_STATE=str(clone / "state"))
    for notebook in sorted((clone / "notebooks").glob("0*.ipynb")):
        say(notebook.stem)
        ours = timed([str(binaries / "quantdesk"), "report", "run", notebook.stem, "--no-cache", "--json"], clone, env)
        out = scratch / notebook.name
        papermill = [str(binaries / "papermill"), "-k", "python3", "--no-progress-bar", str(notebook), str(out)]
        rows.append(Row(f"report {notebook.stem}", ours, "papermill alone", timed(papermill, clone, env)))
    return rows


def scripts(clone: Path, pattern: str, *, quick: bool = False) -> list[Row]:
    """What the scripts of a stage measure, on the clone's own data."""
    rows = []
    if (
        clone != ROOT and not (clone / ".venv" / "bin" / "pytest").exists()
    ):  # what users get has no duckdb, polars or TA-Lib to compare with
        say("the development environment")
        python = sys._base_executable  # type: ignore[attr-defined]
        timed(["make", "-s", f"PYTHON={python}", "venv-dev"], clone, clean())
    state = os.environ.get("QUANTDESK_STATE", str(clone / "state")) if clone == ROOT else str(clone / "state")
    env = clean(QUANTDESK_STATE=state)
    for script in sorted((clone / "benchmarks").glob(pattern)):
        say(script.stem)
        command = [str(clone / ".venv" / "bin" / "python"), str(script), "--json"]
        command += ["--quick"] if quick and '"--quick"' in script.read_text(encoding="utf-8") else []
        done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{script.name} failed:\n{done.stderr}")
        rows += [Row(**row) for row in json.loads(done.stdout)]
    return rows


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def main() -> None:
    """Measure, print and keep."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keep", type=Path, help="work in this folder and leave it")
    options.add_argument("--features", action="store_true", help="the feature store alone, on this checkout as it is")
    options.add_argument("--orders", action="store_true", help="orders alone, on this checkout as it is")
    options.add_argument("--scenarios", action="store_true", help="scenarios alone, on this checkout as it is")
    options.add_argument("--reports", action="store_true", help="reports alone, on this checkout as it is")
    options.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    given = options.parse_args()
    for name in STAGES:
        if getattr(given, name):
            keep(scripts(ROOT, f"{name}_*.py", quick=given.quick), f"-{name}")
            return
    folder = given.keep or Path(tempfile.mkdtemp(prefix="quantdesk-bench-"))
    # Users' servers run under accounts of their own when this is run as root: they must get to the clone.
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    clone, scratch = folder / "quantdesk", folder / "scratch"
    scratch.mkdir(exist_ok=True)
    try:
        rows = [*set_up(clone, scratch), *hub(clone, scratch), *notebooks(clone, scratch)]
        for stage in STAGES:
            rows += scripts(clone, f"{stage}_*.py")
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    keep(rows, "")


def keep(rows: list[Row], part: str) -> None:
    """Print the rows, and keep them in a file that names day and machine."""
    width = max(len(row.what) for row in rows)
    print(f"{'':{width}}  {'seconds':>8}  {'against':>8}  {'ratio':>6}  alternative")
    for row in rows:
        figures = f"{row.seconds:8.2f}  {row.alternative_seconds:8.2f}  {row.ratio:6.2f}"
        print(f"{row.what:{width}}  {figures}  {row.alternative}")
    at = datetime.now(UTC)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    kept = ROOT / "benchmarks" / "results" / f"{at:%Y-%m-%d}-{os.cpu_count()}-cores{part}.json"
    document = {
        "at": at.isoformat(timespec="seconds"),
        "commit": commit,
        "machine": machine(),
        "rows": [{**asdict(row), "ratio": round(row.ratio, 3)} for row in rows],
    }
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(document, indent=2) + "\n")
    print(f"kept in {kept.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
