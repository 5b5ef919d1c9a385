"""How far assets move in a day, together: moves, covariances, and what some moves say of others. Pure.

A move is a log return, but for a rate, where it is a change in percent points. Moves add up over days.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.shocks.eras import Era

__all__ = ["Covariance", "Estimator", "betas", "by_session", "closes_of", "covariance", "is_rate", "moves", "root"]

Floats = NDArray[np.float64]
Estimator = Literal["sample", "ledoit_wolf"]

_FEWEST_DAYS, _COVERAGE = 40, 0.8
_RATE = re.compile(r"^(UST\d+[MY]|AAA|BAA)(@.*)?$")


def is_rate(symbol: str, kinds: Mapping[str, str]) -> bool:
    """Whether an asset moves by differences: as `kinds` says, or a Treasury or corporate yield by its name."""
    return kinds[symbol] == "rate" if symbol in kinds else bool(_RATE.match(symbol))


def by_session(panel: pd.DataFrame) -> pd.DataFrame:
    """One row a day: what each series showed last on that day in New York.

    Series of one day are not of one instant: a fixing of the ECB at 14:15 in Frankfurt is hours before the close of New
    York, so correlations between the two are understated.

    Parameters
    ----------
    panel
        Index of instants (aware), as of :meth:`MarketStore.panel`, or of midnights without a zone; NaN where there is
        none.

    Returns
    -------
    DataFrame
        Index of midnights without a zone, ascending.

    Raises
    ------
    BadInput
        No rows, or another index.
    """
    if not isinstance(panel.index, pd.DatetimeIndex) or panel.empty:
        raise BadInput("The panel has no rows with dates.", "Give values by day, one column a symbol.")
    days = panel.index
    if days.tz is not None:
        days = days.tz_convert("America/New_York").tz_localize(None).normalize()
    return panel.groupby(days).last().sort_index().rename_axis(index="session")


def closes_of(path: Path) -> pd.DataFrame:
    """The values of a path by session, its history included; NaN where there is none."""
    frame = by_session(path.closes())
    if path.history is None:
        return frame
    before = closes_of(path.history)
    before = before.loc[before.index < frame.index[0]]
    return pd.concat([before.reindex(columns=frame.columns), frame]).rename_axis(index="session")


def moves(closes: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Moves between rows that follow each other; the first row is left out.

    Parameters
    ----------
    closes
        Values by session.
    kinds
        By symbol, as of :class:`~quantdesk.scenarios.path.Asset`; a symbol without one is told by its name.

    Raises
    ------
    BadInput
        A price that is not above zero has no log return.
    """
    values = closes.to_numpy(dtype=np.float64, copy=True)
    rates = np.array([is_rate(str(name), kinds) for name in closes.columns], dtype=bool)
    prices = values[:, ~rates]
    if (prices <= 0).any():
        name = [name for name, is_one in zip(closes.columns, rates, strict=True) if not is_one][
            int(np.argmax((prices <= 0).any(axis=0)))
        ]
        raise BadInput(f"{name} has a value that is not above zero.", "Take an era without it.")
    values[:, ~rates] = np.log(prices)
    return pd.DataFrame(np.diff(values, axis=0), closes.index[1:], closes.columns)


@dataclass(frozen=True, eq=False)
class Covariance:
    """How assets moved together in an era, per day. N assets.

    Attributes
    ----------
    symbols
        The order of rows and columns.
    matrix
        Shape ``(N, N)``.
    era
        The days.
    days
        How many moves went in.
    estimator
        ``sample``; or ``ledoit_wolf`` (2004), applied to standardised moves, as rates and prices have other units.
    absent
        Symbols that were asked for, with fewer values in the era than four of five sessions, or that never moved.
    """

    symbols: tuple[str, ...]
    matrix: Floats
    era: Era
    days: int
    estimator: Estimator = "sample"
    absent: tuple[str, ...] = ()

    @cached_property
    def deviations(self) -> Floats:
        """Standard deviations of one day, shape ``(N,)``."""
        return np.sqrt(np.diag(self.matrix))

    @cached_property
    def correlation(self) -> Floats:
        """Shape ``(N, N)``."""
        found: Floats = self.matrix / np.outer(self.deviations, self.deviations)
        np.fill_diagonal(found, 1.0)
        return found

    def places(self, symbols: Sequence[str]) -> NDArray[np.int64]:
        """Where symbols stand.

        Raises
        ------
        UnknownName
            The era has no moves of one.
        """
        for name in symbols:
            if name not in self.symbols:
                raise UnknownName(f"symbol with moves in {self.era.describe()}", str(name), self.symbols)
        return np.array([self.symbols.index(name) for name in symbols], dtype=np.int64)

    def deviation(self, symbol: str) -> float:
        """The standard deviation of one day of one asset: log return, or percent points."""
        return float(self.deviations[self.places([symbol])[0]])


def covariance(
    closes: pd.DataFrame, era: Era, *, kinds: Mapping[str, str] | None = None, estimator: Estimator = "sample"
) -> Covariance:
    """The covariance of daily moves in an era.

    Only days on which every asset that is kept has a value go in; a move over a day that is left out counts as one.

    Parameters
    ----------
    closes
        Values by session.
    era
        The first move is that of its first day, from the close before it where there is one.
    kinds
        See :func:`moves`.
    estimator
        See :class:`Covariance`.

    Raises
    ------
    BadDates
        The values do not cover the era, or hold fewer than 40 moves.
    BadInput
        As many assets as moves, for a plain sample covariance; nothing moves.
    """
    if estimator not in ("sample", "ledoit_wolf"):
        raise UnknownName("estimator", str(estimator)[:80], ("sample", "ledoit_wolf"))
    closes = closes.loc[closes.notna().any(axis=1)]
    first = max(int(closes.index.searchsorted(pd.Timestamp(era.first))) - 1, 0)
    part = closes.iloc[first : int(closes.index.searchsorted(pd.Timestamp(era.last), side="right"))]
    counts = part.notna().sum()
    most = int(counts.max()) if len(part) else 0
    kept = [str(name) for name in part.columns if counts[name] >= _COVERAGE * most]
    absent = tuple(str(name) for name in part.columns if str(name) not in kept)
    table = moves(part[kept].dropna(), kinds or {})
    if most == 0 or len(table) < _FEWEST_DAYS:
        span = f"{closes.index[0].date()} to {closes.index[-1].date()}" if len(closes) else "no day"
        raise BadDates(
            f"The era {era.describe()} holds {len(table)} days with moves; the values cover {span}.",
            f"Name an era with at least {_FEWEST_DAYS} days of them.",
        )
    values = table.to_numpy()
    deviations = values.std(axis=0, ddof=1)
    if not (deviations > 0).all():  # a peg says nothing of anything
        still = [name for name, moved in zip(kept, deviations > 0, strict=True) if not moved]
        if len(still) == len(kept):
            raise BadInput(f"{', '.join(still)} did not move in {era.describe()}.", "Name another era.")
        found = covariance(closes.drop(columns=still), era, kinds=kinds, estimator=estimator)
        return replace(found, absent=tuple(sorted({*found.absent, *absent, *still})))
    if estimator == "sample":
        if len(values) <= len(kept):
            raise BadInput(
                f"{len(values)} days hold no plain covariance of {len(kept)} assets.",
                "Name a longer era, or take estimator='ledoit_wolf'.",
            )
        matrix = np.atleast_2d(np.cov(values, rowvar=False))
    else:
        from sklearn.covariance import ledoit_wolf

        shrunk, _ = ledoit_wolf((values - values.mean(axis=0)) / deviations, assume_centered=True)
        matrix = shrunk * np.outer(deviations, deviations)
    return Covariance(tuple(kept), (matrix + matrix.T) / 2, era, len(values), estimator, absent)


def betas(matrix: Floats, given: NDArray[np.int64]) -> Floats:
    """What moves of some assets say of all: ``E[x | x_given] = betas @ x_given`` for a normal ``x`` of mean zero.

    ``S[:, g] S[g, g]^-1``; where ``S[g, g]`` is singular, its pseudo-inverse.

    Parameters
    ----------
    matrix
        Covariance, shape ``(N, N)``.
    given
        Places, shape ``(K,)``.

    Returns
    -------
    ndarray
        Shape ``(N, K)``; the rows of the given assets are those of the identity.
    """
    among = matrix[np.ix_(given, given)]
    scale = np.sqrt(np.diag(among))
    inverse = np.linalg.pinv(among / np.outer(scale, scale), rcond=1e-12, hermitian=True) / np.outer(scale, scale)
    found: Floats = matrix[:, given] @ inverse
    found[given] = np.eye(len(given))
    return found


def root(matrix: Floats) -> Floats:
    """The symmetric square root of a covariance: it has no signs or order of its own; shape ``(N, N)``."""
    values, vectors = np.linalg.eigh(matrix)
    found: Floats = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return found
