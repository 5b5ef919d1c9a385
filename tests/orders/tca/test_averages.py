"""Weighted averages, their errors, quantiles and the bootstrap, against plain calculations and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quantdesk.errors import BadInput
from quantdesk.orders.tca import averages
from quantdesk.orders.tca.averages import bootstrap, quantiles, ratios


def test_a_worked_example():
    """Two orders: 1 and 3 with weights 1 and 1, and 5 with weight 2: the mean is 14/4, each order 3 off it."""
    done = ratios([1, 3, 5], [1, 1, 2], [0, 0, 0], [7, 7, 8], 1)
    assert done.mean[0] == 3.5
    assert done.error[0] == pytest.approx(np.sqrt(2 / 1 * (3**2 + 3**2)) / 4)
    assert done.weight[0] == 4


def test_equal_weights_give_the_textbook_error():
    x = np.random.default_rng(0).normal(size=50)
    done = ratios(x, np.ones(50), np.zeros(50, int), np.arange(50), 1)
    assert done.mean[0] == pytest.approx(x.mean())
    assert done.error[0] == pytest.approx(stats.sem(x))


def test_what_is_not_known_is_left_out_and_nothing_known_is_nan():
    done = ratios([1, np.nan, np.nan], [1, 5, 2], [0, 0, 1], [0, 1, 2], 3)
    assert done.mean[0] == 1
    assert np.isnan(done.error[0])  # one order has no error
    assert np.isnan(done.mean[1:]).all()
    assert np.isnan(done.error[1:]).all()
    assert done.weight.tolist() == [1, 0, 0]
    assert ratios([], [], [], [], 0).mean.tolist() == []


ROWS = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.floats(0.001, 1e6), st.integers(0, 3), st.integers(0, 5)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_groups_agree_with_a_plain_loop(rows):
    x, w, group, order = (np.array(column) for column in zip(*rows, strict=True))
    done = ratios(x, w, group, order, 4)
    for number in range(4):
        own = group == number
        if not own.any():
            assert np.isnan(done.mean[number])
            continue
        mean = np.average(x[own], weights=w[own])
        assert done.mean[number] == pytest.approx(mean, rel=1e-9, abs=1e-6)
        names = np.unique(order[own])
        if len(names) < 2:
            assert np.isnan(done.error[number])
            continue
        off = [float((w * (x - mean))[own & (order == name)].sum()) for name in names]
        error = np.sqrt(len(names) / (len(names) - 1) * np.square(off).sum()) / w[own].sum()
        assert done.error[number] == pytest.approx(error, rel=1e-6, abs=1e-6)


def test_quantiles_are_those_of_single_shares():
    values, weights = [5.0, 1.0, 3.0, np.nan], [2, 1, 7, 9]
    single = np.repeat([5.0, 1.0, 3.0], [2, 1, 7])
    wanted = [0, 0.05, 0.1, 0.5, 0.8, 0.81, 1.0]
    expected = np.quantile(single, wanted, method="inverted_cdf")
    assert quantiles(values, weights, [0] * 4, 1, wanted)[0].tolist() == expected.tolist()
    assert np.isnan(quantiles([], [], [], 2, [0.5])).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=30))
def test_quantiles_by_group_are_those_of_single_shares(rows):
    x, w, group = (np.array(column) for column in zip(*rows, strict=True))
    wanted = [0.1, 0.3, 0.5, 0.7, 0.9, 0.99]
    found = quantiles(x, w, group, 4, wanted)
    for number in range(4):
        own = group == number
        if own.any():
            single = np.repeat(x[own], w[own])
            assert found[number].tolist() == np.quantile(single, wanted, method="inverted_cdf").tolist()
        else:
            assert np.isnan(found[number]).all()


def test_the_bootstrap_is_the_same_for_the_same_seed_and_draws_orders():
    rng = np.random.default_rng(1)
    x, w, order = rng.normal(2, 1, 200), rng.uniform(1, 5, 200), np.repeat(np.arange(40), 5)
    one, two = (bootstrap(x, w, order, np.random.default_rng(7)) for _ in range(2))
    assert one == two
    assert one.mean == pytest.approx(np.average(x, weights=w))
    assert one.low < one.mean < one.high
    assert (one.orders, one.draws, one.confidence) == (40, 2000, 0.95)
    error = ratios(x, w, np.zeros(200, int), order, 1).error[0]
    assert (one.high - one.low) / 2 == pytest.approx(1.96 * error, rel=0.15)
    # Copies of the same fills within an order make nobody surer.
    same = bootstrap(np.tile(x, 3), np.tile(w, 3), np.tile(order, 3), np.random.default_rng(7))
    assert (same.low, same.high) == pytest.approx((one.low, one.high))


def test_the_bootstrap_is_the_same_in_one_piece_and_in_many(monkeypatch):
    x = np.random.default_rng(1).normal(size=50)
    given = (x, np.ones(50), np.arange(50))
    whole = bootstrap(*given, np.random.default_rng(2), draws=100)
    monkeypatch.setattr(averages, "_CELLS", 7 * 50)
    assert bootstrap(*given, np.random.default_rng(2), draws=100) == whole


def test_the_bootstrap_agrees_with_scipy():
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=60), rng.uniform(1, 3, 60)
    theirs = stats.bootstrap(
        (x, w), lambda x, w, axis: (x * w).sum(axis) / w.sum(axis), paired=True, method="percentile",
        n_resamples=4000, rng=np.random.default_rng(3),
    ).confidence_interval  # fmt: skip
    ours = bootstrap(x, w, np.arange(60), np.random.default_rng(3), draws=4000)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_too_little_has_no_interval():
    nothing = bootstrap([np.nan], [1], [0], np.random.default_rng(0))
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
    assert nothing.orders == 0
    single = bootstrap([1, 2], [1, 1], ["a", "a"], np.random.default_rng(0))
    assert (single.mean, single.orders) == (1.5, 1)
    assert np.isnan([single.low, single.high]).all()
    with pytest.raises(BadInput, match="confidence of 1"):
        bootstrap([1], [1], [0], np.random.default_rng(0), confidence=1)
