"""What stands around every request: size, headers, ids, log, rates, errors, health, metrics."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter
from served import PREFIX, problem

from quantdesk.errors import BadParameter, EnvironmentProblem
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.guards import policy
from quantdesk.hub.app.logs import JsonLines, request_id, set_up

CHECK = {"order": {"symbol": "AAPL", "action": "buy", "shares": 1}}
WHO = [(b"authorization", b"Bearer token-ana"), (b"content-type", b"application/json")]


def test_a_request_that_is_too_large_is_refused_before_it_is_read(make: Callable[..., Any]) -> None:
    service = make(largest=1000)
    answer = service.ask("POST", "/api/v1/guardrails/check", "ana", content=b"x" * 1001)
    assert answer.status_code == 413
    assert problem(answer)["code"] == "too_large"


def test_one_without_a_stated_length_ends_where_it_is_too_long(make: Callable[..., Any]) -> None:
    service = make(largest=1000)
    piece = {"type": "http.request", "body": b"x" * 400, "more_body": True}
    scope = {
        "method": "POST",
        "path": "/api/v1/guardrails/check",
        "headers": [*WHO, (b"transfer-encoding", b"chunked")],
    }
    status, headers, body = service.raw(scope, [piece] * 3)
    assert (status, headers["connection"], json.loads(body)["code"]) == (413, "close", "too_large")


def test_one_in_pieces_that_is_not_is_answered(service: Any) -> None:
    text = json.dumps(CHECK).encode()
    pieces = [{"type": "http.request", "body": text[at : at + 20], "more_body": True} for at in range(0, len(text), 20)]
    scope = {
        "method": "POST",
        "path": "/api/v1/guardrails/check",
        "headers": [*WHO, (b"transfer-encoding", b"chunked")],
    }
    status, _, body = service.raw(scope, [*pieces, {"type": "http.request", "body": b""}])
    assert (status, json.loads(body)["allowed"]) == (200, True)


def test_half_a_request_is_never_acted_on(service: Any) -> None:
    scope = {"method": "POST", "path": "/api/v1/guardrails/check", "headers": [*WHO, (b"content-length", b"500")]}
    half = {"type": "http.request", "body": b"{", "more_body": True}
    status, _, body = service.raw(scope, [half, {"type": "http.disconnect"}])
    assert (status, json.loads(body)["code"]) == (400, "incomplete")


def test_a_body_that_trickles_is_given_up(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantdesk.hub.app.guards._BODY_WITHIN", 0.05)
    scope = {"method": "POST", "path": "/api/v1/guardrails/check", "headers": [*WHO, (b"content-length", b"500")]}
    status, _, _ = service.raw(scope, [{"type": "http.request", "body": b"{", "more_body": True}])
    assert status == 408


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/api/v1/runs", f"{PREFIX}/", f"{PREFIX}/static/desk.css"])
def test_every_answer_has_the_headers(service: Any, path: str) -> None:
    answer = service.ask("GET", path)
    assert answer.headers["content-security-policy"] == policy()
    assert "unsafe" not in policy()
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert len(answer.headers["x-request-id"]) == 36


def test_pages_load_nothing_from_elsewhere_and_run_no_inline_script(service: Any) -> None:
    browser = service.browser()
    browser.log_in("root")
    for path in ("/", "/api", "/nothing"):
        text = browser.ask("GET", PREFIX + path).text
        assert "http://" not in text.replace('xmlns="http://', "")
        assert "https://" not in text
        assert "<script>" not in text
        assert "style=" not in text
        assert "onclick" not in text


def test_the_page_of_the_api_shows_every_operation_with_an_example(service: Any) -> None:
    browser = service.browser()
    browser.log_in("rita")
    page = browser.ask("GET", f"{PREFIX}/api").text
    for path in service.app.openapi()["paths"]:
        assert f"<code>{path}</code>" in page
    assert "&#34;scenario_name&#34;: &#34;covid_2020&#34;" in page
    assert "<code>share_real</code>" in page


def test_a_file_of_the_pages_is_asked_for_once(service: Any) -> None:
    first = service.ask("GET", f"{PREFIX}/static/desk.css")
    assert first.headers["content-type"].startswith("text/css")
    assert "max-age" in first.headers["cache-control"]
    again = service.ask("GET", f"{PREFIX}/static/desk.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["..%2f..%2fconfig.py", "%2e%2e/config.py", "nothing.css", "desk.css%00", ".."])
def test_nothing_else_of_the_disk_is_given(service: Any, name: str) -> None:
    assert service.ask("GET", f"{PREFIX}/static/{name}").status_code == 404


def test_a_request_id_is_kept_where_it_is_one(service: Any) -> None:
    given = service.ask("GET", "/healthz", headers={"X-Request-ID": "abcd-1234-efgh"})
    assert given.headers["x-request-id"] == "abcd-1234-efgh"
    assert service.ask("GET", "/healthz", headers={"X-Request-ID": "a b\tc"}).headers["x-request-id"] != "a b\tc"


def test_the_log_has_one_line_of_json_for_each_request_and_no_secret(
    service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    service.ask("GET", "/api/v1/runs?text=password", "ana", headers={"X-Request-ID": "id-of-this-one"})
    (record,) = [one for one in caplog.records if one.name == "quantdesk.requests"]
    remembered = request_id.set("id-of-this-one")
    line = json.loads(JsonLines("test").format(record))
    request_id.reset(remembered)
    assert (line["user"], line["method"], line["path"], line["status"]) == ("ana", "GET", "/api/v1/runs", 200)
    assert line["request_id"] == "id-of-this-one"
    assert "password" not in json.dumps(line)
    assert "token-ana" not in caplog.text


def test_a_line_holds_the_trace_of_an_error() -> None:
    try:
        raise ValueError("line one\nline two")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it failed", None, (type(error), error, None))
    line = JsonLines("test").format(record)
    assert "\n" not in line
    assert "line two" in json.loads(line)["trace"]


def test_what_nobody_expected_is_told_as_nothing_but_its_id(make: Callable[..., Any]) -> None:
    router = APIRouter()

    @router.get("/broken")
    def broken() -> None:
        raise RuntimeError("the secret of the desk")

    @router.get("/api/v1/away")
    def away() -> None:
        raise EnvironmentProblem("/etc/shadow cannot be read.", "Look at postgresql://user@host.")

    service = make(routers=(router,))
    for headers in ({}, {"Accept": "text/html"}):
        answer = service.ask("GET", "/broken", headers=headers)
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] in answer.text
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
    answer = service.ask("GET", "/api/v1/away")
    assert answer.status_code == 503
    assert "shadow" not in answer.text
    assert "postgresql" not in answer.text


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{", "body"),
        (b'{"order": {"symbol": "A", "action": "hold", "shares": 1}}', "body/order/action"),
        (b'{"order": {"symbol": "A", "action": "buy", "shares": 1}, "more": 1}', "body/more"),
        (b'{"order": {"symbol": "A", "action": "buy", "shares": 1.5}}', "body/order/shares"),
        (b'{"order": {"symbol": "A", "action": "buy", "shares": 1}, "account": {"cash": NaN}}', "body/account/cash"),
    ],
)
def test_what_cannot_be_read_is_named(service: Any, body: bytes, place: str) -> None:
    answer = service.ask(
        "POST", "/api/v1/guardrails/check", "ana", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["at"].startswith(place)


def test_the_wrong_method_and_the_wrong_address_are_problems(service: Any) -> None:
    assert problem(service.ask("GET", "/api/v1/nothing", "ana"))["code"] == "not_found"
    assert problem(service.ask("DELETE", "/api/v1/runs", "ana"))["code"] == "method_not_allowed"


def test_a_user_has_a_rate_of_his_own(make: Callable[..., Any]) -> None:
    service = make(read_rate="3/minute", stranger_rate="2/minute")
    assert [service.ask("GET", "/api/v1/runs", "ana").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = service.ask("GET", "/api/v1/runs", "ana")
    assert problem(refused)["code"] == "too_many_requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert service.ask("GET", "/api/v1/runs", "rita").status_code == 200
    strangers = [service.ask("GET", "/api/v1/runs", "guess").status_code for _ in range(4)]
    assert strangers == [401, 401, 429, 429]
    asked = service.hub.asked
    service.ask("GET", "/api/v1/runs", "guess")
    assert service.hub.asked == asked, "who guesses does not reach the hub any more"


def test_what_computes_has_a_rate_of_its_own(make: Callable[..., Any]) -> None:
    service = make(run_rate="1/minute")
    body = {"scenario_name": "lehman", "portfolio": {"cash": 1.0}}
    assert service.ask("POST", "/simulation/run-scenario", "ana", json=body).status_code == 202
    assert service.ask("POST", "/simulation/run-scenario", "ana", json=body).status_code == 429
    assert service.ask("GET", "/api/v1/simulation/jobs", "ana").status_code == 200


def test_two_workers_count_together_in_redis(make: Callable[..., Any], redis_server: Any) -> None:
    store = redis_server()
    first, second = (make(read_rate="3/minute", rate_store=store) for _ in range(2))
    got = [one.ask("GET", "/api/v1/runs", "ana").status_code for one in (first, second, first, second)]
    assert got == [200, 200, 200, 429]


def test_a_counter_that_is_away_does_not_close_the_desk(make: Callable[..., Any]) -> None:
    service = make(read_rate="1/minute", rate_store="redis://127.0.0.1:1/0")
    assert [service.ask("GET", "/api/v1/runs", "ana").status_code for _ in range(3)] == [200, 200, 200]


def test_health_needs_no_token_and_says_little(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service.ask("GET", "/healthz").json()["status"] == "ok"
    assert service.ask("GET", f"{PREFIX}/readyz").json() == {"status": "ready", "checks": {"database": True}}

    def away() -> Any:
        raise EnvironmentProblem("/home/desk/service.sqlite cannot be opened.")

    monkeypatch.setattr(service.app.state.database, "reading", away)
    answer = service.ask("GET", "/readyz")
    assert answer.status_code == 503
    assert problem(answer)["checks"] == {"database": False}
    assert "sqlite" not in answer.text
    assert service.ask("GET", "/healthz").status_code == 200


def test_metrics_are_for_administrators_and_for_prometheus(make: Callable[..., Any]) -> None:
    service = make(metrics_token="m" * 32)
    assert service.ask("GET", "/metrics").status_code == 401
    assert service.ask("GET", "/metrics", "tom").status_code == 403
    assert service.ask("GET", "/metrics", "root").status_code == 200
    service.ask("GET", "/api/v1/runs/abc", "ana")
    told = service.ask("GET", "/metrics", headers={"Authorization": f"Bearer {'m' * 32}"})
    assert told.status_code == 200
    assert 'quantdesk_http_requests_total{method="GET",route="/api/v1/runs/{run_id}",status="404"}' in told.text
    assert "abc" not in told.text
    assert service.ask("GET", "/metrics", headers={"Authorization": "Bearer \u00e9".encode()}).status_code == 401


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", 0),
        ("workers", "many"),
        ("prefix", "/services/../hub"),
        ("read_rate", "often"),
        ("largest", 1),
        ("port", 70_000),
        ("remember", -1),
    ],
)
def test_a_setting_that_is_none_is_named(name: str, value: object) -> None:
    with pytest.raises(BadParameter, match=f"setting {name} cannot be used") as caught:
        ServiceConfig.from_env(**{name: value})
    assert f"QUANTDESK_SERVICE_{name.upper()}" in caught.value.remedy


def test_a_short_secret_is_refused_and_never_told() -> None:
    with pytest.raises(BadParameter) as caught:
        _ = ServiceConfig(secret="too short").signing_secret  # type: ignore[arg-type]
    assert "too short" not in caught.value.remedy
    assert "q" * 40 not in repr(ServiceConfig(secret="q" * 40))  # type: ignore[arg-type]


def test_without_a_secret_a_process_has_its_own() -> None:
    assert ServiceConfig().signing_secret == ServiceConfig().signing_secret


def test_every_line_of_a_process_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ("alembic", "httpx")}
    try:
        set_up("test")
        logging.getLogger("anything").info("a word")
        logging.getLogger("httpx").info("GET https://user:password@host/")
    finally:
        root.handlers[:], root.level = kept[0], kept[1]
        for name, level in quiet.items():
            logging.getLogger(name).setLevel(level)
        logging.getLogger("uvicorn.access").disabled = False
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "a word"
