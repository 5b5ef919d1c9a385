"""What is past its retention goes, whole and once; what anything leans on stays; the ledger still knows all of it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.reports.declaration import Retention
from quantdesk.reports.dispatch import removal, upkeep
from quantdesk.reports.dispatch.adopt import Adoption
from quantdesk.reports.dispatch.removal import Removal
from quantdesk.reports.dispatch.retention import past
from quantdesk.reports.dispatch.upkeep import Upkeep
from quantdesk.reports.ledger import Delivery, Order, Recorded, RunLedger, State, Verdict
from quantdesk.reports.ledger.entry import DeliveryState, Left
from quantdesk.reports.result import Metric, Provenance, Run, Status
from quantdesk.reports.runs import RunsConfig, publish
from quantdesk.reports.storage import push_pending

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
STATES = (State.COMPLETED, State.FAILED, State.CANCELLED)


# ------------------------------------------------------------------------------------------------------- the decision


@st.composite
def histories(draw: st.DrawFn) -> tuple[Left, ...]:
    """Runs of a report, the newest first; some are served from older or newer ones, some are held."""
    number = draw(st.integers(0, 12))
    ages = sorted(draw(st.lists(st.integers(0, 400), min_size=number, max_size=number)))
    found: list[Left] = []
    for index, age in enumerate(ages):
        source = draw(st.none() | st.integers(0, number - 1))
        shares = source is not None and source != index
        state = State.COMPLETED if shares else draw(st.sampled_from(STATES))
        name = None if not shares else f"r{source:02}"
        found.append(Left(f"r{index:02}", state, "x", name, NOW - timedelta(days=age), draw(st.booleans())))
    return tuple(found)


limits = st.builds(
    Retention, runs=st.none() | st.integers(1, 12), days=st.none() | st.floats(0.5, 400, allow_nan=False)
)


@given(histories(), limits)
def test_only_what_nothing_keeps_is_past(left: tuple[Left, ...], retention: Retention) -> None:
    gone = set(past(left, retention, NOW))
    assert len(gone) == len(past(left, retention, NOW))
    if retention == Retention():
        assert not gone
    newest = next((one.id for one in left if one.state is State.COMPLETED), None)
    kept = {one.id for one in left} - gone
    needed = {one.cached_from for one in left if one.id in kept}
    for index, one in enumerate(left):
        is_recent = (retention.runs is not None and index < retention.runs) or (
            retention.days is not None and NOW - one.began <= timedelta(days=retention.days)
        )
        is_needed = is_recent or one.is_held or one.id == newest or one.id in needed
        assert (one.id in kept) == (is_needed or retention == Retention()), one


@given(histories(), limits)
def test_what_is_decided_again_on_what_is_left_is_nothing(left: tuple[Left, ...], retention: Retention) -> None:
    gone = set(past(left, retention, NOW))
    assert past([one for one in left if one.id not in gone], retention, NOW) == ()


# ------------------------------------------------------------------------------------------------------------ the files


def retain(text: str = "{ runs = 2 }") -> None:
    (Path(os.environ["QUANTDESK_NOTEBOOKS"]) / "tiny.toml").write_text(f"retention = {text}\n")


def a_run(number: int, status: Status = Status.COMPLETED) -> Run:
    config, name = RunsConfig.from_env(), f"20260101T000000.000Z-tiny-{number:06x}"
    begun = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    made = Run(
        id=name, report="tiny", title="Tiny", status=status, parameters={}, given=(), seed=None,
        notebook=str(Path(os.environ["QUANTDESK_NOTEBOOKS"]) / "tiny.ipynb"), notebook_sha256="", started=begun,
        ended=begun, problem=None, labels=(), provenance=Provenance(data_version="d7"), folder=config.runs / name,
        metrics=(Metric("pnl", float(number)),),
    )  # fmt: skip
    return publish(made, notebook="{}", page="<p>", log=None, beside={"tables/t.parquet": b"x"})


@pytest.fixture
def desk(state: Path, notebook: Callable[..., Path], ledger: RunLedger) -> Callable[..., list[Run]]:
    """Make so many runs of a report that keeps two."""
    notebook("tiny", ["x = 1"])
    retain()

    def make(number: int, *failed: int) -> list[Run]:
        runs = [a_run(one, Status.FAILED if one in failed else Status.COMPLETED) for one in range(number)]
        Adoption(ledger, RunsConfig.from_env().runs).step()
        return runs

    return make


@pytest.fixture
def remover(ledger: RunLedger, state: Path) -> Removal:
    return Removal(ledger, RunsConfig.from_env())


def there() -> list[int]:
    """Numbers of the folders of runs."""
    return sorted(int(path.name[-6:], 16) for path in RunsConfig.from_env().runs.iterdir())


def trash() -> list[Path]:
    folder = RunsConfig.from_env().reports_root / "trash"
    return list(folder.iterdir()) if folder.is_dir() else []


def served(ledger: RunLedger, number: int, source: Run) -> Recorded:
    """A queued run that was answered with the files of another."""
    name = f"20260101T000000.000Z-tiny-{number:06x}"
    ledger.queue.add(Order(name, "tiny", "Tiny", {}, requested_by="ana"))
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    return ledger.queue.finish(claim, State.COMPLETED, {}, folder=str(source.folder), cached_from=source.id)


def test_the_oldest_go_and_the_ledger_keeps_what_they_were(
    ledger: RunLedger, desk: Callable[..., list[Run]], remover: Removal
) -> None:
    runs = desk(5)
    (RunsConfig.from_env().reports_root / "attempts" / runs[0].id / "1").mkdir(parents=True)
    assert set(remover.step()) == {one.id for one in runs[:3]}
    assert there() == [3, 4]
    assert trash() == []
    assert not (RunsConfig.from_env().reports_root / "attempts" / runs[0].id).exists()
    gone = ledger.queue.get(runs[0].id)
    assert gone.removed is not None
    assert (gone.folder, gone.state, gone.metrics["pnl"]) == ("", State.COMPLETED, (0.0, ""))
    assert gone.record["provenance"]["data_version"] == "d7"
    assert ledger.queue.get(runs[4].id).removed is None
    assert remover.step() == ()
    assert Adoption(ledger, RunsConfig.from_env().runs).step() == ()


def test_without_a_word_on_it_everything_is_kept(desk: Callable[..., list[Run]], remover: Removal) -> None:
    retain("{}")
    desk(5)
    assert remover.step() == ()
    assert there() == [0, 1, 2, 3, 4]


def test_days_count_too(desk: Callable[..., list[Run]], remover: Removal) -> None:
    retain("{ days = 1 }")
    desk(3)
    remover.step()
    assert there() == [2]  # older than a day as well, and the last complete one


def test_what_anything_leans_on_stays(ledger: RunLedger, desk: Callable[..., list[Run]], remover: Removal) -> None:
    runs = desk(8, 6, 7)
    ledger.remarks.comment(runs[0].id, "ana", "Look at this.")
    ledger.remarks.sign(runs[1].id, "ana", Verdict.APPROVED)
    ledger.remarks.sign(runs[1].id, "ana", Verdict.WITHDRAWN)
    message = Delivery("m", runs[2].id, "email", "a@example.com", {}, DeliveryState.PENDING, 0, NOW, "", NOW)
    ledger.deliveries.add(message)
    served(ledger, 99, runs[3])  # the newest of all
    remover.step()
    assert there() == [0, 1, 2, 3, 7]  # 7 is the second newest
    ledger.deliveries.sent("m")
    remover.step()
    assert there() == [0, 1, 3, 7]


def test_the_last_complete_run_stays_however_old_it_is(desk: Callable[..., list[Run]], remover: Removal) -> None:
    desk(6, 2, 3, 4, 5)
    remover.step()
    assert there() == [1, 4, 5]


def test_a_run_that_shares_files_goes_without_them_and_then_their_owner_goes(
    ledger: RunLedger, desk: Callable[..., list[Run]], remover: Removal
) -> None:
    runs = desk(1)
    shared = served(ledger, 50, runs[0])
    for number in (60, 61):
        a_run(number)
    Adoption(ledger, RunsConfig.from_env().runs).step()
    # The served run is of today, newer than those that were found: let newer ones come.
    for number in (70, 71):
        served(ledger, number, a_run_known(ledger, 61))
    removed = remover.step()
    assert {shared.id, runs[0].id} <= set(removed)
    assert removed.index(shared.id) < removed.index(runs[0].id)
    assert ledger.queue.get(shared.id).folder == ""
    assert there() == [61]


def a_run_known(ledger: RunLedger, number: int) -> Run:
    found = ledger.queue.get(f"20260101T000000.000Z-tiny-{number:06x}")
    return Run.from_dict(found.record, Path(found.folder))


def test_runs_under_way_are_not_even_looked_at(
    ledger: RunLedger, desk: Callable[..., list[Run]], remover: Removal
) -> None:
    desk(3)
    for number in (30, 31):
        ledger.queue.add(Order(f"20260101T000000.000Z-tiny-{number:06x}", "tiny", "Tiny", {}, requested_by="ana"))
    assert ledger.queue.claim("w", 60) is not None
    assert len(remover.step()) == 1
    assert not ledger.keeping.remove(f"20260101T000000.000Z-tiny-{30:06x}")


def test_files_that_are_not_of_this_folder_are_left_alone(
    ledger: RunLedger, desk: Callable[..., list[Run]], tmp_path: Path
) -> None:
    desk(4)
    other = RunsConfig(reports_root=tmp_path / "other")
    assert Removal(ledger, other).step() == ()
    assert there() == [0, 1, 2, 3]


def test_what_is_asked_between_two_runs_ends_the_round(desk: Callable[..., list[Run]], remover: Removal) -> None:
    desk(6)
    answers = iter((False, True))
    assert len(remover.step(lambda: next(answers))) == 1
    assert len(remover.step()) == 3


def test_the_store_lets_go_of_it_and_one_that_is_away_is_asked_again(
    desk: Callable[..., list[Run]],
    remover: Removal,
    ledger: RunLedger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUANTDESK_REPORTS_STORE", f"file://{tmp_path}/team")
    runs = desk(4)
    assert len(push_pending(RunsConfig.from_env().reports_root).sent) == 4
    with pytest.MonkeyPatch.context() as away:
        local = type(fsspec.filesystem("file"))
        away.setattr(local, "rm_file", lambda *given: (_ for _ in ()).throw(OSError("away")))
        remover.step()
        assert there() == [2, 3]
        assert ledger.queue.get(runs[0].id).folder  # still to be done
        assert sorted(os.listdir(tmp_path / "team")) == [one.id for one in runs]
    remover.step()
    assert sorted(os.listdir(tmp_path / "team")) == [one.id for one in runs[2:]]
    assert ledger.queue.get(runs[0].id).folder == ""
    assert push_pending(RunsConfig.from_env().reports_root).sent == ()


# ------------------------------------------------------------------------------------------------------- at any moment

POINTS = [(os, "rename"), (shutil, "rmtree"), (removal, "current")]


@pytest.mark.parametrize("place", range(len(POINTS)))
@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("number", [0, 2])
def test_a_death_at_any_step_leaves_what_the_next_round_ends(
    ledger: RunLedger, desk: Callable[..., list[Run]], place: int, is_before: bool, number: int
) -> None:
    class Death(BaseException):
        pass

    runs = desk(5)
    home, name = POINTS[place]
    real, calls = getattr(home, name), iter(range(100))

    def dies(*given: Any, **more: Any) -> Any:
        now = next(calls) == number
        if now and is_before:
            raise Death
        result = real(*given, **more)
        if now:
            raise Death
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, name, dies)
        with pytest.raises(Death):
            Removal(ledger, RunsConfig.from_env()).step()
    for one in there():  # whoever is there is there whole
        folder = RunsConfig.from_env().runs / runs[one].id
        assert {path.name for path in folder.iterdir()} == {
            "log.txt", "notebook.ipynb", "report.html", "run.json", "tables",
        }  # fmt: skip
    Removal(ledger, RunsConfig.from_env()).step()
    assert there() == [3, 4]
    assert trash() == []
    assert [ledger.queue.get(one.id).removed is not None for one in runs] == [True, True, True, False, False]
    assert all(not ledger.queue.get(one.id).folder for one in runs[:3])


KILLED = """
import logging, sys
from quantdesk.reports.dispatch.removal import Removal
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.runs import RunsConfig
ledger = RunLedger.open(sys.argv[1])
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
Removal(ledger, RunsConfig.from_env()).step()
"""


def test_one_that_is_killed_in_the_middle_is_gone_on_with(
    address: str, ledger: RunLedger, desk: Callable[..., list[Run]], remover: Removal
) -> None:
    desk(20)
    with subprocess.Popen([sys.executable, "-c", KILLED, address], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("is removed" in line for line in process.stdout)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert 0 < sum(run.removed is not None for run in ledger.search.runs(limit=100).runs) < 18
    remover.step()
    assert there() == [18, 19]
    assert trash() == []
    assert ledger.keeping.unfinished() == ()
    assert sum(run.removed is not None for run in ledger.search.runs(limit=100).runs) == 18


def test_two_workers_at_one_time_remove_each_run_once(address: str, desk: Callable[..., list[Run]]) -> None:
    runs = desk(20)
    removed: list[str] = []
    together = threading.Barrier(2)

    def look() -> None:
        with RunLedger.open(address) as ledger:
            together.wait()
            removed.extend(Removal(ledger, RunsConfig.from_env()).step())

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(removed) == [one.id for one in runs[:18]]
    assert there() == [18, 19]
    assert trash() == []


def test_a_run_that_was_to_be_served_with_files_that_are_gone_meanwhile_runs_again(
    ledger: RunLedger, desk: Callable[..., list[Run]]
) -> None:
    runs = desk(4)
    name = "20260101T000000.000Z-tiny-000099"
    ledger.queue.add(Order(name, "tiny", "Tiny", {}, requested_by="ana"))
    claim = ledger.queue.claim("w", 60)
    assert claim is not None
    assert ledger.keeping.remove(runs[0].id)
    again = ledger.queue.finish(claim, State.COMPLETED, {}, folder=str(runs[0].folder), cached_from=runs[0].id)
    assert (again.state, again.attempt, again.cached_from, again.folder) == (State.QUEUED, 0, None, "")
    assert ledger.queue.claim("w", 60) is not None


def test_nobody_signs_or_speaks_of_what_is_gone_and_nothing_goes_that_somebody_signed(
    ledger: RunLedger, desk: Callable[..., list[Run]]
) -> None:
    runs = desk(4)
    assert ledger.keeping.remove(runs[0].id)
    assert not ledger.keeping.remove(runs[0].id)
    for say in (
        lambda: ledger.remarks.comment(runs[0].id, "ana", "x"),
        lambda: ledger.remarks.sign(runs[0].id, "ana", Verdict.APPROVED),
    ):
        with pytest.raises(BadInput, match="were removed on"):
            say()
    ledger.remarks.sign(runs[1].id, "ana", Verdict.REJECTED)
    assert not ledger.keeping.remove(runs[1].id)


def test_a_clock_that_jumps_removes_nothing_for_a_day(
    ledger: RunLedger, desk: Callable[..., list[Run]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    retain("{ days = 100000 }")
    desk(3)
    seconds, now = [0.0], [NOW]
    monkeypatch.setattr(ledger.schedules, "now", lambda: now[0])
    remover = Removal(ledger, RunsConfig.from_env(), steady=lambda: seconds[0])
    remover.step()
    retain("{ days = 400 }")
    seconds[0], now[0] = 600.0, NOW + timedelta(days=5000)
    with caplog.at_level(logging.WARNING):
        assert remover.step() == ()
    assert "no run is removed for a day" in caplog.text
    seconds[0], now[0] = 1200.0, NOW + timedelta(seconds=1200)  # it is set right
    assert remover.step() == ()
    assert there() == [0, 1, 2]
    for hours in range(1, 26):
        seconds[0], now[0] = 1200.0 + 3600 * hours, NOW + timedelta(seconds=1200, hours=hours)
        remover.step()
    retain("{ days = 1 }")
    assert len(remover.step()) == 2


# ----------------------------------------------------------------------------------------------- rounds of a worker


def test_a_worker_sends_what_a_store_missed_while_it_was_away_and_once_more_at_its_end(
    ledger: RunLedger,
    desk: Callable[..., list[Run]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    helpers: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    retain("{}")
    blocked = tmp_path / "team"
    blocked.write_text("no folder")  # the store is away
    monkeypatch.setenv("QUANTDESK_REPORTS_STORE", f"file://{blocked}")
    monkeypatch.setattr(upkeep, "ROUND_S", 0.02)
    monkeypatch.setattr(upkeep, "PUSH_S", 0.05)
    runs = desk(5)
    stop = threading.Event()
    thread = threading.Thread(target=Upkeep(ledger, RunsConfig.from_env()).run, args=(stop,))
    with caplog.at_level(logging.WARNING):
        thread.start()
        try:
            helpers.until(lambda: "is not in the store yet" in caplog.text, 60)
            blocked.unlink()
            helpers.until(lambda: blocked.is_dir() and len(os.listdir(blocked)) == 5, 60)
            monkeypatch.setattr(upkeep, "PUSH_S", 3600.0)
            thread.join(0.3)
            late = a_run(77)
        finally:
            stop.set()
            thread.join(60)
    assert not thread.is_alive()
    assert sorted(os.listdir(blocked)) == sorted(one.id for one in (*runs, late))
    told = [record.getMessage() for record in caplog.records if runs[0].id in record.getMessage()]
    assert len(told) == 1  # once, however often it was tried


def test_one_worker_of_a_disk_sends_and_removes_at_a_time(ledger: RunLedger, desk: Callable[..., list[Run]]) -> None:
    from quantdesk.records import exclusive

    desk(4)
    config = RunsConfig.from_env()
    with exclusive(config.reports_root / ".upkeep.lock"):
        Upkeep(ledger, config).alone()
        assert there() == [0, 1, 2, 3]
    Upkeep(ledger, config).alone()
    assert there() == [2, 3]


def test_a_disk_that_refuses_is_said_and_the_run_is_removed_later(
    ledger: RunLedger, desk: Callable[..., list[Run]], remover: Removal, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = desk(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", lambda *given: (_ for _ in ()).throw(PermissionError(13, "denied")))
        assert remover.step() == (runs[0].id,)
        with pytest.raises(EnvironmentProblem, match="cannot be moved"):
            remover._throw_away(runs[0].folder)
    assert there() == [0, 1, 2]
    remover.step()
    assert there() == [1, 2]
