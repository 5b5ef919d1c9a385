"""Fills a state directory with one of everything, and says what is in it; tests are no package."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from jupyterhub import orm
from nativeauthenticator.orm import UserInfo
from sqlalchemy import select

from quantdesk.hub.accounts import prepare_state
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.hub.database import address, prepare
from quantdesk.hub.service import tokens
from quantdesk.orders import Order as Trade
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger import Ledger
from quantdesk.reports.ledger import Order, RunLedger, Schedule, State
from quantdesk.reports.runs import CellTime, Provenance, Run, RunsConfig, Status, new_id, publish

PASSWORD = "orange tiger 77 moon"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def settle(monkeypatch: pytest.MonkeyPatch, state: Path, given: dict[str, str]) -> None:
    """Let the environment hold these settings of quantdesk and no others."""
    for name in list(os.environ):
        if name.startswith("QUANTDESK_") and not name.startswith("QUANTDESK_KERNELS"):
            monkeypatch.delenv(name)
    for name, value in {"QUANTDESK_STATE": str(state), **given}.items():
        monkeypatch.setenv(name, value)


def fill(state: Path) -> None:
    """Users, a schedule, runs, an order, secrets, a home: by the code that makes them in the hub."""
    files, config = HubFiles(state), HubConfig.from_env()
    prepare_state(files, isolated=False)
    tokens(files)
    files.cookie_secret.write_text("c" * 64)
    files.cookie_secret.chmod(0o600)
    files.log.write_text("what the hub has said")
    prepare(config, files)
    users(config, files, "ada", "grace")
    with RunLedger.open() as ledger:
        ledger.schedules.add(Schedule("weekdays", "daily", "0 7 * * 1-5", "Europe/Berlin", "ada", {"window": 20}))
        for number in range(3):
            record(ledger, number)
    with Ledger.open() as orders:
        for shares in (10, 20):
            orders.receive(Trade("AAPL", "buy", shares, user_id="ada"), 5, ExecutionMode.SIMULATED)
    home = files.homes / "ada"
    (home / "work" / "closed").mkdir(parents=True)
    (home / "work" / "notes.ipynb").write_text("{}")
    (home / "work" / "closed" / "run.sh").write_text("#!/bin/sh\n")
    (home / "work" / "closed" / "run.sh").chmod(0o750)
    (home / "work" / "closed").chmod(0o500)
    (home / "passwd").symlink_to("/etc/passwd")
    (home / "notes").symlink_to("work/notes.ipynb")
    (home / os.fsdecode(b"caf\xe9 \xff")).write_bytes(bytes(range(256)) * 40)
    (home / ("long" * 40)).write_text("a long name")
    (home / ".cache").mkdir()
    (home / ".cache" / "large").write_text("not kept")
    os.mkfifo(home / "pipe")


def users(config: HubConfig, files: HubFiles, *names: str) -> None:
    """Users who signed up and were approved, in the tables of JupyterHub and of its authenticator."""
    with closing(orm.new_session_factory(address(config, files))()) as session:
        UserInfo.metadata.create_all(session.bind)
        orm.Base.metadata.create_all(session.bind)
        for name in names:
            hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))
            session.add(UserInfo(username=name, password=hashed, is_authorized=True))
            session.add(orm.User(name=name))
        session.commit()
        engine = session.bind
    engine.dispose()


def record(ledger: RunLedger, number: int) -> Run:
    """A run: its folder first, then its entry in the ledger, as a worker does it."""
    config = RunsConfig.from_env()
    name = new_id("daily", datetime.now(UTC))
    run = Run(
        id=name, report="daily", title="Daily", status=Status.COMPLETED, parameters={"window": number}, given=(),
        seed=None, notebook="daily.ipynb", notebook_sha256="0" * 64, started=NOON, ended=NOON, problem=None, labels=(),
        provenance=Provenance(), folder=config.runs / name, cells=(CellTime(1, 0.5),),
    )  # fmt: skip
    publish(run, notebook="{}", page=f"<p>{number}", log=None, beside={"tables/a.parquet": os.urandom(300)})
    order = Order(id=name, report="daily", title="Daily", parameters={"window": number}, requested_by="ada")
    ledger.queue.note(order, run.to_dict(), State.COMPLETED, folder=str(run.folder))
    return run


def seen(state: Path) -> dict[str, Any]:
    """What those who use an installation see of it, asked as they ask."""
    files, config = HubFiles(state), HubConfig.from_env()
    with closing(orm.new_session_factory(address(config, files))()) as session:
        known = {
            info.username: bcrypt.checkpw(PASSWORD.encode(), info.password) and info.is_authorized
            for info in session.scalars(select(UserInfo))
        }
        names = sorted(session.scalars(select(orm.User.name)))
        engine = session.bind
    engine.dispose()
    with RunLedger.open() as ledger:
        runs = {run.id: (run.state, run.parameters, dict(run.record)) for run in ledger.search.runs().runs}
        folders = {run.id: Path(run.folder) for run in ledger.search.runs().runs}
        schedules = ledger.schedules.list()
    with Ledger.open() as orders:
        trades = (orders.verify(), orders.orders())
    return {
        "users": (known, names),
        "runs": runs,
        "files": {name: tree(folder) for name, folder in folders.items()},
        "schedules": schedules,
        "orders": trades,
        "homes": tree(files.homes, without=(".cache", "pipe")),
        "secrets": (tokens(files), files.cookie_secret.read_text(), stat.S_IMODE(files.cookie_secret.stat().st_mode)),
    }


def tree(root: Path, without: tuple[str, ...] = ()) -> dict[str, tuple[int, bytes | str]]:
    """Every path below a folder: mode, and bytes or the target of a link."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if any(part in without for part in path.parts):
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            found[name] = (mode, str(path.readlink()))
        else:
            found[name] = (mode, "" if path.is_dir() else path.read_bytes())
    return found
