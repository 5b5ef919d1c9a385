"""The checks on numbers. Rows come in order and one per session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from quantdesk.market.checks import POSITIVE_KINDS, inside_high_low
from quantdesk.market.quality.finding import EXAMPLES, Rows, finding, runs
from quantdesk.market.quality.report import Degree, Example, Finding

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHECKS", "JUMP_Z", "STALE_RUN"]

STALE_RUN = 5
"""A run of this many equal values in a row is stale."""

JUMP_Z = 10.0
"""A change of this many robust standard deviations of the quarter before it is a jump."""

QUARTER, LEAST = 63, 20
"""Sessions that the robust standard deviation is taken over, and how many of them there must be."""

STALE_OPEN = 0.15
"""Where the median move overnight is below this share of the median move of a day, opens were not observed."""

COARSE = 10
"""A bar that spans at most this many steps of its price grid can equal the one before by chance."""

SPIKE_Z = 50.0
"""A move of this size that is undone at once is doubtful; markets have undone smaller ones, in March 2020 for one."""


def nulls(rows: Rows) -> Finding | None:
    """Rows that lack a value in some field and have one in another."""
    absent = rows.frame[list(rows.description.fields)].isna()
    hit = absent.any(axis=1)
    examples = [
        rows.example(row, absent.loc[row].sum(), f"no {', '.join(absent.columns[absent.loc[row]])}")
        for row in hit.index[hit][:EXAMPLES]
    ]
    return finding("nulls", "doubtful", hit.sum(), len(hit), "a row that lacks some of its fields", examples)


def non_positive(rows: Rows) -> Finding | None:
    """Prices at or below zero: wrong for a share or a rate of exchange, possible for a yield or a barrel of oil."""
    low = rows.frame[rows.prices].min(axis=1)
    hit = low <= 0
    degree: Degree = "wrong" if rows.description.kind in POSITIVE_KINDS else "notable"
    examples = [rows.example(row, low[row], f"{low[row]:g}") for row in low[hit].sort_values().index[:EXAMPLES]]
    return finding("non_positive", degree, hit.sum(), len(hit), "a price at or below zero", examples)


def outside_high_low(rows: Rows) -> Finding | None:
    """Open or close above the high or below the low, or a high below the low."""
    if not {"high", "low"} & set(rows.description.fields):
        return None
    names = [name for name in ("open", "high", "low", "close") if name in rows.frame]
    prices = rows.frame[names]
    hit = ~inside_high_low(rows.frame)
    highest, lowest = prices.max(axis=1), prices.min(axis=1)
    outside = highest * 0.0
    if "high" in prices:
        outside += (highest - prices["high"]).fillna(0.0)
    if "low" in prices:
        outside += (prices["low"] - lowest).fillna(0.0)
    outside /= prices.abs().max(axis=1)
    outside = outside[hit].sort_values(ascending=False, kind="stable")
    examples = []
    for row in outside.index[:EXAMPLES]:
        shown = ", ".join(f"{name} {prices[name].iloc[row]:g}" for name in names)
        examples.append(rows.example(row, outside[row], f"{shown}: {outside[row]:.3%} outside"))
    says = "open or close outside of high and low"
    return finding("outside_high_low", "wrong", hit.sum(), len(hit), says, examples)


def stale(rows: Rows) -> Finding | None:
    """The same value on five sessions or more; counted are the rows of such runs."""
    changed = rows.main.diff().ne(0)
    number = changed.cumsum()
    length = number.map(number.value_counts())
    hit = (length >= STALE_RUN) & rows.main.notna()
    examples = [
        rows.example(start, size, f"{rows.main.iloc[start]:g} on {size} sessions")
        for start, size in sorted(
            ((int(group.index[0]), len(group)) for _, group in number[hit].groupby(number[hit])),
            key=lambda run: (-run[1], run[0]),
        )[:EXAMPLES]
    ]
    says = f"the same value on {STALE_RUN} sessions or more"
    return finding("stale", "notable", hit.sum(), len(hit), says, examples)


def repeated_prices(rows: Rows) -> Finding | None:
    """A bar whose prices all equal those of the bar before, though they moved within it: a copy, not a session.

    The volume may differ: in one of the bundled files a copied bar carries the right volume.
    """
    import numpy as np

    names = [name for name in ("open", "high", "low", "close") if name in rows.frame]
    if len(names) < 4:
        return None
    same = (rows.frame[names].diff() == 0).all(axis=1) & (rows.frame["high"] > rows.frame["low"])
    for row in same.index[same]:
        # Prices on a coarse grid repeat by chance: a bar that spans few steps of its grid proves nothing.
        nearby = np.unique(rows.frame[names].iloc[max(0, row - QUARTER) : row + QUARTER])
        steps = np.diff(nearby)
        span = rows.frame["high"].iloc[row] - rows.frame["low"].iloc[row]
        same.iloc[row] = span > COARSE * steps[steps > 1e-9 * span].min()
    examples = [
        rows.example(start, size, f"open, high, low and close of the session before{_times(size)}")
        for start, size in runs(same)[:EXAMPLES]
    ]
    says = "a bar that is a copy of the bar before"
    return finding("repeated_prices", "wrong", same.sum(), len(same), says, examples)


def stale_open(rows: Rows) -> Finding | None:
    """Years in which the open hardly leaves the close before it: filled in, or made of prices from the day before.

    Where opens are observed, the median move overnight is a third to a half of the median move from close to close.
    """
    if "open" not in rows.frame:
        return None
    before = rows.frame["close"].shift()
    moves = rows.frame[["open", "close"]].div(before, axis=0).sub(1).abs()
    years = moves.groupby(rows.frame["session"].dt.year)
    typical = years.median()[years.size() >= QUARTER]
    dull = typical[typical["open"] <= STALE_OPEN * typical["close"]]
    hit = rows.frame["session"].dt.year.isin(dull.index)
    examples = []
    for year in dull.index:
        first = int(hit.index[rows.frame["session"].dt.year == year][0])
        overnight, daily = float(dull["open"][year]), float(dull["close"][year])
        says = f"in {year} the median move overnight is {overnight:.3%}, from close to close {daily:.3%}"
        examples.append(rows.example(first, overnight, says))
    says = f"years whose median move overnight is below {STALE_OPEN:.0%} of that from close to close"
    return finding("stale_open", "doubtful", hit.sum(), len(hit), says, examples)


def flat_bars(rows: Rows) -> Finding | None:
    """Open, high, low and close all the same: no trade, or one; or prices too coarse for their size."""
    names = [name for name in ("open", "high", "low", "close") if name in rows.frame]
    if len(names) < 4:
        return None
    hit = rows.frame[names].max(axis=1) == rows.frame[names].min(axis=1)
    examples = [
        rows.example(start, size, f"{rows.frame.at[start, 'close']:g}{_times(size)}")
        for start, size in runs(hit)[:EXAMPLES]
    ]
    return finding("flat_bars", "notable", hit.sum(), len(hit), "open, high, low and close are one price", examples)


def volume(rows: Rows) -> Finding | None:
    """A volume that is zero or negative on a day with prices."""
    if "volume" not in rows.frame:
        return None
    traded = rows.frame["volume"]
    none = traded[traded <= 0].head(EXAMPLES).to_dict()
    examples = [rows.example(int(str(row)), size, f"volume {size:g}") for row, size in none.items()]
    says = "a volume of zero or less on a day with prices"
    return finding("no_volume", "doubtful", (traded <= 0).sum(), len(traded), says, examples)


def jumps(rows: Rows) -> Finding | None:
    """Changes far outside those of the quarter before, that stayed."""
    change, z, undone = _changes(rows)
    hit = (z > JUMP_Z) & ~undone
    return finding("jumps", "notable", hit.sum(), len(hit), _BEYOND, _moves(rows, change, z[hit]))


def spikes(rows: Rows) -> Finding | None:
    """Changes far outside those of the quarter before, that the next session undid: typing, or a market in panic."""
    change, z, undone = _changes(rows)
    hit = (z > JUMP_Z) & undone
    degree: Degree = "doubtful" if (z[hit] > SPIKE_Z).any() else "notable"
    says = f"{_BEYOND}, undone the next session"
    return finding("spikes", degree, hit.sum(), len(hit), says, _moves(rows, change, z[hit]))


_BEYOND = f"a change of more than {JUMP_Z:.0f} robust standard deviations of the quarter before"


def _differences(rows: Rows) -> bool:
    """Whether changes are differences, not log returns: for yields, and where a price can be zero or below."""
    return rows.description.kind == "rate" or bool((rows.main <= 0).any())


def _changes(rows: Rows) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Each change, its robust z, and whether the next one undid it.

    The z is the size of the change over 1.4826 times the median absolute change of the sessions before it. A change
    never crosses a gap in the rows of more than ten days (45 for a monthly series): that is none of one session.
    """
    import numpy as np

    main = rows.main
    change = main.diff() if _differences(rows) else np.log(main).diff()
    gap = (rows.frame["session"] - rows.frame["session"].shift()).dt.days
    change = change.mask(gap > (45 if rows.description.frequency == "monthly" else 10))
    scale = 1.4826 * change.abs().shift().rolling(QUARTER, min_periods=LEAST).median()
    z = (change / scale.where(scale > 0)).abs()
    undone = (change + change.shift(-1)).abs() < 0.25 * change.abs()
    return change, z, undone


def _moves(rows: Rows, change: pd.Series, z: pd.Series) -> list[Example]:
    """The largest moves first."""
    import numpy as np

    difference = _differences(rows)
    size = change if difference else np.expm1(change) * 100
    unit = rows.description.unit if difference else "%"
    return [
        rows.example(row, z[row], f"{size[row]:+.2f} {unit}, {z[row]:.0f} robust standard deviations")
        for row in z.sort_values(ascending=False, kind="stable").index[:EXAMPLES]
    ]


def _times(size: int) -> str:
    return f", {size} sessions in a row" if size > 1 else ""


CHECKS: tuple[Callable[[Rows], Finding | None], ...] = (
    nulls,
    non_positive,
    outside_high_low,
    repeated_prices,
    stale,
    stale_open,
    flat_bars,
    volume,
    spikes,
    jumps,
)
