"""Alerts: one as something goes wrong, one as it is right again, none between, and none for what nobody can know."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.reports.declaration import Declaration
from quantdesk.reports.deliver.alerts import Alert, Bound, Rules, Standing, alerts_of, rules_of, standing_of
from quantdesk.reports.result import Metric, Problem, Provenance, Run, Status

from .conftest import NOW, run_of

VAR = Rules((Bound("var_99", high=1000.0, severity="critical"),), on_failure=False)


def told(number: int, *metrics: Metric, **changes: Any) -> Run:
    """Run number so and so of a report, a day after the one before."""
    at = NOW + timedelta(days=number)
    return run_of(id=f"run-{number:03d}", started=at, ended=at + timedelta(minutes=1), metrics=metrics, **changes)


def history(rules: Rules, *runs: Run) -> list[list[str]]:
    """Per run what was announced: ``+subject`` as it began, ``-subject`` as it was over."""
    standing, said = Standing(), []
    for run in runs:
        alerts, standing = alerts_of(rules, run, standing)
        said.append([("-" if alert.is_over else "+") + alert.subject for alert in alerts])
    return said


def test_one_alert_as_a_metric_leaves_and_one_as_it_is_back() -> None:
    values = [900.0, 1100.0, 1200.0, 1000.0, 999.0, 1001.0]
    runs = [told(number, Metric("var_99", value, "USD")) for number, value in enumerate(values)]
    assert history(VAR, *runs) == [[], ["+metric:var_99"], [], ["-metric:var_99"], [], ["+metric:var_99"]]


def test_what_an_alert_says() -> None:
    (alert,), standing = alerts_of(VAR, told(1, Metric("var_99", 1234.5, "USD")), Standing())
    assert alert == Alert(
        "metric:var_99", False, "var_99 has left its bounds: 1,234.5 USD, allowed 1,000 USD or less.", "critical"
    )
    (back,), _ = alerts_of(VAR, told(2, Metric("var_99", 5, "USD")), standing)
    assert back.message == "var_99 is within its bounds: 5 USD, allowed 1,000 USD or less."


@pytest.mark.parametrize(
    ("bound", "value", "says"),
    [
        (Bound("m", low=1.0), 0.5, "allowed 1 USD or more"),
        (Bound("m", low=1.0, high=2.0), 2.1, "allowed 1 USD or more and 2 USD or less"),
        (Bound("m", low=1.0), math.nan, "m is no number."),
        (Bound("m"), math.inf, "m is no number."),
        (Bound("m"), None, "m is no number."),
        (Bound("m", high=1.0), "many", "m is 'many' and no number."),
        (Bound("m", high=1.0), True, "m is True and no number."),
    ],
)
def test_what_is_outside(bound: Bound, value: Any, says: str) -> None:
    (alert,), _ = alerts_of(Rules((bound,)), told(1, Metric("m", value, "USD")), Standing())
    assert says in alert.message


@pytest.mark.parametrize(
    ("bound", "value"),
    [(Bound("m", 1.0, 2.0), 1.0), (Bound("m", 1.0, 2.0), 2.0), (Bound("m"), "calm"), (Bound("m"), -1e300)],
)
def test_what_is_inside(bound: Bound, value: Any) -> None:
    assert alerts_of(Rules((bound,)), told(1, Metric("m", value, "USD")), Standing())[0] == ()


def test_a_metric_that_a_complete_run_lacks_is_missed() -> None:
    (alert,), _ = alerts_of(VAR, told(1), Standing())
    assert alert.message == "The metric var_99 is missing."


def test_a_run_that_failed_says_nothing_of_what_it_did_not_reach() -> None:
    """No storm: outside, failed, outside, failed, outside is one alert of the metric."""
    rules = replace(VAR, on_failure=True)
    problem = Problem("ValueError: no data", 2)
    failed = {"status": Status.FAILED, "problem": problem}
    outside = Metric("var_99", 5000.0, "USD")
    runs = [
        told(0, outside),
        told(1, **failed),
        told(2, outside),
        told(3, **failed),
        told(4, Metric("var_99", 1.0, "USD")),
    ]
    said = history(rules, *runs)
    assert said == [["+metric:var_99"], ["+run"], ["-run"], ["+run"], ["-run", "-metric:var_99"]]


def test_a_run_that_failed_after_it_recorded_a_metric_counts() -> None:
    run = told(
        1, Metric("var_99", 5000.0, "USD"), status=Status.TIMED_OUT, problem=Problem("The report had 5 s in all.")
    )
    alerts, _ = alerts_of(replace(VAR, on_failure=True), run, Standing())
    assert [alert.subject for alert in alerts] == ["run", "metric:var_99"]
    assert alerts[0].message == "Timed out: The report had 5 s in all."
    assert alerts[0].severity == "critical"


def test_a_cancelled_run_says_nothing_and_two_failures_are_one_alert() -> None:
    failed = {"status": Status.FAILED, "problem": Problem("x")}
    runs = [told(0, **failed), told(1, status=Status.CANCELLED), told(2, **failed), told(3)]
    assert history(Rules(), *runs) == [["+run"], [], [], ["-run"]]


def test_data_that_are_too_old() -> None:
    rules = Rules(oldest_data=timedelta(hours=30))
    days = ("2026-11-26", "2026-11-26", "2026-11-27", "2026-11-30", "2026-12-05")
    runs = [told(number, provenance=Provenance(data_until=day)) for number, day in enumerate(days)]
    assert history(rules, *runs) == [[], ["+data"], [], ["-data"], []]
    (alert,), _ = alerts_of(rules, runs[1], Standing())
    assert alert.message == "The newest data are of 2026-11-26, 33.0 hours old; 30.0 hours are allowed."
    (later,), _ = alerts_of(rules, told(9, provenance=Provenance(data_until="2026-11-26")), Standing())
    assert "9.4 days old" in later.message
    assert "0.0 hours old" in alerts_of(rules, runs[4], Standing({"data": "x"}))[0][0].message


def test_an_age_that_nobody_knows_is_no_clean_bill() -> None:
    rules = Rules(oldest_data=timedelta(hours=30))
    (alert,), standing = alerts_of(rules, told(1), Standing())
    assert alert.message == "It is not known how old the data are."
    failed = told(2, status=Status.FAILED, problem=Problem("x"))
    alerts, later = alerts_of(rules, failed, standing)
    assert [one.subject for one in alerts] == ["run"]
    assert "data" in later.wrong


def test_a_label_that_must_not_be_there() -> None:
    rules = Rules(labels=("mock",))
    runs = [told(0), told(1, labels=("mock",)), told(2, labels=("mock", "real")), told(3)]
    assert history(rules, *runs) == [[], ["+label:mock"], [], ["-label:mock"]]


def test_what_is_no_longer_watched_is_forgotten() -> None:
    _, standing = alerts_of(VAR, told(1, Metric("var_99", 5000.0, "USD")), Standing())
    alerts, later = alerts_of(Rules(), told(2), standing)
    assert alerts == ()
    assert later.wrong == {}


def test_a_run_is_judged_once_and_one_that_was_overtaken_never() -> None:
    outside = told(5, Metric("var_99", 5000.0, "USD"))
    _, standing = alerts_of(VAR, outside, Standing())
    assert alerts_of(VAR, outside, standing) == ((), standing)
    assert alerts_of(VAR, told(4, Metric("var_99", 1.0, "USD")), standing) == ((), standing)


def test_the_rules_of_a_declaration() -> None:
    declaration = Declaration.model_validate(
        {
            "metrics": (
                {"name": "var_99", "unit": "USD", "bounds": {"upper": 5.0, "severity": "critical"}},
                {"name": "regime"},
            )
        }
    )
    assert rules_of(declaration) == Rules((Bound("var_99", None, 5.0, "critical"), Bound("regime")))


def test_a_standing_survives_json() -> None:
    _, standing = alerts_of(VAR, told(1, Metric("var_99", 5000.0, "USD")), Standing())
    assert Standing.from_dict(json.loads(json.dumps(standing.to_dict()))) == standing
    assert Standing.from_dict(Standing().to_dict()) == Standing()


fates = st.sampled_from(["inside", "outside", "missing", "failed", "failed late", "cancelled"])


def fated(number: int, fate: str) -> Run:
    value = {"inside": 1.0, "outside": 5000.0, "failed late": 5000.0}.get(fate)
    metrics = () if value is None else (Metric("var_99", value, "USD"),)
    if fate.startswith("failed"):
        return told(number, *metrics, status=Status.FAILED, problem=Problem("x"))
    return told(number, *metrics, status=Status.CANCELLED if fate == "cancelled" else Status.COMPLETED)


@given(st.lists(fates, max_size=30), st.randoms())
def test_alerts_alternate_and_history_gives_the_same_standing(story: list[str], dice: Any) -> None:
    rules = replace(VAR, on_failure=True)
    runs = [fated(number, fate) for number, fate in enumerate(story)]
    said = [line for lines in history(rules, *runs) for line in lines]
    for subject in ("run", "metric:var_99"):
        signs = [line[0] for line in said if line[1:] == subject]
        assert signs == ["+", "-"] * (len(signs) // 2) + ["+"] * (len(signs) % 2)
    shuffled = list(runs)
    dice.shuffle(shuffled)
    standing = standing_of(rules, shuffled)
    wrong = {subject for subject in ("run", "metric:var_99") if sum(line[1:] == subject for line in said) % 2}
    assert set(standing.wrong) == wrong
