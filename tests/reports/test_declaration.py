"""What a report declares: read strictly, from one place, and what is wrong is named with its line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput, DataError
from quantdesk.reports import find_report, list_reports
from quantdesk.reports.declaration import (
    Declaration,
    check_triggers,
    from_metadata,
    from_toml,
)

FULL = """
title = "Daily risk"
description = "What the book could lose."
owner = "ana"
visibility = "private"
tags = ["risk", "daily"]
after = ["data_freshness"]
timeout_s = 600
cell_timeout_s = 120.5
retries = 3
retry_wait_s = 10
memory_mb = 2000
concurrency = 2
retention = { runs = 30, days = 400 }
recipients = ["desk@example.com", "#risk"]
cache = false
seed = 7

[[schedules]]
trigger = "30 18 * * 1-5"
timezone = "America/New_York"
catch_up = "all"
parameters = { window = 60, start = 2020-01-31 }
enabled = false

[parameters.window]
label = "Window"
unit = "sessions"
help = "How far back."
minimum = 20
maximum = 500

[[metrics]]
name = "var_95"
label = "Value at risk"
unit = "USD"
direction = "lower"
bounds = { upper = 250000, severity = "critical" }

[[tables]]
name = "positions"
"""


def test_everything_is_read() -> None:
    read = from_toml(FULL, "risk.toml")
    assert (read.title, read.owner, read.visibility, read.tags) == ("Daily risk", "ana", "private", ("risk", "daily"))
    assert (read.timeout_s, read.cell_timeout_s, read.memory_bytes) == (600.0, 120.5, 2_000_000_000)
    (schedule,) = read.schedules
    assert (schedule.trigger, schedule.timezone, schedule.catch_up) == ("30 18 * * 1-5", "America/New_York", "all")
    assert (schedule.parameters, schedule.enabled) == ({"window": 60, "start": "2020-01-31"}, False)
    assert (read.parameters["window"].minimum, read.parameters["window"].unit) == (20, "sessions")
    metric = read.metric("var_95")
    assert metric is not None
    assert metric.bounds is not None
    assert (metric.bounds.lower, metric.bounds.upper, metric.bounds.severity) == (None, 250000.0, "critical")
    assert read.metric("nothing") is None
    assert (read.retention.runs, read.retention.days) == (30, 400.0)


def test_it_travels_as_json() -> None:
    read = from_toml(FULL, "risk.toml")
    assert from_metadata(json.loads(json.dumps(read.to_dict())), "x") == read
    assert from_metadata(Declaration().to_dict(), "x") == Declaration()


def test_waits_between_retries_double_and_end() -> None:
    read = from_toml("retries = 3\nretry_wait_s = 10", "x")
    assert [read.retry_after_s(attempt) for attempt in (1, 2, 3, 4)] == [10, 20, 40, None]
    assert from_toml("retries = 10\nretry_wait_s = 80000", "x").retry_after_s(10) == 86400
    assert Declaration().retry_after_s(1) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("titel = 'x'", "x.toml, line 1: there is no field titel. Did you mean title"),
        ("title = 5", "x.toml, line 1: title is 5; it should be a valid string."),
        ('title = "a\\nb"', "title: it holds a line break"),
        ("timeout_s = '600'", "timeout_s is '600'; it should be a valid number."),
        ("timeout_s = 0", "timeout_s is 0; it should be greater than 0."),
        ("timeout_s = inf", "timeout_s is inf"),
        ("retries = true", "retries is True; it should be a valid integer."),
        ("memory_mb = 1", "memory_mb is 1; it should be greater than or equal to 64."),
        ("visibility = 'all'", "visibility is 'all'; it should be 'team' or 'private'."),
        ("visibility = 'private'", "a private report needs an owner"),
        ("owner = 'a b'", "owner"),
        ("recipients = ['nobody']", "recipients[1]: it is neither an address such as ana@example.com"),
        ("recipients = ['a@b.c\\r\\nBcc: x@y.z']", "recipients[1]"),
        ('recipients = ["a@b.c\\r\\nBcc: x@y.z"]', "recipients[1]: it is neither an address"),
        ("tags = ['a', 'a']", "the tag a stands twice"),
        ("after = ['../x']", "after[1]"),
        ("\n[[schedules]]\ntimezone = 'Mars'\ntrigger = 'x'", "line 3: schedules[1].timezone: there is no time zone"),
        ("[[schedules]]\ncatch_up = 'latest'", "line 1: schedules[1].trigger is missing; give it."),
        ("[[schedules]]\ntrigger = 'x'\ncatch_up = 'some'", "line 3: schedules[1].catch_up is 'some'; it should be"),
        ("[parameters.w]\nsecret = true", "line 2: there is no field parameters.w.secret."),
        ("[parameters.w]\nminimum = [1]", "line 2: parameters.w.minimum: [1] is no number"),
        ("[parameters.w]\nmaximum = true", "line 2: parameters.w.maximum: True is no number and no date"),
        ("[parameters.w]\nchoices = [[1]]", "line 2: parameters.w.choices[1]: [1] is no number"),
        ("[[metrics]]\nname = '../x'", "line 2: metrics[1].name"),
        ("[[metrics]]\nname = 'a'\n[[metrics]]\nname = 'a'", "the metric a stands twice"),
        ("[[metrics]]\nname = 'a'\nbounds = {}", "line 3: metrics[1].bounds: bounds without lower and upper"),
        ("[[metrics]]\nname = 'a'\nbounds = {lower = 2, upper = 1}", "the lower bound 2 lies above the upper bound 1"),
        ("[[metrics]]\nname = 'a'\nbounds = {lower = nan}", "metrics[1].bounds.lower is nan"),
        ("title =", "x.toml is not TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(DataError) as refused:
        from_toml(text, "x.toml")
    assert said.lower() in refused.value.problem.lower()
    assert refused.value.remedy


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_any_json_reads_or_is_refused(value: object) -> None:
    for field in Declaration.model_fields:
        with contextlib.suppress(DataError):
            assert from_metadata({field: value}, "x").to_dict()


@pytest.mark.parametrize("content", [None, 5, "x", []])
def test_metadata_that_is_no_table_is_refused(content: object) -> None:
    with pytest.raises(DataError, match=r"x: metadata\.quantdesk is no table"):
        from_metadata(content, "x")


def test_a_trigger_that_cannot_be_read_is_named() -> None:
    read = from_toml("[[schedules]]\ntrigger = 'now'\n[[schedules]]\ntrigger = 'then'", "x")

    def ours(text: str, timezone: str) -> None:
        assert timezone == "UTC"
        if text == "then":
            raise BadInput("'then' is no trigger.", "Write a cron line.")

    def theirs(text: str, timezone: str) -> None:
        raise ValueError("no fields")

    with pytest.raises(DataError, match=r"x: schedules\[2\]\.trigger is 'then': 'then' is no trigger\.") as refused:
        check_triggers(read, ours, "x")
    assert refused.value.remedy == "Write a cron line."
    with pytest.raises(DataError, match=r"schedules\[1\]\.trigger is 'now': no fields\."):
        check_triggers(read, theirs, "x")


CELL = [
    "#md # A title\n\nSome words.",
    "window = 60  # sessions back\nstart = '2020-01-01'\nside: \"str | None\" = None",
]


@pytest.fixture
def shelf(state: Path, notebook) -> Path:
    return notebook("risk", CELL, {1: "parameters"}).parent


def declare(shelf: Path, text: str) -> None:
    (shelf / "risk.toml").write_text(text)


def test_a_declaration_beside_the_notebook_refines_it(shelf: Path) -> None:
    declare(
        shelf,
        "owner = 'ana'\n[parameters.window]\nunit = 'sessions'\nminimum = 20\nmaximum = 500\nlabel = 'Window'\n"
        "[parameters.start]\nmaximum = 2022-12-28\n[parameters.side]\nchoices = ['long', 'short']\nhelp = 'Which.'",
    )
    report = find_report("risk")
    window, start, side = report.parameters
    assert (window.unit, window.minimum, window.maximum, window.label) == ("sessions", 20, 500, "Window")
    assert (window.help, side.help) == ("sessions back", "Which.")
    assert (start.maximum, side.choices) == ("2022-12-28", ("long", "short"))
    assert (report.title, report.description, report.declaration.owner) == ("A title", "Some words.", "ana")


def test_its_title_goes_before_the_notebooks(shelf: Path) -> None:
    declare(shelf, "title = 'Mine'\ndescription = 'Mine too.'")
    assert (find_report("risk").title, find_report("risk").description) == ("Mine", "Mine too.")


def test_a_declaration_in_the_metadata_is_the_same(shelf: Path) -> None:
    path = shelf / "risk.ipynb"
    book = json.loads(path.read_text())
    book["metadata"]["quantdesk"] = {"owner": "ana", "parameters": {"window": {"minimum": 20}}}
    path.write_text(json.dumps(book))
    report = find_report("risk")
    assert (report.declaration.owner, report.parameters[0].minimum) == ("ana", 20)
    declare(shelf, "owner = 'bo'")
    with pytest.raises(DataError, match="declares itself twice"):
        find_report("risk")
    (shelf / "risk.toml").unlink()
    book["metadata"]["quantdesk"] = {"owner": 5}
    path.write_text(json.dumps(book))
    with pytest.raises(DataError, match=r"risk\.ipynb, metadata\.quantdesk: owner"):
        find_report("risk")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[parameters.windw]\nunit = 'x'", "line 1: the notebook has no parameter 'windw'"),
        (
            "[parameters.window]\nminimum = 100",
            "line 1: the default of window does not fit: 60 is below the minimum of",
        ),
        ("[parameters.window]\n\nminimum = '2020-01-01'", "line 3: parameters.window.minimum is '2020-01-01', but"),
        ("[parameters.start]\nminimum = 5", "line 2: parameters.start.minimum is 5, but start is date."),
        ("[parameters.side]\nminimum = 'a'", "line 2: parameters.side.minimum is 'a', but side is str | None."),
        (
            "[parameters.window]\nminimum = 90\nmaximum = 10",
            "line 2: the minimum 90 of window lies above its maximum 10",
        ),
        ("[parameters.window]\nchoices = [60, 'x']", "line 2: the choice 'x' of window is no int."),
        ("[parameters.window]\nchoices = [10]", "the default of window does not fit: 60 is none of 10"),
        ("after = ['risk']", "line 1: risk would wait for itself."),
        ("after = ['rsk']", "line 1: there is no report 'rsk'."),
        (
            "[[schedules]]\ntrigger = '0 18 * * *'\nparameters = {window = 'x'}",
            "line 3: 'x' is no value for the parameter",
        ),
        ("[[schedules]]\ntrigger = 'when it rains'", "schedules[1].trigger is 'when it rains'"),
    ],
)
def test_what_does_not_fit_the_notebook_is_named(shelf: Path, text: str, said: str) -> None:
    declare(shelf, text)
    with pytest.raises(DataError) as refused:
        find_report("risk")
    assert said in refused.value.problem
    assert str(shelf / "risk") in refused.value.problem
    assert refused.value.remedy


def test_a_declaration_that_cannot_be_read_is_named(shelf: Path) -> None:
    (shelf / "risk.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"risk\.toml cannot be read \(it is not UTF-8 text\)"):
        find_report("risk")
    (shelf / "risk.toml").write_text("#" * 1_000_001)
    with pytest.raises(DataError, match=r"risk\.toml has more than 1,000,000 bytes"):
        find_report("risk")


def test_one_broken_report_hides_no_other(shelf: Path, notebook) -> None:
    declare(shelf, "owner = 5")
    notebook("whole", ["1"])
    with pytest.raises(DataError):
        list_reports()
    told: dict[str, str] = {}
    found = list_reports(broken=lambda name, error: told.update({name: error.problem}))
    assert [report.name for report in found] == ["whole"]
    assert list(told) == ["risk"]
    assert "owner is 5" in told["risk"]
