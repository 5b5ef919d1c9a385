"""PostgreSQL's binary formats: what numpy writes the server reads, and both hash the same."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from quantdesk.errors import BadInput
from quantdesk.features.postgres import Address, binary
from quantdesk.features.postgres.connection import connect

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
FIRST, LAST = (dt.datetime(year, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None) for year in (1700, 2200))
rows = st.lists(
    st.tuples(
        st.none() | st.floats(),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.booleans(),
        st.none() | st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)),
        st.none() | st.datetimes(FIRST, LAST, timezones=st.just(dt.UTC)),
        st.none() | texts,
        st.none() | st.integers(-(2**15), 2**15 - 1),
        st.none() | st.floats(width=32),
    ),
    max_size=30,
)
TYPES = [
    pa.float64(), pa.int64(), pa.bool_(), pa.date32(), pa.timestamp("us", "UTC"), pa.string(), pa.int16(), pa.float32(),
]  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres):
    with psycopg.connect(postgres(), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE f (_seq int, a float8, b int8, c bool, d date, e timestamptz, f text, g int2, h float8)"
        )
        yield connection


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows)
def test_copied_rows_arrive_and_hash_alike(rows, database):
    columns = [pa.chunked_array([pa.array(range(len(rows)), pa.int32())])]
    columns += [pa.chunked_array([pa.array([row[i] for row in rows], kind)]) for i, kind in enumerate(TYPES)]
    columns[6] = columns[6].dictionary_encode()
    database.execute("TRUNCATE f")
    with database.cursor().copy("COPY f FROM STDIN (FORMAT binary)") as copy:
        copy.write(binary.header() + binary.encode(columns).body.tobytes() + binary.trailer())
    found = database.execute("SELECT a, b, c, d, e, f, g, h FROM f ORDER BY _seq").fetchall()
    assert len(found) == len(rows)
    for mine, theirs in zip(rows, found, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            same = (one == other and math.copysign(1, one) == math.copysign(1, other)) if one == 0.0 else one == other
            assert same or (one != one and other != other)
    digest = database.execute(
        "SELECT encode(sha256(coalesce(string_agg(sha256(record_send(ROW(f._seq, f.a, f.b, f.c, f.d, f.e, f.f, f.g,"
        " f.h))), ''::bytea ORDER BY f._seq), '')), 'hex') FROM f"
    ).fetchone()
    assert digest == (binary.content(columns),)


@given(st.lists(st.integers(-(2**62), 2**62)))
def test_times_fall_downwards_to_microseconds(nanos):
    values = np.array(nanos, dtype=np.int64)
    back = binary.from_moments(binary.to_moments(values))
    assert ((values - back >= 0) & (values - back < 1000)).all()


def test_arrays_go_in_and_come_out(database):
    with connect(_address(database)) as connection:
        numbers = np.array([3, -1, 2**31 - 1])
        moments = binary.to_moments(np.array([0, 1_600_000_000_123_456_000]))
        cursor = connection.cursor()
        cursor.execute("SELECT %s, %s", (binary.Int4s(numbers), binary.Moments(moments)), binary=True)
        assert binary.unpack(cursor.pgresult.get_value(0, 0), "i4").tolist() == numbers.tolist()
        assert binary.unpack(cursor.pgresult.get_value(0, 1), "i8").tolist() == moments.tolist()
        cursor.execute("SELECT %s, NULL::int4[], ARRAY[1, NULL]", (binary.Int4s(numbers[:0]),), binary=True)
        empty, none, holed = (cursor.pgresult.get_value(0, place) for place in range(3))
        assert binary.unpack(empty, "i4").tolist() == binary.unpack(none, "f8").tolist() == []
        with pytest.raises(ValueError, match="without nulls"):
            binary.unpack(holed, "i4")


def _address(connection):
    info = connection.info
    return Address(info.host, info.port, info.dbname, info.user, SecretStr(info.password))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1_500], pa.timestamp("ns", "UTC")), "whole microsecond"),
        (pa.array(["a\0b"]), "zero byte"),
        (pa.array([[1.0]]), "list"),
    ],
)
def test_what_postgresql_cannot_keep_is_refused(column, message):
    with pytest.raises(BadInput, match=message):
        binary.encode([pa.chunked_array([column])])
