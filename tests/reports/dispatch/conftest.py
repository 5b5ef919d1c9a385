"""A ledger of the test's own, and runs that take milliseconds but leave real folders."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from quantdesk.reports.dispatch import WorkerConfig
from quantdesk.reports.dispatch.here import left_by_earlier
from quantdesk.reports.dispatch.work import Outcome, Work, outcome_of
from quantdesk.reports.ledger import Order, RunLedger
from quantdesk.reports.result import Provenance, Run, Status
from quantdesk.reports.runs import RunsConfig, publish

QUICK = WorkerConfig(processes=2, poll_s=0.02, claim_s=1.0, drain_s=5.0)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    RunLedger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def address(empty_ledger: Path, tmp_path: Path) -> str:
    shutil.copyfile(empty_ledger, tmp_path / "ledger.sqlite")
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def ledger(address: str) -> Iterator[RunLedger]:
    with RunLedger.open(address) as opened:
        yield opened


def published(work: Work, status: Status = Status.COMPLETED) -> Run:
    """The folder that a run of a notebook would leave."""
    now, run = datetime.now(UTC), work.run
    folder = RunsConfig.from_env().runs / run.id
    made = Run(
        id=run.id,
        report=run.report,
        title=run.title,
        status=status,
        parameters={},
        given=(),
        seed=None,
        notebook="",
        notebook_sha256="",
        started=now,
        ended=now,
        problem=None,
        labels=(),
        provenance=Provenance(),
        folder=folder,
        attempt=run.attempt,
    )
    return publish(made, notebook="{}", page="<p>", log=None)


def quick(work: Work) -> Outcome:
    """Carry a run out as `here` does, with a few milliseconds in place of a notebook."""
    config = RunsConfig.from_env()
    config.reports_root.mkdir(parents=True, exist_ok=True)
    (config.reports_root / f"begun-{os.getpid()}").touch()  # for who wants to kill it in the middle
    left = left_by_earlier(work, config)
    if left is None:
        time.sleep(0.01)
        left = published(work)
    return outcome_of(left)


@pytest.fixture
def order() -> Callable[..., Order]:
    def make(number: int = 1, **more: object) -> Order:
        values: dict[str, object] = {"report": "tiny", "title": "Tiny", "parameters": {}, "requested_by": "ana"} | more
        return Order(id=f"20261127T120000.000Z-{values['report']}-{number:06x}", **values)  # type: ignore[arg-type]

    return make


@pytest.fixture
def working() -> Callable[..., SimpleNamespace]:
    """Run a worker in a thread of the test: ``working(worker)`` is a block."""
    import contextlib

    @contextlib.contextmanager
    def block(worker):
        thread = threading.Thread(target=worker.run, daemon=True)
        thread.start()
        try:
            yield thread
        finally:
            worker.stop()
            worker.stop()
            thread.join(120)
            assert not thread.is_alive()

    return block


def until(true: Callable[[], object], seconds: float = 180.0) -> None:
    """Wait for what must come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def settled(ledger: RunLedger, *ids: str) -> bool:
    return all(ledger.queue.get(one).state.is_final for one in ids)


@pytest.fixture
def helpers() -> SimpleNamespace:
    return SimpleNamespace(QUICK=QUICK, published=published, quick=quick, settled=settled, until=until)
