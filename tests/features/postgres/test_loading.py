"""A load is all or nothing, sends only what changed, and disturbs nobody who asks."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.features import FeatureStore
from quantdesk.features.backend import Asking
from quantdesk.features.definitions import VIEWS
from quantdesk.features.manifest import MANIFEST, read_manifest
from quantdesk.features.postgres import PostgresBackend, load, loading, schema
from quantdesk.features.retrieval import partition
from quantdesk.records import sha256_of

ROWS = "technical/symbol=AAA1/rows.parquet"


def column(store, name="sma_20", add=0.0):
    path = folder_of(store)
    return pa.array(pq.read_table(path / ROWS, partitioning=None)[name].to_numpy() + add, from_pandas=True)


def folder_of(team):
    return team._files.snapshot().folder


def values(store, symbol="AAA1"):
    return store.get_historical_features([symbol], ["sma_20"]).to_pandas()["sma_20"].to_numpy()


def test_a_second_load_has_nothing_to_do(own_team):
    whole = own_team._files.snapshot()
    again = load(whole.folder, whole.manifest, own_team.backend.address)
    assert (again.changed, again.written, again.rows) == (False, 0, 0)
    assert not own_team.build().changed


def test_only_what_changed_is_sent(own_team, builds, tables):
    before = values(own_team)
    folder, manifest = builds.changed(folder_of(own_team), "second", sma_20=column(own_team, add=1.0))
    seen = tables(own_team, "SELECT min(xmin::text), max(xmin::text) FROM {table} WHERE _part <> {part}")
    steps = []
    found = load(folder, manifest, own_team.backend.address, progress=lambda *step: steps.append(step))
    assert (found.changed, found.written, found.kept) == (True, 1, len(manifest.files) - 1)
    assert found.rows == len(before)
    assert steps[-1] == ("PostgreSQL", len(manifest.files), len(manifest.files))
    np.testing.assert_array_equal(values(own_team), before + 1.0)
    assert own_team.get_historical_features(["AAA1", "BBB2"], ["sma_20"]).is_pit_validated
    others = tables(own_team, "SELECT min(xmin::text), max(xmin::text) FROM {table} WHERE _part < {part}")
    assert others == seen, "the rows of the others were not written again"


def test_another_file_with_the_same_rows_is_not_sent(own_team, builds):
    folder, manifest = builds.changed(folder_of(own_team), "second")
    path = folder / ROWS
    pq.write_table(pq.read_table(path, partitioning=None), path, compression="zstd")
    manifest = dataclasses.replace(manifest, files={**manifest.files, ROWS: sha256_of(path)})
    found = load(folder, manifest, own_team.backend.address)
    assert (found.changed, found.written, found.rows) == (True, 0, 0)


def test_the_load_before_stays_for_questions_that_have_begun(own_team, builds, tables):
    before = values(own_team)
    begun = own_team.snapshot()
    frame = own_team.get_historical_features(["AAA1"], ["sma_20"], "2018-01-02", "2018-03-01")
    for number in range(3):
        folder, manifest = builds.changed(
            folder_of(own_team), f"build {number}", sma_20=column(own_team, add=number + 1.0)
        )
        load(folder, manifest, own_team.backend.address)
        if number == 0:
            at = pd.DatetimeIndex(["2019-06-03T12:00Z"]).asi8
            matched = begun.match(VIEWS["technical"], ["sma_20"], Asking(("AAA1",), np.zeros(1, np.int64), at))
            assert matched.columns["sma_20"][0] in before
            assert set(frame.reasons()["reason"]) == {"warm_up:20"}
    with pytest.raises(DataError, match="replaced meanwhile"):
        begun.sessions("AAA1")
    parts = tables(own_team, "SELECT count(*) FROM quantdesk.part WHERE view = 'technical' AND key = 'AAA1'")
    assert parts == [(2,)]
    stored = tables(own_team, "SELECT count(DISTINCT _part) FROM {table} WHERE symbol = 'AAA1'")
    assert stored == [(2,)], "what nobody refers to is gone"


def test_other_columns_get_a_table_of_their_own(own_team, builds, tables):
    folder, manifest = builds.changed(folder_of(own_team), "second")
    table = pq.read_table(folder / ROWS, partitioning=None).append_column("extra", pa.array([1.0] * 628))
    pq.write_table(table, folder / ROWS)
    manifest = dataclasses.replace(manifest, files={**manifest.files, ROWS: sha256_of(folder / ROWS)})
    load(folder, manifest, own_team.backend.address)
    assert own_team.get_historical_features(["AAA1", "BBB2"], ["sma_20"]).is_pit_validated
    whole = own_team._files.snapshot()
    for key in ("third", "fourth"):
        load(whole.folder, dataclasses.replace(whole.manifest, key=key), own_team.backend.address)
    left = tables(
        own_team, "SELECT count(*) FROM pg_tables WHERE schemaname = 'quantdesk' AND tablename ~ '^technical'"
    )
    assert left == [(1,)], "an empty table is dropped"


# What goes wrong.


def test_a_file_that_is_not_as_it_was_built_is_not_loaded(own_team, builds):
    folder, manifest = builds.changed(folder_of(own_team), "second", sma_20=column(own_team, add=1.0))
    (folder / ROWS).write_bytes((folder / ROWS).read_bytes()[:-100])
    before = values(own_team)
    with pytest.raises(DataError, match="symbol=AAA1"):
        load(folder, manifest, own_team.backend.address)
    (folder / ROWS).unlink()
    with pytest.raises(DataError, match="symbol=AAA1"):
        load(folder, manifest, own_team.backend.address)
    np.testing.assert_array_equal(values(own_team), before)


@pytest.mark.parametrize(
    ("column_name", "given", "message"),
    [
        ("sma_20", pa.array([[1.0]] * 628), "is of type list"),
        ("event_timestamp", pa.nulls(628, pa.timestamp("us", "UTC")), "rows without event_timestamp"),
        ("created_timestamp", pa.array(range(1, 629), pa.timestamp("ns", "UTC")), "whole microsecond"),
    ],
)
def test_what_the_database_cannot_keep_is_refused_whole(own_team, builds, column_name, given, message):
    folder, manifest = builds.changed(folder_of(own_team), "second", **{column_name: given})
    with pytest.raises((BadInput, DataError), match=message):
        load(folder, manifest, own_team.backend.address)
    assert own_team.snapshot().manifest.key != "second"


def test_one_load_at_a_time(own_team, builds):
    folder, manifest = builds.changed(folder_of(own_team), "second", sma_20=column(own_team, add=1.0))
    with psycopg.connect(**own_team.backend.address.parameters()) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (loading._LOCK,))
        with pytest.raises(EnvironmentProblem, match=r"Another load into postgresql://desk@127\.0\.0\.1") as caught:
            load(folder, manifest, own_team.backend.address)
    assert "p%40ss" not in str(caught.value)


CHILD = """
import os, pathlib, sys, time
from quantdesk.features.manifest import read_manifest
from quantdesk.features.postgres import load
folder = pathlib.Path(sys.argv[1])
def tell(what, done, total):
    print(done, flush=True)
    time.sleep(0.02)
load(folder, read_manifest(folder), os.environ["ADDRESS"], progress=tell)
"""


@pytest.mark.parametrize("step", [pytest.param(0, marks=pytest.mark.slow), 3, pytest.param(7, marks=pytest.mark.slow)])
def test_killed_in_the_middle_it_leaves_what_was_there(own_team, builds, step):
    everything = folder_of(own_team)
    before = values(own_team)
    folder, _ = builds.changed(everything, "second", sma_20=column(own_team, add=1.0))
    # All parts are to be written: under other rows, none is kept.
    _rewritten(folder)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ADDRESS": _url(own_team)},
    )
    for line in child.stdout:
        if int(line) >= step:
            break
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    np.testing.assert_array_equal(values(own_team), before)
    assert own_team.get_historical_features(["AAA1", "OHLC"], ["sma_20"]).is_pit_validated
    deadline = time.monotonic() + 30
    while True:  # the server ends the orphan's transaction when it next writes to it
        try:
            load(folder, read_manifest(folder), own_team.backend.address)
            break
        except EnvironmentProblem:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    np.testing.assert_array_equal(values(own_team), before + 1.0)


def _rewritten(folder):
    manifest, files = read_manifest(folder), {}
    for name in manifest.files:
        path = folder / name
        table = pq.read_table(path, partitioning=None)
        place = table.schema.get_field_index("load")
        pq.write_table(table.set_column(place, "load", pa.array([7] * len(table), pa.int16())), path)
        files[name] = sha256_of(path)
    (folder / MANIFEST).write_text(dataclasses.replace(manifest, files=files).to_json())


def _url(store):
    address = store.backend.address
    password = quote(address.password.get_secret_value(), safe="")
    return f"postgresql://{address.user}:{password}@{address.host}:{address.port}/{address.database}"


def test_questions_during_loads_see_one_build_or_the_other(own_team, builds):
    """Readers ask without a pause while builds replace each other: each frame is of one build, and proven."""
    base = folder_of(own_team)
    before = values(own_team)
    made = [builds.changed(base, f"build {n}", sma_20=column(own_team, add=float(n))) for n in range(1, 6)]
    whole, seen, problems = threading.Event(), [], []

    def ask():
        store = FeatureStore(_url(own_team), root=own_team.root)
        while not whole.is_set():
            try:
                frame = store.get_historical_features(["AAA1", "BBB2"], ["sma_20"])
            except DataError as error:  # two loads went by within one question
                problems.append(str(error))
                continue
            found = frame.to_pandas()["sma_20"].xs("AAA1", level="symbol").to_numpy()
            steps = np.unique(np.round((found - before)[~np.isnan(found)], 6))
            seen.append((len(steps), frame.is_pit_validated, float(steps[0])))
        store.close()

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    for folder, manifest in made:
        load(folder, manifest, own_team.backend.address)
        time.sleep(0.1)
    whole.set()
    for reader in readers:
        reader.join()
    assert len(seen) >= 5
    assert all(steps == 1 and proven for steps, proven, _ in seen)
    assert len({step for *_, step in seen}) >= 2
    assert all("replaced meanwhile" in problem for problem in problems)


# Names and rights.

HOSTILE = ["x'; DROP SCHEMA quantdesk CASCADE; --", 'a"b', "50%s of {}", "Ünïcode 🎲", "$1", "a\\b\nc", "NULL", ""]


def test_hostile_symbols_and_features_are_only_names(postgres, store, builds):
    feature = 'v"; DROP TABLE quantdesk.part; -- %s {} $1'
    address = postgres()
    tables, times = {}, pa.array([10**15, 2 * 10**15], pa.timestamp("us", "UTC"))
    for number, symbol in enumerate(HOSTILE):
        tables[f"evil'; view/{partition('symbol', symbol)}/rows.parquet"] = pa.table(
            {
                "symbol": [symbol] * 2, "event_timestamp": times, "created_timestamp": times,
                feature: [float(number), None], f"why_{feature}": [None, f"because {symbol}"],
                "load": pa.array([0, 0], pa.int16()),
            }
        )  # fmt: skip
    folder, manifest = builds.of_tables(store.snapshot().manifest, "hostile", tables)
    load(folder, manifest, address)
    snapshot = PostgresBackend(address).snapshot()
    view = dataclasses.replace(VIEWS["technical"], name="evil'; view")
    code = np.repeat(np.arange(len(HOSTILE)), 2)
    at = np.tile(np.array([10**18 + 1, 2 * 10**18 + 1]), len(HOSTILE))
    matched = snapshot.match(view, [feature], Asking(tuple(HOSTILE), code, at))
    np.testing.assert_array_equal(matched.columns[feature][::2], np.arange(len(HOSTILE), dtype=float))
    assert np.isnan(matched.columns[feature][1::2]).all()
    assert matched.belongs.all()
    assert matched.reasons(feature)[1::2].tolist() == [f"because {symbol}" for symbol in HOSTILE]
    again = matched.recount(np.arange(len(code)))
    np.testing.assert_array_equal(again.values[feature], matched.columns[feature])
    assert dict(snapshot.digests([view], HOSTILE)) == dict(manifest_files(snapshot))
    assert len(snapshot.revisions(view, HOSTILE[0], feature)) == 2


def manifest_files(snapshot):
    return snapshot.manifest.files


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "ü" * 32])
def test_a_name_that_postgresql_would_cut_is_refused(name):
    with pytest.raises(BadInput, match="1 to 63 bytes"):
        schema.quoted(name)


def test_readers_need_no_more_than_the_guide_grants(own_team, builds, postgres):
    """A role that may only read: it asks, and it cannot write. A later load leaves it its rights."""
    database = own_team.backend.address.database
    with psycopg.connect(postgres.admin(database), autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS onlooker")
        admin.execute("CREATE ROLE onlooker LOGIN PASSWORD 'read only'")
        quant = FeatureStore(postgres.url(database, "onlooker", "read only"), root=own_team.root)
        with pytest.raises(EnvironmentProblem, match=r"onlooker may not do this .* guide"):
            quant.symbols()
        admin.execute("GRANT USAGE ON SCHEMA quantdesk TO onlooker")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA quantdesk TO onlooker")
    assert quant.get_historical_features(["AAA1"], ["sma_20"]).is_pit_validated
    folder, manifest = builds.changed(folder_of(own_team), "second")
    table = pq.read_table(folder / ROWS, partitioning=None).append_column("extra", pa.array([1.0] * 628))
    pq.write_table(table, folder / ROWS)
    manifest = dataclasses.replace(manifest, files={**manifest.files, ROWS: sha256_of(folder / ROWS)})
    with pytest.raises(EnvironmentProblem, match="onlooker may not do this"):
        load(folder, manifest, quant.backend.address)
    load(folder, manifest, own_team.backend.address)
    assert quant.get_historical_features(["AAA1"], ["sma_20"]).is_pit_validated, "the new table is readable, too"
    quant.close()


def test_with_timescaledb_a_table_becomes_a_hypertable(postgres, store):
    """The extension is not in Debian. Held here: it is called where it is there, with arguments that it documents."""
    address = postgres()
    asked = []

    class Cursor:
        def __init__(self, real):
            self.real = real

        def execute(self, statement, given=None):
            text = statement if isinstance(statement, str) else statement.as_string()
            if "pg_extension" in text:
                return self.real.execute("SELECT 'public'")
            asked.append((text, given))
            return self.real.execute(statement, given)

        def fetchone(self):
            return self.real.fetchone()

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION create_hypertable(relation regclass, time_column_name name,"
            " chunk_time_interval interval, create_default_indexes boolean) RETURNS text"
            " LANGUAGE sql AS $$ SELECT relation::text || ' ' || time_column_name || ' ' || chunk_time_interval $$"
        )
        schema.create(connection.cursor())
        cursor = Cursor(connection.cursor())
        columns = {"event_timestamp": "timestamptz", "created_timestamp": "timestamptz", "v": "float8"}
        schema.create_table(cursor, schema.table_name("technical", columns), columns)
    called = [text for text, _ in asked if "create_hypertable" in text]
    assert len(called) == 1
