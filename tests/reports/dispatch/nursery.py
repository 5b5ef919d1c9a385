"""A process that forks workers which work at once: ``python nursery.py LEDGER CONFIG``. A line in, a line out.

``start`` answers with the number of a new worker; ``kill N`` and ``end N`` with how it ended. It has no ledger open and
no files of a test: neither locks of SQLite nor open files are fit to be inherited. All end with its standard input.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import traceback
from pathlib import Path

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.dispatch import Execute, Worker, WorkerConfig
from quantdesk.reports.ledger import RunLedger


def quick() -> Execute:
    """What carries a run out in the tests."""
    spec = importlib.util.spec_from_file_location("helpers", Path(__file__).with_name("conftest.py"))
    assert spec
    assert spec.loader
    helpers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(helpers)
    return helpers.quick


def work(address: str, config: WorkerConfig, execute: Execute) -> None:
    with opened(address) as ledger:
        worker = Worker(ledger, execute=execute, config=config)
        with worker.on_signals():
            worker.run()


def opened(address: str) -> RunLedger:
    """The ledger; a worker whose connection is cut this early ends, and its supervisor starts it again."""
    while True:
        with contextlib.suppress(EnvironmentProblem):
            return RunLedger.open(address)


def start(address: str, config: WorkerConfig, execute: Execute) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.dup2(2, 1)  # the answers are the parent's
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        work(address, config, execute)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(1)


def main() -> None:
    address, config = sys.argv[1], WorkerConfig.model_validate_json(sys.argv[2])
    # Imported once, for all that are forked: a ledger in memory leaves no lock behind.
    execute = quick()
    RunLedger.open("sqlite:///:memory:").close()
    importlib.import_module("quantdesk.reports.schedule").parse("* * * * *", "UTC")
    living: set[int] = set()
    for line in sys.stdin:
        order, _, number = line.strip().partition(" ")
        if order == "start":
            answer = start(address, config, execute)
            living.add(answer)
        else:
            os.kill(int(number), signal.SIGKILL if order == "kill" else signal.SIGTERM)
            answer = os.waitpid(int(number), 0)[1]
            living.discard(int(number))
        print(answer, flush=True)  # noqa: T201
    for one in living:
        os.kill(one, signal.SIGKILL)
        os.waitpid(one, 0)


if __name__ == "__main__":
    main()
