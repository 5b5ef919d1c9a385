"""The answer of a reverse stress: moves, how implausible they are, and the real days that came nearest. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.reverse.loss import Loss
from quantdesk.scenarios.shocks.moves import Covariance, is_rate

__all__ = ["Asked", "Nearest", "Reverse", "columns_of", "distances", "nearest"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Nearest:
    """Real moves over some days that came near to the found ones.

    Attributes
    ----------
    what
        ``nearest``; or ``nearest_breach``: the nearest of those that would have breached the limit.
    days
        Sessions.
    first, last
        The first session whose move is in it, and the last.
    apart
        Mahalanobis distance from the found moves.
    distance
        From no move at all: how implausible it was itself.
    loss
        Of the book.
    breaches
        Whether that would have breached the limit.
    """

    what: Literal["nearest", "nearest_breach"]
    days: int
    first: dt.date
    last: dt.date
    apart: float
    distance: float
    loss: float
    breaches: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Reverse:
    """The most plausible moves that lose as much as a limit. N factors.

    Attributes
    ----------
    reached
        Whether any were found within the bound; if not, `moves` are those with the largest loss.
    moves
        By symbol: log returns, percent points of rates, over `horizon_days`.
    distance
        Mahalanobis distance: the number of standard deviations, correlations taken into account.
    loss, limit
        Of the moves; that was to be reached.
    minimal
        Whether none of the nearer points around it that were tried loses as much.
    nearest
        Real moves, by window.
    cov
        Of which era.
    horizon_days
        Over which the moves happen.
    bound
        The largest distance that was looked at.
    evaluations
        How often the book was revalued.
    absent
        What the book's value rests on and the era does not know: it was held still.
    """

    reached: bool
    moves: pd.Series
    distance: float
    loss: float
    limit: float
    minimal: bool
    nearest: tuple[Nearest, ...]
    cov: Covariance
    horizon_days: int
    bound: float
    evaluations: int
    absent: tuple[str, ...] = ()

    @property
    def deviations(self) -> pd.Series:
        """The moves in standard deviations of the horizon."""
        scale = self.cov.deviations * np.sqrt(self.horizon_days)
        return pd.Series(self.moves.to_numpy() / scale, self.moves.index, name="deviations")

    @property
    def chance_as_far(self) -> float:
        """Of any move at least so far away, if moves were normal: chi-squared with N degrees of freedom."""
        return float(stats.chi2.sf(self.distance**2, len(self.moves)))

    @property
    def chance_of_breach(self) -> float:
        """Of a loss beyond the limit, if moves were normal and the book linear around the found point."""
        return float(stats.norm.sf(self.distance))

    def moves_in_words(self) -> dict[str, str]:
        """``{"SPX": "-7.46 %", "UST10Y": "+12.0 bp"}``."""
        return {
            str(name): f"{100 * move:+.1f} bp" if is_rate(str(name), {}) else f"{100 * np.expm1(move):+.2f} %"
            for name, move in self.moves.items()
        }

    def text(self) -> str:
        """For people."""
        days = f"{self.horizon_days} day{'s' if self.horizon_days > 1 else ''}"
        head = f"Covariance: {self.cov.era.describe()}, {self.cov.days} days, {self.cov.estimator}; over {days}"
        if self.absent:
            head += f"\nHeld still, for the era does not know them: {', '.join(self.absent)}"
        if not self.reached:
            return _narrow(
                [
                    head,
                    f"A loss of {self.limit:,.6g} is not reached within a distance of {self.bound:g}: the largest that "
                    f"was found is {self.loss:,.6g}, at a distance of {self.distance:.2f}.",
                ]
            )
        lines = [
            head,
            f"Most plausible moves with a loss of {self.loss:,.6g} (limit {self.limit:,.6g}): distance "
            f"{self.distance:.2f}",
            f"If moves were normal, which have thinner tails than markets: chance of such a loss "
            f"{self.chance_of_breach:.2g}, of any move so far away {self.chance_as_far:.2g}",
        ]
        if not self.minimal:
            lines.append("Nearer points with such a loss were found around it: it is no minimum.")
        order = self.deviations.abs().sort_values(ascending=False, kind="stable").index
        said = self.moves_in_words()
        lines += [f"  {name!s:<10}{said[str(name)]:>12}{float(self.deviations[name]):>+8.2f} sd" for name in order[:12]]
        if len(order) > 12:
            lines.append(f"  and {len(order) - 12} more")
        for one in self.nearest:
            when = f"{one.last}" if one.days == 1 else f"{one.first} to {one.last}"
            which = "Nearest real move" if one.what == "nearest" else "Nearest real move that breaches"
            lines.append(
                f"{which} over {one.days} day{'s' if one.days > 1 else ''}: {when}, {one.apart:.2f} away; it would "
                f"have lost {one.loss:,.6g} ({'a breach' if one.breaches else 'no breach'})"
            )
        return _narrow(lines)


def _narrow(lines: Sequence[str]) -> str:
    """No line is wider than a page; what goes on is indented."""
    apart = "\n".join(lines).splitlines()
    return "\n".join(fill(line, 100, subsequent_indent="  ", break_on_hyphens=False) for line in apart)


def distances(moves: Floats, matrix: Floats) -> Floats:
    """Mahalanobis distances from zero of moves, shape ``(..., N)``; infinite for one that the covariance rules out."""
    scale = np.sqrt(np.diag(matrix))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    parts = (moves / scale) @ vectors
    dead = values <= 1e-12 * values[-1]
    squares = (parts[..., ~dead] ** 2 / values[~dead]).sum(axis=-1)
    ruled_out = (np.abs(parts[..., dead]) > 1e-6).any(axis=-1)
    found: Floats = np.where(ruled_out, np.inf, np.sqrt(squares))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What real moves are compared with.

    Attributes
    ----------
    moves
        Shape ``(N,)``.
    matrix
        The covariance by which distance is measured, shape ``(N, N)``.
    loss, limit
        Of the book.
    """

    moves: Floats
    matrix: Floats
    loss: Loss
    limit: float


def nearest(asked: Asked, history: pd.DataFrame, windows: Sequence[int], scanned: int = 250) -> tuple[Nearest, ...]:
    """For each length of window, the real moves that came nearest to some, and the nearest that breached.

    Parameters
    ----------
    asked
        See :class:`Asked`.
    history
        Daily moves by session, shape ``(sessions, N)`` in the order of ``asked.moves``; rows with NaN are left out.
    windows
        Sessions; those longer than the history are left out.
    scanned
        For so many of those that go furthest the way of ``asked.moves`` the book is revalued, and the nearest that
        breaches is taken; a breach the other way is not looked for.

    Raises
    ------
    BadInput
        No window, or one that is not positive.
    """
    if not windows or min(windows) < 1:
        raise BadInput(f"The windows are {list(windows)}.", "Give numbers of sessions, for example 1 and 5.")
    table = history.dropna()
    dates = [moment.date() for moment in pd.DatetimeIndex(table.index)]
    towards = np.linalg.pinv(asked.matrix, hermitian=True) @ asked.moves
    sums = np.cumsum(np.vstack([np.zeros((1, table.shape[1])), table.to_numpy(dtype=np.float64)]), axis=0)
    found: list[Nearest] = []
    for days in sorted({one for one in windows if one <= len(table)}):
        real = sums[days:] - sums[:-days]
        apart = distances(real - asked.moves, asked.matrix)
        first = int(np.argmin(apart))
        found.append(_seen("nearest", asked, real, apart, first, dates[first : first + days]))
        likely = np.argsort(-(real @ towards), kind="stable")[:scanned]
        breaching = [int(at) for at in likely if float(asked.loss(real[at])) >= asked.limit]
        if breaching and not found[-1].breaches:
            at = min(breaching, key=lambda one: (apart[one], one))
            found.append(_seen("nearest_breach", asked, real, apart, at, dates[at : at + days]))
    return tuple(found)


def _seen(
    what: Literal["nearest", "nearest_breach"],
    asked: Asked,
    real: Floats,
    apart: Floats,
    at: int,
    dates: list[dt.date],
) -> Nearest:
    own, lost = float(distances(real[at], asked.matrix)), float(asked.loss(real[at]))
    return Nearest(what, len(dates), dates[0], dates[-1], float(apart[at]), own, lost, lost >= asked.limit)


def columns_of(history: pd.DataFrame, cov: Covariance) -> pd.DataFrame:
    """The moves of the covariance's symbols, in its order.

    Raises
    ------
    UnknownName
        The history lacks one.
    """
    for name in cov.symbols:
        if name not in history.columns:
            raise UnknownName("symbol of the history of moves", name, map(str, history.columns))
    return history[list(cov.symbols)]
