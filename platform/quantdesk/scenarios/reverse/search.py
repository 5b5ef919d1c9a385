"""The most plausible moves that breach a limit: the shortest way to a loss, in standard deviations. Pure.

Moves ``x`` of covariance ``S`` are written as ``x = R u`` with ``R`` the symmetric root of ``S``, so that the
Mahalanobis distance of ``x`` is the length of ``u``; the shortest ``u`` with ``loss(R u) >= limit`` is sought (Breuer,
Jandacka, Rheinberger and Summer 2009, "How to find plausible, severe and useful stress scenarios"; the design point of
structural reliability). For a linear book with exposures ``w`` it is known: ``x = -limit S w / (w' S w)``, at the
distance ``limit / sqrt(w' S w)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize

from quantdesk.errors import BadInput, BadParameter
from quantdesk.scenarios.reverse.answer import Asked, Reverse, columns_of, nearest
from quantdesk.scenarios.reverse.loss import Loss
from quantdesk.scenarios.shocks.moves import Covariance, root

__all__ = ["Search", "linear_answer", "reverse_stress", "reverse_stresses"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How to look.

    Attributes
    ----------
    horizon_days
        Over which the moves happen: the covariance of a day is multiplied by it.
    bound
        The largest Mahalanobis distance that is looked at.
    starts
        How many of the most promising directions an optimisation begins from.
    random_directions
        Tried beside the gradient, the factors and the principal components.
    perturbations
        Nearer points that are tried around the answer.
    windows
        Lengths of real moves that the answer is compared with, sessions; the horizon is always among them.
    scanned
        For so many of the real moves that go furthest the same way the book is revalued, to find one that breaches.
    """

    horizon_days: int = 1
    bound: float = 20.0
    starts: int = 4
    random_directions: int = 16
    perturbations: int = 200
    windows: tuple[int, ...] = (1, 5, 21)
    scanned: int = 250

    def __post_init__(self) -> None:
        if not 1 <= self.horizon_days <= 252:
            raise BadParameter(f"The horizon is {self.horizon_days!r} days.", "Give 1 to 252.")
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise BadParameter(f"The bound is {self.bound!r}.", "Give a positive distance, for example 20.")
        if self.starts < 1 or self.random_directions < 0 or self.perturbations < 0:
            raise BadParameter(f"{self} has a count that is too small.", "Give at least one start.")


def linear_answer(exposures: Floats, limit: float, matrix: Floats) -> tuple[Floats, float]:
    """Moves and distance for a linear book, exactly.

    Parameters
    ----------
    exposures
        Gain for a move of 1, shape ``(N,)``.
    limit
        Loss to reach, positive.
    matrix
        Covariance, shape ``(N, N)``.

    Raises
    ------
    BadInput
        The book does not move.
    """
    variance = float(exposures @ matrix @ exposures)
    if variance <= 0:
        raise BadInput("The book has no variance: no move of these factors changes it.", "Give exposures to them.")
    return -limit * (matrix @ exposures) / variance, limit / math.sqrt(variance)


class _Valued:
    """The loss at a point ``u``, as a multiple of the limit; counts how often it was asked."""

    def __init__(self, loss: Loss, scale: Floats, limit: float) -> None:
        self._loss, self._scale, self._limit = loss, scale, limit
        self.count = 0

    def __call__(self, point: Floats) -> float:
        self.count += 1
        found = float(self._loss(self._scale @ point))
        if not math.isfinite(found):
            raise BadInput(f"The loss of moves of {float(np.linalg.norm(point)):.2f} deviations is {found}.", "Fix it.")
        share = found / self._limit
        return share if found >= self._limit else min(share, math.nextafter(1, 0))  # a quotient may round up to 1

    def gradient(self, point: Floats, step: float = 1e-4) -> Floats:
        """Central differences."""
        steps = step * np.eye(len(point))
        return np.array([(self(point + one) - self(point - one)) / (2 * step) for one in steps])


def reverse_stress(
    loss: Loss, limit: float, cov: Covariance, *, history: pd.DataFrame | None = None, search: Search | None = None
) -> Reverse:
    """The most plausible moves that lose at least `limit`.

    Parameters
    ----------
    loss
        See :data:`~quantdesk.scenarios.reverse.loss.Loss`.
    limit
        Positive, in the unit of the loss.
    cov
        Of daily moves.
    history
        Daily moves by session with at least the covariance's symbols; without it there is no nearest day.
    search
        See :class:`Search`.

    Returns
    -------
    Reverse
        With ``reached`` False where nothing within the bound loses as much.

    Raises
    ------
    BadInput
        A limit that is not positive, a book that loses it without any move, a loss that is no number.
    """
    search = search or Search()
    if not (math.isfinite(limit) and limit > 0):
        raise BadInput(f"The limit is {limit!r}.", "Give a loss above zero.")
    matrix = cov.matrix * search.horizon_days
    scale = root(matrix)
    value = _Valued(loss, scale, limit)
    if value(np.zeros(len(matrix))) >= 1:
        raise BadInput(f"The book loses {limit:g} without any move.", "Give a limit that it keeps today.")
    point, reached = _shortest(value, _directions(value, matrix, scale, search), search)
    minimal = False
    if reached:
        point, minimal = _improved(value, point, search)
    moves = scale @ point
    lost = float(loss(moves))
    windows = (*search.windows, search.horizon_days)
    asked = Asked(moves, matrix, loss, limit)
    near = nearest(asked, columns_of(history, cov), windows, search.scanned) if history is not None else ()
    return Reverse(
        reached=reached,
        moves=pd.Series(moves, index=list(cov.symbols), name="move"),
        distance=float(np.linalg.norm(point)),
        loss=lost,
        limit=limit,
        minimal=minimal,
        nearest=near,
        cov=cov,
        horizon_days=search.horizon_days,
        bound=search.bound,
        evaluations=value.count,
    )


def reverse_stresses(
    loss: Loss,
    limit: float,
    covs: Mapping[str, Covariance] | Sequence[Covariance],
    *,
    history: pd.DataFrame | None = None,
    search: Search | None = None,
) -> dict[str, Reverse]:
    """The same for several covariances, for example of calm and of crisis, by name.

    All must have the symbols that the loss expects, in one order.

    Raises
    ------
    BadInput
        They differ in their symbols; see also :func:`reverse_stress`.
    """
    named = covs if isinstance(covs, Mapping) else {one.era.name: one for one in covs}
    if len({one.symbols for one in named.values()}) != 1:
        raise BadInput("The covariances are of different assets.", "Measure them on the same ones.")
    return {name: reverse_stress(loss, limit, one, history=history, search=search) for name, one in named.items()}


def _directions(value: _Valued, matrix: Floats, scale: Floats, search: Search) -> list[Floats]:
    """Unit vectors worth trying: downhill, each factor alone, principal components, and some at random."""
    count = len(matrix)
    found = [value.gradient(np.zeros(count))]
    found += [row for one in np.linalg.pinv(scale, hermitian=True) * np.sqrt(np.diag(matrix)) for row in (one, -one)]
    _, vectors = np.linalg.eigh(matrix / np.outer(np.sqrt(np.diag(matrix)), np.sqrt(np.diag(matrix))))
    found += [sign * vectors[:, -1 - place] for place in range(min(3, count)) for sign in (1, -1)]
    found += list(np.random.default_rng([0, 0x4E5]).standard_normal((search.random_directions, count)))
    lengths = [float(np.linalg.norm(one)) for one in found]
    return [one / length for one, length in zip(found, lengths, strict=True) if length > 1e-12]


def _crossing(value: _Valued, direction: Floats, bound: float) -> tuple[float, float, float]:
    """Where a ray first breaches (infinite if it does not), its largest value, and where that is."""
    before, best, where = 0.0, -math.inf, 0.0
    for at in (*(bound * 2.0**-power for power in range(6, 0, -1)), 0.75 * bound, bound):
        now = value(at * direction)
        if now > best:
            best, where = now, at
        if now >= 1:
            cross = _bisected(value, direction, before, at)
            return cross, best, cross
        before = at
    return math.inf, best, where


def _bisected(value: _Valued, direction: Floats, inside: float, outside: float) -> float:
    """The end of a ray that just breaches, between one that does not and one that does."""
    for _ in range(60):
        middle = (inside + outside) / 2
        if value(middle * direction) >= 1:
            outside = middle
        else:
            inside = middle
        if outside - inside <= 1e-10 * outside:
            break
    stretch = 1e-15
    while value(outside * direction) < 1 and stretch < 1e-6:  # the end was known by another rounding
        outside, stretch = outside * (1 + stretch), 2 * stretch
    return outside


def _shortest(value: _Valued, directions: list[Floats], search: Search) -> tuple[Floats, bool]:
    """The best of several optimisations, and whether it breaches; else the point with the largest loss."""
    rays = [(*_crossing(value, one, search.bound), place) for place, one in enumerate(directions)]
    crossing = sorted(ray for ray in rays if math.isfinite(ray[0]))
    if not crossing:
        heavy = sorted(rays, key=lambda ray: (-ray[1], ray[3]))[: search.starts]
        points = [_heaviest(value, where * directions[place], search.bound) for _, _, where, place in heavy]
        point = max(points, key=value)
        if value(point) < 1:
            return point, False
        crossing = [(float(np.linalg.norm(point)), 0.0, 0.0, len(directions))]
        directions = [*directions, point / float(np.linalg.norm(point))]
    found = []
    for cross, _, _, place in crossing[: search.starts]:
        start = cross * directions[place]
        found += [start, _optimised(value, start, search.bound)]
    return min(found, key=lambda one: float(np.linalg.norm(one))), True


def _optimised(value: _Valued, start: Floats, bound: float) -> Floats:
    """Sequential quadratic programming from a point that breaches; the start where that gives nothing better."""
    length = float(np.linalg.norm(start))
    done = optimize.minimize(
        lambda point: float(point @ point) / length**2,
        start,
        jac=lambda point: 2 * point / length**2,
        method="SLSQP",
        constraints=[{"type": "ineq", "fun": lambda point: value(point) - 1, "jac": value.gradient}],
        options={"maxiter": 200, "ftol": 1e-12},
    )
    end = np.asarray(done.x, dtype=np.float64)
    size = float(np.linalg.norm(end))
    if not np.isfinite(end).all() or not 0 < size <= 2 * bound:
        return start
    # The end may lie a rounding inside: follow its ray until it breaches.
    for stretch in (1.0, 1 + 1e-8, 1 + 1e-6, 1 + 1e-4):
        if value(stretch * end) >= 1 and stretch * size <= length:
            unit = end / size
            return unit * _bisected(value, unit, 0.0, stretch * size)
    return start


def _heaviest(value: _Valued, start: Floats, bound: float) -> Floats:
    """The largest loss within the bound, from a point."""
    done = optimize.minimize(
        lambda point: -value(point),
        start,
        jac=lambda point: -value.gradient(point),
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda p: 1 - float(p @ p) / bound**2, "jac": lambda p: -2 * p / bound**2}
        ],
        options={"maxiter": 100, "ftol": 1e-10},
    )
    end = np.asarray(done.x, dtype=np.float64)
    size = float(np.linalg.norm(end))
    end = end if size <= bound else end * (bound / size)
    return end if np.isfinite(end).all() and value(end) > value(start) else start


def _improved(value: _Valued, point: Floats, search: Search) -> tuple[Floats, bool]:
    """Try nearer points around the answer; begin again from one that breaches, at most three times."""
    rng = np.random.default_rng([1, 0x4E5])
    for _ in range(3):
        size = float(np.linalg.norm(point))
        nearer = None
        for spread in np.geomspace(0.003, 0.5, max(search.perturbations, 1))[: search.perturbations]:
            other = point + spread * size * rng.standard_normal(len(point)) / math.sqrt(len(point))
            other *= (1 - 1e-3) * size / float(np.linalg.norm(other))
            if value(other) >= 1:
                nearer = other
                break
        if nearer is None:
            return point, True
        point = _optimised(value, nearer, search.bound)
    return point, False
