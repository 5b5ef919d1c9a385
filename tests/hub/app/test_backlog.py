"""What Prometheus is told of reports and scenarios that wait."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.ledger import Order, State

WHO = {"Authorization": f"Bearer {'m' * 32}"}


def figures(service: Any) -> dict[str, float]:
    text = service.ask("GET", "/metrics", headers=WHO).text
    return {name: float(value) for name, value in re.findall(r"^(quantdesk_\S+) (\S+)$", text, re.MULTILINE)}


def test_figures_follow_runs_from_the_queue_to_their_end(make: Callable[..., Any]) -> None:
    service = make(metrics_token="m" * 32)
    before = figures(service)
    assert before['quantdesk_report_runs{state="queued"}'] == 0
    assert before["quantdesk_report_wait_seconds"] == 0

    queue = service.app.state.catalogue.ledger.queue
    for name in ("one", "two"):
        queue.add(Order(id=name, report="r", title="R", parameters={}, requested_by="ana", owner="ana"))
    waiting = figures(service)
    assert waiting['quantdesk_report_runs{state="queued"}'] == 2
    assert waiting["quantdesk_report_wait_seconds"] > 0

    claim = queue.claim("worker", 30.0)
    assert figures(service)['quantdesk_report_runs{state="running"}'] == 1
    queue.finish(claim, State.OUT_OF_MEMORY, {})
    after = figures(service)
    assert after['quantdesk_report_runs{state="queued"}'] == 1
    assert after['quantdesk_report_runs{state="running"}'] == 0
    assert after['quantdesk_report_runs_ended_last_hour{state="out_of_memory"}'] == 1
    assert after['quantdesk_report_runs_ended_last_hour{state="completed"}'] == 0


def test_scenarios_that_wait_are_counted(make: Callable[..., Any]) -> None:
    service = make(metrics_token="m" * 32)
    service.app.state.jobs.add("j1", "ana", "{}", "covid_2020")
    assert figures(service)['quantdesk_scenario_jobs{state="queued"}'] == 1


def test_without_the_ledger_the_other_figures_are_told(make: Callable[..., Any], monkeypatch: Any) -> None:
    service = make(metrics_token="m" * 32)
    ledger = service.app.state.catalogue.ledger.database

    def away() -> Any:
        raise EnvironmentProblem("The database is away.")

    monkeypatch.setattr(ledger, "reading", away)
    told = figures(service)
    assert not [name for name in told if name.startswith("quantdesk_report")], "no figure is better than an old one"
    assert 'quantdesk_scenario_jobs{state="queued"}' in told
