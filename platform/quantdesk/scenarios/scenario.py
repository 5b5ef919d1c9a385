"""What a scenario declares: window, closures, assets, what it must reproduce, and what bridges the gaps. Pure.

The catalogue's entries and a user's TOML files are read into this one model; a field that is not known is refused.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quantdesk.market.series import Kind

__all__ = ["AssetEntry", "ClosureEntry", "Figure", "Intraday", "Scenario", "Waypoint"]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,47}$")]
Alias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{2,47}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AssetEntry(_Entry):
    """An asset that the scenario moves. A symbol alone, ``"AAPL"``, is an entry too.

    Attributes
    ----------
    symbol
        Of the store; one that the store lacks is reconstructed from waypoints, or missing.
    kind, unit, sector
        As in :class:`~quantdesk.scenarios.path.Asset`; those of the store's series when left out.
    series
        A particular series, ``SYMBOL@source``; chosen by the rule of :mod:`quantdesk.scenarios.replay` when left out.
    calendar
        Of an asset that the store lacks, a name from :mod:`quantdesk.market.sessions`.
    """

    symbol: str = Field(pattern=r"^[A-Z][A-Z0-9.\-]{0,15}$")
    kind: Kind | None = None
    unit: str = ""
    sector: str = ""
    series: str = ""
    calendar: str = "XNYS"

    @model_validator(mode="before")
    @classmethod
    def _of_a_symbol(cls, given: Any) -> Any:
        return {"symbol": given} if isinstance(given, str) else given


class ClosureEntry(_Entry):
    """A market was shut, or a symbol was; days are included."""

    exchange: str
    first: dt.date
    last: dt.date
    reason: str
    source: str


class Figure(_Entry):
    """A number that the replay must reproduce from the data, or that was published and is only quoted.

    Attributes
    ----------
    what
        ``return`` (between two closes, percent), ``worst_day`` (percent), ``level`` (a close), ``peak`` and ``trough``
        (of closes), ``low`` (intraday, percent from the close before), ``correlation`` (mean pairwise in the window),
        ``correlation_before`` (six months before), ``sector_return`` (percent; symbol names the sector), ``spread``
        (between two rates, basis points; symbol is ``UST2Y/UST10Y``).
    symbol
        Of which asset; a sector's name for ``sector_return``; empty for correlations.
    value
        In the unit above.
    tolerance
        Absolute: how far the replay may be away.
    on
        The day; of the end for a return. The window's when left out.
    since
        The day from which a return is counted; the window's first when left out.
    grade
        ``real``: the bundled data show it. ``reconstructed``: they do not, and the figure is quoted from its source.
    source
        Where it was read or what it was computed from.
    """

    what: Literal[
        "return", "worst_day", "level", "peak", "trough", "low", "correlation", "correlation_before", "sector_return",
        "spread",
    ]  # fmt: skip
    value: float
    tolerance: float = Field(ge=0)
    symbol: str = ""
    on: dt.date | None = None
    since: dt.date | None = None
    grade: Literal["real", "reconstructed"] = "real"
    source: str


class Waypoint(_Entry):
    """A published value through which a reconstruction must go: of a symbol, at the close of a day."""

    symbol: str
    on: dt.date
    value: float
    source: str


class Intraday(_Entry):
    """How minutes are made.

    Attributes
    ----------
    first, last
        Days that matter by the minute; a run with ``duration_minutes`` starts on the first.
    starts
        New York time at which such a run starts.
    model
        ``bridge``: minutes through open, high, low, close and volume. ``flash_crash``: the timeline of 2010-05-06.
        ``halts_2020``: a bridge through the published minutes of the market-wide halts.
    """

    first: dt.date
    last: dt.date
    starts: dt.time = dt.time(9, 30)
    model: Literal["bridge", "flash_crash", "halts_2020"] = "bridge"


class Scenario(_Entry):
    """A crisis.

    Attributes
    ----------
    name, title, summary
        Which; for the command line, for a page, and one sentence.
    aliases
        Short names that resolve to it.
    start, end
        First and last session of the window. Trades begin at the close of the first, which is the base of all returns.
    history_days
        Calendar days before the window that features may look at.
    closures
        Beyond those that the calendars know.
    assets
        What moves.
    resolution
        Of the bars of a run without ``duration_minutes``.
    intraday
        None where nobody knows what the minutes were like.
    figures, waypoints
        See there.
    rule_era
        The day whose rulebook holds; the window's first when left out.
    sources
        Where this was read.
    """

    name: Name
    title: str
    summary: str
    aliases: tuple[Alias, ...] = ()
    start: dt.date
    end: dt.date
    history_days: int = Field(default=550, ge=0, le=4000)
    closures: tuple[ClosureEntry, ...] = ()
    assets: tuple[AssetEntry, ...] = Field(min_length=1)
    resolution: Literal["daily", "minute"] = "daily"
    intraday: Intraday | None = None
    figures: tuple[Figure, ...] = ()
    waypoints: tuple[Waypoint, ...] = ()
    rule_era: dt.date | None = None
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_sound(self) -> Scenario:
        if self.start > self.end:
            raise ValueError(f"the window begins on {self.start}, after its end on {self.end}")
        symbols = [asset.symbol for asset in self.assets]
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if twice:
            raise ValueError(f"the asset {twice[0]} stands twice")
        for point in self.waypoints:
            if point.symbol not in symbols:
                raise ValueError(f"the waypoint of {point.symbol} on {point.on} is of no asset of the scenario")
        if self.intraday is not None and not self.start <= self.intraday.first <= self.intraday.last <= self.end:
            raise ValueError("the days of the minutes lie outside of the window")
        if self.resolution == "minute" and self.intraday is None:
            raise ValueError("a run by the minute needs [intraday]")
        return self
