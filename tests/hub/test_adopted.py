"""What root ran before the hub was there, as `make up` does, is in the gallery once the hub's worker runs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from quantdesk.reports.result import Provenance, Run, Status
from quantdesk.reports.runs import publish

pytestmark = pytest.mark.xdist_group("hub")
SERVICE = "/services/quantdesk"


@pytest.mark.slow
def test_a_run_of_make_up_is_in_the_gallery_of_everybody(ground: Any, real: Any, templates: Path) -> None:
    real.need_root()
    state = Path(ground.state())
    name, now = "20261101T120000.000Z-small-0000aa", datetime(2026, 11, 1, 12, tzinfo=UTC)
    notebook = templates / "small.ipynb"
    digest = hashlib.sha256(notebook.read_bytes()).hexdigest()
    made = Run(
        id=name, report="small", title="Small", status=Status.COMPLETED, parameters={}, given=(), seed=None,
        notebook=str(notebook), notebook_sha256=digest, started=now, ended=now,
        problem=None, labels=(), provenance=Provenance(user="root"), folder=state / "reports" / "runs" / name,
    )  # fmt: skip
    publish(made, notebook="{}", page="<p>What root ran.</p>", log=None)
    env = {
        "QUANTDESK_SERVICE": "true",
        "QUANTDESK_SERVICE_WORKERS": "1",
        "QUANTDESK_NOTEBOOKS": str(templates),
        "QUANTDESK_HALTS_FEEDS": "false",
    }
    hub = real.RealHub(ground, state, env=env)
    with hub:
        ana = hub.user("ana", hub.first_login())

        def get(path: str) -> requests.Response:
            found: requests.Response = ana.session.get(
                f"{hub.url}{SERVICE}{path}", timeout=60, headers={"Accept": "text/html"}
            )
            return found

        def log() -> str:
            return (hub.files.root / "service.log").read_text()[-5000:]

        real.until(lambda: get(f"/runs/{name}").status_code == 200, 240, log)
        page = get(f"/runs/{name}").text
        assert "Completed" in page
        assert "direct" in page
        assert get(f"/runs/{name}/page").text == "<p>What root ran.</p>"
        assert f"/runs/{name}" in get("/").text
    assert (made.folder / "run.json").stat().st_uid != 0  # the worker's, who may so remove it when its time comes
