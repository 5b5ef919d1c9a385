"""Filling an online store: only what is new, never ahead of the data, taken up after a kill, while readers read."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.features.online import fill as module
from quantdesk.features.online.address import connect
from quantdesk.features.online.fill import Filled, Pace, Partition, Plan, fill, is_filled
from quantdesk.features.online.rows import DUMMY, Schema, entity_key, floats, unpack
from quantdesk.records import sha256_of

DAY = 86_400_000_000_000
SCHEMA = Schema.of_floats(["a", "b"])
KEY = [("symbol", "symbol", "string")]


@pytest.fixture(params=["sqlite", "redis", "postgresql"])
def url(request):
    if request.param == "sqlite":
        return None
    return request.getfixturevalue("redis_server" if request.param == "redis" else "postgres")()


@pytest.fixture
def backend(url, tmp_path):
    found = connect(url, tmp_path / "online.db")
    yield found
    found.close()


@pytest.fixture
def file_backend(tmp_path):
    found = connect(None, tmp_path / "online.db")
    yield found
    found.close()


def write(path, rows, group=1000, **keys):
    """Rows of (event day, created day, a)."""
    event, created, a = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
    columns = {
        **{name: pa.array(values) for name, values in keys.items()},
        "event": pa.array((event * DAY).astype(np.int64), pa.timestamp("ns", tz="UTC")),
        "made": pa.array((created * DAY).astype(np.int64), pa.timestamp("ns", tz="UTC")),
        "a": pa.array(a.astype(float)),
        "b": pa.array(a.astype(float) + 0.5),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group)


def plan_of(folder, definitions="one", build=None, keys=KEY, **changes):
    """Each file is a partition; one named after a symbol holds its rows only."""
    files = sorted(folder.glob("*.parquet"))
    partitions = [
        Partition(path.name, path, sha256_of(path), path.stem if keys is KEY and path.stem != "all" else None)
        for path in files
    ]
    sources = build or "|".join(one.source for one in partitions)
    given = {"view": "desk_v", "schema": SCHEMA, "partitions": partitions, "keys": keys, "event": "event"}
    return Plan(**{**given, "created": "made", "definitions": definitions, "build": sources, **changes})


def run(backend, plan, day, pace=None, tell=None, **more):
    with backend.session() as writer:
        return fill(backend, writer, plan, day * DAY, pace, tell, **more)


def stored(backend, *keys):
    """Per key (event day, a), None where nothing answers."""
    rows = backend.read([("desk_v", list(keys))])
    values, event, _ = floats(rows.schemas, rows.rows[0], ["a", "b"])
    assert all(np.isnan(a) or b == a + 0.5 for a, b in values)
    found = zip(rows.rows[0], event.tolist(), values[:, 0].tolist(), strict=True)
    return [None if row is None else (event // DAY, a) for row, event, a in found]


def symbols(*names):
    return [entity_key(["symbol"], [name]) for name in names]


def test_the_latest_row_that_was_known_and_later_what_became_known(backend, tmp_path):
    write(tmp_path / "f/A.parquet", [(1, 1, 1), (3, 3, 3), (3, 5, 30), (2, 6, 20), (4, 8, 4)])
    write(tmp_path / "f/B.parquet", [(9, 9, 9)])
    plan = plan_of(tmp_path / "f")
    assert not is_filled(backend, plan, 4 * DAY)
    assert run(backend, plan, 4) == Filled(2, 0, 1, 0)
    assert stored(backend, *symbols("A", "B")) == [(3, 3.0), None]
    assert is_filled(backend, plan, 4 * DAY)
    assert not is_filled(backend, plan, 5 * DAY), "a revision was known then"
    assert run(backend, plan, 5) == Filled(1, 1, 1, 0), "B has nothing to give before day 9"
    assert stored(backend, *symbols("A", "B")) == [(3, 30.0), None]
    run(backend, plan, 7)
    assert stored(backend, *symbols("A")) == [(3, 30.0)], "a late revision of an older event is not the latest"
    run(backend, plan, 9)
    assert stored(backend, *symbols("A", "B")) == [(4, 4.0), (9, 9.0)]
    assert run(backend, plan, 8).written == 0, "an older run does not go back"
    assert stored(backend, *symbols("A", "B")) == [(4, 4.0), (9, 9.0)]
    assert backend.states()["desk_v"].until == 9 * DAY


def test_only_what_is_newer_is_read(file_backend, tmp_path, monkeypatch):
    days = [(day, day, day) for day in range(1, 101)]
    for name in "ABC":
        write(tmp_path / f"f/{name}.parquet", days, group=10)
    run(file_backend, plan_of(tmp_path / "f"), 1000)
    write(tmp_path / "f/B.parquet", [*days, (101, 101, 101), (100, 102, 100.5)], group=10)
    opened = []
    columns = module._columns
    monkeypatch.setattr(module, "_columns", lambda *args: opened.append((args[3].stem, args[1])) or columns(*args))
    assert run(file_backend, plan_of(tmp_path / "f"), 1001) == Filled(1, 2, 1, 0)
    assert set(opened[0][1]) == {9, 10}, "the two groups of ten rows that reach day 100"
    assert {name for name, _ in opened} == {"B"}
    assert stored(file_backend, *symbols("A", "B")) == [(100, 100.0), (101, 101.0)]


def test_a_symbol_that_is_gone_is_voided_and_may_come_back(backend, tmp_path):
    for number, name in enumerate("ABC"):
        write(tmp_path / f"f/{name}.parquet", [(5, 5, number)])
    write(tmp_path / "f/D.parquet", [(50, 50, 4)])
    run(backend, plan_of(tmp_path / "f"), 60)
    (tmp_path / "f/B.parquet").rename(tmp_path / "B")
    (tmp_path / "f/D.parquet").rename(tmp_path / "D")
    assert run(backend, plan_of(tmp_path / "f"), 61).voided == 1
    assert stored(backend, *symbols("A", "B", "D")) == [(5, 0.0), None, (50, 4.0)], "this source ends before D's row"
    assert sorted(backend.marks("desk_v")) == ["A.parquet", "C.parquet"]
    (tmp_path / "B").rename(tmp_path / "f/B.parquet")
    run(backend, plan_of(tmp_path / "f"), 62)
    assert stored(backend, *symbols("B")) == [(5, 1.0)]


def test_rows_that_were_taken_back_need_a_fresh_start(backend, tmp_path):
    write(tmp_path / "f/A.parquet", [(5, 5, 5), (6, 6, 6)])
    run(backend, plan_of(tmp_path / "f"), 10)
    write(tmp_path / "f/A.parquet", [(5, 5, 5)])
    run(backend, plan_of(tmp_path / "f"), 11)
    assert stored(backend, *symbols("A")) == [(6, 6.0)], "by itself nothing goes back"
    run(backend, plan_of(tmp_path / "f"), 12, afresh=True)
    assert stored(backend, *symbols("A")) == [(5, 5.0)]
    write(tmp_path / "f/A.parquet", [(5, 4, 44)])
    run(backend, plan_of(tmp_path / "f", definitions="two"), 13)
    assert stored(backend, *symbols("A")) == [(5, 44.0)], "nor are new definitions held back by an earlier created time"


def test_several_keys_in_one_file_and_a_view_without_keys(backend, tmp_path):
    keys = [("shop", "store", "string"), ("product", "product", "int64")]
    rows = [(1, 1, 1), (2, 2, 2), (1, 1, 3), (1, 3, 4)]
    write(tmp_path / "m/all.parquet", rows, store=["x", "x", "y", "z"], product=[1, 1, 7, 7])
    run(backend, plan_of(tmp_path / "m", keys=keys), 2)
    of = [entity_key(["product", "shop"], one, ["int64", "string"]) for one in ([1, "x"], [7, "y"], [7, "z"])]
    assert stored(backend, *of) == [(2, 2.0), (1, 3.0), None]
    write(tmp_path / "m/more.parquet", [(1, 1, 9)], store=["w"], product=[1])
    assert run(backend, plan_of(tmp_path / "m", keys=keys), 2) == Filled(1, 1, 1, 0), (
        "those of the other file are there"
    )
    assert stored(backend, *of)[:2] == [(2, 2.0), (1, 3.0)]
    (tmp_path / "m/all.parquet").unlink()
    write(tmp_path / "m/all.parquet", [(2, 2, 5)], store=["x"], product=[1])
    assert run(backend, plan_of(tmp_path / "m", keys=keys), 2).voided == 1
    assert stored(backend, *of) == [(2, 5.0), None, None]
    write(tmp_path / "n/all.parquet", [(1, 1, 1), (2, 2, 2)])
    run(backend, plan_of(tmp_path / "n", keys=[], definitions="two"), 2)
    assert stored(backend, DUMMY) == [(2, 2.0)]


def test_other_types_than_floats_and_no_created_column(file_backend, tmp_path):
    schema = Schema((("name", "string_val"), ("n", "int64_val"), ("up", "bool_val"), ("x", "double_val")))
    (tmp_path / "f").mkdir()
    times = pa.array([DAY, 2 * DAY], pa.timestamp("ns"))
    columns = {"event": times, "name": ["old", "é"], "n": [1, 2**62], "up": [True, None], "x": [1.0, None]}
    pq.write_table(pa.table(columns), tmp_path / "f/A.parquet")
    run(file_backend, plan_of(tmp_path / "f", schema=schema, created=None), 5)
    ((event, created, packed),) = file_backend.read([("desk_v", symbols("A"))]).rows[0]
    assert (event, created) == (2 * DAY, 2 * DAY)
    assert unpack(schema, packed) == ["é", 2**62, None, None]


def test_a_damaged_file_is_named_and_what_was_done_stays(backend, tmp_path):
    for number, name in enumerate("ABCD"):
        write(tmp_path / f"f/{name}.parquet", [(5, 5, number)] * 50)
    whole = (tmp_path / "f/C.parquet").read_bytes()
    (tmp_path / "f/C.parquet").write_bytes(whole[: len(whole) // 2])
    pace = Pace(workers=1, partitions=1, keep_every=0)
    with pytest.raises(DataError, match=r"C\.parquet cannot be read"):
        run(backend, plan_of(tmp_path / "f"), 10, pace)
    assert stored(backend, *symbols("A", "B")) == [(5, 0.0), (5, 1.0)]
    assert backend.states()["desk_v"].until is None, "it is not said to be filled"
    (tmp_path / "f/C.parquet").write_bytes(whole)
    told = []
    assert run(backend, plan_of(tmp_path / "f"), 10, pace, lambda *done: told.append(done)).read <= 2
    assert told[-1] == (4, 4)
    assert stored(backend, *symbols(*"ABCD")) == [(5, 0.0), (5, 1.0), (5, 2.0), (5, 3.0)]
    write(tmp_path / "f/D.parquet", [(6, 6, 6)])
    with pytest.raises(DataError, match="has no column 'c'"):
        run(backend, plan_of(tmp_path / "f", schema=Schema.of_floats(["c"])), 10)


rows_of = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=15)


@settings(max_examples=12, deadline=None)
@given(first=rows_of, more=rows_of, days=st.tuples(st.integers(0, 8), st.integers(0, 8)))
def test_a_brute_force_agrees_however_a_file_grows(first, more, days, tmp_path_factory):
    """Two runs over a file that grew between them answer as one look at the whole file does."""
    tmp_path = tmp_path_factory.mktemp("grow")
    backend = connect(None, tmp_path / "online.db")
    lines = [(event, created, number) for number, (event, created) in enumerate([*first, *more])]
    for some, day in ((lines[: len(first)], days[0]), (lines, max(days))):
        write(tmp_path / "f/A.parquet", some, group=3)
        run(backend, plan_of(tmp_path / "f"), day)
    known = [line for line in lines if max(line[0], line[1]) <= max(days)]
    best = max(known, key=lambda line: line, default=None)  # of equal times the last one written
    assert stored(backend, *symbols("A")) == [None if best is None else (best[0], float(best[2]))]
    backend.close()


# Killed, and read meanwhile.

LAUNCHER = textwrap.dedent(
    """
    # Forks a process for each line: importing takes longer than what is to be killed.
    import json, os, sys
    from pathlib import Path
    from quantdesk.features.online.address import connect
    from quantdesk.features.online.fill import Pace, Partition, Plan, fill
    from quantdesk.features.online.rows import Schema, entity_key, floats

    def filling(told):
        plan = told["plan"]
        plan["partitions"] = [Partition(name, Path(path), *rest) for name, path, *rest in plan["partitions"]]
        plan["schema"] = Schema.of_floats(["a", "b"])
        backend = connect(told["url"], Path(told["file"]))
        with backend.session() as writer:
            fill(backend, writer, Plan(**plan), told["now"], Pace(workers=2, partitions=1, keep_every=0))

    def reading(told):
        # Every row is whole, none is missing, none goes back, and no read fails, whatever happens meanwhile.
        backend = connect(told["url"], Path(told["file"]))
        keys = [entity_key(["symbol"], [name]) for name in told["names"]]
        before, reads = [0] * len(keys), 0
        while not os.path.exists(told["stop"]):
            answer = backend.read([("desk_v", keys)])
            values, event, created = floats(answer.schemas, answer.rows[0], ["a", "b"])
            for place, (a, b) in enumerate(values.tolist()):
                assert b == a + 0.5 and a % 1000 == place, (place, a, b)
                assert a // 1000 == event[place] // 86_400_000_000_000 >= before[place], (place, a, before)
                before[place] = a // 1000
            reads += 1
        Path(told["stop"] + ".reads").write_text(str(reads))

    print("ready", flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        child = os.fork()
        if not child:
            try:
                os.setsid()
                {"fill": filling, "read": reading}[told.pop("do")](told)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        if told.get("wait", True):
            print(os.waitpid(child, 0)[1], flush=True)
    """
)


class Launcher:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def start(self, **told):
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def status(self):
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def launcher():
    found = Launcher()
    yield found
    found.process.communicate(timeout=60)


NAMES = [f"S{number:02d}" for number in range(24)]


def generation(folder, number):
    """All symbols, each with a row of the day `number`."""
    for place, name in enumerate(NAMES):
        write(folder / f"{number}" / f"{name}.parquet", [(number, number, number * 1000 + place)])
    return plan_of(folder / f"{number}")


def told_of(plan):
    given = {name: getattr(plan, name) for name in ("view", "keys", "event", "created", "definitions", "build")}
    return {**given, "partitions": [(one.name, str(one.path), one.source, one.key) for one in plan.partitions]}


def kills(launcher, backend, url, tmp_path, number, seed):
    """Fill generation after generation, each killed at a random moment and then taken up, under a reader's eyes."""
    rng = random.Random(seed)
    run(backend, generation(tmp_path, 1), 1)
    shared = {"url": url, "file": str(tmp_path / "online.db")}
    reader = Launcher()
    reader.start(do="read", wait=False, names=NAMES, stop=str(tmp_path / "stop"), **shared)
    began = time.monotonic()
    run(backend, generation(tmp_path, 2), 2, Pace(workers=2, partitions=1, keep_every=0))
    takes, early = time.monotonic() - began, 0
    for day in range(3, 3 + number):
        plan = generation(tmp_path, day)
        child = launcher.start(do="fill", plan=told_of(plan), now=day * DAY, **shared)
        time.sleep(rng.uniform(0, takes))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        early += launcher.status() == signal.SIGKILL
        found = stored(backend, *symbols(*NAMES))
        assert {event for event, _ in found} <= {day - 1, day}, "each row is old or new"
        marks = backend.marks("desk_v")
        for place, one in enumerate(plan.partitions):
            if one.name in marks and marks[one.name].source == one.source:
                assert found[place][0] == day, "no mark is ahead of its rows"
        done = run(backend, plan, day)
        assert done.read + done.skipped == len(NAMES)
        assert stored(backend, *symbols(*NAMES)) == [(day, day * 1000.0 + place) for place in range(len(NAMES))]
        assert is_filled(backend, plan, day * DAY)
    (tmp_path / "stop").touch()
    reader.process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while not (tmp_path / "stop.reads").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert int((tmp_path / "stop.reads").read_text()) > number, "the reader ended without finding fault"
    assert early, "at least one was killed in the midst"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_killed_at_any_moment(launcher, backend, url, tmp_path):
    kills(launcher, backend, url, tmp_path, 3, seed=1)


@pytest.mark.slow
def test_killed_at_any_moment_a_hundred_times(launcher, backend, url, tmp_path):
    kills(launcher, backend, url, tmp_path, 100, seed=2)


# The server goes away in the midst.


def stop_redis(server):
    import redis

    import redisserver

    with redis.Redis(port=server.port, password=redisserver.PASSWORD) as client:
        client.config_set("requirepass", "another")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")


def start_redis(server):
    import redis

    import redisserver

    with redis.Redis(port=server.port, password="another") as client:
        client.config_set("requirepass", redisserver.PASSWORD)


def stop_postgres(server, name):
    import psycopg

    with psycopg.connect(server.admin(), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


def start_postgres(server, name):
    import psycopg

    with psycopg.connect(server.admin(), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.mark.parametrize("kind", ["redis_server", "postgres"])
def test_the_server_goes_away_in_the_midst(request, tmp_path, kind):
    server = request.getfixturevalue(kind)
    url = server()
    backend = connect(url, tmp_path / "no.db")
    name = url.rpartition("/")[2]
    run(backend, generation(tmp_path, 1), 1)
    plan, gone = generation(tmp_path, 2), []

    def tell(done, total):
        if done >= total // 3 and not gone:
            gone.append(done)
            stop_redis(server) if kind == "redis_server" else stop_postgres(server, name)

    with pytest.raises(EnvironmentProblem, match="does not answer") as told:
        run(backend, plan, 2, Pace(workers=2, partitions=1), tell)
    password = sys.modules["redisserver" if kind == "redis_server" else "postgresql"].PASSWORD
    assert password not in str(told.value)
    with pytest.raises(EnvironmentProblem, match="does not answer"):
        stored(backend, *symbols(*NAMES))
    start_redis(server) if kind == "redis_server" else start_postgres(server, name)
    found = stored(backend, *symbols(*NAMES))
    assert {event for event, _ in found} == {1, 2}, "nothing was lost, and some are new"
    done = run(backend, plan, 2)
    assert 0 < done.skipped < len(NAMES)
    assert {event for event, _ in stored(backend, *symbols(*NAMES))} == {2}
    backend.close()


def test_of_two_runs_at_once_the_newer_wins(backend, tmp_path):
    """The older one has read its files, and writes after the newer has ended."""
    old, new = generation(tmp_path, 1), generation(tmp_path, 2)
    with backend.session() as writer:
        era = writer.begin("desk_v", "one")
        late = module._Run(writer, old, 1 * DAY, era, {})
        fill(backend, writer, new, 2 * DAY)
        late.step(old.partitions)
        writer.finish("desk_v", era=era, until=1 * DAY, build=old.build)
    assert {event for event, _ in stored(backend, *symbols(*NAMES))} == {2}
    assert backend.states()["desk_v"].until == 2 * DAY
    assert not is_filled(backend, new, 2 * DAY), "the marks of the older run are there: the next run looks again"
    assert run(backend, new, 2).written == len(NAMES)
