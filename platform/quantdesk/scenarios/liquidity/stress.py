"""How wild a market is against its calm times, as far as it is known at each bar. Pure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.scenarios.path import GRADES, Grade, Path

__all__ = ["DECAY", "NIGHT", "SESSION", "WARM_UP", "bar_days", "ewma", "moves", "stress_of"]

Floats = NDArray[np.float64]
Grades = NDArray[np.int8]

DECAY = 0.94
"""What a bar leaves of the variance before it (RiskMetrics 1996, for daily bars). The same for each bar, however short:
what a minute must react to happens in minutes."""

NIGHT = 0.2
"""The part of a day's variance that comes between a close and the next open (French and Roll 1986 find about this much
for US stocks): the rest is spread evenly over the session. An assumption."""

SESSION = 6.5 * 3600e9
"""Nanoseconds of a regular session."""

DAILY = 3 * 3600e9
"""A bar this long or longer is a day: the shortest session of New York has three and a half hours."""

WARM_UP = 20
"""Returns that a history needs before its volatility means something."""


def moves(values: Floats, before: Floats, kinds: tuple[str, ...]) -> Floats:
    """From one table of values to another, shape ``(T, N)``; NaN where either is.

    A ``rate`` moves by differences, everything else by logarithms; where a value is not above 0, as that of oil was, by
    the part of the one before. `kinds` are the assets', ``(N,)``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values) - np.log(before)
        parts = np.where(before == 0, np.nan, (values - before) / np.abs(before))
    found = np.where((values > 0) & (before > 0), logs, parts)
    rates = np.array([kind == "rate" for kind in kinds])
    found[:, rates] = (values - before)[:, rates]
    return found


def bar_days(path: Path) -> Floats:
    """The part of a day's variance that each bar is expected to hold, shape ``(T,)``: 1 for daily bars.

    The first bar of a session holds the night and what has passed of the session.
    """
    lengths = path.ends - path.begins
    opens = (path.sessions + pd.Timedelta(hours=9, minutes=30)).tz_localize("America/New_York").tz_convert("UTC")
    since_open = path.ends - opens.to_numpy(dtype="datetime64[ns]").astype(np.int64)
    first = ~path.sessions.duplicated()
    passed = np.where(first, np.maximum(since_open, lengths), lengths)
    days = passed / SESSION * (1 - NIGHT) + NIGHT * first
    return np.asarray(np.where(lengths >= DAILY, 1.0, days), dtype=np.float64)


def ewma(squares: Floats, rows: NDArray[np.int64], start: Floats) -> Floats:
    """Exponentially weighted means, each known at its row.

    Parameters
    ----------
    squares
        Squared moves a day, shape ``(T, N)``; NaN leaves the mean as it was.
    rows
        For how many rows each stands, shape ``(T, N)``.
    start
        Before the first row, shape ``(N,)``.

    Returns
    -------
    ndarray
        Shape ``(T, N)``.
    """
    keep = np.where(np.isnan(squares), 1.0, DECAY**rows)
    add = (1 - keep) * np.nan_to_num(squares)
    found = np.empty(squares.shape)
    now = start
    for row in range(len(squares)):
        now = keep[row] * now + add[row]
        found[row] = now
    return found


def stress_of(path: Path) -> Floats:
    """Volatility known at the end of each bar over the calm one of the history.

    Volatility is the root of exponentially weighted squared moves, the history's among them, each over the part of a
    day that its bar is. Calm is the median of the history's. The value at a bar depends on no later bar.

    Parameters
    ----------
    path
        Daily or intraday, with daily bars as history.

    Returns
    -------
    ndarray
        Shape ``(T, N)``, at least 0.001; 1 for an asset whose history has fewer than 20 moves, or never moves. Where a
        bar is missing or closed, what was known before it.
    """
    count = len(path.assets)
    calm, start, last = (np.full(count, np.nan) for _ in range(3))
    if path.history is not None:
        known = {symbol: place for place, symbol in enumerate(path.history.symbols)}
        for place, asset in enumerate(path.assets):
            if asset.symbol in known:
                column = known[asset.symbol]
                calm[place], start[place], last[place] = _calm(path.history, column, asset.kind)
    usable = calm > 0
    kinds = tuple(asset.kind for asset in path.assets)
    squares, bars = _squares(path.close, path.grades, bar_days(path), last, kinds)
    found = np.sqrt(ewma(squares, bars, np.where(usable, start, 0.0)))
    return np.where(usable, np.maximum(found / np.where(usable, calm, 1.0), 1e-3), 1.0)


def _calm(history: Path, column: int, kind: str) -> tuple[float, float, float]:
    """Of one asset: the median of its volatility, its variance at the end, and its last value."""
    close, grades = history.close[:, column : column + 1], history.grades[:, column : column + 1]
    squares, bars = _squares(close, grades, bar_days(history), np.array([np.nan]), (kind,))
    given = np.flatnonzero(~np.isnan(squares[:, 0]))
    if len(given) < WARM_UP:
        return np.nan, np.nan, np.nan
    begin = np.array([squares[given[:WARM_UP], 0].mean()])
    found = ewma(squares[given], bars[given], begin)[:, 0]
    return float(np.median(np.sqrt(found))), float(found[-1]), float(close[~np.isnan(close)][-1])


def _squares(
    close: Floats, grades: Grades, days: Floats, last: Floats, kinds: tuple[str, ...]
) -> tuple[Floats, NDArray[np.int64]]:
    """Squared moves a day since each asset's last known value, and over how many of its bars that was.

    A closed market has no bar: what gathers while it is shut comes in the one bar of its reopening.
    """
    shut = grades == GRADES.index(Grade.CLOSED)
    values = np.vstack([last, close])
    known = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    at = np.maximum.accumulate(known, axis=0)[:-1]
    bars = np.vstack([np.zeros(close.shape[1], dtype=np.int64), np.cumsum(~shut, axis=0)])
    passed = np.vstack([np.zeros(close.shape[1]), np.cumsum(np.where(shut, 0.0, days[:, None]), axis=0)])
    steps = moves(close, np.take_along_axis(values, at, axis=0), kinds)
    since = passed[1:] - np.take_along_axis(passed, at, axis=0)
    count = np.maximum(bars[1:] - np.take_along_axis(bars, at, axis=0), 1)
    return steps**2 / np.where(since > 0, since, 1.0), count
