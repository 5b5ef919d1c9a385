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
