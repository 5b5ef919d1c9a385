"""The API does what its OpenAPI document says, whatever it is asked: no server error, no answer of another form."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served import Hub, Served

from quantdesk.hub.app.desk import desk_app
from quantdesk.orders.client import Fence
from quantdesk.orders.desk import EmbeddedConfig, simulated_desk
from quantdesk.reports.ledger import Order, RunLedger, State

pytestmark = pytest.mark.xdist_group("service")
ROOT = Path(__file__).resolve().parents[3]
DAY = dt.date(2024, 3, 1)
#: What may be answered with 5xx although the service is well: a scenario that took too long, a desk that is busy.
PLANNED = {503, 504}
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def asked(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A service with features, a desk on simulated exchanges, a report, and runs."""
    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(filled))
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    parameters = {
        "cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "execution_count": None, "outputs": [],
        "source": "window: int = 20  # sessions\nsymbols = ['AAPL']\nstart = '2020-01-02'",
    }  # fmt: skip
    notebook = {"cells": [parameters], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (notebooks / "small.ipynb").write_text(json.dumps(notebook))
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(notebooks))
    days = pd.date_range("2024-02-01", DAY, freq="B", tz="America/New_York")
    close = 100 + np.arange(len(days)) * 0.1
    bars = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close}, index=days)
    with RunLedger.open() as ledger:
        for number in range(3):
            ledger.queue.add(Order(f"20260101T00000{number}.000Z-small-aaaaa{number}", "small", "Small", {}, "root"))
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "report.html").write_text("<p>page</p>")
        claim = ledger.queue.claim("test", 60)
        assert claim is not None
        ledger.queue.finish(claim, State.COMPLETED, {"provenance": {"python": "3"}}, folder=str(folder))
    with simulated_desk({"AAPL": bars.assign(volume=5e6)}, DAY, EmbeddedConfig(cash=10_000_000)) as desk:
        service = Served(Hub(), tmp_path / "service", desk_app(Fence(desk)), remember=60.0,
                         write_rate="1000000/minute", run_rate="1000000/minute")  # fmt: skip
        yield service
        service.close()


def throw_at(service: Any, examples: int) -> int:
    """Ask every operation of the document so many things; how many requests that were."""
    count = 0
    schema = schemathesis.openapi.from_asgi("/openapi.json", service.app)
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True, verbosity=Verbosity.quiet,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy())
        def one(case: Any) -> None:
            nonlocal count
            count += 1
            response = case.call(headers={"Authorization": "Bearer token-root"})
            assert response.status_code < 500 or response.status_code in PLANNED, (
                case.as_curl_command(),
                response.text,
            )
            case.validate_response(response, checks=CHECKS)

        one()
    return count


def test_whatever_is_asked_the_answer_is_one_of_the_document(asked: Any) -> None:
    assert throw_at(asked, 5) > 60


@pytest.mark.slow
def test_ten_thousand_requests(asked: Any) -> None:
    assert throw_at(asked, 600) > 10_000


def test_every_operation_is_explained(asked: Any) -> None:
    document = asked.app.openapi()
    for path, methods in document["paths"].items():
        for verb, operation in methods.items():
            assert operation["summary"], (verb, path)
            assert operation["description"], (verb, path)
            assert operation["tags"], (verb, path)
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if body:
                shape = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
                assert "example" in shape, (verb, path)
