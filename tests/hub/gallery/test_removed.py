"""The page of a run whose files were removed by retention says so, and what is still known of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from quantdesk.reports.ledger import Recorded, RunLedger


@pytest.fixture
def removed(ledger: RunLedger, place: Path, seed: Any) -> Recorded:
    """An older run of daily risk that nobody spoke of, removed."""
    seed.past(ledger, place / "state" / "reports")
    for one in reversed(ledger.keeping.left("daily_risk")):
        if ledger.keeping.remove(one.id):
            shutil.rmtree(one.folder, ignore_errors=True)
            ledger.keeping.emptied(one.id)
            return ledger.queue.get(one.id)
    raise AssertionError("nothing can be removed")


def test_its_page_is_gone_and_says_when_and_what_it_was(person: Any, removed: Recorded) -> None:
    ana = person("ana")
    page = ana.get(f"/runs/{removed.id}")
    assert page.status_code == 410
    words = " ".join(page.text.split())
    assert removed.removed is not None
    assert "The files of this run were removed by retention on" in words
    assert f"{removed.removed:%Y-%m-%d}" in words
    assert removed.record["provenance"]["data_version"] in words
    assert all(name in words for name in removed.metrics)
    assert "<iframe" not in page.text
    assert 'id="sign-off"' not in page.text


@pytest.mark.parametrize("file", ["page", "notebook.ipynb", "log.txt", "thumbnails/0", "figures/0/0", "tables/x"])
def test_its_files_are_gone_for_good(person: Any, removed: Recorded, file: str) -> None:
    answer = person("ana").get(f"/runs/{removed.id}/{file}")
    assert answer.status_code == 410
    assert "removed by retention on" in answer.text


def test_a_comment_that_comes_too_late_is_refused(person: Any, removed: Recorded, ledger: RunLedger) -> None:
    answer = person("ana").post(f"/runs/{removed.id}/comments", {"text": "Hm."})
    assert 400 <= answer.status_code < 500
    assert ledger.remarks.comments(removed.id) == ()


def test_lists_mark_it_and_the_api_tells_when(person: Any, removed: Recorded) -> None:
    ana = person("ana")
    assert "removed</span>" in ana.get("/reports/daily_risk").text
    told = ana.get(f"/api/v1/runs/{removed.id}", headers={"Accept": "application/json"})
    assert told.status_code == 200
    assert told.json()["removed"] == removed.removed.isoformat()  # type: ignore[union-attr]
    assert ana.get(f"/api/v1/runs/{removed.id}/artefacts").json() == {"items": []}
    gone = ana.get(f"/api/v1/runs/{removed.id}/artefacts/report.html", headers={"Accept": "application/json"})
    assert (gone.status_code, gone.json()["code"]) == (410, "removed")
