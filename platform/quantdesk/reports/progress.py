"""How far a run is, and how long it will take by what its last complete run took. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Last", "Step", "estimate"]


@dataclass(frozen=True)
class Step:
    """Where a run is.

    Parameters
    ----------
    what
        The heading above the current cell, or a phase: ``starting``, ``writing the page``.
    done, total
        Code cells that are done, and all that will run; 0 and 0 before the first is known.
    elapsed_s
        Seconds since the run began.
    remaining_s
        Seconds that it will take yet, by its last complete run; None where there is none.
    """

    what: str
    done: int
    total: int
    elapsed_s: float
    remaining_s: float | None

    @property
    def cell(self) -> int | None:
        """Number of the current code cell, from 1; None outside of cells."""
        return self.done + 1 if self.total and self.done < self.total else None


@dataclass(frozen=True)
class Last:
    """What the last complete run of a report took.

    Parameters
    ----------
    whole
        Seconds of all of it.
    cells
        Seconds of each code cell, in order; empty where the notebook has changed since, and they mean nothing.
    before
        Cells that stand before those now: 1 where parameters are given, as papermill adds a cell that sets them.
    """

    whole: float
    cells: tuple[float, ...]
    before: int

    def remaining(self, done: int, total: int, elapsed: float) -> float:
        """Seconds that the run will take yet.

        Parameters
        ----------
        done, total
            Code cells, as in :class:`Step`; a cell has just begun where `total` is more than `done`.
        elapsed
            Seconds since the run began.
        """
        if total and done >= total:
            return 0.0
        if total and self.cells:
            return estimate(self.cells, done - self.before, 0.0)
        return max(0.0, self.whole - elapsed)


def estimate(durations: Sequence[float], done: int, in_cell: float) -> float:
    """Seconds that the cells will take yet.

    Parameters
    ----------
    durations
        Seconds of each cell, in order, when it ran last.
    done
        How many are done.
    in_cell
        Seconds that the current one has taken already. One that takes longer than it did counts as about to end.
    """
    left = durations[max(0, done) :]
    return max(0.0, left[0] - max(0.0, in_cell)) + sum(left[1:]) if left else 0.0
