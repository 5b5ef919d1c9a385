"""The join in PostgreSQL, against an oracle that looks at every pair of rows.

Many random tables go into the database in one load, each under keys of its own, so that hundreds of cases take seconds
and none may see the rows of another.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.features.asof import NOT_A_TIME, History, Outcome
from quantdesk.features.backend import Asking
from quantdesk.features.definitions import VIEWS
from quantdesk.features.postgres import PostgresBackend, load
from quantdesk.features.proof import examine

START = pd.Timestamp("2020-01-01", tz="UTC").value
STEP = 1_000  # one microsecond, the finest that PostgreSQL keeps

# Few distinct values, so that ties, duplicates, revisions and gaps are the rule and not the exception.
times = st.integers(0, 12)
feature_rows = st.lists(st.tuples(st.integers(0, 3), times, times, st.none() | st.integers(0, 9)), max_size=20)
asked_rows = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 14), st.integers(0, 999)), min_size=1, max_size=12)
cases = st.tuples(feature_rows, asked_rows, st.none() | times, st.none() | st.integers(1, 6))

numbers = itertools.count()


@pytest.fixture(scope="module")
def backend(postgres):
    found = PostgresBackend(postgres())
    yield found
    found.close()


def keyed(number, key):
    return f"case {number}/{key}"


def tables_of(number, rows):
    """One file per key, in the order of writing."""
    for key in sorted({row[0] for row in rows}):
        mine = [row for row in rows if row[0] == key]
        stamp = pa.timestamp("us", tz="UTC")
        event, created = ([START // 1000 + row[place] for row in mine] for place in (1, 2))
        name = keyed(number, key)
        yield (
            f"random/symbol={name.replace('/', '%2F')}/rows.parquet",
            pa.table(
                {
                    "symbol": pa.array([name] * len(mine)).dictionary_encode(),
                    "event_timestamp": pa.array(event, pa.int64()).cast(stamp),
                    "created_timestamp": pa.array(created, pa.int64()).cast(stamp),
                    "value": pa.array([row[3] for row in mine], pa.float64()),
                    "why_value": pa.array([None if row[3] is not None else f"why {key}" for row in mine], pa.string()),
                }
            ),
        )


def check(batch, backend, manifest, builds, oracle):
    files = dict(itertools.chain.from_iterable(tables_of(n, case[0]) for n, case in enumerate(batch)))
    folder, manifest = builds.of_tables(manifest, f"{next(numbers)}", files)
    load(folder, manifest, backend.address)
    snapshot = backend.snapshot()
    for number, (rows, asked, known_by, ttl) in enumerate(batch):
        history = History(*(np.array([row[i] for row in rows], dtype=np.int64) for i in range(3)))
        code, at = (np.array([row[i] for row in asked], dtype=np.int64) for i in range(2))
        expected = oracle(history, code, at, known_by, ttl)

        # Below a microsecond a question still falls between the same two rows, and is that much nearer to expiring.
        below = np.array([row[2] for row in asked], dtype=np.int64) if ttl is None else np.int64(0)
        time = START + at * STEP + below
        limit = None if known_by is None else START + known_by * STEP
        view = dataclasses.replace(
            VIEWS["technical"], name="random", ttl=dt.timedelta(microseconds=ttl or 0), knowledge="invented"
        )
        keys = tuple(keyed(number, key) for key in range(5))
        asking = Asking(keys, code, time, limit)
        matched = snapshot.match(view, ["value"], asking)

        assert [Outcome(one) for one in matched.outcome] == [outcome for _, outcome in expected]
        at_found = [position for position, _ in expected]
        never = NOT_A_TIME
        assert matched.event.tolist() == [never if p < 0 else START + int(history.event[p]) * STEP for p in at_found]
        made = [never if p < 0 else START + int(history.created[p]) * STEP for p in at_found]
        assert matched.created.tolist() == made
        values = [np.nan if p < 0 or rows[p][3] is None else float(rows[p][3]) for p in at_found]
        np.testing.assert_array_equal(matched.columns["value"], values)
        # Which of the rows that agree in all three: the place among the key's rows, in the order of writing.
        place = [-1 if p < 0 else sum(row[0] == rows[p][0] for row in rows[:p]) for p in at_found]
        assert np.where(matched.row < 0, -1, matched.row % (1 << 32)).tolist() == place
        why = [None if p < 0 or rows[p][3] is not None else f"why {rows[p][0]}" for p in at_found]
        assert matched.reasons("value").tolist() == why
        found = examine(matched, time, known_by=limit, ttl=ttl and ttl * STEP, seed=number)
        assert (found.violations, found.oracle_mismatches, found.oracle_rows) == (0, 0, len(asked))
    names = sorted({key for n, case in enumerate(batch) for key in (keyed(n, row[0]) for row in case[0])})
    assert snapshot.digests([view], names) == manifest_of(snapshot, names)


def manifest_of(snapshot, names):
    return {f: d for f, d in snapshot.manifest.files.items() if any(n.replace("/", "%2F") in f for n in names)}


options = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(max_examples=6, **options)
@given(batch=st.lists(cases, min_size=20, max_size=20))
def test_agrees_with_the_oracle(batch, backend, store, builds, asof_oracle):
    check(batch, backend, store.snapshot().manifest, builds, asof_oracle)


@pytest.mark.slow
@settings(max_examples=250, **options)
@given(batch=st.lists(cases, min_size=40, max_size=40))
def test_agrees_with_the_oracle_ten_thousand_times(batch, backend, store, builds, asof_oracle):
    check(batch, backend, store.snapshot().manifest, builds, asof_oracle)
