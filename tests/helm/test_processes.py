"""The processes of the chart, with the commands, variables and probes that it gives them, on this machine.

Against a real PostgreSQL and a real Redis. Paths and ports are other ones here; all else is as it was rendered.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("helm")]

WITHIN_S = 180
PLACES = {"/srv/quantdesk": "srv", "/var/lib/quantdesk": "lib", "/backup": "backup", "/tmp": "tmp"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wanted() -> set[str]:
    """All figures of ours that rules and dashboards ask for."""
    files = Path(__file__).resolve().parents[2] / "helm" / "quantdesk" / "files"
    text = "".join(path.read_text() for path in (files / "rules.yaml", *(files / "dashboards").glob("*.json")))
    return set(re.findall(r"\bquantdesk_\w+(?=\{)", text))


def readable(path: Path) -> bool:
    wanted = 0o005 if path.is_dir() else 0o004
    return path.stat().st_mode & wanted == wanted


class Cluster:
    """Runs containers of rendered pods as processes."""

    def __init__(self, objects: Any, pods: Any, folder: Path, secrets: dict[str, str]) -> None:
        self._pods = dict(pods(objects))
        self._folder, self._secrets = folder, secrets
        self._ports_as_text = {port: str(free_port()) for port in ("8080", "8081", "9102")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for name in PLACES.values():
            (folder / name).mkdir()

    def _here(self, text: str) -> str:
        """A path or an address of a pod as it is here; all at once, as paths of here may look like those of a pod."""
        places = {name: str(self._folder / here) for name, here in PLACES.items()}
        places |= self._ports_as_text | {"qd-desk": "127.0.0.1", "0.0.0.0": "127.0.0.1"}
        known = "|".join(re.escape(one) for one in places)
        return re.sub(rf"(?<![\w/])({known})(?!\w)", lambda found: places[found[1]], text)

    def containers(self, pod: str) -> list[dict[str, Any]]:
        spec = self._pods[pod]["spec"]
        return [*spec.get("initContainers", []), *spec["containers"]]

    def environment(self, container: dict[str, Any]) -> dict[str, str]:
        found = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        for one in container["env"]:
            if "value" in one:
                found[one["name"]] = self._here(one["value"])
            else:
                found[one["name"]] = self._secrets[one["valueFrom"]["secretKeyRef"]["key"]]
        return found | {"QUANTDESK_KERNELS_WARM": "false"}

    def _started(self, pod: str, container: dict[str, Any]) -> subprocess.Popen[bytes]:
        log = (self._folder / f"{pod.replace(' ', '-')}.log").open("ab")
        line = [self._here(word) for word in container["command"]]
        with log:
            return subprocess.Popen(line, env=self.environment(container), cwd=self._folder, stdout=log, stderr=log)

    def run(self, pod: str) -> None:
        """All containers of a pod that ends, one after the other."""
        for container in self.containers(pod):
            assert self._started(pod, container).wait(WITHIN_S) == 0, self.log(pod)

    def start(self, pod: str) -> None:
        (container,) = self.containers(pod)
        self._running[pod] = self._started(pod, container)

    def log(self, pod: str) -> str:
        return (self._folder / f"{pod.replace(' ', '-')}.log").read_text()

    def url(self, container: dict[str, Any], path: str) -> str:
        (port,) = container["ports"]
        return f"http://127.0.0.1:{self._ports_as_text[str(port['containerPort'])]}{path}"

    def probe(self, pod: str, kind: str) -> bool:
        (container,) = self.containers(pod)
        asked = container[kind]
        if "exec" in asked:
            line = [self._here(word) for word in asked["exec"]["command"]]
            return subprocess.run(line, capture_output=True, check=False).returncode == 0
        try:
            return httpx.get(self.url(container, asked["httpGet"]["path"]), trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def until_well(self, pod: str) -> None:
        end = time.monotonic() + WITHIN_S
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            while not self.probe(pod, kind):
                assert self._running[pod].poll() is None, self.log(pod)
                assert time.monotonic() < end, self.log(pod)
                time.sleep(0.2)

    def stop(self, pod: str) -> int:
        process = self._running.pop(pod)
        process.send_signal(signal.SIGTERM)
        return process.wait(WITHIN_S)

    def end(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(60)


@pytest.fixture
def cluster(helm: Any, pods: Any, tmp_path: Path, postgres: Any, redis_url: str) -> Iterator[Cluster]:
    secrets = {
        **{name: postgres() for name in ("database", "hub-database", "reports-database", "ledger-database")},
        "redis": redis_url,
        "service-token": "t" * 48,
        "service-secret": "s" * 64,
        "metrics-token": "m" * 48,
        "desk-token": "d" * 64,
    }
    made = Cluster(helm.render("default"), pods, tmp_path, secrets)
    yield made
    made.end()


def test_what_the_chart_runs_comes_up_is_probed_and_ends_when_asked(cluster: Cluster, tmp_path: Path) -> None:
    cluster.run("Job qd-migrate")
    cluster.run("Job qd-first")
    for name in ("market", "features"):  # users' servers mount them: they cannot make them, and have another account
        found = [tmp_path / "srv" / name, *(tmp_path / "srv" / name).rglob("*")]
        assert [path for path in found if not readable(path)] == []
    serving = ("StatefulSet qd-desk", "Deployment qd-web", "Deployment qd-worker")
    for pod in serving:
        cluster.start(pod)
    for pod in serving:
        cluster.until_well(pod)

    (web,) = cluster.containers("Deployment qd-web")
    metrics, who = cluster.url(web, "/services/quantdesk/metrics"), {"Authorization": f"Bearer {'m' * 48}"}
    figures = httpx.get(metrics, headers=who, trust_env=False)
    assert figures.status_code == 200
    assert 'quantdesk_report_runs{state="queued"}' in figures.text
    assert httpx.get(metrics, trust_env=False).status_code == 401

    (desk,) = cluster.containers("StatefulSet qd-desk")
    assert httpx.post(cluster.url(desk, "/orders"), json={}, trust_env=False).status_code == 401
    assert "quantdesk.hub.app.desk" not in cluster.log("Deployment qd-web"), "it starts no desk of its own"
    of_desk = httpx.get(cluster.url(desk, "/metrics"), headers=who, trust_env=False)
    assert of_desk.status_code == 200
    (worker,) = cluster.containers("Deployment qd-worker")
    of_worker = httpx.get(cluster.url(worker, "/metrics"), trust_env=False)
    told = set(re.findall(r"^(quantdesk_\w+)", figures.text + of_desk.text + of_worker.text, re.MULTILINE))
    missing = wanted() - told
    assert missing == {"quantdesk_refused_total"}, (
        "rules and panels ask for what the processes tell; nothing was refused"
    )
    for pod in serving:
        lines = cluster.log(pod).splitlines()
        assert all(line.startswith("{") for line in lines), [line for line in lines if not line.startswith("{")]

    cluster.run("CronJob qd-materialize")
    cluster.run("CronJob qd-backup")
    assert list((tmp_path / "backup").iterdir())
    beside = {path.name for path in (tmp_path / "srv").iterdir()}
    for pod in reversed(serving):
        # uvicorn ends itself by the signal once everything is in order
        assert cluster.stop(pod) in (0, -signal.SIGTERM), cluster.log(pod)
    assert "Application shutdown complete" in cluster.log("StatefulSet qd-desk")

    (tmp_path / "srv" / "features").rename(tmp_path / "lost")
    cluster.run("CronJob qd-restore")
    assert beside <= {path.name for path in (tmp_path / "srv").iterdir()}, "what was lost is back"


def test_a_worker_that_hangs_is_noticed(cluster: Cluster, tmp_path: Path) -> None:
    alive = tmp_path / "tmp" / "alive"
    assert not cluster.probe("Deployment qd-worker", "livenessProbe"), "it has not begun"
    alive.touch()
    assert cluster.probe("Deployment qd-worker", "livenessProbe")
    os.utime(alive, (time.time() - 600, time.time() - 600))
    assert not cluster.probe("Deployment qd-worker", "livenessProbe")
