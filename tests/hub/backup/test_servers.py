"""Databases on a server: one setting for all of them, dumped in one snapshot and read back in one transaction."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub import backup as backups
from quantdesk.hub.backup import databases, exchange
from quantdesk.hub.backup.note import unfinished
from quantdesk.hub.config import HubFiles
from quantdesk.records.address import parse
from quantdesk.reports.ledger import RunLedger

SCHEMAS = ("quantdesk_hub", "quantdesk_ledger", "quantdesk_reports")


@pytest.fixture
def team(tmp_path: Path, plain: Callable[..., Path], postgres: Any, estates: Any) -> SimpleNamespace:
    """A state whose databases are all in one on a server, by one setting."""
    url = str(postgres())
    state = plain(tmp_path / "place" / "state", QUANTDESK_DATABASE=url)
    estates.fill(state)
    return SimpleNamespace(state=state, place=state.parent, target=tmp_path, url=url, seen=estates.seen(state))


def schemas(url: str) -> set[str]:
    """The schemas that are ours."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'quantdesk%'").fetchall()
    return {row[0] for row in found}


def lose(team: SimpleNamespace) -> None:
    """The disk and the server are gone."""
    shutil.rmtree(team.state)
    with psycopg.connect(team.url, autocommit=True) as connection:
        for name in schemas(team.url):
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')


def test_one_setting_puts_every_database_into_a_schema_of_its_own(team: SimpleNamespace) -> None:
    assert schemas(team.url) == set(SCHEMAS)
    assert not list(team.state.rglob("*.sqlite"))
    with psycopg.connect(team.url) as connection:
        revisions = connection.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'alembic_version'"
        ).fetchall()
    assert sorted(row[0] for row in revisions) == list(SCHEMAS)  # each its own: no two meet


def test_everything_is_there_again(team: SimpleNamespace, estates: Any) -> None:
    made = backups.backup(team.target)
    assert {one.name: one.kind for one in made.manifest.databases} == dict.fromkeys(
        ("hub", "orders", "reports"), "postgresql"
    )
    assert (made.manifest.runs, made.manifest.lost) == (3, ())
    lose(team)
    restored = backups.restore(made.path)
    assert restored.aside == ()
    assert estates.seen(team.state) == team.seen
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation), psycopg.connect(team.url) as connection:
        connection.execute("UPDATE quantdesk_ledger.entries SET at = 1")  # what only may be added to still is so


def test_what_is_there_is_put_aside_only_when_asked(team: SimpleNamespace, estates: Any) -> None:
    made = backups.backup(team.target)
    with RunLedger.open() as ledger:
        later = estates.record(ledger, 99)
    shutil.rmtree(team.state)
    with pytest.raises(BadInput, match="has tables already, in quantdesk_hub"):
        backups.restore(made.path)
    restored = backups.restore(made.path, replace=True)
    assert estates.seen(team.state) == team.seen
    assert len(restored.aside) == 3
    aside = next(one.split()[1] for one in restored.aside if "reports" in one)
    with psycopg.connect(team.url) as connection:
        assert connection.execute(f'SELECT count(*) FROM "{aside}".runs WHERE id = %s', (later.id,)).fetchone() == (1,)


def test_a_restore_that_fails_at_its_last_step_takes_the_database_back(
    team: SimpleNamespace, estates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backups.backup(team.target)
    with RunLedger.open() as ledger:
        estates.record(ledger, 99)
    before = estates.seen(team.state)

    def broken(*_: object) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(exchange, "_exchanged", broken)
    with pytest.raises(EnvironmentProblem, match="The restore failed"):
        backups.restore(made.path, replace=True)
    assert estates.seen(team.state) == before
    assert schemas(team.url) == set(SCHEMAS)
    assert unfinished(HubFiles(team.state)) is None


def test_a_dump_that_breaks_off_changes_nothing(team: SimpleNamespace, estates: Any, tmp_path: Path) -> None:
    where, dump = parse(team.url), tmp_path / "dump.sql"
    databases.dump_postgres(where, SCHEMAS, dump)
    whole = dump.read_bytes()
    for share in (0.3, 0.6, 0.9):
        dump.write_bytes(whole[: int(len(whole) * share)])
        with dump.open("rb") as source:
            try:
                moved = databases.load_dump(where, SCHEMAS, source, "_x")
            except DataError:
                pass
            else:  # cut off between two statements: only the hash of the archive tells, which is looked at before
                databases.take_back(where, SCHEMAS, moved, "_x")
        assert schemas(team.url) == set(SCHEMAS)
        assert estates.seen(team.state) == team.seen


def test_what_psql_would_do_is_refused(team: SimpleNamespace, tmp_path: Path) -> None:
    dump = tmp_path / "dump.sql"
    dump.write_text(f"SELECT 1;\n\\! touch {tmp_path / 'was-here'}\n")
    with dump.open("rb") as source, pytest.raises(DataError):
        databases.load_dump(parse(team.url), SCHEMAS, source, "_x")
    assert not (tmp_path / "was-here").exists()
    assert schemas(team.url) == set(SCHEMAS)


def test_somebody_who_is_connected_is_not_pulled_away(team: SimpleNamespace) -> None:
    made = backups.backup(team.target)
    lose(team)
    with psycopg.connect(team.url), pytest.raises(EnvironmentProblem, match="Something is connected"):
        backups.restore(made.path)
    assert not team.state.exists()


def test_other_settings_than_those_of_the_backup_are_refused(team: SimpleNamespace, plain: Callable[..., Path]) -> None:
    made = backups.backup(team.target)
    lose(team)
    plain(team.state)
    with pytest.raises(BadInput, match="was PostgreSQL when the backup was made, and the settings name a file"):
        backups.restore(made.path)


def test_without_client_programs_it_says_so(team: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(team.target))
    with pytest.raises(EnvironmentProblem, match="this machine has no pg_dump"):
        backups.backup(team.target)
    assert [path.name for path in team.target.iterdir()] == ["place"]


def test_no_command_line_and_no_file_shows_the_password(team: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    honest = subprocess.run

    def run(line: Any, **given: Any) -> Any:
        lines.append(" ".join(map(str, line)))
        return honest(line, **given)

    monkeypatch.setattr(databases.postgres.subprocess, "run", run)
    made = backups.backup(team.target)
    secret = urlsplit(team.url).password or ""
    assert any("pg_dump" in line for line in lines)
    for shape in (secret, "p@ss"):
        assert not any(shape in line for line in lines)
    for one in made.manifest.databases:
        assert secret not in repr(one)
    assert os.environ.get("PGPASSWORD") is None
