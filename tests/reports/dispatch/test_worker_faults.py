"""Workers that are killed at any moment: in the end every due time has one run, with a final state."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quantdesk.reports.dispatch import Worker, WorkerConfig
from quantdesk.reports.dispatch.work import Outcome, Work
from quantdesk.reports.ledger import Filter, RunLedger, Schedule, State
from quantdesk.reports.runs import RunsConfig, list_runs
from quantdesk.reports.schedule import parse

MINUTE = timedelta(minutes=1)


def start(address: str, config: WorkerConfig, execute: Callable[[Work], Outcome]) -> int:
    """A worker in a process of its own, forked so that it works at once; the number of the process."""
    child = os.fork()
    if child:
        return child
    try:
        with RunLedger.open(address) as ledger:
            worker = Worker(ledger, execute=execute, config=config)
            with worker.on_signals():
                worker.run()
        os._exit(0)
    finally:
        os._exit(1)


def kill_and_look(
    address: str, folder: Path, notebook: Any, helpers: Any, *, kills: int, due: int, seed: int, together: int
) -> Counter[State]:
    """Kill workers `kills` times over `due` due times, and let a last one finish. How the runs ended."""
    notebook("tiny", ["x = 1"])
    rng = random.Random(seed)
    config = helpers.QUICK.model_copy(update={"catch_up_limit": due})
    with RunLedger.open(address) as ledger:
        begin = ledger.schedules.now() - due * MINUTE
        schedule = ledger.schedules.add(Schedule("", "tiny", "* * * * *", "UTC", "ana", catch_up="all", handled=begin))
        workers = [start(address, config, helpers.quick) for _ in range(together)]
        for _ in range(kills):
            time.sleep(rng.uniform(0.0, 0.25))
            victim = workers.pop(rng.randrange(len(workers)))
            os.kill(victim, signal.SIGKILL)
            assert os.waitpid(victim, 0)[1] == signal.SIGKILL
            workers.append(start(address, config, helpers.quick))

        def is_done() -> bool:
            runs = ledger.search.runs(Filter(schedule_id=schedule.id), limit=1000).runs
            return len(runs) >= due and all(run.state.is_final for run in runs)

        helpers.until(is_done, 60)
        for one in workers:
            os.kill(one, signal.SIGTERM)
            assert os.waitpid(one, 0)[1] == 0
        runs = ledger.search.runs(Filter(schedule_id=schedule.id), limit=1000).runs
        handled = ledger.schedules.get(schedule.id).handled
        assert handled is not None
        expected = parse("* * * * *", "UTC").between(begin, handled)
        assert sorted(run.due for run in runs) == list(expected)  # each once
        assert all(run.state.is_final for run in runs)
        done = [run for run in runs if run.state is State.COMPLETED]
        folders = list_runs(RunsConfig.from_env())
        assert {run.id for run in done} <= {run.id for run in folders} <= {run.id for run in runs}
        # Nobody took a finished folder for an unfinished one.
        assert not (RunsConfig.from_env().reports_root / "attempts").exists()
        for run in done:
            attempts = ledger.queue.attempts(run.id)
            assert [one.state for one in attempts if one.state is not State.LOST] == [State.COMPLETED]
        return Counter(run.state for run in runs)


def test_kill_a_few_dozen_times(address: str, state: Path, notebook: Any, helpers: Any) -> None:
    ends = kill_and_look(address, state, notebook, helpers, kills=30, due=40, seed=1, together=2)
    assert set(ends) <= {State.COMPLETED, State.LOST}
    assert ends[State.COMPLETED] >= 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_kill_many_times(address: str, state: Path, notebook: Any, helpers: Any, seed: int) -> None:
    ends = kill_and_look(address, state, notebook, helpers, kills=250, due=400, seed=seed, together=2)
    assert set(ends) <= {State.COMPLETED, State.LOST}


def test_kill_on_postgresql(postgres: Any, state: Path, notebook: Any, helpers: Any) -> None:
    address = postgres()
    RunLedger.open(address).close()
    kill_and_look(address, state, notebook, helpers, kills=12, due=20, seed=4, together=2)
