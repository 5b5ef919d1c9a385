"""Moves with fat tails that come together: the multivariate t distribution. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from quantdesk.errors import BadInput
from quantdesk.scenarios.paths.covariance import Root, root_of
from quantdesk.scenarios.paths.kernels import TILE, correlated, weighed
from quantdesk.scenarios.paths.moves import Moves

__all__ = ["StudentT", "degrees_of"]

Floats = NDArray[np.float64]

_SLICE = 32_768
"""Normals that are drawn and used before the next: a quarter of a megabyte stays in the cache."""


@dataclass(frozen=True, eq=False)
class StudentT:
    """Days that are independent of each other, each multivariate t with the given mean and covariance.

    ``move = mean + L z sqrt((nu - 2) / g)`` with normals z and g chi-squared with nu degrees of freedom, one g a day
    for all assets: a wild day is wild for all (McNeil, Frey and Embrechts 2015, section 6.2).

    Attributes
    ----------
    symbols
        N.
    mean
        Shape ``(N,)``.
    covariance
        Of the moves, shape ``(N, N)``; not the scale matrix, which is ``(nu - 2) / nu`` of it.
    nu
        Degrees of freedom, above 2; infinite for a normal distribution.
    labels
        What must be said of all that comes of it.

    Raises
    ------
    BadInput
        Shapes that do not fit, a mean that is not finite, nu of 2 or less, or a covariance that is none.
    """

    symbols: tuple[str, ...]
    mean: Floats
    covariance: Floats
    nu: float = math.inf
    labels: tuple[str, ...] = ()
    root: Root = field(init=False)

    def __post_init__(self) -> None:
        width = len(self.symbols)
        if self.mean.shape != (width,) or not np.isfinite(self.mean).all():
            raise BadInput(f"The mean is {self.mean!r}.", f"Give {width} finite numbers.")
        if not self.nu > 2:
            raise BadInput(f"The degrees of freedom are {self.nu!r}.", "Above 2: at 2 the variance is infinite.")
        root = root_of(self.covariance)
        if root.lower.shape != (width, width):
            raise BadInput(f"The covariance has the shape {root.lower.shape}.", f"Give {(width, width)}.")
        object.__setattr__(self, "root", root)

    @classmethod
    def of(cls, moves: Moves, nu: float | None = None, mean: ArrayLike | None = None) -> StudentT:
        """Fit it: the sample's covariance; its mean, and nu by likelihood, unless they are given."""
        values = moves.values
        center = values.mean(axis=0) if mean is None else np.array(mean, dtype=np.float64)
        covariance = np.atleast_2d(np.cov(values, rowvar=False))
        degrees = degrees_of(values, covariance) if nu is None else float(nu)
        return cls(moves.symbols, center, covariance, degrees, moves.labels)

    @property
    def said(self) -> str:
        """One sentence that names the method and its parameters."""
        law = "normal" if math.isinf(self.nu) else f"Student t with {self.nu:.2f} degrees of freedom"
        fixed = f", the covariance repaired by {self.root.repaired:.2%}" if self.root.repaired else ""
        return f"simulated: independent days, multivariate {law}{fixed}"

    def draw(self, random: np.random.Generator, out: Floats) -> None:
        """See :meth:`quantdesk.scenarios.paths.Method.draw`."""
        paths, days, width = out.shape
        rows = out.reshape(paths * days, width)
        scale = self._scales(random, len(rows))
        for part, tiles in _normals(random, len(rows), width):
            correlated(tiles, self.root.lower, self.mean, scale[part], rows[part])

    def weigh(self, random: np.random.Generator, days: int, values: Floats, out: Floats) -> None:
        """See :meth:`quantdesk.scenarios.paths.Method.weigh`."""
        rows = np.empty(len(out) * days)
        scale = self._scales(random, len(rows))
        weights, drift = self.root.lower.T @ values, float(self.mean @ values)
        for part, tiles in _normals(random, len(rows), len(values)):
            weighed(tiles, weights, drift, scale[part], rows[part])
        np.sum(rows.reshape(len(out), days), axis=1, out=out)

    def _scales(self, random: np.random.Generator, rows: int) -> Floats:
        if math.isinf(self.nu):
            return np.ones(rows)
        # A chi-squared number is twice a gamma number of half its degrees.
        return np.sqrt((self.nu - 2) / (2 * random.standard_gamma(self.nu / 2, rows)))


def _normals(random: np.random.Generator, rows: int, width: int) -> Iterator[tuple[slice, Floats]]:
    """Normals for some rows after the other, in tiles; how many are taken at a time changes none of them."""
    tiles = -(-rows // TILE)
    size = min(tiles, max(1, _SLICE // (width * TILE)))
    buffer = np.empty((size, width, TILE))
    for first in range(0, tiles, size):
        part = buffer[: min(size, tiles - first)]
        random.standard_normal(out=part)
        yield slice(first * TILE, min((first + len(part)) * TILE, rows)), part


def degrees_of(values: Floats, covariance: Floats) -> float:
    """The degrees of freedom that make moves most likely, with the covariance held.

    Parameters
    ----------
    values
        Shape ``(T, N)``.
    covariance
        Shape ``(N, N)``.

    Returns
    -------
    float
        Between 2.1 and 200.
    """
    width = values.shape[1]
    away = values - values.mean(axis=0)
    distance = np.einsum("ij,ji->i", away, np.linalg.solve(covariance, away.T))

    def surprise(log_nu: float) -> float:
        nu = math.exp(log_nu)
        constant = special.gammaln((nu + width) / 2) - special.gammaln(nu / 2) - width / 2 * math.log(nu - 2)
        return float(-(len(values) * constant - (nu + width) / 2 * np.log1p(distance / (nu - 2)).sum()))

    found = optimize.minimize_scalar(surprise, bounds=(math.log(2.1), math.log(200)), method="bounded")
    return math.exp(float(found.x))
