"""An audit of every feature of the platform, on prices as they are. Pure: the market store comes in as an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pandas as pd

from quantdesk.errors import BadInput, UnknownName
from quantdesk.features import definitions
from quantdesk.features.audit.checking import Progress, Use, check
from quantdesk.features.audit.report import AuditReport
from quantdesk.features.definitions import BENCHMARK, Feature, View
from quantdesk.features.inputs import FIELDS_OF
from quantdesk.features.sentiment import Breadth, Calm, Panel, SentimentSource, sentiment_table
from quantdesk.features.tables import Hours, Sheet, hours, sheet, symbol_table
from quantdesk.market.series import Bars, Series

__all__ = ["PANEL", "REPOSITORY_CUTS", "SESSIONS", "Market", "repository"]

SESSIONS = 700
"""Twice the longest look-back and a little more, so that every feature has values on half of them."""
PANEL = "skfolio"
"""The market source whose equities make the mood, as in a build."""
REPOSITORY_CUTS = 12
_KINDS = ("equity", "etf", "index", "fx", "commodity", "rate", "volatility")
"""In the order in which a series is picked."""


class Market(Protocol):
    """What is asked of a market store."""

    def series(self) -> tuple[Series, ...]:
        """Every series."""
        ...

    def bars(self, symbol: str) -> Bars:
        """The whole history of one."""
        ...

    def resolve(self, symbol: str) -> Series:
        """The series that a name means."""
        ...


@dataclass(frozen=True)
class _Desk:
    """What the features are computed from."""

    market: Market
    sessions: int
    symbol: str | None
    sources: tuple[SentimentSource, ...]


def repository(
    market: Market,
    features: Sequence[str] | Mapping[str, Feature] | None = None,
    *,
    symbol: str | None = None,
    sessions: int = SESSIONS,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, AuditReport]:
    """Audit the features of the repository through the code that builds their tables.

    Each feature is computed as in a build: the series is laid out on its calendar, joined with the benchmark where the
    feature reads one, and given to :func:`quantdesk.features.tables.symbol_table`; the mood goes through
    :func:`quantdesk.features.sentiment.sentiment_table`.

    Parameters
    ----------
    market
        The market store (or anything with its ``series``, ``bars`` and ``resolve``).
    features
        Names, or definitions by name; all of :data:`quantdesk.features.definitions.FEATURES` when left out.
    symbol
        The series to try them on. When left out, the first one that carries what the feature reads and lived through
        the benchmark's last sessions.
    sessions
        How many of its last sessions.
    seed
        See :func:`quantdesk.features.audit.check`.
    progress
        Called with (feature, done, total).

    Returns
    -------
    dict
        A report by feature, in the order asked for. Its name says which series it stands on.

    Raises
    ------
    UnknownName
        A feature or symbol that does not exist.
    BadInput
        The market has no series on which a feature exists, or too few sessions.
    """
    known = features if isinstance(features, Mapping) else definitions.FEATURES
    names = list(known if features is None or isinstance(features, Mapping) else features)
    for name in names:
        if name not in known:
            raise UnknownName("feature", name, known)
    desk = _Desk(market, sessions, symbol, (Breadth(), Calm()))
    tell = progress or (lambda what, done, total: None)
    reports: dict[str, AuditReport] = {}
    for (view, key), group in _groups(desk, [known[name] for name in names]).items():
        tell(", ".join(one.name for one in group), len(reports), len(names))
        make, data, where = _mood(desk) if key is None else _of_series(desk, view, desk.market.resolve(key), group)
        report = check(make, data, use=Use(name=where), seed=seed, cuts=REPOSITORY_CUTS)
        reports |= {one.name: _part(report, one.name, where) for one in group}
    tell("audit", len(names), len(names))
    return {name: reports[name] for name in names}


Made = tuple[Callable[[Any], Any], Any, str]


def _groups(desk: _Desk, features: list[Feature]) -> dict[tuple[str, str | None], list[Feature]]:
    """Features that can be computed together: those of one view on one series."""
    groups: dict[tuple[str, str | None], list[Feature]] = {}
    for feature in features:
        if feature.view not in definitions.VIEWS:
            raise UnknownName("view", feature.view, definitions.VIEWS)
        key = None
        if feature.compute is not None:
            key = desk.symbol or _fit(desk.market, feature).key
        groups.setdefault((feature.view, key), []).append(feature)
    return groups


def _part(report: AuditReport, name: str, where: str) -> AuditReport:
    """What a report about several features says of one. What cannot be told apart is said of each."""
    own = []
    for one in report.findings:
        if name in (one.feature, *one.also):
            own.append(replace(one, feature=name, also=()))
        elif one.feature not in report.columns:
            own.append(replace(one, feature=name))
    return replace(report, name=f"{name} on {where}", findings=tuple(own), columns=(name,))


@dataclass(frozen=True)
class _Some(View):
    """A view with some features."""

    chosen: tuple[Feature, ...] = ()

    @property
    def features(self) -> tuple[Feature, ...]:
        """The chosen ones."""
        return self.chosen


def _of_series(desk: _Desk, view: str, series: Series, features: list[Feature]) -> Made:
    """Features as a function of a table of fields, with the benchmark's price where one reads that."""
    uses_benchmark = any("benchmark" in one.inputs for one in features)
    benchmark = sheet(desk.market.bars(BENCHMARK)) if uses_benchmark else None
    own = sheet(desk.market.bars(series.key))
    shared = own.hours.session if benchmark is None else own.hours.session.intersection(benchmark.hours.session)
    last = shared[-desk.sessions :]
    needed = max(one.look_back for one in features)
    if len(last) <= needed:
        raise BadInput(
            f"{series.key} has {len(last)} sessions to try on, and {needed} come before the first value.",
            "Name another symbol, or give more sessions.",
        )
    inside = (own.hours.session >= last[0]) & (own.hours.session <= last[-1])
    session, event = own.hours.session[inside], own.hours.event[inside]
    table = own.fields[inside].set_axis(event, axis="index")
    if benchmark is not None:
        table = table.assign(benchmark=benchmark.price.reindex(session).to_numpy())
    some = _Some(**vars(definitions.VIEWS[view]), chosen=tuple(features))
    days = dict(zip(event, session, strict=True))  # a calendar, known in advance

    def make(fields: pd.DataFrame) -> pd.DataFrame:
        return _computed(some, (series, None if benchmark is None else benchmark.series), fields, days)

    return make, table, series.key


def _computed(
    view: View, pair: tuple[Series, Series | None], fields: pd.DataFrame, days: Mapping[Any, Any]
) -> pd.DataFrame:
    """The features of rows whose labels are the closes, by the code of a build."""
    session = pd.DatetimeIndex([days[close] for close in fields.index])
    kept = Hours(session, pd.DatetimeIndex(fields.index))
    own = Sheet(pair[0], kept, fields.drop(columns="benchmark", errors="ignore").set_axis(session), 0)
    against = None
    if pair[1] is not None:
        prices = fields[["benchmark"]].set_axis(session).set_axis([pair[1].main_field], axis="columns")
        against = Sheet(pair[1], kept, prices, 0)
    return pd.DataFrame(dict(symbol_table(view, own, against).values), index=fields.index)


def _fit(market: Market, feature: Feature) -> Series:
    """The first series on which a feature has values: real ones first, with all that it reads."""
    needed = {field for name in feature.inputs for field in FIELDS_OF.get(name, ())}
    benchmark = market.resolve(BENCHMARK) if "benchmark" in feature.inputs else None
    for series in sorted(
        market.series(),
        key=lambda one: (not one.flags.real, _KINDS.index(one.kind), -len(one.fields), -one.rows, one.key),
    ):
        fits = needed <= set(series.fields) and series.frequency == "daily" and series.kind in feature.kinds
        if "traded_close" in feature.inputs and series.adjustment in {"splits and dividends", "unknown"}:
            continue
        if benchmark is not None:
            overlap = (min(series.end, benchmark.end) - max(series.start, benchmark.start)).days
            enough = overlap * 5 // 7 > feature.look_back + 60
            fits = fits and series.calendar == benchmark.calendar and series.key != benchmark.key and enough
        if fits and series.rows > 2 * feature.look_back:
            return series
    raise BadInput(f"The market has no series on which {feature.name} exists.", "Load one with the fields it reads.")


def _mood(desk: _Desk) -> Made:
    """The mood as a function of the panel's prices."""
    members = [one for one in desk.market.series() if one.source == PANEL and one.kind == "equity"]
    if not members:
        raise BadInput(f"The market has no equities of the source {PANEL!r}.", "Run `quantdesk data load`.")
    start, end = min(one.start for one in members), max(one.end for one in members)
    calendar = hours(members[0].calendar, start, end)
    prices = pd.concat({one.key: sheet(desk.market.bars(one.key), calendar).price for one in members}, axis="columns")
    table = prices.sort_index().iloc[-desk.sessions :]
    inside = calendar.session.isin(table.index)
    events = calendar.event[inside]
    days = dict(zip(events, table.index, strict=True))

    def make(panel: pd.DataFrame) -> pd.DataFrame:
        known = pd.DatetimeIndex(panel.index)
        session = pd.DatetimeIndex([days[close] for close in known])
        values = sentiment_table(Panel(known, known, session, panel), desk.sources).values
        return pd.DataFrame(dict(values), index=panel.index)

    return make, table.set_axis(events, axis="index"), f"{len(members)} stocks of {PANEL}"
