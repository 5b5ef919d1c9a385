"""Revisions go up and down with their data, once, whoever else starts at the same time."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.records import Database, DatabaseConfig, Migrations

REVISIONS = {
    "one": """
        from alembic import op
        from sqlalchemy import Column, Integer, Text
        revision, down_revision = "one", None
        def upgrade():
            op.create_table("people", Column("id", Integer, primary_key=True), Column("name", Text, nullable=False))
        def downgrade():
            op.drop_table("people")
        """,
    "two": """
        from alembic import op
        from sqlalchemy import Column, Text, text
        revision, down_revision = "two", "one"
        def upgrade():
            op.add_column("people", Column("initial", Text))
            op.execute(text("UPDATE people SET initial = substr(name, 1, 1)"))
        def downgrade():
            op.drop_column("people", "initial")
        """,
    "two~one": """
        from alembic import op
        from sqlalchemy import Column, Text
        revision, down_revision = "two~one", "one"
        def upgrade():
            op.add_column("people", Column("initial", Text))
        def downgrade():
            op.drop_column("people", "initial")
        """,
    "more~two": """
        from alembic import op
        from sqlalchemy import Column, Text
        revision, down_revision = "more~two", "two~one"
        def upgrade():
            op.add_column("people", Column("second", Text))
        def downgrade():
            op.drop_column("people", "second")
        """,
    "three": """
        from alembic import op
        from sqlalchemy import Column, Integer, text
        revision, down_revision = "three", "two"
        def upgrade():
            op.create_table("half", Column("id", Integer))
            op.execute(text("INSERT INTO nosuch VALUES (1)"))
        def downgrade():
            op.drop_table("half")
        """,
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of revisions: give their names, get its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, *revisions):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        for revision in revisions:
            (folder / f"v_{revision}.py").write_text(textwrap.dedent(REVISIONS[revision]))
        importlib.invalidate_caches()
        return name

    yield make
    for name in ("first", "second", "third"):
        sys.modules.pop(name, None)


@pytest.fixture
def database(url):
    with Database(url, "people") as database:
        yield database


def people(database, columns="id, name"):
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM people ORDER BY id"))]


def test_up_and_down_with_data(database, package):
    migrations = Migrations(database, package("first", "one", "two"))
    assert (migrations.revisions, migrations.head, migrations.current()) == (("one", "two"), "two", "base")
    assert migrations.up("one") == "one"
    with database.writing() as connection:
        connection.execute(text("INSERT INTO people VALUES (1, 'Ada'), (2, 'Grace')"))
    assert migrations.up() == "two"
    assert people(database, "name, initial") == [("Ada", "A"), ("Grace", "G")]
    assert migrations.up() == migrations.up("one") == "two", "nothing happens where it is there or beyond"
    assert migrations.down("one") == "one"
    assert people(database) == [(1, "Ada"), (2, "Grace")]
    with pytest.raises(EnvironmentProblem, match="initial"):
        people(database, "initial")
    assert migrations.up() == "two"
    assert people(database, "name, initial") == [("Ada", "A"), ("Grace", "G")]
    assert migrations.down("base") == "base"
    assert migrations.down("base") == "base"
    with pytest.raises(EnvironmentProblem, match="people"):
        people(database)
    assert migrations.up() == "two"


def test_a_revision_that_fails_leaves_the_database_as_it_was(database, package):
    migrations = Migrations(database, package("first", "one", "two", "three"))
    with pytest.raises(EnvironmentProblem, match="nosuch"):
        migrations.up()
    assert migrations.current() == "base"
    migrations.up("two")
    with pytest.raises(EnvironmentProblem, match="nosuch"):
        migrations.up()
    assert migrations.current() == "two"
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE half (id integer)"))


def test_a_database_of_a_newer_version_is_refused(database, package):
    Migrations(database, package("first", "one", "two")).up()
    older = Migrations(database, package("second", "one"))
    for change in (older.current, older.up, lambda: older.down("base")):
        with pytest.raises(
            DataError, match=r"has revision two, which this version of quantdesk does not know.*up to one"
        ):
            change()
    assert people(database) == []


def test_an_older_version_goes_on_where_the_newer_one_only_added(database, package):
    """So a release is rolled back after its migrations ran, and a canary runs beside the version that is there."""
    older, newer = (Migrations(database, package(*names)) for names in (("old", "one"), ("new", "one", "two~one")))
    older.up()
    newer.up()
    assert older.up() == older.up("one") == older.current() == "two~one", "it leaves the tables as they are"
    with database.writing() as connection:
        connection.execute(text("INSERT INTO people (id, name) VALUES (1, 'ada')"))
    assert newer.up() == "two~one"
    with pytest.raises(DataError, match=r"has revision two~one, which this version of quantdesk does not know"):
        older.down("base")
    assert newer.down("one") == "one"
    assert people(database) == [(1, "ada")]


def test_it_is_the_newest_revision_that_says_whom_it_serves(database, package):
    Migrations(database, package("first", "one", "two~one", "more~two")).up()
    assert Migrations(database, package("second", "one", "two~one")).up() == "more~two"
    with pytest.raises(DataError, match="has revision more~two, which this version of quantdesk does not know"):
        Migrations(database, package("third", "one")).up()


def test_revisions_that_are_none(database, package):
    migrations = Migrations(database, package("first", "one", "two"))
    with pytest.raises(UnknownName, match=r"Unknown revision 'tow'\. Did you mean two"):
        migrations.up("tow")
    with pytest.raises(UnknownName, match="Unknown revision 'nosuch'"):
        migrations.down("nosuch")
    with pytest.raises(BadInput, match="has revision base, and cannot go down to one"):
        migrations.down("one")


def test_many_that_start_at_once_migrate_once(database, url, package):
    name = package("first", "one", "two")

    def start(_):
        with Database(url, "people") as own:
            return Migrations(own, name).up()

    with ThreadPoolExecutor(5) as pool:
        assert set(pool.map(start, range(10))) == {"two"}


START = """
import sys
sys.path.insert(0, sys.argv[2])
from quantdesk.records import Database, Migrations
with Database(sys.argv[1], "people") as database:
    print(Migrations(database, "first").up())
"""


def test_processes_that_start_at_once_migrate_once(database, url, package, tmp_path):
    package("first", "one", "two")
    command = [sys.executable, "-c", START, url, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [one.communicate()[0].strip() for one in started] == ["two"] * 2
    assert [one.returncode for one in started] == [0] * 2


def test_a_migration_waits_for_writers_and_not_for_ever(database, url, package):
    migrations = Migrations(Database(url, "people", DatabaseConfig(timeout=0.2)), package("first", "one"))
    with database.writing(), pytest.raises(EnvironmentProblem, match=r"locked|somebody else"):
        migrations.up()
    assert migrations.up() == "one"
    migrations.database.close()


def test_a_schema_that_an_operator_made_is_enough(postgres, package):
    """Whoever may not create schemas uses the one that is there; whoever may only read needs no migration."""
    url = postgres()
    with Database(url, "people") as owner, owner.writing() as connection:
        connection.execute(text("CREATE SCHEMA people"))
        name = connection.scalar(text("SELECT current_database()"))
    with Database(postgres.admin(name), "public") as admin, admin.writing() as connection:
        connection.execute(text(f"ALTER DATABASE {name} OWNER TO postgres"))
        connection.execute(text(f"REVOKE CREATE ON DATABASE {name} FROM desk"))
    with Database(url, "people") as database:
        assert Migrations(database, package("first", "one")).up() == "one"
    with Database(url, "elsewhere") as database, pytest.raises(EnvironmentProblem, match="desk may not do this"):
        Migrations(database, "first").up()
