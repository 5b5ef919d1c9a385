"""PostgreSQL is stopped for more than a minute under a hub at work, and started: nothing is lost, nothing is twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import psycopg
import pytest
import requests

from modules import module_at
from quantdesk.reports.ledger import Filter, RunLedger, Schedule
from quantdesk.reports.schedule import parse

pytestmark = [pytest.mark.xdist_group("hub"), pytest.mark.slow]
real_notebook = module_at(Path(__file__).with_name("real_notebook.py"))
SERVICE = "/services/quantdesk"
AWAY_S = 70
ORDER = {"symbol": "AAPL", "action": "buy", "shares": 10}


class Stoppable:
    """A PostgreSQL of its own, which is stopped as an administrator does, and started at the same port."""

    def __init__(self, module: Any) -> None:
        self._programs, self._account = module.find_postgres(), module._account()
        assert self._programs is not None
        self.cluster = module.Cluster(self._programs)
        self._second: subprocess.Popen[bytes] | None = None

    def away(self) -> None:
        data = self.cluster.folder / "data"
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGINT)  # a fast shutdown
        deadline = time.monotonic() + 60
        while (data / "postmaster.pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def back(self) -> None:
        self._second = subprocess.Popen(
            [self._programs / "postgres", "-D", self.cluster.folder / "data"],
            user=self._account, extra_groups=[] if self._account else None, cwd="/", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.cluster._wait()

    def end(self) -> None:
        if self._second is not None:
            self._second.send_signal(signal.SIGQUIT)
            self._second.wait(60)
        self.cluster.stop()


@pytest.fixture
def stoppable() -> Iterator[Stoppable]:
    made = Stoppable(module_at(Path(__file__).parents[1] / "postgresql.py"))
    yield made
    made.end()


def notebook(folder: Path) -> None:
    """A report that takes a second."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell("6 * 7", id="sum")]
    nbformat.write(made, folder / "tiny.ipynb")
    (folder / "tiny.toml").write_text("cache = false\n")


def stocked(state: Path) -> None:
    """The desk trades against the bundled bars."""
    program = str(Path(sys.executable).with_name("quantdesk"))
    env = {**os.environ, "QUANTDESK_STATE": str(state)}
    subprocess.run([program, "data", "load"], env=env, check=True, capture_output=True)


def all_runs(ledger: RunLedger) -> list[Any]:
    return [run for run in ledger.search.runs(Filter(), limit=500).runs if run.report == "tiny"]


def test_more_than_a_minute_without_its_database(real: Any, ground: Any, tmp_path: Path, stoppable: Stoppable) -> None:
    real.need_root()
    folder = ground.folder / "of-the-gap"
    folder.mkdir()
    notebook(folder)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    url, state = str(stoppable.cluster()), Path(ground.state())
    stocked(state)
    env = {
        "QUANTDESK_SERVICE": "true",
        "QUANTDESK_SERVICE_WORKERS": "1",
        "QUANTDESK_NOTEBOOKS": str(folder),
        "QUANTDESK_HALTS_FEEDS": "false",
        "QUANTDESK_DATABASE": url,
        "QUANTDESK_DESK_LEDGER": url,  # a simulated desk keeps its orders in a file otherwise
        "QUANTDESK_LOGIN_REFRESH": "1",
    }
    with real.RealHub(ground, state, env=env) as hub, contextlib.ExitStack() as opened:
        admin = hub.first_login()
        admin.name = hub.admin
        ana = hub.user("ana", admin)
        ana.start_server()
        work = real_notebook.Notebook(ana)
        opened.callback(work.close)
        token = admin.api("POST", f"users/{hub.admin}/tokens", json={"note": "orders"}).json()["token"]

        def order(key: str) -> requests.Response:
            return requests.post(
                f"{hub.url}{SERVICE}/api/v1/actions/execute", json=ORDER, timeout=120,
                headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
            )  # fmt: skip

        def executed(key: str) -> Any:
            """What came of it, asked for seldom: there is a limit of orders a minute."""
            for _ in range(20):
                answer = order(key)
                if answer.status_code == 200:
                    return answer.json()
                time.sleep(5)
            raise AssertionError(answer.text + hub.service_log)

        before = executed("before")
        with RunLedger.open(url) as ledger:
            begin = ledger.schedules.now()
            schedule = Schedule("each-minute", "tiny", "* * * * *", "UTC", hub.admin, catch_up="all", handled=begin)
            ledger.schedules.add(schedule)
            real.until(
                lambda: any(run.state.is_final for run in all_runs(ledger)), 180, lambda: hub.service_log
            )  # so that it works, before anything is taken away
        cell = work.begin("import time; time.sleep(20); kept = 42; print(kept)")

        stoppable.away()
        gone = time.monotonic()
        try:
            # Who was in is told what is the matter, and is not shown the door; nobody comes in.
            shown = ana.get("home", allow_redirects=False)
            assert "The hub cannot answer at the moment" in shown.text
            for answer in (shown, hub.browser().login("ana", real.PASSWORD)):
                assert answer.status_code == 503, answer.text
                assert "The database of the hub does not answer. Nothing is lost" in answer.text
                assert "psycopg" not in answer.text
            asked = {"Authorization": f"token {token}"}
            program = requests.get(f"{hub.url}/hub/api/user", headers=asked, timeout=60)
            assert program.status_code == 503, "its token is not void"
            assert program.json()["message"].startswith("The database of the hub does not answer")
            page = ana.session.get(f"{hub.url}{SERVICE}/", headers={"Accept": "text/html"}, timeout=120)
            assert page.status_code == 503, page.text
            lost = order("in-the-gap")
            assert lost.status_code == 503, lost.text
            assert "Traceback" not in page.text + lost.text
            # What runs goes on.
            assert work.end(cell) == "42\n"
            assert work.end(work.begin("print(kept + 1)")) == "43\n"
            time.sleep(max(0.0, AWAY_S - (time.monotonic() - gone)))
            assert hub.process.poll() is None
        finally:
            stoppable.back()
        back = datetime.now(UTC)

        real.until(lambda: ana.get("home", allow_redirects=False).status_code == 200, 60, lambda: hub.log[-3000:])
        assert ana.server("GET", "api/kernels").json()[0]["id"] == work.number
        assert work.end(work.begin("print(kept)")) == "42\n"
        assert hub.browser().login("ana", real.PASSWORD, follow=False).status_code == 302
        # The order that was refused may be sent again, and is one; that of before is still the one that it was.
        assert executed("in-the-gap") == executed("in-the-gap")
        assert executed("before") == before
        with RunLedger.open(url) as ledger:

            def caught_up() -> bool:
                handled, found = ledger.schedules.get("each-minute").handled, all_runs(ledger)
                return handled is not None and handled > back and all(run.state.is_final for run in found)

            real.until(caught_up, 180, lambda: hub.service_log)
            ledger.schedules.remove("each-minute")
            real.until(lambda: all(run.state.is_final for run in all_runs(ledger)), 60, lambda: hub.service_log)
            found = all_runs(ledger)
            due = [run.due for run in found]
        until = max(moment for moment in due if moment)
        assert Counter(due) == Counter(parse("* * * * *", "UTC").between(begin, until))
        assert until > back
        assert [run.state.value for run in found] == ["completed"] * len(found)
        with psycopg.connect(url) as connection:
            told = connection.execute("SELECT count(*) FROM quantdesk_ledger.orders").fetchone()
        assert told == (2,)
