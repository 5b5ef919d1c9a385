"""The invented market's features in a real PostgreSQL, and builds that are changed by hand."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modules import module_at
from quantdesk.features import FeatureStore
from quantdesk.features.manifest import MANIFEST, Manifest, read_manifest
from quantdesk.records import sha256_of

ABOVE = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def asof_oracle() -> Any:
    """What the join on files is held against, too."""
    return module_at(ABOVE / "test_asof.py").oracle


@pytest.fixture(scope="session")
def make_desk_data() -> Any:
    """Writes the files that the desk's repository declares."""
    return module_at(ABOVE / "test_declared.py").make_data


class Builds:
    """Makes builds out of others, with the manifest that belongs to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def changed(self, build: Path, key: str, **columns: pa.Array) -> tuple[Path, Manifest]:
        """A copy of a build in which AAA1's technical rows have other columns, under another key."""
        target = self.folder / key
        shutil.copytree(build, target)
        manifest = read_manifest(target)
        name = "technical/symbol=AAA1/rows.parquet"
        table = pq.read_table(target / name, partitioning=None)
        for column, values in columns.items():
            table = table.set_column(table.schema.get_field_index(column), column, values)
        pq.write_table(table, target / name)
        files = {**manifest.files, name: sha256_of(target / name)}
        manifest = dataclasses.replace(manifest, key=key, files=files)
        (target / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        return target, manifest

    def of_tables(self, like: Manifest, key: str, tables: dict[str, pa.Table]) -> tuple[Path, Manifest]:
        """A build of given tables, each by the path of its file."""
        target = self.folder / key
        files = {}
        for name, table in tables.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, target / name)
            files[name] = sha256_of(target / name)
        return target, dataclasses.replace(like, key=key, files=files)


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    return Builds(tmp_path / "builds")


@pytest.fixture(scope="session")
def team(store, market, postgres) -> FeatureStore:
    """The invented market's features in PostgreSQL. Read only, please."""
    found = FeatureStore(postgres(), root=store.root, market=market)
    assert found.build().changed
    return found


@pytest.fixture
def own_team(store, market, postgres) -> FeatureStore:
    """A database of one's own, which a test may damage."""
    found = FeatureStore(postgres(), root=store.root, market=market)
    found.build()
    yield found
    found.close()


@pytest.fixture
def tables():
    """What runs SQL as the owner of a store's database."""

    def run(store: FeatureStore, statement: str, *given: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(**store.backend.address.parameters(), autocommit=True) as connection:
            name = connection.execute(
                """SELECT "table" FROM quantdesk.part WHERE view = 'technical' AND key = 'AAA1' ORDER BY id DESC"""
            ).fetchone()
            part = connection.execute(
                "SELECT max(id) FROM quantdesk.part WHERE view = 'technical' AND key = 'AAA1'"
            ).fetchone()
            cursor = connection.execute(
                statement.format(table=f'quantdesk."{name[0]}"' if name else "", part=part[0]), given or None
            )
            return cursor.fetchall() if cursor.description else []

    return run
