"""The compiled loops: exact where they say so, the same in a table and in threads, and TA-Lib's values."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.features import rolling
from quantdesk.features import transforms as tf
from quantdesk.features.rolling import recursive_mean, rolling_beta, rolling_max, rolling_mean, rolling_std


def walks(rows=9, size=700, seed=0):
    rng = np.random.default_rng(seed)
    return 40.0 * np.exp(np.cumsum(rng.normal(0.0002, 0.02, (rows, size)), axis=1))


EVERY = {
    "sma": lambda p: tf.sma(p, 20),
    "ema": lambda p: tf.ema(p, 12),
    "macd": lambda p: tf.macd(p),
    "rsi": lambda p: tf.rsi(p),
    "atr": lambda p: tf.atr(p * 1.01, p * 0.98, p),
    "bollinger": lambda p: tf.bollinger_z(p),
    "returns": lambda p: tf.returns(p, 5),
    "momentum": lambda p: tf.momentum(p),
    "volatility": lambda p: tf.volatility(p, 63),
    "beta": lambda p: tf.beta(p, walks(1, p.shape[-1], 5)[0], 60),
    "drawdown": lambda p: tf.drawdown(p, 90),
    "dollar_volume": lambda p: tf.dollar_volume(p, p * 1e6),
    "amihud": lambda p: tf.amihud(p, p, p * 1e6),
    "max": lambda p: rolling_max(p, 30),
    "std": lambda p: rolling_std(p, 30, ddof=1),
}


def theirs(name, p):
    """TA-Lib, one history at a time."""
    daily = talib.ROCP(p, 1)
    return {
        "sma": lambda: talib.SMA(p, 20),
        "ema": lambda: talib.EMA(p, 12),
        "macd": lambda: talib.EMA(p, 12) - talib.EMA(p, 26),
        "rsi": lambda: talib.RSI(p, 14),
        "atr": lambda: talib.ATR(p * 1.01, p * 0.98, p, 14),
        "bollinger": lambda: (p - talib.SMA(p, 20)) / talib.STDDEV(p, 20),
        "returns": lambda: talib.ROCP(p, 5),
        "volatility": lambda: talib.STDDEV(daily, 63) * math.sqrt(252 * 63 / 62),
        "beta": lambda: talib.BETA(walks(1, len(p), 5)[0], p, 60),
        "drawdown": lambda: p / talib.MAX(p, 90) - 1,
        "dollar_volume": lambda: talib.SMA(p * p * 1e6, 21),
        "max": lambda: talib.MAX(p, 30),
        "std": lambda: talib.STDDEV(p, 30) * math.sqrt(30 / 29),
    }[name]()


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"momentum", "amihud"}))
def test_the_values_are_talibs(name):
    table = walks()
    found = EVERY[name](table)
    for row, history in enumerate(table):
        other = theirs(name, history)
        both = np.isfinite(other) & np.isfinite(found[row])
        assert both.sum() > 500
        np.testing.assert_allclose(found[row][both], other[both], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_a_row_gives_the_same_bits_alone_in_a_table_and_cut_short(name):
    table = walks(rows=11)
    table[3, 200:230] = np.nan
    table[5, :50] = np.nan
    table[7, 400] = -1.0
    found = EVERY[name](table)
    for row in range(len(table)):
        np.testing.assert_array_equal(EVERY[name](table[row]), found[row])
    for cut in (1, 2, 13, 14, 15, 21, 61, 91, 229, 231, 430):
        np.testing.assert_array_equal(EVERY[name](table[:, :cut]), found[:, :cut])


@pytest.mark.parametrize("name", EVERY)
def test_threads_change_nothing(name, monkeypatch):
    table = walks(rows=13)
    alone = EVERY[name](table)
    monkeypatch.setattr(rolling, "_PER_THREAD", 1)
    monkeypatch.setattr(rolling, "_cores", lambda: 3)
    before = threading.active_count()
    np.testing.assert_array_equal(EVERY[name](table), alone)
    assert threading.active_count() == before, "a thread that lives on would hang a fork"


magnitudes = st.floats(1e-3, 1e5) | st.floats(-1e5, -1e-3) | st.just(0.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(magnitudes, min_size=1, max_size=80), st.integers(1, 30))
def test_a_mean_is_correctly_rounded(values, window):
    found = rolling_mean(np.array(values), window)
    for t in range(window - 1, len(values)):
        exact = sum(map(Fraction, values[t - window + 1 : t + 1]))
        assert found[t] == float(exact) / window
    assert np.isnan(found[: window - 1]).all()


wild = st.floats(-1e300, 1e300, allow_nan=False, allow_subnormal=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(wild, min_size=1, max_size=40), st.integers(1, 9))
def test_magnitudes_far_apart_do_not_spoil_a_mean(values, window):
    found = rolling_mean(np.array(values), window)
    for t in range(window - 1, len(values)):
        part = values[t - window + 1 : t + 1]
        largest = max(map(abs, part))
        assert abs(Fraction(found[t]) - sum(map(Fraction, part)) / window) <= Fraction(largest) / 2**50


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=60), st.integers(2, 20), st.floats(0, 1e6), st.integers(0, 1)
)
def test_a_deviation_is_right_to_the_last_bits(values, window, offset, ddof):
    array = np.array(values) + offset
    found = rolling_std(array, window, ddof=ddof)
    for t in range(window - 1, len(array)):
        part = [Fraction(value) for value in array[t - window + 1 : t + 1]]
        mean = sum(part) / window
        variance = sum((value - mean) ** 2 for value in part) / (window - ddof)
        assert found[t] == pytest.approx(math.sqrt(variance), rel=1e-13, abs=1e-300)


def test_a_spike_that_has_left_leaves_nothing_behind():
    price = walks(1, 400)[0]
    spiked = price.copy()
    spiked[100] = 1e12
    for name in ("sma", "std", "bollinger", "volatility", "beta", "dollar_volume", "amihud", "max"):
        clean, after = EVERY[name](price)[170:], EVERY[name](spiked)[170:]
        np.testing.assert_allclose(after, clean, rtol=1e-12, err_msg=name)


def test_a_suspended_stock_has_no_deviation_and_wakes_up():
    price = walks(1, 300)[0]
    price[100:180] = 0.1
    assert (tf.volatility(price, 21)[121:180] == 0).all()
    assert np.isnan(tf.bollinger_z(price)[119:180]).all()
    assert np.isnan(tf.beta(walks(1, 300, 8)[0], price, 21)[121:180]).all()
    assert np.isfinite(tf.volatility(price, 21)[210:]).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5) | st.just(float("nan")), max_size=60), st.integers(1, 70))
def test_a_maximum_is_the_largest(values, window):
    array = np.array(values, dtype=float)
    expected = np.full(len(array), np.nan)
    for t in range(window - 1, len(array)):
        expected[t] = array[t - window + 1 : t + 1].max()  # a NaN among them makes it one
    np.testing.assert_array_equal(rolling_max(array, window), expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(0, 40), st.data())
def test_four_recursions_side_by_side_are_four_alone(rows, size, data):
    table = walks(rows, size) if size else np.empty((rows, 0))
    for place in data.draw(st.sets(st.tuples(st.integers(0, rows - 1), st.integers(0, max(size - 1, 0))), max_size=4)):
        if size:
            table[place] = np.nan
    found = recursive_mean(table, 5, 0.3)
    for row in range(rows):
        np.testing.assert_array_equal(found[row], recursive_mean(table[row], 5, 0.3))


def test_arrays_that_cannot_be_written_or_lie_apart_are_read():
    table = walks(6, 100)
    table.setflags(write=False)
    np.testing.assert_array_equal(tf.sma(table[::2, ::-1], 9), tf.sma(table[::2, ::-1].copy(), 9))
    np.testing.assert_array_equal(tf.sma(table, 9)[0], tf.sma(table[0].astype(np.float64), 9))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="holds nothing"):
        rolling_mean(walks(1, 9)[0], 0)
    with pytest.raises(ValueError, match="shapes"):
        rolling_beta(walks(3, 9), walks(2, 9), 3)
    with pytest.raises(ValueError, match="shapes"):
        tf.sma(np.zeros((2, 2, 2)), 2)
    with pytest.raises(ValueError, match="negative"):
        tf.returns(walks(1, 9)[0], -1)


SCRIPT = """
import os, sys
import numpy as np
import quantdesk.features.transforms as tf
assert "numba" not in sys.modules, "importing the formulas must not cost the compiler"
print(tf.sma(np.arange(9.0), 3)[-1])
table = np.cumsum(np.ones((400, 2000)), axis=1)
tf.sma(table, 20)
child = os.fork()
if child == 0:
    found = tf.sma(table, 20)
    os._exit(0 if found[-1, -1] == 1990.5 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_may_fork_after_it_has_computed(tmp_path):
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "7.0"), done.stderr


@pytest.mark.slow
def test_without_a_place_for_machine_code_each_process_compiles(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    env = {**os.environ, "NUMBA_CACHE_DIR": str(blocked / "below"), "HOME": str(blocked)}
    script = "import numpy as np, quantdesk.features.transforms as tf; print(tf.sma(np.arange(9.0), 3)[-1])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False, env=env
    )
    assert (done.returncode, done.stdout.strip()) == (0, "7.0"), done.stderr
