"""Kept notebooks go when no job and no definition needs them any more, and not one moment earlier."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quantdesk.hub.app.access import User
from quantdesk.hub.app.lab_jobs import LabJobs, When
from quantdesk.hub.app.replays import Turn
from quantdesk.hub.app.signing import Signer
from quantdesk.reports.lab import kept
from quantdesk.reports.lab.clearing import clear
from quantdesk.reports.lab.job import LabJob, job_id
from quantdesk.reports.ledger import Claim, Recorded, RunLedger, Schedule, State


@dataclass
class Desk:
    """Ana's jobs, and the ledger that has them."""

    ledger: RunLedger
    jobs: LabJobs

    def job(self, text: str) -> tuple[LabJob, bytes]:
        content = text.encode()
        return LabJob("weekly", "a.ipynb", hashlib.sha256(content).hexdigest(), "/home/ana", 1), content

    def begun(self, text: str) -> Claim:
        """A job that is under way."""
        self.jobs.add(*self.job(text), {}, turn())
        claim = self.ledger.queue.claim("w", 60)
        assert claim is not None
        return claim

    def add(self, text: str) -> Recorded:
        """A job that has ended."""
        return self.ledger.queue.finish(self.begun(text), State.COMPLETED, {}, folder="/runs/x")

    def schedule(self, text: str) -> Schedule:
        return self.jobs.schedule(*self.job(text), {}, When("0 7 * * *", "UTC"), turn())

    def left(self) -> set[str]:
        """The texts of the notebooks that are there."""
        return {path.read_text() for path in kept.root().glob("*/*")}


def turn() -> Turn:
    return Turn("", datetime.now(UTC), uuid.uuid4().hex)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    with RunLedger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        yield Desk(ledger, LabJobs(ledger, Signer("s" * 32), User("ana", frozenset())))


def test_what_was_deleted_goes_and_what_is_needed_stays(desk: Desk) -> None:
    desk.add("listed")
    for text in ("deleted", "deleted, and listed as another job"):
        desk.jobs.hide(job_id(desk.add(text).id))
    desk.add("deleted, and listed as another job")
    under_way = desk.begun("deleted, and under way")
    desk.jobs.hide(job_id(under_way.run.id))
    desk.schedule("defined")
    desk.jobs.remove(desk.schedule("defined, and deleted").id)
    job, _ = desk.job("listed")
    (kept.path_of(job).parent / ".a.ipynb.half.tmp").write_text("of one that died while it wrote")
    assert len(clear(desk.ledger)) == 3
    assert desk.left() == {"listed", "deleted, and listed as another job", "deleted, and under way", "defined"}
    assert not kept.path_of(desk.job("deleted")[0]).parent.exists()
    desk.ledger.queue.finish(under_way, State.CANCELLED, {})
    assert [path.name for path in clear(desk.ledger)] == ["a.ipynb"]
    assert desk.left() == {"listed", "deleted, and listed as another job", "defined"}
    assert clear(desk.ledger) == ()


def test_what_retention_has_removed_goes(desk: Desk) -> None:
    old = desk.add("old")
    desk.add("newer")
    assert clear(desk.ledger) == ()
    assert desk.ledger.keeping.remove(old.id)
    assert clear(desk.ledger) == (kept.path_of(desk.job("old")[0]),)
    assert desk.left() == {"newer"}


@pytest.mark.parametrize("handed_in", [Desk.begun, Desk.schedule])
def test_what_is_handed_in_meanwhile_stays(
    desk: Desk, handed_in: Callable[[Desk, str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on the disk, and the ledger does not name it yet: who clears has to wait."""
    honest = kept.keep
    threads: list[threading.Thread] = []

    def keep(*given: Any) -> Path:
        path = honest(*given)
        threads.append(threading.Thread(target=clear, args=(desk.ledger,)))
        threads[0].start()
        threads[0].join(0.5)
        return path

    monkeypatch.setattr(kept, "keep", keep)
    handed_in(desk, "new")
    threads[0].join(60)
    assert desk.left() == {"new"}
    assert kept.read(desk.job("new")[0]) == b"new"
