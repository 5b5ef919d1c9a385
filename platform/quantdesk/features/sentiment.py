"""The mood of the market, made from market prices. Pure.

A *source* gives one score per session, high when the mood is good. Each source's score is standardised on its own last
252 sessions (the current one included), and ``sentiment_z`` is the mean over the sources. Two sources ship, both made
from the prices of a panel of stocks; neither reads news. A news score plugs in as one more :class:`SentimentSource`.

With the bundled panel it exists from March 1991 to the panel's end in December 2022, and it inherits the panel's
labels: stocks that survived, prices adjusted with hindsight. Breadth among survivors looks better than breadth was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.features import missing, transforms
from quantdesk.features.definitions import FEATURES
from quantdesk.features.rolling import Array, rolling_mean, rolling_std
from quantdesk.features.tables import Table

__all__ = ["Breadth", "Calm", "Panel", "Scores", "SentimentSource", "sentiment_table"]

STANDARDISED_ON = 252


@dataclass(frozen=True)
class Panel:
    """The stocks whose prices make the mood.

    Attributes
    ----------
    event, created
        Session closes and when all of the session's prices were known; UTC, shape ``(n,)``.
    session
        Local dates without a zone.
    prices
        Index: the sessions; one column per stock; NaN where a stock has no price.
    """

    event: pd.DatetimeIndex
    created: pd.DatetimeIndex
    session: pd.DatetimeIndex
    prices: pd.DataFrame


@dataclass(frozen=True)
class Scores:
    """One score per session of the panel, and when it could first be known. Both of shape ``(n,)``.

    ``created`` is never before what it was made from was known: a news score carries its publication times.
    """

    values: Array
    created: pd.DatetimeIndex


class SentimentSource(Protocol):
    """A plug-in point: anything that scores each session."""

    @property
    def name(self) -> str:
        """What it is called in the reasons for nulls."""
        ...

    @property
    def look_back(self) -> int:
        """Sessions that the first score needs."""
        ...

    def scores(self, panel: Panel) -> Scores:
        """Score each session of `panel`, high for a good mood, from what was known by then."""
        ...


@dataclass(frozen=True)
class Breadth:
    """The share of stocks that stand above their own moving average. NaN while fewer than half of them have one."""

    name: str = "breadth"
    look_back: int = 50

    def scores(self, panel: Panel) -> Scores:
        """A fraction from 0 to 1 per session."""
        prices = panel.prices.to_numpy(dtype=np.float64)
        averages = np.column_stack([transforms.sma(column, self.look_back) for column in prices.T])
        known = ~np.isnan(averages) & ~np.isnan(prices)
        count = known.sum(axis=1)
        above = (known & (prices > averages)).sum(axis=1)
        share = np.where(2 * count >= prices.shape[1], above / np.maximum(count, 1), np.nan)
        return Scores(share, panel.created)


@dataclass(frozen=True)
class Calm:
    """Minus the median 21-session volatility of the stocks. NaN while fewer than half of them have one."""

    name: str = "calm"
    look_back: int = 22

    def scores(self, panel: Panel) -> Scores:
        """Minus a fraction per year, per session."""
        columns = panel.prices.to_numpy(dtype=np.float64).T
        swings = np.column_stack([transforms.volatility(column, self.look_back - 1) for column in columns])
        enough = 2 * (~np.isnan(swings)).sum(axis=1) >= swings.shape[1]
        median = np.full(len(swings), np.nan)
        median[enough] = np.nanmedian(swings[enough], axis=1)
        return Scores(-median, panel.created)


def sentiment_table(panel: Panel, sources: Sequence[SentimentSource] = (Breadth(), Calm())) -> Table:
    """Standardise each source on its own past and average them.

    The mixture never changes silently: a row on which one source has no value has none. A row is known when everything
    inside its windows is, the slowest source included.
    """
    scored = [source.scores(panel) for source in sources]
    mean = np.mean([_standardised(scores.values) for scores in scored], axis=0)
    created = panel.created
    for scores in scored:
        latest = pd.DatetimeIndex(scores.created.to_series().cummax())
        created = created.where(created >= latest, latest)
    reasons = _reasons(mean, sources, scored)
    return Table(panel.event, created, panel.session, {"sentiment_z": mean}, {"sentiment_z": reasons})


def _standardised(values: Array) -> Array:
    spread = rolling_std(values, STANDARDISED_ON, ddof=1)
    return (values - rolling_mean(values, STANDARDISED_ON)) / np.where(spread > 0, spread, np.nan)


def _reasons(mean: Array, sources: Sequence[SentimentSource], scored: Sequence[Scores]) -> NDArray[np.object_]:
    codes = np.full(len(mean), None, dtype=object)
    null = np.isnan(mean)
    codes[null] = f"undefined:{FEATURES['sentiment_z'].undefined}"
    position = np.arange(len(mean))
    for source, scores in zip(sources, scored, strict=True):
        absent = np.isnan(scores.values)
        begun = np.maximum.accumulate(~absent)
        codes[null & begun & missing.any_in_window(absent & begun, STANDARDISED_ON)] = "input_gap"
        codes[null & ~begun & (position >= source.look_back - 1)] = f"no_history:{source.name}"
    look_back = max(source.look_back for source in sources) + STANDARDISED_ON - 1
    codes[null & (position < look_back - 1)] = f"warm_up:{look_back}"
    return codes
