"""What a worker tells Prometheus: what it does and did, over a port that the settings name, and nothing of a report."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.dispatch import Outcome, Work, Worker
from quantdesk.reports.dispatch.figures import Figures
from quantdesk.reports.kernels import overview
from quantdesk.reports.ledger import RunLedger, State


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def carried_out(work: Work) -> Outcome:
    return Outcome(State.COMPLETED) if work.run.report == "good" else Outcome(State.FAILED, "It raised s3cret.")


def figures(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(quantdesk_\S+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


def test_a_worker_tells_what_it_does_and_what_came_of_it(
    ledger: RunLedger, state: Path, order: Any, working: Any, helpers: Any
) -> None:
    config = helpers.QUICK.model_copy(update={"metrics_port": free_port()})
    heard: list[str] = []
    told = Figures(config, lambda run, _outcome: heard.append(run.report))
    orders = [order(report=name) for name in ("good", "bad", "worse")]
    for one in orders:
        ledger.queue.add(one)
    worker = Worker(ledger, execute=carried_out, config=config, ended=told.ended)
    with told.served(worker), working(worker):
        helpers.until(lambda: all(helpers.settled(ledger, one.id) for one in orders))
        helpers.until(lambda: worker.under_way == 0)
        text = httpx.get(f"http://127.0.0.1:{config.metrics_port}/metrics", trust_env=False).text
    found = figures(text)
    assert found['quantdesk_worker_runs_ended_total{state="completed"}'] == 1
    assert found['quantdesk_worker_runs_ended_total{state="failed"}'] == 2
    assert found['quantdesk_worker_runs_ended_total{state="lost"}'] == 0, "also what never happened"
    assert (found["quantdesk_worker_runs"], found["quantdesk_worker_processes"]) == (0, config.processes)
    assert found['quantdesk_worker_run_seconds_bucket{le="+Inf"}'] == found["quantdesk_worker_run_seconds_count"] == 3
    assert found['quantdesk_worker_run_seconds_bucket{le="60.0"}'] == 3
    assert sorted(heard) == ["bad", "good", "worse"], "who else wants to know is told, too"
    assert "s3cret" not in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{config.metrics_port}/metrics", trust_env=False)


def test_warm_kernels_are_counted_and_without_them_the_rest_is_told(
    ledger: RunLedger, helpers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Figures(helpers.QUICK)
    assert {"quantdesk_kernels", "quantdesk_kernels_ready", "quantdesk_kernels_cold_last_hour"} <= {
        family.name for family in told.collect()
    }

    def gone() -> Any:
        raise PermissionError(13, "not for you")

    monkeypatch.setattr(overview, "status", gone)
    names = {family.name for family in told.collect()}
    assert "quantdesk_worker_runs" in names
    assert not any(name.startswith("quantdesk_kernels") for name in names), "no figure is better than a wrong one"


def test_a_port_that_is_taken_is_named(ledger: RunLedger, helpers: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        config = helpers.QUICK.model_copy(update={"metrics_port": other.getsockname()[1]})
        told = Figures(config)
        with (
            pytest.raises(EnvironmentProblem, match=f"Port {config.metrics_port} of 127.0.0.1"),
            told.served(Worker(ledger, config=config)),
        ):
            raise AssertionError("it does not begin")


def test_without_a_port_nobody_is_answered(ledger: RunLedger, helpers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantdesk.reports.dispatch.figures.start_http_server", None)
    with Figures(helpers.QUICK).served(Worker(ledger, config=helpers.QUICK)):
        pass
