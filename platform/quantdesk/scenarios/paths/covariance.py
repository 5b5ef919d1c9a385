"""A covariance, and its root. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantdesk.errors import BadInput

__all__ = ["Root", "root_of"]

Floats = NDArray[np.float64]

_LEAST = 1e-10
"""An eigenvalue below this part of the largest is not told from 0, and is raised to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """A lower triangle.

    Attributes
    ----------
    lower
        L, shape ``(N, N)``: ``L @ L.T`` is the covariance.
    repaired
        How far that is from what was given: the Frobenius norm of the difference over that of the given. 0 where
        nothing had to be repaired.
    """

    lower: Floats
    repaired: float


def root_of(covariance: ArrayLike, most: float = 0.05) -> Root:
    """The Cholesky factor of a covariance, which is repaired a little where it must be.

    A matrix that is not positive definite has its eigenvalues clipped at 0 from below (1e-10 of the largest), and is
    scaled so that the variances are as given.

    Parameters
    ----------
    covariance
        Shape ``(N, N)``, symmetric to 1e-8 of its largest number.
    most
        The largest repair that is accepted.

    Raises
    ------
    BadInput
        It is not square, not symmetric, not finite, has a variance that is not above 0, or is further away from any
        covariance than `most`.
    """
    given = np.array(covariance, dtype=np.float64)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not given.size:
        raise BadInput(f"The covariance has the shape {given.shape}.", "Give a square matrix.")
    if not np.isfinite(given).all():
        raise BadInput("The covariance holds NaN or an infinity.", "Give finite numbers.")
    away = float(np.abs(given - given.T).max())
    if away > 1e-8 * float(np.abs(given).max()):
        raise BadInput(f"The covariance is not symmetric: two of its numbers differ by {away:g}.", "Give both alike.")
    variances = np.diag(given)
    if (variances <= 0).any():
        place = int(np.argmin(variances))
        raise BadInput(f"Variance {place} is {variances[place]:g}.", "Variances are above 0: leave out what is still.")
    given = (given + given.T) / 2
    values, vectors = np.linalg.eigh(given)
    least = float(_LEAST * values[-1])
    if values[0] >= least:
        return Root(np.linalg.cholesky(given).astype(np.float64), 0.0)
    clipped = (vectors * np.maximum(values, least)) @ vectors.T
    scale = np.sqrt(variances / np.diag(clipped))
    repaired = clipped * np.outer(scale, scale)
    distance = float(np.linalg.norm(repaired - given) / np.linalg.norm(given))
    if distance > most:
        raise BadInput(
            f"The covariance is none: its least eigenvalue is {values[0]:g}, and the nearest repair is "
            f"{distance:.1%} away.",
            "Give one whose eigenvalues are at least 0, or allow a larger repair.",
        )
    return Root(np.linalg.cholesky(repaired).astype(np.float64), distance)
