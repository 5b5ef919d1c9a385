"""What trades in a scenario: named rules, callables, and what they may see. Pure, but for the limit of time.

A strategy is called after each bar with what was known then, and answers with target weights or with None ("stay as you
are"). Its wishes are traded at the next bar, never at the one that it saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput, UnknownName
from quantdesk.features.definitions import FEATURES
from quantdesk.features.inputs import Inputs
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.signals import STRATEGIES, Strategy

__all__ = ["Named", "Seen", "Weights", "Wisher", "known_strategies", "named", "wishes_of"]

Floats = NDArray[np.float64]
Weights = Mapping[str, float]
"""Target weights by symbol: parts of the account's value. A symbol that is left out stays as it is."""

_HOLD = "hold"


@dataclass(frozen=True)
class Seen:
    """What a strategy may look at: everything until the end of a bar, and nothing behind it.

    Attributes
    ----------
    at
        The end of the bar (UTC).
    closes
        One row a session, the history included: index of moments (UTC), one column a traded symbol. In a session that
        goes on the last row holds the values of the present bar. NaN where a market was closed or a value is missing.
    bars
        The bars of the window until now, the same columns.
    positions
        Shares by symbol.
    cash, value
        Of the account, dollars.
    """

    at: pd.Timestamp
    closes: pd.DataFrame
    bars: pd.DataFrame
    positions: Mapping[str, int]
    cash: float
    value: float

    def features(self, names: Sequence[str]) -> pd.DataFrame:
        """The newest value of features of the platform: one row a symbol, one column a feature; NaN for null.

        Raises
        ------
        UnknownName
            There is no such feature.
        """
        prices = self.closes.to_numpy().T[None]
        table = {name: computed(name, prices)[0, :, -1] for name in names}
        return pd.DataFrame(table, index=pd.Index(self.closes.columns, name="symbol"))


class Wisher(Protocol):
    """A strategy of one's own."""

    def __call__(self, seen: Seen) -> Weights | None:
        """Target weights, or None to stay."""
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """A rule of :mod:`quantdesk.signals` with options.

    Attributes
    ----------
    name
        ``momentum_alpha``, ``mean_reversion``, ``equal_weight``; or ``hold``: the starting portfolio, untouched.
    options
        As the rule has them.
    """

    name: str
    options: tuple[tuple[str, object], ...] = ()


def known_strategies() -> tuple[str, ...]:
    """The names that :func:`named` knows."""
    return (*STRATEGIES, _HOLD)


def named(name: str, **options: object) -> Named:
    """A strategy by its name.

    Raises
    ------
    UnknownName
        There is none; the message offers the nearest names.
    BadParameter
        The rule has no such option.
    """
    if name not in known_strategies():
        raise UnknownName("strategy", str(name), known_strategies())
    return Named(name, tuple(sorted(options.items())))


def wishes_of(strategy: Named | Wisher, path: Path) -> Callable[[int, Callable[[], Seen]], Weights | None]:
    """What a strategy wants after each bar.

    Parameters
    ----------
    strategy
        A named rule, or a callable.
    path
        What it goes through.

    Returns
    -------
    callable
        From the number of a bar (-1: the last close before the window) and a function that makes what may be seen then,
        to checked weights or None. A named rule is computed for all bars at once; the features look backwards only, so
        that this is the same as asking after each bar (``tests/scenarios/test_strategies.py`` proves it).
    """
    if isinstance(strategy, Named):
        table = {} if strategy.name == _HOLD else planned(strategy, path)
        return lambda bar, seen: table.get(bar)
    return lambda bar, seen: checked(strategy(seen()), path.traded)


def checked(given: object, symbols: Sequence[str]) -> Weights | None:
    """The weights, if they are weights.

    Raises
    ------
    BadInput
        No mapping, a weight that is no finite number, or more than 100 times the account.
    UnknownName
        A symbol that is not traded in the scenario.
    """
    if given is None:
        return None
    if isinstance(given, pd.Series):
        given = given.to_dict()
    if not isinstance(given, Mapping):
        raise BadInput(f"A strategy answered with {type(given).__name__}.", "Let it give weights by symbol, or None.")
    found: dict[str, float] = {}
    for symbol, weight in given.items():
        if symbol not in symbols:
            raise UnknownName("traded symbol", str(symbol), symbols)
        number = isinstance(weight, (int, float, np.floating, np.integer)) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or abs(weight) > 100:
            raise BadInput(f"The weight of {symbol} is {weight!r}.", "Give a finite part of the account's value.")
        found[str(symbol)] = float(weight)
    return found


def planned(strategy: Named, path: Path) -> dict[int, Weights]:
    """Target weights by bar of a named rule; bar -1 stands for the last close before the window."""
    rule: Strategy = STRATEGIES[strategy.name]
    symbols = [symbol for symbol in path.traded if path.asset(symbol).kind != "index"] or list(path.traded)
    days = Days(path, symbols)
    features = days.features(rule.features)
    if features.empty or features.isna().all(axis=None):
        raise BadInput(
            f"{strategy.name} has no value of {', '.join(rule.features)} before or in {path.name}.",
            "Take a scenario with a longer history: the features look back.",
        )
    table = rule(features, dict(strategy.options))
    places = dict(days.moments)
    return {
        places[moment]: dict(zip(table.columns, row, strict=True))
        for moment, row in zip(table.index, table.to_numpy().tolist(), strict=True)
    }


class Days:
    """The closes of a path, one row a session: what features are computed on.

    Parameters
    ----------
    path
        Daily or intraday. In a session of minutes the row of the session goes on with each bar.
    symbols
        Which.
    """

    def __init__(self, path: Path, symbols: Sequence[str]) -> None:
        self.path = path
        self.symbols = list(symbols)
        self._columns = [path.column(symbol) for symbol in symbols]

    @cached_property
    def before(self) -> tuple[NDArray[np.int64], Floats]:
        """Moments and closes of the sessions before the window, shapes ``(h,)`` and ``(h, n)``."""
        history = self.path.history
        if history is None:
            return np.zeros(0, dtype=np.int64), np.zeros((0, len(self.symbols)))
        columns = [history.column(symbol) for symbol in self.symbols]
        open_ = (history.grades[:, columns] != GRADES.index(Grade.CLOSED)).any(axis=1)
        return history.ends[open_], history.close[open_][:, columns]

    @cached_property
    def bars(self) -> NDArray[np.int64]:
        """Numbers of the bars in which the market was open."""
        there = (self.path.grades[:, self._columns] != GRADES.index(Grade.CLOSED)).any(axis=1)
        return np.flatnonzero(there)

    @property
    def moments(self) -> Iterator[tuple[pd.Timestamp, int]]:
        """The moments of the rows of :meth:`features`, and their bars."""
        ends, _ = self.before
        if len(ends):
            yield pd.Timestamp(int(ends[-1]), tz="UTC"), -1
        for bar in self.bars.tolist():
            yield pd.Timestamp(int(self.path.ends[bar]), tz="UTC"), bar

    def closes(self, bar: int) -> tuple[NDArray[np.int64], Floats]:
        """One row a session until a bar, the history included: moments and closes."""
        ends, history = self.before
        upto = self.bars[self.bars <= bar]
        days = self.path.days[upto]
        last = upto[np.append(days[1:] != days[:-1], True)] if len(upto) else upto
        rows = self.path.close[last][:, self._columns]
        return np.concatenate([ends, self.path.ends[last]]), np.concatenate([history, rows])

    def features(self, names: Sequence[str]) -> pd.DataFrame:
        """Features from the last close before the window on: index (timestamp, symbol)."""
        ends, history = self.before
        first = max(len(ends) - 1, 0)
        if self.path.is_intraday:
            values = {name: self._by_bar(name) for name in names}
        else:
            prices = np.concatenate([history, self.path.close[self.bars][:, self._columns]]).T[None]
            values = {name: computed(name, prices)[0].T[first:] for name in names}
        index = pd.MultiIndex.from_product(
            [[moment for moment, _ in self.moments], self.symbols], names=["timestamp", "symbol"]
        )
        return pd.DataFrame({name: table.reshape(-1) for name, table in values.items()}, index=index)

    def _by_bar(self, name: str) -> Floats:
        """The feature after each bar, as if the session had ended there: shape ``(rows, symbols)``."""
        _, history = self.before
        found = [computed(name, history.T[None])[0, :, -1]] if len(history) else []
        for day in np.unique(self.path.days[self.bars]):
            here = self.bars[self.path.days[self.bars] == day]
            _, until = self.closes(int(here[0]) - 1)
            now = self.path.close[here][:, self._columns]
            past = np.broadcast_to(until.T, (len(here), len(self.symbols), len(until)))
            found.extend(computed(name, np.concatenate([past, now[:, :, None]], axis=2))[:, :, -1])
        return np.array(found)


def computed(name: str, prices: Floats) -> Floats:
    """A feature of many histories at once.

    Parameters
    ----------
    name
        Of :data:`quantdesk.features.definitions.FEATURES`; one that is made of prices alone.
    prices
        Shape ``(cases, symbols, sessions)``.

    Returns
    -------
    ndarray
        The same shape; NaN for null.
    """
    feature = FEATURES.get(name)
    if feature is None:
        raise UnknownName("feature", name, FEATURES)
    if feature.compute is None or set(feature.inputs) != {"price"}:
        raise BadInput(
            f"{name} needs {', '.join(feature.inputs)}.", "In a scenario a strategy has features of prices alone."
        )
    table = np.ascontiguousarray(prices.reshape(-1, prices.shape[2]), dtype=np.float64)
    none = np.broadcast_to(np.nan, table.shape)  # read by no feature of prices
    made = feature.compute(Inputs(table, none, none, none, none, none, none, frozenset({"price"})))
    return np.asarray(made, dtype=np.float64).reshape(prices.shape)
