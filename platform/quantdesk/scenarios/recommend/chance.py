"""How many changes would have looked as good by chance: all signs of all crises. Pure.

Under the null hypothesis a change helps in a crisis as likely as it hurts. Then the sign of every crisis can be turned
without changing how likely the table is; signs are turned for all changes at once, so that changes that are alike stay
alike (P. H. Westfall and S. S. Young, *Resampling-Based Multiple Testing*, 1993; the sign test of R. A. Fisher,
*The Design of Experiments*, 1935, section 21).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chance", "by_chance"]

Floats = NDArray[np.float64]
_EXACT, _DRAWS = 12, 4096


@dataclass(frozen=True, slots=True)
class Chance:
    """Of one change among those that were tried.

    Attributes
    ----------
    tried
        How many changes.
    crises
        On how many crises.
    as_good
        How many of the changes are expected to look at least as good by chance.
    any_as_good
        The chance that at least one does: a p-value that is corrected for the number of changes tried.
    """

    tried: int
    crises: int
    as_good: float
    any_as_good: float

    @property
    def sentence(self) -> str:
        """For people."""
        return (
            f"Of the {self.tried} changes tried, {self.as_good:.1f} would look as good by chance on the {self.crises} "
            f"crises that it was chosen on (at least one with a chance of {self.any_as_good * 100:.0f} %)."
        )


def by_chance(benefits: Floats, chosen: int) -> Chance:
    """Compare a change with all that were tried.

    Parameters
    ----------
    benefits
        Points gained, shape (changes, crises); 0 where a change could not be priced.
    chosen
        The row.

    Returns
    -------
    Chance
        Exact up to 12 crises; from 4,096 patterns of signs beyond, the observed one among them.
    """
    changes, crises = benefits.shape
    signs = _signs(crises)
    means = signs @ benefits.T / crises
    reached = means >= benefits[chosen].mean() - 1e-9
    return Chance(changes, crises, float(reached.sum(axis=1).mean()), float(reached.any(axis=1).mean()))


def _signs(crises: int) -> Floats:
    if crises <= _EXACT:
        bits = np.arange(2**crises)[:, None] >> np.arange(crises) & 1
    else:
        bits = (np.random.default_rng([0, crises]).random((_DRAWS, crises)) < 0.5).astype(np.int64)
        bits[0] = 0
    return np.where(bits == 0, 1.0, -1.0)
