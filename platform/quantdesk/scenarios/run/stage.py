"""What all accounts of a run share: the path, by minutes where they are asked for, its halts, its market. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.orders.halts import Halts, KnownHalts
from quantdesk.scenarios.intraday import by_minute, depth, references
from quantdesk.scenarios.market import CALM, Effects, PathMarket
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.result import Event
from quantdesk.scenarios.run.config import LEVELS, RunConfig
from quantdesk.scenarios.scenario import Scenario
from quantdesk.scenarios.stopped import HaltMet, emergent

__all__ = ["Stage", "stage_of"]


@dataclass(frozen=True)
class Stage:
    """What all accounts of a run share.

    Attributes
    ----------
    path
        What happens.
    market
        Its quotes.
    halts
        What stops trading.
    met
        The halts of the path, as events.
    config
        The settings.
    label
        What must be said of every fill.
    title
        Of the scenario, for people.
    notes
        What could not be judged, and what stands in for what.
    known
        What feeds show of the path, where that is less than what happens; the path itself when None.
    references
        Prices by symbol from which a trade of 2010-05-06 must not have been too far away: what was is broken
        afterwards, as the exchanges did then. Empty on other days.
    """

    path: Path
    market: PathMarket
    config: RunConfig = field(default_factory=RunConfig)
    halts: Halts = field(default_factory=KnownHalts)
    met: tuple[Event, ...] = ()
    label: str = ""
    title: str = ""
    notes: tuple[str, ...] = ()
    known: Path | None = None
    references: Mapping[str, float] = field(default_factory=dict)


def stage_of(
    path: Path,
    scenario: Scenario | None,
    config: RunConfig,
    *,
    minutes: int | None = None,
    effects: Effects = CALM,
) -> Stage:
    """Everything that the accounts of a run share.

    Parameters
    ----------
    path
        Days, as the store has them; or a path of its own.
    scenario
        What declared it; None for a path of its own.
    config
        The settings.
    minutes
        So many minutes of open market, from where the scenario's minutes begin, instead of the whole window.
    effects
        What else happens to the market of a path of its own.

    Raises
    ------
    BadInput
        The number is none, or the scenario has no minutes, or fewer.
    """
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int) or minutes < 1):
        raise BadInput(f"A duration of {minutes!r} minutes.", "Give a whole number of at least 1.")
    if scenario is not None and (minutes is not None or scenario.resolution == "minute"):
        path = by_minute(path, scenario, bars=minutes, seed=config.seed)
    plan = None if scenario is None or not path.is_intraday else scenario.intraday
    if plan is not None and plan.model == "flash_crash":
        effects = Effects(depth=depth(path, seed=config.seed).share)
    stopped = emergent(path, known=() if scenario is None else scenario.closures)
    return Stage(
        stopped.path,
        PathMarket(stopped.path, config.market, effects),
        config,
        stopped.halts,
        _events(stopped.met),
        label_of(path),
        "" if scenario is None else scenario.title,
        (*stopped.notes, *_without_a_price(stopped.path), *_without_levels(path, config)),
        _known(stopped.path, effects),
        references(path) if path.is_intraday else {},
    )


def _without_levels(path: Path, config: RunConfig) -> tuple[str, ...]:
    if config.policy is not None or LEVELS not in path.labels:
        return ()
    return ("Levels of prices are not those of their day: the guardrails' limit on numbers of shares is left out.",)


def _without_a_price(path: Path) -> tuple[str, ...]:
    """What is traded by name, and has no value in the whole window."""
    none = [symbol for symbol in path.traded if np.isnan(path.close[:, path.column(symbol)]).all()]
    if not none:
        return ()
    first, last = path.sessions[0].date(), path.sessions[-1].date()
    return (f"{', '.join(none)} {'has' if len(none) == 1 else 'have'} no value from {first} to {last}.",)


def _known(path: Path, effects: Effects) -> Path:
    """The path as feeds show it: what is dark is missing, from the end of the first bar that nobody saw on."""
    close, grades = path.close.copy(), path.grades.copy()
    for symbols, since, until in effects.dark:
        rows = np.flatnonzero((path.ends > since) & (path.ends <= until))
        for symbol in symbols:
            cells = rows, path.column(symbol)
            grades[cells] = np.where(np.isnan(close[cells]), grades[cells], GRADES.index(Grade.MISSING))
            close[cells] = np.nan
    return dataclasses.replace(path, close=close, grades=grades) if effects.dark else path


def label_of(path: Path) -> str:
    """What must be said of every fill."""
    said = ", ".join(path.labels)
    return f"quotes simulated around the values of {path.name}" + (f" ({said})" if said else "")


def _events(met: Sequence[HaltMet]) -> tuple[Event, ...]:
    """One event a halt: what stops many symbols for one reason at one time is one halt of all of them."""
    together: dict[tuple[int, int, str, str], list[HaltMet]] = {}
    for one in met:
        same = one.cause if one.code == "CLOSED" else one.symbol
        together.setdefault((one.begins, one.ends, one.code, same), []).append(one)
    found = []
    for (begins, ends, code, _), halts in together.items():
        names = [one.symbol for one in halts if one.symbol != "*"]
        cause = halts[0].cause + (f" ({', '.join(names)})" if len(names) > 1 else "")
        numbers = {**halts[0].numbers, "seconds": (ends - begins) / 1e9, "symbols": float(len(names))}
        found.append(Event(begins, "halt", code, names[0] if len(names) == 1 else "", cause, numbers))
    return tuple(found)
