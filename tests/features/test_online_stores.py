"""Three online stores, one set of rules: which row wins, what a reader sees, what happens when the server is gone."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.features.asof import NOT_A_TIME
from quantdesk.features.online import OnlineConfig
from quantdesk.features.online.address import Address, connect
from quantdesk.features.online.backend import Mark
from quantdesk.features.online.rows import (
    NULL,
    Rows,
    Schema,
    entity_key,
    floats,
    pack,
    pack_floats,
    unpack,
)

VIEW = "desk_prices"
TWO = Schema.of_floats(["writer", "value"])


@pytest.fixture(params=["sqlite", "redis", "postgresql"])
def url(request):
    """Each of the three; None stands for the file."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("redis_server" if request.param == "redis" else "postgres")
    return server()


@pytest.fixture
def backend(url, tmp_path):
    found = connect(url, tmp_path / "online.db")
    yield found
    found.close()


def row(key, event, created, writer=0.0, value=0.0):
    return key, event, created, writer, value


def rows_of(*lines):
    keys, event, created, *values = zip(*lines, strict=True)
    return Rows(
        [key.encode() for key in keys],
        np.array(event, dtype=np.int64),
        np.array(created, dtype=np.int64),
        pack_floats(TWO, np.column_stack(values)),
    )


def put(backend, *lines, as_of=0, **more):
    with backend.session() as writer:
        return writer.put(VIEW, TWO, rows_of(*lines), as_of=as_of, **more)


def stored(backend, *keys, view=VIEW):
    """Per key (event, created, writer, value), None where nothing answers."""
    answer = backend.read([(view, [key.encode() for key in keys])])
    values, event, created = floats(answer.schemas, answer.rows[0], ["writer", "value"])
    lines = zip(event.tolist(), created.tolist(), *values.T.tolist(), strict=True)
    return [None if line[0] == NOT_A_TIME else line for line in lines]


# Which row wins.


def test_an_older_row_never_replaces_a_newer_one(backend):
    assert stored(backend, "a") == [None]
    assert put(backend, row("a", 10, 12, 1, 1), row("b", 5, 5, 1, 1)) == 2
    assert put(backend, row("a", 9, 99, 2, 2)) == 0
    assert put(backend, row("a", 10, 11, 2, 2)) == 0
    assert stored(backend, "a", "b", "c") == [(10, 12, 1, 1), (5, 5, 1, 1), None]
    assert put(backend, row("a", 10, 13, 3, 3)) == 1, "a revision: the same event, created later"
    assert put(backend, row("a", 10, 13, 4, 4)) == 1, "the same row again, corrected"
    assert put(backend, row("a", 11, 11, 5, 5)) == 1, "a later event wins, whenever it was created"
    assert stored(backend, "a") == [(11, 11, 5, 5)]


def test_of_one_batch_the_latest_row_of_each_key_wins(backend):
    put(backend, row("a", 3, 3, 1, 1), row("a", 5, 5, 2, 2), row("a", 5, 4, 3, 3), row("a", 4, 9, 4, 4))
    assert stored(backend, "a") == [(5, 5, 2, 2)]


def test_times_that_differ_in_a_nanosecond_or_lie_before_1970(backend):
    now = 1_795_000_000_000_000_001
    put(backend, row("a", now, now, 1, 1), row("b", -5, -5, 1, 1))
    assert put(backend, row("a", now - 1, now, 2, 2)) == 0
    assert put(backend, row("b", -6, 0, 2, 2)) == 0
    assert put(backend, row("a", now + 1, now, 3, 3), row("b", -4, -9, 3, 3)) == 2
    assert stored(backend, "a", "b") == [(now + 1, now, 3, 3), (-4, -9, 3, 3)]


def test_new_definitions_replace_every_row_and_shut_out_writers_by_the_old_ones(backend):
    with backend.session() as writer:
        old = writer.begin(VIEW, "one")
        writer.put(VIEW, TWO, rows_of(row("a", 10, 20, 1, 1)), as_of=0, era=old, marks={"p": Mark("h", 10)})
        writer.finish(VIEW, era=old, until=30, build="first")
    assert backend.states()[VIEW].until == 30
    with backend.session() as writer:
        assert writer.begin(VIEW, "one") == old
        new = writer.begin(VIEW, "two")
        assert new == old + 1
    assert backend.marks(VIEW) == {}, "all is to be brought over again"
    assert backend.states()[VIEW].until == 30, "until then the old rows answer"
    assert stored(backend, "a") == [(10, 20, 1, 1)]
    with backend.session() as writer:
        assert writer.put(VIEW, TWO, rows_of(row("a", 10, 15, 2, 2)), as_of=0, era=new) == 1
        assert writer.put(VIEW, TWO, rows_of(row("a", 99, 99, 3, 3)), as_of=0, era=old, marks={"p": Mark("h", 99)}) == 0
        writer.finish(VIEW, era=old, until=99, build="late")
        assert writer.put(VIEW, TWO, rows_of(row("a", 11, 11, 4, 4)), as_of=0) == 1, "without an era: the current one"
    assert stored(backend, "a") == [(11, 11, 4, 4)]
    assert backend.states()[VIEW].until == 30
    with backend.session() as writer:
        assert writer.begin(VIEW, "two", afresh=True) == new + 1


def test_a_voided_key_answers_nothing_and_no_old_row_brings_it_back(backend):
    put(backend, row("a", 10, 20, 1, 1), row("b", 50, 50, 1, 1))
    with backend.session() as writer:
        keys = [b"a", b"b", b"never there"]
        assert writer.void(VIEW, keys, as_of=100, era=0, newest=40) == 1, "b is newer than what the source reaches"
        assert writer.void(VIEW, keys, as_of=110, era=0, newest=40) == 0, "once is enough"
    assert stored(backend, "a", "b") == [None, (50, 50, 1, 1)]
    assert list(backend.keys(VIEW)) == [b"b"]
    assert put(backend, row("a", 10, 20, 2, 2), as_of=90) == 0, "this writer had looked before"
    assert stored(backend, "a") == [None]
    assert put(backend, row("a", 10, 20, 3, 3), as_of=101) == 1, "this one saw the key after it was gone: it is back"
    assert stored(backend, "a") == [(10, 20, 3, 3)]
    with backend.session() as writer:
        writer.void(VIEW, [b"a"], as_of=120, era=0, newest=40)
    assert put(backend, row("a", 11, 11, 4, 4), as_of=0) == 1, "a later event is news, whoever brings it"


def test_marks_states_and_dropping(backend):
    with backend.session() as writer:
        era = writer.begin(VIEW, "one")
        marks = {"p=1": Mark("h1", 1), "p=2": Mark("h2", 2, due=7)}
        writer.put(VIEW, TWO, rows_of(row("a", 1, 1)), as_of=0, era=era, marks=marks)
        writer.unmark(VIEW, ["p=1"])
        writer.finish(VIEW, era=era, until=5, build="b")
        writer.finish(VIEW, era=era, until=4, build="an older run that ends later")
        writer.checkpoint()
    assert backend.marks(VIEW) == {"p=2": Mark("h2", 2, due=7)}
    state = backend.states()[VIEW]
    assert (state.era, state.definitions, state.until, state.build) == (era, "one", 5, "b")
    put(backend, row("z", 1, 1, 9, 9), as_of=0)
    with backend.session() as writer:
        writer.drop(VIEW)
    assert stored(backend, "a", "z") == [None, None]
    assert (dict(backend.marks(VIEW)), dict(backend.states()), list(backend.keys(VIEW))) == ({}, {}, [])


def test_many_keys_and_several_views_in_one_question(backend):
    names = [f"k{n:05d}" for n in range(1300)]
    put(backend, *[row(name, n, n, n, n) for n, name in enumerate(names)])
    with backend.session() as writer:
        writer.put("desk_other", TWO, rows_of(row("k00007", 1, 1, 5, 5)), as_of=0)
    answer = backend.read([(VIEW, [name.encode() for name in names]), ("desk_other", [b"k00007"]), ("desk_none", [])])
    values, event, _ = floats(answer.schemas, answer.rows[0], ["value"])
    assert values[:, 0].tolist() == event.tolist() == list(range(1300))
    assert floats(answer.schemas, answer.rows[1], ["value"])[0].tolist() == [[5.0]]
    assert list(answer.rows[2]) == []


writes = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=12
)


class TestInterleavings:
    """Whatever the order in which writers write, each key ends at the maximum by (event, created)."""

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_order(self, backend, data):
        self.check(backend, data)

    @pytest.mark.slow
    @settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_order_often(self, backend, data):
        self.check(backend, data)

    @staticmethod
    def check(backend, data):
        """Three writers, each with batches of its own, interleaved at random by one thread per writer and a seed."""
        with backend.session() as writer:
            writer.drop(VIEW)
        plan = data.draw(writes)
        batches = [[line for line in plan if line[3] == writer] for writer in range(3)]
        barrier = threading.Barrier(3)

        def run(writer):
            barrier.wait()
            for key, event, created, _ in batches[writer]:
                put(backend, row(key, event, created, writer, event * 10 + created))

        threads = [threading.Thread(target=run, args=(writer,)) for writer in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        for key in "abc":
            times = [(event, created) for name, event, created, _ in plan if name == key]
            (found,) = stored(backend, key)
            assert (None if found is None else found[:2]) == max(times, default=None)
            if found is not None:
                assert found[3] == found[0] * 10 + found[1], "values and times are those of one row"


WRITER = textwrap.dedent(
    """
    import sys
    import numpy as np
    from pathlib import Path
    from quantdesk.features.online.address import connect
    from quantdesk.features.online.rows import Rows, Schema, pack_floats

    url, file, seed = sys.argv[1] or None, Path(sys.argv[2]), int(sys.argv[3])
    rng = np.random.default_rng(seed)
    backend, schema = connect(url, file), Schema.of_floats(["writer", "value"])
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(15):
        keys = [f"k{n}".encode() for n in rng.choice(20, size=8, replace=False)]
        event, created = rng.integers(0, 50, 8), rng.integers(0, 50, 8)
        packed = pack_floats(schema, np.column_stack([np.full(8, float(seed)), event * 100.0 + created]))
        with backend.session() as writer:
            writer.put("desk_prices", schema, Rows(keys, event, created, packed), as_of=0)
    """
)


@pytest.mark.slow
def test_writers_in_processes_of_their_own(backend, url, tmp_path):
    command = [sys.executable, "-c", WRITER, url or "", str(tmp_path / "online.db")]
    writers = [
        subprocess.Popen([*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for seed in range(2)
    ]
    for one in writers:
        assert one.stdout.readline() == "ready\n"
    for one in writers:
        one.stdin.write("\n")
        one.stdin.flush()
    assert [one.communicate(timeout=60) and one.returncode for one in writers] == [0, 0]
    best = {}
    for seed in range(2):
        rng = np.random.default_rng(seed)
        for _ in range(15):
            keys = [f"k{n}" for n in rng.choice(20, size=8, replace=False)]
            for key, *times in zip(keys, rng.integers(0, 50, 8).tolist(), rng.integers(0, 50, 8).tolist(), strict=True):
                best[key] = max(best.get(key, (-1, -1)), tuple(times))
    found = stored(backend, *best)
    assert {key: line[:2] for key, line in zip(best, found, strict=True)} == best
    assert all(line[3] == line[0] * 100 + line[1] for line in found)


# When the server is not there, or the address is wrong.


@pytest.mark.parametrize("kind", ["redis_server", "postgres"])
def test_a_wrong_password_is_one_clear_error_without_it(request, tmp_path, kind):
    server = request.getfixturevalue(kind)
    if kind == "postgres":
        bad = server().replace(":" + server.url("x").split(":")[2].split("@")[0], ":not-the-Secret")
    else:
        bad = server.url(0, password="not-the-Secret")
    backend = connect(bad, tmp_path / "no.db")
    with pytest.raises(EnvironmentProblem, match="does not answer") as told:
        backend.states()
    assert "not-the-Secret" not in str(told.value)
    assert "127.0.0.1" in str(told.value)
    assert told.value.__cause__ is None, "what the driver said may name it"
    assert "not-the-Secret" not in repr(backend)


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_nobody_listens(scheme, tmp_path):
    backend = connect(f"{scheme}://desk:hidden@127.0.0.1:1/0", tmp_path / "no.db")
    for attempt in (lambda: backend.read([(VIEW, [b"a"])]), lambda: put(backend, row("a", 1, 1))):
        with pytest.raises(EnvironmentProblem, match=f"{scheme}://127.0.0.1:1/0 does not answer") as told:
            attempt()
        assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://desk:hidden@host/db", "no online store behind a 'mysql' URL"),
        ("host/hidden", "no online store behind a 'missing' URL"),
        ("redis://:hid#den@host", "cannot be read"),
        ("redis:///0", "names no host"),
        ("redis://:hidden@host/prices", "is not a number"),
        ("postgresql://desk:hidden@host:54x2/db", "cannot be read"),
    ],
)
def test_an_address_that_cannot_be_right(url, said, tmp_path):
    with pytest.raises(BadInput, match=said) as told:
        connect(url, tmp_path / "no.db")
    assert "hid" not in str(told.value)
    assert "redis://host:6379/0" in str(told.value)


def test_the_address_is_a_secret(monkeypatch):
    monkeypatch.setenv("QUANTDESK_ONLINE_URL", "redis://:hidden@host:6380/2")
    config = OnlineConfig.from_env()
    assert "hidden" not in repr(config)
    address = Address(config.url.get_secret_value())
    assert repr(address) == "Address('redis://host:6380/2')"
    assert address.clean("no hidden  here\n") == "no *** here"


def test_a_server_that_went_away_is_found_again(request, tmp_path):
    """Redis without a disk has lost all; a client need not be made anew, and is told nothing wrong."""
    import redisserver

    request.getfixturevalue("redis_server")
    server = redisserver.Server(redisserver.find_redis())
    backend = connect(server(), tmp_path / "no.db")
    try:
        put(backend, row("a", 1, 1, 1, 1))
        server.stop()
        with pytest.raises(EnvironmentProblem, match="does not answer"):
            put(backend, row("a", 2, 2, 2, 2))
        server.start()
        assert stored(backend, "a") == [None]
        put(backend, row("a", 2, 2, 2, 2))
        assert stored(backend, "a") == [(2, 2, 2, 2)]
    finally:
        server.stop()
        backend.close()


def test_a_connection_that_the_database_dropped_is_made_again(postgres, tmp_path):
    import psycopg

    url = postgres()
    backend = connect(url, tmp_path / "no.db")
    put(backend, row("a", 1, 1, 1, 1))
    with psycopg.connect(postgres.admin(), autocommit=True) as admin:
        name = url.rpartition("/")[2]
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
    assert stored(backend, "a") == [(1, 1, 1, 1)]
    backend.close()


# The file.


def test_readers_of_the_file_wait_for_nobody_and_a_failed_write_leaves_no_trace(tmp_path):
    backend = connect(None, tmp_path / "online.db")
    put(backend, row("a", 1, 1, 1, 1))
    reader = connect(None, tmp_path / "online.db")

    def fail():
        with backend.session() as writer:
            writer.put(VIEW, TWO, rows_of(row("a", 2, 2, 2, 2)), as_of=0)
            assert stored(reader, "a") == [(1, 1, 1, 1)]
            writer.checkpoint()
            assert stored(reader, "a") == [(2, 2, 2, 2)]
            writer.put(VIEW, TWO, rows_of(row("a", 3, 3, 3, 3)), as_of=0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert stored(reader, "a") == [(2, 2, 2, 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".online.db.lock", "online.db"]
    before = (tmp_path / "online.db").stat().st_mtime_ns
    with backend.session() as writer:
        writer.checkpoint()
    assert (tmp_path / "online.db").stat().st_mtime_ns == before, "nothing was written"
    backend.close()
    reader.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_a_damaged_file_is_named(tmp_path, content):
    backend = connect(None, tmp_path / "online.db")
    put(backend, *[row(f"k{n}", 1, 1, 1, 1) for n in range(500)])
    backend.close()
    path = tmp_path / "online.db"
    whole = path.read_bytes()
    path.write_bytes(content or whole[: len(whole) // 2])
    with pytest.raises((DataError, EnvironmentProblem), match=r"online\.db") as told:
        stored(backend, *[f"k{n}" for n in range(500)])
    assert "features build" in told.value.remedy
    backend.close()


# Packed rows.

values_of = {
    "double_val": st.floats(),
    "int64_val": st.integers(-(2**63), 2**63 - 1),
    "bool_val": st.booleans(),
    "string_val": st.text(),
    "bytes_val": st.binary(),
    "float_list_val": st.binary(),
}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_packed_comes_back(data):
    kinds = data.draw(st.lists(st.sampled_from(sorted(values_of)), min_size=1, max_size=12))
    schema = Schema(tuple((f"c{n}", kind) for n, kind in enumerate(kinds)))
    values = [data.draw(st.none() | values_of[kind]) for kind in kinds]
    raw = pack(schema, values)
    given_back = unpack(schema, raw)
    np.testing.assert_equal(given_back, values)
    assert [type(one) for one in given_back] == [type(one) for one in values]
    assert Schema.from_json(schema.to_json()) == schema
    if raw[8:]:
        with pytest.raises(DataError, match="damaged"):
            unpack(schema, raw[: data.draw(st.integers(0, len(raw) - 1))])


def test_a_matrix_packs_as_its_rows_do():
    schema = Schema.of_floats(["a", "b"])
    matrix = np.array([[1.0, np.nan], [np.nan, 2.0]])
    absent = np.array([[False, False], [True, False]])
    packed = pack_floats(schema, matrix, absent)
    np.testing.assert_equal([unpack(schema, one) for one in packed], [[1.0, np.nan], [None, 2.0]])
    read, _, _ = floats({schema.tag: schema}, [(1, 1, one) for one in packed], ["b", "a"])
    expected = np.array([[np.nan, 1.0], [2.0, np.nan]])
    assert read.tobytes() == expected.tobytes(), "to a reader one NaN is as good as another"
    assert packed == [pack(schema, [1.0, np.nan]), pack(schema, [None, 2.0])]
    assert np.isnan(NULL)
    assert all(len(one) == 8 + 16 for one in packed), "a row is its tag and its numbers"


def test_rows_of_two_layouts_are_one_matrix():
    """While new definitions come in, some rows have a column that others lack."""
    old, new = Schema.of_floats(["a"]), Schema((("b", "int64_val"), ("a", "double_val")))
    found = [(1, 2, pack(old, [1.0])), None, (3, 4, pack(new, [7, 2.0]))]
    values, event, created = floats({old.tag: old, new.tag: new}, found, ["a", "b"])
    np.testing.assert_equal(values, [[1.0, np.nan], [np.nan, np.nan], [2.0, 7.0]])
    assert event.tolist() == [1, NOT_A_TIME, 3]
    assert created.tolist() == [2, NOT_A_TIME, 4]
    with pytest.raises(DataError, match="unknown layout"):
        floats({old.tag: old}, found, ["a"])
    with pytest.raises(DataError, match="length is wrong"):
        floats({old.tag: old}, [(1, 2, pack(old, [1.0])[:-1])], ["a"])


def test_marks_survive_as_text():
    mark = Mark("h", -5, due=2**60)
    assert Mark.from_json(mark.to_json()) == mark
    assert Mark.from_json(dataclasses.replace(mark, due=None).to_json()).due is None


@given(st.text(), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
@settings(max_examples=30, deadline=None)
def test_keys_are_those_of_feast(text, big, small):
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    theirs = EntityKey(
        join_keys=["zz", "shop", "n"],
        entity_values=[Value(int64_val=big), Value(string_val=text), Value(int32_val=small)],
    )
    ours = entity_key(["n", "zz", "shop"], [small, big, text], ["int32", "int64", "string"])
    assert ours == serialize_entity_key(theirs, entity_key_serialization_version=3)
