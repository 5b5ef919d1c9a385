"""What the API answers: halts, guardrails, features, orders, scenarios, reports."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from served import problem

from quantdesk.errors import DataError, EnvironmentProblem, RunFailed
from quantdesk.hub.app.desk import LazyDesk, desk_app
from quantdesk.hub.app.jobs import JobState
from quantdesk.hub.app.runner import Runner, _told
from quantdesk.orders.client import Fence
from quantdesk.orders.desk import EmbeddedConfig, simulated_desk
from quantdesk.reports.ledger import RunLedger, State

pytestmark = pytest.mark.xdist_group("service")  # the features are built once
DAY = dt.date(2024, 3, 1)
ORDER = {"symbol": "AAPL", "action": "buy", "shares": 100}
SCENARIO = {"scenario_name": "lehman", "portfolio": {"cash": 1000.0}}

# ------------------------------------------------------------------------------------------------ halts, guardrails


def test_whether_a_symbol_trades_is_never_made_up(service: Any) -> None:
    told = service.ask("GET", "/api/v1/halts/aapl", "rita").json()
    assert told["symbol"] == "AAPL"
    assert told["status"] in ("UNKNOWN", "HALTED"), "no feed was asked, so nobody can say that it trades"
    assert set(told) == {"symbol", "status", "is_halted", "halt_type", "message", "source", "age_s"}
    answer = service.ask("GET", "/api/v1/halts/%3Cscript%3E", "rita")
    assert answer.status_code == 422


def test_guardrails_say_what_they_object_to(service: Any) -> None:
    given = {
        "order": ORDER | {"order_type": "limit", "limit_price": 200},
        "account": {"cash": 5_000_000, "positions": {"MSFT": {"shares": 10, "price": 400}}, "day_pnl": -100},
        "market": {"bid": 189.4, "ask": 189.5, "status": "HALTED", "previous_close": 188, "bands": [170, 210],
                   "average_daily_volume": 50_000_000, "at": "2024-03-01T11:00"},
    }  # fmt: skip
    told = service.ask("POST", "/api/v1/guardrails/check", "rita", json=given).json()
    assert told["allowed"] is False
    codes = {one["code"]: one for one in told["violations"]}
    assert codes["SYMBOL_HALTED"]["severity"] == "blocking"
    assert told["phase"] == "CONTINUOUS" or told["phase"]
    given["market"]["status"] = "TRADING"
    given["order"]["limit_price"] = 189.5
    again = service.ask("POST", "/api/v1/guardrails/check", "rita", json=given).json()
    assert [one["code"] for one in again["violations"] if one["severity"] == "blocking"] == []
    live = service.ask("POST", "/api/v1/guardrails/check", "rita", json={"order": ORDER, "use": "live"}).json()
    assert live["allowed"] is False, "what is not known blocks where real money is at stake"


# ----------------------------------------------------------------------------------------------------------- features


@pytest.fixture
def stocked(filled: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any]) -> Any:
    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(filled))
    return make()


def test_features_come_with_their_proof(stocked: Any) -> None:
    asked = {"symbols": ["OHLC"], "feature_names": ["sma_20", "rsi_14"], "start_date": "2019-03-01",
             "end_date": "2019-03-29"}  # fmt: skip
    told = stocked.ask("POST", "/api/v1/features/historical", "rita", json=asked).json()
    assert told["columns"] == ["sma_20", "rsi_14"]
    assert len(told["rows"]) == 21
    assert told["is_pit_validated"] is True
    assert told["doubts"] == []
    assert told["labels"]["real"] is False
    moments = [dt.datetime.fromisoformat(row[0]) for row in told["rows"]]
    assert all(at.tzinfo is not None for at in moments)
    early = stocked.ask("POST", "/api/v1/features/historical", "rita", json=asked | {"as_of": "2019-03-15T12:00:00Z"})
    known = [row for row in early.json()["rows"] if row[2] is not None]
    assert 0 < len(known) < 21, "what was not known then is null"


def test_the_list_and_the_latest_values(stocked: Any) -> None:
    listed = stocked.ask("GET", "/api/v1/features", "rita").json()
    assert {"name", "unit", "formula", "look_back"} <= set(listed["features"][0])
    assert "OHLC" in " ".join(listed["symbols"])
    asked = {"symbols": ["OHLC"], "feature_names": ["sma_20"]}
    latest = stocked.ask("POST", "/api/v1/features/online", "rita", json=asked).json()
    assert isinstance(latest["values"]["OHLC"]["sma_20"], float) or latest["values"]
    assert latest["as_of"].startswith("20")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"symbols": ["NONE"]}, 404),
        ({"feature_names": ["sma_21"]}, 404),
        ({"start_date": "2019-04-01", "end_date": "2019-03-01"}, 422),
        ({"start_date": "yesterday"}, 422),
        ({"as_of": "2999-01-01"}, 422),
        ({"symbols": []}, 422),
        ({"symbols": ["../../etc/passwd"]}, 404),
    ],
)
def test_what_there_is_not_is_named(stocked: Any, changed: dict[str, Any], status: int) -> None:
    asked = {"symbols": ["OHLC"], "feature_names": ["sma_20"], "start_date": "2019-03-01", "end_date": "2019-03-29"}
    answer = stocked.ask("POST", "/api/v1/features/historical", "rita", json=asked | changed)
    assert answer.status_code == status
    assert problem(answer)["remedy"]


def test_features_that_were_never_built_are_no_secret_of_the_disk(service: Any, tmp_path: Path) -> None:
    answer = service.ask("GET", "/api/v1/features", "rita")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


# ------------------------------------------------------------------------------------------------------------- orders


def bars() -> dict[str, pd.DataFrame]:
    days = pd.date_range("2024-02-01", DAY, freq="B", tz="America/New_York")
    close = 100 + np.arange(len(days)) * 0.1
    frame = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close}, index=days)
    return {"AAPL": frame.assign(volume=5_000_000.0)}


@pytest.fixture
def trading(make: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    """A service with a desk on simulated exchanges, and the desk."""
    config = EmbeddedConfig(seed=3, cash=10_000_000, ledger=f"sqlite:///{tmp_path / 'orders.sqlite'}")
    with simulated_desk(bars(), DAY, config) as desk:
        service = make(desk=desk_app(Fence(desk)))
        yield service, desk


def test_an_order_is_executed_and_says_that_it_was_simulated(trading: Any) -> None:
    service, desk = trading
    told = service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER).json()
    assert told["mode"] == "simulated"
    assert told["result"]["status"] == "filled"
    assert desk.portfolio.positions == {"AAPL": 100}
    found = service.ask("GET", f"/api/v1/actions/{told['idempotency_key']}", "tom").json()
    assert found["result"]["order_id"] == told["result"]["order_id"]


def test_an_order_under_a_key_is_executed_once(trading: Any) -> None:
    service, desk = trading
    header = {"Idempotency-Key": "mine"}
    answers = [service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER, headers=header) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    other = service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER | {"shares": 7}, headers=header)
    assert other.status_code == 422
    assert desk.portfolio.positions == {"AAPL": 100}


def test_many_at_once_under_one_key_are_one_order(trading: Any) -> None:
    service, desk = trading
    header = {"Authorization": "Bearer token-tom", "Idempotency-Key": "mine"}
    answers = service.together([("POST", "/api/v1/actions/execute", header, {"json": ORDER})] * 10)
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert desk.portfolio.positions == {"AAPL": 100}


def test_after_the_service_forgot_the_desk_still_knows(trading: Any, make: Callable[..., Any]) -> None:
    service, desk = trading
    header = {"Idempotency-Key": "mine"}
    first = service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER, headers=header).json()
    other = make(desk=desk_app(Fence(desk)))  # another database: as after a restore
    again = other.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER, headers=header).json()
    assert again["result"]["order_id"] == first["result"]["order_id"]
    assert again["result"]["was_known"] is True
    assert desk.portfolio.positions == {"AAPL": 100}


def test_whose_an_order_is_the_token_says(trading: Any) -> None:
    service, _ = trading
    answer = service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER | {"user_id": "root"})
    assert answer.status_code == 422
    service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER, headers={"Idempotency-Key": "toms"})
    assert service.ask("GET", "/api/v1/actions/toms", "root").status_code == 404
    assert service.ask("GET", "/api/v1/actions/toms", "tom").status_code == 200


def test_what_guardrails_block_is_an_answer(trading: Any) -> None:
    service, desk = trading
    told = service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER | {"shares": 900_000_000}).json()
    assert told["result"]["status"] == "rejected"
    assert told["result"]["violations"]
    assert desk.portfolio.positions == {}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"symbol": "NONE"}, 422),
        ({"limit_price": 1}, 422),
        ({"shares": 0}, 422),
        ({"shares": "100"}, 422),
        ({"order_type": "limit", "limit_price": "1e9999999"}, 422),
        ({"order_type": "limit", "limit_price": "NaN"}, 422),
        ({"action": "short"}, 422),
    ],
)
def test_an_order_that_is_none_is_refused(trading: Any, changed: dict[str, Any], status: int) -> None:
    service, desk = trading
    answer = service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER | changed)
    assert answer.status_code == status
    assert problem(answer)["detail"]
    assert desk.portfolio.positions == {}


def test_a_desk_that_breaks_off_leaves_no_false_word(make: Callable[..., Any]) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise httpx.ReadError("the other end died")

    service = make(desk=broken)
    answer = service.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 504
    assert problem(answer)["code"] == "unknown"
    assert problem(answer)["idempotency_key"] == "k"


def test_the_desk_is_opened_at_the_first_order_and_keeps_a_ledger(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def open_desk(symbols: Any, config: EmbeddedConfig) -> Any:
        asked.append(config.ledger)
        return simulated_desk(bars(), DAY, config)

    monkeypatch.setattr("quantdesk.orders.desk.open_desk", open_desk)
    service = make()
    for _ in range(2):  # the process is killed in between
        desk = LazyDesk(service.config)
        other = make(desk=desk_app(Fence(desk)))
        answer = other.ask("POST", "/api/v1/actions/execute", "tom", json=ORDER, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200
        desk._desk.close()  # type: ignore[union-attr]
    assert asked == [f"sqlite:///{service.config.folder / 'orders.sqlite'}"] * 2
    assert answer.json()["result"]["was_known"] is True


# ---------------------------------------------------------------------------------------------------------- scenarios


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What carries jobs out here; processes find it, too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("misbehaving").quick


@pytest.fixture
def running(make: Callable[..., Any], work: Any) -> Iterator[Any]:
    """A service whose runner carries out jobs in a process."""
    service = make(scenario_seconds=60.0)
    stop = threading.Event()
    runner = Runner(service.app.state.jobs, 2, limit=60.0, work=work)
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    yield service
    stop.set()
    thread.join(60)


def scenario(service: Any, what: str, **more: Any) -> Any:
    return service.ask("POST", "/simulation/run-scenario", "ana", json=SCENARIO | {"strategies": [what]} | more)


def test_a_scenario_is_answered_where_it_is_quick(running: Any) -> None:
    answer = scenario(running, "fine", seed=9)
    assert (answer.status_code, answer.json()) == (200, {"seed": 9})


def test_what_goes_wrong_in_a_scenario_is_told_with_its_status(running: Any) -> None:
    unknown = scenario(running, "unknown")
    assert unknown.status_code == 404
    assert "Did you mean" in problem(unknown)["remedy"] or "Known" in problem(unknown)["remedy"]
    broken = scenario(running, "breaks")
    assert broken.status_code == 500
    assert "secret" not in broken.text
    assert problem(scenario(running, "dies"))["code"] == "process_died"
    assert scenario(running, "fine").status_code == 200, "the others go on"


def test_a_scenario_that_takes_long_becomes_a_job_and_can_be_cancelled(running: Any, make: Callable[..., Any]) -> None:
    impatient = make(folder=running.config.folder)
    answer = scenario(impatient, "sleeps")
    assert answer.status_code == 202
    place = answer.headers["location"]
    assert place == f"/services/quantdesk/api/v1/simulation/jobs/{answer.json()['id']}"
    deadline = time.monotonic() + 60
    while (told := running.ask("GET", place, "ana").json())["state"] == "queued":
        assert time.monotonic() < deadline
    assert told["state"] == "running"
    assert told["progress"]["elapsed_s"] >= 0
    assert running.ask("GET", place, "rita").status_code == 404, "another's"
    assert running.ask("GET", place, "root").status_code == 200
    assert running.ask("POST", f"{place}/cancel", "tom").status_code == 404
    assert running.ask("POST", f"{place}/cancel", "ana").json()["is_cancelling"] is True
    while running.ask("GET", place, "ana").json()["state"] == "running":
        assert time.monotonic() < deadline
    assert running.ask("GET", place, "ana").json()["state"] == "cancelled"
    assert running.ask("POST", f"{place}/cancel", "ana").json()["state"] == "cancelled"


def test_a_job_tells_its_result_and_an_estimate_for_the_next(running: Any, service: Any) -> None:
    scenario(running, "fine")
    jobs = running.ask("GET", "/api/v1/simulation/jobs", "ana").json()["items"]
    assert [one["state"] for one in jobs] == ["completed"]
    whole = running.ask("GET", f"/api/v1/simulation/jobs/{jobs[0]['id']}", "ana").json()
    assert whole["request"]["scenario_name"] == "lehman"
    waiting = running.app.state.jobs.add("0" * 32, "ana", json.dumps(SCENARIO | {"strategies": ["sleeps"]}), "lehman")
    assert waiting.usual_s is not None


def test_jobs_are_paged_and_everybody_sees_his_own(service: Any) -> None:
    made = [scenario(service, f"s{number}").json()["id"] for number in range(5)]
    service.ask("POST", "/simulation/run-scenario", "root", json=SCENARIO)
    seen, cursor = [], None
    for _ in range(3):
        page = service.ask(
            "GET", "/api/v1/simulation/jobs", "ana", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        )
        seen += [one["id"] for one in page.json()["items"]]
        cursor = page.json()["next"]
    assert cursor is None
    assert seen == made[::-1]
    everybody = service.ask("GET", "/api/v1/simulation/jobs?everybody=true", "root").json()["items"]
    assert len(everybody) == 6
    assert len(service.ask("GET", "/api/v1/simulation/jobs?everybody=true", "ana").json()["items"]) == 5
    assert service.ask("GET", "/api/v1/simulation/jobs?cursor=%27%3B--", "ana").status_code == 422


def test_who_asks_for_too_many_waits(service: Any) -> None:
    answers = [scenario(service, f"s{number}").status_code for number in range(21)]
    assert answers == [202] * 20 + [429]


def test_a_runner_that_dies_is_succeeded_and_one_that_kills_runners_ends(service: Any) -> None:
    jobs = service.app.state.jobs
    made = scenario(service, "fine").json()["id"]
    for number in range(3):
        job = jobs.take(f"runner {number}", 0.000001)
        assert job.id == made
    assert jobs.finish(made, "runner 0", JobState.COMPLETED, result="{}") is False, "it was succeeded"
    assert jobs.take("runner 3", 30) is None
    told = jobs.get(made)
    assert (told.state, told.problem["code"]) == (JobState.FAILED, "lost")


def test_a_runner_that_ends_in_order_puts_back_what_it_has(service: Any) -> None:
    jobs = service.app.state.jobs
    made = scenario(service, "fine").json()["id"]
    assert jobs.take("one", 30).id == made
    assert jobs.take("two", 30) is None
    jobs.give_back("one")
    assert jobs.take("two", 30).id == made
    assert jobs.hold(made, "one", 30) is None
    assert jobs.hold(made, "two", 30) is False
    jobs.cancel(made)
    assert jobs.hold(made, "two", 30) is True
    assert jobs.forget() == 0


def test_a_scenario_that_takes_too_long_is_ended(make: Callable[..., Any], work: Any) -> None:
    service = make()
    made = scenario(service, "sleeps").json()["id"]
    runner = Runner(service.app.state.jobs, limit=0.0, work=work)
    while not (told := service.app.state.jobs.get(made)).state.is_final:
        runner.step()
    assert told.problem["code"] == "too_long"


def test_what_is_wrong_with_this_machine_is_not_told_to_everybody() -> None:
    for error in (DataError("/secret/path is damaged."), EnvironmentProblem("/secret/path"), RunFailed("/secret/path")):
        told = _told(error)
        assert told["status"] >= 500
        assert "secret" not in json.dumps(told)


# ------------------------------------------------------------------------------------------------------------ reports


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any]) -> Any:
    """A service with two reports, one of them private, and one notebook that is none."""
    folder = tmp_path / "notebooks"
    folder.mkdir()

    def write(name: str, declared: dict[str, Any]) -> None:
        cell = {
            "cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "execution_count": None,
            "outputs": [], "source": "window: int = 20  # sessions",
        }  # fmt: skip
        notebook = {"cells": [cell], "metadata": {"quantdesk": declared}, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook))

    write("risk", {"title": "Daily risk", "owner": "tom", "tags": ["risk"], "retries": 2})
    write("mine", {"owner": "tom", "visibility": "private"})
    (folder / "broken.ipynb").write_text("{")
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(folder))
    return make()


def test_reports_are_listed_for_who_may_see_them(shelf: Any) -> None:
    told = shelf.ask("GET", "/api/v1/reports", "ana").json()
    assert [one["name"] for one in told["items"]] == ["risk"]
    assert told["items"][0]["parameters"][0] | {"help": ""} == {
        "name": "window", "type": "int", "default": 20, "help": "", "unit": "", "label": "", "minimum": None,
        "maximum": None, "choices": [],
    }  # fmt: skip
    assert "broken" in told["broken"]
    assert [one["name"] for one in shelf.ask("GET", "/api/v1/reports", "tom").json()["items"]] == ["mine", "risk"]
    assert shelf.ask("GET", "/api/v1/reports?tag=risk&text=DAILY", "root").json()["items"][0]["name"] == "risk"
    assert shelf.ask("GET", "/api/v1/reports?text=nothing", "root").json()["items"] == []
    assert shelf.ask("GET", "/api/v1/reports/mine", "ana").status_code == 404
    assert shelf.ask("GET", "/api/v1/reports/mine", "tom").status_code == 200


def test_a_run_is_asked_for_once_and_checked_before(shelf: Any) -> None:
    header = {"Idempotency-Key": "k"}
    asked = {"parameters": {"window": 5}}
    answers = [shelf.ask("POST", "/api/v1/reports/risk/runs", "ana", json=asked, headers=header) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    run = answers[0].json()
    assert answers[1].json()["id"] == run["id"]
    assert (run["state"], run["requested_by"], run["owner"], run["attempts"]) == ("queued", "ana", "tom", 3)
    assert answers[0].headers["location"].endswith(f"/api/v1/runs/{run['id']}")
    for wrong in ({"window": "5"}, {"windows": 5}, {"window": 5.5}):
        answer = shelf.ask("POST", "/api/v1/reports/risk/runs", "ana", json={"parameters": wrong})
        assert answer.status_code == 422
    assert shelf.ask("POST", "/api/v1/reports/mine/runs", "ana", json={}).status_code == 404
    assert len(shelf.ask("GET", "/api/v1/runs", "root").json()["items"]) == 1


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "../risk", "risk.ipynb", "%2Fetc%2Fpasswd", "ri", "a%00b"])
def test_a_name_is_never_a_path(shelf: Any, name: str) -> None:
    for method, path in (("GET", f"/api/v1/reports/{name}"), ("POST", f"/api/v1/reports/{name}/runs")):
        assert shelf.ask(method, path, "root", **({"json": {}} if method == "POST" else {})).status_code in (
            404,
            405,
            422,
        )


def test_runs_are_paged_filtered_and_private_where_they_are(shelf: Any) -> None:
    ids = [shelf.ask("POST", "/api/v1/reports/risk/runs", "ana", json={}).json()["id"] for _ in range(3)]
    private = shelf.ask("POST", "/api/v1/reports/risk/runs", "ana", json={"is_private": True}).json()["id"]
    first = shelf.ask("GET", "/api/v1/reports/risk/runs?limit=2", "rita").json()
    second = shelf.ask("GET", f"/api/v1/reports/risk/runs?limit=2&cursor={first['next']}", "rita").json()
    assert sorted(one["id"] for one in first["items"] + second["items"]) == sorted(ids)
    assert second["next"] is None
    assert shelf.ask("GET", f"/api/v1/runs/{private}", "rita").status_code == 404
    for who in ("ana", "tom", "root"):
        assert shelf.ask("GET", f"/api/v1/runs/{private}", who).status_code == 200
    assert shelf.ask("GET", "/api/v1/runs?state=completed", "root").json()["items"] == []
    assert (
        len(shelf.ask("GET", "/api/v1/runs?state=queued&state=running&requested_by=ana", "root").json()["items"]) == 4
    )
    assert shelf.ask("GET", "/api/v1/runs?since=2999-01-01", "root").status_code == 422
    assert shelf.ask("GET", "/api/v1/runs?since=2100-01-01T00:00:00Z", "root").json()["items"] == []
    assert shelf.ask("GET", "/api/v1/runs?cursor=x", "root").status_code == 422
    assert shelf.ask("GET", "/api/v1/runs?limit=0", "root").status_code == 422


def test_a_run_is_cancelled_by_whom_it_concerns(shelf: Any) -> None:
    run = shelf.ask("POST", "/api/v1/reports/risk/runs", "root", json={}).json()["id"]
    assert shelf.ask("POST", f"/api/v1/runs/{run}/cancel", "rita").status_code == 403
    assert problem(shelf.ask("POST", f"/api/v1/runs/{run}/cancel", "ana"))["code"] == "not_yours"
    told = shelf.ask("POST", f"/api/v1/runs/{run}/cancel", "tom").json()  # the owner
    assert (told["state"], told["problem"]) == ("cancelled", "It was cancelled by tom.")


@pytest.fixture
def finished(shelf: Any, tmp_path: Path) -> tuple[Any, str]:
    run = shelf.ask("POST", "/api/v1/reports/risk/runs", "ana", json={}).json()["id"]
    folder = tmp_path / "runs" / run
    (folder / "tables").mkdir(parents=True)
    (folder / "report.html").write_text("<script>alert(1)</script>")
    (folder / "tables" / "one.parquet").write_bytes(b"PAR1")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "way").symlink_to(tmp_path)
    with RunLedger.open() as ledger:
        claim = ledger.queue.claim("test", 60)
        assert claim is not None
        record = {"provenance": {"python": "3.11"}}
        ledger.queue.finish(
            claim, State.COMPLETED, record, folder=str(folder), metrics={"var": (1.5, "USD"), "word": ("x", "")}
        )
    return shelf, run


def test_a_run_that_has_ended_tells_metrics_and_provenance(finished: tuple[Any, str]) -> None:
    service, run = finished
    told = service.ask("GET", f"/api/v1/runs/{run}", "rita").json()
    assert told["state"] == "completed"
    assert told["metrics"]["var"] == {"value": 1.5, "unit": "USD"}
    assert told["provenance"] == {"python": "3.11"}
    assert told["duration_s"] >= 0


def test_files_of_a_run_are_given_and_nothing_of_them_runs(finished: tuple[Any, str]) -> None:
    service, run = finished
    listed = service.ask("GET", f"/api/v1/runs/{run}/artefacts", "rita").json()["items"]
    assert [one["path"] for one in listed] == ["report.html", "tables/one.parquet"]
    page = service.ask("GET", f"/api/v1/runs/{run}/artefacts/report.html", "rita")
    assert page.text == "<script>alert(1)</script>"
    assert "attachment" in page.headers["content-disposition"]
    assert "sandbox" in page.headers["content-security-policy"]
    assert "script-src 'none'" in page.headers["content-security-policy"]
    table = service.ask("GET", f"/api/v1/runs/{run}/artefacts/tables/one.parquet", "rita")
    assert table.content == b"PAR1"


@pytest.mark.parametrize(
    "path",
    ["link", "way/secret", "../../secret", "..%2f..%2fsecret", "%2e%2e/%2e%2e/secret", "/etc/passwd", "tables", "",
     "report.html%00", "x" * 400],
)  # fmt: skip
def test_nothing_outside_of_the_run_is_given(finished: tuple[Any, str], path: str) -> None:
    service, run = finished
    answer = service.ask("GET", f"/api/v1/runs/{run}/artefacts/{path}", "root")
    assert answer.status_code in (404, 307)
    assert answer.text != "secret"


def test_a_notebook_that_changes_is_read_again(shelf: Any, tmp_path: Path) -> None:
    assert "broken" in shelf.ask("GET", "/api/v1/reports", "ana").json()["broken"]
    (tmp_path / "notebooks" / "broken.ipynb").unlink()
    assert shelf.ask("GET", "/api/v1/reports", "ana").json()["broken"] == {}
