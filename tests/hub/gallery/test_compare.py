"""Two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from quantdesk.hub.app.gallery.compare_pages import Beside, beside
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.result import Metric


def text(page: Any) -> str:
    return " ".join(BeautifulSoup(page.text, "html.parser").get_text(" ").split()).replace("\xa0", " ")


@pytest.fixture
def pair(ledger: RunLedger, place: Path, seed: Any) -> tuple[Any, Any]:
    root = place / "state" / "reports"
    return tuple(seed.left(ledger, root, seed.daily_risk(day, 9, figures=True), day) for day in (0, 1))


def test_what_differs_is_told(ana: Any, pair: tuple[Any, Any]) -> None:
    first, second = pair
    page = ana.get(f"/compare?run={second.id}&run={first.id}")  # in whichever order they were ticked
    assert page.status_code == 200
    soup, said = BeautifulSoup(page.text, "html.parser"), text(page)
    heads = [one["href"].rpartition("/")[2] for one in soup.select("tbody td a.qg-stack")]
    assert heads == [first.id, second.id], "the older one comes first"
    assert "≠ The results differ from the same cells." in said
    assert "window 120 sessions 250 sessions ≠ differs" in said
    assert "confidence 0.95 0.95 same" in said
    assert "Value at risk, 95 % var_95" in said
    assert "Both were made from the same" in said
    assert "numbers differ" in said or "the number differs" in said
    assert "4 of 6 cells are the same." in said


def test_figures_stand_side_by_side_as_pictures(ana: Any, pair: tuple[Any, Any]) -> None:
    page = ana.get(f"/compare?run={pair[0].id}&run={pair[1].id}")
    images = BeautifulSoup(page.text, "html.parser").select(".qg-pair img")
    assert [one["src"].split("/")[-4] for one in images] == [pair[0].id, pair[1].id]
    for one in images:
        picture = ana.get(one["src"].removeprefix("/services/quantdesk"))
        assert picture.headers["content-type"] == "image/svg+xml"
        assert picture.headers["content-security-policy"].startswith("sandbox;")
        assert picture.text.startswith("<svg")


def test_a_changed_source_is_shown_line_by_line(ana: Any, ledger: RunLedger, place: Path, seed: Any) -> None:
    root = place / "state" / "reports"
    runs = []
    for number, source in enumerate(("size = 1\nprint(size)", "size = 2  # <script>\nprint(size)")):
        png = {"image/png": "aGVsbG8="}
        told = seed.Told("daily_risk", "Daily risk", seed.START, cells=(("code", source, (png,)),), requested_by="bo")
        runs.append(seed.left(ledger, root, told, number))
    page = ana.get(f"/compare?run={runs[0].id}&run={runs[1].id}")
    soup = BeautifulSoup(page.text, "html.parser")
    assert soup.select_one(".qg-take").get_text() == "-size = 1"
    assert soup.select_one(".qg-add").get_text() == "+size = 2  # <script>"
    assert "from notebooks that differ" in text(page)
    image = soup.select_one(".qg-pair img")["src"].removeprefix("/services/quantdesk")
    assert ana.get(image).content == b"hello"


def test_runs_of_two_reports_are_compared_with_a_warning(ana: Any, ledger: RunLedger, place: Path, seed: Any) -> None:
    root = place / "state" / "reports"
    one = seed.left(ledger, root, seed.Told("daily_risk", "Daily risk", seed.START, metrics=(Metric("m", 2.0, "USD"),)))
    other = seed.left(
        ledger, root, seed.Told("execution_quality", "Costs", seed.START, metrics=(Metric("m", 3.0, "bp"),)), 1
    )
    assert "runs of two reports" in text(ana.get(f"/compare?run={one.id}&run={other.id}"))


@pytest.mark.parametrize(("count", "status", "says"), [(0, 200, "No run is chosen."), (1, 422, "One run is chosen."),
                                                       (3, 422, "3 runs are chosen.")])  # fmt: skip
def test_two_are_wanted(ana: Any, count: int, status: int, says: str) -> None:
    page = ana.get("/compare?" + "&".join(f"run=r{number}" for number in range(count)))
    assert (page.status_code, says in page.text) == (status, True)


def test_a_run_that_one_may_not_see_is_not_compared(
    person: Any, pair: tuple[Any, Any], ledger: RunLedger, place: Path, seed: Any
) -> None:
    hidden = seed.left(
        ledger, place / "state" / "reports", seed.Told("anas_idea", "Ana's idea", seed.START, is_private=True), 9
    )
    path = f"/compare?run={pair[0].id}&run={hidden.id}"
    assert person("ana").get(path).status_code == 200
    assert person("bo").get(path).status_code == 404
    assert person("bo").get(f"/runs/{hidden.id}/figures/0/0").status_code == 404


def test_values_of_two_kinds_are_not_the_same() -> None:
    assert [(one.name, one.is_same) for one in beside({"a": 1, "b": True}, {"b": 1, "c": None, "a": 1})] == [
        ("a", True), ("b", False), ("c", True),
    ]  # fmt: skip
    assert not Beside("x", 1, None).is_same
