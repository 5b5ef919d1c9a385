"""Bars as people have them, turned into the sessions of symbols. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.amounts import MICRO, nanoseconds
from quantdesk.orders.halts.hours import NEW_YORK, regular_hours
from quantdesk.orders.rulebook import Rulebook, bundled
from quantdesk.orders.symbols import canonical
from quantdesk.orders.venues.shape import SessionBars

__all__ = ["Frames", "sessions_of", "tick_and_lot"]

Frames = pd.DataFrame | Mapping[str, pd.DataFrame]
CORNERS = ("open", "high", "low", "close")
_ROUNDING = 2
"""Micro-dollars by which a corner may lie outside of its bar: adjusted prices are products of rounded numbers."""


def sessions_of(bars: Frames, book: Rulebook | None = None) -> dict[str, tuple[SessionBars, ...]]:
    """The sessions that bars describe.

    Parameters
    ----------
    bars
        A mapping of symbols to frames, or one frame: with a level or a column ``symbol``, or with columns of two
        levels, symbol and field. Columns ``open``, ``high``, ``low``, ``close`` in dollars and, if known, ``volume`` in
        shares (NaN or missing: nothing trades). The index is the time: one row a day (a date, or any moment of the day
        in New York) is a daily bar; several rows are intraday bars, stamped with their beginning, in a time zone. Rows
        outside of the regular session are left out.
    book
        Where ticks and round lots come from.

    Raises
    ------
    BadInput
        No such columns, no rows, a price that is none, a bar whose corners do not fit.
    BadDates
        Times that descend or repeat, intraday times without a zone, a day without a session.
    """
    found = {}
    for name, frame in _by_symbol(bars):
        symbol = canonical(str(name))
        found[symbol] = tuple(_sessions(symbol, frame, book or bundled()))
        if not found[symbol]:
            raise BadInput(f"The bars of {symbol} hold nothing of a regular session.", "Give bars of 9:30 to 16:00.")
    if not found:
        raise BadInput("There are no bars.", "Give those of at least one symbol.")
    return found


def tick_and_lot(price: int, on: dt.date, book: Rulebook) -> tuple[int, int]:
    """Step of quoted prices in micro-dollars, and shares of a round lot, for a price on a day.

    Before the oldest entry of the rulebook, that one's.
    """
    tick = book.tick(on) or book.tick(dt.date(1997, 6, 24))
    lot = book.round_lot(on) or book.round_lot(dt.date(1971, 1, 1))
    step = next((one.step for one in tick.steps if price >= one.at_least * MICRO), None) if tick else None
    size = next((one.shares for one in lot.sizes if price >= one.at_least * MICRO), None) if lot else None
    if step is None or size is None:
        raise BadDates(f"The rulebook has no tick or round lot for {on}.", "Add entries of [[tick]] and [[round_lot]].")
    return int(step * MICRO), size


def _by_symbol(bars: Frames) -> Iterator[tuple[object, pd.DataFrame]]:
    if isinstance(bars, Mapping):
        yield from bars.items()
    elif isinstance(bars.columns, pd.MultiIndex):
        for name in bars.columns.get_level_values(0).unique():
            yield name, bars[name].dropna(how="all")
    elif "symbol" in bars.index.names:
        for name, frame in bars.groupby(level="symbol", sort=True):
            yield name, frame.droplevel("symbol")
    elif "symbol" in bars.columns:
        for name, frame in bars.groupby("symbol", sort=True):
            yield name, frame.drop(columns="symbol")
    else:
        raise BadInput(
            f"The bars have the columns {', '.join(map(str, bars.columns))} and no symbol.",
            "Give a mapping of symbols to frames, or a column or index level named symbol.",
        )


def _sessions(symbol: str, frame: pd.DataFrame, book: Rulebook) -> Iterator[SessionBars]:
    missing = [name for name in CORNERS if name not in frame.columns]
    if missing:
        raise BadInput(f"The bars of {symbol} have no {', '.join(missing)}.", f"Give {', '.join(CORNERS)} and volume.")
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or index.hasnans:
        raise BadDates(f"The bars of {symbol} have no times as their index.", "Give a DatetimeIndex without gaps.")
    if not index.is_monotonic_increasing or not index.is_unique:
        raise BadDates(f"The times of the bars of {symbol} descend or repeat.", "Sort them, and keep each once.")
    days = pd.Index((index if index.tz is None else index.tz_convert(NEW_YORK)).date)
    corners = _micro(symbol, frame)
    volume = np.zeros(len(frame)) if "volume" not in frame else frame["volume"].fillna(0).to_numpy(dtype=float)
    if not np.isfinite(volume).all() or (volume < 0).any():
        raise BadInput(f"A volume of {symbol} is below 0 or infinite.", "Give shares.")
    shares = np.rint(volume).astype(np.int64)
    daily = days.is_unique
    if not daily and index.tz is None:
        raise BadDates(f"The intraday bars of {symbol} have no time zone.", "Give one, for example America/New_York.")
    stamps = index.as_unit("ns").astype(np.int64).to_numpy()
    width = 0 if daily else int(np.diff(stamps).min())
    for day in days.unique():
        hours = regular_hours(day)
        if hours is None:
            if daily:
                raise BadDates(f"The exchanges were closed on {day}.", "Give bars of sessions.")
            continue
        opens, closes = nanoseconds(hours.opens), nanoseconds(hours.closes)
        rows = np.flatnonzero(days == day)
        starts, ends = np.array([opens]), np.array([closes])
        if not daily:
            rows = rows[(stamps[rows] >= opens) & (stamps[rows] < closes)]
            starts, ends = stamps[rows], np.minimum(stamps[rows] + width, closes)
        if rows.size:
            tick, lot = tick_and_lot(int(corners[rows[0], 0]), day, book)
            yield SessionBars(symbol, opens, closes, starts, ends, corners[rows], shares[rows], tick, lot)


def _micro(symbol: str, frame: pd.DataFrame) -> NDArray[np.int64]:
    prices = frame[list(CORNERS)].to_numpy(dtype=float)
    wrong = ~np.isfinite(prices).all(axis=1) | (prices <= 0).any(axis=1)
    whole: NDArray[np.int64] = np.rint(np.where(wrong[:, None], 1.0, prices) * MICRO).astype(np.int64)
    high, low = whole.max(axis=1), whole.min(axis=1)
    wrong |= (high - whole[:, 1] > _ROUNDING) | (whole[:, 2] - low > _ROUNDING)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise BadInput(
            f"The bar of {symbol} at {frame.index[place]} has open, high, low, close {prices[place].tolist()}.",
            "Give prices above 0, with low <= open, close <= high.",
        )
    whole[:, 1], whole[:, 2] = high, low
    return whole
