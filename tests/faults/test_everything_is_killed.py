"""Everything is killed at random moments: in the end each due time and each accepted order has one run, which ended."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import nbformat
import pytest
import requests
from sqlalchemy import update

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.database import REPLAYS, SECOND, opened
from quantdesk.reports import recover
from quantdesk.reports.ledger import Filter, Recorded, RunLedger, Schedule, State
from quantdesk.reports.runs import RunsConfig, list_runs
from quantdesk.reports.schedule import parse

SCHEDULE = Schedule("each-minute", "tiny", "* * * * *", "UTC", "ana", catch_up="all")
WITHOUT_FOLDER = {State.LOST, State.CANCELLED}


def notebook(folder: Path) -> None:
    """A report of two cells, tried again at once when its kernel dies."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell("n = 0", id="parameters"), nbformat.v4.new_code_cell("n + 1", id="sum")]
    made.cells[0].metadata["tags"] = ["parameters"]
    folder.mkdir()
    nbformat.write(made, folder / "tiny.ipynb")
    (folder / "tiny.toml").write_text("retries = 4\nretry_wait_s = 0.5\ntimeout_s = 60\ncache = false\n")


class Orders(threading.Thread):
    """Somebody who asks for runs as a careful program does: each under one key until it is accepted.

    Every third accepted order is sent once more. It goes on as long as is killed.
    """

    def __init__(self, site: Any, token: str, pace: float, seed: int) -> None:
        super().__init__(name="orders", daemon=True)
        self._site, self._pace, self._rng = site, pace, random.Random(seed)
        self.enough = threading.Event()
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        self.accepted: dict[int, str] = {}
        self.again: dict[int, str] = {}
        self.tries: Counter[str] = Counter()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for number in count():
                if self.enough.wait(self._rng.uniform(0.0, 2 * self._pace)):
                    return
                self.accepted[number] = self._insist(number)
                if number % 3 == 0:
                    self.again[number] = self._insist(number)
        except BaseException as error:  # noqa: BLE001  (told in the test's own thread)
            self.error = error

    def _insist(self, number: int) -> str:
        deadline = time.monotonic() + 120
        while True:
            try:
                answer = self._session.post(
                    f"{self._site.url}/api/v1/reports/tiny/runs",
                    json={"parameters": {"n": number}},
                    headers={"Idempotency-Key": f"order-{number}"},
                    timeout=10,
                )
            except requests.RequestException as error:
                self.tries[type(error).__name__] += 1
            else:
                self.tries[str(answer.status_code)] += 1
                if answer.status_code == 202:
                    return str(answer.json()["id"])
                assert answer.status_code in (409, 500, 503), answer.text
                if answer.status_code == 409:
                    self._later()
            assert time.monotonic() < deadline, f"order {number} was never accepted: {self.tries}"
            time.sleep(0.1)

    def _later(self) -> None:
        """Two minutes pass, after which a turn whose process has died is taken over."""
        config = ServiceConfig(database=self._site.ledger, folder=self._site.folder / "state" / "service")
        with contextlib.suppress(EnvironmentProblem), opened(config) as database, database.writing() as connection:
            open_turns = update(REPLAYS).where(REPLAYS.c.status.is_(None))
            connection.execute(open_turns.values(begun=REPLAYS.c.begun - 130 * SECOND))


def runs(ledger: RunLedger) -> tuple[Recorded, ...]:
    found, cursor = [], None
    while True:
        page = ledger.search.runs(Filter(), limit=500, cursor=cursor)
        found += page.runs
        cursor = page.cursor
        if not cursor:
            return tuple(found)


def storm(sites: Any, postgres: Any, folder: Path, *, kinds: dict[str, int], due: int, pace: float, seed: int) -> None:
    """Let it rain kills over due times and orders; then look."""
    notebook(folder / "notebooks")
    address = postgres()
    with RunLedger.open(address) as ledger, sites.Site(folder, address, postgres.admin()) as site:
        begin = ledger.schedules.now() - due * timedelta(minutes=1)
        ledger.schedules.add(replace(SCHEDULE, handled=begin))
        asking = Orders(site, sites.TOKEN, pace, seed)
        asking.start()
        struck = sites.kill(site, kinds, seed, (0.0, 0.4))
        asking.enough.set()
        asking.join(150)
        assert not asking.is_alive()
        if asking.error is not None:
            raise asking.error

        def settled() -> bool:
            found = runs(ledger)
            return len(found) >= due + len(asking.accepted) and all(run.state.is_final for run in found)

        sites.until(settled, 120 + 2 * (due + len(asking.accepted)), lambda: told(ledger, site))
        # Or the next minute may have a run that nobody begins any more.
        ledger.schedules.change(replace(ledger.schedules.get("each-minute"), is_enabled=False))
        sites.until(settled, 60, lambda: told(ledger, site))
        site.stop()
        assert struck == kinds
        check(ledger, begin, asking)
        sites.until(lambda: site.processes() == [], 30, lambda: str(site.processes()))


def told(ledger: RunLedger, site: Any) -> str:
    """What helps to see why it did not come."""
    found = runs(ledger)
    open_ = [f"{run.id} {run.state.value} {run.attempt} {run.problem}" for run in found if not run.state.is_final]
    return f"{Counter(run.state.value for run in found)}\n" + "\n".join(open_) + "\n" + site.log.read_text()[-3000:]


def check(ledger: RunLedger, begin: Any, asking: Orders) -> None:
    """Each due time and each accepted order has exactly one run, with a final state, and what it left is there."""
    found = runs(ledger)
    handled = ledger.schedules.get("each-minute").handled
    assert handled is not None
    scheduled = [run for run in found if run.schedule_id]
    assert sorted(run.due for run in scheduled if run.due) == list(parse("* * * * *", "UTC").between(begin, handled))
    assert Counter(run.id for run in found if not run.schedule_id) == Counter(asking.accepted.values())
    assert {number: asking.accepted[number] for number in asking.again} == asking.again
    assert {run.id: run.parameters for run in found if not run.schedule_id} == {
        name: {"n": number} for number, name in asking.accepted.items()
    }
    assert all(run.state.is_final for run in found)
    config = RunsConfig.from_env()
    folders = {run.id for run in list_runs(config)}
    assert {run.id for run in found if run.state not in WITHOUT_FOLDER} <= folders <= {run.id for run in found}
    for run in found:
        finals = [one.state for one in ledger.queue.attempts(run.id) if one.state is State.COMPLETED]
        assert len(finals) == (run.state is State.COMPLETED), run.id
    recover()
    assert not config.scratch.exists() or list(config.scratch.iterdir()) == []
    assert Counter(run.state for run in found)[State.COMPLETED] >= len(found) / 2


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    return tmp_path


def test_a_storm(sites: Any, postgres: Any, place: Path) -> None:
    kinds = {"worker": 3, "service": 2, "run": 7, "kernel": 7, "zygote": 2, "database": 4}
    storm(sites, postgres, place, kinds=kinds, due=6, pace=2.0, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_long_storm(sites: Any, postgres: Any, place: Path, seed: int) -> None:
    kinds = {"worker": 30, "service": 30, "run": 70, "kernel": 70, "zygote": 20, "database": 30}
    storm(sites, postgres, place, kinds=kinds, due=120, pace=1.5, seed=seed)
