"""JupyterHub's own database: SQLite or PostgreSQL, its tables brought up to date before the hub starts. An edge module.

JupyterHub refuses a database whose tables are of another version, and leaves the upgrade to people. Here a copy is made
first, then JupyterHub's own migrations run; what a newer version has written is refused with a sentence that says so.
In PostgreSQL the tables are in the schema ``quantdesk_hub``: other tables of the same database, and other tables of
revisions, are not seen.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub.backup.note import unfinished
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.records.address import Address, parse
from quantdesk.records.refusals import unreachable

__all__ = ["SCHEMA", "address", "ask", "place", "prepare"]

SCHEMA = "quantdesk_hub"
_ALEMBIC = "alembic_version"
_CODE = """
import os, tempfile
from alembic import command, config
from jupyterhub.dbutil import write_alembic_ini
with tempfile.TemporaryDirectory() as folder:
    ini = os.path.join(folder, "alembic.ini")
    write_alembic_ini(ini, os.environ.pop("QUANTDESK_UPGRADE"))
    command.upgrade(config.Config(ini), "head")
"""


def place(config: HubConfig, files: HubFiles) -> Address | Path:
    """Where it is: the address of a PostgreSQL database, or the path of a file.

    Raises
    ------
    BadInput
        The setting is no such address; the message does not hold what could be a password.
    """
    given = config.hub_database.get_secret_value() if config.hub_database is not None else ""
    if not given:
        return files.database
    if given.lower().startswith("sqlite"):
        raise BadInput(
            "The hub's database is a SQLite address.",
            "Leave QUANTDESK_HUB_DATABASE empty for a file, or give postgresql://user:password@host:5432/database.",
        )
    return parse(given, "The hub's database")


def address(config: HubConfig, files: HubFiles) -> str:
    """The address as SQLAlchemy takes it, password included: to be handed on, never to be shown."""
    where = place(config, files)
    if isinstance(where, Path):
        return f"sqlite:///{where}"
    secret = where.password.get_secret_value() if where.password else None
    who = quote(where.user, safe="") + (f":{quote(secret, safe='')}" if secret is not None else "")
    host = f"[{where.host}]" if ":" in where.host else quote(where.host, safe="")
    options = {
        "connect_timeout": "10",
        "application_name": "quantdesk-hub",
        **dict(where.options),
        "options": f"-csearch_path={SCHEMA}",
    }
    name = quote(where.database, safe="")
    return f"postgresql+psycopg://{who}@{host}:{where.port}/{name}?{urlencode(options, quote_via=quote)}"


def ask(
    config: HubConfig, files: HubFiles, table: str, columns: tuple[str, ...], **where: str
) -> list[tuple[Any, ...]]:
    """Rows of a table of the hub, read only; none where the table or the file is not there yet.

    Raises
    ------
    EnvironmentProblem
        The database cannot be reached.
    """
    found = place(config, files)
    if isinstance(found, Path):
        if not found.is_file():
            return []
        with closing(sqlite3.connect(f"{found.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as file:
            if not file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
                return []
            conditions = " AND ".join(f"{name} = ?" for name in where)
            asked = f"SELECT {', '.join(columns)} FROM {table} WHERE {conditions}"  # noqa: S608  (names are ours)
            return list(file.execute(asked, tuple(where.values())))
    with _connected(found) as connection:
        if connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{table}",)).fetchone() == (None,):
            return []
        query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Identifier(SCHEMA, table),
            sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in where),
        )
        return list(connection.execute(query, tuple(where.values())))


def prepare(config: HubConfig, files: HubFiles) -> str:
    """Make the schema where it is missing, and upgrade tables of an older JupyterHub, once there is a copy of them.

    Returns
    -------
    str
        What was done, a sentence; empty where there was nothing to do.

    Raises
    ------
    DataError
        A newer JupyterHub has written the database.
    EnvironmentProblem
        It cannot be reached; the copy or the upgrade failed, and the copy is named where there is one; or a restore was
        interrupted, and the state directory does not fit it.
    """
    _whole(files)
    where = place(config, files)
    found, newest = _revision(where), _revisions()
    if found is None or found == newest[0]:
        return ""
    if found not in newest:
        raise DataError(
            f"The hub's database has the revision {found}, which this JupyterHub does not know.",
            "A newer version has written it: use that one, or restore a backup.",
        )
    from quantdesk.hub.backup.databases import copy_sqlite

    copy = _copied(where, files)
    if isinstance(where, Path):  # SQLite upgrades step by step: it is done beside, and counts when it is whole
        beside = where.with_name(f"{where.name}.upgrading")
        beside.unlink(missing_ok=True)
        copy_sqlite(where, beside)
        _upgrade(f"sqlite:///{beside}", copy, files)
        beside.replace(where)
    else:
        _upgrade(address(config, files), copy, files)  # one transaction
    return f"the hub's database was upgraded from the revision {found} to {newest[0]}; a copy is in {copy}"


def _whole(files: HubFiles) -> None:
    """A restore that was killed between two of its last steps has left parts of two states."""
    backup = unfinished(files)
    if backup is not None:
        raise EnvironmentProblem(
            f"The restore of {backup} into {files.state} was interrupted.",
            f"Make it again: quantdesk restore --replace {backup}",
        )


def _revisions() -> tuple[str, ...]:
    """Those that this JupyterHub knows, the newest first."""
    import jupyterhub
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(jupyterhub.__file__).with_name("alembic")))
    return tuple(one.revision for one in scripts.walk_revisions())


def _revision(where: Address | Path) -> str | None:
    """That of the tables; None where there are none yet."""
    if isinstance(where, Path):
        if not where.is_file():
            return None
        try:
            with closing(sqlite3.connect(f"{where.as_uri()}?mode=ro", uri=True, timeout=10)) as file:
                if not file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_ALEMBIC,)).fetchone():
                    return None
                row = file.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise DataError(f"{where} cannot be read ({error}).", "Restore a backup: quantdesk restore.") from error
        return None if row is None else str(row[0])
    with _connected(where) as connection:
        there = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
        # Asked before, because IF NOT EXISTS wants the right to create one even where it exists.
        if connection.execute(there, (SCHEMA,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        if connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{_ALEMBIC}",)).fetchone() == (None,):
            return None
        row = connection.execute(
            sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(SCHEMA, _ALEMBIC))
        ).fetchone()
        return None if row is None else str(row[0])


def _copied(where: Address | Path, files: HubFiles) -> Path:
    """A copy of the database, from before the upgrade."""
    from quantdesk.hub.backup.databases import copy_sqlite, dump_postgres

    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    if isinstance(where, Path):
        target = where.with_name(f"{where.name}.before-upgrade-{moment}")
        copy_sqlite(where, target)
    else:
        target = files.root / f"hub-database.before-upgrade-{moment}.sql"
        dump_postgres(where, (SCHEMA,), target)
    return target


def _upgrade(url: str, copy: Path, files: HubFiles) -> None:
    """Run JupyterHub's migrations, in a process of their own: Alembic talks to the terminal, and knows the password."""
    environment: Mapping[str, str] = {
        **os.environ,
        "QUANTDESK_UPGRADE": url,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CODE],
        env=environment,
        cwd=files.root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        log = files.root / "hub-upgrade.log"
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(done.stdout + done.stderr)
        raise EnvironmentProblem(
            f"The upgrade of the hub's database failed; what it said is in {log}.",
            f"A copy from before is {copy}: put it back, and use the version of quantdesk that wrote it.",
        )


@contextlib.contextmanager
def _connected(where: Address) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    problem: EnvironmentProblem | None = None
    try:
        connection = psycopg.connect(**where.parameters(), autocommit=True)  # type: ignore[arg-type]
    except (psycopg.Error, UnicodeError) as error:
        problem = unreachable(where.parameters(), str(error))
    if problem is not None:  # raised out here, so that it does not carry libpq's error along
        raise problem
    try:
        with closing(connection):
            yield connection
    except psycopg.Error as error:
        problem = EnvironmentProblem(
            f"The hub's database {where} refused ({where.without(str(error)).strip()[:300]}).",
            "Its user needs to own the schema quantdesk_hub, or to be allowed to create it.",
        )
    if problem is not None:
        raise problem
