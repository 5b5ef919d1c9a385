"""The formulas: prices and volumes in, one feature out. Pure.

Every function takes arrays of shape ``(n,)``, one value per session of the symbol's calendar in order of time, and
returns an array of the same shape. Given a pandas Series it returns a Series on the same index; given a DataFrame, one
column per symbol, it returns a DataFrame. NaN marks a session without a value. All of them look backwards only, which
``tests/features`` proves by recomputing each on histories that end earlier.

`price` is the adjusted close where a series has one, and the close otherwise. `high`, `low` and `close` are on the
adjusted scale (multiplied by adjusted close / close) in :func:`atr`, and as traded in :func:`dollar_volume` and
:func:`amihud`.

NaN policy: a NaN anywhere in a window gives NaN, and so does a window that is not full. Returns are simple returns.
A return from a price that is not positive has no meaning and is NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from quantdesk.features.rolling import (
    Array,
    lagged,
    recursive_mean,
    rolling_beta,
    rolling_max,
    rolling_mean,
    rolling_std,
)

__all__ = [
    "SESSIONS_PER_YEAR",
    "amihud",
    "atr",
    "beta",
    "bollinger_z",
    "dollar_volume",
    "drawdown",
    "ema",
    "macd",
    "momentum",
    "returns",
    "rsi",
    "sma",
    "volatility",
]

SESSIONS_PER_YEAR = 252

_F = TypeVar("_F", bound=Callable[..., Array])


def _pandas_too(function: _F) -> _F:
    """Let a function of arrays take Series (rewrapped on the first one's index) and DataFrames (column by column)."""

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        tables = [given for given in args if isinstance(given, pd.DataFrame)]
        if tables:
            columns = {
                name: wrapper(*(given[name] if isinstance(given, pd.DataFrame) else given for given in args), **options)
                for name in tables[0].columns
            }
            return pd.DataFrame(columns, index=tables[0].index)
        series = [given for given in args if isinstance(given, pd.Series)]
        if not series:
            return function(*args, **options)
        if any(not given.index.equals(series[0].index) for given in series):
            raise ValueError("The inputs stand on different indices; align them first.")
        arrays = [given.to_numpy(dtype=np.float64) if isinstance(given, pd.Series) else given for given in args]
        return pd.Series(function(*arrays, **options), index=series[0].index, name=series[0].name)

    return cast("_F", wrapper)


@_pandas_too
def sma(price: Array, window: int) -> Array:
    """Simple moving average of the last `window` prices, in the unit of the price."""
    return rolling_mean(price, window)


@_pandas_too
def ema(price: Array, window: int) -> Array:
    """Exponential moving average with weight ``2 / (window + 1)``, in the unit of the price.

    Seeded by the simple mean of the first `window` prices, as in TA-Lib; nothing stands before the seed.
    """
    return recursive_mean(price, window, 2.0 / (window + 1.0))


@_pandas_too
def macd(price: Array, fast: int = 12, slow: int = 26) -> Array:
    """Moving average convergence divergence: the fast :func:`ema` less the slow one, in the unit of the price.

    Source: Appel, "Technical Analysis: Power Tools for Active Investors" (2005), chapter 6. Each average is seeded on
    its own first window, so that ``macd == ema_12 - ema_26`` holds exactly.
    """
    return ema(price, fast) - ema(price, slow)


@_pandas_too
def rsi(price: Array, window: int = 14) -> Array:
    """Relative strength index, 0 to 100.

    Source: Wilder, "New Concepts in Technical Trading Systems" (1978), section VI: the averages of the gains and of
    the losses start as simple means of the first `window` changes and are then smoothed with weight ``1 / window``.
    100 where there was no loss; NaN where the price has not moved at all.
    """
    change = price - lagged(price, 1)
    gain = recursive_mean(np.where(np.isnan(change), np.nan, np.maximum(change, 0.0)), window, 1.0 / window)
    loss = recursive_mean(np.where(np.isnan(change), np.nan, np.maximum(-change, 0.0)), window, 1.0 / window)
    total = gain + loss
    return 100.0 * gain / np.where(total > 0, total, np.nan)


@_pandas_too
def atr(high: Array, low: Array, close: Array, window: int = 14) -> Array:
    """Average true range, in the unit of the price.

    Source: Wilder (1978), section III. The true range of a session is the largest of high - low,
    abs(high - previous close) and abs(low - previous close). The first session has no previous close and therefore
    no true range, as in TA-Lib.
    """
    before = lagged(close, 1)
    true_range = np.maximum(high, before) - np.minimum(low, before)
    return recursive_mean(true_range, window, 1.0 / window)


@_pandas_too
def bollinger_z(price: Array, window: int = 20) -> Array:
    """Distance from the simple moving average in standard deviations of the window (population estimate).

    Source: Bollinger, "Bollinger on Bollinger Bands" (2001), chapter 8: the bands at +2 and -2 are its values 2 and
    -2. NaN where the window's prices are all equal.
    """
    spread = rolling_std(price, window, ddof=0)
    return (price - rolling_mean(price, window)) / np.where(spread > 0, spread, np.nan)


def _positive(price: Array) -> Array:
    return np.where(price > 0, price, np.nan)


@_pandas_too
def returns(price: Array, sessions: int) -> Array:
    """Simple return over `sessions` sessions, as a fraction. It reads two prices: this one and the earlier one."""
    price = _positive(price)
    return price / lagged(price, sessions) - 1.0


@_pandas_too
def momentum(price: Array, window: int = 252, skip: int = 21) -> Array:
    """Return from `window` sessions ago to `skip` sessions ago, as a fraction.

    Source: Jegadeesh and Titman, "Returns to Buying Winners and Selling Losers" (Journal of Finance 48, 1993); the
    latest month is left out because of its short-term reversal.
    """
    price = _positive(price)
    return lagged(price, skip) / lagged(price, window) - 1.0


@_pandas_too
def volatility(price: Array, window: int) -> Array:
    """Standard deviation (sample estimate) of the last `window` daily returns times sqrt(252): a fraction per year."""
    return rolling_std(returns(price, 1), window, ddof=1) * float(np.sqrt(SESSIONS_PER_YEAR))


@_pandas_too
def beta(price: Array, benchmark: Array, window: int = 252) -> Array:
    """Slope of the least-squares line of daily returns on those of the benchmark, over `window` returns; no unit.

    Source: the market model, Sharpe (Management Science 9, 1963); raw returns, no risk-free rate taken off.
    """
    return rolling_beta(returns(price, 1), returns(benchmark, 1), window)


@_pandas_too
def drawdown(price: Array, window: int = 252) -> Array:
    """Price relative to the highest of the last `window` prices, less one: a fraction, 0 or negative."""
    price = _positive(price)
    return price / rolling_max(price, window) - 1.0


@_pandas_too
def dollar_volume(close: Array, volume: Array, window: int = 21) -> Array:
    """Mean of close times volume over the last `window` sessions, in currency per session."""
    return rolling_mean(close * volume, window)


@_pandas_too
def amihud(price: Array, close: Array, volume: Array, window: int = 21) -> Array:
    """Mean absolute daily return per million of currency traded, over `window` sessions.

    Source: Amihud, "Illiquidity and stock returns" (Journal of Financial Markets 5, 2002), equation 1, times 10**6.
    NaN where a session of the window traded nothing.
    """
    traded = close * volume
    return rolling_mean(np.abs(returns(price, 1)) / np.where(traded > 0, traded, np.nan), window) * 1e6
