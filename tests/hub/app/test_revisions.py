"""The service's tables go up, down and up again in both kinds of database; what they hold is short-lived."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.database import JOBS, opened
from quantdesk.records import Migrations
from quantdesk.records.migrations import BASE


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_tables_go_both_ways(kind: str, tmp_path: Path, request: Any) -> None:
    url = f"sqlite:///{tmp_path / 's.sqlite'}" if kind == "sqlite" else str(request.getfixturevalue("postgres")())
    job = {"id": "j", "user_name": "ada", "asked": "{}", "subject": "x", "state": "done", "created": 1, "holder": "h",
           "until": 2, "tries": 1, "is_cancelling": False}  # fmt: skip
    with opened(ServiceConfig.from_env(database=url)) as database:
        with database.writing() as connection:
            connection.execute(insert(JOBS).values(job))
        migrations = Migrations(database, "quantdesk.hub.app.versions")
        assert migrations.up() == migrations.head
        with database.reading() as connection:
            assert connection.scalars(select(JOBS.c.id)).all() == ["j"], "to go up from where it is changes nothing"
        assert migrations.down(BASE) == BASE
        assert migrations.up() == migrations.head
        with database.reading() as connection:
            assert connection.scalars(select(JOBS.c.id)).all() == []
