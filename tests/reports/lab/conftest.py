"""A service with its ledger, a hub that knows two people, and the Jupyter server of one of them with the extension."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import uvicorn

from modules import module_at
from quantdesk.hub import lab
from quantdesk.reports.ledger import RunLedger

HERE = Path(__file__).parent


served = module_at(HERE.parents[1] / "hub" / "app" / "served.py")


def notebook(*cells: str) -> dict[str, Any]:
    """A notebook whose first cell has its parameters, with outputs that are nobody's business."""
    old = [{"output_type": "stream", "name": "stdout", "text": "of yesterday"}]
    made = [{"cell_type": "code", "id": f"cell{at}", "metadata": {"tags": ["parameters"]} if at == 0 else {},
             "source": source, "outputs": old, "execution_count": 7} for at, source in enumerate(cells)]  # fmt: skip
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Write a notebook: ``write(path, first cell, others...)``."""

    def written(path: Path, *cells: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(notebook(*cells)))
        return path

    return written


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The service, listening, over a ledger of the tests'; ``ask(who, method, path)`` is a program's request."""
    folder = tmp_path_factory.mktemp("platform")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("QUANTDESK_FEATURES_URL", "QUANTDESK_REPORTS_LEDGER_URL", "QUANTDESK_REPORTS_ROOT"):
            patch.delenv(name, raising=False)
        patch.setenv("QUANTDESK_STATE", str(folder / "state"))
        patch.setenv("QUANTDESK_HALTS_FEEDS", "false")
        served.RIGHTS.setdefault("bob", ("read", "run"))
        hub = served.Hub()
        service = served.Served(hub, folder / "service", run_rate="6000/minute", write_rate="6000/minute")
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(service.app, log_config=None, lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        with RunLedger.open() as ledger:
            yield SimpleNamespace(
                url=f"http://127.0.0.1:{port}", hub=hub, ledger=ledger, folder=folder, config=service.config,
                ask=lambda who, method, path, **given: requests.request(
                    method, f"http://127.0.0.1:{port}/api/v1{path}", timeout=30,
                    headers={"Authorization": f"Bearer token-{who}"}, **given,
                ),
            )  # fmt: skip
        server.should_exit = True
        thread.join(30)
        service.close()


@pytest.fixture(scope="module")
def anas(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ana's Jupyter server, configured as the hub configures it; ``ask(method, path)`` is what JupyterLab sends."""
    home = tmp_path_factory.mktemp("ana")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {
        "HOME": str(home),
        "JUPYTER_CONFIG_PATH": str(lab.HERE / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERHUB_API_TOKEN": "token-ana",
        "QUANTDESK_LAB_URL": platform.url,
        "JUPYTER_TOKEN": "secret",
    }
    line = [sys.executable, "-P", "-m", "jupyter", "server", f"--port={port}", "--no-browser", "--allow-root"]
    line += ["--ServerApp.jpserver_extensions={'jupyter_scheduler': True}", "--ServerApp.port_retries=0"]
    with (home / "log.txt").open("wb") as log, subprocess.Popen(line, env=env, cwd=home, stdout=log, stderr=log) as run:
        try:
            yield SimpleNamespace(home=home, log=lambda: (home / "log.txt").read_text(), ask=_asking(port, run, home))
        finally:
            run.terminate()


def _asking(port: int, run: subprocess.Popen[bytes], home: Path) -> Callable[..., requests.Response]:
    def ask(method: str, path: str, **given: Any) -> requests.Response:
        url = f"http://127.0.0.1:{port}/{path}"
        return requests.request(method, url, headers={"Authorization": "token secret"}, timeout=60, **given)

    deadline = time.monotonic() + 90
    while True:
        try:
            if ask("GET", "scheduler/config").status_code == 200:
                return ask
        except requests.ConnectionError:
            pass
        assert run.poll() is None, (home / "log.txt").read_text()[-3000:]
        assert time.monotonic() < deadline, (home / "log.txt").read_text()[-3000:]
        time.sleep(0.1)
