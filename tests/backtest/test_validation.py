"""No label of the training set may reach into the test set: properties, not examples."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score

from quantdesk.backtest import PurgedKFold, WalkForward, overlaps
from quantdesk.errors import BadInput, BadParameter

START = pd.Timestamp("2015-01-02 21:00", tz="UTC")


def intervals(starts, lengths, symbols=1) -> pd.Series:
    times = START + pd.to_timedelta(np.repeat(starts, symbols), unit="D")
    index = pd.MultiIndex.from_arrays([times, np.tile([f"S{i}" for i in range(symbols)], len(starts))])
    return pd.Series(times + pd.to_timedelta(lengths, unit="D"), index)


@st.composite
def label_sets(draw):
    sessions = draw(st.integers(8, 60))
    symbols = draw(st.integers(1, 3))
    gaps = draw(st.lists(st.integers(1, 4), min_size=sessions, max_size=sessions))
    starts = np.cumsum(gaps)
    longest = draw(st.integers(0, 12))
    lengths = np.array(
        draw(st.lists(st.integers(0, longest), min_size=sessions * symbols, max_size=sessions * symbols))
    )
    return intervals(starts, lengths, symbols)


def slow_overlaps(labels, train, test) -> int:
    starts, ends = labels.index.get_level_values(0), labels.to_numpy()
    starts = starts.to_numpy()
    return sum(any(starts[a] <= ends[b] and starts[b] <= ends[a] for b in test) for a in train)


def possible(splitter):
    """The splits; a case whose labels are so long that nothing is left to train on is no case."""
    try:
        return list(splitter.splits())
    except BadInput as error:
        assume("No row is left" not in str(error))
        raise


@settings(max_examples=120, deadline=None)
@given(labels=label_sets(), folds=st.integers(2, 6), embargo=st.integers(0, 8), shuffle=st.booleans())
def test_no_training_label_overlaps_the_test_set_or_its_embargo(labels, folds, embargo, shuffle):
    if shuffle:
        labels = labels.sample(frac=1, random_state=0)
    starts = labels.index.get_level_values(0)
    sessions = starts.unique().sort_values()
    assume(len(sessions) >= folds)
    splitter = PurgedKFold(folds, labels, embargo)
    seen = []
    found = possible(splitter)
    for one in found:
        assert overlaps(labels, one.train, one.test) == slow_overlaps(labels, one.train, one.test) == 0
        end = labels.iloc[one.test].max()
        later = sessions[sessions > end][:embargo]
        assert not starts[one.train].isin(later).any()
        groups = (one.train, one.test, one.purged, one.embargoed)
        rest = len(labels) - sum(len(group) for group in groups)
        assert rest == 0
        assert len(np.unique(np.concatenate(groups))) == len(labels)
        seen.append(one.test)
        for row in one.purged:  # nothing is thrown away without a reason
            assert starts[row] <= one.end
            assert labels.iloc[row] >= one.start
    assert sorted(np.concatenate(seen)) == list(range(len(labels)))


@settings(max_examples=80, deadline=None)
@given(labels=label_sets(), folds=st.integers(1, 5), window=st.one_of(st.none(), st.integers(5, 30)))
def test_a_walk_forward_only_knows_what_was_known(labels, folds, window):
    starts = labels.index.get_level_values(0)
    assume(starts.nunique() >= folds + 1)
    found = possible(WalkForward(folds, labels, window))
    for one in found:
        assert labels.iloc[one.train].max() < starts[one.test].min()
        assert overlaps(labels, one.train, one.test) == 0
        assert len(one.embargoed) == 0
        if window is not None:
            past = starts.unique().sort_values()
            past = past[past < one.start][-window:]
            assert starts[one.train].min() >= past[0]
    tests = [one.test for one in found]
    assert len(tests) == folds
    assert all(starts[a].max() < starts[b].min() for a, b in itertools.pairwise(tests))


@settings(max_examples=100, deadline=None)
@given(labels=label_sets(), seed=st.integers(0, 1000))
def test_the_overlap_counter_equals_comparing_every_pair(labels, seed):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(labels))
    cut = int(rng.integers(0, len(labels)))
    train, test = rows[:cut], rows[cut : cut + int(rng.integers(0, 10))]
    assert overlaps(labels, train, test) == slow_overlaps(labels, train, test)


def test_the_embargo_may_be_a_time_span():
    labels = intervals(np.arange(40), np.full(40, 2))
    (first, *_) = PurgedKFold(4, labels, pd.Timedelta(days=5)).splits()
    assert first.end == START + pd.Timedelta(days=11)
    assert labels.index.get_level_values(0)[first.train].min() == START + pd.Timedelta(days=17)


def test_plain_k_fold_leaks_what_purging_does_not():
    labels = intervals(np.arange(100), np.full(100, 10))
    rows = np.arange(100)
    assert overlaps(labels, np.setdiff1d(rows, rows[20:40]), rows[20:40]) == 20
    assert overlaps(labels, rows[:0], rows) == overlaps(labels, rows, rows[:0]) == 0


def test_scikit_learn_takes_the_splitters(returns):
    labels = pd.Series(returns.index[5:], returns.index[:-5])
    x = returns.to_frame().iloc[:-5]
    for splitter in (PurgedKFold(4, labels, 10), WalkForward(4, labels)):
        scores = cross_val_score(LinearRegression(), x, returns.iloc[:-5], cv=splitter)
        assert len(scores) == splitter.get_n_splits() == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: PurgedKFold(1, s), "n_splits is 1"),
        (lambda s: PurgedKFold(True, s), "n_splits is True"),
        (lambda s: WalkForward(0, s), "n_splits is 0"),
        (lambda s: WalkForward(2, s, 0), "max_train is 0"),
        (lambda s: PurgedKFold(3, s, -1), "embargo is -1"),
        (lambda s: PurgedKFold(3, s, 1.5), "embargo is 1.5"),
        (lambda s: PurgedKFold(3, s - pd.Timedelta(days=99)), "ends before it starts"),
        (lambda s: PurgedKFold(3, s.dt.tz_localize(None)), "time zone"),
        (lambda s: PurgedKFold(3, s.droplevel(1).tz_localize(None)), "time zone"),
        (lambda s: PurgedKFold(3, s.where(s.index.get_level_values(0) > START)), "missing"),
        (lambda s: PurgedKFold(3, s.iloc[:0]), "there is none"),
        (lambda s: list(PurgedKFold(99, s).splits()), "cannot be cut into 99 blocks"),
        (lambda s: list(PurgedKFold(3, s).split(np.zeros((2, 1)))), "X has 2 rows"),
        (lambda s: list(PurgedKFold(2, s + pd.Timedelta(days=400)).splits()), "No row is left to train on"),
    ],
)
def test_bad_splits_are_refused(make, message):
    with pytest.raises((BadInput, BadParameter), match=message):
        make(intervals(np.arange(0, 30), np.full(30, 3)))
