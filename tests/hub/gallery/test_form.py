"""A form out of typed parameters, and what is typed into it as values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.hub.app.gallery.form import PREFIX, blank, read
from quantdesk.reports.spec import Parameter

EVERY = (
    Parameter("window", "int", 250, unit="sessions", minimum=20, maximum=500),
    Parameter("confidence", "float", 0.95, minimum=0.5, maximum=0.999),
    Parameter("since", "date", "2015-01-02", minimum="2010-01-04"),
    Parameter("method", "str", "historical", choices=("historical", "parametric")),
    Parameter("side", "Literal['buy', 'sell']", "buy"),
    Parameter("stressed", "bool", True),
    Parameter("hedged", "bool | None", None),
    Parameter("title", "str", "a title"),
    Parameter("note", "str | None", None),
    Parameter("cap", "float | None", None),
    Parameter("symbols", "list[str]", ["AAPL", "MSFT"]),
    Parameter("lags", "list[int]", [1, 5]),
    Parameter("books", "list[str]", ["core"], choices=("core", "event", "macro")),
    Parameter("days", "list[date] | None", None),
    Parameter("weights", "dict[str, float]", {"AAPL": 0.5}),
    Parameter("either", "int | float", 3),
)


def sent(fields: Any) -> dict[str, list[str]]:
    """What a browser sends of a form that nobody has touched."""
    found = {}
    for one in fields:
        if one.kind == "picks":
            found[one.name] = list(one.picked)
        elif one.kind != "flag":
            found[one.name] = [one.text]
        elif one.text:
            found[one.name] = ["true"]
    return found


def test_each_type_has_its_field() -> None:
    assert {one.parameter.name: one.kind for one in blank(EVERY)} == {
        "window": "number", "confidence": "number", "since": "date", "method": "choice", "side": "choice",
        "stressed": "flag", "hedged": "choice", "title": "text", "note": "text", "cap": "number", "symbols": "lines",
        "lags": "lines", "books": "picks", "days": "lines", "weights": "json", "either": "number",
    }  # fmt: skip


def test_a_form_that_nobody_touched_gives_the_notebooks_own_values() -> None:
    reading = read(EVERY, sent(blank(EVERY)), report="r")
    assert reading.given == {}
    assert reading.problem == ""


def test_what_is_filled_in_comes_back_as_typed_values() -> None:
    values = {
        "window": 60,
        "confidence": 0.5,
        "since": "2020-02-29",
        "method": "parametric",
        "side": "sell",
        "stressed": False,
        "hedged": False,
        "title": "",
        "note": "two\nlines",
        "cap": 1e-3,
        "symbols": ["BRK.B", "a, b", "<i>"],
        "lags": [],
        "books": ["core", "macro"],
        "days": ["2026-01-02"],
        "weights": {"X": -1.5},
        "either": 2.5,
    }
    given_ = read(EVERY, sent(blank(EVERY, values)), report="r").given
    assert given_ == values
    assert all(type(given_[name]) is type(value) for name, value in values.items())


@pytest.mark.parametrize(
    ("name", "typed", "says"),
    [
        ("window", "abc", "'abc' is no value for the parameter window of r: it takes a whole number (int)."),
        ("window", "2.5", "it takes a whole number"),
        ("window", "", "'' is no value"),
        ("window", "9" * 400, "is no value"),
        ("window", "10", "10 sessions is below the minimum of 20 sessions"),
        ("confidence", "nan", "'nan' is no value"),
        ("confidence", "1e999", "is no value"),
        ("confidence", "1_0", "is no value"),
        ("since", "2015-13-01", "it takes a date"),
        ("since", "1999-01-04", "below the minimum"),
        ("method", "guessing", "'guessing' is none of"),
        ("side", "hold", "is no value"),
        ("lags", "1\nx", "is no value"),
        ("books", "secret", "is none of"),
        ("weights", "{", "weights cannot be read as JSON."),
        ("weights", "[" * 100_000, "weights cannot be read as JSON."),
        ("weights", '{"a": "b"}', "is no value"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays(name: str, typed: str, says: str) -> None:
    reading = read(EVERY, sent(blank(EVERY)) | {PREFIX + name: [typed]}, report="r")
    assert reading.given is None
    wrong = [one for one in reading.fields if one.error]
    assert [one.parameter.name for one in wrong] == [name]
    assert says in wrong[0].error
    assert "The parameter" not in wrong[0].error, "it stands beside the field that it is about"
    assert typed in (wrong[0].text, *wrong[0].picked)
    assert reading.problem == "One field has to be changed; nothing was started."


def test_two_wrong_fields_are_both_told() -> None:
    reading = read(EVERY, sent(blank(EVERY)) | {"p.window": ["x"], "p.lags": ["y"]}, report="r")
    assert [one.parameter.name for one in reading.fields if one.error] == ["window", "lags"]
    assert reading.problem.startswith("2 fields have")


def test_a_field_that_the_report_does_not_have_is_refused() -> None:
    reading = read(EVERY, sent(blank(EVERY)) | {"p.windw": ["1"], "other": ["x"]}, report="r")
    assert reading.given is None
    assert "The report r has no parameter 'windw'." in reading.problem
    assert "window" in reading.remedy


def test_what_an_earlier_run_had_and_the_report_no_longer_takes_is_left_out() -> None:
    fields = blank(EVERY, {"window": "many", "gone": 3, "side": "sell"})
    shown = {one.parameter.name: one.text for one in fields}
    assert (shown["window"], shown["side"]) == ("250", "sell")


def test_fields_say_what_they_take() -> None:
    hints = {one.parameter.name: one.hint for one in blank(EVERY)}
    assert hints["window"] == "whole number; 20 to 500 sessions"
    assert hints["since"] == "2010-01-04 or more"
    assert hints["lags"] == "whole numbers, one on each line"
    assert hints["cap"] == "number; empty for none"
    assert hints["weights"] == "dict[str, float], written as JSON"
    labels = {one.parameter.name: one.label for one in blank((*EVERY, Parameter("look_back", "int", 1, label="")))}
    assert labels["look_back"] == "Look back"
    assert {one.parameter.name: one.default for one in blank(EVERY)}["symbols"] == "AAPL, MSFT"


@given(
    st.dictionaries(st.sampled_from([PREFIX + one.name for one in EVERY]), st.lists(st.text(max_size=40), max_size=4))
)
def test_whatever_is_sent_is_a_form_again_or_checked_values(typed: dict[str, list[str]]) -> None:
    reading = read(EVERY, typed, report="r")
    assert len(reading.fields) == len(EVERY)
    assert (reading.given is None) is (bool(reading.problem))
