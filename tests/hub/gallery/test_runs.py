"""Lists of runs, the page of a run, its files; what is hostile in them stays text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from quantdesk.reports.ledger import Order, RunLedger, State
from quantdesk.reports.result import Metric, Problem, Status

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}'


def text(page: Any) -> str:
    return " ".join(BeautifulSoup(page.text, "html.parser").get_text(" ").split())


@pytest.fixture
def root(place: Path) -> Path:
    return place / "state" / "reports"


@pytest.fixture
def runs(ledger: RunLedger, root: Path, seed: Any) -> list[Any]:
    return seed.past(ledger, root, sessions=5)  # type: ignore[no-any-return]


def test_the_runs_of_a_report_are_listed_with_their_metrics(ana: Any, runs: list[Any]) -> None:
    soup = BeautifulSoup(ana.get("/reports/daily_risk").text, "html.parser")
    assert [" ".join(one.get_text().split()) for one in soup.select("thead th")] == [
        "Compare", "Run", "State", "Value at risk, 95 %", "gross", "Took", "Asked for by", "Because of",
    ]  # fmt: skip
    rows = soup.select("table.qg-runs tbody tr")
    assert len(rows) == 5
    assert rows[0].select_one("th a")["href"].endswith(runs[4].id)
    assert "USD" in rows[0].get_text()
    assert "✕ Failed" in " ".join(rows[2].get_text(" ").split())


def test_long_lists_come_in_pages_that_lose_and_repeat_nothing(ana: Any, ledger: RunLedger) -> None:
    for number in range(120):
        ledger.queue.add(
            Order(id=f"run-{number:03d}", report="daily_risk", title="Daily risk", parameters={}, requested_by="bo")
        )
    seen: list[str] = []
    path = "/reports/daily_risk?by=bo"
    for _ in range(9):
        soup = BeautifulSoup(ana.get(path).text, "html.parser")
        seen += [box["value"] for box in soup.select("input[name=run]")]
        older = soup.select_one("a[rel=next]")
        if older is None:
            break
        assert "by=bo" in older["href"]
        path = older["href"].removeprefix("/services/quantdesk")
    assert sorted(seen) == [f"run-{number:03d}" for number in range(120)]


def test_lists_are_filtered_by_state_person_and_text(ana: Any, runs: list[Any]) -> None:
    def found(query: str) -> int:
        return len(BeautifulSoup(ana.get(f"/runs?{query}").text, "html.parser").select("input[name=run]"))

    assert found("") == 10
    assert found("status=not+complete") == 2
    assert found("status=timed_out") == 1
    assert found("status=nonsense") == 10
    assert found("by=bo") == 3
    assert found("q=execution") == 3
    assert found("q=execution&by=ana") == 0
    assert ana.get("/runs?cursor=nonsense").status_code == 422
    assert ana.get(f"/runs?q={'x' * 300}").status_code == 422


def test_the_page_of_a_run_says_all_that_is_known_of_it(ana: Any, runs: list[Any]) -> None:
    page = ana.get(f"/runs/{runs[4].id}")
    said = text(page)
    for word in ("✓ Completed", "● real", "◐ reconstructed", "Value at risk, 95 %",
                 "250,000 USD or less", "250 sessions",
                 "worker: done", "numpy 2.3.4", "412.0 MB",
                 "c0ffeec0ffee", "1234567890abcdef"):  # fmt: skip
        assert word.replace("\xa0", " ") in said.replace("\xa0", " "), word
    frame = BeautifulSoup(page.text, "html.parser").select_one("iframe")
    assert frame["sandbox"] == ["allow-scripts"]
    assert frame["src"].endswith(f"/runs/{runs[4].id}/page")
    names = [one.get_text() for one in BeautifulSoup(page.text, "html.parser").select("#parameters tbody th")]
    assert names == ["symbols", "window", "confidence", "since", "method", "stressed", "note"]


def test_a_failed_run_says_where_it_failed(ana: Any, runs: list[Any]) -> None:
    said = text(ana.get(f"/runs/{runs[2].id}"))
    assert "✕ Failed In cell 2, under “Exposure”: KeyError: 'MSFT' has no close on 2026-11-17." in said


def test_metrics_out_of_bounds_are_marked_by_word_and_shape(ana: Any, ledger: RunLedger, root: Path, seed: Any) -> None:
    metrics = (Metric("var_95", 300_000.0, "USD", upper=250_000.0, severity="critical"),
               Metric("drift", None, "bp", reason="NaN", lower=0.0),
               Metric("fine", 1.0, lower=0.0, upper=2.0))  # fmt: skip
    run = seed.left(ledger, root, seed.Told("daily_risk", "Daily risk", seed.START, metrics=metrics))
    said = text(ana.get(f"/runs/{run.id}"))
    assert "▲ outside (critical)" in said
    assert "▲ outside (warning)" in said
    assert "✓ within" in said
    shelf = BeautifulSoup(ana.get("/").text, "html.parser").select_one("tr[data-report=daily_risk]")
    assert "outside of its bounds" in shelf.get_text(" ")


def test_a_run_under_way_tells_its_progress(ana: Any, ledger: RunLedger, seed: Any) -> None:
    run, claim = seed.under_way(ledger, "daily_risk", "Daily risk", what="Exposure", done=2, total=7, estimate_s=14.0)
    page = ana.get(f"/runs/{run.id}")
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.text
    live = ana.get(f"/runs/{run.id}/live")
    for said in (text(page), text(live)):
        assert "▶ Running Exposure" in said
        assert "2 of 7 cells" in said
        assert "about 14.0 s more" in said
    assert BeautifulSoup(live.text, "html.parser").select_one("#standing")["data-final"] == "no"
    ledger.queue.finish(claim, State.FAILED, {}, problem="The worker lost it.")
    ended = ana.get(f"/runs/{run.id}/live")
    assert BeautifulSoup(ended.text, "html.parser").select_one("#standing")["data-final"] == "yes"
    assert "✕ Failed The worker lost it." in text(ended)
    assert "This run left no page" in text(ana.get(f"/runs/{run.id}"))
    assert "1 attempt" in text(ana.get(f"/runs/{run.id}"))


def test_a_run_that_waits_says_for_what(ana: Any, ledger: RunLedger) -> None:
    ledger.queue.add(Order(id="first", report="daily_risk", title="Daily risk", parameters={}, requested_by="ana"))
    ledger.queue.add(
        Order(id="second", report="daily_risk", title="Daily risk", parameters={}, requested_by="ana", after=("first",))
    )
    assert "A worker takes it as soon as one is free." in text(ana.get("/runs/first"))
    assert "For 1 run that must be complete before: first" in text(ana.get("/runs/second"))


def test_what_is_hostile_in_a_run_is_shown_as_text(ana: Any, ledger: RunLedger, root: Path, seed: Any) -> None:
    told = seed.Told(
        "daily_risk", EVIL, seed.START, Status.FAILED, Problem(EVIL, 1, "c1", EVIL),
        {EVIL: EVIL, "window": [EVIL]}, (EVIL,),
        (Metric("m<b>", EVIL, "<u>"), Metric("n", 1.0, EVIL[:24], label=EVIL)), ("real",), EVIL, EVIL,
        cells=(("markdown", f"# {EVIL}", ()), ("code", EVIL, ({"text/html": EVIL},))), log=EVIL + "\x1b[31m\x00\x07",
    )  # fmt: skip
    run = seed.left(ledger, root, told)
    other = seed.left(ledger, root, told, 1)
    rewritten(ledger, run.id, record=json.dumps(dict(run.record) | {"labels": ["real", EVIL]}))
    ledger.remarks.comment(run.id, EVIL, EVIL, cell_id="c1")
    ledger.remarks.trace(EVIL, EVIL, run.id)
    one = f"/runs/{run.id}"
    for path in (one, f"{one}/live", "/runs", "/", "/reports/daily_risk", f"/reports/daily_risk/run?like={run.id}",
                 f"/compare?run={run.id}&run={other.id}"):  # fmt: skip
        page = ana.get(path)
        assert page.status_code == 200, path
        soup = BeautifulSoup(page.text, "html.parser")
        assert all(one.get("src") and not one.string for one in soup.select("script")), path
        assert not soup.select("[onerror], [style], style, img[src=x]"), path
        assert "49" not in soup.get_text().split(), path
    assert "alert(1)" in text(ana.get(f"/runs/{run.id}"))


def test_the_page_in_the_frame_is_shut_in(ana: Any, runs: list[Any], root: Path) -> None:
    page = ana.get(f"/runs/{runs[0].id}/page")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "private, no-cache"
    again = ana.get(f"/runs/{runs[0].id}/page", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["content-security-policy"] == policy


def test_every_page_forbids_what_it_does_not_need(ana: Any, runs: list[Any]) -> None:
    for path in (
        "/",
        "/runs",
        f"/runs/{runs[0].id}",
        "/schedules",
        "/schedules/new",
        "/reports/daily_risk/run",
        "/compare",
    ):
        policy = ana.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


def test_files_are_handed_out_to_be_kept(ana: Any, runs: list[Any]) -> None:
    base = f"/runs/{runs[0].id}"
    notebook = ana.get(f"{base}/notebook.ipynb")
    assert notebook.headers["content-disposition"] == f"attachment; filename*=UTF-8''{runs[0].id}.ipynb"
    assert notebook.json()["nbformat"] == 4
    log = ana.get(f"{base}/log.txt")
    assert log.headers["content-type"].startswith("text/plain")
    assert "attachment" in log.headers["content-disposition"]
    assert log.text == "worker: started\nworker: done\n"
    picture = ana.get(f"{base}/thumbnails/0")
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["content-security-policy"].startswith("sandbox;")
    for missing in ("thumbnails/1", "thumbnails/-1", "tables/none", "figures/0/0", "figures/-1/0", "figures/99/99"):
        assert ana.get(f"{base}/{missing}").status_code == 404, missing
    assert ana.get(f"{base}/thumbnails/x").status_code == 422


def test_a_table_is_handed_out_as_parquet(ana: Any, ledger: RunLedger, root: Path, seed: Any) -> None:
    run = seed.left(ledger, root, seed.Told("daily_risk", "Daily risk", seed.START))
    folder = Path(run.folder)
    (folder / "tables").mkdir()
    (folder / "tables" / "losses.parquet").write_bytes(b"PAR1")
    record = dict(run.record) | {
        "tables": [{"name": "losses", "file": "tables/losses.parquet", "rows": 3, "columns": ["a"]}]
    }
    rewritten(ledger, run.id, record=json.dumps(record))
    assert "losses (3 rows, 1 columns, parquet)" in text(ana.get(f"/runs/{run.id}"))
    assert ana.get(f"/runs/{run.id}/tables/losses").content == b"PAR1"


def rewritten(ledger: RunLedger, run_id: str, **values: Any) -> None:
    """Write into a row of the ledger what nobody should."""
    from sqlalchemy import update

    from quantdesk.reports.ledger.tables import RUNS

    with ledger.database.writing() as connection:
        connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(**values))


def test_nothing_outside_of_the_folder_of_a_run_is_handed_out(
    ana: Any, runs: list[Any], ledger: RunLedger, place: Path
) -> None:
    secret = place / "secret.txt"
    secret.write_text("the secret", "utf-8")
    run = runs[0]
    folder = Path(run.folder)
    (folder / "log.txt").unlink()
    (folder / "log.txt").symlink_to(secret)
    (folder / "notebook.ipynb").unlink()
    (folder / "notebook.ipynb").symlink_to(secret)
    record = dict(run.record) | {"thumbnail_files": ["../../../../../secret.txt"]}
    rewritten(ledger, run.id, record=json.dumps(record))
    for path in ("log.txt", "notebook.ipynb", "thumbnails/0"):
        answer = ana.get(f"/runs/{run.id}/{path}")
        assert answer.status_code == 404, path
        assert "the secret" not in answer.text
    assert "the secret" not in ana.get(f"/runs/{run.id}").text
    for name in ("..%2F..%2Fetc", "%2e%2e", "a%00b", "x" * 500, "%22%3E%3Cscript%3E"):
        assert ana.get(f"/runs/{name}").status_code in (404, 422), name
        assert ana.get(f"/reports/{name}").status_code in (404, 422), name


def test_a_notebook_that_is_damaged_takes_no_page_down(ana: Any, runs: list[Any]) -> None:
    deep, odd = "[" * 50_000, '{"cells": [3, {"cell_type": "code", "id": 5, "metadata": 7}]}'
    for broken in ("no json", '{"cells": 3}', odd, deep):
        (Path(runs[0].folder) / "notebook.ipynb").write_text(broken, "utf-8")
        assert ana.get(f"/runs/{runs[0].id}").status_code == 200
        compared = ana.get(f"/compare?run={runs[0].id}&run={runs[1].id}")
        assert compared.status_code == 200
        assert "cannot be" in text(compared)
        assert ana.get(f"/runs/{runs[0].id}/figures/0/0").status_code == 404


def test_a_run_whose_folder_or_record_is_gone_still_has_a_page(ana: Any, runs: list[Any], ledger: RunLedger) -> None:
    rewritten(ledger, runs[0].id, folder="/nowhere/at/all")
    rewritten(ledger, runs[1].id, record='{"status": "completed"}')
    for run in runs[:2]:
        assert ana.get(f"/runs/{run.id}").status_code == 200
    assert ana.get(f"/runs/{runs[0].id}/page").status_code == 404
    assert "sandbox" in ana.get(f"/runs/{runs[0].id}/page").headers["content-security-policy"]
    assert "left nothing that could be compared" in text(ana.get(f"/compare?run={runs[0].id}&run={runs[1].id}"))


def test_a_long_log_is_shown_by_its_end(ana: Any, ledger: RunLedger, root: Path, seed: Any) -> None:
    run = seed.left(
        ledger,
        root,
        seed.Told("daily_risk", "Daily risk", seed.START, log="first line\n" + "x" * 99 + "\n" * 70_000 + "last line"),
    )
    page = ana.get(f"/runs/{run.id}")
    log = BeautifulSoup(page.text, "html.parser").select_one("pre.qg-log").get_text()
    assert "last line" in log
    assert "first line" not in log
    assert "The end of it." in page.text
