"""The point-in-time join, against an oracle that looks at every pair of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.features.asof import NOT_A_TIME, History, Outcome, as_of_join


def oracle(history, row_key, row_time, known_by, ttl):
    """One answer per row, the slow and obvious way."""
    answers = []
    for key, time in zip(row_key, row_time, strict=True):
        rows = [i for i in range(len(history.key)) if history.key[i] == key]
        if not rows:
            answers.append((-1, Outcome.NO_HISTORY))
            continue
        known = [i for i in rows if history.event[i] <= time and history.created[i] <= time]
        if known_by is not None:
            known = [i for i in known if history.created[i] <= known_by]
        if not known:
            answers.append((-1, Outcome.NOT_YET_KNOWN))
            continue
        best = max(known, key=lambda i: (history.event[i], history.created[i], i))
        if ttl is not None and time - history.event[best] > ttl:
            answers.append((-1, Outcome.EXPIRED))
        else:
            answers.append((best, Outcome.FOUND))
    return answers


# Few distinct values, so that ties, duplicates and revisions are the rule and not the exception.
times = st.integers(0, 12)
feature_rows = st.lists(st.tuples(st.integers(0, 3), times, times), max_size=24)
asked_rows = st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 14)), max_size=24)


def columns(rows, width):
    return [np.array([row[i] for row in rows], dtype=np.int64) for i in range(width)]


@settings(max_examples=400, deadline=None)
@given(feature_rows, asked_rows, st.none() | times, st.none() | st.integers(0, 6))
def test_agrees_with_the_oracle(rows, asked, known_by, ttl):
    history = History(*columns(rows, 3))
    row_key, row_time = columns(asked, 2)
    match = as_of_join(history, row_key, row_time, known_by=known_by, ttl=ttl)
    expected = oracle(history, row_key, row_time, known_by, ttl)
    assert [(int(p), Outcome(o)) for p, o in zip(match.position, match.outcome, strict=True)] == expected


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(feature_rows, asked_rows, st.none() | times, st.none() | st.integers(0, 6))
def test_agrees_with_the_oracle_ten_thousand_times(rows, asked, known_by, ttl):
    history = History(*columns(rows, 3))
    row_key, row_time = columns(asked, 2)
    match = as_of_join(history, row_key, row_time, known_by=known_by, ttl=ttl)
    expected = oracle(history, row_key, row_time, known_by, ttl)
    assert [(int(p), Outcome(o)) for p, o in zip(match.position, match.outcome, strict=True)] == expected


@settings(max_examples=100, deadline=None)
@given(feature_rows, asked_rows, st.integers(1, 12))
def test_the_future_cannot_change_an_answer(rows, asked, now):
    """Whatever is written later, with any event time, answers up to `now` stay."""
    row_key, row_time = columns([row for row in asked if row[1] <= now], 2)
    before = [row for row in rows if max(row[1:]) <= now]
    later = [row for row in rows if max(row[1:]) > now]
    known = as_of_join(History(*columns(before, 3)), row_key, row_time)
    both = as_of_join(History(*columns(before + later, 3)), row_key, row_time)
    assert known.position.tolist() == both.position.tolist()


def test_a_restatement_is_seen_from_the_moment_it_is_known():
    history = History(key=np.array([0, 0]), event=np.array([10, 10]), created=np.array([11, 20]))
    match = as_of_join(history, np.array([0, 0, 0, 0]), np.array([10, 11, 19, 20]))
    assert match.position.tolist() == [-1, 0, 0, 1]
    as_known_on_15 = as_of_join(history, np.array([0]), np.array([30]), known_by=15)
    assert as_known_on_15.position.tolist() == [0]


def test_a_late_row_about_the_past_does_not_hide_a_newer_event():
    history = History(key=np.array([0, 0]), event=np.array([10, 5]), created=np.array([10, 20]))
    assert as_of_join(history, np.array([0]), np.array([25])).position.tolist() == [0]


def test_real_nanoseconds_do_not_overflow():
    start = np.datetime64("1990-01-02T21:00", "ns").astype(np.int64)
    day = 86_400 * 10**9
    sessions = start + day * np.arange(9_000)
    keys = np.repeat(np.arange(60), 9_000)
    events = np.tile(sessions, 60)
    history = History(keys, events, events + 15 * 60 * 10**9)
    rows = np.array([0, 30, 59])
    match = as_of_join(history, rows, np.full(3, sessions[-1]))
    assert match.position.tolist() == [(k + 1) * 9_000 - 2 for k in rows]


def test_empty_sides():
    none = np.array([], dtype=np.int64)
    match = as_of_join(History(none, none, none), np.array([0, -1]), np.array([1, 1]), ttl=1)
    assert match.position.tolist() == [-1, -1]
    assert match.outcome.tolist() == [Outcome.NO_HISTORY] * 2
    one = np.array([1])
    assert as_of_join(History(one, one, one), none, none).position.tolist() == []


@pytest.mark.parametrize("name", ["event", "created"])
def test_a_missing_time_in_the_history_is_refused(name):
    good = {"key": np.array([0, 0]), "event": np.array([1, 2]), "created": np.array([1, 2])}
    with pytest.raises(BadInput, match=f"row 1 has no {name} time"):
        History(**{**good, name: np.array([1, NOT_A_TIME])})


def test_misfits_are_refused():
    one, two = np.array([1]), np.array([1, 2])
    with pytest.raises(BadInput, match="2 event"):
        History(one, two, one)
    history = History(one, one, one)
    with pytest.raises(BadInput, match="do not fit"):
        as_of_join(history, one, two)
    with pytest.raises(BadInput, match="Row 1 has no time"):
        as_of_join(history, two, np.array([1, NOT_A_TIME]))


def test_rows_in_any_order_and_at_the_ends_of_the_range():
    """Going up, going down, jumping; and times whose difference does not fit into 64 bits."""
    first, last = np.iinfo(np.int64).min + 1, np.iinfo(np.int64).max
    event = np.array([first, -5, 0, 5, last])
    history = History(np.zeros(5, dtype=np.int64), event, event)
    rows = np.array([5, last, 0, first, 4, -1, last - 1, -5, 6])
    zeros = np.zeros(len(rows), dtype=np.int64)
    assert as_of_join(history, zeros, rows).position.tolist() == [3, 4, 2, 0, 2, 1, 3, 1, 3]
    aged = as_of_join(history, zeros, rows, ttl=4)
    assert aged.position.tolist() == [3, 4, 2, 0, 2, 1, -1, 1, 3]
    late = as_of_join(History(event[:1] * 0, event[:1], event[:1]), np.array([0]), np.array([last]), ttl=10**9)
    assert late.outcome.tolist() == [Outcome.EXPIRED]


def test_codes_that_are_no_codes_are_refused():
    one = np.array([1])
    with pytest.raises(BadInput, match="keys run from 0 to 4611686018427387904"):
        as_of_join(History(np.array([2**62]), one, one), one, one)
    with pytest.raises(BadInput, match="keys run from -1 "):
        as_of_join(History(np.array([-1]), one, one), one, one)


def tables(seed, rows=60, asking=80):
    rng = np.random.default_rng(seed)
    history = History(*(rng.integers(0, high, rows) for high in (4, 20, 20)))
    return history, rng.integers(-1, 6, asking), rng.integers(0, 25, asking)


@pytest.mark.parametrize("seed", range(5))
def test_the_loops_mean_the_same_when_they_are_not_compiled(seed, monkeypatch):
    from quantdesk.features import sweeps
    from quantdesk.features.keys import coded

    history, row_key, row_time = tables(seed)
    compiled = as_of_join(history, row_key, row_time, known_by=15, ttl=4, threads=2)
    words = np.array([f"s{number % 7}" for number in range(5000)], dtype=object)
    numbered = coded(words)
    best = np.full(len(row_key), -1)
    wanted = row_key[:, None]
    columns = (history.key[None, :], wanted, history.event, history.created, row_time, 15)
    sweeps.scan(*columns, best)
    for name, loop in list(vars(sweeps).items()):
        if hasattr(loop, "py_func"):
            monkeypatch.setattr(sweeps, name, loop.py_func)
    plain = as_of_join(history, row_key, row_time, known_by=15, ttl=4)
    assert plain.position.tolist() == compiled.position.tolist()
    assert plain.outcome.tolist() == compiled.outcome.tolist()
    again = np.full(len(row_key), -1)
    sweeps.scan(*columns, again)
    assert again.tolist() == best.tolist()
    with np.errstate(over="ignore"):
        assert coded(words).code.tolist() == numbered.code.tolist()
    picked, state, first = np.empty(len(row_key), np.int64), np.empty(len(row_key), np.int8), np.full(6, -1)
    sweeps.pick(history.event, plain.position, -9, picked, 0, len(picked))
    assert picked.tolist() == [history.event[p] if p >= 0 else -9 for p in plain.position]
    sweeps.pairs(row_key, history.key, plain.position, first, state)
    assert state.tolist() == (plain.position >= 0).astype(int).tolist()
    out = np.empty(len(row_key))
    sweeps.gather(np.arange(60.0), plain.position, out, 0, len(out))
    np.testing.assert_array_equal(out, np.where(plain.position < 0, np.nan, plain.position))


def test_keys_of_many_kinds_are_coded():
    import pandas as pd
    import pyarrow as pa

    from quantdesk.features.keys import belongs, coded, codes, places

    many = np.array([f"name {number}" for number in range(9000)], dtype=object)
    assert len(coded(many).distinct) == 9000, "more objects than fit the short way"
    category = pd.Series(["b", None, "a"], dtype="category")
    assert coded(category).code.tolist() == [1, -1, 0]
    assert coded(pa.array(["b", None, "b"])).code.tolist() == [0, -1, 0]
    assert coded(pa.nulls(2)).code.tolist() == [-1, -1]
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["x", "x", None]))
    assert coded(twice).code.tolist() == [0, 0, -1, -1]
    assert coded(coded(many)) is not None
    # A dictionary of many words of which few have rows.
    wide = pa.DictionaryArray.from_arrays(pa.array([4000, 7], pa.int32()), pa.array(many[:5000]))
    left, right = codes([wide], [np.array(["name 7", "name 9", "name 4000"], dtype=object)])
    assert (left.tolist(), right.tolist()) == ([0, 1], [1, -1, 0])
    known, asked = coded(pa.array(["a", "b", "a"])), coded(np.array(["b", "a", None, "a"], dtype=object))
    assert belongs([known], [asked], np.array([1, 0, 2, 1])).tolist() == [True, True, False, False]
    assert belongs([known], [asked], np.array([1, 1, -1, 0])).tolist() == [True, False, False, True]
    assert places(known, ["b", None, "z", "a"]).tolist() == [1, -1, -1, 0]
    with pytest.raises(BadInput, match="2 key columns do not fit 1"):
        codes([known, known], [asked])


def test_loops_work_where_nothing_can_be_kept(monkeypatch):
    from quantdesk.features import sweeps

    compile_ = sweeps.njit

    def read_only(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(**options)

    monkeypatch.setattr(sweeps, "njit", read_only)
    assert sweeps.compiled(lambda number: number + 1)(2) == 3
