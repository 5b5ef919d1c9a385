"""What `make up` leaves is in the gallery: every notebook, those that were run with how they ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from quantdesk.hub import steps, up
from quantdesk.reports.dispatch.adopt import Adoption
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.runs import RunsConfig

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"
TEMPLATES = {"06_execution_quality", "07_scenario_stress", "08_daily_risk", "09_data_freshness"}


@pytest.mark.slow
def test_after_the_steps_every_notebook_is_there_with_its_last_state(
    place: Path, app: Any, ledger: RunLedger, person: Any, prepared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(NOTEBOOKS))
    state = prepared.state(place / "state")
    ended: list[up.Done] = []
    up.run([steps.standard(state)[-1]], state, lambda step: lambda what, done, total: None, ended.append)
    assert [(one.step.name, one.skipped) for one in ended] == [("reports", False)]
    assert len(Adoption(ledger, RunsConfig.from_env().runs).step()) == len(steps.DEMO_REPORTS)

    soup = BeautifulSoup(person("guest").get("/").text, "html.parser")
    rows = {row["data-report"]: row for row in soup.select("tr[data-report]")}
    assert set(rows) == {path.stem for path in NOTEBOOKS.glob("*.ipynb")}
    assert {name[:2] for name in rows} >= {"01", "02", "03", "04", "05"}
    assert set(rows) >= TEMPLATES
    for name, row in rows.items():
        words = " ".join(row.get_text(" ").split())
        if name in steps.DEMO_REPORTS:
            assert "✓ Completed" in words, name
            assert row.select_one("img") is not None, name
        else:
            assert "never run" in words, name
