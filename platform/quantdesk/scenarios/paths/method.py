"""What a way of drawing must be able to do, and where its random numbers come from. Pure.

Paths are drawn in blocks, and each block has a stream of its own: a generator seeded by the seed and the number of the
block (numpy's `SeedSequence` with a spawn key). A block is always drawn whole. So path i is the same whatever the
chunks, whoever draws it, and however many paths there are besides; and the same seed gives the same shocks to every
book.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Method", "block_of", "generator", "paths_in_block"]

Floats = NDArray[np.float64]

_NUMBERS = 65_536
"""Random numbers of a block: half a megabyte, which a core's cache holds, and enough to pay for seeding a generator."""


class Method(Protocol):
    """A way of drawing moves. It is a value: all randomness is in the generator."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of the assets, N."""
        ...

    @property
    def said(self) -> str:
        """One sentence that names the method and its parameters, for labels."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """What must be said of all that comes of it."""
        ...

    def draw(self, random: np.random.Generator, out: Floats) -> None:
        """Fill `out`, shape ``(paths, days, N)``, with moves: parts of a price, differences of a rate."""
        ...

    def weigh(self, random: np.random.Generator, days: int, values: Floats, out: Floats) -> None:
        """Fill `out`, shape ``(paths,)``, with the sums over the days of ``moves @ values``, from the same numbers."""
        ...


def paths_in_block(days: int, width: int) -> int:
    """How many paths of this shape are drawn together: a power of 2, of the shape alone."""
    return int(2 ** max(0, (_NUMBERS // (days * width)).bit_length() - 1))


def block_of(path: int, days: int, width: int) -> tuple[int, int]:
    """In which block a path is, and where in it."""
    return divmod(path, paths_in_block(days, width))


def generator(seed: int, block: int) -> np.random.Generator:
    """The random numbers of a block. SFC64 is numpy's fastest; streams of different blocks do not meet."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(block,))))
