"""Days of the history again, in stretches: the stationary block bootstrap. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.scenarios.paths.kernels import chosen_days, gathered, weighed_days
from quantdesk.scenarios.paths.moves import Moves

__all__ = ["Bootstrap", "block_length"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Stretches of the history of random length, all assets together (Politis and Romano 1994).

    Attributes
    ----------
    moves
        The history; its first day follows its last.
    block
        Mean length of a stretch in days: geometric. At least 1, which draws days singly.

    Raises
    ------
    BadInput
        A block shorter than a day or longer than the history.
    """

    moves: Moves
    block: float
    _values: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.block <= len(self.moves.values):
            raise BadInput(
                f"The blocks are {self.block!r} days long.",
                f"Give a mean length from 1 to {len(self.moves.values)}, the days of the history.",
            )
        object.__setattr__(self, "_values", np.ascontiguousarray(self.moves.values))

    @classmethod
    def of(cls, moves: Moves, block: float | None = None) -> Bootstrap:
        """With the block length of :func:`block_length` if none is given."""
        return cls(moves, block_length(moves.values) if block is None else float(block))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of the assets."""
        return self.moves.symbols

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the history."""
        return self.moves.labels

    @property
    def said(self) -> str:
        """One sentence that names the method and its parameters."""
        return (
            f"simulated: stationary block bootstrap of {len(self.moves.values)} days, blocks of {self.block:.1f} days "
            "on the mean"
        )

    @property
    def _threshold(self) -> np.uint64:
        return np.uint64(min(round(2**32 / self.block), 2**32))

    def draw(self, random: np.random.Generator, out: Floats) -> None:
        """See :meth:`quantdesk.scenarios.paths.Method.draw`."""
        raw = _bits(random, out.shape[0], out.shape[1])
        days = np.empty(raw.shape, dtype=np.int64)
        chosen_days(raw, len(self._values), self._threshold, days)
        gathered(days, self._values, out)

    def weigh(self, random: np.random.Generator, days: int, values: Floats, out: Floats) -> None:
        """See :meth:`quantdesk.scenarios.paths.Method.weigh`: the book's own history is drawn from."""
        raw = _bits(random, len(out), days)
        weighed_days(raw, len(self._values), self._threshold, self._values @ values, out)


def _bits(random: np.random.Generator, paths: int, days: int) -> NDArray[np.uint64]:
    """64 random bits a day: the lower half says whether a stretch ends, the upper where the next begins."""
    raw: NDArray[np.uint64] = random.bit_generator.random_raw(paths * days)
    return raw.reshape(paths, days)


def block_length(values: Floats) -> float:
    """The mean length of blocks for which means of the moves vary as they should: the rule of Politis and White.

    Politis and White (2004), corrected by Patton, Politis and White (2009), as `arch` computes it, for each asset; the
    largest of them. It looks at the moves themselves, which depend on each other little; volatility clusters for much
    longer, and a block that is to hold such a cluster must be given.

    Parameters
    ----------
    values
        Shape ``(T, N)``.

    Returns
    -------
    float
        From 1 to T.
    """
    from arch.bootstrap import optimal_block_length

    found = float(optimal_block_length(values)["stationary"].max())
    return min(max(found, 1.0), float(len(values)))
