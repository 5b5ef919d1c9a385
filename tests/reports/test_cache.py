"""When a run is answered by an earlier one: all that can change it is in the key, and what is unknown gives none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantdesk.reports.cache import cache_key, cached
from quantdesk.reports.declaration import Declaration
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.ledger.entry import Order, State
from quantdesk.reports.notebooks import Report
from quantdesk.reports.result import Provenance
from quantdesk.reports.runs import new_id
from quantdesk.reports.spec import Parameter

MADE_FROM = Provenance(
    data_version="d",
    features_version="none",
    lock_sha256="l",
    packages={"numpy": "2.3"},
    python="3.11.9",
    git_commit="c",
    code_version="c",
    host="a",
    user="ana",
)


def report_of(**changes: Any) -> Report:
    parameters = (Parameter("window", "int", 250), Parameter("symbols", "list[str]", ["AAPL"]))
    made = Report("risk", Path("/n/risk.ipynb"), "Risk", "", parameters, "0" * 64)
    return replace(made, **changes)


KEY = cache_key(report_of(), {"window": 20}, MADE_FROM)


def test_a_default_that_is_given_and_another_host_change_nothing() -> None:
    assert KEY is not None
    assert len(KEY) == 64
    assert cache_key(report_of(), {"window": 20, "symbols": ["AAPL"]}, MADE_FROM) == KEY
    assert cache_key(report_of(), {"window": 20}, replace(MADE_FROM, host="b", user="bob", git_commit=None)) == KEY
    assert cache_key(report_of(title="Another"), {"window": 20}, MADE_FROM) == KEY


@pytest.mark.parametrize(
    ("report", "given", "made_from"),
    [
        ({"sha256": "1" * 64}, {}, {}),
        ({"name": "other"}, {}, {}),
        ({"path": Path("/m/risk.ipynb")}, {}, {}),
        ({"declaration": Declaration(seed=1)}, {}, {}),
        ({}, {"window": 21}, {}),
        ({}, {"window": 20.0}, {}),
        ({}, {"symbols": ["MSFT"]}, {}),
        ({}, {}, {"data_version": "e"}),
        ({}, {}, {"features_version": "k"}),
        ({}, {}, {"lock_sha256": "m"}),
        ({}, {}, {"python": "3.12.1"}),
        ({}, {}, {"code_version": "sha256:x"}),
        ({}, {}, {"packages": {"numpy": "2.4"}}),
    ],
)
def test_whatever_can_change_a_result_changes_the_key(report: Any, given: Any, made_from: Any) -> None:
    other = cache_key(report_of(**report), {"window": 20, **given}, replace(MADE_FROM, **made_from))
    assert other is not None
    assert other != KEY


@pytest.mark.parametrize("name", ["data_version", "features_version", "lock_sha256", "code_version"])
def test_what_is_not_known_gives_no_key(name: str) -> None:
    assert cache_key(report_of(), {}, replace(MADE_FROM, **{name: None})) is None


def test_no_key_for_what_changed_meanwhile_and_for_who_wants_none() -> None:
    assert cache_key(report_of(), {}, replace(MADE_FROM, changed="data")) is None
    assert cache_key(report_of(), {}, Provenance()) is None
    assert cache_key(report_of(declaration=Declaration(cache=False)), {}, MADE_FROM) is None


def finished(ledger: RunLedger, key: str, **order: Any) -> str:
    from datetime import UTC, datetime

    name = new_id("risk", datetime.now(UTC))
    ledger.queue.add(Order(name, "risk", "Risk", {}, **{"requested_by": "ana", **order}))
    claim = ledger.queue.claim("worker", seconds=60)
    assert claim is not None
    ledger.queue.finish(claim, State.COMPLETED, {}, folder=f"/runs/{name}", cache_key=key)
    return name


def test_what_is_found(tmp_path: Path) -> None:
    with RunLedger.open(f"sqlite:///{tmp_path / 'reports.sqlite'}") as ledger:
        assert cached("k", ledger.search) is None
        assert cached(None, ledger.search) is None
        name = finished(ledger, "k")
        found = cached("k", ledger.search)
        assert found is not None
        assert found.id == name
        assert cached("other", ledger.search) is None


def test_a_private_run_is_served_to_who_asked_for_it(tmp_path: Path) -> None:
    with RunLedger.open(f"sqlite:///{tmp_path / 'reports.sqlite'}") as ledger:
        finished(ledger, "k", is_private=True)
        assert cached("k", ledger.search) is None
        assert cached("k", ledger.search, requested_by="bob") is None
        assert cached("k", ledger.search, requested_by="ana") is not None
