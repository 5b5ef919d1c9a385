"""Daily bars into minutes. Pure.

A minute is never real here: nobody has the tape. What is known of a day is hit exactly, and each symbol says how the
rest came about.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.amounts import nanoseconds
from quantdesk.orders.halts.hours import NEW_YORK
from quantdesk.scenarios.intraday import bridge, flash_crash, march_2020
from quantdesk.scenarios.intraday.course import NIGHT, Course, DayOfIndex, bridged
from quantdesk.scenarios.intraday.day import corners_of, day_of_index, has_open, wildness
from quantdesk.scenarios.intraday.grid import MINUTE, STEPS, at, minutes
from quantdesk.scenarios.intraday.lookback import Lookback
from quantdesk.scenarios.intraday.relatives import Relative, index_of, is_relative, relative
from quantdesk.scenarios.path import GRADES, Asset, Grade, Path
from quantdesk.scenarios.scenario import Intraday, Scenario

__all__ = ["by_minute"]

Floats = NDArray[np.float64]
_REAL, _MADE = GRADES.index(Grade.REAL), GRADES.index(Grade.RECONSTRUCTED)
_CLOSED = GRADES.index(Grade.CLOSED)


def by_minute(
    daily: Path,
    scenario: Scenario,
    *,
    first: dt.date | dt.datetime | None = None,
    bars: int | None = None,
    seed: int,
) -> Path:
    """The days of a scenario that matter by the minute, minute by minute.

    Where a daily bar has open, high, low, close and volume, the minutes hit all five exactly. What has only a close
    moves with the index by its beta and ends exactly at its close. A symbol's minutes depend on its own bars, the
    index's and the seed, on nothing else.

    Parameters
    ----------
    daily
        Daily bars of the whole window, with their history.
    scenario
        Its ``[intraday]`` says which days, and by which model.
    first
        Where the minutes begin: a day, or an aware datetime. Left out, the first day of ``[intraday]``: at its open, or
        at ``starts`` where `bars` is given.
    bars
        How many minutes of open market; all that are left when left out. A minute that a halt cuts in two, or that a
        model draws more finely, counts once.
    seed
        Where chance comes from.

    Returns
    -------
    Path
        Bars of a minute, 390 in a full session, cut wherever trading stops. What was real is `reconstructed`, what was
        simulated stays so. Its history are the daily bars before its first day.

    Raises
    ------
    BadInput
        The scenario has no minutes, the path is one of minutes already, or more minutes are asked for than there are.
    BadDates
        `first` lies outside of the days of the minutes.
    """
    plan = scenario.intraday
    if plan is None:
        raise BadInput(
            f"The scenario {scenario.name!r} has no minutes: nobody knows what they were like.",
            "Run it day by day, or give it [intraday].",
        )
    if daily.is_intraday:
        raise BadInput(f"The path {daily.name!r} has several bars a day.", "Give daily bars.")
    since = _since(plan, first, bars)
    start = dt.datetime.fromtimestamp(since / 1e9, NEW_YORK).date()
    rows = [n for n, day in enumerate(daily.sessions) if start <= day.date() <= plan.last]
    if not rows or start < plan.first:
        raise BadDates(
            f"{first or plan.first} lies outside of the minutes of {scenario.name!r}.",
            f"Give a moment from {plan.first} to {plan.last}.",
        )
    lookback = Lookback.of(daily)
    # From before the first day of the plan, wherever a run begins: its minutes do not change with that.
    relatives = _relatives(daily, lookback, int(np.searchsorted(daily.sessions, np.datetime64(plan.first))))
    days: list[_Day] = []
    for row in rows:
        made = _day(daily, plan, lookback, relatives, row, seed)
        if made is not None:
            days.append(made)
        if bars is not None and _count(days, since) >= bars:
            break
    return _whole(daily, scenario, days, rows[0], since, bars)


@dataclass(frozen=True, slots=True, eq=False)
class _Day:
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    tables: dict[str, Floats]
    grades: NDArray[np.int8]
    methods: dict[str, str] = field(default_factory=dict)


def _since(plan: Intraday, first: dt.date | dt.datetime | None, bars: int | None) -> int:
    if isinstance(bars, bool) or (bars is not None and bars < 1):
        raise BadInput(f"{bars!r} minutes.", "Give a whole number above 0.")
    if isinstance(first, dt.datetime):
        if first.tzinfo is None:
            raise BadDates(f"The time {first} has no time zone.", "Give one, for example America/New_York.")
        return nanoseconds(first)
    if first is None and bars is not None:
        return at(plan.first, plan.starts)
    return at(first or plan.first, dt.time())


def _relatives(daily: Path, lookback: Lookback, row: int) -> list[Relative]:
    """Of every column, from what was before the first minute."""
    place = index_of(daily)
    before = lookback.before(row)
    index = None if place is None else daily.assets[place]
    return [
        Relative(1.0, 0.0, True, 0)
        if n == place
        else relative(asset, before[:, n], index, None if place is None else before[:, place])
        for n, asset in enumerate(daily.assets)
    ]


def _day(
    daily: Path, plan: Intraday, lookback: Lookback, relatives: list[Relative], row: int, seed: int
) -> _Day | None:
    day = daily.sessions[row].date()
    place = index_of(daily)
    known = None if place is None else day_of_index(daily, lookback, row, place, seed)
    rng = bridge.stream(seed, day, "" if place is None else daily.assets[place].symbol)
    course = _course(plan, day, known, rng, seed)
    if course is None:
        return None
    wild = wildness(known) if course.wild is None else course.wild
    size = len(course.grid)
    points = np.full((size * STEPS + 1, len(daily.assets)), np.nan)
    methods = {}
    for n, asset in enumerate(daily.assets):
        if np.isnan(daily.close[row, n]):
            continue
        if n == place and course.points is not None:
            points[:, n], said = course.points, course.method
            cornered = known is not None and known.corners is not None
        else:
            previous = lookback.previous(row, n)
            case = _Case(asset, corners_of(daily, row, n, previous, seed), previous, float(daily.close[row, n]), wild)
            chance = bridge.stream(seed, day, asset.symbol)
            points[:, n], said = _asset(case, relatives[n], course, known, chance)
            cornered = case.corners is not None
        methods[asset.symbol] = said if not cornered or has_open(daily, row, n) else f"{said}; the open is drawn"
    return _shown(daily, row, course, points, methods, seed)


def _course(
    plan: Intraday, day: dt.date, known: DayOfIndex | None, rng: np.random.Generator, seed: int
) -> Course | None:
    if plan.model == "halts_2020":
        return march_2020.course(day, known, rng)
    if plan.model == "flash_crash" and day == flash_crash.DAY:
        return flash_crash.course(known, rng, seed)
    grid = minutes(day)
    return None if grid is None else bridged(grid, known, rng)


@dataclass(frozen=True, slots=True)
class _Case:
    asset: Asset
    corners: bridge.Corners | None
    previous: float
    close: float
    wild: float


def _asset(
    case: _Case, to: Relative, course: Course, known: DayOfIndex | None, rng: np.random.Generator
) -> tuple[Floats, str]:
    """The points of one asset that is not the index, shape ``(b * STEPS + 1,)``, and how they came about."""
    weights = course.grid.weights
    driven = np.zeros(len(weights) + 1)
    if known is not None and course.points is not None and to.beta:
        driven = to.beta * np.log(course.points / known.previous)
        if course.plunge is not None and not case.asset.is_traded:  # it was a crash of shares
            driven = driven - to.beta * course.plunge
    deviation = to.rest * case.wild
    with_index = f" with the index ({to.said})" if driven.any() else ""
    if case.corners is not None:
        drawn = driven + deviation * bridge.walks(weights, rng, bridge.CANDIDATES)
        points = bridge.through(case.corners, drawn, course.visible)
        return points, f"a Brownian bridge{with_index} through its daily open, high, low and close"
    logs = is_relative(case.asset, case.close, *([] if np.isnan(case.previous) else [case.previous]))
    start = case.close if np.isnan(case.previous) else case.previous
    total = np.log(case.close / start) if logs else case.close - start
    if logs is not to.logs:  # its history was of the other kind: below 0, or never
        unit = 1 / start if logs else abs(start)
        driven, deviation = driven * unit, deviation * unit
    if not logs and min(case.close, start) > 0:  # a yield near nothing does not wander below it
        deviation = min(deviation, min(case.close, start) / 3)
    rest = bridge.between(float(total - driven[-1]), deviation, weights * (1 - NIGHT), rng, NIGHT)
    way = driven + rest
    said = f"from the close before to its close{with_index}; its open, high and low are reconstructed"
    if course.plunge is not None and case.asset.is_traded:
        way = flash_crash.fallen(way, course.plunge, to.beta, rng)
        said += f"; {flash_crash.STOCKS}"
    points = start * np.exp(way) if logs else start + way
    points[-1] = case.close
    return np.asarray(points, dtype=np.float64), said


def _shown(daily: Path, row: int, course: Course, points: Floats, methods: dict[str, str], seed: int) -> _Day:
    """The bars of a day, with what is shut left out, and the volume spread over the rest."""
    grid = course.grid
    size, width = len(grid), len(daily.assets)
    made = bridge.bars_of(points)
    grade = daily.grades[row].copy()
    grade[grade == _REAL] = _MADE
    grades = np.repeat(grade[None, :], size, axis=0)
    tables = {"open": made.open.copy(), "high": made.high, "low": made.low, "close": made.close.copy()}
    tables["volume"] = np.full((size, width), np.nan)
    for n, asset in enumerate(daily.assets):
        stopped = course.shut & asset.is_traded
        volume = np.nan if daily.volume is None else daily.volume[row, n]
        if np.isfinite(volume) and volume >= 0 and asset.symbol in methods:
            ranges = (made.high - made.low)[:, n]
            chance = bridge.stream(seed, grid.day, asset.symbol, purpose=1)
            tables["volume"][:, n] = bridge.volumes(float(volume), course.volume, ranges, chance)
        if stopped.any() and asset.symbol in methods:
            grades[stopped, n] = _CLOSED
            for table in tables.values():
                table[stopped, n] = np.nan
    return _Day(grid.begins, grid.ends, tables, grades, methods)


def _count(days: list[_Day], since: int) -> int:
    return sum(len(np.unique(day.begins[day.begins >= since] // MINUTE)) for day in days)


def _whole(daily: Path, scenario: Scenario, days: list[_Day], row: int, since: int, bars: int | None) -> Path:
    left = _count(days, since)
    if not left or (bars is not None and left < bars):
        raise BadInput(
            f"{bars or 'All'} minutes from {dt.datetime.fromtimestamp(since / 1e9, NEW_YORK)} on: there are {left}.",
            f"The minutes of {scenario.name!r} end with {daily.sessions[-1]:%Y-%m-%d}; ask for {left} or fewer.",
        )
    begins = np.concatenate([day.begins for day in days])
    kept = begins >= since
    if bars is not None:
        kept &= begins // MINUTE <= np.unique(begins[kept] // MINUTE)[bars - 1]
    tables: dict[str, Any] = {name: np.concatenate([day.tables[name] for day in days])[kept] for name in days[0].tables}
    methods = dict(daily.methods)
    for symbol in daily.symbols:
        said = dict.fromkeys(day.methods[symbol] for day in days if symbol in day.methods)
        if said:
            methods[symbol] = "; ".join(
                [*filter(None, [daily.methods.get(symbol)]), *(f"minutes: {one}" for one in said)]
            )
    return replace(
        daily,
        begins=begins[kept],
        ends=np.concatenate([day.ends for day in days])[kept],
        grades=np.concatenate([day.grades for day in days])[kept],
        **tables,
        history=Lookback.history(daily, row),
        methods=MappingProxyType(methods),
        labels=tuple(dict.fromkeys([*daily.labels, "minutes_reconstructed"])),
    )
