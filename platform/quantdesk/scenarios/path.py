"""What happened, or is made to happen, to every asset through a window: one value a bar, and how far it is true. Pure.

A path is the only thing that the rest of the package knows of a scenario: a replay makes one from the store and the
catalogue, a shock makes one from a magnitude, a simulation makes many. Every bar of every asset bears a grade. A bar
that is missing is NaN and stays so: nothing is carried over a closure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market.series import Kind

__all__ = ["GRADES", "TRADED", "Asset", "Grade", "Path"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Grades = NDArray[np.int8]

TRADED: frozenset[str] = frozenset({"equity", "etf", "index"})
"""Kinds that a strategy can trade through the desk. An index stands for a fund that tracks it, and is labelled so."""


class Grade(StrEnum):
    """How far a bar is true."""

    REAL = "real"
    """Observed: it stands in a series of the store."""
    RECONSTRUCTED = "reconstructed"
    """Made from published figures by a method that is named."""
    SIMULATED = "simulated"
    """Invented: a shock, or a drawn path."""
    MISSING = "missing"
    """There should be a value and nobody has it."""
    CLOSED = "closed"
    """There is no bar: the asset's market was shut."""


GRADES: tuple[Grade, ...] = tuple(Grade)
"""The grades in the order of their codes in :attr:`Path.grades`."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One column of a path.

    Attributes
    ----------
    symbol
        ``AAPL``, ``SPX``, ``UST10Y``, ``EURUSD``, ``WTI``, ``VIX``.
    kind
        As in the store: ``equity``, ``etf``, ``index``, ``fx``, ``rate``, ``commodity``, ``volatility``.
    unit
        Of its values: ``USD``, ``percent``, ``USD per EUR``.
    sector
        Of a stock; empty otherwise.
    series
        ``SYMBOL@source`` that its real values come from; empty where there are none.
    calendar
        Name of the calendar that says when it has bars.
    """

    symbol: str
    kind: Kind
    unit: str = "USD"
    sector: str = ""
    series: str = ""
    calendar: str = "XNYS"

    @property
    def is_traded(self) -> bool:
        """Whether a strategy can trade it through the desk."""
        return self.kind in TRADED


@dataclass(frozen=True, eq=False)
class Path:
    """Values of all assets, bar by bar. T bars, N assets.

    Attributes
    ----------
    name
        Of the scenario.
    assets
        The columns.
    begins, ends
        When each bar begins and ends, shape ``(T,)``: nanoseconds since 1970 (UTC), ascending, not overlapping. A
        daily bar is the regular session in New York; where New York was shut and another market was not, the hours that
        it would have had.
    close
        Shape ``(T, N)``: the value at the end of the bar; NaN where the grade is missing or closed.
    grades
        Shape ``(T, N)``: codes, places in :data:`GRADES`.
    open, high, low
        Shape ``(T, N)``; NaN where the series has none. None where no asset has them.
    volume
        Shape ``(T, N)``: shares; NaN where unknown. None where no asset has it.
    history
        Daily bars before the first one, for features, volatilities and volumes; None where there are none.
    methods
        By symbol, how its bars came about that are not real.
    hashes
        By name, the SHA-256 of what this was made from: series, catalogue entry.
    labels
        What must be said of every result: ``adjusted_with_hindsight``, ``survivors_only``, ``levels_reconstructed`` ...
    """

    name: str
    assets: tuple[Asset, ...]
    begins: Ints
    ends: Ints
    close: Floats
    grades: Grades
    open: Floats | None = None
    high: Floats | None = None
    low: Floats | None = None
    volume: Floats | None = None
    history: Path | None = None
    methods: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bars, width = len(self.ends), len(self.assets)
        if not bars or not width:
            raise BadInput(f"The path {self.name!r} has {bars} bars of {width} assets.", "Give at least one of each.")
        symbols = [asset.symbol for asset in self.assets]
        if len(set(symbols)) != width:
            raise BadInput(f"The path {self.name!r} has a symbol twice: {symbols}.", "Give each asset one column.")
        for name in ("close", "grades", "open", "high", "low", "volume"):
            table = getattr(self, name)
            if table is not None and table.shape != (bars, width):
                raise BadInput(f"{name} of {self.name!r} has the shape {table.shape}.", f"Give {(bars, width)}.")
        if (self.begins >= self.ends).any() or (self.ends[:-1] > self.begins[1:]).any():
            raise BadInput(f"The bars of {self.name!r} overlap or are out of order.", "Give them in the order of time.")
        holes = (self.grades == GRADES.index(Grade.MISSING)) | (self.grades == GRADES.index(Grade.CLOSED))
        if not (np.isnan(self.close) == holes).all():
            raise BadInput(
                f"The values and grades of {self.name!r} do not agree.",
                "A bar is NaN where it is missing or its market is closed, and nowhere else.",
            )

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(asset.symbol for asset in self.assets)

    @cached_property
    def traded(self) -> tuple[str, ...]:
        """Symbols that a strategy can trade."""
        return tuple(asset.symbol for asset in self.assets if asset.is_traded)

    @cached_property
    def sessions(self) -> pd.DatetimeIndex:
        """The day in New York of each bar, as midnights without a zone, shape ``(T,)``."""
        moments = pd.DatetimeIndex(self.ends.astype("datetime64[ns]")).tz_localize("UTC")
        return moments.tz_convert("America/New_York").tz_localize(None).normalize()

    @cached_property
    def days(self) -> Ints:
        """The same as numbers of days since 1970, shape ``(T,)``."""
        return self.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)

    @property
    def is_intraday(self) -> bool:
        """Whether a session has more than one bar."""
        return bool(self.sessions.has_duplicates)

    def column(self, symbol: str) -> int:
        """Where a symbol stands.

        Raises
        ------
        UnknownName
            It has no column.
        """
        if symbol not in self.symbols:
            raise UnknownName("symbol of this scenario", symbol, self.symbols)
        return self.symbols.index(symbol)

    def asset(self, symbol: str) -> Asset:
        """The asset of a symbol."""
        return self.assets[self.column(symbol)]

    def closes(self, symbols: Sequence[str] | None = None) -> pd.DataFrame:
        """Values at the end of each bar: index of moments (UTC), one column a symbol; NaN where there is none."""
        names = list(self.symbols if symbols is None else symbols)
        index = pd.DatetimeIndex(self.ends.astype("datetime64[ns]"), name="timestamp").tz_localize("UTC")
        return pd.DataFrame(self.close[:, [self.column(name) for name in names]], index=index, columns=names)

    def graded(self, grade: Grade, symbols: Iterable[str] | None = None) -> int:
        """How many bars have a grade."""
        columns = [self.column(name) for name in (self.symbols if symbols is None else symbols)]
        return int((self.grades[:, columns] == GRADES.index(grade)).sum())

    def share_real(self, symbols: Iterable[str] | None = None) -> float:
        """The part of all bars that is real, of those that there should be: a closed market has none. NaN for none."""
        names = list(self.symbols if symbols is None else symbols)
        counts = {grade: self.graded(grade, names) for grade in GRADES if grade is not Grade.CLOSED}
        total = sum(counts.values())
        return counts[Grade.REAL] / total if total else float("nan")

    def cut(self, first: int, last: int) -> Path:
        """The bars ``first <= t < last``; the history stays."""
        tables: dict[str, Any] = {
            name: None if (table := getattr(self, name)) is None else table[first:last]
            for name in ("begins", "ends", "close", "grades", "open", "high", "low", "volume")
        }
        return replace(self, **tables)

    @cached_property
    def sha256(self) -> str:
        """Of all numbers and names, the history included: equal paths have equal ones."""
        digest = hashlib.sha256("\n".join([self.name, *map(repr, self.assets), *self.labels]).encode())
        for name in ("begins", "ends", "close", "grades", "open", "high", "low", "volume"):
            table = getattr(self, name)
            digest.update(name.encode() if table is None else np.ascontiguousarray(table).tobytes())
        digest.update(b"" if self.history is None else self.history.sha256.encode())
        return digest.hexdigest()
