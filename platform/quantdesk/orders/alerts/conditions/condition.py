"""What every condition has: numbers with bounds, and a question that is asked at each look. Pure."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from quantdesk.orders.alerts.activity import Activity
from quantdesk.orders.alerts.observation import Observation
from quantdesk.orders.amounts import MICRO, SECOND

__all__ = ["NOW", "Bounds", "Breach", "Condition", "Rate", "Scene", "nanos", "of_equity"]

NOW = -1
"""Since when a condition holds whose beginning nobody saw: since the first look at which it did."""


class Bounds(NamedTuple):
    """What a number of a condition may be.

    Attributes
    ----------
    least, most
        Both allowed.
    unit
        For people.
    """

    least: float
    most: float
    unit: str

    def refusal(self, value: object) -> str:
        """Why a value is none; empty where it is one."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return f"{value!r} is no finite number"
        if not self.least <= value <= self.most:
            return f"{value!r} {self.unit} is not from {self.least:g} to {self.most:g}"
        return ""


class Breach(NamedTuple):
    """A condition that holds.

    Attributes
    ----------
    subject
        The symbol, sector or user that it concerns; empty for the whole desk.
    message
        A sentence.
    numbers
        What was found (``value``) and from where on it is too much (``limit``), and more.
    since
        When it began, in nanoseconds since 1970 (UTC), where that is known; else :data:`NOW`.
    """

    subject: str
    message: str
    numbers: Mapping[str, float]
    since: int = NOW


class Scene:
    """One look: what is seen, and what follows from it for several conditions.

    Parameters
    ----------
    seen
        The observation.
    activity
        With its entries taken in.

    Attributes
    ----------
    values
        Micro-dollars of each position at its mark, shorts below 0.
    gross, net
        Their sums, without signs and with them.
    quoted
        Symbols that somebody should quote now: in session, and not known to be halted.
    """

    __slots__ = ("activity", "gross", "net", "quoted", "seen", "values")

    def __init__(self, seen: Observation, activity: Activity) -> None:
        self.seen = seen
        self.activity = activity
        marks = seen.marks
        self.values = {symbol: shares * marks.get(symbol, 0) for symbol, shares in seen.positions.items() if shares}
        self.net = sum(self.values.values())
        self.gross = sum(map(abs, self.values.values()))
        halted = {symbol for symbol, status in seen.halts.items() if status.is_halted}
        is_open = seen.in_session and seen.market_halt is None
        self.quoted = [symbol for symbol in seen.shown if symbol not in halted] if is_open else []


class Condition(ABC):
    """Something that can be wrong.

    Parameters
    ----------
    limit
        Its numbers by name, within their bounds.
    """

    parameters: ClassVar[Mapping[str, Bounds]] = {}

    def __init__(self, limit: Mapping[str, float]) -> None:
        self.limit = dict(limit)

    def breaches(self, scene: Scene) -> Sequence[Breach]:
        """Where it holds now, or held since the look before. Asked once for each look, in their order."""
        return self._breaches(scene)

    @abstractmethod
    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        """The same, of this condition."""


class Rate(Condition):
    """So many events within a span of time.

    Looks may lie further apart than the span. So it is worked out at each event: what was too much between two looks
    holds at the second one, since the event that made it too much.
    """

    def __init__(self, limit: Mapping[str, float]) -> None:
        super().__init__(limit)
        self._span = nanos(limit["window_s"])
        self._kept: deque[tuple[int, float, float]] = deque()
        self._bad: float = 0
        self._all: float = 0
        self._since = NOW

    @abstractmethod
    def _events(self, scene: Scene) -> Iterable[tuple[int, float, float]]:
        """New events: when, how much of it is bad, and how much it is in all."""

    @abstractmethod
    def _is_over(self, bad: float, every: float) -> bool:
        """Whether it is too much."""

    @abstractmethod
    def _breach(self, bad: float, every: float, since: int) -> Breach:
        """What is told of it."""

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        fresh = self._events(scene)
        if not fresh and not self._kept:
            return ()
        worst: tuple[float, float] | None = None
        for event in fresh:
            self._kept.append(event)
            self._bad += event[1]
            self._all += event[2]
            self._forget(event[0] - self._span)
            if self._is_over(self._bad, self._all):
                self._since = event[0] if self._since == NOW else self._since
                worst = max(worst or (0, 0), (self._bad, self._all))
        self._forget(scene.seen.at - self._span)
        if self._since == NOW:
            return ()
        since = self._since
        if self._is_over(self._bad, self._all):
            return (self._breach(*(worst or (self._bad, self._all)), since),)
        self._since = NOW
        return () if worst is None else (self._breach(*worst, since),)

    def _forget(self, until: int) -> None:
        """Take off what is as old as the span, or older."""
        while self._kept and self._kept[0][0] <= until:
            _, bad, every = self._kept.popleft()
            self._bad -= bad
            self._all -= every


def nanos(seconds: float) -> int:
    """Seconds as nanoseconds."""
    return round(seconds * SECOND)


def of_equity(amount: int, scene: Scene, limit: float) -> dict[str, float] | None:
    """The numbers of an amount that reaches a part of the equity; None where it does not.

    An account without equity has reached every part of it, if there is any amount at all.
    """
    equity = scene.seen.equity
    if amount <= 0 or amount < limit * equity:
        return None
    numbers = {"amount": amount / MICRO, "equity": equity / MICRO, "limit": limit}
    return {"value": amount / equity, **numbers} if equity > 0 else numbers
