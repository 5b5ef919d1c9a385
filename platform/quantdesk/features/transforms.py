"""The formulas: prices and volumes in, one feature out. Pure.

Every function takes arrays of shape ``(n,)``, one value per session of the symbol's calendar in order of time, and
returns an array of the same shape; or tables of shape ``(symbols, n)``, one row per symbol, whose rows are computed in
parallel. Given a pandas Series it returns a Series on the same index; given a DataFrame, one column per symbol, it
returns a DataFrame. NaN marks a session without a value. All of them look backwards only, which
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

from quantdesk.features.rolling import Array, computed, recursive_mean, rolling_mean

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
        framed: list[Any] = [given for given in args if isinstance(given, (pd.DataFrame, pd.Series))]
        if not framed:
            return function(*args, **options)
        if any(not given.index.equals(framed[0].index) for given in framed):
            raise ValueError("The inputs stand on different indices; align them first.")
        first = next((given for given in framed if isinstance(given, pd.DataFrame)), None)
        columns = None if first is None else first.columns
        arrays = [_rows(given, columns) if isinstance(given, (pd.DataFrame, pd.Series)) else given for given in args]
        if columns is None:
            return pd.Series(function(*arrays, **options), index=framed[0].index, name=framed[0].name)
        arrays[0] = np.broadcast_to(arrays[0], (len(columns), len(framed[0])))  # a Series may be the first of them
        return pd.DataFrame(function(*arrays, **options).T, index=framed[0].index, columns=columns)

    return cast("_F", wrapper)


def _rows(given: pd.DataFrame | pd.Series, columns: pd.Index | None) -> Array:
    """The history of a Series, or one row per column of a DataFrame."""
    table = given[columns] if isinstance(given, pd.DataFrame) and columns is not given.columns else given
    return np.asarray(table.to_numpy(dtype=np.float64).T)


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
    return computed("smoothing.macd_rows", [price], fast, slow)


@_pandas_too
def rsi(price: Array, window: int = 14) -> Array:
    """Relative strength index, 0 to 100.

    Source: Wilder, "New Concepts in Technical Trading Systems" (1978), section VI: the averages of the gains and of
    the losses start as simple means of the first `window` changes and are then smoothed with weight ``1 / window``.
    100 where there was no loss; NaN where the price has not moved at all.
    """
    return computed("smoothing.rsi_rows", [price], window)


@_pandas_too
def atr(high: Array, low: Array, close: Array, window: int = 14) -> Array:
    """Average true range, in the unit of the price.

    Source: Wilder (1978), section III. The true range of a session is the largest of high - low,
    abs(high - previous close) and abs(low - previous close). The first session has no previous close and therefore
    no true range, as in TA-Lib.
    """
    return computed("smoothing.atr_rows", [high, low, close], window)


@_pandas_too
def bollinger_z(price: Array, window: int = 20) -> Array:
    """Distance from the simple moving average in standard deviations of the window (population estimate).

    Source: Bollinger, "Bollinger on Bollinger Bands" (2001), chapter 8: the bands at +2 and -2 are its values 2 and
    -2. NaN where the window's prices are all equal.
    """
    return computed("moments.bollinger_rows", [price], window)


@_pandas_too
def returns(price: Array, sessions: int) -> Array:
    """Simple return over `sessions` sessions, as a fraction. It reads two prices: this one and the earlier one."""
    return computed("windows.change_rows", [price], 0, sessions)


@_pandas_too
def momentum(price: Array, window: int = 252, skip: int = 21) -> Array:
    """Return from `window` sessions ago to `skip` sessions ago, as a fraction.

    Source: Jegadeesh and Titman, "Returns to Buying Winners and Selling Losers" (Journal of Finance 48, 1993); the
    latest month is left out because of its short-term reversal.
    """
    return computed("windows.change_rows", [price], skip, window)


@_pandas_too
def volatility(price: Array, window: int) -> Array:
    """Standard deviation (sample estimate) of the last `window` daily returns times sqrt(252): a fraction per year."""
    return computed("windows.return_std_rows", [price], window, float(np.sqrt(SESSIONS_PER_YEAR)))


@_pandas_too
def beta(price: Array, benchmark: Array, window: int = 252) -> Array:
    """Slope of the least-squares line of daily returns on those of the benchmark, over `window` returns; no unit.

    Source: the market model, Sharpe (Management Science 9, 1963); raw returns, no risk-free rate taken off.
    """
    return computed("windows.return_beta_rows", [price, benchmark], window)


@_pandas_too
def drawdown(price: Array, window: int = 252) -> Array:
    """Price relative to the highest of the last `window` prices, less one: a fraction, 0 or negative."""
    return computed("windows.drawdown_rows", [price], window)


@_pandas_too
def dollar_volume(close: Array, volume: Array, window: int = 21) -> Array:
    """Mean of close times volume over the last `window` sessions, in currency per session."""
    return computed("windows.mean_product_rows", [close, volume], window)


@_pandas_too
def amihud(price: Array, close: Array, volume: Array, window: int = 21) -> Array:
    """Mean absolute daily return per million of currency traded, over `window` sessions.

    Source: Amihud, "Illiquidity and stock returns" (Journal of Financial Markets 5, 2002), equation 1, times 10**6.
    NaN where a session of the window traded nothing.
    """
    return computed("windows.amihud_rows", [price, close, volume], window)
