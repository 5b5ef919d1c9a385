"""What the store holds: a series, its flags, and its bars. Pure data.

A series is one symbol from one source. Where two packages hold a symbol, they stay two series, named
``SYMBOL@source``; the plain symbol means the preferred one (the rule is in :mod:`quantdesk.market.catalogue`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIELDS", "KINDS", "PRICE_FIELDS", "Adjustment", "Bars", "Description", "Flags", "Kind", "Series"]

Kind = Literal["equity", "etf", "index", "fx", "rate", "commodity", "volatility"]
KINDS: tuple[str, ...] = get_args(Kind)

Adjustment = Literal["none", "splits", "splits and dividends", "unknown"]

PRICE_FIELDS = ("open", "high", "low", "close", "adj_close")
FIELDS = (*PRICE_FIELDS, "volume")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What a result built on a series must say.

    Attributes
    ----------
    real
        Observed, not simulated, reconstructed or made up.
    adjusted_with_hindsight
        At least one field was divided by splits or dividends that came later: returns are right, levels are not those
        of the day.
    survivors_only
        The symbol was chosen knowing that it lived on; a backtest over such symbols looks better than it was.
    """

    real: bool
    adjusted_with_hindsight: bool
    survivors_only: bool


@dataclass(frozen=True, kw_only=True)
class Description:
    """All that a source knows about a series before its rows are read.

    Attributes
    ----------
    symbol, source
        Together they are the series' name. The source is the package, or the name that a user gave to a folder.
    kind, unit
        What the numbers are: ``"equity"`` and ``"USD"``, ``"rate"`` and ``"percent"``, ``"fx"`` and
        ``"USD per EUR"``.
    calendar
        A name from :mod:`quantdesk.market.sessions`: an exchange's, or one of ours.
    frequency
        ``"daily"``, or ``"monthly"`` for averages over a month.
    fields
        Which of open, high, low, close, adj_close and volume there are, in that order.
    adjustment
        What open, high, low, close and volume were adjusted for. ``adj_close``, where there is one, is always adjusted
        for splits and dividends. ``"unknown"`` counts as adjusted.
    publication
        The name of the policy in :mod:`quantdesk.market.publication` that `publication_lag` comes from.
    publication_lag
        How long after the event (the bar's timestamp) a value is taken to be known.
    package, version, licence, sha256
        Where the numbers come from; the hash is of the file as the package or the user holds it.
    flags
        See :class:`Flags`.
    note
        What a reader must know about this series, or nothing.
    """

    symbol: str
    source: str
    kind: Kind
    unit: str
    calendar: str
    fields: tuple[str, ...]
    package: str
    version: str
    licence: str
    sha256: str
    flags: Flags
    publication: str
    publication_lag: dt.timedelta
    frequency: Literal["daily", "monthly"] = "daily"
    adjustment: Adjustment = "none"
    note: str = ""

    @property
    def id(self) -> str:
        """``SYMBOL@source``."""
        return f"{self.symbol}@{self.source}"

    @property
    def main_field(self) -> str:
        """The field that a panel shows: adj_close where there is one, else close."""
        return "adj_close" if "adj_close" in self.fields else "close"

    @property
    def adjusted_fields(self) -> tuple[str, ...]:
        """The fields that were adjusted with later knowledge."""
        return tuple(field for field in self.fields if field == "adj_close" or self.adjustment != "none")


@dataclass(frozen=True, kw_only=True)
class Series(Description):
    """A series in the store: its description, and what was found when its rows were read.

    Attributes
    ----------
    start, end
        The first and the last session (dates, inclusive).
    rows
        How many sessions there are.
    preferred
        Whether the plain symbol means this series.
    """

    start: dt.date
    end: dt.date
    rows: int
    preferred: bool = False

    @property
    def key(self) -> str:
        """The name that every later stage uses: the plain symbol when preferred, else ``SYMBOL@source``."""
        return self.symbol if self.preferred else self.id

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values: dates in ISO form, the lag in seconds."""
        given = dataclasses.asdict(self)
        given["fields"] = list(self.fields)
        given["publication_lag"] = self.publication_lag.total_seconds()
        given["start"], given["end"] = self.start.isoformat(), self.end.isoformat()
        return {"id": self.id, "key": self.key, **given}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Series:
        """The inverse of :meth:`to_dict`. A missing or unknown entry raises `KeyError` or `TypeError`."""
        values = {name: value for name, value in given.items() if name not in {"id", "key"}}
        values["flags"] = Flags(**values["flags"])
        values["fields"] = tuple(values["fields"])
        values["publication_lag"] = dt.timedelta(seconds=values["publication_lag"])
        values["start"], values["end"] = dt.date.fromisoformat(values["start"]), dt.date.fromisoformat(values["end"])
        return cls(**values)


@dataclass(frozen=True)
class Bars:
    """The rows of one series.

    Attributes
    ----------
    series
        Whose rows they are, flags included.
    frame
        Index ``timestamp``: the event (session close, fixing) in UTC, ascending and unique. Columns: ``session``, the
        local date of the event as midnight without a zone, then the fields as float64. NaN means that the source
        holds no value there; nothing is filled.
    """

    series: Series
    frame: pd.DataFrame
