"""One series of the store, adjusted with the actions that were known on a date. Pure: the store hands in the bars."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from quantdesk.errors import BadDates, BadInput
from quantdesk.market.actions.action import Action, known_by, merged
from quantdesk.market.actions.adjust import Dividends, factors, undo_splits
from quantdesk.market.actions.derive import derive
from quantdesk.market.actions.ticks import split_trail
from quantdesk.market.series import Bars, Series
from quantdesk.market.spans import Span

__all__ = ["Adjusted", "Traded", "adjusted", "as_traded", "moment", "within"]

_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Traded:
    """A series as it traded on each day, and its actions.

    Attributes
    ----------
    series
        Described as it is here: no adjusted close, nothing adjusted.
    frame
        Index ``timestamp`` (UTC); columns ``session`` and those of open, high, low, close and volume that there are.
    actions
        All that is known today, revisions included.
    reconstructed
        Whether the prices themselves were worked out: a split was taken back out of them.
    """

    series: Series
    frame: pd.DataFrame
    actions: tuple[Action, ...]
    reconstructed: bool


@dataclass(frozen=True)
class Adjusted:
    """Prices as somebody would have adjusted them on a date.

    Attributes
    ----------
    series
        What they are. ``flags.adjusted_with_hindsight`` is False: no later action touched them.
    frame
        Index ``timestamp`` (UTC), up to the last bar known at `as_of`. Columns ``session``; open, high, low, close and
        volume where the series has them, adjusted; ``traded_close``; ``factor`` (adjusted over traded price).
    as_of
        The moment, UTC; None for everything known today.
    actions
        Those that took effect, by ex-date.
    labels
        What a result must say, in words: ``real`` or ``not_real``, ``survivors_only``, and ``reconstructed`` where an
        action or a price was worked out instead of stated by a source.
    """

    series: Series
    frame: pd.DataFrame
    as_of: dt.datetime | None
    actions: tuple[Action, ...]
    labels: tuple[str, ...]


def as_traded(bars: Bars, loaded: Sequence[Action] = (), others: Sequence[Series] = ()) -> Traded:
    """A series without any adjustment, with its actions.

    Parameters
    ----------
    bars
        The whole history of one series.
    loaded
        What a user's files say about its symbol; replaces, kind by kind, what would be worked out.
    others
        Further series of the store, to name one that can be used when this one cannot.

    Raises
    ------
    BadInput
        The series holds no price as traded, and none can be worked out.
    """
    series, frame = bars.series, bars.frame
    if "close" not in series.fields or series.adjustment not in ("none", "splits"):
        raise _no_raw_price(series, others)
    reconstructed, derived = False, tuple[Action, ...]()
    prices = frame[["session", *(name for name in (*_PRICES, "volume") if name in series.fields)]].copy()
    if series.adjustment == "splits":
        splits: tuple[Action, ...]
        if any(one.kind == "split" for one in loaded):
            splits = tuple(one for one in known_by(loaded, None) if one.kind == "split" and one.ex_date <= series.end)
        else:
            trail = split_trail(series, frame)
            if trail.since is None:
                raise BadInput(
                    f"{series.id} is adjusted for splits, and its last closes are no whole cents that would tell them.",
                    f"Load the splits of {series.symbol}, or one split of 1 where it had none.",
                )
            inside = (frame["session"] >= pd.Timestamp(trail.since)).to_numpy()
            frame, prices = frame[inside], prices[inside].copy()
            derived = splits = trail.actions
        reconstructed = bool(splits)
        multiple = undo_splits(pd.DatetimeIndex(frame["session"]), splits)
        for name in set(_PRICES) & set(prices.columns):
            prices[name] *= multiple
        if "volume" in prices:
            prices["volume"] /= multiple
    if "adj_close" in series.fields:
        derived = (*derived, *derive(series, frame, prices["close"] if series.adjustment == "splits" else None).actions)
    described = replace(
        series,
        fields=tuple(name for name in prices.columns if name != "session"),
        adjustment="none",
        flags=replace(series.flags, adjusted_with_hindsight=False),
        start=prices["session"].iloc[0].date(),
        rows=len(prices),
    )
    return Traded(described, prices, merged(derived, loaded), reconstructed)


def adjusted(traded: Traded, as_of: dt.datetime | None = None, dividends: Dividends = "reinvested") -> Adjusted:
    """Back-adjust with what was known and had taken effect at `as_of`, and nothing else.

    Parameters
    ----------
    traded
        From :func:`as_traded`.
    as_of
        An aware moment: bars and actions that were not known then are not there. None for all.
    dividends
        As in :func:`quantdesk.market.actions.adjust.factors`.

    Raises
    ------
    BadDates
        Nothing was known yet.
    BadInput
        A dividend is in another currency than the prices.
    """
    series, frame = traded.series, traded.frame
    if as_of is not None:
        frame = frame[np.asarray(frame.index <= pd.Timestamp(as_of) - series.publication_lag)]
        if frame.empty:
            raise BadDates(
                f"Nothing of {series.id} was known at {as_of.isoformat()}.", f"It runs from {series.start} on."
            )
    known = known_by(traded.actions, as_of)
    foreign = [one for one in known if one.kind == "dividend" and one.currency != series.unit]
    if foreign and dividends != "ignored":
        raise BadInput(
            f"The dividend of {foreign[0].symbol} on {foreign[0].ex_date} is in {foreign[0].currency}, and the prices"
            f" of {series.id} are in {series.unit}.",
            f"Load it in {series.unit}, at the rate of its ex-date.",
        )
    raw = frame["close"].to_numpy(dtype=np.float64)
    found = factors(pd.DatetimeIndex(frame["session"]), raw, known, dividends)
    table = frame.copy()
    for name in set(_PRICES) & set(table.columns):
        table[name] = table[name] * found.price
    if "volume" in table:
        table["volume"] = table["volume"] * found.shares
    table["traded_close"], table["factor"] = raw, found.price
    reconstructed = traded.reconstructed or any(one.label == "reconstructed" for one in found.applied)
    labels = ["real" if series.flags.real else "not_real"]
    labels += ["survivors_only"] * series.flags.survivors_only + ["reconstructed"] * reconstructed
    last = table["session"].iloc[-1].date()
    return Adjusted(replace(series, end=last, rows=len(table)), table, as_of, found.applied, tuple(labels))


def moment(as_of: dt.date | None, now: dt.datetime) -> dt.datetime | None:
    """The moment that an as-of bound means: an aware datetime itself, or the end of a date in UTC, at most `now`.

    Raises
    ------
    BadDates
        It lies in the future.
    """
    if as_of is None:
        return None
    first = as_of if isinstance(as_of, dt.datetime) else dt.datetime.combine(as_of, dt.time(), dt.UTC)
    if first > now:
        raise BadDates(f"The as-of time {first} lies in the future.", "Give a past date: the future is not known.")
    if isinstance(as_of, dt.datetime):
        return as_of.astimezone(dt.UTC)
    return min(first + dt.timedelta(days=1) - dt.timedelta(microseconds=1), now)


def within(found: Adjusted, wanted: Span) -> Adjusted:
    """The rows of a range; the factors are those of the whole.

    Raises
    ------
    BadDates
        There are none.
    """
    frame, series = found.frame, found.series
    for bound, first in ((wanted.start, True), (wanted.end, False)):
        if bound is not None:
            instant = isinstance(bound, dt.datetime)
            places = pd.Series(frame.index, frame.index) if instant else frame["session"]
            edge = pd.Timestamp(bound)
            frame = frame[np.asarray(places.loc[frame.index] >= edge if first else places.loc[frame.index] <= edge)]
    if frame.empty:
        raise BadDates(f"{series.id} has no rows from {wanted}.", f"Known are {series.start} to {series.end}.")
    days = frame["session"]
    described = replace(series, start=days.iloc[0].date(), end=days.iloc[-1].date(), rows=len(frame))
    return replace(found, frame=frame, series=described)


def _no_raw_price(series: Series, others: Sequence[Series]) -> BadInput:
    usable = [one.id for one in others if one.symbol == series.symbol and _usable(one)]
    why = (
        "holds adjusted closes and no close"
        if "close" not in series.fields
        else f"is adjusted for {series.adjustment} as a whole"
    )
    remedy = f"Take {' or '.join(usable)}." if usable else "Load a series with a close as traded for it."
    return BadInput(f"{series.id} {why}, so nobody can say what it traded at on a day.", remedy)


def _usable(series: Series) -> bool:
    return "close" in series.fields and series.adjustment in ("none", "splits")
