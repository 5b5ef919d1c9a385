"""The administrator's one-time secret: shown once, works once, and only leads to the choice of a password."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quantdesk.errors import DataError
from quantdesk.hub.config import HubFiles
from quantdesk.hub.first_login import TICKET_LIFE, FirstLogin, ensure_admin, first_login_pending

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> HubFiles:
    return HubFiles(tmp_path)


def give_password(files: HubFiles, user: str) -> None:
    with sqlite3.connect(files.database) as connection:
        connection.execute("CREATE TABLE users_info (username TEXT)")
        connection.execute("INSERT INTO users_info VALUES (?)", (user,))
    connection.close()


def test_the_secret_is_given_once_and_kept_as_a_hash_only(files: HubFiles) -> None:
    secret = ensure_admin(files, "admin")
    assert secret is not None
    assert len(secret.replace("-", "")) == 25
    assert ensure_admin(files, "admin") is None
    assert first_login_pending(files, "admin")
    assert stat.S_IMODE(files.first_login.stat().st_mode) == 0o600
    assert secret not in files.first_login.read_text()
    assert not any(part in files.first_login.read_text() for part in secret.split("-"))


def test_it_works_once_even_across_restarts(files: HubFiles) -> None:
    secret = ensure_admin(files, "admin")
    assert secret
    ticket = FirstLogin(files, "admin").redeem("admin", f"  {secret.upper()} ", NOON)
    assert ticket
    assert FirstLogin(files, "admin").redeem("admin", secret, NOON) is None
    assert FirstLogin(files, "admin").admits(ticket, NOON)
    assert ensure_admin(files, "admin") is None, "a restart makes no second secret by itself"
    FirstLogin(files, "admin").finish()
    assert not FirstLogin(files, "admin").admits(ticket, NOON)
    give_password(files, "admin")
    assert ensure_admin(files, "admin") is None
    assert not first_login_pending(files, "admin")


def test_of_many_at_once_one_gets_in(files: HubFiles) -> None:
    secret = ensure_admin(files, "admin")
    assert secret
    got: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: got.append(FirstLogin(files, "admin").redeem("admin", secret)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(ticket is not None for ticket in got) == 1


@pytest.mark.parametrize("user", ["ana", "", "Admin", "admin "])
def test_it_is_nobody_elses(files: HubFiles, user: str) -> None:
    secret = ensure_admin(files, "admin")
    assert secret
    assert FirstLogin(files, "admin").redeem(user, secret) is None
    assert FirstLogin(files, "ana").redeem("ana", secret) is None, "another administrator's secret does not count"
    assert FirstLogin(files, "admin").redeem("admin", secret)


@pytest.mark.parametrize("wrong", ["", "a", "aaaaa-aaaaa-aaaaa-aaaaa-aaaaa", "\ud800", "x" * 100_000])
def test_a_wrong_secret_changes_nothing(files: HubFiles, wrong: str) -> None:
    secret = ensure_admin(files, "admin")
    assert secret
    assert FirstLogin(files, "admin").redeem("admin", wrong) is None
    assert FirstLogin(files, "admin").redeem("admin", secret)


def test_a_ticket_is_good_for_a_while_and_in_one_piece(files: HubFiles) -> None:
    desk = FirstLogin(files, "admin")
    ticket = desk.redeem("admin", ensure_admin(files, "admin") or "", NOON)
    assert ticket
    assert ticket not in files.first_login.read_text()
    assert desk.admits(ticket, NOON + TICKET_LIFE)
    assert not desk.admits(ticket, NOON + TICKET_LIFE + timedelta(seconds=1))
    assert not desk.admits(ticket[:-1], NOON)
    assert not desk.admits("", NOON)


def test_a_lost_secret_or_password_is_replaced_on_request(files: HubFiles) -> None:
    first = ensure_admin(files, "admin")
    second = ensure_admin(files, "admin", renew=True)
    assert second
    assert second != first
    desk = FirstLogin(files, "admin")
    assert desk.redeem("admin", first or "") is None
    ticket = desk.redeem("admin", second, NOON)
    assert ticket
    assert ensure_admin(files, "admin", renew=True), "the browser was closed before the password was chosen"
    assert not desk.admits(ticket, NOON)
    give_password(files, "admin")
    desk.finish()
    assert ensure_admin(files, "admin", renew=True), "the password was lost"


def test_another_administrator_gets_a_secret_of_his_own(files: HubFiles) -> None:
    ensure_admin(files, "admin")
    assert ensure_admin(files, "ana")


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", json.dumps({"admin": "admin"})])
def test_a_damaged_file_is_named_with_the_remedy(files: HubFiles, damage: str) -> None:
    files.root.mkdir(parents=True)
    files.first_login.write_text(damage)
    with pytest.raises(DataError, match=r"first-login\.json is damaged.*--new-admin-secret"):
        ensure_admin(files, "admin")
    assert ensure_admin(files, "admin", renew=True)


def test_a_database_without_users_counts_as_nobody(files: HubFiles) -> None:
    files.root.mkdir(parents=True)
    sqlite3.connect(files.database).close()
    files.database.touch()
    assert ensure_admin(files, "admin")
