"""Questions to PostgreSQL: the answers of the files that were loaded, to the bit, and a proof of its own."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
import threading
import traceback

import numpy as np
import pandas as pd
import psycopg
import pytest

from quantdesk.errors import BadDates, DataError, EnvironmentProblem, UnknownName
from quantdesk.features import FEATURES, FeatureFrame, FeatureStore
from quantdesk.features.asof import Outcome
from quantdesk.features.backend import Asking
from quantdesk.features.definitions import VIEWS
from quantdesk.features.postgres import PostgresBackend, backend, joining, load, schema

ALL = list(FEATURES)


def same(one, other):
    """Equal to the last bit: values, index, matched times, reasons."""
    left, right = one.to_pandas(), other.to_pandas()
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    names = list(one.features)
    assert (left[names].to_numpy().view(np.int64) == right[names].to_numpy().view(np.int64)).all()
    for view in dict.fromkeys(FEATURES[name].view for name in names):
        pd.testing.assert_frame_equal(one.known(view), other.known(view))
    pd.testing.assert_frame_equal(one.reasons(), other.reasons())
    assert one.evidence.views == other.evidence.views
    assert one.is_pit_validated
    assert other.is_pit_validated


def same_chain(one, other, symbol):
    chains = [place.revisions(symbol, "sma_20").fillna({"reason": ""}) for place in (one, other)]
    pd.testing.assert_frame_equal(*chains, check_exact=True)


@pytest.mark.parametrize(
    "question",
    [
        {"start_date": "2019-01-02", "end_date": "2019-06-28"},
        {"start_date": "2019-01-02", "end_date": "2020-06-30", "as_of": "2019-06-03"},
        {},
    ],
)
def test_the_answers_and_the_proof_of_the_files(store, team, question):
    symbols = ["OHLC", "EURXYZ", "GAPS", "AAA1"]
    same(
        store.get_historical_features(symbols, ALL, **question), team.get_historical_features(symbols, ALL, **question)
    )


def test_entity_rows_keep_order_duplicates_and_their_other_columns(store, team):
    times = pd.to_datetime(["2020-01-10T12:00Z", "2019-01-10T12:00Z", "2020-01-10T12:00Z", "2017-01-01T00:00Z"])
    late = pd.Timestamp("2021-06-01", tz="UTC")
    rows = pd.DataFrame(
        {
            "label": range(5),
            "event_timestamp": [*times, late],
            "symbol": ["AAA1", "BBB2@skfolio", "AAA1", "YIELD", "OHLC"],
        }
    )
    given = {"entity_df": rows, "feature_names": ["sma_20", "beta_252d", "sentiment_z"]}
    found = team.get_historical_features(**given)
    same(store.get_historical_features(**given), found)
    assert {"not_yet_known", "expired:15d"} <= set(found.reasons()["reason"])


@pytest.mark.slow
def test_real_data_of_a_few_symbols(real_store, real_market, postgres, builds):
    """Everything of three symbols, among them one with volume, from the bundled packages."""
    whole = real_store.snapshot()
    wanted = ["AAPL", "SPX", "EURUSD"]
    keys = [whole.manifest.find(name).key for name in wanted if name in {s.key for s in whole.manifest.series}]
    assert len(keys) >= 2
    names = {
        name: digest
        for name, digest in whole.manifest.files.items()
        if name.startswith("sentiment/") or any(f"/symbol={key}/" in name for key in keys)
    }
    team = FeatureStore(postgres(), root=real_store.root, market=real_market)
    load(whole.folder, dataclasses.replace(whole.manifest, files=names), team.backend.address)
    same(real_store.get_historical_features(keys, ALL), team.get_historical_features(keys, ALL))
    same_chain(real_store, team, keys[0])
    team.close()


def test_the_evidence_names_the_database_and_not_the_password(team):
    frame = team.get_historical_features(["AAA1", "OHLC"], ["sma_20", "sentiment_z"])
    evidence = frame.evidence
    assert evidence.origin == str(team.backend.address)
    assert set(evidence.sources) == {
        "technical/symbol=AAA1/rows.parquet", "technical/symbol=OHLC/rows.parquet", "sentiment/rows.parquet",
    }  # fmt: skip
    assert evidence.sources == evidence.as_built
    assert all(len(digest) == 64 for digest in evidence.sources.values())
    secret = team.backend.address.password.get_secret_value()
    for shown in (repr(team), repr(team.backend), repr(team.backend.address), repr(evidence), repr(frame)):
        assert secret not in shown
        assert "p%40ss" not in shown


def test_the_revision_chain(store, team):
    same_chain(store, team, "GAPS")


def test_unknown_names_and_ranges_are_those_of_the_files(team):
    with pytest.raises(UnknownName, match="AAA1"):
        team.get_historical_features(["AAA"], ["sma_20"])
    with pytest.raises(BadDates, match="has no sessions"):
        team.get_historical_features(["OHLC"], ["sma_20"], "1999-01-01", "1999-12-31")
    snapshot = team.snapshot()
    assert not len(snapshot.sessions("NOBODY").event)
    assert snapshot.revisions(VIEWS["technical"], "NOBODY", "sma_20").empty
    nobody = Asking(("NOBODY",), np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64))
    matched = snapshot.match(VIEWS["technical"], ["sma_20"], nobody)
    assert matched.outcome.tolist() == [Outcome.NO_HISTORY] * 2
    assert matched.recount(np.array([0, 1])).row.tolist() == [-1, -1]


# Edits behind our back.

EDITS = {
    "a value": "UPDATE {table} SET sma_20 = sma_20 + 1e-12 WHERE _part = {part} AND _seq = 400",
    "a time": "UPDATE {table} SET created_timestamp = event_timestamp - interval '1 day' WHERE _part = {part}",
    "a missing row": "DELETE FROM {table} WHERE _part = {part} AND _seq = 400",
    "one row more": "INSERT INTO {table} SELECT (f).* FROM (SELECT f FROM {table} f WHERE _part = {part} LIMIT 1) x",
    "all rows gone": "DELETE FROM {table} WHERE _part = {part}",
    "the owner": "UPDATE {table} SET symbol = 'BBB2' WHERE _part = {part}",
    "a reason": "UPDATE {table} SET why_sma_20 = 'because' WHERE _part = {part} AND _seq = 3",
    "an endless time": "UPDATE {table} SET created_timestamp = '-infinity' WHERE _part = {part} AND _seq = 5",
}


AT_ONCE = ("a value", "a missing row", "the owner")


@pytest.mark.parametrize(
    "edit", [pytest.param(name, marks=[] if name in AT_ONCE else [pytest.mark.slow]) for name in EDITS]
)
def test_an_edited_table_is_not_believed(own_team, tables, edit):
    assert own_team.get_historical_features(["AAA1", "BBB2"], ["sma_20"]).is_pit_validated
    tables(own_team, EDITS[edit])
    rows = pd.DataFrame({"symbol": "AAA1", "event_timestamp": [pd.Timestamp("2019-06-03T12:00Z")]})
    for store in (own_team, FeatureStore(_url(own_team), root=own_team.root)):  # also one that never saw it whole
        frame = store.get_historical_features(entity_df=rows, feature_names=["sma_20"])
        assert not frame.is_pit_validated
        said = "could not be hashed" if edit == "all rows gone" else "not as they were built"
        assert any(said in doubt and "symbol=AAA1" in doubt for doubt in frame.doubts)
        assert store.get_historical_features(["BBB2"], ["sma_20"]).is_pit_validated
        store.close()


def test_rows_that_were_copied_and_not_changed_are_believed(own_team, tables):
    """As after a dump and a restore: other transactions, the same rows."""
    tables(own_team, "UPDATE {table} SET _seq = _seq")
    assert own_team.get_historical_features(["AAA1", "BBB2"], ["sma_20"]).is_pit_validated


def test_the_hash_is_taken_once_and_then_believed_while_nothing_moves(own_team, monkeypatch):
    own_team.get_historical_features(["AAA1"], ["sma_20"])
    hashed = dict(own_team.backend.hashed)
    assert len(hashed) == 1
    monkeypatch.setattr(backend, "record", None)  # what a second hash would need
    assert own_team.get_historical_features(["AAA1"], ["sma_20"]).is_pit_validated


@pytest.mark.parametrize("wrong", ["late", "other symbol", "superseded"])
def test_a_join_that_is_wrong_is_caught(team, monkeypatch, wrong):
    """The checks share no code with the join: put a fault into its SQL, and they see it."""
    faults = {
        "late": ("f.created_timestamp <= a.known", "true"),
        "other symbol": ("f._part = k.part", "f._part <> k.part"),
        "superseded": ("f.event_timestamp DESC, f.created_timestamp DESC, f._seq DESC LIMIT 1", "f._seq LIMIT 1"),
    }
    honest = joining._statement

    def faulty(*given, **options):
        statement = honest(*given, **options).as_string()
        assert faults[wrong][0] in statement
        return joining.sql.SQL("{}").format(joining.sql.SQL(statement.replace(*faults[wrong])))

    monkeypatch.setattr(joining, "_statement", faulty)
    close = team.get_historical_features(["AAA1"], ["ret_1d"], "2019-03-04", "2019-03-29").by_session().index
    rows = pd.DataFrame({"symbol": "AAA1", "event_timestamp": close.get_level_values(0)})
    frame = team.get_historical_features(entity_df=rows, feature_names=["ret_1d"])
    assert not frame.is_pit_validated
    assert frame.evidence.violations > 0


# Processes, threads, servers.


def test_asking_imports_neither_feast_nor_sqlalchemy(team):
    program = (
        "import os, sys, pathlib, quantdesk.features as f\n"
        "store = f.FeatureStore(os.environ['ADDRESS'], root=pathlib.Path('/nowhere'))\n"
        "assert store.get_historical_features(['AAA1'], ['sma_20', 'sentiment_z']).is_pit_validated\n"
        "assert not {'feast', 'polars', 'duckdb', 'sqlalchemy'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "ADDRESS": _url(team)}
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=environment, timeout=60)


def test_the_address_comes_from_the_environment(team, monkeypatch):
    monkeypatch.setenv("QUANTDESK_FEATURES_URL", _url(team))
    store = FeatureStore(root=team.root)
    assert store.symbols() == team.symbols()
    assert "p%40ss" not in repr(store)
    store.close()


def test_a_forked_child_leaves_the_connections_to_its_parent(team):
    expected = team.get_historical_features(["AAA1"], ["sma_20"]).to_pandas()
    child = os.fork()
    if child == 0:
        found = team.get_historical_features(["AAA1"], ["sma_20"]).to_pandas()
        os._exit(0 if found.equals(expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert team.get_historical_features(["AAA1"], ["sma_20"]).to_pandas().equals(expected)


def test_many_threads_ask_at_once(team):
    expected = team.get_historical_features(["AAA1"], ["sma_20"]).to_pandas()
    found = []
    ask = lambda: found.append(team.get_historical_features(["AAA1"], ["sma_20"]).to_pandas())  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(one.equals(expected) for one in found)


def test_a_connection_that_the_server_closed_is_replaced(own_team, postgres):
    own_team.get_historical_features(["AAA1"], ["sma_20"])
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'quantdesk' AND datname = %s"
    with psycopg.connect(postgres.admin(), autocommit=True) as connection:
        connection.execute(end, (own_team.backend.address.database,))
    assert own_team.get_historical_features(["AAA1"], ["sma_20"]).is_pit_validated


def test_a_backend_travels_to_another_process_without_its_connections(team):
    again = pickle.loads(pickle.dumps(team.backend.connections))
    with again.reading() as cursor:
        assert cursor.execute("SELECT 1").fetchone() == (1,)
    again.close()


def test_what_the_operator_limits_is_one_clear_error(own_team, postgres):
    database = own_team.backend.address.database
    with psycopg.connect(postgres.admin(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database} SET statement_timeout = '1ms'")
    own_team.close()
    with pytest.raises(EnvironmentProblem, match="statement_timeout") as caught:
        own_team.get_historical_features(own_team.symbols(), ["sma_20"])
    secret = own_team.backend.address.password.get_secret_value()
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_store_that_was_never_loaded_says_so(postgres):
    url = postgres()
    store = FeatureStore(url)
    with pytest.raises(DataError, match="There are no features") as caught:
        store.symbols()
    assert "p%40ss" not in str(caught.value)
    with psycopg.connect(url, autocommit=True) as connection:
        schema.create(connection.cursor())
    with pytest.raises(DataError, match=r"There are no features in postgresql://desk@127\.0\.0\.1"):
        store.symbols()
    store.close()


def test_a_store_of_another_layout_is_not_read(own_team, tables):
    tables(own_team, "UPDATE quantdesk.load SET layout = 99")
    with pytest.raises(DataError, match="layout 99"):
        own_team.symbols()
    with pytest.raises(DataError, match="layout 99"):
        own_team.build()


def test_a_damaged_manifest_is_named(own_team, tables):
    tables(own_team, "UPDATE quantdesk.load SET manifest = left(manifest, 100)")
    with pytest.raises(DataError, match="The manifest in postgresql://"):
        PostgresBackend(own_team.backend.address).snapshot()


def _url(store):
    from urllib.parse import quote

    address = store.backend.address
    password = quote(address.password.get_secret_value(), safe="")
    return f"postgresql://{address.user}:{password}@{address.host}:{address.port}/{address.database}"


def test_a_saved_frame_is_verified_against_the_database(team, tmp_path):
    frame = team.get_historical_features(["AAA1", "OHLC"], ["sma_20", "beta_252d", "sentiment_z"], "2019-01-02")
    again = FeatureFrame.load(frame.save(tmp_path / "frame.parquet"))
    assert again.is_pit_validated
    assert {check.outcome for check in again.verify(team).checks} == {"held"}
    alone = again.verify()
    assert alone
    assert [check.name for check in alone.impossible] == ["sources", "answers"]
    assert "hand over the store" in alone.impossible[0].said
