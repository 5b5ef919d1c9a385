"""The engine from Parquet to an answer: against brute force, over files of every shape, with its proof."""

from __future__ import annotations

import datetime as dt
import gc
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, BadParameter, DataError
from quantdesk.features.knowledge import EventPlus, LoadTime
from quantdesk.features.parquet import Source, nanoseconds, parts_of, read
from quantdesk.features.question import Asked, Question, content_of
from quantdesk.features.streaming import Streamed, merged, parts

DAY = 86_400 * 10**9
START = int(pd.Timestamp("2020-01-01", tz="UTC").value)


def stamps(days):
    return pd.DatetimeIndex(np.array([START + DAY * day for day in days], dtype="datetime64[ns]")).tz_localize("UTC")


def write(path, rows, group=1000, keys=("shop", "product")):
    """Rows of (shop, product, event, created, price) in days, as Parquet."""
    table = pa.table(
        {
            "shop": pa.array([row[0] for row in rows], pa.string()),
            "product": pa.array([row[1] for row in rows], pa.int64()),
            "event": pa.array(stamps([row[2] for row in rows])).cast(pa.timestamp("us", "UTC")),
            "created": pa.array(stamps([row[3] for row in rows])).cast(pa.timestamp("us", "UTC")),
            "price": pa.array([row[4] for row in rows], pa.float64()),
            "label": pa.array([f"row {place}" for place in range(len(rows))], pa.string()),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    absent = [name for name in ("shop", "product") if name not in keys]
    pq.write_table(table.drop_columns(absent), path, row_group_size=group)
    return path


def question(path, asked, ttl=None, known_by=None, policy=None, **more):
    rows = pd.DataFrame(
        {
            "shop": pd.Series([row[0] for row in asked], dtype=object),
            "product": pd.Series([row[1] for row in asked], dtype=object if not asked else None),
            "when": stamps([row[2] for row in asked]),
        }
    )
    source = Source(
        path, ("shop", "product"), "event", "created", None if ttl is None else dt.timedelta(days=ttl), policy
    )
    view = Asked("prices", source, {"shop": "shop", "product": "product"}, {"price": "price", "label": "label"})
    time = np.array([START + DAY * row[2] for row in asked], dtype=np.int64)
    limit = None if known_by is None else START + DAY * known_by
    return Question(rows, "when", time, (view,), limit, **more)


def oracle(rows, asked, ttl, known_by):
    """The label and price of each asking row, the slow and obvious way."""
    found = []
    for shop, product, when in asked:
        seen = [
            (event, created, place)
            for place, (its_shop, its_product, event, created, _) in enumerate(rows)
            if its_shop == shop and its_product == product and shop is not None and product is not None
            and event <= when and created <= when and (known_by is None or created <= known_by)
        ]  # fmt: skip
        best = max(seen, default=None)
        if best is None or (ttl and when - best[0] > ttl):
            found.append((None, None))
        else:
            found.append((f"row {best[2]}", rows[best[2]][4]))
    return found


def shown(frame):
    labels = [None if label is None else label for label in frame["label"]]
    prices = [None if np.isnan(price) else price for price in frame["price"]]
    return list(zip(labels, prices, strict=True))


def expected(rows, asked, ttl, known_by):
    return [(label, price) for label, price in oracle(rows, asked, ttl, known_by)]


# Few distinct values: ties, duplicates, revisions and gaps are the rule.
shops = st.sampled_from(["a", "b", "c", None])
products = st.integers(1, 2)
days = st.integers(0, 12)
prices = st.none() | st.floats(-5, 5)
feature_rows = st.lists(st.tuples(shops, products, days, days, prices), min_size=1, max_size=24)
asked_rows = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.integers(1, 3), days), max_size=24)
limits = st.tuples(st.none() | st.integers(0, 6), st.none() | days)


def agrees(rows, asked, limits, group, threads):
    ttl, known_by = limits
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "rows.parquet", rows, group)
        asks = question(path, asked, ttl, known_by, threads=threads)
        frame, evidence = asks.frame()
        table, again = asks.table()
        pieces = list(Streamed(asks, rows=10).placed())
    want = expected(rows, asked, ttl, known_by)
    assert shown(frame) == want
    assert list(zip(table["label"].to_pylist(), table["price"].to_pylist(), strict=True)) == want
    streamed = pa.concat_tables([piece for _, piece in pieces], promote_options="permissive").to_pylist()
    order = np.argsort(np.concatenate([place for place, _ in pieces]), kind="stable")
    assert [(streamed[place]["label"], streamed[place]["price"]) for place in order] == want
    assert evidence.is_pit_validated, evidence.failures
    assert again.views == evidence.views
    assert evidence.views[0].found == sum(label is not None for label, _ in want)


@settings(max_examples=100, deadline=None)
@given(feature_rows, asked_rows, limits, st.sampled_from([1, 2, 5, 1000]), st.sampled_from([1, 2]))
def test_files_agree_with_brute_force(rows, asked, limits, group, threads):
    agrees(rows, asked, limits, group, threads)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(feature_rows, asked_rows, limits, st.sampled_from([1, 2, 5, 1000]), st.sampled_from([1, 2]))
def test_files_agree_with_brute_force_ten_thousand_times(rows, asked, limits, group, threads):
    agrees(rows, asked, limits, group, threads)


def big(tmp_path, shops=40, days=400):
    rng = np.random.default_rng(4)
    rows = [
        (f"s{shop:02d}", 1, day, day + int(rng.integers(0, 4)), float(rng.normal()))
        for shop in range(shops)
        for day in range(days)
    ]
    return write(tmp_path / "big.parquet", rows, group=days), rows


def test_only_the_row_groups_of_the_asked_keys_are_read(tmp_path):
    path, _ = big(tmp_path)
    source = Source(path, ("shop", "product"), "event", "created")
    assert len(parts_of(source)[0].groups) == 40
    (part,) = parts_of(source, {"shop": ["s03", "s17"], "product": [1]})
    assert part.groups == (3, 17)
    assert parts_of(source, {"shop": ["elsewhere"]}) == ()
    assert len(parts_of(source, {"shop": ["s03", 4]})[0].groups) == 40, "what cannot be compared leaves nothing out"


def test_many_threads_and_any_order_give_the_same(tmp_path):
    path, rows = big(tmp_path)
    rng = np.random.default_rng(1)
    asked = [(f"s{rng.integers(0, 42):02d}", 1, int(rng.integers(-3, 410))) for _ in range(5000)]
    alone, evidence = question(path, asked, ttl=3, threads=1).frame()
    pd.testing.assert_frame_equal(question(path, asked, ttl=3, threads=4).frame()[0], alone, check_exact=True)
    backwards, _ = question(path, asked[::-1], ttl=3).frame()
    pd.testing.assert_frame_equal(backwards[::-1].reset_index(drop=True), alone, check_exact=True)
    assert evidence.is_pit_validated
    sample = range(0, 5000, 25)
    assert [shown(alone)[place] for place in sample] == expected(rows, [asked[place] for place in sample], 3, None)


def test_a_frame_that_was_changed_no_longer_has_a_proof(tmp_path):
    path, _ = big(tmp_path, shops=2, days=20)
    frame, evidence = question(path, [("s00", 1, 10), ("s01", 1, 12)]).frame()
    assert evidence.holds_for(frame)
    assert content_of(frame) == evidence.content
    assert list(evidence.sources) == [str(path)]
    assert evidence.knowledge == {"prices": "known when its column 'created' says"}
    for change in (
        lambda it: it.assign(price=it["price"] + 1e-12),
        lambda it: it.assign(label=["row 0", "row 1"]),
        lambda it: it.assign(when=it["when"] + pd.Timedelta(1, "ns")),
        lambda it: it.rename(columns={"price": "cost"}),
        lambda it: it[["when", "shop", "product", "price", "label"]],
        lambda it: it[::-1].reset_index(drop=True),
    ):
        assert not evidence.holds_for(change(frame.copy()))


def test_what_nobody_dated_is_not_called_proven(tmp_path):
    path = write(tmp_path / "r.parquet", [("a", 1, 1, 1, 2.0)])
    asks = question(path, [("a", 1, 1)])
    bare = Source(path, ("shop", "product"), "event")
    view = Asked("prices", bare, asks.views[0].keys, {"price": "price"})
    frame, evidence = Question(asks.rows, "when", asks.time, (view,)).frame()
    assert frame["price"].tolist() == [2.0]
    assert not evidence.is_pit_validated
    assert "Nothing says when the rows of prices were known" in evidence.failures[0]


def test_the_policy_of_a_source_says_when_its_rows_were_known(tmp_path):
    # Loaded on day 9 all together: history that was not learned then, and one true revision.
    rows = [("a", 1, 1, 9, 1.0), ("a", 1, 3, 9, 2.0), ("a", 1, 3, 10, 3.0)]
    path = write(tmp_path / "r.parquet", rows)
    asked = [("a", 1, day) for day in (1, 2, 4, 5, 9, 10)]
    one = question(path, asked, policy=EventPlus(dt.timedelta(days=1)))
    assert one.frame()[0]["price"].fillna(0).tolist() == [0, 1, 2, 2, 2, 3]
    assert one.frame()[1].is_pit_validated
    two = question(path, asked, policy=LoadTime())
    assert two.frame()[0]["price"].fillna(0).tolist() == [0, 0, 0, 0, 2, 3]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_keys_and_values_of_any_type(tmp_path, kind):
    table = pa.table(
        {
            "shop": pa.array(["a", "a", None, "b"], pa.string()).cast(kind),
            "event": pa.array(stamps([1, 2, 1, 1])),
            "number": pa.array([2**60, 5, 6, None], pa.int64()),
            "list": pa.array([[1.5], None, [], [2.5, 3.5]], pa.large_list(pa.float64())),
            "word": pa.array(["x", None, "y", "z"]).dictionary_encode(),
            "small": pa.array([1.5, 2.5, 3.5, 4.5], pa.float32()),
            "flag": pa.array([True, False, None, True]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    rows = pd.DataFrame({"shop": ["b", "a", None, "a", "zzz"], "when": stamps([1, 1, 5, 9, 9])})
    names = ["number", "list", "word", "small", "flag"]
    view = Asked("v", Source(tmp_path / "t.parquet", ("shop",), "event"), {"shop": "shop"}, {n: n for n in names})
    asks = Question(rows, "when", np.array([START + DAY * day for day in (1, 1, 5, 9, 9)]), (view,))
    found, _ = asks.table()
    assert found["number"].to_pylist() == [None, 2**60, None, 5, None]
    assert found["list"].to_pylist() == [[2.5, 3.5], [1.5], None, None, None]
    assert found["word"].to_pylist() == ["z", "x", None, None, None]
    assert found["small"].type == pa.float32()
    assert found["flag"].to_pylist() == [True, True, None, False, None]
    frame, evidence = asks.frame()
    assert frame["word"].tolist() == ["z", "x", None, None, None]
    assert evidence.views[0].violations == evidence.views[0].oracle_mismatches == 0
    whole, _ = Question(rows[1:2].reset_index(drop=True), "when", asks.time[1:2], (view,)).frame()
    assert whole["number"].tolist() == [2**60], "not through float64"


@pytest.mark.parametrize("huge", [2**62, -(2**62)])
def test_huge_integer_keys_do_not_overflow(tmp_path, huge):
    keys = [huge, huge + 1, 0, 1]
    table = pa.table({"id": keys, "other": keys, "event": pa.array(stamps([1] * 4)), "x": [1.0, 2.0, 3.0, 4.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    rows = pd.DataFrame({"id": [*keys, huge], "other": [*keys, 0], "when": stamps([2] * 5)})
    source = Source(tmp_path / "t.parquet", ("id", "other"), "event")
    view = Asked("v", source, {"id": "id", "other": "other"}, {"x": "x"})
    frame, _ = Question(rows, "when", np.full(5, START + 2 * DAY), (view,)).frame()
    np.testing.assert_array_equal(frame["x"], [1.0, 2.0, 3.0, 4.0, np.nan])


def test_a_folder_whose_names_hold_the_key(tmp_path):
    for number, shop in enumerate(["a", "b/c", "007"]):
        folder = tmp_path / "rows" / f"shop={shop.replace('/', '%2F')}"
        write(folder / "r.parquet", [(shop, 1, 1, 1, float(number))], keys=("product",))
    frame, evidence = question(tmp_path / "rows", [("007", 1, 2), ("b/c", 1, 2), ("b", 1, 2)]).frame()
    np.testing.assert_array_equal(frame["price"], [2.0, 1.0, np.nan])
    assert len(evidence.sources) == 2


# Damage


def test_a_file_cut_in_half_is_named(tmp_path):
    path, _ = big(tmp_path, shops=3, days=50)
    whole = path.read_bytes()
    for size in (len(whole) // 2, 3, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"big\.parquet cannot be read"):
            question(path, [("s00", 1, 10)]).frame()
    damaged = bytearray(whole)
    damaged[4:2000] = b"\xff" * 1996
    path.write_bytes(bytes(damaged))
    with pytest.raises(DataError, match=r"big\.parquet cannot be read"):
        question(path, [("s00", 1, 10)]).frame()


def test_a_file_replaced_while_it_is_read_gives_no_mixture(tmp_path, monkeypatch):
    from quantdesk.features import retrieval

    path = write(tmp_path / "r.parquet", [("a", 1, 1, 1, 1.0)])
    join = retrieval.as_of_join

    def replaced(*args, **kwargs):
        other = write(tmp_path / "new.parquet", [("a", 1, 1, 1, 2.0)])
        os.replace(other, path)
        return join(*args, **kwargs)

    monkeypatch.setattr(retrieval, "as_of_join", replaced)
    with pytest.raises(DataError, match="was replaced while it was read"):
        question(path, [("a", 1, 2)]).frame()


def test_times_that_are_none(tmp_path):
    base = {"shop": ["a"], "product": [1], "price": [1.0], "label": ["x"]}
    good = pa.array(stamps([1]))

    def ask(**times):
        pq.write_table(pa.table({**base, **times}), tmp_path / "t.parquet")
        return question(tmp_path / "t.parquet", [("a", 1, 2)]).frame()

    with pytest.raises(DataError, match=r"t\.parquet: Feature row 0 has no created time"):
        ask(event=good, created=pa.nulls(1, pa.timestamp("ns", "UTC")))
    with pytest.raises(DataError, match=r"t\.parquet: Feature row 0 has no event time"):
        ask(event=pa.nulls(1), created=good)
    with pytest.raises(DataError, match="'event' holds string, not times"):
        ask(event=pa.array(["2020-01-01"]), created=good)
    with pytest.raises(DataError, match="'created' holds the time 2500"):
        ask(event=good, created=pa.array([dt.datetime(2500, 1, 1)], pa.timestamp("us")))  # noqa: DTZ001 - naive on purpose
    with pytest.raises(DataError, match="has no column 'created'"):
        ask(event=good)
    naive = pa.array([dt.datetime(2020, 1, 2)], pa.timestamp("s"))  # noqa: DTZ001 - naive on purpose
    frame, _ = ask(event=pa.array([dt.date(2020, 1, 2)]), created=naive)
    assert frame["price"].tolist() == [1.0], "a date is its midnight, and what has no zone is in UTC"


def test_created_before_the_event_is_known_from_the_event_on(tmp_path):
    path = write(tmp_path / "r.parquet", [("a", 1, 5, 2, 1.0)])
    frame, evidence = question(path, [("a", 1, 3), ("a", 1, 5)]).frame()
    np.testing.assert_array_equal(frame["price"], [np.nan, 1.0])
    assert evidence.is_pit_validated


def test_nanoseconds_of_every_unit():
    moment = dt.datetime(1969, 12, 31, 23, 59, 59)  # noqa: DTZ001 - naive on purpose
    for unit in ("s", "ms", "us", "ns"):
        column = pa.chunked_array([pa.array([moment, None], pa.timestamp(unit)), pa.array([], pa.timestamp(unit))])
        assert nanoseconds(column).tolist() == [-(10**9), np.iinfo(np.int64).min]


def test_bad_questions(tmp_path):
    path = write(tmp_path / "r.parquet", [("a", 1, 1, 1, 1.0)])
    with pytest.raises(BadInput, match="keys are of type integer, those of the features of type string"):
        question(path, [(7, 1, 2)]).frame()
    asks = question(path, [("a", 1, 2)])
    clash = Asked("again", asks.views[0].source, asks.views[0].keys, {"label": "price"})
    for ask in ("frame", "table"):
        with pytest.raises(BadInput, match="Two columns of the answer are called 'label'"):
            getattr(Question(asks.rows, "when", asks.time, (*asks.views, clash)), ask)()
    with pytest.raises(BadInput, match="no column 'product'"):
        Question(asks.rows.drop(columns="product"), "when", asks.time, asks.views).frame()
    with pytest.raises(DataError, match="has no column 'cost'"):
        other = Asked("v", asks.views[0].source, asks.views[0].keys, {"cost": "cost"})
        Question(asks.rows, "when", asks.time, (other,)).frame()
    with pytest.raises(DataError, match="are not there"):
        read(Source(tmp_path / "nothing", (), "event"), ["event"])
    with pytest.raises(BadParameter, match="0 rows"):
        list(parts(asks, 0))


# Parts


def test_parts_hold_all_rows_of_their_keys(tmp_path):
    path, _ = big(tmp_path)
    asked = [(f"s{place % 7:02d}" if place % 5 else None, 1, place) for place in range(300)]
    asks = question(path, asked)
    found = list(parts(asks, 90))
    assert sorted(np.concatenate(found).tolist()) == list(range(300))
    assert len(found) > 2
    owners = [{asked[place][0] for place in part} for part in found]
    assert sum(map(len, owners)) == len(set().union(*owners)), "no key is in two parts"


def test_the_evidence_of_parts_adds_up(tmp_path):
    path, _ = big(tmp_path)
    asks = question(path, [(f"s{place % 7:02d}", 1, place) for place in range(300)])
    _, whole = asks.table()
    stream = Streamed(asks, rows=90)
    tables = list(stream)
    assert sum(map(len, tables)) == 300
    assert stream.evidence.is_pit_validated
    assert (stream.evidence.views[0].rows, stream.evidence.views[0].found) == (300, whole.views[0].found)
    assert stream.evidence.views[0].oracle_rows > whole.views[0].oracle_rows
    assert stream.evidence.sources == whole.sources
    other = merged([whole, Question(asks.rows, "when", asks.time, asks.views).table()[1]])
    assert other.views[0].rows == 600


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_parts_are_the_same_on_dask_and_in_processes(tmp_path):
    from distributed import LocalCluster

    from quantdesk.compute import Dask, Processes

    path, _ = big(tmp_path)
    rng = np.random.default_rng(2)
    asked = [(f"s{rng.integers(0, 42):02d}", 1, int(rng.integers(-3, 410))) for _ in range(3000)]
    asks = question(path, asked, ttl=5, known_by=300)
    here = list(Streamed(asks, rows=500))
    assert len(here) > 5
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as cluster:
        there = Streamed(asks, Dask(cluster.scheduler_address), rows=500)
        assert all(mine.equals(theirs) for mine, theirs in zip(here, there, strict=True))
        assert there.evidence.is_pit_validated
    assert all(mine.equals(theirs) for mine, theirs in zip(here, Streamed(asks, Processes(2), rows=500), strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_has_joined_may_fork(tmp_path):
    """Warm kernels are forked from a process that may have asked before; no thread and no lock may be in their way."""
    path, _ = big(tmp_path, shops=60, days=400)
    asked = [(f"s{place % 60:02d}", 1, place % 410) for place in range(210_000)]
    asks = question(path, asked, threads=2)
    before, _ = asks.frame()
    gc.collect()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        again, evidence = question(path, asked, threads=2).frame()
        os._exit(0 if again.equals(before) and evidence.is_pit_validated else 1)
    assert os.waitpid(child, 0)[1] == 0
