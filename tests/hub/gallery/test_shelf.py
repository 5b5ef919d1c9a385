"""The gallery itself: what is on the shelf, for whom, and how it is found."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from quantdesk.reports.ledger import Order, RunLedger, Schedule


@pytest.fixture
def runs(ledger: RunLedger, place: Path, seed: Any) -> list[Any]:
    return seed.past(ledger, place / "state" / "reports")  # type: ignore[no-any-return]


def shelf(page: Any) -> dict[str, Any]:
    """The rows of the gallery, by the name of the report."""
    soup = BeautifulSoup(page.text, "html.parser")
    return {row["data-report"]: row for row in soup.select("tr[data-report]")}


def text(node: Any) -> str:
    return " ".join(node.get_text(" ").split())


def test_each_report_stands_with_its_last_run_its_figure_and_its_metric(ana: Any, runs: list[Any]) -> None:
    page = ana.get("/")
    assert page.status_code == 200
    rows = shelf(page)
    assert list(rows) == ["anas_idea", "daily_risk", "data_freshness", "execution_quality", "scenario_stress"]
    risk = rows["daily_risk"]
    last = next(run for run in reversed(runs) if run.report == "daily_risk")
    assert "✓ Completed" in text(risk)
    assert risk.select_one("img")["src"].endswith(f"/runs/{last.id}/thumbnails/0")
    assert risk.select_one("svg.qg-spark")["aria-label"].startswith("Value at risk, 95 % over 5 runs: from ")
    assert "● real ◐ reconstructed" in text(risk)
    assert "never run" in text(rows["data_freshness"])
    assert "◷ Timed out" in text(rows["scenario_stress"])
    assert rows["scenario_stress"].select_one("img") is None


def test_a_private_report_and_its_runs_are_there_for_owner_and_administrator_alone(
    person: Any, runs: list[Any]
) -> None:
    for name, seen in (("ana", True), ("root", True), ("bo", False), ("guest", False)):
        visitor = person(name)
        assert ("anas_idea" in shelf(visitor.get("/"))) is seen, name
        assert (visitor.get("/reports/anas_idea").status_code == 200) is seen, name
        assert (visitor.get(f"/runs/{runs[-1].id}").status_code == 200) is seen, name
        assert (visitor.get(f"/runs/{runs[-1].id}/page").status_code == 200) is seen, name
        assert ("anas_idea" in visitor.get("/runs").text) is seen, name


def test_a_report_that_one_may_not_see_is_not_told_from_one_that_is_not_there(person: Any) -> None:
    bo = person("bo")
    hidden, missing = bo.get("/reports/anas_idea"), bo.get("/reports/nobodys_idea")
    assert hidden.status_code == missing.status_code == 404
    assert "anas" not in missing.text
    assert (
        hidden.text.replace("anas_idea", "X").split("Request")[0]
        == missing.text.replace("nobodys_idea", "X").split("Request")[0]
    )


SOUGHT = {
    "q=risk": ["daily_risk", "scenario_stress"],
    "q=RISK+limits": ["daily_risk"],
    "q=%23+no+such": [],
    "status=not+complete": ["scenario_stress"],
    "status=never+run": ["data_freshness"],
    "owner=bo": ["data_freshness", "execution_quality"],
    "tag=daily&owner=ana": ["daily_risk"],
    "tag=%3Cscript%3E": [],
}


def test_the_shelf_is_searched_by_its_address(ana: Any, runs: list[Any]) -> None:
    for query, found in SOUGHT.items():
        page = ana.get(f"/?{query}")
        assert list(shelf(page)) == found, query
        assert ("No report fits" in page.text) is not bool(found)
        assert "<script>" not in page.text
        assert list(shelf(ana.get(f"/live/gallery?{query}"))) == found, query


def test_rows_that_have_not_changed_are_not_sent_again(ana: Any, runs: list[Any], ledger: RunLedger) -> None:
    first = ana.get("/live/gallery")
    again = ana.get("/live/gallery", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.text) == (304, "")
    order = Order(id="new-run", report="data_freshness", title="Data freshness", parameters={}, requested_by="bo")
    ledger.queue.add(order)
    changed = ana.get("/live/gallery", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert "○ Queued" in text(shelf(changed)["data_freshness"])


def test_the_next_run_is_the_first_of_the_schedules_that_are_on(ana: Any, ledger: RunLedger) -> None:
    assert "not scheduled" in text(shelf(ana.get("/"))["daily_risk"])
    paused = Schedule("", "daily_risk", "* * * * *", "UTC", "ana", is_enabled=False)
    yearly = Schedule("", "daily_risk", "0 7 1 1 *", "America/New_York", "ana")
    for one in (paused, yearly):
        ledger.schedules.add(one)
    year = datetime.now(UTC).year + 1
    assert f"{year}-01-01 12:00 UTC" in text(shelf(ana.get("/"))["daily_risk"])


def test_a_schedule_that_can_no_longer_be_read_takes_nothing_down(ana: Any, ledger: RunLedger) -> None:
    ledger.schedules.add(Schedule("", "daily_risk", "at the MARS open", "UTC", "ana"))
    assert "not scheduled" in text(shelf(ana.get("/"))["daily_risk"])
    assert ana.get("/schedules").status_code == 200


def test_a_notebook_that_cannot_be_read_is_named_to_administrators(person: Any) -> None:
    assert "1 notebook cannot be read as a report; an administrator sees why." in text(
        BeautifulSoup(person("ana").get("/").text, "html.parser")
    )
    shown = text(BeautifulSoup(person("root").get("/").text, "html.parser"))
    assert "broken" in shown
    assert "JSON" in shown


def test_a_report_whose_notebook_is_gone_keeps_its_runs(ana: Any, runs: list[Any], place: Path) -> None:
    (place / "notebooks" / "execution_quality.ipynb").unlink()
    (place / "notebooks" / "execution_quality.toml").unlink()
    row = shelf(ana.get("/"))["execution_quality"]
    assert "notebook is gone" in text(row)
    assert row.select_one("a.qd-button") is None
    page = ana.get("/reports/execution_quality")
    assert page.status_code == 200
    assert "cannot be run again" in page.text
    assert ana.get("/reports/execution_quality/run").status_code == 404


def test_without_notebooks_and_runs_the_pages_say_so(ana: Any, place: Path) -> None:
    for path in (place / "notebooks").iterdir():
        path.unlink()
    assert "No reports yet" in ana.get("/").text
    assert "No runs yet" in ana.get("/runs").text
    assert "No schedules yet" in ana.get("/schedules").text


def test_without_the_folder_of_notebooks_runs_can_still_be_looked_at(
    ana: Any, runs: list[Any], monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(place / "nowhere"))
    assert ana.get("/").status_code == 200
    assert ana.get(f"/runs/{runs[0].id}").status_code == 200


def test_who_may_not_read_sees_the_page_of_a_refusal(person: Any, runs: list[Any]) -> None:
    one = f"/runs/{runs[0].id}"
    for path in (
        "/",
        "/runs",
        one,
        f"{one}/page",
        "/schedules",
        "/compare",
        "/live/gallery",
        "/reports/daily_risk/run",
    ):
        refused = person("nobody").get(path)
        assert refused.status_code == 403, path
        assert "custom:quantdesk:read" in refused.text or "custom:quantdesk:run" in refused.text
        assert "daily_risk" not in refused.text


def test_nothing_is_there_for_who_is_not_logged_in(person: Any, runs: list[Any]) -> None:
    stranger = person("ana")
    stranger.log_out()
    assert stranger.get("/").status_code == 302
    assert "/login?next=" in stranger.get(f"/runs/{runs[0].id}").headers["location"]
