"""The store of a team: a run is there whole or not at all, one that is away harms nothing, and no name leads out."""

from __future__ import annotations

import json
import logging
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.reports.runs import Run, RunsConfig, Status, find_run, list_runs, publish
from quantdesk.reports.storage import Store, StoreConfig, current, push_pending
from quantdesk.reports.storage import store as module

from .test_runs import a_run

IDS = ("20260101T000000.000Z-demo-aaaaaa", "20260102T000000.000Z-demo-bbbbbb", "20260103T000000.000Z-other-cccccc")


@pytest.fixture(params=["memory", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    place = f"memory://{uuid.uuid4().hex}/x" if request.param == "memory" else f"file://{tmp_path}/team"
    monkeypatch.setenv("QUANTDESK_REPORTS_STORE", place)
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    return place


@pytest.fixture
def desks(address: str, state: Path) -> tuple[RunsConfig, RunsConfig]:
    """Two machines with disks of their own and one store."""
    return RunsConfig(reports_root=state / "one"), RunsConfig(reports_root=state / "two")


def published(config: RunsConfig, identity: str, **changes: Any) -> Run:
    run = a_run(config.runs, identity, thumbnail_files=("1.svg",), **changes)
    return publish(
        run, notebook="{}", page="<p>", log=None, beside={"thumbnails/1.svg": b"<svg/>", "metrics.json": b"{}"}
    )


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(address: str, name: str, content: bytes) -> None:
    fs, path = fsspec.url_to_fs(address)
    fs.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
    fs.pipe_file(f"{path}/{name}", content)


def in_store(address: str) -> set[str]:
    fs, path = fsspec.url_to_fs(address)
    return {name.partition(path)[2].strip("/") for name in fs.find(path)}


def test_what_one_machine_publishes_another_one_finds(desks: tuple[RunsConfig, RunsConfig]) -> None:
    one, two = desks
    runs = [published(one, identity) for identity in IDS]
    assert push_pending(one.reports_root).sent == IDS
    there = list_runs(two)
    assert [run.id for run in there] == [run.id for run in reversed(runs)]
    assert replace(there[-1], folder=runs[0].folder) == runs[0]
    assert not there[-1].page.exists()
    found = find_run(IDS[0], two)
    assert bytes_of(found.folder) == bytes_of(runs[0].folder)
    assert found.thumbnails[0].read_bytes() == b"<svg/>"
    assert find_run("other", two).id == IDS[2]
    assert find_run("20260102", two).id == IDS[1]
    assert find_run("latest", two).id == IDS[2]
    with pytest.raises(BadInput, match="fits 3 runs"):
        find_run("2026", two)
    with pytest.raises(UnknownName):
        find_run("nothing", two)
    assert list_runs(one) == tuple(reversed(runs))


def test_what_was_sent_is_not_sent_again(desks: tuple[RunsConfig, RunsConfig], address: str) -> None:
    one, two = desks
    published(one, IDS[0])
    assert push_pending(one.reports_root).sent == (IDS[0],)
    assert push_pending(one.reports_root).sent == ()
    # Another machine that has the run too, as after a move of its disk, changes nothing.
    published(two, IDS[0], title="Another")
    assert push_pending(two.reports_root).sent == (IDS[0],)
    fs, path = fsspec.url_to_fs(address)
    assert json.loads(fs.cat_file(f"{path}/{IDS[0]}/run.json"))["title"] == "Demo <b>"


def test_a_run_that_is_half_sent_is_no_run_yet(
    desks: tuple[RunsConfig, RunsConfig], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = desks
    published(one, IDS[0])
    published(one, IDS[1])
    send = Store._send

    def breaks(self: Store, path: Path, target: str) -> None:
        if path.name == "run.json" and IDS[0] in target:
            raise ConnectionResetError("gone")
        send(self, path, target)

    monkeypatch.setattr(Store, "_send", breaks)
    done = push_pending(one.reports_root)
    assert done.sent == (IDS[1],)
    assert "ConnectionResetError: gone" in done.failed[IDS[0]]
    assert f"{IDS[0]}/report.html" in in_store(address)
    assert [run.id for run in list_runs(two)] == [IDS[1]]
    with pytest.raises(UnknownName):
        find_run(IDS[0], two)
    monkeypatch.setattr(Store, "_send", send)
    assert push_pending(one.reports_root).sent == (IDS[0],)
    assert [run.id for run in list_runs(two)] == [IDS[1], IDS[0]]
    assert not [name for name in in_store(address) if name.endswith(".tmp")]


def test_a_store_that_is_away_harms_nothing_here(
    desks: tuple[RunsConfig, RunsConfig], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = desks
    run = published(one, IDS[0])

    def away(*_: object, **__: object) -> None:
        raise TimeoutError("no answer")

    store = current(one.reports_root)
    assert store is not None
    for name in ("ls", "exists", "cat", "find"):
        monkeypatch.setattr(store._fs, name, away)  # file systems are shared by address
    with caplog.at_level(logging.WARNING):
        assert list_runs(one) == (run,)
    assert "cannot be read (TimeoutError: no answer)" in caplog.text
    assert find_run(IDS[0], one) == run
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        find_run("other", one)
    assert "cannot be written (TimeoutError: no answer)" in push_pending(one.reports_root).failed[IDS[0]]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_record_hides_no_other(desks: tuple[RunsConfig, RunsConfig], address: str, content: bytes) -> None:
    one, two = desks
    published(one, IDS[0])
    push_pending(one.reports_root)
    write(address, f"{IDS[1]}/run.json", content)
    assert [run.id for run in list_runs(two)] == [IDS[0]]


def test_a_record_that_leads_out_of_its_folder_is_none(desks: tuple[RunsConfig, RunsConfig], address: str) -> None:
    one, two = desks
    record = published(one, IDS[0]).to_dict()
    hostile: list[dict[str, Any]] = [
        {"thumbnail_files": ["../../secret"]},
        {"tables": [{"name": "a", "file": "../../secret", "rows": 1, "columns": []}]},
        {"id": IDS[0]},  # under another name
    ]
    for number, change in enumerate(hostile):
        identity = f"2026010{number + 4}T000000.000Z-demo-aaaaaa"
        content = json.dumps({**record, "id": identity, **change}).encode()
        write(address, f"{identity}/run.json", content)
    assert list_runs(two) == ()


def test_files_that_lead_out_of_the_folder_are_not_fetched(desks: tuple[RunsConfig, RunsConfig], address: str) -> None:
    one, two = desks
    published(one, IDS[0])
    push_pending(one.reports_root)
    for name in (".profile", "a/b/c", "x\\y", "tables/.hidden"):
        write(address, f"{IDS[0]}/{name}", b"no")
    found = find_run(IDS[0], two)
    assert set(bytes_of(found.folder)) == {
        "run.json", "notebook.ipynb", "report.html", "log.txt", "metrics.json", "thumbnails/1.svg",
    }  # fmt: skip


def test_the_least_used_fetched_runs_make_room(desks: tuple[RunsConfig, RunsConfig]) -> None:
    one, two = desks
    for identity in IDS:
        published(one, identity)
        (one.runs / identity / "report.html").write_bytes(b"x" * 600_000)
    push_pending(one.reports_root)
    config = StoreConfig(store_cache_mb=1)
    store = Store(config, two.reports_root)
    assert all(store.fetch(identity) is not None for identity in IDS)
    kept = [path.name for path in next((two.reports_root / "store").iterdir()).joinpath("runs").iterdir()]
    assert kept == [IDS[2]]
    assert store.fetch(IDS[0]) is not None  # it comes back


def test_what_is_no_run_is_told(desks: tuple[RunsConfig, RunsConfig]) -> None:
    one, _ = desks
    (one.runs / "what").mkdir(parents=True)
    assert "holds no finished run" in push_pending(one.reports_root).failed["what"]
    (unreadable,) = list_runs(one)
    assert unreadable.status is Status.UNREADABLE
    store = current(one.reports_root)
    assert store is not None
    with pytest.raises(DataError):
        store.push(one.runs / "nothing")


def test_without_a_store_nothing_is_asked(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUANTDESK_REPORTS_STORE", raising=False)
    assert current(state) is None
    assert push_pending(state).sent == ()


@pytest.mark.parametrize(
    ("store", "error", "said"),
    [
        ("nosuch://x", BadInput, "cannot be used"),
        ("s3://key:s3cr3t@bucket/x", BadInput, "named with a password"),
        ("s3://bucket/x", EnvironmentProblem, "needs a package that is not installed"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, error: type[Exception], said: str
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # whether or not it is installed here
    with pytest.raises(error, match=said) as refused:
        Store(StoreConfig(store=store), tmp_path)
    assert "s3cr3t" not in str(refused.value)


def test_stores_of_objects_are_written_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename would be a copy there, and an object appears when it is complete."""
    store = Store(StoreConfig(store=f"memory://{uuid.uuid4().hex}"), tmp_path)
    monkeypatch.setattr(store, "_whole_by_itself", True)
    put: list[str] = []
    monkeypatch.setattr(store._fs, "put_file", lambda path, target: put.append(target))
    monkeypatch.setattr(store._fs, "mv", lambda *_: pytest.fail("renamed"))
    monkeypatch.setattr(store._fs, "makedirs", lambda *_, **__: pytest.fail("made a bucket"))
    run = published(RunsConfig(reports_root=tmp_path), IDS[0])
    store.push(run.folder)
    assert put[-1].endswith(f"{IDS[0]}/run.json")
    assert len(put) == len(bytes_of(run.folder))


def test_a_run_that_is_removed_is_gone_there_and_here(address: str, desks: tuple[RunsConfig, RunsConfig]) -> None:
    one, two = desks
    runs = [published(one, identity) for identity in IDS]
    push_pending(one.reports_root)
    find_run(IDS[0], two)
    store = current(two.reports_root)
    assert store is not None
    for _ in range(2):  # one that is gone is no fault
        store.remove(IDS[0])
    assert not any(name.startswith(IDS[0]) for name in in_store(address))
    assert [run.id for run in list_runs(two)] == [IDS[2], IDS[1]]
    assert runs[0].folder.is_dir()  # this disk's is somebody else's to remove
    with pytest.raises(BadInput, match="no name of a run"):
        store.remove("../x")


def test_a_store_that_is_away_is_not_asked_for_every_run(
    address: str, desks: tuple[RunsConfig, RunsConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = desks
    for number in range(6):
        published(one, f"2026010{number + 1}T000000.000Z-demo-aaaaaa")
    tried: list[Path] = []

    def away(self: Store, folder: Path) -> None:
        tried.append(folder)
        raise EnvironmentProblem("The store is away.", "Wait.")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "push", away)
        assert len(push_pending(one.reports_root, most_failures=3).failed) == 3
        assert len(tried) == 3
        assert len(push_pending(one.reports_root).failed) == 6
    answers = iter((False, False, True))
    assert len(push_pending(one.reports_root, is_over=lambda: next(answers)).sent) == 2
