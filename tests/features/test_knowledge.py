"""The policy of a source: written as a tag, read back, applied to rows."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.features.knowledge import TAG, EventPlus, LoadTime, PublishedAt, known_times, parse

LAGS = st.timedeltas(dt.timedelta(0), dt.timedelta(days=90_000))
COLUMNS = st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True)


@given(st.one_of(st.builds(EventPlus, LAGS), st.builds(PublishedAt, COLUMNS), st.just(LoadTime())))
def test_what_is_written_is_read_back(policy):
    assert parse(policy.tags, "view x") == policy
    assert policy.sentence.startswith("known ")


def test_nothing_declared_is_nothing():
    assert parse({"owner": "desk"}, "view x") is None


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("event plus 15min", EventPlus(dt.timedelta(minutes=15))),
        ("event plus 1d 2h", EventPlus(dt.timedelta(hours=26))),
        (" event  plus 30 s ", EventPlus(dt.timedelta(seconds=30))),
        ("event plus 0min", EventPlus(dt.timedelta(0))),
        ("published at knowledge time", PublishedAt("knowledge time")),
    ],
)
def test_what_a_person_writes(text, policy):
    assert parse({TAG: text}, "view x") == policy


UNREADABLE = ["", "soon", "event plus", "event plus soon", "event plus 5 fortnights", "event plus -1d", "loadtime"]


@pytest.mark.parametrize("text", [*UNREADABLE, "event plus 1d and a bit", "published at "])
def test_what_cannot_be_understood_is_named_with_its_view(text):
    with pytest.raises(BadInput) as caught:
        parse({TAG: text}, "view news")
    assert "view news" in str(caught.value)
    assert "event plus 1d 2h 15min" in caught.value.remedy


def test_a_lag_into_the_past_is_refused():
    with pytest.raises(BadInput, match="cannot be known"):
        EventPlus(dt.timedelta(days=-1))
    with pytest.raises(BadInput, match="cannot be known"):
        EventPlus(15)


def of(*rows):
    return tuple(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))


MINUTE = 60 * 10**9


def test_event_plus_forgives_the_day_of_loading_and_keeps_restatements():
    """A history that was loaded at 1000 is known from its events on; what was loaded again later, from then on."""
    key, event, created = of((0, 1, 1000), (0, 2, 1000), (1, 2, 1000), (0, 1, 2000), (0, 2, 3))
    found = known_times(EventPlus(dt.timedelta(0)), key, event, created)
    assert found.tolist() == [1, 1000, 2, 2000, 2], "of the versions of an event the earliest one is its first"
    lagged = known_times(EventPlus(dt.timedelta(minutes=1)), key, event, None)
    assert lagged.tolist() == (event + MINUTE).tolist()
    millis = known_times(EventPlus(dt.timedelta(minutes=1)), key, event, None, per_second=1_000_000)
    assert millis.tolist() == (event + 60_000_000).tolist()


def test_the_other_policies_say_what_the_column_says():
    key, event, created = of((0, 1, 10), (0, 2, 20))
    for policy in (PublishedAt("made"), LoadTime(), None):
        assert known_times(policy, key, event, created).tolist() == [10, 20]
    assert known_times(None, key, event, None).tolist() == [1, 2]
    for policy in (PublishedAt("made"), LoadTime()):
        with pytest.raises(BadInput, match="has no created column"):
            known_times(policy, key, event, None)


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 20)), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, lag=st.integers(0, 10))
def test_event_plus_against_the_words_of_its_description(rows, lag):
    key, event, created = of(*rows)
    found = known_times(EventPlus(dt.timedelta(microseconds=lag)), key, event, created, per_second=1_000_000)
    for place, (mine, when, made) in enumerate(rows):
        others = [(c, i) for i, (k, e, c) in enumerate(rows) if (k, e) == (mine, when)]
        first = min(others) == (made, place)
        assert found[place] == (when + lag if first else max(when + lag, made))
