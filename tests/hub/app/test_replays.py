"""One key, one answer: repeated, at the same time, after a crash, for somebody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from served import problem
from sqlalchemy import update

from quantdesk.hub.app.database import REPLAYS, SECOND
from quantdesk.hub.app.replays import Turn

BODY = {"scenario_name": "lehman", "portfolio": {"cash": 1000.0}}
PATH = "/api/v1/simulation/run-scenario"


def send(service: Any, key: str = "one", who: str = "ana", **changed: Any) -> Any:
    return service.ask("POST", PATH, who, json=BODY | changed, headers={"Idempotency-Key": key})


def test_the_same_request_again_gets_the_same_answer(service: Any) -> None:
    first, again = send(service), send(service)
    assert first.status_code == again.status_code == 202
    assert first.content == again.content
    assert first.headers["location"] == again.headers["location"]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert len(service.ask("GET", "/api/v1/simulation/jobs", "ana").json()["items"]) == 1


def test_another_request_under_the_key_is_refused(service: Any) -> None:
    send(service)
    answer = send(service, seed=7)
    assert answer.status_code == 422
    assert problem(answer)["code"] == "key_reused"


def test_a_key_is_a_users_own(service: Any) -> None:
    mine, yours = send(service), send(service, who="root", seed=7)
    assert yours.status_code == 202
    assert mine.json()["id"] != yours.json()["id"]


def test_both_addresses_of_a_scenario_are_different_requests(service: Any) -> None:
    send(service)
    other = service.ask("POST", "/simulation/run-scenario", "ana", json=BODY, headers={"Idempotency-Key": "one"})
    assert other.status_code == 422


def test_at_the_same_time_one_is_carried_out(service: Any) -> None:
    header = {"Authorization": "Bearer token-ana", "Idempotency-Key": "one"}
    answers = service.together([("POST", PATH, header, {"json": BODY})] * 8)
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert len(service.ask("GET", "/api/v1/simulation/jobs", "ana").json()["items"]) == 1


def test_while_it_is_carried_out_another_is_told_to_wait(service: Any) -> None:
    replays = service.app.state.replays
    turn = replays.begin("ana", "one", "hash")
    assert isinstance(turn, Turn)
    with pytest.raises(Exception, match="being carried out"):
        replays.begin("ana", "one", "hash")
    replays.end("ana", "one", turn, None)
    assert isinstance(replays.begin("ana", "one", "hash"), Turn)


def test_the_turn_of_a_worker_that_died_is_taken_over_and_makes_the_same_thing(service: Any) -> None:
    replays, database = service.app.state.replays, service.app.state.database
    dead = replays.begin("ana", "one", "hash")
    with database.writing() as connection:
        connection.execute(update(REPLAYS).values(begun=REPLAYS.c.begun - 121 * SECOND))
    heir = replays.begin("ana", "one", "hash")
    assert (heir.mark, heir.at) == (dead.mark, dead.at)
    assert heir.number != dead.number
    replays.end("ana", "one", dead, (200, {}, "from the dead"))
    replays.end("ana", "one", heir, (200, {}, "mine"))
    assert replays.begin("ana", "one", "hash") == (200, {}, "mine")


def test_after_a_day_a_key_is_new(service: Any) -> None:
    first = send(service)
    with service.app.state.database.writing() as connection:
        connection.execute(update(REPLAYS).values(begun=REPLAYS.c.begun - 86_401 * SECOND))
    assert service.app.state.replays.forget() == 1
    assert send(service).json()["id"] != first.json()["id"]


def test_what_can_never_work_is_kept_and_what_failed_here_is_not(service: Any) -> None:
    for _ in range(2):
        answer = service.ask("POST", "/api/v1/reports/none/runs", "ana", json={}, headers={"Idempotency-Key": "report"})
        assert answer.status_code in (404, 503)
    order = {"symbol": "AAPL", "action": "buy", "shares": 1}
    for _ in range(2):  # there is no desk: nothing was sent
        answer = service.ask("POST", "/api/v1/actions/execute", "tom", json=order, headers={"Idempotency-Key": "o"})
        assert answer.status_code == 503
        assert "idempotency-replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 101, "caf\u00e9"])
def test_a_key_that_is_none_is_refused(service: Any, key: str) -> None:
    answer = service.ask("POST", PATH, "ana", json=BODY, headers={"Idempotency-Key": key.encode("utf-8")})
    assert answer.status_code == 422


def test_keys_outlive_the_worker(make: Callable[..., Any], tmp_path: Any) -> None:
    one = make(folder=tmp_path / "shared")
    first = send(one)
    two = make(folder=tmp_path / "shared")
    assert send(two).content == first.content


def test_in_postgresql_too(make: Callable[..., Any], postgres: Any) -> None:
    service = make(database=postgres())
    assert send(service).content == send(service).content
    assert send(service, seed=1).status_code == 422
    job = service.app.state.jobs.take("runner", 30)
    assert job.user == "ana"
