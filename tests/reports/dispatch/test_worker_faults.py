"""Workers that are killed at any moment: in the end every due time has one run, with a final state."""

from __future__ import annotations

import logging
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from quantdesk.reports.dispatch import Worker, WorkerConfig
from quantdesk.reports.dispatch.work import Outcome, Work
from quantdesk.reports.ledger import Filter, Recorded, RunLedger, Schedule, State
from quantdesk.reports.runs import RunsConfig, list_runs
from quantdesk.reports.schedule import parse

MINUTE = timedelta(minutes=1)


class Nursery:
    """Workers in processes of their own; see nursery.py."""

    def __init__(self, address: str, config: WorkerConfig) -> None:
        line = [sys.executable, str(Path(__file__).with_name("nursery.py")), address, config.model_dump_json()]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, order: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with self._process:
            assert self._process.wait(120) == 0


def kill_and_look(
    address: str,
    notebook: Any,
    helpers: Any,
    *,
    kills: int,
    due: int,
    seed: int,
    cut: Callable[[], None] | None = None,
) -> Counter[State]:
    """Kill one of two workers `kills` times over `due` due times, and let them finish. How the runs ended.

    With `cut`, that is called in place of every second kill.
    """
    notebook("tiny", ["x = 1"])
    rng = random.Random(seed)
    config = helpers.QUICK.model_copy(update={"catch_up_limit": due + 100})
    with RunLedger.open(address) as ledger:
        begin = ledger.schedules.now() - due * MINUTE
        ledger.schedules.add(Schedule("each-minute", "tiny", "* * * * *", "UTC", "ana", catch_up="all", handled=begin))
    nursery = Nursery(address, config)
    try:
        workers = [nursery.ask("start") for _ in range(2)]
        for _ in range(kills):
            victim = rng.choice(workers)
            if rng.random() < 0.6:  # in the middle of its work; else at any moment of its beginning
                _wait_for(RunsConfig.from_env().reports_root / f"begun-{victim}")
                time.sleep(rng.uniform(0.0, 0.04))
            else:
                time.sleep(rng.uniform(0.0, 0.3))
            if cut is not None and rng.random() < 0.5:
                cut()
                continue
            workers.remove(victim)
            assert nursery.ask(f"kill {victim}") == signal.SIGKILL
            workers.append(nursery.ask("start"))
        with RunLedger.open(address) as ledger:
            helpers.until(lambda: _are_done(ledger, due), 120 + 3 * due)
            # Or the next minute may have a run that nobody begins any more.
            ledger.schedules.change(replace(ledger.schedules.get("each-minute"), is_enabled=False))
            helpers.until(lambda: _are_done(ledger, due), 60)
            assert [nursery.ask(f"end {one}") for one in workers] == [0, 0]
            return _checked(ledger, begin)
    finally:
        nursery.close()


def _wait_for(mark: Path) -> None:
    """Until a worker has begun a run; not for long, because there may be none left."""
    deadline = time.monotonic() + 2.0
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.002)


def _runs(ledger: RunLedger) -> tuple[Recorded, ...]:
    return ledger.search.runs(Filter(schedule_id="each-minute"), limit=1000).runs


def _are_done(ledger: RunLedger, due: int) -> bool:
    runs = _runs(ledger)
    return len(runs) >= due and all(run.state.is_final for run in runs)


def _checked(ledger: RunLedger, begin: datetime) -> Counter[State]:
    """Every due time has one run, with a final state; what is finished was made once."""
    runs = _runs(ledger)
    handled = ledger.schedules.get("each-minute").handled
    assert handled is not None
    expected = parse("* * * * *", "UTC").between(begin, handled)
    assert sorted(run.due for run in runs if run.due) == list(expected)
    assert all(run.state.is_final for run in runs)
    done = [run for run in runs if run.state is State.COMPLETED]
    config = RunsConfig.from_env()
    folders = list_runs(config)
    assert {run.id for run in done} <= {run.id for run in folders} <= {run.id for run in runs}
    # Nobody took a finished folder for an unfinished one.
    assert not (config.reports_root / "attempts").exists()
    for run in done:
        attempts = ledger.queue.attempts(run.id)
        assert [one.state for one in attempts if one.state is not State.LOST] == [State.COMPLETED]
    return Counter(run.state for run in runs)


def test_kill_workers(address: str, state: Path, notebook: Any, helpers: Any) -> None:
    ends = kill_and_look(address, notebook, helpers, kills=8, due=20, seed=1)
    assert set(ends) <= {State.COMPLETED, State.LOST}
    assert ends[State.COMPLETED] >= 14


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_kill_many_times(address: str, state: Path, notebook: Any, helpers: Any, seed: int) -> None:
    ends = kill_and_look(address, notebook, helpers, kills=250, due=300, seed=seed)
    assert set(ends) <= {State.COMPLETED, State.LOST}


class Server:
    """A database on a PostgreSQL server whose connections can be cut."""

    def __init__(self, postgres: Any) -> None:
        self.address = postgres()
        self._name = self.address.rpartition("/")[2]
        self._admin = postgres.admin()
        RunLedger.open(self.address).close()

    def cut(self) -> None:
        """End every connection, whatever it is doing."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(ended, [self._name])

    def open(self, is_open: bool) -> None:
        """Whether it takes connections."""
        say = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
            sql.Identifier(self._name), sql.SQL("true" if is_open else "false")
        )
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(say)


@pytest.fixture
def server(postgres: Any) -> Server:
    return Server(postgres)


def test_kill_workers_and_connections(server: Server, state: Path, notebook: Any, helpers: Any) -> None:
    kill_and_look(server.address, notebook, helpers, kills=8, due=15, seed=4, cut=server.cut)


@pytest.mark.slow
def test_kill_many_workers_and_connections(server: Server, state: Path, notebook: Any, helpers: Any) -> None:
    kill_and_look(server.address, notebook, helpers, kills=250, due=300, seed=5, cut=server.cut)


def test_a_run_outlives_a_database_that_is_gone(
    server: Server, state: Path, order: Any, working: Any, helpers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is gone for longer than the claim lasts; the run goes on, is carried out once, and its end is noted."""
    begun: list[str] = []
    go_on = threading.Event()

    def slow(work: Work) -> Outcome:
        begun.append(work.run.id)
        assert go_on.wait(120)
        assert not work.cancel.is_set()
        return Outcome(State.COMPLETED)

    with RunLedger.open(server.address) as ledger, caplog.at_level(logging.WARNING):
        ledger.queue.add(order())
        with working(Worker(ledger, execute=slow, config=helpers.QUICK)):
            helpers.until(lambda: begun)
            server.open(False)
            server.cut()
            away = time.monotonic()
            # Each of its threads has noticed, and the claim is over by any clock.
            for said in ("no heartbeat", "no run can be claimed", "no schedule can be looked at"):
                helpers.until(lambda said=said: said in caplog.text)
            helpers.until(lambda: time.monotonic() > away + 1.5 * helpers.QUICK.claim_s)
            go_on.set()
            server.open(True)
            helpers.until(lambda: helpers.settled(ledger, order().id))
        run = ledger.queue.get(order().id)
        assert (run.state, run.attempt, begun) == (State.COMPLETED, 1, [run.id])
        assert [one.state for one in ledger.queue.attempts(run.id)] == [State.COMPLETED]
    assert "p@ss" not in caplog.text
