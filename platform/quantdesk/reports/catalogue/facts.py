"""What the pages say of one feature: how its values are spread, where it has any, and why not. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from quantdesk.features.definitions import Feature, View
    from quantdesk.features.lineage import Lineage

__all__ = ["Coverage", "Distribution", "Facts", "Nulls", "Overview", "Revised", "Verdict", "distribution", "full_name"]

BINS = 48
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_TAIL = 0.005
_WIDE = 100.0


@dataclass(frozen=True)
class Distribution:
    """How the values of one kind of series are spread.

    Attributes
    ----------
    kind
        The kind of series, such as ``"equity"``.
    series, values
        How many series and values there are.
    quantiles
        At :data:`QUANTILES`, in the unit of the feature.
    edges, counts
        Of the histogram: ``n + 1`` edges and ``n`` counts over the middle 99 % of the values.
    below, above
        Values left and right of the histogram.
    logarithmic
        Whether the bins are equal in ratio, which is for values that are positive and span several powers of ten.
    """

    kind: str
    series: int
    values: int
    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int
    above: int
    logarithmic: bool


def distribution(kind: str, series: int, values: NDArray[np.float64]) -> Distribution | None:
    """The distribution of the values of one kind; None where there are none.

    Parameters
    ----------
    kind, series
        What is described.
    values
        Shape ``(n,)``; NaN and infinities are left out.
    """
    there = values[np.isfinite(values)]
    if not there.size:
        return None
    quantiles = np.quantile(there, QUANTILES)
    first, last = np.quantile(there, [_TAIL, 1 - _TAIL])
    logarithmic = bool(quantiles[0] > 0 and quantiles[-2] / quantiles[1] >= _WIDE)
    if first == last:
        reach = abs(first) * 0.05 or 0.5
        first, last = first - reach, last + reach
        logarithmic = False
    edges = np.geomspace(first, last, BINS + 1) if logarithmic else np.linspace(first, last, BINS + 1)
    edges[0], edges[-1] = first, last
    counts, _ = np.histogram(there, edges)
    return Distribution(
        kind=kind,
        series=series,
        values=int(there.size),
        quantiles=tuple(float(one) for one in quantiles),
        edges=tuple(float(one) for one in edges),
        counts=tuple(int(one) for one in counts),
        below=int((there < first).sum()),
        above=int((there > last).sum()),
        logarithmic=logarithmic,
    )


def full_name(feature: Feature) -> str:
    """The name to ask with; that of a user's own feature tells its view, as several may have one of the same name."""
    return feature.name if feature.home.flags is None else f"{feature.view}:{feature.name}"


@dataclass(frozen=True)
class Coverage:
    """Where one series has values.

    Attributes
    ----------
    name, kind, source
        The series; for a view about the market as a whole ``"the market"``.
    years
        Per calendar year of the session: how many rows, and how many of them have a value.
    """

    name: str
    kind: str
    source: str
    years: Mapping[int, tuple[int, int]]

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(rows for rows, _ in self.years.values())

    @property
    def values(self) -> int:
        """Those with a value."""
        return sum(values for _, values in self.years.values())

    def share(self, year: int) -> float:
        """The share of a year's rows that have a value; NaN where there are no rows."""
        rows, values = self.years.get(year, (0, 0))
        return values / rows if rows else math.nan


@dataclass(frozen=True)
class Nulls:
    """Why values are missing: one code, how often it was given, for how many series."""

    code: str
    count: int
    series: int


@dataclass(frozen=True)
class Revised:
    """A series of which the feature has more than one version somewhere.

    Attributes
    ----------
    name
        The series.
    events, versions
        Sessions with more than one version of the value, and how many versions those have together.
    latest
        When the newest version became known.
    """

    name: str
    events: int
    versions: int
    latest: dt.datetime


@dataclass(frozen=True)
class Verdict:
    """What an audit for leaks found.

    Attributes
    ----------
    word
        ``"no leak found"``, ``"leaks"``, ``"undecided"`` or ``"not audited"``.
    says
        A sentence more.
    """

    word: str
    says: str


NOT_AUDITED = Verdict("not audited", "Nobody has looked for leaks in this feature's code when these pages were made.")


@dataclass(frozen=True)
class Facts:
    """Everything that the page of one feature shows."""

    feature: Feature
    view: View
    lineage: Lineage
    labels: tuple[str, ...]
    distributions: tuple[Distribution, ...]
    coverage: tuple[Coverage, ...]
    nulls: tuple[Nulls, ...]
    freshness: Sequence[Mapping[str, Any]]
    latest: dt.date | None
    revised: tuple[Revised, ...]
    proven: tuple[int, int]
    audit: Verdict = NOT_AUDITED
    sampled: int = 1

    @property
    def name(self) -> str:
        """The name to ask with; see :func:`full_name`."""
        return full_name(self.feature)

    @property
    def rows(self) -> int:
        """Rows of all series."""
        return sum(one.rows for one in self.coverage)

    @property
    def values(self) -> int:
        """Values of all series."""
        return sum(one.values for one in self.coverage)

    @property
    def years(self) -> tuple[int, ...]:
        """Every year from the first to the last row."""
        known = {year for one in self.coverage for year in one.years}
        return tuple(range(min(known), max(known) + 1)) if known else ()

    @property
    def states(self) -> tuple[str, ...]:
        """The states of freshness that occur, the worst first."""
        return tuple(sorted({str(one["state"]) for one in self.freshness}, key=_severity))


def _severity(state: str) -> tuple[int, str]:
    order = ("empty", "behind", "late", "unknown", "fresh", "ended", "gone", "open")
    return (order.index(state) if state in order else len(order), state)


@dataclass(frozen=True)
class Overview:
    """What all pages share.

    Attributes
    ----------
    build, market, definitions
        Versions, as hashes.
    built_by
        The version of quantdesk.
    at
        When the data were last loaded, which is when freshness was measured; UTC.
    rows, series
        Of the whole build.
    loads
        Each load: when, why, and how many rows it added, restated and withdrew.
    knowledge
        How it is known when each row was known.
    """

    build: str
    market: str
    definitions: str
    built_by: str
    at: dt.datetime
    rows: int
    series: int
    loads: Sequence[Mapping[str, Any]]
    knowledge: str
