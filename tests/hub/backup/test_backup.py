"""A backup, a destroyed state directory, a restore: everything is there again, and nothing is ever there by half."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.features import FeatureStore, publish
from quantdesk.features.config import FeatureConfig
from quantdesk.hub import backup as backups
from quantdesk.hub import database
from quantdesk.hub.backup.archive import Reader
from quantdesk.hub.backup.note import unfinished
from quantdesk.hub.backup.tally import Tally
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.market import MarketStore
from quantdesk.records import exclusive
from quantdesk.reports.ledger import RunLedger

WRITER = """
import sys
sys.path.insert(0, {folder!r})
import estate
from quantdesk.reports.dispatch.removal import Removal
from quantdesk.reports.ledger import RunLedger
with RunLedger.open() as ledger:
    for number in range(100_000):
        run = estate.record(ledger, number)
        print(run.id, flush=True)
        old = [one.id for one in ledger.keeping.left("daily")][12:]
        for name in old:
            if ledger.keeping.remove(name):
                from quantdesk.reports.runs import RunsConfig
                Removal(ledger, RunsConfig.from_env())._clear(ledger.queue.get(name))
"""


def features_seen(*, registered: bool) -> dict[str, Any]:
    """What a researcher gets of market data and features; of the registry and the online store where there are any."""
    store = FeatureStore()
    frame = store.get_historical_features(["AAPL", "SPX"], ["sma_20", "rsi_14"], "2012-01-02", "2012-06-29")
    online = store.get_online_features(["AAPL"], ["sma_20", "rsi_14"]).to_dict() if registered else None
    return {
        "market": MarketStore().version,
        "damaged": MarketStore().verify(),
        "proven": frame.is_pit_validated,
        "rows": frame.to_pandas(),
        "online": online,
        "applied": publish.applied(store.root, FeatureConfig.from_env().repo) if registered else None,
    }


@pytest.mark.parametrize("registered", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_users_schedules_runs_orders_features_and_homes_are_all_there_again(
    registered: bool, prepared: SimpleNamespace, plain: Callable[..., Path], estates: Any, tmp_path: Path
) -> None:
    state = plain(prepared.state(tmp_path / "state"))
    if registered:  # with Feast, which takes long to import
        FeatureStore().apply()
        FeatureStore().materialize()
    estates.fill(state)
    seen, features = estates.seen(state), features_seen(registered=registered)
    made = backups.backup(tmp_path / "kept.tar")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert (made.manifest.runs, made.manifest.lost) == (3, ())
    assert {one.name: one.kind for one in made.manifest.databases} == dict.fromkeys(
        ("hub", "reports", "orders"), "sqlite"
    )

    shutil.rmtree(state)
    restored = backups.restore(made.path)
    assert (restored.aside, restored.notes) == ((), ())
    assert estates.seen(state) == seen
    again = features_seen(registered=registered)
    pd.testing.assert_frame_equal(again.pop("rows"), features.pop("rows"))
    assert again == features
    assert again["proven"]
    assert again["damaged"] in ((), [])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"state", "kept.tar"}


def test_what_is_not_kept_is_said_and_not_there(small: SimpleNamespace) -> None:
    made = backups.backup(small.target, homes=True)
    shutil.rmtree(small.state)
    backups.restore(made.path)
    assert not (small.state / "hub" / "hub.log").exists()
    assert not (small.state / "homes" / "ada" / ".cache").exists()
    assert not (small.state / "homes" / "ada" / "pipe").exists()
    assert any(one.startswith(str(small.state / "homes" / "ada" / "pipe")) for one in made.manifest.left_out)
    assert "every run that the ledger names is here" in made.manifest.order


def test_tar_alone_can_read_it(small: SimpleNamespace) -> None:
    made = backups.backup(small.target)
    with tarfile.open(made.path) as outer:
        member = outer.extractfile("homes.tar.gz")
        assert member is not None
        with tarfile.open(fileobj=member, mode="r:gz") as inner:
            names = {one.name: one for one in inner.getmembers()}
    assert names["ada/passwd"].linkname == "/etc/passwd"
    assert names["ada/" + "long" * 40].size == len("a long name")
    assert os.fsdecode(b"ada/caf\xe9 \xff") in names


def test_the_settings_file_comes_back_beside_and_replaces_none(small: SimpleNamespace) -> None:
    settings = small.target / "quantdesk.toml"
    settings.write_text('admin = "ada"\n')
    made = backups.backup(small.target, settings=settings)
    backups.restore(made.path, replace=True)
    assert (small.state / "restored-settings.toml").read_text() == 'admin = "ada"\n'


def test_a_state_restored_elsewhere_names_its_new_place(
    small: SimpleNamespace, plain: Callable[..., Path], estates: Any
) -> None:
    made = backups.backup(small.target)
    shutil.rmtree(small.state)
    elsewhere = plain(small.target / "other" / "name")
    elsewhere.parent.mkdir()
    restored = backups.restore(made.path)
    assert "tells the feature registry" in restored.notes[0]
    assert estates.seen(elsewhere) == small.seen  # the files of each run are found by the folder in the ledger
    with RunLedger.open() as ledger:
        assert all(Path(run.folder).is_relative_to(elsewhere) for run in ledger.search.runs().runs)


def test_folders_and_databases_outside_of_the_state_are_put_back_where_the_settings_name_them(
    tmp_path: Path, plain: Callable[..., Path], estates: Any
) -> None:
    reports, ledger = tmp_path / "reports", tmp_path / "database" / "orders.sqlite"
    given = {"QUANTDESK_REPORTS_ROOT": str(reports), "QUANTDESK_LEDGER_URL": f"sqlite:///{ledger}"}
    state = plain(tmp_path / "state", **given)
    estates.fill(state)
    seen = estates.seen(state)
    made = backups.backup(tmp_path / "kept.tar")
    for folder in (state, reports, ledger.parent):
        shutil.rmtree(folder)
    backups.restore(made.path)
    assert estates.seen(state) == seen
    again = backups.restore(made.path, replace=True)
    assert len(again.aside) == 3
    assert estates.seen(state) == seen
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


# -------------------------------------------------------------------------------- while it is used


def test_a_ledger_never_names_a_run_that_is_not_in_the_archive(small: SimpleNamespace) -> None:
    code = WRITER.format(folder=str(Path(__file__).parent))
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        made = [backups.backup(small.target / f"{number}.tar") for number in range(3)]
    finally:
        writer.kill()
        writer.communicate()
    counts = []
    for one in made:
        shutil.rmtree(small.state, ignore_errors=True)
        backups.restore(one.path)
        with RunLedger.open() as ledger:
            named = [run for run in ledger.search.runs(limit=200).runs if run.folder and run.removed is None]
            assert all((Path(run.folder) / "run.json").is_file() for run in named)
            assert (len(named), one.manifest.lost) == (one.manifest.runs, ())
            counts.append(len(ledger.search.runs(limit=200).runs))
        whole = [path.name for path in (small.state / "reports" / "runs").iterdir()]
        assert all((small.state / "reports" / "runs" / name / "tables" / "a.parquet").is_file() for name in whole)
    assert counts == sorted(counts)
    assert counts[0] >= 20


def test_a_run_that_is_removed_between_ledger_and_folders_is_not_named(
    small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, estates: Any
) -> None:
    """The very moment: published after the folders were listed, named by the ledger, removed before it is read."""
    honest, calls = Tally.take, []

    def take(self: Any, part: Any, root: Any, *unit: Any) -> None:
        if root.part == "reports":
            calls.append(part)
            if len(calls) == 2:  # the ledger has been copied
                shutil.rmtree(late.folder)
                with RunLedger.open() as ledger, ledger.database.writing() as connection:
                    connection.exec_driver_sql("UPDATE runs SET removed = 1, folder = '' WHERE id = ?", (late.id,))
        honest(self, part, root, *unit)
        if root.part == "reports" and len(calls) == 1:
            nonlocal_late()

    def nonlocal_late() -> None:
        nonlocal late
        with RunLedger.open() as ledger:
            late = estates.record(ledger, 99)

    late: Any = None
    monkeypatch.setattr(Tally, "take", take)
    made = backups.backup(small.target)
    assert len(calls) == 4, "the ledger was not copied again"
    assert (made.manifest.runs, made.manifest.lost) == (3, ())


def test_a_run_whose_files_were_lost_before_is_said_to_be(small: SimpleNamespace) -> None:
    with RunLedger.open() as ledger:
        run = ledger.search.runs().runs[0]
    shutil.rmtree(run.folder)
    made = backups.backup(small.target)
    assert (made.manifest.runs, made.manifest.lost) == (3, (run.id,))
    assert any("1 runs that the ledger names" in one for one in made.manifest.left_out)


# -------------------------------------------------------------------------------- what is refused


def test_a_place_that_is_not_empty_is_refused_and_put_aside_when_asked(small: SimpleNamespace, estates: Any) -> None:
    made = backups.backup(small.target)
    (small.state / "homes" / "ada" / "after.txt").write_text("made after the backup")
    with pytest.raises(BadInput, match="is not empty"):
        backups.restore(made.path)
    assert (small.state / "homes" / "ada" / "after.txt").exists()
    restored = backups.restore(made.path, replace=True)
    assert estates.seen(small.state) == small.seen
    (aside,) = restored.aside
    assert (Path(aside) / "homes" / "ada" / "after.txt").read_text() == "made after the backup"
    assert {path.name for path in small.place.iterdir()} == {"state", Path(aside).name}


def test_an_empty_folder_counts_as_empty(small: SimpleNamespace, estates: Any) -> None:
    made = backups.backup(small.target)
    shutil.rmtree(small.state)
    small.state.mkdir()
    backups.restore(made.path)
    assert estates.seen(small.state) == small.seen


def test_a_backup_without_homes_leaves_those_that_are_there(small: SimpleNamespace, estates: Any) -> None:
    made = backups.backup(small.target, homes=False)
    assert made.manifest.part("homes") is None
    (small.state / "homes" / "ada" / "after.txt").write_text("made after the backup")
    restored = backups.restore(made.path, replace=True)
    assert (small.state / "homes" / "ada" / "after.txt").exists()
    assert "without homes" in restored.notes[0]


def test_a_running_hub_is_not_pulled_away(small: SimpleNamespace) -> None:
    made = backups.backup(small.target)
    with exclusive(HubFiles(small.state).lock), pytest.raises(EnvironmentProblem, match="is running"):
        backups.restore(made.path, replace=True)
    shutil.rmtree(small.state)
    from quantdesk.hub.sweep import MARK, marked

    left = subprocess.Popen(["sleep", "60"], env={MARK: marked(small.state), "PATH": os.environ["PATH"]})
    try:
        with pytest.raises(EnvironmentProblem, match="something that it started"):
            backups.restore(made.path)
    finally:
        left.kill()
        left.wait()
    assert not small.state.exists()


def test_a_target_that_is_there_or_within_is_refused(small: SimpleNamespace) -> None:
    made = backups.backup(small.target)
    with pytest.raises(BadInput, match="is there already"):
        backups.backup(made.path)
    with pytest.raises(BadInput, match="which is what is backed up"):
        backups.backup(small.state / "homes" / "kept.tar")
    (small.target / "inside").symlink_to(small.state)
    with pytest.raises(BadInput, match="which is what is backed up"):
        backups.backup(small.target / "inside" / "kept.tar")
    with pytest.raises(BadInput, match="no folder"):
        backups.backup(small.target / "no" / "kept.tar")


def test_a_damaged_database_is_no_backup(small: SimpleNamespace) -> None:
    database = small.state / "hub" / "jupyterhub.sqlite"
    content = bytearray(database.read_bytes())
    content[4096:12_000] = os.urandom(12_000 - 4096)
    database.write_bytes(content)
    with pytest.raises(DataError, match=r"jupyterhub\.sqlite is damaged"):
        backups.backup(small.target / "kept.tar")
    assert [path.name for path in small.target.iterdir()] == ["place"]


def test_names_that_somebody_chose_are_no_commands_to_a_terminal(small: SimpleNamespace) -> None:
    home, deep = small.state / "homes" / "ada", small.state / "homes" / "ada" / "deep"
    os.mkfifo(home / "red\x1b[31m\udcff")
    folder = os.open(home, os.O_RDONLY)
    os.mkdir("deep", dir_fd=folder)
    for _ in range(15):  # longer than any path may be: only step by step
        inner = os.open("deep" if _ == 0 else "x" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
        os.mkdir("x" * 250, dir_fd=folder)
    os.close(folder)
    with (home / "hole").open("wb") as stream:
        stream.truncate(1 << 43)
    made = backups.backup(small.target)
    said = "\n".join(made.manifest.left_out)
    assert "red?[31m? is no file" in said
    assert "has a path that is too long" in said
    assert "hole is longer than its whole disk" in said
    assert said.isprintable() or "\n" in said
    assert "\x1b" not in said
    subprocess.run(["rm", "-rf", str(deep)], check=True)
    shutil.rmtree(small.state)
    backups.restore(made.path)
    assert (home / "deep" / ("x" * 250)).is_dir()


def test_folders_behind_links_of_the_administrator_are_kept(
    tmp_path: Path, plain: Callable[..., Path], estates: Any
) -> None:
    """A state directory whose reports lie on another disk, behind a link."""
    state, large = tmp_path / "state", tmp_path / "large"
    (large / "reports").mkdir(parents=True)
    state.mkdir()
    (state / "reports").symlink_to(large / "reports")
    plain(state)
    estates.fill(state)
    seen = estates.seen(state)
    made = backups.backup(tmp_path / "kept.tar")
    assert (made.manifest.runs, made.manifest.lost) == (3, ())
    again = backups.restore(made.path, replace=True)
    assert {Path(one).parent for one in again.aside} == {tmp_path, large}
    shutil.rmtree(state)
    shutil.rmtree(large)
    backups.restore(made.path)
    assert estates.seen(state) == seen


def test_no_link_is_followed(small: SimpleNamespace) -> None:
    outside = small.target / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not ours")
    (small.state / "homes" / "eve").symlink_to(outside)
    (small.state / "reports" / "runs" / "linked").symlink_to(outside)
    (small.state / "service").symlink_to(outside)
    made = backups.backup(small.target / "kept.tar")
    with Reader(made.path) as reader:
        found = {f"{part.name}/{one.path}": one for part in reader.manifest.parts for one in part.entries}
    assert found["homes/eve"].target == str(outside)
    assert not any(name.endswith("/secret") for name in found)
    assert "reports/runs/linked" not in found
    assert "rest/service" not in found
    assert b"not ours" not in made.path.read_bytes()


def test_an_interrupted_restore_keeps_the_hub_from_starting(small: SimpleNamespace) -> None:
    files = HubFiles(small.state)
    assert unfinished(files) is None
    (small.place / ".state.restoring").write_text(json.dumps({"backup": "/mnt/kept.tar"}))
    with pytest.raises(EnvironmentProblem, match=r"kept\.tar .* was interrupted"):
        database.prepare(HubConfig.from_env(), files)
    made = backups.backup(small.target)
    backups.restore(made.path, replace=True)
    assert unfinished(files) is None


def test_old_leavings_of_backups_that_were_killed_go(small: SimpleNamespace) -> None:
    old, young = small.target / ".x.backup.tar.abc.tmp", small.target / ".y.backup.tar.abc.tmp"
    for one in (old, young):
        one.write_text("")
    os.utime(old, (time.time() - 200_000,) * 2)
    backups.backup(small.target)
    assert (old.exists(), young.exists()) == (False, True)
