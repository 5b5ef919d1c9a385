"""What a source is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from quantdesk.market.series import Description

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RawSeries", "Source"]


class RawSeries(NamedTuple):
    """One series as a source hands it over.

    Attributes
    ----------
    description
        All that is known about it.
    frame
        Columns ``session`` (dates as midnights without a zone, ascending, unique) and the description's fields
        (float64). No other columns.
    """

    description: Description
    frame: pd.DataFrame


class Source(Protocol):
    """Something that yields series."""

    @property
    def name(self) -> str:
        """The source's name: lower case, unique in a store, the part after the ``@``."""
        ...

    def fingerprint(self) -> str:
        """A hash over everything that the series follow from. Equal fingerprints mean that nothing has to be read."""
        ...

    def series(self) -> Iterable[RawSeries]:
        """Read everything, one series after another.

        Raises
        ------
        DataError
            A file is corrupt or does not hold what it should; the message names it, and the row where there is one.
        """
        ...
