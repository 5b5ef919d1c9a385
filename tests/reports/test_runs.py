"""Records of runs: written whole, read back as they were, found by any part of their name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.reports import banner
from quantdesk.reports.runs import (
    Metric,
    Problem,
    Provenance,
    Run,
    RunsConfig,
    Status,
    find_run,
    list_runs,
    new_id,
    publish,
    read_run,
)

START = datetime(2026, 11, 23, 1, 45, 39, 123456, UTC)


def a_run(folder: Path, identity: str | None = None, **changes: object) -> Run:
    identity = identity or new_id("demo", START)
    run = Run(
        id=identity,
        report="demo",
        title="Demo <b>",
        status=Status.FAILED,
        parameters={"symbols": ["AAPL"], "window": 20, "text": "“\u2028”"},
        given=("window",),
        seed=7,
        notebook="/x/demo.ipynb",
        notebook_sha256="ab" * 32,
        started=START,
        ended=START + timedelta(seconds=2.5),
        problem=Problem("It broke.", 3, "cell-3", "Compute"),
        labels=("real",),
        provenance=Provenance(data_version="d1", packages={"numpy": "2"}, python="3.11", git_commit=None),
        folder=folder / identity,
    )
    return replace(run, **changes)


@pytest.fixture
def config(state: Path) -> RunsConfig:
    config = RunsConfig.from_env()
    assert config.reports_root == state / "reports"
    return config


def test_a_run_is_read_back_as_it_was(config: RunsConfig) -> None:
    log = config.reports_root / "log"
    log.parent.mkdir(parents=True)
    log.write_text("words")
    run = publish(a_run(config.runs), notebook="{}", page="<!doctype html>\r\n", log=log)
    assert read_run(run.folder) == run
    assert run.duration_s == 2.5
    assert run.executed.read_text() == "{}"
    assert run.page.read_bytes() == b"<!doctype html>\r\n"
    assert (run.folder / "log.txt").read_text() == "words"
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "log.txt",
        "notebook.ipynb",
        "report.html",
        "run.json",
    ]


def test_a_run_never_replaces_another(config: RunsConfig) -> None:
    run = publish(a_run(config.runs), notebook="{}", page="", log=None)
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        publish(run, notebook="other", page="", log=None)
    assert run.executed.read_text() == "{}"
    assert [path.name for path in config.runs.iterdir()] == [run.id]


@given(st.text(max_size=100), st.datetimes(timezones=st.just(UTC)) | st.just(START))
def test_ids_are_names_of_files_and_sort_by_time(report: str, at: datetime) -> None:
    identity = new_id(report, at)
    assert identity.isascii()
    assert not set(identity) & set("/\\ \0:*?")
    assert not identity.startswith((".", "-"))
    assert len(identity) < 100
    if at.year < 9999:
        assert new_id("a", at + timedelta(milliseconds=1)) > identity[:20]


def test_ids_are_in_utc_and_do_not_meet() -> None:
    tokyo = START.astimezone(timezone(timedelta(hours=9)))
    assert new_id("02_x", tokyo).startswith("20261123T014539.123Z-02_x-")
    assert len({new_id("a", START) for _ in range(200)}) == 200


def test_runs_are_found_by_id_beginning_report_and_latest(config: RunsConfig) -> None:
    old = publish(a_run(config.runs, "20260101T000000.000Z-demo-aaaaaa"), notebook="{}", page="", log=None)
    new = publish(a_run(config.runs, "20260102T000000.000Z-demo-x-bbbbbb"), notebook="{}", page="", log=None)
    assert list_runs() == (new, old)
    assert find_run(old.id) == old
    assert find_run("20260101") == old
    assert find_run("demo") == old
    assert find_run("demo-x") == new
    assert find_run("latest") == new
    with pytest.raises(BadInput, match="'2026' fits 2 runs"):
        find_run("2026")
    for name in ("x", "", "../runs", "/etc"):
        with pytest.raises(UnknownName):
            find_run(name)


def test_no_runs_are_no_error(config: RunsConfig) -> None:
    assert list_runs() == ()
    with pytest.raises(UnknownName, match="There is no run at all yet"):
        find_run("latest")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"problem": 1}'])
def test_a_damaged_record_is_named_and_hides_no_other(config: RunsConfig, content: bytes) -> None:
    good = publish(a_run(config.runs, "20260102T000000.000Z-demo-bbbbbb"), notebook="{}", page="", log=None)
    bad = publish(a_run(config.runs, "20260103T000000.000Z-other-cccccc"), notebook="{}", page="", log=None)
    (bad.folder / "run.json").write_bytes(content)
    with pytest.raises(DataError, match=r"run\.json is no record of a run"):
        find_run("other")
    first, second = list_runs()
    assert (first.status, first.report, first.started) == (
        Status.UNREADABLE,
        "other",
        datetime(2026, 1, 3, tzinfo=UTC),
    )
    assert banner.sentence(first)
    assert second == good


def test_a_strange_folder_is_listed_as_unreadable(config: RunsConfig) -> None:
    (config.runs / "what").mkdir(parents=True)
    (config.runs / ".hidden.tmp").mkdir()
    (only,) = list_runs()
    assert (only.id, only.status) == ("what", Status.UNREADABLE)


def test_the_record_says_what_it_is(config: RunsConfig) -> None:
    run = publish(a_run(config.runs), notebook="{}", page="", log=None)
    record = json.loads((run.folder / "run.json").read_text())
    assert record["schema"] == 1
    assert record["status"] == "failed"
    assert record["started"] == "2026-11-23T01:45:39.123456+00:00"
    assert record["duration_s"] == 2.5
    assert record["problem"] == {"message": "It broke.", "cell": 3, "cell_id": "cell-3", "heading": "Compute"}
    assert "folder" not in record


def test_every_status_has_a_shape_and_a_word_of_its_own() -> None:
    looks = [banner.shown(status) for status in Status if status is not Status.UNREADABLE]
    assert len({look.shape for look in looks}) == len({look.word for look in looks}) == len(looks)


@pytest.mark.parametrize(
    ("value", "words"),
    [(1234567.0, "1,234,567 USD"), (312_500.0, "312,500 USD"), (0.0123456789, "0.0123457 USD"), (7, "7 USD")],
)
def test_an_amount_is_written_for_people(value: float, words: str) -> None:
    metric = Metric("pnl", value, "USD", lower=-2_500_000.0, upper=1_000_000.0)
    assert metric.words == words
    assert metric.bounds == "-2,500,000 to 1,000,000 USD"
    if value > 1_000_000:
        assert metric.breach == "pnl is 1,234,567 USD, above 1,000,000 USD"
