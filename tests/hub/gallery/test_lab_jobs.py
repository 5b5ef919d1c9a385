"""Jobs of JupyterLab in the gallery: their user sees them among the runs, nobody else does, and they are no reports."""

from __future__ import annotations

import re
from typing import Any

from quantdesk.reports.lab.job import LabJob
from quantdesk.reports.ledger import Order, RunLedger, Schedule

RUN = "20261127T120000.000Z-lab-risk-0a0b0c"


def test_a_job_is_its_users_own_among_runs_and_schedules_and_no_report(ledger: RunLedger, person: Any) -> None:
    details = {"lab": LabJob("mine <b>", "risk.ipynb", "0" * 64, "/home/ana", 1).to_dict(), "seal": "s"}
    order = Order(RUN, "lab/risk", "mine <b>", {"x": "<i>"}, "ana", is_private=True, trigger="lab", details=details)
    ledger.queue.add(order)
    ledger.schedules.add(
        Schedule("0a0b-0c0d", "lab/risk", "0 9 * * *", "UTC", "ana", {}, is_private=True, source="lab", details=details)
    )
    ana, bo = person("ana"), person("bo")
    page = ana.get("/runs").text
    assert "mine &lt;b&gt;" in page
    link = re.search(r'href="([^"]+)">mine', page)
    assert link is not None
    listed = ana.get(link[1].removeprefix("/services/quantdesk"))
    assert (listed.status_code, RUN in listed.text) == (200, True), "its link leads to its runs"
    assert ana.get(f"/runs/{RUN}").status_code == 200
    assert "lab/risk" not in ana.get("/").text, "it is not shown as a report whose notebook is gone"
    assert "0a0b-0c0d" in ana.get("/schedules").text
    assert ana.get("/schedules/0a0b-0c0d").status_code == 200
    for path in ("/", "/runs", "/schedules", "/runs?q=lab"):
        assert "mine" not in bo.get(path).text
        assert "lab/risk" not in bo.get(path).text
    assert bo.get(f"/runs/{RUN}").status_code == 404
    assert bo.get("/schedules/0a0b-0c0d").status_code == 404
