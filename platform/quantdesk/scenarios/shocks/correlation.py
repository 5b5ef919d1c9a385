"""Correlations that somebody asks for, and the nearest ones that can be. Pure.

A table of numbers between -1 and 1 need not be a correlation: raise some of them and a portfolio has a negative
variance. It is repaired, and the result says how far that is from what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput, UnknownName

__all__ = ["Repair", "checked", "clipped", "higham", "mean_of", "repaired", "towards"]

Floats = NDArray[np.float64]
_NEGLIGIBLE = 1e-10


@dataclass(frozen=True, eq=False)
class Repair:
    """A valid correlation matrix, and how far it is from the one that was asked for.

    Attributes
    ----------
    matrix
        Shape ``(N, N)``: symmetric, ones on the diagonal, no eigenvalue below zero (but for rounding).
    distance
        Frobenius norm of the difference; 0 where what was asked is valid.
    largest
        Largest difference of one correlation.
    method
        ``none``, ``higham`` or ``clip``.
    """

    matrix: Floats
    distance: float
    largest: float
    method: str

    def describe(self) -> str:
        """One sentence."""
        if self.method == "none":
            return "The correlations asked for are valid as they are."
        return (
            f"The correlations asked for are not valid; the nearest that are ({self.method}) differ by "
            f"{self.distance:.3f} (Frobenius) and by {self.largest:.3f} at most."
        )


def checked(matrix: Floats) -> Floats:
    """A table that looks like a correlation: square, symmetric, ones on the diagonal, between -1 and 1, no NaN.

    It may still have a negative eigenvalue: that is what :func:`repaired` is for.

    Raises
    ------
    BadInput
        It does not; the message says where.
    """
    table = np.asarray(matrix, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise BadInput(f"A correlation matrix has the shape {table.shape}.", "Give a square one.")
    if np.isnan(table).any():
        row, column = np.argwhere(np.isnan(table))[0]
        raise BadInput(f"The correlation at ({row}, {column}) is NaN.", "Give a number.")
    for wrong, said, remedy in (
        (np.abs(table - table.T) > 1e-8, "is not that of its mirror", "Give a symmetric matrix."),
        (np.diag(np.abs(np.diag(table) - 1) > 1e-8), "is on the diagonal and not 1", "Set the diagonal to 1."),
        (np.abs(table) > 1 + 1e-8, "is not between -1 and 1", "Give correlations, not covariances."),
    ):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise BadInput(f"The correlation at ({row}, {column}), {table[row, column]:g}, {said}.", remedy)
    clean: Floats = np.clip((table + table.T) / 2, -1.0, 1.0)
    np.fill_diagonal(clean, 1.0)
    return clean


def _positive(matrix: Floats) -> Floats:
    """The nearest matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    found: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return (found + found.T) / 2


def _unit(matrix: Floats) -> Floats:
    """Scaled to ones on the diagonal."""
    scale = np.sqrt(np.diag(matrix))
    found: Floats = matrix / np.outer(scale, scale)
    np.fill_diagonal(found, 1.0)
    return np.clip(found, -1.0, 1.0)


def higham(matrix: Floats, *, tolerance: float = 1e-10, most: int = 20_000) -> Floats:
    """The nearest correlation matrix in the Frobenius norm: Higham (2002), algorithm 3.3, with equal weights.

    Projections on the positive semidefinite matrices, with Dykstra's correction, and on those with ones on the diagonal
    take turns until they agree.

    Parameters
    ----------
    matrix
        Symmetric, shape ``(N, N)``; it need not look like a correlation.
    tolerance
        Relative change at which it ends.
    most
        Steps, at most.

    Raises
    ------
    BadInput
        It is not symmetric or has NaN; or the steps did not agree.
    """
    table = np.asarray(matrix, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not np.isfinite(table).all():
        raise BadInput(f"A matrix of shape {table.shape} is not square or not finite.", "Give a symmetric one.")
    if np.abs(table - table.T).max() > 1e-8 * max(1.0, float(np.abs(table).max())):
        raise BadInput("The matrix is not symmetric.", "Give its mean with its mirror.")
    current, correction = (table + table.T) / 2, np.zeros_like(table)
    for _ in range(most):
        shifted = current - correction
        positive = _positive(shifted)
        correction = positive - shifted
        following = positive.copy()
        np.fill_diagonal(following, 1.0)
        moved = float(np.linalg.norm(following - current)) / max(1.0, float(np.linalg.norm(following)))
        apart = float(np.linalg.norm(following - positive)) / max(1.0, float(np.linalg.norm(following)))
        current = following
        if max(moved, apart) <= tolerance:
            return _unit(_positive(current))
    raise BadInput(f"The nearest correlation matrix was not found in {most} steps.", "Take method='clip'.")


def clipped(matrix: Floats, *, least: float = 0.0) -> Floats:
    """Negative eigenvalues set to `least`, and scaled to ones on the diagonal (Rebonato and Jaeckel 1999).

    Fast, valid, and not the nearest.
    """
    values, vectors = np.linalg.eigh(np.asarray(matrix, dtype=np.float64))
    found: Floats = (vectors * np.maximum(values, least)) @ vectors.T
    return _unit((found + found.T) / 2)


def repaired(matrix: Floats, method: Literal["higham", "clip"] = "higham") -> Repair:
    """The nearest valid correlation matrix, and how far it is.

    Raises
    ------
    BadInput, UnknownName
        See :func:`checked`; no such method.
    """
    if method not in ("higham", "clip"):
        raise UnknownName("method of repair", str(method)[:80], ("higham", "clip"))
    asked = checked(matrix)
    if np.linalg.eigvalsh(asked)[0] >= -_NEGLIGIBLE:
        return Repair(asked, 0.0, 0.0, "none")
    found = higham(asked) if method == "higham" else clipped(asked)
    return Repair(found, float(np.linalg.norm(found - asked)), float(np.abs(found - asked).max()), method)


def mean_of(matrix: Floats) -> float:
    """The mean correlation of all pairs; NaN for one asset."""
    count = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (count * (count - 1))) if count > 1 else float("nan")


def towards(matrix: Floats, places: NDArray[np.int64], target: float) -> Floats:
    """Some assets' correlations with each other brought to a mean; those with the others stay. It may need a repair.

    Up, they are blended with 1, down with 0, and below 0 with -1, so that each pair keeps its rank.

    Parameters
    ----------
    matrix
        Correlations, shape ``(N, N)``.
    places
        Of those affected, at least two.
    target
        Their mean afterwards, -1 to 1.

    Raises
    ------
    BadInput
        Fewer than two, or a target out of range.
    """
    if len(places) < 2 or not -1 <= target <= 1:
        raise BadInput(
            f"{len(places)} assets have no mean correlation of {target:g}.", "Give at least two, and -1 to 1."
        )
    block = matrix[np.ix_(places, places)]
    mean = mean_of(block)
    end = 1.0 if target > mean else 0.0 if target >= 0 and mean > 0 else -1.0
    weight = 0.0 if target == mean else (target - mean) / (end - mean)
    found = matrix.copy()
    found[np.ix_(places, places)] = (1 - weight) * block + weight * end
    np.fill_diagonal(found, 1.0)
    return found
