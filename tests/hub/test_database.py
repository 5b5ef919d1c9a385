"""The hub's own database: in a file or on a server, and brought up to date before the hub starts."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from jupyterhub import orm
from jupyterhub.dbutil import _temp_alembic_ini
from sqlalchemy import create_engine, select

from modules import module_at
from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub import database
from quantdesk.hub.config import HubConfig, HubFiles

estate = module_at(Path(__file__).parent / "backup" / "estate.py", "backup_estate")
OLDER = "4621fec11365"  # JupyterHub 4: without PKCE, without a display name of servers
HEAD = "f460b0348206"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[HubConfig, HubFiles]:
    """The settings of a hub whose database is empty."""
    given = {"QUANTDESK_DATABASE": str(request.getfixturevalue("postgres")())} if request.param == "postgresql" else {}
    estate.settle(monkeypatch, tmp_path / "state", given)
    files = HubFiles()
    files.root.mkdir(parents=True)
    return HubConfig.from_env(), files


def downgraded(config: HubConfig, files: HubFiles, revision: str) -> None:
    """Let the tables be those of an older JupyterHub, by its own migrations."""
    with _temp_alembic_ini(database.address(config, files)) as ini:
        command.downgrade(Config(ini), revision)


def users(config: HubConfig, files: HubFiles) -> list[str]:
    """Who JupyterHub itself finds."""
    with closing(orm.new_session_factory(database.address(config, files))()) as session:
        found = sorted(session.scalars(select(orm.User.name)))
        engine = session.bind
    engine.dispose()
    return found


def test_tables_of_an_older_hub_are_upgraded_with_a_copy(place: tuple[HubConfig, HubFiles]) -> None:
    config, files = place
    assert database.prepare(config, files) == ""  # there is nothing yet
    estate.users(config, files, "ada", "grace")
    assert database.prepare(config, files) == ""
    downgraded(config, files, OLDER)
    engine = create_engine(database.address(config, files))
    with pytest.raises(orm.DatabaseSchemaMismatch):  # so it is an older one indeed
        orm.check_db_revision(engine)
    engine.dispose()
    said = database.prepare(config, files)
    assert f"from the revision {OLDER} to {HEAD}" in said
    assert users(config, files) == ["ada", "grace"]
    assert database.ask(config, files, "users_info", ("username", "is_authorized"), username="ada") in (
        [("ada", 1)],
        [("ada", True)],
    )
    (copy,) = [path for path in files.root.iterdir() if "before-upgrade" in path.name]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert OLDER.encode() in copy.read_bytes()
    assert b"ada" in copy.read_bytes()
    assert database.prepare(config, files) == ""


def test_an_upgrade_that_fails_leaves_what_was_there(
    place: tuple[HubConfig, HubFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, files = place
    database.prepare(config, files)
    estate.users(config, files, "ada")
    downgraded(config, files, OLDER)
    monkeypatch.setattr(database, "_CODE", "raise SystemExit('no')")
    with pytest.raises(EnvironmentProblem, match="A copy from before is"):
        database.prepare(config, files)
    assert database._revision(database.place(config, files)) == OLDER
    assert database.ask(config, files, "users_info", ("username",), username="ada") == [("ada",)]


def test_tables_of_a_newer_hub_are_refused(place: tuple[HubConfig, HubFiles]) -> None:
    config, files = place
    database.prepare(config, files)
    estate.users(config, files, "ada")
    engine = create_engine(database.address(config, files))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    engine.dispose()
    with pytest.raises(DataError, match="A newer version has written it"):
        database.prepare(config, files)
    assert not [path for path in files.root.iterdir() if "before-upgrade" in path.name]


def test_a_damaged_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estate.settle(monkeypatch, tmp_path, {})
    files = HubFiles()
    files.root.mkdir()
    files.database.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(DataError, match="cannot be read"):
        database.prepare(HubConfig.from_env(), files)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:geheim@127.0.0.1:1/x", "is not listening"),
        ("mysql://u:geheim@host/x", "not supported"),
        ("postgresql://u:ge/heim@host/x", "not escaped"),
        ("sqlite:///x", "is a SQLite address"),
    ],
)
def test_a_wrong_address_is_one_clear_error_without_the_password(
    url: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate.settle(monkeypatch, tmp_path, {"QUANTDESK_HUB_DATABASE": url})
    config = HubConfig.from_env()
    assert "heim" not in repr(config)
    with pytest.raises((BadInput, EnvironmentProblem), match=says) as caught:
        database.prepare(config, HubFiles())
    assert "heim" not in str(caught.value)


def test_the_address_holds_what_has_to_be_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Any
) -> None:
    with (
        psycopg.connect(postgres.admin(), autocommit=True) as connection,
        contextlib.suppress(psycopg.errors.DuplicateDatabase),
    ):
        connection.execute('CREATE DATABASE "de sk/é%" OWNER desk')
    name = quote("de sk/é%", safe="")
    estate.settle(
        monkeypatch, tmp_path, {"QUANTDESK_DATABASE": str(postgres()).rpartition("/")[0] + f"/{name}?sslmode=prefer"}
    )
    config, files = HubConfig.from_env(), HubFiles()
    files.root.mkdir()
    database.prepare(config, files)
    estate.users(config, files, "ada")
    assert users(config, files) == ["ada"]


def test_the_hub_of_one_setting_can_still_have_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    team, own = "postgresql://a:b@team/x", "postgresql://c:d@own/y"
    estate.settle(monkeypatch, tmp_path, {"QUANTDESK_DATABASE": team})
    assert str(database.place(HubConfig.from_env(), HubFiles())) == "postgresql://a@team:5432/x"
    monkeypatch.setenv("QUANTDESK_HUB_DATABASE", own)
    assert str(database.place(HubConfig.from_env(), HubFiles())) == "postgresql://c@own:5432/y"
    monkeypatch.setenv("QUANTDESK_HUB_DATABASE", "")
    assert database.place(HubConfig.from_env(), HubFiles()) == HubFiles().database


def test_a_file_that_is_not_there_knows_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estate.settle(monkeypatch, tmp_path, {})
    files = HubFiles()
    assert database.ask(HubConfig.from_env(), files, "users_info", ("username",), username="ada") == []
    files.root.mkdir()
    sqlite3.connect(files.database).close()
    assert database.ask(HubConfig.from_env(), files, "users_info", ("username",), username="ada") == []
